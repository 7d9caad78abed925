/* What the files of this room share. */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/cache.h"
#include "tls/provider.h"
#include "tls/sessions.h"
#include "tls/settings.h"
#include "tls/staple.h"
#include "tls/tickets.h"
#include "tls/tls.h"
#include "tls/traffic.h"

struct tls_context {
	SSL_CTX *ssl;
	struct tls_cache *cache;
	struct tls_ticket_keys *keys; /* of ssl_session_ticket_key; NULL: control's */
	struct tls_staple **staples;  /* of ssl_stapling: that of stapled[i] */
	const X509 **stapled;
	size_t staple_count;
};

struct tls_client {
	SSL_CTX *ssl;
	const struct tls_client_settings *settings;
	struct tls_client *next;
};

/* What variables say, when OpenSSL cannot be asked any more. */
struct tls_agreed {
	const char *protocol, *cipher; /* OpenSSL's, static */
	int group;                     /* as SSL_get_negotiated_group() says */
	long verify_result;
	X509 *certificate; /* the client's */
	struct bytes alpn;
	uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH], id_len;
	bool resumed;
};

/* Records of our own. While OpenSSL shakes hands, what is needed for them gathers here: secrets, and how many records there
 * were. */
struct tls_records {
	const struct tls_suite *suite;
	struct tls_record_key read, write;
	struct tls_secret read_secret, write_secret; /* TLS 1.3 */
	bool update_due;                             /* the peer wants a KeyUpdate before our next data */
	uint8_t idle;                                /* records in a row that brought no data */
	uint8_t message_len, message[5];             /* a handshake message that comes in pieces */
};

/* How far a client's early data has come. */
enum tls_early {
	TLS_EARLY_NONE,
	TLS_EARLY_WAITED_FOR, /* the hello may bring some */
	TLS_EARLY_FIRST,      /* a byte has come, and is kept */
	TLS_EARLY_READING,
	TLS_EARLY_READ, /* all of it; the client's Finished has not */
};

struct tls_session {
	SSL *ssl; /* NULL: records are our own */
	const struct tls_ends *ends;
	void *wire;
	/* Of the default server, and so where sessions are kept: until the handshake is done. */
	const struct tls_settings *settings;
	/* Towards a server. */
	const struct tls_client *client;
	struct tls_sessions *sessions; /* NULL: not to be resumed */
	uint64_t server;
	uint8_t *unsent; /* what the wire has not taken; NULL nearly always */
	uint32_t unsent_len;
	uint32_t record, record_max; /* sizes: of the next, and at most */
	uint64_t written_ns;
	uint8_t *name; /* that the client asked for, or that the server should have */
	uint8_t name_len;
	uint8_t said_len; /* of the client's name as it was said, which stands behind the other */
	uint8_t early;    /* enum tls_early */
	uint8_t early_first;
	bool done, refused, failed, shut;
	struct tls_agreed agreed; /* without `ssl` */
	struct tls_records records;
};

/* ---- error.c ---- */

/* " (SSL: error:... error:...)" from OpenSSL's queue, which is empty then. Returns the length. */
size_t tls_error_drain(char *out, size_t size);
/* `what` and the queue, for tls_problem(). */
void tls_problem_set(const char *what);

/* ---- certificate.c: 0, or -EINVAL after config_fail_at() ---- */

int tls_certificates_load(struct config *config, const struct tls_words *certificates, const struct tls_words *keys,
			  const struct tls_word *password_file, SSL_CTX *ssl);

/* The word that a certificate of a context was named with. */
const struct tls_word *tls_certificate_word(const X509 *certificate);

/* ---- staple.c: control ---- */

/* 0, or -EINVAL after config_fail_at(). */
int tls_staples_make(struct config *config, const struct tls_settings *settings, struct tls_context *context);
/* Freed with its last user. NULL is fine. */
void tls_staple_put(struct tls_staple *staple);

/* ---- words.c: setters for the field at the row's offset, and merging ---- */

