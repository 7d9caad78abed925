/*
 * TCP segmentation in software, for ports whose device has none: one packet that asks for it (RTE_MBUF_F_TX_TCP_SEG, as
 * DPDK defines it: l2_len, l3_len, l4_len, tso_segsz) into packets of at most tso_segsz bytes of payload each. Any lcore.
 *
 *     packet_segmenter_start(&segmenter, m);
 *     while (segmenter.left > 0)
 *             if (!(segment = packet_segmenter_next(&segmenter, pool))) ...
 *
 * The packet stays the caller's, unchanged; its payload is copied. Each segment carries the packet's headers with its own
 * sequence number, lengths and IPv4 identification (the packet's, counted up), FIN and PSH on the last only, CWR on the
 * first only (RFC 3168 section 6.1.2), and the packet's ol_flags without segmentation: its sums are left to whoever sends
 * it, as the packet's were.
 */
#ifndef PACKET_SEGMENT_H
#define PACKET_SEGMENT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct packet_segmenter {
	const struct rte_mbuf *packet;
	const struct rte_mbuf *at; /* the segment of `packet` that the next byte is in */
	uint32_t at_offset;
	uint32_t left; /* payload not yet in a segment */
	uint32_t header_len;
	uint32_t count; /* segments made */
};

/* False when `m` is no such packet: no TCP over IP, no segment size, headers that are not all in its first segment. */
bool packet_segmenter_start(struct packet_segmenter *segmenter, const struct rte_mbuf *m);

/* The next segment, with the pool's headroom in front of it; NULL when no mbuf is to be had, or none is long enough. */
struct rte_mbuf *packet_segmenter_next(struct packet_segmenter *segmenter, struct rte_mempool *pool);

/* More segments than a packet of IP's length makes at the smallest MTU that IPv6 allows (RFC 8200 section 5). */
#define PACKET_CUT_MAX 64

/*
 * A received packet (packet_parse(), verdict ok) that its sender, a kernel, has left to others to cut up: TCP, longer than
 * `mtu`, with a partial sum. Into packets as they would have come if it had not: of at most `mtu`, to be parsed, with
 * partial sums and the port and queue of the packet, which is gone then. Returns how many, fewer than there should be when
 * mbufs are short; 0: it is no such packet, or would make more than PACKET_CUT_MAX, and stays the caller's.
 */
uint16_t packet_cut_received(struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool,
			     struct rte_mbuf *out[PACKET_CUT_MAX]);

/* How many segments the packet makes; one when it is none to be cut up. */
static inline uint32_t
packet_segment_count(const struct rte_mbuf *m)
{
	uint32_t header_len = (uint32_t)m->l2_len + m->l3_len + m->l4_len;

	if (m->pkt_len <= header_len || m->tso_segsz == 0)
		return 1;
	return (m->pkt_len - header_len + m->tso_segsz - 1) / m->tso_segsz;
}

#endif
