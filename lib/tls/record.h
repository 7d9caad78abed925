/*
 * Records under the key of one direction (RFC 8446 section 5; RFC 5246 section 6.2.3.3 with RFC 5288 and 7905).
 *
 * What a record looks like is here; sealing and opening it is OpenSSL's (EVP). Plaintext and ciphertext lie in pieces where
 * they are, so neither is gathered or copied. Nothing of what tls_record_open() puts down may be looked at unless it says
 * that all is well: the tag comes last.
 *
 * No I/O. The session that has the key, and its lcore, call everything here.
 */
#ifndef TLS_RECORD_H
#define TLS_RECORD_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "tls/pieces.h"
#include "tls/tls.h"

#define TLS_TAG_SIZE 16
#define TLS_NONCE_SIZE 12

enum tls_content {
	TLS_CONTENT_CHANGE_CIPHER_SPEC = 20,
	TLS_CONTENT_ALERT = 21,
	TLS_CONTENT_HANDSHAKE = 22,
	TLS_CONTENT_DATA = 23,
};

struct tls_record_key {
	EVP_CIPHER_CTX *aead; /* keyed, for one direction; NULL: no key */
	uint64_t sequence;    /* of the next record */
	uint8_t iv[TLS_NONCE_SIZE];
	uint8_t explicit_nonce; /* bytes of the nonce that each record carries: 8 with GCM in TLS 1.2, else 0 */
	bool hides_type;        /* TLS 1.3: the type is behind the content, sealed */
};

/* How much longer a record is than its content, header included. */
static inline uint32_t
tls_record_overhead(const struct tls_record_key *key)
{
	return TLS_HEADER_SIZE + key->explicit_nonce + key->hides_type + TLS_TAG_SIZE;
}

/* From its header: how long the record is, header included. 0 or the alert that it deserves. */
int tls_record_length(const struct tls_record_key *key, const uint8_t header[TLS_HEADER_SIZE], uint32_t *len);

/* `len` (at most 2^14) bytes of `in` as one record to `out`, where its overhead has room too; both move on. False: OpenSSL
 * had no memory. */
bool tls_record_seal(struct tls_record_key *key, enum tls_content type, struct tls_pieces *in, uint32_t len,
		     struct tls_pieces *out);

/* The next of `in`, as long as tls_record_length() says, to `out`: its content is the first *len bytes there; all the record but
 * for header, nonce and tag must have room. Both move on. 0 or the alert that it deserves. */
int tls_record_open(struct tls_record_key *key, struct tls_pieces *in, struct tls_pieces *out, enum tls_content *type,
		    uint32_t *len);

#endif
