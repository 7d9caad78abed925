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

static __rte_always_inline uint16_t
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

static __rte_always_inline void
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

/*
 * Writes the outer IP header to `at`, in front of `payload_len` bytes of `protocol`. In words as they lie in memory, which
 * are summed as they are, too: what was just stored cannot be loaded in other pieces without waiting.
 */
static __rte_always_inline void
l4_tunnel_write_v4(uint8_t *at, const struct l4_target *target, const struct l4_tunnel_inner *inner, uint8_t protocol,
		   uint16_t payload_len)
{
	uint32_t source = ip_address_v4_be(&target->local), destination = ip_address_v4_be(&target->server.ip);
	uint32_t length = (uint32_t)rte_cpu_to_be_16((uint16_t)(payload_len + L4_IPV4_HEADER_LEN)) << 16 |
			  (uint32_t)inner->tos << 8 | RTE_IPV4_VHL_DEF;
	uint32_t fragment = (uint32_t)inner->fragment_be << 16 | inner->identification_be;
	uint32_t rest = (uint32_t)protocol << 8 | L4_TUNNEL_TTL;
	uint16_t sum = packet_sum_fold((uint64_t)source + destination + length + fragment + rest);

	l4_store_32(at, length);
	l4_store_32(at + 4, fragment);
	l4_store_32(at + 8, rest | (uint32_t)(uint16_t)~sum << 16);
	l4_store_32(at + 12, source);
	l4_store_32(at + 16, destination);
}

/* The flow label keeps a flow on one path (RFC 6438). */
static __rte_always_inline void
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
static __rte_always_inline bool
l4_tunnel_fits(const struct l4_packet *p, uint16_t len, enum l4_verdict *verdict)
{
	if (unlikely(p->l3 - (uint8_t *)p->m->buf_addr < len + L4_LINK_HEADROOM)) {
		*verdict = L4_DROP_NO_HEADROOM;
		return false;
	}
	if (unlikely(p->ip_len + len > UINT16_MAX)) {
		*verdict = L4_DROP_TOO_BIG;
		return false;
	}
	return true;
}

/* The packet starts that much sooner. Its first byte, then. */
static __rte_always_inline uint8_t *
l4_tunnel_extend(struct l4_packet *p, uint16_t len)
{
	p->l3 -= len;
	p->ip_len += len;
	return p->l3;
}

/* Any packet, by what is written for plain ones. */
static __rte_always_inline enum l4_verdict
l4_tunnel_any(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow, l4_forward_function *put)
{
	struct rte_mbuf *m = packet->m;
	struct l4_packet outer;
	enum l4_verdict verdict;
	uint16_t len;

	l4_tunnel_inner_finish(packet);
	outer = *packet;
	verdict = put(&outer, target, flow);
	len = (uint16_t)(packet->l3 - outer.l3);
	m->data_off -= len;
	m->data_len += len;
	m->pkt_len += len;
	return verdict;
}

#endif
