/*
 * Sessions to be resumed by their number (RFC 5246 section 7.4.1.2): a table of fixed size that all lcores share.
 *
 * Control makes and frees it; lcores store and find. A bucket is held for the length of a copy: whoever finds it held for
 * longer goes on without, which costs a full handshake. A new session takes the place of one that has expired, else of the
 * one that expires first. Three quarters of the memory are for sessions of up to 240 bytes, the rest for those that carry a
 * client's certificate.
 */
#ifndef TLS_CACHE_H
#define TLS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct tls_cache;

#define TLS_CACHE_SESSION_MAX 4000 /* longer ones are not kept */
#define TLS_CACHE_SIZE_MIN 32768

/* The cache of that name and size, with one more user; made where there is none. An empty name: a new one. NULL when
 * memory is short. */
struct tls_cache *tls_cache_get(struct bytes name, size_t size);
/* Freed, cleansed, with its last user. NULL is fine. */
void tls_cache_put(struct tls_cache *cache);

/* False when it was not kept. */
bool tls_cache_store(struct tls_cache *cache, struct bytes id, struct bytes session, uint64_t expires_s,
		     uint64_t now_s);
/* Copies the session to `out`; 0: there is none. */
size_t tls_cache_find(struct tls_cache *cache, struct bytes id, uint8_t out[TLS_CACHE_SESSION_MAX], uint64_t now_s);

#endif
