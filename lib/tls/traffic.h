/*
 * From what a handshake has agreed on to the keys of records: HKDF-Expand-Label over traffic secrets (RFC 8446 sections 7.1 to
 * 7.3), the key block of TLS 1.2 (RFC 5246 section 6.3). kdf.h derives.
 *
 * Control prepares once; sessions call the rest on their lcore. Keys in between are cleansed.
 */
#ifndef TLS_TRAFFIC_H
#define TLS_TRAFFIC_H

#include <openssl/ssl.h>

#include "tls/record.h"

#define TLS_SECRET_MAX 48 /* of SHA-384; the master secret of TLS 1.2 has as many */
#define TLS_MASTER_SIZE 48

struct tls_suite;

/* A traffic secret of TLS 1.3. len 0: none. */
struct tls_secret {
	uint8_t len;
	uint8_t data[TLS_SECRET_MAX];
};

/* 0, or -1 when memory is short or OpenSSL lacks an algorithm. */
int tls_traffic_prepare(void);

/* The AEAD and hash of a cipher suite; NULL where records of it are left to OpenSSL: CBC, CCM. Static. */
const struct tls_suite *tls_suite_of(const SSL_CIPHER *cipher);
uint8_t tls_suite_secret_size(const struct tls_suite *suite);

/* False, here and below: no memory. */
bool tls_traffic_expand(const struct tls_suite *suite, const struct tls_secret *secret, const char *label, uint8_t *out,
			size_t len);
/* The key of TLS 1.3 that belongs to the secret, for its first record. `key` has one already, which it replaces, or is zero. */
bool tls_traffic_key(const struct tls_suite *suite, const struct tls_secret *secret, bool seals,
		     struct tls_record_key *key);
/* The secret after a KeyUpdate (section 7.2), and its key. */
bool tls_traffic_update(const struct tls_suite *suite, struct tls_secret *secret, bool seals,
			struct tls_record_key *key);
/* Both keys of TLS 1.2: the client's opens, the server's seals. `randoms`: the server's, and the client's behind it. */
bool tls_traffic_block(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_SIZE], const uint8_t randoms[64],
		       struct tls_record_key *client, struct tls_record_key *server);
/* Cleansed and given back. */
void tls_traffic_clear(struct tls_record_key *key);

#endif
