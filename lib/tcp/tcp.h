/*
 * TCP (RFC 9293), one stack per lcore, without I/O: packets and time in, packets and events out.
 *
 * The lcore that owns a stack calls everything here; nothing is shared and nothing blocks. A round is:
 *
 *     tcp_stack_time(stack, now)           the round's time, once
 *     tcp_input(stack, m)                  for every received segment
 *     tcp_timers(stack)                    what is due
 *     while ((c = tcp_ready(stack))) ...   the user reads, writes, closes
 *     tcp_flush(stack)                     segments for all that was written, acknowledged or freed
 *
 * Writes are gathered until tcp_flush(), so a head and a body written in one round share segments and ACKs ride on
 * data.
 *
 * Segments leave through tcp_env.send, as mbufs whose data starts at the IP header. Payload lives in mbufs: a received
 * segment stays in its mbuf until it is read, and tcp_move() hands it on to another connection without a copy.
 *
 * Ownership of a connection: from TCP_ACCEPTED or tcp_connect() until tcp_close() or tcp_abort(), the user holds it and
 * the pointer stays valid, also after the peer is gone. After either call the pointer is the stack's alone: it finishes
 * FIN, retransmission and TIME-WAIT by itself.
 *
 * Memory is bounded by tcp_config at creation. Sources are named at the functions and in the README.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "packet/parse.h"
#include "tcp/queue.h"

struct tcp_stack;
struct tcp_connection;

/* What the stack needs from below, bound at creation. Called on the stack's lcore, in the middle of its work: these
 * must not call back into the stack. */
struct tcp_env {
	void *context;
	/* Takes ownership of `m` (data starts at the IP header; l2_len 0, l3_len and l4_len set; checksums are not yet
	 * filled: the port does that, by offload or in software). With tcp_config.large_segments it may be a chain with
	 * up to 64 KB of whole segments, marked RTE_MBUF_F_TX_TCP_SEG with tso_segsz, for the port to cut up. */
	void (*send)(void *context, struct rte_mbuf *m);
	/* Source address and MTU of the path to `remote`. False: no route. `local->port_be` is not touched. */
	bool (*route)(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu);
	/* A local port was taken into use for, or has gone out of, outgoing connections (counted by the stack: called
	 * at the first use and after the last). NULL where nobody cares. */
	void (*port_used)(void *context, uint16_t port_be, bool used);
	/* Do segments from `remote` to `local` come in on this lcore? Outgoing connections have a local port of which that is
	 * true, where one is found soon. NULL: of all, or nobody knows. */
	bool (*lands_here)(void *context, const struct endpoint *local, const struct endpoint *remote);
};

enum tcp_congestion_algorithm {
	TCP_CUBIC,    /* RFC 9438 */
	TCP_NEW_RENO, /* RFC 5681, 6582 */
};

/* Answers to SYNs without keeping anything, see cookie.h. */
enum tcp_syn_cookies {
	TCP_COOKIES_WHEN_FULL, /* when the backlog is full */
	TCP_COOKIES_ALWAYS,
	TCP_COOKIES_NEVER, /* a full backlog gives up its oldest connection */
};

/* Explicit Congestion Notification, as Linux's net.ipv4.tcp_ecn; see ecn.h. */
enum tcp_ecn {
	TCP_ECN_ACCEPT, /* when the peer asks for it */
	TCP_ECN_ON,     /* and asked for by our SYNs too */
	TCP_ECN_OFF,
};

