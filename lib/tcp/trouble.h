/*
 * What a connection keeps for the worse: of data ahead of a gap, of losses, reordering and marks. Most never need any of it,
 * idle ones among them, so it is no part of the control block.
 *
 * Who has had none shares tcp_no_trouble, in which everything is at its start: reading asks nobody. To write, there is
 * tcp_trouble(), which gives the connection its own, to its end. There are as many as connections, so there always is one; their
 * memory is touched as they are used (base/slab.h).
 */
#ifndef TCP_TROUBLE_H
#define TCP_TROUBLE_H

#include "base/list.h"
#include "tcp/congestion.h"

struct tcp_connection;
struct tcp_range;
struct tcp_stack;

struct tcp_trouble {
	struct tcp_connection *connection;

	/* reassembly.c */
	struct tcp_range *ranges; /* received out of order */
	struct list holding;      /* in stack.memory.holders while there are ranges */
	uint32_t range_mbufs;
	uint32_t sack_recent; /* a sequence number in the range that changed last */
	uint32_t duplicate_start, duplicate_end;
	uint8_t range_count;

	/* rack.c, recovery.c, loss.c, ecn.c */
	uint8_t reorder_steps;   /* quarters of a round trip by which the reordering window has grown */
	uint8_t reorder_persist; /* recoveries until it shrinks */
	uint32_t reorder_round;  /* snd_max when it grew */
	uint32_t snd_recover;    /* snd_max when a loss was found (RFC 6582) */
	uint32_t ecn_recover;    /* with ecn_reduced: snd_max when a mark reduced the window */
	struct tcp_cubic cubic;
};

extern const struct tcp_trouble tcp_no_trouble;

/* False when memory is short. */
bool tcp_troubles_init(struct tcp_stack *stack);
void tcp_troubles_fini(struct tcp_stack *stack);

/* The connection's own, from now on. */
struct tcp_trouble *tcp_trouble(struct tcp_connection *c);
/* At its end; there are no ranges. */
void tcp_trouble_free(struct tcp_connection *c);

#endif
