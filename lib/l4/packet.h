/*
 * One packet on its way through the pipeline: what the stages have found out. Lives on the stack of a burst; everything it
 * points at is the mbuf's.
 */
#ifndef L4_PACKET_H
#define L4_PACKET_H

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

enum l4_packet_flag {
	L4_PACKET_IPV6 = 1 << 0,
	/* The L4 checksum field holds only the pseudo-header's sum (a local sender's): it is summed in full before it
	 * leaves, by RTE_MBUF_F_TX_*_CKSUM in ol_flags. */
	L4_PACKET_PARTIAL = 1 << 1,
	L4_PACKET_FRAGMENT = 1 << 2,       /* any */
	L4_PACKET_LATER_FRAGMENT = 1 << 3, /* no L4 header; the ports are those of its first */
	L4_PACKET_FROM_CLIENT = 1 << 4,
};

struct l4_packet {
	struct rte_mbuf *m;
	uint8_t *l3;     /* IP header, in the first segment, as is the L4 header */
	uint16_t l3_len; /* options and extension headers included */
	uint16_t ip_len; /* all of it, by the IP header */
	uint16_t source_port_be, destination_port_be;
	uint8_t ttl, ip_protocol;
	uint8_t tcp_flags; /* 0 unless TCP */
	uint8_t flags;     /* enum l4_packet_flag */
};

static inline uint8_t *
l4_packet_l4(const struct l4_packet *p)
{
	return p->l3 + p->l3_len;
}

/* In halves, so that it can stay in registers: words that are stored one by one and loaded in pairs make the load wait. */
static inline struct ip_address
l4_address_v4(uint32_t v4_be)
{
	return (struct ip_address){ .halves = { 0, (uint64_t)v4_be << 32 | RTE_BE32(0xffff) } };
}

/* An address of a header in the common shape. */
static inline struct ip_address
l4_address_at(const uint8_t *at, bool v6)
{
	uint64_t halves[2];
	uint32_t v4_be;

	if (v6) {
		memcpy(halves, at, sizeof(halves));
		return (struct ip_address){ .halves = { halves[0], halves[1] } };
	}
	memcpy(&v4_be, at, sizeof(v4_be));
	return l4_address_v4(v4_be);
}

static inline struct ip_address
l4_packet_address(const struct l4_packet *p, uint32_t v4_at, uint32_t v6_at)
{
	return unlikely(p->flags & L4_PACKET_IPV6) ? l4_address_at(p->l3 + v6_at, true)
						   : l4_address_at(p->l3 + v4_at, false);
}

static inline struct ip_address
l4_packet_source(const struct l4_packet *p)
{
	return l4_packet_address(p, 12, 8);
}

static inline struct ip_address
l4_packet_destination(const struct l4_packet *p)
{
	return l4_packet_address(p, 16, 24);
}

#endif