struct tcp_config {
	struct rte_mempool *pool;  /* mbufs with PACKET_PRIVATE_SIZE; also for outgoing segments */
	uint32_t connections_max;  /* all states but TIME-WAIT */
	uint32_t time_wait_max;    /* small records; the oldest goes when full */
	uint32_t receive_buffer;   /* bytes per connection: the largest window offered; see the README on memory */
	uint32_t send_buffer;      /* bytes per connection */
	uint32_t syn_backlog;      /* half-open connections at most */
	uint8_t syn_cookies;       /* enum tcp_syn_cookies */
	uint64_t cookie_secret[2]; /* the same for all lcores */
	uint8_t congestion;        /* enum tcp_congestion_algorithm */
	uint8_t ecn;               /* enum tcp_ecn */
	bool large_segments; /* see tcp_env.send; the chains' mbufs are of `pool` and refer to those of the data */
	/* Outgoing connections use ports p with first <= p <= last and p % modulus == remainder (host order), so that
	 * an answer's destination port names the lcore that owns it. */
	uint16_t port_first, port_last, port_modulus, port_remainder;
	uint64_t secret[2];        /* for initial sequence numbers (RFC 6528) and port offsets (RFC 6056) */
	uint32_t keepalive_idle_s; /* 0: no keepalive probes */
};

/* 0, or NULL with a reason in *error (static text). */
struct tcp_stack *tcp_stack_new(const struct tcp_config *config, const struct tcp_env *env, uint64_t now_ns,
				const char **error);
void tcp_stack_free(struct tcp_stack *stack);

void tcp_stack_time(struct tcp_stack *stack, uint64_t now_ns);

/* ---- listening ---- */

struct tcp_listener {
	struct endpoint local; /* any address: matches every address of that IP version */
	void *user;            /* given back by tcp_user() of the connections accepted */
};

/* The whole set of listening endpoints, replacing the last. The array is the caller's and must live until the next
 * call. An exact address goes before a wildcard. Connections already accepted are not touched. */
void tcp_listen(struct tcp_stack *stack, const struct tcp_listener *listeners, uint32_t count);

/* ---- packets and time ---- */

/* A TCP segment that packet_parse() found good. Takes ownership. A segment that belongs to no connection and no
 * listener is answered with RST (RFC 9293 section 3.10.7.1). */
void tcp_input(struct tcp_stack *stack, struct rte_mbuf *m);

/* Of a burst that tcp_input() will be given, or part of it, parsed: fetches what that will look up, where there are so many
 * connections that they are not in the caches anyway. */
void tcp_prefetch(const struct tcp_stack *stack, struct rte_mbuf *const *burst, uint16_t count);

/* An ICMP error that quotes one of our segments (RFC 5461, RFC 5927): the sequence number must be in flight. */
void tcp_icmp_error(struct tcp_stack *stack, const struct packet_quote *quote);

/* True when the stack has a connection (TIME-WAIT included) for this pair. */
bool tcp_knows(const struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote);

unsigned int tcp_timers(struct tcp_stack *stack);
/* When tcp_timers() and tcp_flush() must next be called; UINT64_MAX: never. */
uint64_t tcp_next_timer_ns(const struct tcp_stack *stack);

void tcp_flush(struct tcp_stack *stack);

/* ---- events ---- */

enum tcp_event {
	TCP_ACCEPTED = 1 << 0,      /* a new connection of a listener; set once, with the first event */
	TCP_CONNECTED = 1 << 1,     /* tcp_connect() succeeded */
	TCP_READABLE = 1 << 2,      /* bytes have come since the last report */
	TCP_WRITABLE = 1 << 3,      /* space has come after tcp_write() took less than it was given */
	TCP_END_OF_STREAM = 1 << 4, /* the peer's FIN: what is readable is all there will be */
	TCP_CLOSED = 1 << 5,        /* nothing can be sent or received any more; why: tcp_close_reason() */
	TCP_SENT = 1 << 6,          /* everything written has been acknowledged; only after tcp_want_sent() */
};

enum tcp_close_reason {
	TCP_OPEN,
	TCP_FINISHED,    /* both sides sent FIN */
	TCP_RESET,       /* RST received */
	TCP_REFUSED,     /* RST in answer to our SYN */
	TCP_TIMED_OUT,   /* retransmissions or keepalive probes went unanswered */
	TCP_UNREACHABLE, /* ICMP says so, or there is no route */
	TCP_NO_MEMORY,
};

