/*
 * A provider of OpenSSL's with what handshakes ask for most, TLS13-KDF and TLS1-PRF, by kdf.h in place of OpenSSL's own. It is also
 * how we learn traffic secrets, as they are derived here. (OpenSSL's own way to them, the keylog callback, costs a tenth of a
 * handshake: it prints five secrets in hex where two are wanted.)
 *
 * X25519 is in it, too, as libsodium makes a key in half the time.
 *
 * Only contexts made with TLS_PROPERTIES ask for it. Where the host's configuration of OpenSSL does not let them have it (fips=yes),
 * they have OpenSSL's, and records stay OpenSSL's too.
 */
#ifndef TLS_PROVIDER_H
#define TLS_PROVIDER_H

#include <openssl/core.h>

struct tls_records;

/* Of what is fetched: ours, where we have one. */
#define TLS_PROPERTIES "?provider=weir"
#define TLS_PROPERTIES_OF_OTHERS "provider!=weir"

/* Control, before the first context. 0, or -1: OpenSSL does not take it. */
int tls_provider_prepare(void);

/* This thread goes on with a handshake, and is done with it for now. In between secrets and keys are derived in less time, as secrets
 * that they come from are kept ready; and tls_secret_heard() is told of each for `records`, unless that is NULL. */
void tls_provider_begin(struct tls_records *records);
void tls_provider_end(void);

/* ---- provider_kdf.c ---- */

extern const OSSL_DISPATCH tls_provider_tls13_kdf[], tls_provider_tls1_prf[];

/* 0 or -1, as above. */
int tls_provider_kdf_prepare(void);

/* ---- provider_x25519.c: keys and their exchange are OpenSSL's own, but for how a key is made ---- */

/* Where OpenSSL has none, there is none here. */
void tls_provider_x25519_prepare(void);
/* Of the provider whose functions these are; NULL: none. */
void *tls_provider_x25519_context(void);

extern OSSL_ALGORITHM tls_provider_x25519_keys[], tls_provider_x25519_exchange[];

int tls_provider_x25519_capabilities(void *context, const char *capability, OSSL_CALLBACK *hear, void *argument);

#endif
