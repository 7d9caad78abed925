/*
 * What HTTP reads from and writes to: a TCP connection as it is, or with TLS on top. Sessions and links have one each, and
 * the rest of the room does not ask which.
 *
 * Without TLS every function is the one of tcp/ that it is named after. With TLS
 *
 *     received, decrypted into `in`     in events, up to PROXY_TLS_INPUT bytes; further ciphertext stays with TCP, whose
 *                                       window closes, but for the rest of a record and one more, which wait in `arrived`:
 *                                       TCP's window may be less than a record. Reading makes room, and an event of the
 *                                       same round brings more
 *     written                           gathered in `out`, and made into records at the end of the round, or of the
 *                                       connection: a head and its body share a record, as segments do with tcp_flush()
 *
 * All are queues of mbufs: bodies are relinked into them and out of them, and records are made from mbuf to mbuf
 * (transport_records.c). Only where OpenSSL has the records, see tls.h, they are copied by it and for it.
 */
#ifndef PROXY_TRANSPORT_H
#define PROXY_TRANSPORT_H

#include "base/list.h"
#include "tcp/tcp.h"
#include "tls/tls.h"

struct proxy_address;
struct proxy_share;
struct proxy_worker;

/* Plaintext that waits for HTTP: a request head of 64 KB must fit, and what comes with its last record. */
#define PROXY_TLS_INPUT (65536 + TLS_RECORD_MAX)
/* Plaintext taken per round, for the same reason as TCP's send buffer is bounded. */
#define PROXY_TLS_OUTPUT 65536

struct proxy_tls {
	struct tls_session *session;
	struct proxy_worker *worker;
	struct tcp_connection *tcp;
	struct tcp_queue in, out;
	struct tcp_queue arrived; /* ciphertext; with records of our own */
	struct list writing;      /* in worker->tls_writing, while `out` has bytes */
	struct list
		waking; /* in worker->tls_waking: there is more to decrypt; or in tls_starved: but no memory for it */
	/* While a client's handshake lasts: the configuration that it is held under. */
	struct proxy_share *share;
	const struct proxy_address *address; /* whose servers the hello chooses among; NULL: `settings` hold */
	const struct tls_settings *settings;
	bool open;                /* the handshake is done, or so far that there is early data */
	bool full;                /* ciphertext has been left unread */
	bool unsealed;            /* likewise plaintext in `out`, for lack of room or memory */
	bool ended, end_told;     /* close_notify, or the peer's FIN */
	bool failed, failed_told; /* the peer does not speak TLS well */
	bool deaf;                /* what comes is of no interest any more */
	bool shutting;            /* FIN follows when all is with TCP */
};

struct proxy_transport {
	struct tcp_connection *tcp;
	struct proxy_tls *tls; /* NULL: without TLS */
};

/* ---- TLS: transport.c ---- */

/* The client's first bytes are those of a handshake: from now on they are TLS, under these settings, or those of the server at
 * `address` (NULL: there are no others) that the hello names. False: no memory. */
bool proxy_transport_accept(struct proxy_transport *transport, struct proxy_worker *worker, struct proxy_share *share,
			    const struct proxy_address *address, const struct tls_settings *settings);
/* To a server, once connected: the client's side, see tls_connect(). Nothing is said before the handshake. False: no
 * memory. */
bool proxy_transport_connect(struct proxy_transport *transport, struct proxy_worker *worker,
			     const struct tls_client *client, struct bytes name, struct tls_sessions *sessions,
			     uint64_t server);
/* TLS_OK, TLS_EARLY: `open` from now on. */
enum tls_status proxy_transport_handshake(struct proxy_transport *transport);
/* Why a handshake that has said `status` comes to nothing, in nginx's words; NULL: it does not so far. `closed`: nothing more
 * will come. */
const char *proxy_transport_handshake_problem(const struct proxy_transport *transport, enum tls_status status,
					      bool closed);
/* From what happened to the connection to what that means for HTTP: enum tcp_event bits, TCP_CLOSED where TLS has failed;
 * 0: nothing. */
uint32_t proxy_transport_events(struct proxy_transport *transport, uint32_t events);
/* Those that have waited for memory long enough: as nobody tells when there is some, they look again after a while. */
void proxy_transports_feed(struct proxy_worker *worker);
#define PROXY_TLS_STARVED_NS 10000000ull
/* At the end of a round. */
void proxy_transports_flush(struct proxy_worker *worker);

