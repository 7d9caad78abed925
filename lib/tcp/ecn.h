/*
 * Explicit Congestion Notification (RFC 3168; RFC 8511 for how far the window falls). A router marks what it would have dropped
 * (CE) where the sender has said that it listens (ECT); the receiver echoes that (ECE) until it hears that the window was
 * reduced (CWR).
 *
 * Both ends must have agreed to it by their SYNs. New data is sent as ECT(0); nothing else is: not what is sent again, no pure
 * ACK, no probe (section 6.1.4 to 6.1.6).
 */
#ifndef TCP_ECN_H
#define TCP_ECN_H

#include <rte_branch_prediction.h>
#include <rte_tcp.h>

#include "tcp/segment.h"
#include "tcp/stack.h"

struct tcp_header;

#define TCP_ECN_ECT_0 2
#define TCP_ECN_CE 3

#define TCP_ECN_FLAGS (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)

/* ---- the SYNs (section 6.1.1) ---- */

/* The flags of our SYN, or of our answer to one. A SYN that had no answer goes again without (section 6.1.1.1). */
uint8_t tcp_ecn_syn_flags(const struct tcp_connection *c, bool answer);
/* Does a SYN without an ACK ask for it, and is it given? */
bool tcp_ecn_accepts(const struct tcp_stack *stack, const struct tcp_segment *syn);
/* The peer's SYN, with or without an ACK. */
void tcp_ecn_syn_input(struct tcp_connection *c, const struct tcp_segment *syn);

/* ---- what arrives ---- */

/* An acceptable segment with data: remembers what is to be echoed. */
void tcp_ecn_data_input(struct tcp_connection *c, const struct tcp_segment *segment);
/* The ACK field is good, and snd_una not moved yet. Reduces the window, at most once in a round trip. */
void tcp_ecn_ack_input(struct tcp_connection *c, const struct tcp_segment *segment);

/* Does it say that the window must not grow now? */
static inline bool
tcp_ecn_echoes(const struct tcp_connection *c, const struct tcp_segment *segment)
{
	return unlikely(c->flags & TCP_ECN) && segment->flags & RTE_TCP_ECE_FLAG;
}

/* ---- what leaves ---- */

/* A segment of an established connection; `fresh`: it has data, none of which was sent before. */
void tcp_ecn_output(struct tcp_connection *c, struct tcp_header *header, bool fresh);

/* The window was reduced, for whatever reason: the next new data says so. */
static inline void
tcp_ecn_reduced(struct tcp_connection *c)
{
	if (unlikely(c->flags & TCP_ECN))
		c->flags |= TCP_CWR_DUE;
}

#endif
