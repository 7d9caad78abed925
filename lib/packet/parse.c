#include "packet/parse.h"

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "packet/chain.h"
#include "packet/sum.h"

/* What the layers tell each other; lives in registers, as everything below is inlined into packet_parse(). */
struct parse {
	struct rte_mbuf *m;
	struct packet_view *view;
	const uint8_t *data;
	uint32_t data_len;      /* of the first segment: what may be read */
	uint64_t addresses_sum; /* unfolded, for the pseudo-header */
	uint32_t l4_len;        /* by the IP length */
};

/* ---- L4 ---- */

/*
 * A device that found a sum good is believed. One that found it bad is not: it may have met a partial sum (DPDK's TAP
 * driver does), and "none" (virtio) is that by definition.
 */
static inline enum packet_verdict
l4_checksum_check(const struct parse *p, uint16_t field, uint32_t checked_len, bool may_be_partial)
{
	struct packet_view *view = p->view;
	uint64_t sum = 0;

	if (view->flags & PACKET_FRAGMENT)
		return PACKET_OK;
	if ((p->m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
		view->flags |= PACKET_L4_CHECKSUM_GOOD;
		return PACKET_OK;
	}
	if (view->ip_protocol != IPPROTO_ICMP)
		sum = packet_sum_pseudo(p->addresses_sum, view->ip_protocol, checked_len);
	if (may_be_partial && packet_sum_fold(sum) == field) {
		view->flags |= PACKET_L4_CHECKSUM_GOOD | PACKET_L4_CHECKSUM_PARTIAL;
		return PACKET_OK;
	}
	sum = packet_sum_segments(sum, p->m, view->l4_offset, checked_len);
	if (unlikely(packet_sum_fold(sum) != UINT16_MAX))
		return PACKET_DROP_L4_CHECKSUM;
	view->flags |= PACKET_L4_CHECKSUM_GOOD;
	return PACKET_OK;
}

static inline void
payload_set(const struct parse *p, uint32_t header_len, uint32_t l4_len)
{
	p->view->payload_offset = (uint16_t)(p->view->l4_offset + header_len);
	p->view->payload_len = (uint16_t)(l4_len - header_len);
}

/* True when `len` bytes of the L4 header are in the packet and in the first segment. */
static inline bool
l4_has(const struct parse *p, uint32_t len)
{
	return len <= p->l4_len && p->view->l4_offset + len <= p->data_len;
}

static inline enum packet_verdict
parse_tcp(const struct parse *p)
{
	const struct rte_tcp_hdr *tcp = (const void *)(p->data + p->view->l4_offset);
	uint32_t header_len;

	if (unlikely(!l4_has(p, sizeof(*tcp))))
		return PACKET_DROP_TRUNCATED;
	header_len = (uint32_t)(tcp->data_off >> 4) * 4;
	if (unlikely(header_len < sizeof(*tcp)))
		return PACKET_DROP_BAD_HEADER_LEN;
	if (unlikely(!l4_has(p, header_len)))
		return PACKET_DROP_TRUNCATED;
	p->view->source_port_be = tcp->src_port;
	p->view->destination_port_be = tcp->dst_port;
	p->view->tcp_flags = tcp->tcp_flags;
	payload_set(p, header_len, p->l4_len);
	return l4_checksum_check(p, tcp->cksum, p->l4_len, true);
}

static inline enum packet_verdict
parse_udp(const struct parse *p)
{
	const struct rte_udp_hdr *udp = (const void *)(p->data + p->view->l4_offset);
	bool fragment = p->view->flags & PACKET_FRAGMENT;
	uint32_t udp_len;

	if (unlikely(!l4_has(p, sizeof(*udp))))
		return PACKET_DROP_TRUNCATED;
	udp_len = ntohs(udp->dgram_len);
	if (unlikely(udp_len < sizeof(*udp)))
		return PACKET_DROP_BAD_HEADER_LEN;
	if (unlikely(udp_len > p->l4_len && !fragment))
		return PACKET_DROP_TRUNCATED;
	p->view->source_port_be = udp->src_port;
	p->view->destination_port_be = udp->dst_port;
	payload_set(p, sizeof(*udp), fragment ? p->l4_len : udp_len);
	if (udp->dgram_cksum == 0 && !fragment) {
		/* No sum at all is IPv4's privilege (RFC 768; RFC 8200 section 8.1). */
		if (p->view->flags & PACKET_IPV6)
			return PACKET_DROP_L4_CHECKSUM;
		p->view->flags |= PACKET_L4_CHECKSUM_GOOD;
		return PACKET_OK;
	}
	return l4_checksum_check(p, udp->dgram_cksum, udp_len, true);
}

static inline bool
is_echo(uint8_t protocol, uint8_t type)
{
	if (protocol == IPPROTO_ICMP)
		return type == RTE_IP_ICMP_ECHO_REQUEST || type == RTE_IP_ICMP_ECHO_REPLY;
	return type == 128 || type == 129; /* RFC 4443 section 4 */
}

static inline enum packet_verdict
parse_icmp(const struct parse *p)
{
	const struct rte_icmp_hdr *icmp = (const void *)(p->data + p->view->l4_offset);

	if (unlikely(!l4_has(p, sizeof(*icmp))))
		return PACKET_DROP_TRUNCATED;
	p->view->source_port_be = htons((uint16_t)(icmp->icmp_type << 8 | icmp->icmp_code));
	if (is_echo(p->view->ip_protocol, icmp->icmp_type))
		p->view->destination_port_be = icmp->icmp_ident;
	payload_set(p, sizeof(*icmp), p->l4_len);
	return l4_checksum_check(p, icmp->icmp_cksum, p->l4_len, false);
}

static inline enum packet_verdict
parse_l4(const struct parse *p, uint32_t fragment_offset)
{
	payload_set(p, 0, p->l4_len);
	if (unlikely(fragment_offset > 0)) {
		/* Ports, sequence number and flags come from the first fragment alone (RFC 1858, RFC 3128). */
		if (p->view->ip_protocol == IPPROTO_TCP && fragment_offset < sizeof(struct rte_tcp_hdr))
			return PACKET_DROP_FRAGMENT_OVERLAP;
		p->view->flags |= PACKET_LATER_FRAGMENT;
		return PACKET_OK;
	}
	switch (p->view->ip_protocol) {
	case IPPROTO_TCP:
		return parse_tcp(p);
	case IPPROTO_UDP:
		return parse_udp(p);
	case IPPROTO_ICMP:
		return p->view->flags & PACKET_IPV6 ? PACKET_OK : parse_icmp(p);
	case IPPROTO_ICMPV6:
		return p->view->flags & PACKET_IPV6 ? parse_icmp(p) : PACKET_OK;
	default:
		return PACKET_OK;
	}
}

/* ---- IP ---- */

/* Source addresses that no answer can go to. 0.0.0.0 and :: are legitimate in a host that has no address yet (RFC 1122
 * 3.2.1.3, RFC 4862), which only talks to groups: DHCP, duplicate address detection, MLD. */
static inline bool
is_martian_v4(uint32_t source_be, uint32_t destination_be)
{
	uint32_t source = ntohl(source_be);

	if (source >= 0xe0000000)
		return source <= 0xefffffff || source == UINT32_MAX;
	return source == 0 && ntohl(destination_be) < 0xe0000000;
}

/* ::ffff:0:0/96 on the wire would pass for the IPv4 address in every table. */
static inline bool
is_martian_v6(const struct ip_address *source, const struct ip_address *destination)
{
	if (source->bytes[0] == 0xff || ip_address_is_v4(source) || ip_address_is_v4(destination))
		return true;
	return source->halves[0] == 0 && source->halves[1] == 0 && destination->bytes[0] != 0xff;
}

static inline uint16_t
ipv4_header_sum(const struct rte_ipv4_hdr *ip, uint32_t len)
{
	/* The usual length as a constant, so that the loop is unrolled. */
	return packet_sum_fold(likely(len == sizeof(*ip)) ? packet_sum(0, ip, sizeof(*ip)) : packet_sum(0, ip, len));
}

static inline enum packet_verdict
parse_ipv4(struct parse *p)
{
	struct packet_view *view = p->view;
	const struct rte_ipv4_hdr *ip = (const void *)(p->data + view->l3_offset);
	uint32_t header_len, total_len, fragment;

	if (unlikely(view->l3_offset + sizeof(*ip) > p->data_len))
		return PACKET_DROP_TRUNCATED;
	if (unlikely(ip->version_ihl >> 4 != 4))
		return PACKET_DROP_BAD_VERSION;
	header_len = (uint32_t)(ip->version_ihl & 0xf) * 4;
	total_len = ntohs(ip->total_length);
	if (unlikely(header_len < sizeof(*ip) || total_len < header_len))
		return PACKET_DROP_BAD_HEADER_LEN;
	if (unlikely(view->l3_offset + header_len > p->data_len || view->l3_offset + total_len > p->m->pkt_len))
		return PACKET_DROP_TRUNCATED;
	if ((p->m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	    unlikely(ipv4_header_sum(ip, header_len) != UINT16_MAX))
		return PACKET_DROP_IP_CHECKSUM;
	view->source = ip_address_from_v4(ip->src_addr);
	view->destination = ip_address_from_v4(ip->dst_addr);
	view->ip_protocol = ip->next_proto_id;
	view->ttl = ip->time_to_live;
	view->tos = ip->type_of_service;
	view->l3_total_len = (uint16_t)total_len;
	view->l4_offset = (uint16_t)(view->l3_offset + header_len);
	if (unlikely(is_martian_v4(ip->src_addr, ip->dst_addr)))
		return PACKET_DROP_MARTIAN;
	fragment = ntohs(ip->fragment_offset) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	if (unlikely(fragment))
		view->flags |= PACKET_FRAGMENT;
	p->addresses_sum = (uint64_t)ip->src_addr + ip->dst_addr;
	p->l4_len = total_len - header_len;
	return parse_l4(p, (fragment & RTE_IPV4_HDR_OFFSET_MASK) * RTE_IPV4_HDR_OFFSET_UNITS);
}

static inline enum packet_verdict
parse_ipv6(struct parse *p)
{
	struct packet_view *view = p->view;
	const struct rte_ipv6_hdr *ip = (const void *)(p->data + view->l3_offset);
	enum packet_verdict verdict;
	struct packet_chain chain;
	uint32_t total_len;

	if (unlikely(view->l3_offset + sizeof(*ip) > p->data_len))
		return PACKET_DROP_TRUNCATED;
	if (unlikely(p->data[view->l3_offset] >> 4 != 6))
		return PACKET_DROP_BAD_VERSION;
	total_len = sizeof(*ip) + ntohs(ip->payload_len);
	if (unlikely(total_len > UINT16_MAX))
		return PACKET_DROP_BAD_HEADER_LEN;
	if (unlikely(view->l3_offset + total_len > p->m->pkt_len))
		return PACKET_DROP_TRUNCATED;
	view->flags |= PACKET_IPV6;
	view->source = ip_address_from_v6(ip->src_addr);
	view->destination = ip_address_from_v6(ip->dst_addr);
	view->ip_protocol = ip->proto;
	view->ttl = ip->hop_limits;
	view->tos = (uint8_t)(ntohl(ip->vtc_flow) >> 20);
	view->l3_total_len = (uint16_t)total_len;
	if (unlikely(is_martian_v6(&view->source, &view->destination)))
		return PACKET_DROP_MARTIAN;
	verdict = packet_chain_walk(p->data, view->l3_offset + sizeof(*ip),
				    RTE_MIN(view->l3_offset + total_len, p->data_len), ip->proto, &chain);
	if (unlikely(verdict != PACKET_OK))
		return verdict;
	view->ip_protocol = chain.protocol;
	view->l4_offset = (uint16_t)chain.l4_offset;
	if (chain.fragment)
		view->flags |= PACKET_FRAGMENT;
	p->addresses_sum = packet_sum(0, ip->src_addr, 32);
	p->l4_len = view->l3_offset + total_len - chain.l4_offset;
	return parse_l4(p, chain.fragment_offset);
}

/* ---- Ethernet ---- */

static inline enum packet_verdict
parse_ethernet(struct parse *p)
{
	struct packet_view *view = p->view;
	const struct rte_ether_hdr *ethernet = (const void *)p->data;
	uint16_t type_be;

	if (unlikely(p->data_len < sizeof(*ethernet)))
		return PACKET_DROP_TRUNCATED;
	type_be = ethernet->ether_type;
	view->l3_offset = sizeof(*ethernet);
	if (p->m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		view->flags |= PACKET_VLAN;
		view->vlan_id = p->m->vlan_tci & 0xfff;
	} else if (unlikely(type_be == htons(RTE_ETHER_TYPE_VLAN))) {
		const struct rte_vlan_hdr *vlan = (const void *)(ethernet + 1);

		if (p->data_len < sizeof(*ethernet) + sizeof(*vlan))
			return PACKET_DROP_TRUNCATED;
		view->flags |= PACKET_VLAN;
		view->vlan_id = ntohs(vlan->vlan_tci) & 0xfff;
		view->l3_offset += sizeof(*vlan);
		type_be = vlan->eth_proto;
	}
	if (likely(type_be == htons(RTE_ETHER_TYPE_IPV4)))
		return parse_ipv4(p);
	if (type_be == htons(RTE_ETHER_TYPE_IPV6))
		return parse_ipv6(p);
	return PACKET_NOT_IP;
}

enum packet_verdict
packet_parse(struct rte_mbuf *m)
{
	struct packet_view *view = packet_view(m);
	struct parse p = {
		.m = m,
		.view = view,
		.data = rte_pktmbuf_mtod(m, const uint8_t *),
		.data_len = m->data_len,
	};
	enum packet_verdict verdict;

	*view = (struct packet_view){ .port_index = view->port_index, .queue = view->queue };
	verdict = parse_ethernet(&p);
	view->verdict = (uint8_t)verdict;
	return verdict;
}
