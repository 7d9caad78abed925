/*
 * Terminated TCP, as in nginx's `stream`: a client's connection, the one to its server, and the bytes between them, on one lcore.
 *
 * A relay is what a session of `stream` has in place of exchanges. It begins when the connection is accepted, and holds the
 * generation that it began under until it ends, so a reload changes nothing for it:
 *
 *     EARLY      the PROXY protocol's header and the handshake, where `listen` has them: they are the session's
 *     PREREAD    the client's first bytes are looked at, and left where they are
 *     CONNECTING servers are tried until one answers
 *                (with `return` there is none to try: the answer is written, and that is the end)
 *     TUNNEL     bytes are relinked from one receive queue to the other send queue, as far as that has room; never stored
 *
 * Settings are built by control, in the configuration's arena; lcores read them.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "packet/proxy_protocol.h"
#include "proxy/exchange/exchange.h"
#include "stream/stream.h"
#include "tls/hello.h"

struct proxy_link;
struct proxy_session;
struct proxy_share;
struct proxy_worker;

/* ---- settings ---- */

extern struct config_module proxy_stream_module;

struct proxy_relay_server;

/* The most that `preread_buffer_size` may be: so much a client's window has room for. */
#define PROXY_PREREAD_MAX 32768

/* What `proxy_pass $variable` may come out as beside the names of groups: what is written in a `map` of it. */
struct proxy_relay_place {
	struct bytes text;
	struct upstream_group *group; /* as referred to; then the one of connections */
	struct proxy_relay_place *next;
};

/* One listening endpoint. */
struct proxy_relay_address {
	struct endpoint endpoint;
	const struct proxy_relay_server *server;
	const struct stream_listen *listen;
};

/* Of `stream`, and of its servers without `forward`. */
struct proxy_relay_server {
	struct config_scope *scope;
	const struct stream_settings *words; /* those of both kinds */
	/* NULL: words->answer is all there is, or words->pass names it, by one of `places` or a group's own name. */
	const struct upstream_group *group;
	struct proxy_relay_place *places;
	int64_t connect_timeout_ms, next_tries, next_timeout_ms;
	int64_t preread_timeout_ms, handshake_timeout_ms, origin_timeout_ms;
	size_t preread_buffer_size;
	int next, half_close, ssl_preread;
	const struct log_target *error_targets; /* NULL: the main error logs */
	/* in stream */
	struct proxy_relay_address *addresses;
	uint32_t address_count;
};

/* Those of `stream`; NULL: none in this configuration. */
const struct proxy_relay_server *proxy_relays(struct config *config);
/* The exact endpoint, else the wildcard of its IP version and port; NULL: no stream listens there. `streams` may be NULL. */
const struct proxy_relay_address *proxy_relay_address_find(const struct proxy_relay_server *relays,
							   const struct endpoint *local);

/* ---- a relay ---- */

#define PROXY_RELAY_ATTEMPTS 4 /* remembered for the log; more are made, if allowed */

enum proxy_relay_state {
	PROXY_RELAY_EARLY,
	PROXY_RELAY_PREREAD,
	PROXY_RELAY_CONNECTING,
	PROXY_RELAY_TUNNEL,
};

struct proxy_relay {
	struct proxy_session *session;
	struct proxy_worker *worker;
	struct proxy_share *share;
	const struct proxy_relay_server *server;
	const struct proxy_relay_address *address;
	const struct upstream_group *group; /* NULL until it is known */
	struct tls_hello *hello;            /* with `ssl_preread`; NULL: nothing was looked at */
	struct proxy_link *link;            /* NULL when no server is at work */
	struct endpoint remote;             /* the client: the connection's other end, or whom that speaks for */
	uint8_t state;                      /* enum proxy_relay_state */
	bool client_shut, server_shut;      /* with `proxy_half_close`: FIN has been passed on to it */
	bool got_first;                     /* the server has said something */
	uint16_t status;                    /* 0: not known yet */
	uint16_t header_len, header_sent;
	int server_index; /* of the attempt under way, -1: none */
	uint64_t started_ns, first_attempt_ns;
	uint64_t bytes_received, bytes_sent; /* from the client, to it */
	struct upstream_attempts attempts;
	uint32_t tried_count;
	struct proxy_attempt tried[PROXY_RELAY_ATTEMPTS];
	char header[PACKET_PROXY_V1_MAX]; /* `proxy_protocol on`: what the server is told first */
};

/* The attempt under way, or the last; there must have been one. */
static inline struct proxy_attempt *
proxy_relay_attempt(struct proxy_relay *relay)
{
	return &relay->tried[(relay->tried_count - 1) % PROXY_RELAY_ATTEMPTS];
}

/* A session that has just been accepted there. */
void proxy_relay_accept(struct proxy_session *session, const struct proxy_relay_address *address, uint32_t events);
/* From the session, once nothing is early any more: enum tcp_event bits, as the transport means them. */
void proxy_relay_client_events(struct proxy_relay *relay, uint32_t events);
void proxy_relay_link_events(struct proxy_relay *relay, uint32_t events);
void proxy_relay_link_timeout(struct proxy_relay *relay);
/* The session is about to end, for whatever reason: writes the log, lets go of everything. */
void proxy_relay_gone(struct proxy_relay *relay);

/* To the error log, with nginx's trailer (client, server, upstream, bytes). */
void proxy_relay_log(const struct proxy_relay *relay, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- relay_preread.c ---- */

/* False: no memory. */
bool proxy_relay_preread_begin(struct proxy_relay *relay);
/* There may be more to look at. */
void proxy_relay_preread(struct proxy_relay *relay);

/* ---- relay_connect.c ---- */

/* Chooses a group and tries its servers; or says what `return` has in their place. */
void proxy_relay_connect(struct proxy_relay *relay);
/* The attempt failed: the next server, or the end. */
void proxy_relay_connect_failed(struct proxy_relay *relay);
/* Lets go of the server. `reset`: it is told so. */
void proxy_relay_release(struct proxy_relay *relay, enum upstream_result result, bool reset);

/* ---- relay.c ---- */

void proxy_relay_connected(struct proxy_relay *relay);
/* Both connections end, with what was written; or with resets. */
void proxy_relay_end(struct proxy_relay *relay, unsigned int status);
void proxy_relay_abort(struct proxy_relay *relay, unsigned int status);

/* $remote_addr and all others of stream: relay_variables.c. */
void proxy_relay_variables_define(void);

#endif
