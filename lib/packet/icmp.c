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

/* RFC 792 promises 8 bytes behind the header: ports and, of TCP, the sequence number. */
static bool
parse_quoted_l4(const uint8_t *l4, uint32_t len, struct packet_quote *quote)
{
	if ((quote->ip_protocol != IPPROTO_TCP && quote->ip_protocol != IPPROTO_UDP) || len < 8)
		return false;
	memcpy(&quote->source_port_be, l4, 2);
	memcpy(&quote->destination_port_be, l4 + 2, 2);
	if (quote->ip_protocol == IPPROTO_TCP)
		quote->tcp_sequence = load_32(l4 + 4);
	return true;
}

static bool
parse_quoted_v4(const uint8_t *data, uint32_t len, struct packet_quote *quote)
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
	return parse_quoted_l4(data + header_len, len - header_len, quote);
}

static bool
parse_quoted_v6(const uint8_t *data, uint32_t len, struct packet_quote *quote)
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
	return parse_quoted_l4(data + chain.l4_offset, len - chain.l4_offset, quote);
}

bool
packet_parse_icmp_error(struct rte_mbuf *m, struct packet_quote *quote)
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
	return v6 ? parse_quoted_v6(icmp + 8, len, quote) : parse_quoted_v4(icmp + 8, len, quote);
}
