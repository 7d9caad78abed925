/*
 * Generic UDP encapsulation, version 0 (draft-ietf-intarea-gue-09 section 3.1): UDP, four bytes that name the inner
 * protocol, no optional fields. The source port, from the inner flow's hash, spreads flows over paths and receive queues.
 */
#include <rte_udp.h>

#include "l4/forward/forwarders.h"
#include "l4/forward/tunnel.h"

/* RFC 6335 section 6: the dynamic ports, 49152 to 65535. */
#define SOURCE_PORT_FIRST 0xc000
#define SOURCE_PORT_MASK 0x3fff

struct gue_header {
	uint8_t version_control_len; /* 0, 0, 0 */
	uint8_t protocol;
	uint16_t flags_be;
};

#define GUE_LEN (sizeof(struct rte_udp_hdr) + sizeof(struct gue_header))

static uint16_t
gue_growth(const struct l4_target *target, bool ipv6_client)
{
	return l4_tunnel_ip_len(target) + GUE_LEN;
}

/*
 * The sum over the inner packet without reading it: a header and a segment whose checksums are right sum up to zero, and
 * what is left is the pseudo-header that the latter was made with, taken out. IPv6 has no header checksum, so its header
 * counts: the addresses and the length, which it shares with the pseudo-header, cancel out. False where there is no such
 * checksum.
 */
static __rte_always_inline bool
inner_sum(const struct l4_packet *p, uint64_t *sum)
{
	const uint8_t *l3 = p->l3, *l4 = l4_packet_l4(p);
	uint16_t l4_len = p->ip_len - p->l3_len;
	uint64_t addresses;

	if (p->flags & L4_PACKET_FRAGMENT || (p->ip_protocol != IPPROTO_TCP && p->ip_protocol != IPPROTO_UDP))
		return false;
	if (p->ip_protocol == IPPROTO_UDP &&
	    (l4_load_16(l4 + L4_UDP_CHECKSUM_AT) == 0 || ntohs(l4_load_16(l4 + 4)) != l4_len))
		return false;
	if (p->flags & L4_PACKET_IPV6) {
		*sum = (uint64_t)l4_load_32(l3) + htons((uint16_t)(p->ip_protocol << 8 | l3[L4_IPV6_TTL_AT])) +
		       (uint16_t)~htons(p->ip_protocol);
		return p->l3_len == L4_IPV6_HEADER_LEN;
	}
	addresses = (uint64_t)l4_load_32(l3 + L4_IPV4_ADDRESSES_AT) + l4_load_32(l3 + L4_IPV4_ADDRESSES_AT + 4);
	*sum = (uint16_t)~packet_sum_fold(packet_sum_pseudo(addresses, p->ip_protocol, l4_len));
	return true;
}

static inline uint64_t
address_sum(const struct ip_address *ip)
{
	return (uint64_t)ip->words_be[0] + ip->words_be[1] + ip->words_be[2] + ip->words_be[3];
}

/*
 * IPv4 does without a checksum, IPv6 does not: RFC 6936 lets tunnels, but receivers must be told. From values, as in
 * l4_tunnel_checksum_v4().
 */
static __rte_always_inline uint16_t
checksum_v6(const struct l4_packet *p, const struct l4_target *target, const struct rte_udp_hdr *udp,
	    uint8_t gue_protocol)
{
	uint64_t sum, pseudo = packet_sum_pseudo(address_sum(&target->local) + address_sum(&target->server.ip),
						 IPPROTO_UDP, ntohs(udp->dgram_len));
	uint16_t checksum;

	if (unlikely(!inner_sum(p, &sum))) {
		p->m->ol_flags |= RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
		p->m->tx_offload = rte_mbuf_tx_offload(0, sizeof(struct rte_ipv6_hdr), sizeof(*udp), 0, 0, 0, 0);
		return packet_sum_fold(pseudo);
	}
	checksum = (uint16_t)~packet_sum_fold(pseudo + sum + udp->src_port + udp->dst_port + udp->dgram_len +
					      htons(gue_protocol));
	return checksum ? checksum : UINT16_MAX;
}

/* `v4`: the outer header. */
static __rte_always_inline enum l4_verdict
put_in(struct l4_packet *packet, const struct l4_target *target, bool v4)
{
	uint16_t ip_len = v4 ? L4_IPV4_HEADER_LEN : L4_IPV6_HEADER_LEN, udp_len = packet->ip_len + GUE_LEN;
	uint64_t entropy = l4_packet_entropy(packet);
	const struct l4_packet inside = *packet;
	struct l4_tunnel_inner inner;
	enum l4_verdict verdict;
	struct rte_udp_hdr udp;
	uint8_t *at;

	if (!l4_tunnel_fits(packet, ip_len + GUE_LEN, &verdict))
		return verdict;
	l4_tunnel_inner_read(packet, entropy, &inner);
	at = l4_tunnel_extend(packet, ip_len + GUE_LEN);
	packet->m->tx_offload = rte_mbuf_tx_offload(0, ip_len, 0, 0, 0, 0, 0);
	udp = (struct rte_udp_hdr){
		.src_port = htons((uint16_t)(SOURCE_PORT_FIRST | (entropy >> 48 & SOURCE_PORT_MASK))),
		.dst_port = target->gue_port_be,
		.dgram_len = htons(udp_len),
	};
	if (v4) {
		l4_tunnel_write_v4(at, target, &inner, IPPROTO_UDP, udp_len);
	} else {
		l4_tunnel_write_v6(at, target, &inner, IPPROTO_UDP, udp_len, entropy);
		udp.dgram_cksum = checksum_v6(&inside, target, &udp, inner.ip_protocol);
	}
	memcpy(at + ip_len, &udp, sizeof(udp));
	*(struct gue_header *)(at + ip_len + sizeof(udp)) = (struct gue_header){ .protocol = inner.ip_protocol };
	return L4_FORWARDED;
}

static __rte_always_inline enum l4_verdict
put_in_udp(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	return ip_address_is_v4(&target->server.ip) ? put_in(packet, target, true) : put_in(packet, target, false);
}

L4_PLAIN_FUNCTIONS(gue_plain, put_in_udp)

static enum l4_verdict
gue_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	return l4_tunnel_any(packet, target, flow, put_in_udp);
}

const struct l4_forwarder l4_gue = {
	.name = "gue",
	.properties = L4_TUNNELS | L4_KEEPS_PORT | L4_TUNNEL_PORT,
	.growth = gue_growth,
	.to_server = gue_to_server,
	.plain_to_server = { gue_plain_v4, gue_plain_v6 },
};
