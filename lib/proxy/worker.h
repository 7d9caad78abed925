/*
 * The worker's insides, shared by the files of this room: sessions, links and what they are made of.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <assert.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/random.h"
#include "base/slab.h"
#include "packet/proxy_protocol.h"
#include "proxy/client/stream.h"
#include "proxy/exchange/exchange.h"
#include "proxy/relay/relay.h"
#include "proxy/server/call.h"
#include "proxy/transport/transport.h"
#include "run/timer.h"

/* What tcp_user() points at: both kinds of connection begin with it. */
enum proxy_end { PROXY_END_SESSION, PROXY_END_LINK };

enum proxy_session_state {
	PROXY_SESSION_IDLE,     /* between requests */
	PROXY_SESSION_EXCHANGE, /* from the first byte of a head */
	PROXY_SESSION_HTTP2,    /* its streams have exchanges */
	PROXY_SESSION_LINGER,   /* closed by us; what the client still sends is thrown away */
};

/* A client's connection: small, since most are idle. */
struct proxy_session {
	uint8_t end;             /* enum proxy_end */
	uint8_t state;           /* enum proxy_session_state */
	bool is_relay : 1;       /* the address is one of stream, and `relay` what it is for; else it speaks HTTP */
	bool expects_origin : 1; /* the address is one of the PROXY protocol, and its header has not come */
	bool expects_tls : 1;    /* the address is one of TLS, and the handshake is not done */
	bool handshake_due : 1;  /* in worker->handshakes: there is a step to do */
	bool plain_on_tls : 1;   /* the client does not know that */
	uint32_t requests;
	struct proxy_worker *worker;
	struct proxy_transport transport;
	struct proxy_client client; /* of HTTP/1; of HTTP/2, the connection's time */
	union {
		struct proxy_session_http2 *http2; /* PROXY_SESSION_HTTP2 */
		struct proxy_relay *relay;         /* is_relay */
		struct {
			uint32_t until_ms, silence_ms;
		} linger; /* PROXY_SESSION_LINGER: to the end, and without a word of the client's; modulo 2^32 */
	};
	struct packet_proxy *origin; /* what the PROXY protocol has said; NULL: nothing */
	struct list node;            /* in one of the worker's lists, while idle */
	uint64_t number;             /* "*N" of the error log, $connection */
};

static_assert(sizeof(struct proxy_session) <= 128, "an idle session is small");

/* Of its own `client`. */
static inline struct proxy_session *
proxy_session_of(const struct proxy_client *client)
{
	return container_of((struct proxy_client *)(uintptr_t)client, struct proxy_session, client);
}

static inline struct proxy_session *
proxy_client_session(struct proxy_client *client)
{
	return client->ops->is_stream ? container_of(client, struct proxy_stream, client)->session
				      : proxy_session_of(client);
}

/* A server's connection: of HTTP/1, with one call at a time, of HTTP/2 (call_h2.h), or of a relay. */
struct proxy_link {
	uint8_t end; /* enum proxy_end */
	uint32_t server_index, requests;
	struct proxy_worker *worker;
	struct proxy_transport transport;
	struct proxy_call call;    /* without an exchange while it waits in the pool */
	struct proxy_relay *relay; /* in place of an exchange */
	struct proxy_share *share;
	const struct upstream_group *group;
	const struct tls_client *client; /* NULL: without TLS */
	struct proxy_link_http2 *http2;  /* what it carries; NULL: its own call */
	bool idle;                       /* in the pool */
	struct list node;                /* in the pool of its group, or in one of the worker's lists */
	uint64_t started_ns;
};

/* What a generation is on one lcore. */
struct proxy_pool {
	struct list idle; /* links, the most recently used last */
	uint32_t count;
	struct proxy_servers *servers; /* of the group, by their number */
};

/* Connections of HTTP/2 with a server. */
struct proxy_servers {
	struct list links;  /* those that take calls */
	uint32_t calls_max; /* at once on one, as the server said last */
};

struct proxy_share {
	struct proxy_generation *generation;
	struct upstream_state **states; /* by group->index */
	struct proxy_pool *pools;       /* likewise */
	struct tls_sessions *sessions;  /* with servers, to be resumed; NULL: no TLS towards any */
	uint64_t references;            /* exchanges and links; written by the lcore, read by control */
	bool current;                   /* adopted and not yet replaced */
};

