/*
 * Headers in front of an L4 packet, from the inside out: packet_build_ip(), then packet_build_ethernet(). Any lcore; no
 * state, no allocation: the mbuf's headroom must have room (RTE_PKTMBUF_HEADROOM is enough for both, and for a tunnel).
 *
 * Checksums are not computed here; see packet/checksum.h, or the port's offload.
 */
#ifndef PACKET_BUILD_H
#define PACKET_BUILD_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/* What the two functions together put in front, at most: IPv6, 802.1Q, Ethernet. */
#define PACKET_BUILD_HEADROOM (40 + 4 + 14)

/* No tag in packet_build_ethernet(). */
#define PACKET_VLAN_NONE 0

/*
 * Prepends an IP header to `m`, whose data starts at the L4 header; everything in its segments is the payload. Sets
 * l2_len 0 and l3_len; l4_len is left as it is.
 *
 * The version is that of the addresses, which must both have the same. IPv4: no options, DF set, identification 0 (an
 * atomic datagram, RFC 6864 section 4.1), header checksum 0. IPv6: flow label 0. False, with `m` as it was, when there is
 * no headroom or the packet would be longer than IP can say.
 */
bool packet_build_ip(struct rte_mbuf *m, const struct ip_address *source, const struct ip_address *destination,
		     uint8_t protocol, uint8_t tos, uint8_t ttl);

/*
 * Prepends an Ethernet header to `m`, whose data starts at an IPv4 or IPv6 header, with an 802.1Q tag (priority 0) unless
 * `vlan_id` is PACKET_VLAN_NONE. Sets l2_len. False, with `m` as it was, when there is no headroom.
 */
bool packet_build_ethernet(struct rte_mbuf *m, const uint8_t destination[6], const uint8_t source[6], uint16_t vlan_id);

#endif
