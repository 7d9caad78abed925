/*
 * Outer headers of the tunnels. Source is target->local, destination the server; TTL 64, DSCP and ECN are the inner
 * packet's (RFC 6040 section 4.1, normal mode), and so is DF. Of this room alone.
 */
#ifndef L4_FORWARD_TUNNEL_H
#define L4_FORWARD_TUNNEL_H

#include <netinet/in.h>
#include <rte_ip.h>

#include "l4/forward.h"
#include "l4/rewrite_inline.h"
#include "packet/checksum.h"

#define L4_TUNNEL_TTL 64

/* What the outer headers take from the inner packet. */
struct l4_tunnel_inner {
	uint8_t ip_protocol; /* 4: IPv4, 41: IPv6 */
	uint8_t tos;
	uint16_t fragment_be, identification_be; /* of the outer IPv4 header */
};

static inline uint16_t
l4_tunnel_ip_len(const struct l4_target *target)
{
	return ip_address_is_v4(&target->server.ip) ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

/* Makes the packet ready to be an inner one: the frame around it is gone and its sums are complete, as no port can fill
 * what is inside a tunnel. */
static inline void
l4_tunnel_inner_finish(struct l4_packet *p)
{
	l4_strip(p);
	if (unlikely(p->flags & L4_PACKET_PARTIAL)) {
		packet_checksum_fill(p->m, 0);
		p->m->ol_flags &= ~(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
		p->flags &= (uint8_t)~L4_PACKET_PARTIAL;
	}
}

/*
 * An outer packet that may be fragmented needs an identification of its own (RFC 6864 section 4.3), without a counter that
 * lcores would share: the inner one, which does not repeat within its flow, moved by the flow's hash, and by the offset,
 * as the fragments of an inner packet share theirs.
 */
static inline uint16_t
l4_tunnel_identification_be(uint64_t entropy, uint16_t inner_identification_be, uint16_t inner_fragment_be)
{
	uint16_t identification = (uint16_t)((entropy >> 32) + ntohs(inner_identification_be) +
					     (ntohs(inner_fragment_be) & RTE_IPV4_HDR_OFFSET_MASK) * 0x9e37u);

	return identification ? htons(identification) : htons(1);
}

static inline void
l4_tunnel_inner_read(const struct l4_packet *p, uint64_t entropy, struct l4_tunnel_inner *inner)
{
	const struct rte_ipv4_hdr *v4 = (const void *)p->l3;

	if (p->flags & L4_PACKET_IPV6) {
		/* No router fragments IPv6: nor may one fragment what carries it, or nobody would learn the MTU. */
		*inner = (struct l4_tunnel_inner){
			.ip_protocol = IPPROTO_IPV6,
			.tos = (uint8_t)(p->l3[0] << 4 | p->l3[1] >> 4),
			.fragment_be = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		};
		return;
	}
	*inner = (struct l4_tunnel_inner){
		.ip_protocol = IPPROTO_IPIP,
		.tos = v4->type_of_service,
		.fragment_be = v4->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
	};
	if (!inner->fragment_be)
		inner->identification_be = l4_tunnel_identification_be(entropy, v4->packet_id, v4->fragment_offset);
}

/* From values, as what was just stored in halves cannot be loaded in words without waiting. */
static inline uint16_t
l4_tunnel_checksum_v4(const struct rte_ipv4_hdr *ip)
{
	uint64_t sum = (uint64_t)ip->src_addr + ip->dst_addr + ip->total_length + ip->packet_id + ip->fragment_offset +
		       htons((uint16_t)(ip->version_ihl << 8 | ip->type_of_service)) +
		       htons((uint16_t)(ip->time_to_live << 8 | ip->next_proto_id));

	return (uint16_t)~packet_sum_fold(sum);
}

/* Writes the outer IP header to `at`, in front of `payload_len` bytes of `protocol`. */
static inline void
l4_tunnel_write_v4(uint8_t *at, const struct l4_target *target, const struct l4_tunnel_inner *inner, uint8_t protocol,
		   uint16_t payload_len)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = inner->tos,
		.total_length = htons((uint16_t)(payload_len + sizeof(ip))),
		.packet_id = inner->identification_be,
		.fragment_offset = inner->fragment_be,
		.time_to_live = L4_TUNNEL_TTL,
		.next_proto_id = protocol,
		.src_addr = ip_address_v4_be(&target->local),
		.dst_addr = ip_address_v4_be(&target->server.ip),
	};

	ip.hdr_checksum = l4_tunnel_checksum_v4(&ip);
	memcpy(at, &ip, sizeof(ip));
}

/* The flow label keeps a flow on one path (RFC 6438). */
static inline void
l4_tunnel_write_v6(uint8_t *at, const struct l4_target *target, const struct l4_tunnel_inner *inner, uint8_t protocol,
		   uint16_t payload_len, uint64_t entropy)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)at;

	ip->vtc_flow = htonl(6u << 28 | (uint32_t)inner->tos << 20 | (uint32_t)(entropy & 0xfffff));
	ip->payload_len = htons(payload_len);
	ip->proto = protocol;
	ip->hop_limits = L4_TUNNEL_TTL;
	memcpy(ip->src_addr, target->local.bytes, 16);
	memcpy(ip->dst_addr, target->server.ip.bytes, 16);
}

/* Room for `len` bytes of outer headers, so that a link's still fits in front. False leaves the packet as it is. */
static inline bool
l4_tunnel_fits(const struct l4_packet *p, uint16_t len, enum l4_verdict *verdict)
{
	if (unlikely(rte_pktmbuf_headroom(p->m) < len + L4_LINK_HEADROOM)) {
		*verdict = L4_DROP_NO_HEADROOM;
		return false;
	}
	if (unlikely(p->ip_len + len > UINT16_MAX)) {
		*verdict = L4_DROP_TOO_BIG;
		return false;
	}
	return true;
}

static inline uint8_t *
l4_tunnel_prepend(struct l4_packet *p, uint16_t len)
{
	struct rte_mbuf *m = p->m;

	m->data_off -= len;
	m->data_len += len;
	m->pkt_len += len;
	return rte_pktmbuf_mtod(m, uint8_t *);
}

#endif
