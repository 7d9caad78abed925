/*
 * TIME-WAIT in records of one cache line instead of control blocks (RFC 9293 section 3.6.1). 60 s as in Linux, all in
 * one first-in first-out list. Records share the connections' table; when all are in use the oldest goes.
 *
 * A record gives way early to a SYN that cannot be old: by timestamp (RFC 6191) or by sequence number (RFC 1122 section
 * 4.2.2.13), to a new connection of our own that has a newer timestamp, and to a RST at exactly the next sequence number.
 */
#ifndef TCP_TIME_WAIT_H
#define TCP_TIME_WAIT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/slab.h"
#include "run/timer.h"

struct tcp_connection;
struct tcp_segment;
struct tcp_stack;

#define TCP_TIME_WAIT_MS 60000

#define TCP_TIME_WAIT_NONE UINT32_MAX

enum tcp_time_wait_flag {
	TCP_TIME_WAIT_OUTGOING = 1 << 0,
	TCP_TIME_WAIT_TIMESTAMPS = 1 << 1,
};

struct tcp_time_wait {
	struct ip_address local, remote;
	uint16_t local_port_be, remote_port_be;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t expires_ms;
	uint32_t next, previous; /* by slab index */
	uint16_t window;         /* as the header says it */
	uint16_t flags;          /* enum tcp_time_wait_flag */
};

static_assert(sizeof(struct tcp_time_wait) == 64, "one cache line per record");

struct tcp_time_waits {
	struct slab *records;
	uint32_t oldest, newest;
	struct timer timer; /* for the oldest */
};

bool tcp_time_waits_init(struct tcp_stack *stack, uint32_t max);
void tcp_time_waits_fini(struct tcp_stack *stack);

/* Ends the connection as finished (see tcp_connection_end()) and leaves a record in its place. */
bool tcp_time_wait_enter(struct tcp_connection *c);

bool tcp_time_wait_is(const struct tcp_time_wait *record, const struct endpoint *local, const struct endpoint *remote);

/* A segment for a record. True: it is a SYN for a new connection, the record is gone, and *sequence is the initial
 * sequence number to use, which lies past everything that the old connection sent. */
bool tcp_time_wait_input(struct tcp_stack *stack, struct tcp_time_wait *record, const struct tcp_segment *segment,
			 uint32_t *sequence);

/* May a connection of our own take the pair over now? Then the record is gone, and *sequence as above. */
bool tcp_time_wait_reuse(struct tcp_stack *stack, struct tcp_time_wait *record, uint32_t *sequence);

/* Drops what has expired, at most `budget`; returns how many. */
unsigned int tcp_time_waits_expire(struct tcp_stack *stack, unsigned int budget);

#endif
