/*
 * Internet checksums (RFC 1071), whole and incremental (RFC 1624). Any lcore; no state.
 */
#ifndef PACKET_CHECKSUM_H
#define PACKET_CHECKSUM_H

#include <rte_mbuf.h>
#include <stdint.h>

/* Fills the IPv4 header checksum (when IPv4) and the full TCP, UDP or ICMP checksum of the L3 packet that starts
 * `l3_offset` bytes into `m`, over all segments; of a fragment only the former. L3 and L4 header must be in the first
 * segment, or nothing is written. For packets that leave through a port without checksum offload. */
void packet_checksum_fill(struct rte_mbuf *m, uint16_t l3_offset);
/* The IPv4 header checksum alone; nothing when the packet is not IPv4. */
void packet_checksum_fill_ipv4(struct rte_mbuf *m, uint16_t l3_offset);

/* The pseudo-header sum, folded and not inverted, that hardware offload expects in the L4 checksum field: without
 * the length when `m` asks for segmentation (RTE_MBUF_F_TX_TCP_SEG in ol_flags). */
uint16_t packet_checksum_pseudo(const struct rte_mbuf *m, uint16_t l3_offset);
/* The same as Linux wants it (struct virtio_net_hdr): with the length of the whole packet, segmentation or not. */
uint16_t packet_checksum_pseudo_whole(const struct rte_mbuf *m, uint16_t l3_offset);

/* HC' = ~(~HC + ~m + m') (RFC 1624 equation 3) for a 16- and a 32-bit field. All in network order. */
uint16_t packet_checksum_update16(uint16_t checksum, uint16_t from, uint16_t to);
uint16_t packet_checksum_update32(uint16_t checksum, uint32_t from, uint32_t to);

#endif
