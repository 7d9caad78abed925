/*
 * IP fragments of one lcore: only a packet's first one has ports, so these are remembered for the others.
 *
 * Fragments that come before their first wait for it, a short time and in bounded number. Nothing is put together
 * again: every fragment goes on as it is, with its flow, and overlaps and gaps are for the end host to judge. One lcore
 * owns the table; memory is bounded and allocated by l4_fragments_new(). Sources: RFC 791 section 3.2 and RFC 8200
 * section 4.5 (what tells that fragments belong together).
 */
#ifndef L4_FRAGMENT_H
#define L4_FRAGMENT_H

#include <rte_mbuf.h>
#include <stdint.h>

#include "base/address.h"

/* Packets remembered at a time; a further one takes the place of the oldest whose first fragment has come. */
#define L4_FRAGMENTED_PACKETS_MAX 4096
/* Fragments that wait for their first: in all, and of one packet. */
#define L4_FRAGMENTS_WAITING_MAX 256
#define L4_FRAGMENTS_WAITING 16

/* A packet is remembered for as long as end hosts wait for its rest (Linux: 30 s), from its first fragment on. */
#define L4_FRAGMENT_KNOWN_NS 30000000000ull
#define L4_FRAGMENT_WAIT_NS 2000000000ull

/* ip_protocol matters in IPv4 only: in IPv6 the first fragment's alone counts, which others need not repeat. */
struct l4_fragment_key {
	struct ip_address source, destination;
	uint32_t identification; /* in any byte order, always the same */
	uint8_t ip_protocol;
};

struct l4_fragments;

/* NULL when memory is short. */
struct l4_fragments *l4_fragments_new(void);
/* Those that still wait are freed. NULL is fine. */
void l4_fragments_free(struct l4_fragments *fragments);

/*
 * A first fragment. It goes on by itself; those that have waited for it are put in `waiting` in the order in which they
 * came, and are the caller's again. Returns their number. When the identification is in use already, it is a new
 * packet's from now on.
 */
uint16_t l4_fragment_first(struct l4_fragments *fragments, const struct l4_fragment_key *key, uint16_t source_port_be,
			   uint16_t destination_port_be, uint64_t now_ns,
			   struct rte_mbuf *waiting[L4_FRAGMENTS_WAITING]);

enum l4_fragment_fate {
	L4_FRAGMENT_KNOWN, /* the ports are set; the packet stays the caller's */
	L4_FRAGMENT_WAITS, /* ownership is taken */
	L4_FRAGMENT_FULL,  /* too many wait; the packet stays the caller's */
};

/* A later fragment. */
enum l4_fragment_fate l4_fragment_later(struct l4_fragments *fragments, const struct l4_fragment_key *key,
					struct rte_mbuf *m, uint64_t now_ns, uint16_t *source_port_be,
					uint16_t *destination_port_be);

/* Frees fragments whose first never came, and forgets old packets. Now and then, not before l4_fragments_next_ns()
 * for its own sake. Returns how many fragments were freed. */
uint32_t l4_fragments_expire(struct l4_fragments *fragments, uint64_t now_ns);
/* When the first of those that wait must go; UINT64_MAX: none waits. */
uint64_t l4_fragments_next_ns(const struct l4_fragments *fragments);
/* How many wait. */
uint32_t l4_fragments_waiting(const struct l4_fragments *fragments);

#endif
