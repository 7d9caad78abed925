/*
 * One TCP stack under a fake clock, with the test as its peer: segments written as text go in, and what comes out is
 * compared with text.
 *
 *     inject(h, "S 0:0 win 65535 <mss 1460,sackOK,wscale 7>");
 *     expect(h, "S. 0:0 ack 1 <mss 1460,sackOK,wscale 0>");
 *     inject(h, ". 1:1 ack 1 win 512");
 *
 * A segment is: flags (S F R P, E for ECE, W for CWR, and . for ACK), start:end of its data in the sender's sequence space
 * counted from its initial sequence number, then optionally `ack N`, `win N` (as in the header), `ecn N` (of the IP header)
 * and options. In expect() what is left out is not compared, except that the ACK flag and no `ack` never match. Options: mss N, wscale N, sackOK, ts
 * VALUE:ECHO, sack A:B (repeated). Our own timestamps are counted in milliseconds from the harness's start.
 *
 * Payload is a fixed pattern over the sequence space, made by inject() and harness_write(), checked by expect() and
 * harness_read(). Everything that the stack sends is parsed with its checksums filled in.
 */
#ifndef TCP_HARNESS_H
#define TCP_HARNESS_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp.h"

#define HARNESS_SENT_MAX 4096

struct harness {
	struct tcp_stack *stack;
	struct tcp_config config;
	struct tcp_listener listener;
	uint64_t start_ns, now_ns;
	struct endpoint local, remote; /* the stack's, and the test's: where segments go and come from */
	uint32_t local_isn, remote_isn;
	uint32_t timestamp_base; /* of the stack's timestamps for this pair */
	bool have_local_isn;
	struct tcp_connection *c; /* set by harness_accept() and friends */
	uint32_t events;          /* seen for c and not yet asked for */
	uint32_t written, read;   /* bytes, for the pattern */
	uint16_t mtu;
	bool no_route;
	bool (*lands_here)(const struct endpoint *local); /* of tcp_env; NULL: of all ports */
	bool whole; /* large segments are kept as they are, for harness_take(); else they are cut up as a port does it */
	struct rte_mbuf *sent[HARNESS_SENT_MAX];
	uint32_t sent_first, sent_count;
	uint32_t pool_available; /* before the stack was made */
	uint32_t port_uses;
	struct rte_mbuf *hoard; /* the rest of the pool, see harness_starve() */
};

/* Defaults that a test may change before harness_start(): IPv4, port 80, MTU 1500, buffers of 64 kB. */
void harness_init(struct harness *h);
void harness_start(struct harness *h);
/* Frees all, and fails the test if an mbuf is missing. */
void harness_stop(struct harness *h);

void inject(struct harness *h, const char *text);
/* Flushes; the next segment sent must be this one. */
void expect(struct harness *h, const char *text);
/* Flushes; nothing may have been sent. */
void expect_nothing(struct harness *h);
/* Flushes, and forgets what was sent; returns how many segments that were. */
uint32_t harness_discard(struct harness *h);

/* Flushes; the next segment as it left, or NULL. The caller's. */
struct rte_mbuf *harness_take(struct harness *h);
/* What a port does with a large segment: each piece is given to `each`, and the segment is gone. A segment that is none
 * is passed on as it is. */
void harness_cut_up(struct rte_mbuf *m, void (*each)(void *context, struct rte_mbuf *m), void *context);

/* Time passes: timers fire when due, with a flush after each. */
void advance(struct harness *h, uint64_t ms);

/* The events of h->c since the last call. Fails when another connection than h->c is ready. */
uint32_t harness_events(struct harness *h);

/* Three-way handshake from the peer, and tcp_ready(); options of the peer's SYN as in inject(). The peer's ACK says
 * `win`. Afterwards h->c is established and both sides are at 1. */
void harness_accept(struct harness *h, const char *options, uint32_t win);
/* The same with tcp_connect(). */
void harness_connect(struct harness *h, const char *options, uint32_t win);
/* tcp_connect() only; fails the test when it does not succeed. */
void harness_dial(struct harness *h);

/* tcp_write() of the next bytes of the pattern; returns how many were taken. */
uint32_t harness_write(struct harness *h, uint32_t len);
/* Reads `len` bytes and compares them with the pattern. */
void harness_read(struct harness *h, uint32_t len);

/* Takes all mbufs but `left` away from the stack; and gives them back. */
void harness_starve(struct harness *h, uint32_t left);
void harness_feed(struct harness *h);

uint64_t harness_count(const struct harness *h, const char *counter);

uint8_t harness_pattern(uint32_t offset);

#endif
