/*
 * A proxy worker between clients and servers, without a network: three TCP stacks back to back in memory under one fake
 * clock, a real configuration, and a test that plays both ends byte by byte.
 *
 *     struct world w;
 *     world_start(&w, "server { location / { proxy_pass http://10.0.0.1:80; } }");
 *     client = world_connect(&w);            a client's connection, established
 *     peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 *     server = world_accept(&w);             the connection that the proxy made
 *     peer_said(server)                      all that has come since the last call
 *     peer_say(server, "HTTP/1.1 200 OK\r\n...");
 *     world_stop(&w);                        nothing may be left of it all
 *
 * Whatever is done to a peer, or to time, is followed by rounds of all stacks until nothing moves. Nothing here depends on
 * cmocka, so that the fuzz target can use it: what must not happen ends the program.
 */
#ifndef TESTS_PROXY_WORLD_H
#define TESTS_PROXY_WORLD_H

#include <rte_mbuf.h>
#include <stdbool.h>

#include "proxy/proxy.h"
#include "tcp/tcp.h"

/* The real time of all rounds: Sat, 21 Nov 2026 00:31:00 GMT. */
#define WORLD_REAL_NS (1795221060ull * 1000000000)

/* The last octet of addresses that nothing leads to. */
#define WORLD_NO_ROUTE 255

#define WORLD_PEERS_MAX 2048
#define WORLD_RECORDS_MAX 2048

enum world_side_name { WORLD_CLIENTS, WORLD_WEIR, WORLD_SERVERS, WORLD_SIDES };

struct world;

struct world_side {
	struct world *world;
	enum world_side_name name;
	struct tcp_stack *stack;
	struct rte_mempool *pool;
	struct ip_address address;
	struct rte_mbuf *wire, **wire_end; /* on the way to this side */
	bool cut;                          /* nothing arrives here */
};

/* A connection that the test plays. */
struct peer {
	struct world *world;
	struct tcp_connection *tcp; /* NULL once given back */
	uint16_t port;              /* of a server: the one that was connected to */
	uint8_t *in, *out;          /* `in` is terminated */
	size_t in_len, in_taken, in_capacity, out_len, out_done, out_capacity;
	bool slow; /* reads only when told */
	bool connected, ended, closed, shutting, taken;
	enum tcp_close_reason reason;
	unsigned int steps; /* for the test's own use */
};

/* An exchange that has ended, as the log phase saw it. */
struct world_record {
	uint16_t status, attempts[4];
	uint32_t tried;
	uint64_t head_bytes, body_bytes, request_content;
	bool complete;
};

struct world {
	uint64_t now_ns;
	struct world_side sides[WORLD_SIDES];
	struct proxy_worker *worker;
	struct proxy_generation *generation, *old; /* in force, and before */
	struct peer peers[WORLD_PEERS_MAX];
	size_t peer_count;
	struct world_record records[WORLD_RECORDS_MAX];
	size_t record_count;
	/* What may be set before world_start(). */
	uint32_t worker_connections, receive_buffer, send_buffer, keepalive_idle_s, peers_max;
	uint16_t mtu;
	const struct proxy_filter *const *filters;    /* NULL: only the one that fills `records` */
	struct config_module *const *more_modules;    /* of those filters, ended by NULL */
	void (*on_server_input)(struct peer *server); /* after something has come to a server */
	bool consistency;                             /* check the stacks at the end of every run */
	/* private */
	struct rte_mbuf *hoard;
	unsigned int pool_before, weir_pool_before;
	int log_fd;
};

/* Defaults: 64 worker_connections, MTU 1500, buffers of 64 and 128 KB as the program has them. */
void world_init(struct world *world);
/* `text` stands in the http block. Servers listen on 10.0.0.1 to 10.0.0.3, ports 80 and 8080; Weir is 192.0.2.1. */
void world_start(struct world *world, const char *text);
/* Parses and publishes another configuration; the one before becomes world->old. */
void world_reload(struct world *world, const char *text);
/* Resets what peers are left, and ends the program unless every session, link, exchange, connection and mbuf is back. */
void world_stop(struct world *world);

/* The http part of a configuration; never NULL, ask config_error(). */
struct config *world_parse(const struct world *world, const char *text);
struct config_module *const *world_modules(const struct world *world);

/* Rounds until nothing moves. */
void world_run(struct world *world);
/* Time passes, with a round whenever a timer of anybody is due. */
void world_advance(struct world *world, uint64_t ms);

/* A client's connection to 192.0.2.1, established. */
struct peer *world_connect(struct world *world);
struct peer *world_connect_to(struct world *world, const char *endpoint);
/* The next connection that a server has accepted; NULL: none. */
struct peer *world_accept(struct world *world);

void peer_say(struct peer *peer, const char *text);
void peer_send(struct peer *peer, const void *data, size_t len);
/* All that has come and was not asked for yet, terminated; valid until the next round. */
const char *peer_said(struct peer *peer);
size_t peer_received(const struct peer *peer);
/* For a slow peer: reads up to `len` bytes. */
void peer_read(struct peer *peer, size_t len);
/* FIN behind everything said; the peer goes on reading. */
void peer_shutdown(struct peer *peer);
/* Gives the connection back: FIN, or RST where something is unread. */
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);
/* The other end has sent FIN, and nothing else is known to be wrong. */
bool peer_sees_end(const struct peer *peer);
bool peer_sees_reset(const struct peer *peer);

/* Takes all packet buffers of Weir but `left`; and gives them back. */
void world_starve(struct world *world, unsigned int left);
void world_feed(struct world *world);

uint64_t world_count(const struct world *world, enum proxy_counter counter);
/* True when the error log has a line with that text; forgets all lines. Without a log (fuzzing): false. */
bool world_logged(struct world *world, const char *text);
const struct world_record *world_last(const struct world *world);
/* Sessions, links, exchanges and large blocks in use. */
unsigned int world_in_use(const struct world *world);

#endif