/* The next connection with events, and which (reported once; level is not repeated). NULL: none left. */
struct tcp_connection *tcp_ready(struct tcp_stack *stack, uint32_t *events);

/* ---- a connection ---- */

/* SYN goes out with the next flush. NULL: no memory, no route or no free port (errno-like reason in *error, negative).
 * The timeout of the attempt is the user's business. */
struct tcp_connection *tcp_connect(struct tcp_stack *stack, const struct endpoint *remote, void *user, int *error);

void *tcp_user(const struct tcp_connection *c);
void tcp_set_user(struct tcp_connection *c, void *user);
const struct endpoint *tcp_local(const struct tcp_connection *c);
const struct endpoint *tcp_remote(const struct tcp_connection *c);
enum tcp_close_reason tcp_close_reason(const struct tcp_connection *c);
const char *tcp_close_reason_text(enum tcp_close_reason reason);

/* Bytes that can be read now. */
uint32_t tcp_readable(const struct tcp_connection *c);
/* The first run of contiguous bytes, empty when there is none; valid until the next read call on c. */
struct bytes tcp_peek(const struct tcp_connection *c);
/* Copies up to `len` bytes from `offset` on without consuming them; returns how many. */
uint32_t tcp_peek_copy(const struct tcp_connection *c, uint32_t offset, void *out, uint32_t len);
/* Drops `len` (at most tcp_readable) bytes from the front and opens the window by as much. */
void tcp_consume(struct tcp_connection *c, uint32_t len);
/* True when everything was read and the peer has sent FIN. */
bool tcp_at_end(const struct tcp_connection *c);

/* Bytes that tcp_write() would take now. */
uint32_t tcp_writable(const struct tcp_connection *c);
/* Asks for TCP_WRITABLE when there is (more) space, for writers that look at tcp_writable() first. */
void tcp_want_writable(struct tcp_connection *c);
/* Copies up to `len` bytes into the send queue; returns how many it took. 0 after tcp_shutdown() or when closed. */
uint32_t tcp_write(struct tcp_connection *c, const void *data, uint32_t len);
/* Moves up to `len` bytes from the receive queue of one connection to the send queue of the other, same stack, without
 * copying where that pays. Returns how many it moved (bounded by tcp_writable(to)). */
uint32_t tcp_move(struct tcp_connection *to, struct tcp_connection *from, uint32_t len);
/* The two halves of it, for users that keep bytes in between, in a queue of their own: from the receive queue into one, and
 * from one into the send queue (bounded by tcp_writable(c)). */
uint32_t tcp_read_queue(struct tcp_connection *c, struct tcp_queue *to, uint32_t len);
uint32_t tcp_write_queue(struct tcp_connection *c, struct tcp_queue *from, uint32_t len);
/* Where such a queue has its mbufs from. */
struct rte_mempool *tcp_pool(const struct tcp_connection *c);
/* Written bytes that the peer has not acknowledged yet. */
uint32_t tcp_unsent(const struct tcp_connection *c);
void tcp_want_sent(struct tcp_connection *c);

/* FIN behind everything written; reading goes on (half-close). */
void tcp_shutdown(struct tcp_connection *c);
/* Gives the connection back. Unread bytes make it an RST (RFC 2525 section 2.17), else FIN behind everything written.
 * */
void tcp_close(struct tcp_connection *c);
/* Gives it back with an RST at once. */
void tcp_abort(struct tcp_connection *c);

/* Smoothed round-trip time in microseconds, 0 when not measured. */
uint32_t tcp_srtt_us(const struct tcp_connection *c);

/* ---- numbers ---- */

struct tcp_usage {
	uint32_t connections, half_open, time_wait;
	uint64_t bytes_per_connection; /* control block and table share; buffers not counted */
};
void tcp_usage(const struct tcp_stack *stack, struct tcp_usage *out);

/* Names in tcp_counter_names; an array of the stack, for base/counter.h. */
extern const char *const tcp_counter_names[];
extern const size_t tcp_counter_count;
const uint64_t *tcp_counters(const struct tcp_stack *stack);

#endif
