/*
 * How TLS derives secrets and keys: HKDF (RFC 5869) as TLS 1.3 has it (RFC 8446 section 7.1), and the PRF of TLS 1.2 (RFC 5246
 * section 5).
 *
 * As hmac.h: any thread may call, and what is secret and on the stack is cleansed.
 */
#ifndef TLS_KDF_H
#define TLS_KDF_H

#include <stdbool.h>

#include "tls/hmac.h"

/* HKDF-Extract. */
void tls_hkdf_extract(const struct tls_hash *hash, struct bytes salt, struct bytes input, uint8_t out[TLS_HASH_MAX]);
/* HKDF-Expand-Label from the secret that is the key; `prefix` is "tls13 ". False: longer than it can be. */
bool tls_hkdf_expand(const struct tls_hmac *secret, struct bytes prefix, struct bytes label, struct bytes context,
		     uint8_t *out, size_t len);

#define TLS_PRF_SEEDS_MAX 8

/* `seeds`, at most TLS_PRF_SEEDS_MAX: the label and what stands behind it. */
void tls_prf(const struct tls_hmac *secret, const struct bytes *seeds, unsigned int count, uint8_t *out, size_t len);

#endif
