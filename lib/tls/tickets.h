/*
 * Keys of session tickets (RFC 5077 section 4, RFC 8446 section 4.6.1): AES-CBC and HMAC-SHA-256, as nginx and its key
 * files have them.
 *
 * Without ssl_session_ticket_key all contexts share control's keys: the one in force and the one before, which still opens
 * tickets. Lcores read them through a pointer that control replaces (QSBR).
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/settings.h"

struct tls_ticket_keys;

/* Control, before the first context. 0, or -1: OpenSSL lacks a cipher. */
int tls_tickets_prepare(void);

/* Keys from files, the first of which makes tickets. 0 or -EINVAL after config_fail_at(); *out is freed by the caller. */
int tls_ticket_keys_load(struct config *config, const struct tls_words *files, struct tls_ticket_keys **out);
/* Cleansed. */
void tls_ticket_keys_free(struct tls_ticket_keys *keys);

/* Control: a new key comes into force, the last one still opens tickets, those before it do not. Returns what lcores may
 * still look at: to be freed when all have been quiescent. */
struct tls_ticket_keys *tls_tickets_rotate(void);
/* How long a key should stay in force: no ticket outlives the one after it. */
uint64_t tls_tickets_period_s(void);
/* Control, while it makes a context: its tickets live that long. */
void tls_tickets_lifetime(uint64_t seconds);

/* Random bytes that anybody may see once they are used: numbers of sessions, initialisation vectors. An lcore asks OpenSSL for many at a
 * time, as each of its answers costs a system call and some 0.5 us beside. False: it has none. */
bool tls_tickets_random(uint8_t *out, size_t len);

/* For OpenSSL: makes or opens a ticket with `keys`, or control's where they are NULL. */
int tls_ticket_apply(const struct tls_ticket_keys *keys, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int encrypt);

#endif
