/*
 * Segments out: what a connection owes the network, and answers to segments that have no connection.
 */
#ifndef TCP_OUTPUT_H
#define TCP_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/options.h"

struct endpoint;
struct tcp_connection;
struct tcp_segment;
struct tcp_stack;

/* A segment's header. */
struct tcp_header {
	const struct endpoint *local, *remote;
	uint32_t sequence, acknowledgement;
	uint16_t window;
	uint8_t flags; /* RTE_TCP_*_FLAG */
	uint8_t ecn;   /* of the IP header, see ecn.h */
	struct tcp_options options;
};

/* One segment without payload. False when no mbuf is to be had. */
bool tcp_header_send(struct tcp_stack *stack, struct tcp_header *header);

/* The answer to a SYN with a cookie (cookie.h) as our initial sequence number. False when memory is short, or there is no
 * route. */
bool tcp_output_cookie(struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t cookie);

/* All that may be sent now: SYN, data within both windows, FIN, and an ACK where none of them carried it. */
void tcp_output(struct tcp_connection *c);
/* An ACK without data, at once. */
void tcp_output_ack(struct tcp_connection *c);
/* An ACK of a byte that the peer has acknowledged long ago, so that it must answer (RFC 9293 section 3.8.4). */
void tcp_output_keepalive(struct tcp_connection *c);
void tcp_output_reset(struct tcp_connection *c);
/* RST in answer to a segment that belongs to nothing, or must not have been sent (RFC 9293 section 3.10.7.1); limited, as
 * anybody can ask for it. */
void tcp_output_refuse(struct tcp_stack *stack, const struct tcp_segment *segment);
/* The same without a limit, for callers that bound it themselves. */
void tcp_output_disown(struct tcp_stack *stack, const struct tcp_segment *segment);

/* The window that tcp_output would offer now, in bytes (receiver's silly window avoidance, RFC 9293 section 3.8.6.2.2).
 * */
uint32_t tcp_window_offer(const struct tcp_connection *c);

#endif