struct tls_word tls_word_of(const struct config_directive_call *call, size_t index);
int tls_set_word(struct config_directive_call *call);  /* struct tls_word */
int tls_add_words(struct config_directive_call *call); /* struct tls_words: each use adds what stands behind the name */
int tls_add_file(struct config_directive_call *call);  /* struct tls_words: a certificate or a key */
int tls_set_file(struct config_directive_call *call);  /* likewise, the only one */
int tls_set_protocols(struct config_directive_call *call); /* uint32_t: enum tls_protocol_bit */
void tls_merge_word(struct tls_word *word, const struct tls_word *outer, const char *fallback,
		    const struct config_scope *scope);
void tls_merge_words(struct tls_words *words, const struct tls_words *outer);

/* ---- context_parts.c: control; 0, or -EINVAL after config_fail_at() ---- */

/* config_fail_at() at the word's place, with OpenSSL's reasons behind the text. */
int tls_fail(struct config *config, const struct tls_word *word, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* With TLS_PROPERTIES. NULL: OpenSSL says why not. */
SSL_CTX *tls_context_openssl(const SSL_METHOD *method);
void tls_context_protocols(uint32_t protocols, SSL_CTX *ssl);
int tls_context_ciphers(struct config *config, const struct tls_word *ciphers, SSL_CTX *ssl);
/* Authorities and revocation lists; either may be unset. */
int tls_context_trust(struct config *config, const struct tls_word *trusted, const struct tls_word *crl, SSL_CTX *ssl);
/* `side`: SSL_CONF_FLAG_SERVER or SSL_CONF_FLAG_CLIENT. */
int tls_context_commands(struct config *config, const struct tls_words *words, unsigned int side, SSL_CTX *ssl);

/* ---- context.c: control ---- */

/* NULL after config_fail_at(). Freed with the configuration. */
struct tls_context *tls_context_new(struct config *config, const struct config_scope *scope,
				    const struct tls_settings *settings);
/* ---- session.c ---- */

/* Over `context`, either side; NULL when memory is short. */
struct tls_session *tls_session_new(SSL_CTX *context, const struct tls_ends *ends, void *wire);
/* Called by OpenSSL in a handshake. */
int tls_hello_callback(SSL *ssl, int *alert, void *context);
/* However it ended, the session stays good. */
void tls_openssl_free(SSL *ssl);
/* After a call that did not do what it was asked for: its result, and its name. */
enum tls_status tls_status_of(struct tls_session *session, int result, const char *what);
void tls_handshake_done(struct tls_session *session);

/* ---- session_records.c ---- */

/* Called in a handshake by OpenSSL and its provider (provider.h); of the secrets it keeps those of application traffic. */
void tls_secret_heard(struct tls_records *records, struct bytes label, struct bytes secret);
void tls_message_callback(int write, int version, int type, const void *data, size_t len, SSL *ssl, void *context);
/* The handshake is done: records are our own from now on, and OpenSSL's object goes; where that cannot be, nothing
 * changes. */
void tls_records_take(struct tls_session *session);
/* Cleansed and given back. */
void tls_records_clear(struct tls_records *records);
/* close_notify. */
void tls_records_close(struct tls_session *session);

/* ---- facts.c ---- */

/* `agreed` has all from now on. False: no memory. */
bool tls_agreed_keep(struct tls_session *session);

/* ---- early.c: the same calls while session->early, and their results as OpenSSL has them ---- */

#define TLS_EARLY_MAX 16384 /* bytes, as in nginx */

/* As the server that the hello has chosen wants it. */
void tls_early_allow(SSL *ssl, bool allowed);
int tls_early_handshake(struct tls_session *session);
enum tls_status tls_early_read(struct tls_session *session, void *out, uint32_t len, uint32_t *got);
int tls_early_write(struct tls_session *session, const void *data, uint32_t len);

/* By way of its BIO: application data would be another three allocations. */
static inline struct tls_session *
tls_session_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

/* ---- bio.c ---- */

/* Control, before the first session. 0, or -1 when memory is short. */
int tls_bio_prepare(void);
/* A BIO over the session's ends; NULL when memory is short. */
BIO *tls_bio_new(struct tls_session *session);
/* To the peer, in order; what the wire does not take is kept. False: no memory for that. */
bool tls_wire_give(struct tls_session *session, const void *data, uint32_t len);

#endif
