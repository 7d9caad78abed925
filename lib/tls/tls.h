/*
 * TLS 1.2 and 1.3 (RFC 5246, 8446) over bytes that somebody else carries: OpenSSL 3, without I/O.
 *
 * Control makes a context per `server` from its settings (settings.h): certificates, keys, protocols, where sessions are
 * kept. An lcore makes a session per connection and drives it:
 *
 *     tls_handshake()     until it says TLS_OK, or TLS_EARLY where settings allow that
 *     tls_read()          plaintext that has come, at most a record at a time
 *     tls_write()         one record, of at most tls_record_size() bytes
 *     tls_shutdown()      close_notify
 *
 * Towards a server it is the client instead: a context per settings of proxy_ssl_*, tls_connect() in place of tls_accept(),
 * and tls_server_trusted() when the handshake is done.
 *
 * Bytes of the wire go by way of two functions of the user (struct tls_ends): OpenSSL reads records straight from where
 * they were received, and what it writes is copied once, into the send queue. Between two records OpenSSL holds no
 * buffers. What the wire does not take (only when memory is short, as writers look at its room first) is kept, once,
 * and tls_flush() tries again; until then nothing more should be written.
 *
 * Ownership: a context belongs to the configuration it was made for, and must live while sessions that use it are in
 * their handshake; after that a session needs it no more. A session belongs to one lcore. The keys of session tickets
 * belong to control, are the same for all lcores and contexts and outlive reloads; control rotates them. Session caches
 * are shared by all lcores and outlive reloads that name them again.
 *
 * OpenSSL allocates from the heap, on lcores too, and a handshake holds the lcore for as long as its signature takes.
 * Private keys and secrets are in OpenSSL's hands or cleansed; nothing here prints them.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "tls/settings.h"

/* Of a program, before all else that has to do with OpenSSL: what it frees is cleansed, as it leaves secrets of connections and
 * sessions there. 0, or -1: OpenSSL has begun already, and frees as it likes. */
int tls_memory_prepare(void);

struct tls_session;
struct tls_sessions;

/* What a session needs from around it. */
struct tls_ends {
	/* Up to `len` bytes that have come from the peer, which are then the session's; 0: none now. */
	uint32_t (*take)(void *wire, void *out, uint32_t len);
	/* Bytes for the peer; returns how many it took. */
	uint32_t (*give)(void *wire, const void *data, uint32_t len);
	/* The client has said which name it wants (lower case, without a dot at its end; empty: none): whose settings
	 * hold. Called once, in a handshake; NULL towards servers. */
	const struct tls_settings *(*choose)(void *wire, struct bytes name);
	/* What may be spoken on top, the best first, as a hello lists it (RFC 7301 section 3.1: lengths and names); empty:
	 * anything, and the client is not told. */
	struct bytes (*protocols)(void *wire);
};

enum tls_status {
	TLS_OK,
	TLS_EARLY, /* of a handshake: data may be read and written from now on, and tls_read() does what it still lacks */
	TLS_WAIT,   /* for bytes of the peer */
	TLS_ENDED,  /* the peer has said close_notify */
	TLS_FAILED, /* for good; why: tls_problem(). The alert is on the wire */
};

/* The server's side of a connection. `settings` are those of the default server, and have a context. NULL when memory is
 * short. */
struct tls_session *tls_accept(const struct tls_settings *settings, const struct tls_ends *ends, void *wire);
/* The client's side. `name` is who the server should be: what its certificate is checked against, and what it is told (SNI)
 * where the settings say so and it is no address (RFC 6066 section 3); at most TLS_NAME_MAX bytes. Sessions with `server`, a
 * number that the caller gives it, are kept in `sessions` and resumed where the settings allow; NULL: they are not. The
 * client and `sessions` must outlive the session. NULL when memory is short. */
struct tls_session *tls_connect(const struct tls_client *client, struct bytes name, struct tls_sessions *sessions,
				uint64_t server, const struct tls_ends *ends, void *wire);
/* Says nothing to the peer. NULL is fine. */
void tls_free(struct tls_session *session);

enum tls_status tls_handshake(struct tls_session *session);
/* TLS_OK: *got bytes are in `out`, at least one; none only where early data was the last that OpenSSL had to read, and records
 * are our own from now on. */
enum tls_status tls_read(struct tls_session *session, void *out, uint32_t len, uint32_t *got);
/* TLS_OK: all of it is on the wire or kept. */
enum tls_status tls_write(struct tls_session *session, const void *data, uint32_t len);
/* True when the wire has taken all that was written. */
bool tls_flush(struct tls_session *session);
/* close_notify, once; not after a failure. */
void tls_shutdown(struct tls_session *session);

/* ---- records of our own: in place of tls_read() and tls_write(), where tls_has_own_records() ----
 *
 * From the end of a client's handshake on, where an AEAD was agreed on (session_records.c). Records are sealed and opened from
 * the pieces where they lie to the pieces where they should be: nothing is gathered, copied or kept in between.
 */

#define TLS_HEADER_SIZE 5
#define TLS_ARRIVING_MAX (TLS_HEADER_SIZE + TLS_RECORD_MAX + 256) /* with padding: no longer record is taken */

bool tls_has_own_records(const struct tls_session *session);