struct proxy_generation {
	struct config *config;
	const struct proxy_addresses *addresses;
	const struct proxy_filter *const *filters;
	struct tcp_listener *listeners;
	uint32_t listener_count;
	const struct proxy_relay_server *relays; /* NULL: there is no `stream` */
	struct upstream_group **groups;          /* of http, then those of streams */
	uint32_t group_count, http_group_count;
	unsigned int workers;
	struct proxy_share *shares; /* by worker */
};

struct proxy_worker {
	unsigned int index;
	struct tcp_stack *tcp;
	struct proxy_share *share; /* of the generation in force */
	bool draining;
	uint64_t now_ns, real_ns, sessions_made;
	struct slab *sessions, *links, *exchanges, *large, *tls, *origins, *relays, *hellos, *sessions_http2, *streams,
		*links_http2, *calls;
	uint32_t connections_max;
	struct timer_wheel *client_timers, *call_timers;
	struct list idle;            /* sessions between requests */
	struct list pipelined;       /* sessions whose next request is already here */
	struct list handshakes;      /* sessions whose peer has said something more */
	struct list link_handshakes; /* links likewise */
	struct list links_ending;    /* links whose server is to close them, the oldest first */
	unsigned int postponed;      /* rounds in which both have waited */
	struct list gone;            /* sessions that have ended in this step */
	struct list http2_sessions, sessions_writing, streams_gone; /* see client/stream.h */
	struct list links_writing, calls_gone;                      /* see server/call_h2.h */
	struct list tls_writing, tls_waking, tls_starved;           /* see transport/transport.h */
	uint64_t tls_fed_ns;                                        /* when those that starve look again */
	struct random random;
	uint64_t counters[PROXY_COUNTER_COUNT];
};

#define PROXY_COUNT(worker, name) ((worker)->counters[PROXY_COUNT_##name]++)

/* Head blocks and whatever does not fit an exchange's own memory. Bounded: one per 16 connections, at least 64. */
#define PROXY_LARGE_SIZE 131072

/* At most one step with a client and one with a server, as each may be a signature; none where packets wait for the lcore,
 * but for so many rounds only. Returns how many. */
unsigned int proxy_worker_handshakes(struct proxy_worker *worker, bool packets_wait);

/* ---- session.c ---- */

