/*
 * Sessions with servers, to be resumed as their client (RFC 8446 section 2.2): the last one for each server, settings and
 * name. nginx keeps one per server, whoever made it; here what was agreed on, and checked, under one name or with other
 * authorities is never taken up under another.
 *
 * One lcore uses a table; control makes and frees it. Of fixed size: a new session takes the place of another when its set is
 * full. What it holds are references to OpenSSL's sessions, which are in the heap, as all that is OpenSSL's.
 */
#ifndef TLS_SESSIONS_H
#define TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "base/bytes.h"

struct tls_client;
struct tls_sessions;

#define TLS_SESSIONS_NAME_MAX 95 /* sessions under a longer name are not kept */

/* For so many servers; NULL when memory is short. */
struct tls_sessions *tls_sessions_new(uint32_t servers);
/* NULL is fine. */
void tls_sessions_free(struct tls_sessions *sessions);

/* Borrowed; NULL: none that is still good. */
SSL_SESSION *tls_sessions_find(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server,
			       struct bytes name, uint64_t now_s);
/* True when it was kept: the reference is the table's then. */
bool tls_sessions_store(struct tls_sessions *sessions, const struct tls_client *client, uint64_t server,
			struct bytes name, SSL_SESSION *session);

#endif
