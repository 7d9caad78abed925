#include <netinet/in.h>
#include <rte_ip.h>
#include <string.h>

#include "packet/chain.h"
#include "packet/parse.h"

enum {
	ICMP_UNREACHABLE = 3,
	ICMP_FRAGMENTATION_NEEDED = 4, /* a code of it */
	ICMP_TIME_IS_UP = 11,
	ICMP_PARAMETER = 12,
	ICMPV6_TOO_BIG = 2,
	ICMPV6_PARAMETER = 4,
};

/* Source quench is no error any more (RFC 6633), and a redirect is Linux's business. */
static bool
is_error(const struct packet_view *view, uint8_t type)
{
	if (view->ip_protocol == IPPROTO_ICMP)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_IS_UP || type == ICMP_PARAMETER;
	return type >= 1 && type <= ICMPV6_PARAMETER;
}

static uint32_t
load_32(const uint8_t *at)
{
	uint32_t word_be;

	memcpy(&word_be, at, sizeof(word_be));
	return ntohl(word_be);
}

static uint32_t
mtu_of(const struct packet_view *view, const uint8_t *icmp)
{
	if (view->ip_protocol == IPPROTO_ICMP)
		return icmp[0] == ICMP_UNREACHABLE && icmp[1] == ICMP_FRAGMENTATION_NEEDED ? load_32(icmp + 4) & 0xffff
											   : 0;
	return icmp[0] == ICMPV6_TOO_BIG ? load_32(icmp + 4) : 0;
}

/* A quoted IP packet: where its header is, and how much of what is behind that is there. */
struct quoted_ip {
	const uint8_t *l3, *l4;
	uint32_t l4_len;
	uint16_t total_len; /* by its header */
};

/* RFC 792 promises 8 bytes behind the header: ports and, of TCP, the sequence number. */
static bool
parse_quoted_l4(const struct quoted_ip *ip, struct packet_quote *quote)
{
	if ((quote->ip_protocol != IPPROTO_TCP && quote->ip_protocol != IPPROTO_UDP) || ip->l4_len < 8)
		return false;
	memcpy(&quote->source_port_be, ip->l4, 2);
	memcpy(&quote->destination_port_be, ip->l4 + 2, 2);
	if (quote->ip_protocol == IPPROTO_TCP)
		quote->tcp_sequence = load_32(ip->l4 + 4);
	return true;
}

static bool
parse_quoted_v4(const uint8_t *data, uint32_t len, struct quoted_ip *out, struct packet_quote *quote)
{
	struct rte_ipv4_hdr ip;
	uint32_t header_len;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, data, sizeof(ip));
	header_len = rte_ipv4_hdr_len(&ip);
	if (ip.version_ihl >> 4 != 4 || header_len < sizeof(ip) || header_len > len ||
	    ip.fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	quote->source = ip_address_from_v4(ip.src_addr);
	quote->destination = ip_address_from_v4(ip.dst_addr);
	quote->ip_protocol = ip.next_proto_id;
	*out = (struct quoted_ip){ data, data + header_len, len - header_len, ntohs(ip.total_length) };
	return true;
}

static bool
parse_quoted_v6(const uint8_t *data, uint32_t len, struct quoted_ip *out, struct packet_quote *quote)
{
	struct packet_chain chain;
	struct rte_ipv6_hdr ip;

	if (len < sizeof(ip) || data[0] >> 4 != 6)
		return false;
	memcpy(&ip, data, sizeof(ip));
	if (packet_chain_walk(data, sizeof(ip), len, ip.proto, &chain) != PACKET_OK || chain.fragment_offset > 0)
		return false;
	quote->source = ip_address_from_v6(ip.src_addr);
	quote->destination = ip_address_from_v6(ip.dst_addr);
	/* What Weir never sent, and what would pass for IPv4 in every table. */
	if (ip_address_is_v4(&quote->source) || ip_address_is_v4(&quote->destination))
		return false;
	quote->ip_protocol = chain.protocol;
	*out = (struct quoted_ip){ data, data + chain.l4_offset, len - chain.l4_offset,
				   (uint16_t)RTE_MIN(ntohs(ip.payload_len) + sizeof(ip), (size_t)UINT16_MAX) };
	return true;
}