void proxy_session_accept(struct proxy_worker *worker, struct tcp_connection *tcp, uint32_t events);
void proxy_session_events(struct proxy_session *session, uint32_t events);
/* Closes; where the client is still sending (`linger`), after listening for as long as `lingering_*` say. */
void proxy_session_close(struct proxy_session *session, bool abort, bool linger);
/* Says FIN, and throws away what comes until the client says its own, lest a reset overtake the answer (RFC 9112 section 9.6). */
void proxy_session_linger(struct proxy_session *session, int64_t silence_ms, int64_t in_all_ms);
/* To the error log of the default server, or of stream's. */
void proxy_session_log(const struct proxy_session *session, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A session of worker->pipelined: its next request has come with the last. */
void proxy_session_next(struct proxy_session *session);
void proxy_session_free(struct proxy_session *session);
/* The same with a reset. */
void proxy_session_abort(struct proxy_session *session);
/* The endpoint that it came in on, under the configuration in force; NULL: nothing listens there any more. */
static inline const struct proxy_address *
proxy_session_address(const struct proxy_session *session)
{
	return proxy_address_find(session->worker->share->generation->addresses, tcp_local(session->transport.tcp));
}
/* The settings that hold before a request names its server: those of the endpoint's default server. */
const struct proxy_server *proxy_session_server(const struct proxy_session *session);
/* As many requests, or as long a time, as one connection may have. */
static inline bool
proxy_session_is_spent(const struct proxy_session *session, const struct proxy_location *location)
{
	uint32_t age_ms = (uint32_t)(session->worker->now_ns / NS_PER_MS) - session->client.came_ms;

	return location->keepalive_timeout_ms <= 0 || session->requests >= (uint64_t)location->keepalive_requests ||
	       age_ms >= (uint64_t)location->keepalive_time_ms;
}
/* What it speaks is HTTP/2. False: no memory, and it has ended. */
bool proxy_session_begin_http2(struct proxy_session *session);
/* After every step: the memory of sessions and streams that have ended. */
void proxy_sessions_reap(struct proxy_worker *worker);

/* ---- session_origin.c: before anything else, where the address is one of the PROXY protocol ---- */

void proxy_session_introduce(struct proxy_session *session, uint32_t events);
/* ---- session_h2.c ---- */

bool proxy_session_http2_begin(struct proxy_session *session);
void proxy_session_http2_events(struct proxy_session *session, uint32_t events);
/* What has been gathered in this round. */
void proxy_sessions_flush(struct proxy_worker *worker);
/* All are told that there will be no more streams. */
void proxy_sessions_go_away(struct proxy_worker *worker);

/* ---- session_tls.c: before the first request, where the address is one of TLS ---- */

/* There may be a step to do: in proxy_worker_handshakes(). */
void proxy_session_secure(struct proxy_session *session);
/* At most one step of all that are due. Returns how many. */
unsigned int proxy_session_handshake(struct proxy_worker *worker);
/* It will not come to a request: the counter and the log say so. */
void proxy_session_unsecured(struct proxy_session *session, const char *why);

/* ---- exchange.c ---- */

struct proxy_exchange *proxy_exchange_new(struct proxy_client *client);
void proxy_exchange_free(struct proxy_exchange *exchange);
/* Writes the log, tells the client, and frees. */
void proxy_exchange_end(struct proxy_exchange *exchange);

/* The attempt under way, or the last; there must have been one. */
static inline struct proxy_attempt *
proxy_attempt_now(struct proxy_exchange *exchange)
{
	return &exchange->tried[(exchange->tried_count - 1) % PROXY_ATTEMPTS_MAX];
}

/* Answered with a Location: what `return` was given is an address then, not a body. */
static inline bool
proxy_status_redirects(unsigned int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* ---- request.c: from the head to the content ---- */

void proxy_request_head(struct proxy_exchange *exchange);
/* exchange->request is there, whoever has read it. */
void proxy_request_begin(struct proxy_exchange *exchange);
/* Server, location, phases, content. */
void proxy_request_handle(struct proxy_exchange *exchange);

/* ---- request_body.c: on to the server, or to nowhere ---- */

void proxy_request_body(struct proxy_exchange *exchange);

/* Bytes of the body that have come to lie in `queue` behind the first `offset`: kept while the request may have to be made
 * again, and as long as they are few. */
void proxy_body_keep(struct proxy_exchange *exchange, const struct tcp_queue *queue, uint32_t offset, uint32_t len);
/* A trailer becomes a line behind the others. */
void proxy_trailer_add(struct proxy_exchange *exchange, struct bytes *lines, struct bytes name, struct bytes value);

/* ---- upstream_request.c: towards the server ---- */

void proxy_upstream_start(struct proxy_exchange *exchange);
void proxy_upstream_connected(struct proxy_exchange *exchange);
/* Writes the head and what there is of the body. */
void proxy_upstream_send(struct proxy_exchange *exchange);
/* The attempt failed: the next server, or an answer of our own. `why` is a bit of enum proxy_next. */
void proxy_upstream_failed(struct proxy_exchange *exchange, uint32_t why, unsigned int status);
/* Lets go of the call: its connection goes back into the pool when it can be used again. */
void proxy_upstream_release(struct proxy_exchange *exchange, enum upstream_result result, enum proxy_call_end end);
/* After the request has gone on, or cannot (`moved`: some of it went): whose time runs, the server's to take it, the
 * client's to send more, or the server's to answer. */
void proxy_upstream_watch(struct proxy_exchange *exchange, bool moved);
/* What the group's method hashes of a request or a relay (`subject`, of its variables) from `remote`: bytes of these, or in
 * `buffer`. */
struct bytes proxy_balance_key(const struct upstream_group *group, void *subject, const struct endpoint *remote,
			       uint8_t *buffer, size_t size);
/* nginx's words for a connection that did not come about. */
const char *proxy_connect_error(enum tcp_close_reason reason);
/* And for one that has ended without FIN. */
const char *proxy_receive_error(enum tcp_close_reason reason);
/* Whether the next server would be asked because of `why`. */
bool proxy_upstream_may_retry(const struct proxy_exchange *exchange, uint32_t why);
/* What the server is asked for, as the request line says it, escaped. */
void proxy_upstream_target(struct proxy_exchange *exchange, struct proxy_head_writer *head);
/* The head for the server, into exchange->request_pending. False: does not fit. */
bool proxy_upstream_head(struct proxy_exchange *exchange);

/* ---- response.c: towards the client ---- */

/* Reads the server's head, and its body as it comes. */
void proxy_response_input(struct proxy_exchange *exchange, uint32_t events);
/* exchange->response_head, of as many bytes as a server's head may have. False: there is no memory. */
bool proxy_response_memory(struct proxy_exchange *exchange);
/* Moves what there is and fits. Ends the exchange when all is written. */
void proxy_response_pump(struct proxy_exchange *exchange);
/* True when all was moved: what has been decoded cannot wait for memory. */
bool proxy_moved_all(struct proxy_exchange *exchange, uint32_t moved, uint32_t len);
/* Starts the response to the client from the server's head in exchange->response. */
void proxy_response_start(struct proxy_exchange *exchange);

/* ---- response_head.c: into memory of the exchange; false when it does not fit ---- */

bool proxy_response_head_of_server(struct proxy_exchange *exchange, struct proxy_head_writer *head);
bool proxy_response_head_of_ours(struct proxy_exchange *exchange, struct proxy_head_writer *head, struct bytes type,
				 uint64_t content_length, struct bytes location);

/* ---- call_h1.c ---- */

extern const struct proxy_call_ops proxy_call_http1;

/* ---- link.c ---- */

proxy_call_open_fn proxy_link_open;
void proxy_link_events(struct proxy_link *link, uint32_t events);
void proxy_link_timeout(struct proxy_link *link);
void proxy_link_park(struct proxy_link *link);
/* The server closes it: it has a moment to do so first. */
void proxy_link_await_end(struct proxy_link *link);
/* Out of the pool again, if it is there. */
void proxy_link_unpark(struct proxy_link *link);
/* Connected, and shaken hands: whoever waits for it goes on. True when the link is still there. */
bool proxy_link_connected(struct proxy_link *link);
/* It has come to nothing: whoever waits for it is told, and lets go of it. */
typedef void proxy_link_tell_fn(struct proxy_exchange *exchange, const void *why);
void proxy_link_unconnected(struct proxy_link *link, proxy_link_tell_fn *tell, const void *why);
/* TCP has closed it before it was connected. */
void proxy_link_closed_early(struct proxy_link *link);
/* In the middle of something: with a reset, but where the server has said FIN. */
void proxy_link_close(struct proxy_link *link);
/* A new one, for `stream` or whoever else; proxy_link_open() takes one of the pool where it can. */
struct proxy_link *proxy_link_new(struct proxy_worker *worker, struct proxy_share *share,
				  const struct upstream_group *group, uint32_t server_index, int *error);
/* The server gets all that was written, and FIN. */
void proxy_link_finish(struct proxy_link *link);
void proxy_pools_close(struct proxy_share *share);

/* ---- link_h2.c ---- */

void proxy_link_http2_events(struct proxy_link_http2 *http2, uint32_t events);
bool proxy_link_http2_connected(struct proxy_link_http2 *http2);
void proxy_link_http2_unconnected(struct proxy_link_http2 *http2, proxy_link_tell_fn *tell, const void *why);
/* The connection ends, and what calls there are break off. */
void proxy_link_http2_end(struct proxy_link_http2 *http2);
/* Of a link without calls. */
void proxy_link_http2_free(struct proxy_link_http2 *http2);
/* Who the server should be. */
struct bytes proxy_link_http2_name(const struct proxy_link_http2 *http2);
/* What has been gathered in this round. */
void proxy_links_flush(struct proxy_worker *worker);

/* ---- call_h2.c ---- */

void proxy_calls_reap(struct proxy_worker *worker);

/* ---- link_tls.c: between the connection and the request, where the server is one of https:// ---- */

/* Who the server should be: written to `out`. False: the name is too long. */
bool proxy_link_name(struct proxy_exchange *exchange, uint8_t out[TLS_NAME_MAX], struct bytes *name);
/* Not connected, or not shaken hands yet: there may be a step to do. */
void proxy_link_secure(struct proxy_link *link, uint32_t events);
/* At most one step of all that are due. Returns how many. */
unsigned int proxy_link_handshake(struct proxy_worker *worker);

#endif
