/*
 * What Weir knows of one packet: a struct of one cache line in the mbuf's private area, written once by packet_parse()
 * and read by every stage after it. Offsets are from the start of the mbuf's data (the Ethernet header).
 *
 * Owner: the lcore that holds the mbuf. It goes with the mbuf when that is handed to another lcore.
 */
#ifndef PACKET_VIEW_H
#define PACKET_VIEW_H

#include <assert.h>
#include <rte_mbuf.h>

#include "base/address.h"

enum packet_flag {
	PACKET_IPV6 = 1 << 0,
	/* The L4 checksum is right, or is a local kernel's partial sum that Weir may take as right. */
	PACKET_L4_CHECKSUM_GOOD = 1 << 1,
	/* Only the pseudo-header is summed (CHECKSUM_PARTIAL of a local sender): recompute in full before it leaves. */
	PACKET_L4_CHECKSUM_PARTIAL = 1 << 2,
	PACKET_FRAGMENT = 1 << 3,       /* any fragment */
	PACKET_LATER_FRAGMENT = 1 << 4, /* not the first: it has no L4 header, ports are 0 */
	PACKET_VLAN = 1 << 5,
};

/* How far a packet has come on its way between lcores. Set to PACKET_NEW by who receives it; packet_parse() leaves it. */
enum packet_stage {
	PACKET_NEW,
	PACKET_PORTS_FOUND, /* of a later fragment: the ports are its first's; the view is to be believed, not made anew */
};

struct packet_view {
	struct ip_address source, destination;
	uint16_t source_port_be, destination_port_be; /* ICMP: type<<8|code and the echo identifier */
	uint16_t l3_offset, l4_offset;
	uint16_t payload_offset; /* behind the TCP or UDP header */
	uint16_t payload_len;    /* by the IP length, so Ethernet padding is not counted */
	uint16_t vlan_id;        /* host order, with PACKET_VLAN */
	uint16_t port_index;     /* port/ the packet came in on */
	uint16_t queue;
	uint16_t l3_total_len; /* IP header and all behind it */
	uint8_t ip_protocol;   /* of the last header: TCP 6, UDP 17, ICMP 1, ICMPv6 58, ... */
	uint8_t flags;         /* enum packet_flag */
	uint8_t ttl;           /* or hop limit */
	uint8_t tos;           /* or traffic class; its low two bits are ECN */
	uint8_t tcp_flags;
	uint8_t verdict; /* enum packet_verdict */
	uint8_t stage;   /* enum packet_stage */
	uint8_t unused;
};

static_assert(sizeof(struct packet_view) == 64, "one cache line per packet");

/* Every mbuf pool of Weir is made with this private size. */
#define PACKET_PRIVATE_SIZE sizeof(struct packet_view)

static inline struct packet_view *
packet_view(struct rte_mbuf *m)
{
	return (struct packet_view *)rte_mbuf_to_priv(m);
}

#endif