/* ---- between transport.c and transport_records.c ---- */

/* What `out` has, to TCP, as far as that has room; `unsealed` where not. */
void proxy_tls_seal(struct proxy_tls *tls);
/* The next record, to `in`. TLS_OK: and there may be another. */
enum tls_status proxy_tls_open(struct proxy_tls *tls);
/* There are no mbufs. */
void proxy_tls_starve(struct proxy_tls *tls);

/* ---- as tcp_...() ---- */

uint32_t proxy_tls_writable(const struct proxy_tls *tls);
uint32_t proxy_tls_write(struct proxy_tls *tls, const void *data, uint32_t len);
void proxy_tls_consume(struct proxy_tls *tls, uint32_t len);

static inline uint32_t
proxy_transport_readable(const struct proxy_transport *t)
{
	return t->tls ? t->tls->in.bytes : tcp_readable(t->tcp);
}

static inline struct bytes
proxy_transport_peek(const struct proxy_transport *t)
{
	return t->tls ? tcp_queue_peek(&t->tls->in) : tcp_peek(t->tcp);
}

static inline uint32_t
proxy_transport_peek_copy(const struct proxy_transport *t, uint32_t offset, void *out, uint32_t len)
{
	return t->tls ? tcp_queue_copy(t->tls->in.head, offset, out, len) : tcp_peek_copy(t->tcp, offset, out, len);
}

static inline void
proxy_transport_consume(struct proxy_transport *t, uint32_t len)
{
	if (t->tls)
		proxy_tls_consume(t->tls, len);
	else
		tcp_consume(t->tcp, len);
}

static inline bool
proxy_transport_at_end(const struct proxy_transport *t)
{
	const struct proxy_tls *tls = t->tls;

	return tls ? !tls->in.bytes && (tls->ended || (tls->deaf && tcp_at_end(t->tcp))) : tcp_at_end(t->tcp);
}

static inline uint32_t
proxy_transport_writable(const struct proxy_transport *t)
{
	return t->tls ? proxy_tls_writable(t->tls) : tcp_writable(t->tcp);
}

static inline void
proxy_transport_want_writable(struct proxy_transport *t)
{
	tcp_want_writable(t->tcp);
}

static inline uint32_t
proxy_transport_write(struct proxy_transport *t, const void *data, uint32_t len)
{
	return t->tls ? proxy_tls_write(t->tls, data, len) : tcp_write(t->tcp, data, len);
}

/* What a reset is to TCP, a failure is to TLS: nothing that came can be the whole. */
static inline enum tcp_close_reason
proxy_transport_close_reason(const struct proxy_transport *t)
{
	return t->tls && t->tls->failed ? TCP_RESET : tcp_close_reason(t->tcp);
}

/* What has come may be a replay, and the client has not said the last of its handshake. */
static inline bool
proxy_transport_is_early(const struct proxy_transport *t)
{
	return t->tls && tls_is_early(t->tls->session);
}

/* What the client's hello asked for, in lower case; empty: nothing, or no TLS. */
static inline struct bytes
proxy_transport_server_name(const struct proxy_transport *t)
{
	return t->tls ? tls_server_name(t->tls->session) : (struct bytes){ 0 };
}

/* Between a queue of the user's and the transport, as tcp_read_queue() and tcp_write_queue(). */
uint32_t proxy_transport_read_queue(struct proxy_transport *from, struct tcp_queue *to, uint32_t len);
uint32_t proxy_transport_write_queue(struct proxy_transport *to, struct tcp_queue *from, uint32_t len);
/* A frame of HTTP/2, its header and `len` bytes of `from`: there is room. False: no packet buffers, in the middle of it. */
bool proxy_transport_write_frame(struct proxy_transport *to, struct bytes header, struct tcp_queue *from, uint32_t len);

uint32_t proxy_transport_move(struct proxy_transport *to, struct proxy_transport *from, uint32_t len);
/* With close_notify. */
void proxy_transport_shutdown(struct proxy_transport *transport);
/* Throws away what has come, and with TLS all that comes from now on, unread. */
void proxy_transport_discard(struct proxy_transport *transport);
void proxy_transport_close(struct proxy_transport *transport);
void proxy_transport_abort(struct proxy_transport *transport);

#endif
