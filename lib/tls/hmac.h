/*
 * HMAC (RFC 2104) with the hashes of TLS 1.2 and 1.3: SHA-256 and SHA-384.
 *
 * The hashes are OpenSSL's, called by their names of before EVP: a handshake has some thirty secrets, keys and MACs, each of four
 * blocks and more of a hash, and OpenSSL's EVP fetches four algorithms and allocates a dozen objects for each of them.
 *
 * No state but the caller's, no memory: any thread may call. What is secret and on the stack is cleansed.
 */
#ifndef TLS_HMAC_H
#define TLS_HMAC_H

#include <openssl/sha.h>
#include <stdint.h>

#include "base/bytes.h"

#define TLS_HASH_MAX 48 /* bytes of a hash */

struct tls_hash;

extern const struct tls_hash tls_sha256, tls_sha384;

/* By OpenSSL's name for it; NULL: another. */
const struct tls_hash *tls_hash_named(const char *name);
uint8_t tls_hash_size(const struct tls_hash *hash);
/* The hash of no bytes. */
void tls_hash_of_nothing(const struct tls_hash *hash, uint8_t out[TLS_HASH_MAX]);

union tls_hash_state {
	SHA256_CTX sha256;
	SHA512_CTX sha384;
};

/* A key that is ready for use: half of what a short message needs has been hashed. */
struct tls_hmac {
	const struct tls_hash *hash;
	union tls_hash_state inner, outer;
};

void tls_hmac_key(struct tls_hmac *hmac, const struct tls_hash *hash, struct bytes key);
/* Of the pieces, one behind the other; `out` may be one of them. */
void tls_hmac_of(const struct tls_hmac *hmac, const struct bytes *pieces, unsigned int count,
		 uint8_t out[TLS_HASH_MAX]);
/* Cleansed. */
void tls_hmac_clear(struct tls_hmac *hmac);

#endif
