/*
 * Data that came ahead of a gap: a list of disjoint ranges in order of sequence number, each a queue of mbufs. A
 * range's record lies in the private area of its first mbuf, whose packet view is no longer needed, so that it costs no
 * memory.
 *
 * Bytes that are there already win over bytes that come later, unless these cover a whole range.
 */
#ifndef TCP_REASSEMBLY_H
#define TCP_REASSEMBLY_H

#include <stdint.h>

#include "tcp/options.h"
#include "tcp/queue.h"

struct tcp_connection;

/* More gaps at a time than this only an attacker makes, or a path on which nothing helps. */
#define TCP_RANGES_MAX 128

struct tcp_range {
	struct tcp_queue queue;
	struct tcp_range *next;
	uint32_t start;
};

/* Takes the payload, which starts at `sequence`, past rcv_nxt. What does not fit is freed. */
void tcp_reassembly_insert(struct tcp_connection *c, uint32_t sequence, struct tcp_queue *payload);
/* Moves what is contiguous at rcv_nxt to the receive queue; returns how many bytes. */
uint32_t tcp_reassembly_take(struct tcp_connection *c);
void tcp_reassembly_free(struct tcp_connection *c);

/* Data that the peer has sent in vain, as far as it is known by now; the next ACK reports it (DSACK, RFC 2883). */
void tcp_reassembly_duplicate(struct tcp_connection *c, uint32_t start, uint32_t end);

/* Blocks for a SACK option: what came twice, then the range that changed last (RFC 2018 section 4), then the others. */
uint8_t tcp_reassembly_blocks(const struct tcp_connection *c, struct tcp_sack_block *out, uint8_t max);

#endif
