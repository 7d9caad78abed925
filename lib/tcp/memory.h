/*
 * Whose the mbufs of the pool are. They are counted as such, whatever is in them: a segment of one byte holds a whole one.
 *
 * A connection may hold its share, in each direction: an eighth of what is free, less a reserve. So the share of all shrinks as
 * some take theirs (the dynamic threshold of Choudhury and Hahne), and the reserve stays for segments out and ACKs in. What is
 * free is looked at once a millisecond. When only the reserve is left, memory is low:
 *
 *     low       what comes ahead of a gap is not kept, and so never SACKed; writers get nothing; windows do not grow
 *     critical  half of that: what is kept ahead of gaps goes, the oldest gap's first, though it was SACKed (RFC 2018 section 8)
 *
 * and what comes in order for a connection that has its share is dropped as if the path had lost it. A connection never has a
 * right to less than TCP_SHARE_MIN mbufs, or a few when memory is critical.
 *
 * Below its share, what a connection may buffer in bytes starts at TCP_BUFFER_START and follows its need up to tcp_config:
 * twice the congestion window for what it sends, twice what the user reads in a round trip for what it receives.
 */
#ifndef TCP_MEMORY_H
#define TCP_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct tcp_connection;
struct tcp_stack;

#define TCP_BUFFER_START (1u << 18)
/* However little there is left. */
#define TCP_BUFFER_MIN 16384u
#define TCP_SHARE_MIN 16u

struct tcp_memory {
	uint32_t low;        /* mbufs: the reserve */
	uint32_t share;      /* mbufs for each direction of a connection */
	bool is_low;         /* only the reserve is left */
	struct list holders; /* who holds something ahead of a gap, the oldest gap first; by tcp_trouble.holding */
};

void tcp_memory_init(struct tcp_stack *stack);
/* A new millisecond: how much is free? */
void tcp_memory_look(struct tcp_stack *stack);

void tcp_memory_start(struct tcp_connection *c);

/* May a segment that came in order, or ahead of a gap, be kept? */
bool tcp_memory_takes(const struct tcp_connection *c);
bool tcp_memory_takes_ahead(const struct tcp_connection *c);

/* Bytes that the connection may buffer in all, and that it may buffer beside those it does. */
uint32_t tcp_memory_receive_limit(const struct tcp_connection *c);
uint32_t tcp_memory_receive_room(const struct tcp_connection *c);
uint32_t tcp_memory_send_limit(const struct tcp_connection *c);
uint32_t tcp_memory_send_room(const struct tcp_connection *c);

/* The user has read `len` bytes. */
void tcp_memory_read(struct tcp_connection *c, uint32_t len);

#endif