static bool
parse_quoted_ip(const uint8_t *data, uint32_t len, bool v6, struct quoted_ip *out, struct packet_quote *quote)
{
	return v6 ? parse_quoted_v6(data, len, out, quote) : parse_quoted_v4(data, len, out, quote);
}

/* The error itself, and the IP header that it quotes. */
static bool
parse_error(struct rte_mbuf *m, struct quoted_ip *ip, struct packet_quote *quote)
{
	const struct packet_view *view = packet_view(m);
	const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, view->l4_offset);
	bool v6 = view->flags & PACKET_IPV6;
	uint32_t len;

	if (view->verdict != PACKET_OK || view->ip_protocol != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    view->flags & PACKET_FRAGMENT || !is_error(view, icmp[0]))
		return false;
	*quote = (struct packet_quote){ .icmp_type = icmp[0], .icmp_code = icmp[1], .mtu = mtu_of(view, icmp) };
	len = RTE_MIN(view->payload_len, (uint32_t)m->data_len - view->payload_offset);
	return parse_quoted_ip(icmp + 8, len, v6, ip, quote);
}

bool
packet_parse_icmp_error(struct rte_mbuf *m, struct packet_quote *quote)
{
	struct quoted_ip ip;

	return parse_error(m, &ip, quote) && parse_quoted_l4(&ip, quote);
}

/* UDP and 4 bytes: version 0, no control message, no optional fields; the inner protocol; no flags. */
#define GUE_LEN (8 + 4)

/* The inner packet's protocol, 0 when it is no tunnel's; GUE's headers are taken off `ip`. */
static uint8_t
tunnel_enter(struct quoted_ip *ip, struct packet_quote *outer)
{
	const uint8_t *gue = ip->l4 + 8;

	if (outer->ip_protocol != IPPROTO_UDP)
		return outer->ip_protocol;
	if (ip->l4_len < GUE_LEN || !parse_quoted_l4(ip, outer) || gue[0] || gue[2] || gue[3])
		return 0;
	ip->l4 += GUE_LEN;
	ip->l4_len -= GUE_LEN;
	return gue[1];
}

bool
packet_parse_icmp_tunnel(struct rte_mbuf *m, struct packet_tunnel_quote *quote)
{
	struct quoted_ip outer, inner;
	uint8_t protocol;

	*quote = (struct packet_tunnel_quote){ 0 };
	if (!parse_error(m, &outer, &quote->outer))
		return false;
	protocol = tunnel_enter(&outer, &quote->outer);
	if ((protocol != IPPROTO_IPIP && protocol != IPPROTO_IPV6) ||
	    !parse_quoted_ip(outer.l4, outer.l4_len, protocol == IPPROTO_IPV6, &inner, &quote->inner) ||
	    (quote->inner.ip_protocol != IPPROTO_TCP && quote->inner.ip_protocol != IPPROTO_UDP) || inner.l4_len < 4)
		return false;
	memcpy(&quote->inner.source_port_be, inner.l4, 2);
	memcpy(&quote->inner.destination_port_be, inner.l4 + 2, 2);
	quote->outer_len = outer.total_len;
	quote->inner_offset = (uint16_t)(inner.l3 - rte_pktmbuf_mtod(m, const uint8_t *));
	quote->inner_l4_offset = (uint16_t)(inner.l4 - inner.l3);
	quote->inner_len = (uint16_t)RTE_MIN(quote->inner_l4_offset + inner.l4_len, (uint32_t)inner.total_len);
	return quote->inner_len >= quote->inner_l4_offset + 4u;
}