/* TLS_OK: *size is how long the record that begins so is on the wire, header included; its plaintext needs room for so many
 * bytes less the header at most. Else TLS_FAILED. */
enum tls_status tls_arriving(struct tls_session *session, const uint8_t header[TLS_HEADER_SIZE], uint32_t *size);
/* One record of that size. TLS_OK: the first *got bytes of `out`, at least one, are what it brought; TLS_WAIT: it brought none,
 * look at the next; after either and TLS_ENDED the record is done with. What is in `out` otherwise is nobody's to see. */
enum tls_status tls_open(struct tls_session *session, const struct iovec *in, unsigned int in_count,
			 const struct iovec *out, unsigned int out_count, uint32_t *got);

/* How long a record of `len` bytes will be on the wire now: not more than TLS_RECORD_OVERHEAD more. */
uint32_t tls_sealed_size(const struct tls_session *session, uint32_t len);
/* The first `len` bytes of `in` as one record to the first tls_sealed_size() bytes of `out`. TLS_OK, or TLS_FAILED when memory is
 * short. Not before tls_flush() says that all is on the wire. */
enum tls_status tls_seal(struct tls_session *session, const struct iovec *in, unsigned int in_count, uint32_t len,
			 const struct iovec *out, unsigned int out_count);

/* After the handshake with a server: it is who it should be, or nobody asks. Else tls_problem() says why not. */
bool tls_server_trusted(struct tls_session *session);
/* The same settings, and the same name: who trusts the server for one may use the connection for the other. */
bool tls_serves(const struct tls_session *session, const struct tls_client *client, struct bytes name);

#define TLS_NAME_MAX 255

/* The host of "host[:port]"; nginx's reading. */
struct bytes tls_name_of_authority(struct bytes authority);

/* What went wrong last on this lcore, in nginx's words: "SSL_do_handshake() failed (SSL: error:...)". Until the next call
 * for any session. */
const char *tls_problem(void);

/* ---- records ---- */

/* How much larger a record is than what it carries, at most: header, nonce, padding, tag (CBC with SHA-384: 5 + 16 + 16 +
 * 48), and type. */
#define TLS_RECORD_OVERHEAD 96
#define TLS_RECORD_MAX 16384
#define TLS_RECORD_MIN 512 /* a smaller ssl_buffer_size counts as this */
/* The first record after a pause fills about one segment; each further one is twice as large, up to ssl_buffer_size. So the
 * first bytes are of use as soon as one segment has come, and bulk has few records. */
#define TLS_RECORD_FIRST 1360
#define TLS_RECORD_PAUSE_NS 1000000000ull

/* The size of the next record, where there is that much to write. */
uint32_t tls_record_size(const struct tls_session *session, uint64_t now_ns);
/* Of `room` bytes on the wire, how many can be plaintext, in whatever records. */
uint32_t tls_record_room(const struct tls_session *session, uint32_t room);
/* A record of `len` was written. */
void tls_record_written(struct tls_session *session, uint32_t len, uint64_t now_ns);

/* ---- what has been agreed on: so far, before the end of the handshake ---- */

enum tls_fact {
	TLS_FACT_PROTOCOL,
	TLS_FACT_CIPHER,
	TLS_FACT_CURVE,
	TLS_FACT_ALPN,
	TLS_FACT_SERVER_NAME,
	TLS_FACT_SESSION_REUSED,
	TLS_FACT_SESSION_ID,
	TLS_FACT_EARLY_DATA,
	TLS_FACT_CLIENT_VERIFY,
	TLS_FACT_CLIENT_SUBJECT,
	TLS_FACT_CLIENT_ISSUER,
	TLS_FACT_CLIENT_SERIAL,
	TLS_FACT_CLIENT_FINGERPRINT,
	TLS_FACT_CLIENT_START, /* from when its certificate is good, until when, and for how many days from now */
	TLS_FACT_CLIENT_END,
	TLS_FACT_CLIENT_REMAIN,
	TLS_FACT_CLIENT_CERTIFICATE, /* PEM: as a header field can carry it, as it is, and escaped for a URI */
	TLS_FACT_CLIENT_CERTIFICATE_RAW,
	TLS_FACT_CLIENT_CERTIFICATE_ESCAPED,
};

/* As nginx prints it. Returns the length; 0 where there is none; SIZE_MAX where it does not fit. */
size_t tls_fact_write(const struct tls_session *session, enum tls_fact fact, char *out, size_t size);

/* The name that the client asked for, lower case; empty where it named none. Towards a server: what tls_connect() was given.
 * As long as the session. */
struct bytes tls_server_name(const struct tls_session *session);

/* The protocol that was agreed on; empty: none. As long as the session. */
struct bytes tls_protocol(const struct tls_session *session);

/* What is read now, and was, may be somebody's copy of what the client has said before: the handshake is not done (RFC 8446
 * section 8). */
bool tls_is_early(const struct tls_session *session);
/* An earlier session goes on: no key was signed with. */
bool tls_resumed(const struct tls_session *session);
bool tls_client_has_certificate(const struct tls_session *session);
/* X509_V_OK (0) or the error of the client's certificate; *text is static. Where the settings say `optional_no_ca`, an
 * unknown issuer is none. */
long tls_client_verify_result(const struct tls_session *session, enum tls_verify verify, const char **text);
#endif
