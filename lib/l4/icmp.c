#include <netinet/in.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "l4/forward.h"
#include "l4/rewrite_inline.h"
#include "packet/build.h"
#include "packet/chain.h"
#include "packet/checksum.h"

#define ICMP_HEADER_LEN 8
#define ICMP_TTL 64

/* The whole error at most: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4(c). */
#define ERROR_MAX_V4 576
#define ERROR_MAX_V6 1280

/* Nobody goes below (RFC 791 section 3.2, RFC 8201 section 4). */
#define MTU_MIN_V4 68
#define MTU_MIN_V6 1280

enum {
	ICMP_UNREACHABLE = 3,
	ICMP_NETWORK = 0, /* codes of it */
	ICMP_HOST = 1,
	ICMP_FRAGMENTATION_NEEDED = 4,
	ICMP_REDIRECT = 5,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_TIME_IS_UP = 11,
	ICMP_PARAMETER = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_ADDRESS_UNREACHABLE = 3, /* a code of it */
	ICMPV6_TOO_BIG = 2,
	ICMPV6_TIME_IS_UP = 3,
	ICMPV6_INFORMATIONAL = 128, /* and above (RFC 4443 section 2.1) */
	ICMPV6_REDIRECT = 137,
};

/* MTU, or unused; the quote is behind the header. */
#define ICMP_REST_AT 4

/* ---- errors of our own ---- */

static bool
is_icmp_error(const struct l4_packet *p)
{
	uint8_t type = *l4_packet_l4(p);

	if (p->flags & L4_PACKET_IPV6)
		return p->ip_protocol == IPPROTO_ICMPV6 && (type < ICMPV6_INFORMATIONAL || type == ICMPV6_REDIRECT);
	return p->ip_protocol == IPPROTO_ICMP &&
	       (type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
		type == ICMP_TIME_IS_UP || type == ICMP_PARAMETER);
}

/* One host's address: neither a group's, nor the network's, nor the host's own. */
static bool
is_unicast(const struct ip_address *ip)
{
	uint32_t v4;

	if (!ip_address_is_v4(ip))
		return ip->bytes[0] != 0xff && !ip_address_is_any(ip) && !ip_address_is_loopback(ip);
	v4 = ntohl(ip_address_v4_be(ip));
	return v4 < 0xe0000000 && v4 >> 24 != 0 && !ip_address_is_loopback(ip);
}

static bool
may_be_told(const struct l4_packet *p)
{
	const struct ip_address source = l4_packet_source(p), destination = l4_packet_destination(p);

	return !(p->flags & L4_PACKET_LATER_FRAGMENT) && is_unicast(&source) && is_unicast(&destination) &&
	       !is_icmp_error(p);
}

/* Appends `len` bytes of the packet, from its IP header on, over its segments. */
static bool
quote_append(struct rte_mbuf *error, const struct l4_packet *p, uint16_t len)
{
	uint32_t offset = (uint32_t)(p->l3 - rte_pktmbuf_mtod(p->m, const uint8_t *));
	char *to = rte_pktmbuf_append(error, len);
	const void *from;

	if (!to)
		return false;
	from = rte_pktmbuf_read(p->m, offset, len, to);
	if (from && from != to)
		memcpy(to, from, len);
	return from;
}

static bool
error_build(struct rte_mbuf *error, const struct l4_packet *p, const struct ip_address *source, uint8_t type,
	    uint8_t code, uint32_t rest)
{
	const struct ip_address destination = l4_packet_source(p);
	bool v6 = p->flags & L4_PACKET_IPV6;
	uint32_t quote_max =
		(v6 ? ERROR_MAX_V6 - sizeof(struct rte_ipv6_hdr) : ERROR_MAX_V4 - sizeof(struct rte_ipv4_hdr)) -
		ICMP_HEADER_LEN;
	uint8_t *icmp = (uint8_t *)rte_pktmbuf_append(error, ICMP_HEADER_LEN);

	if (!icmp)
		return false;
	memset(icmp, 0, ICMP_HEADER_LEN);
	icmp[0] = type;
	icmp[1] = code;
	l4_store_32(icmp + ICMP_REST_AT, htonl(rest));
	if (!quote_append(error, p, (uint16_t)RTE_MIN(quote_max, (uint32_t)p->ip_len)) ||
	    !packet_build_ip(error, source, &destination, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 0, ICMP_TTL))
		return false;
	packet_checksum_fill(error, 0);
	return true;
}

static struct rte_mbuf *
error_new(struct rte_mempool *pool, const struct l4_packet *packet, const struct ip_address *source, uint8_t type,
	  uint8_t code, uint32_t rest)
{
	struct rte_mbuf *error;

	if (!may_be_told(packet))
		return NULL;
	error = rte_pktmbuf_alloc(pool);
	if (error && !error_build(error, packet, source, type, code, rest)) {
		rte_pktmbuf_free(error);
		return NULL;
	}
	return error;
}

struct rte_mbuf *
l4_icmp_too_big(struct rte_mempool *pool, const struct l4_packet *packet, const struct ip_address *source, uint16_t mtu)
{
	if (packet->flags & L4_PACKET_IPV6)
		return error_new(pool, packet, source, ICMPV6_TOO_BIG, 0, mtu);
	return error_new(pool, packet, source, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, mtu);
}

struct rte_mbuf *
l4_icmp_time_exceeded(struct rte_mempool *pool, const struct l4_packet *packet, const struct ip_address *source)
{
	bool v6 = packet->flags & L4_PACKET_IPV6;

	return error_new(pool, packet, source, v6 ? ICMPV6_TIME_IS_UP : ICMP_TIME_IS_UP, 0, 0);
}

struct rte_mbuf *
l4_icmp_unreachable(struct rte_mempool *pool, const struct l4_packet *packet, const struct ip_address *source,
		    bool network)
{
	if (packet->flags & L4_PACKET_IPV6)
		return error_new(pool, packet, source, ICMPV6_UNREACHABLE, ICMPV6_ADDRESS_UNREACHABLE, 0);
	return error_new(pool, packet, source, ICMP_UNREACHABLE, network ? ICMP_NETWORK : ICMP_HOST, 0);
}

/* ---- errors of others ---- */

/* The quoted packet as an l4_packet, though cut off: its TTL and lengths are of no interest. `len`: bytes that are there. */
static bool
quote_parse(uint8_t *at, uint32_t len, bool v6, struct l4_packet *quote)
{
	struct packet_chain chain;
	const struct rte_ipv4_hdr *v4 = (const void *)at;

	*quote = (struct l4_packet){ .l3 = at, .flags = v6 ? L4_PACKET_IPV6 : 0 };
	if (v6) {
		if (len < L4_IPV6_HEADER_LEN || at[0] >> 4 != 6 ||
		    packet_chain_walk(at, L4_IPV6_HEADER_LEN, len, at[6], &chain) != PACKET_OK ||
		    chain.fragment_offset > 0)
			return false;
		quote->l3_len = (uint16_t)chain.l4_offset;
		quote->ip_protocol = chain.protocol;
	} else {
		if (len < sizeof(*v4) || at[0] >> 4 != 4 || rte_ipv4_hdr_len(v4) < sizeof(*v4) ||
		    v4->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK))
			return false;
		quote->l3_len = rte_ipv4_hdr_len(v4);
		quote->ip_protocol = v4->next_proto_id;
	}
	if ((quote->ip_protocol != IPPROTO_TCP && quote->ip_protocol != IPPROTO_UDP) || quote->l3_len + 8u > len)
		return false;
	quote->source_port_be = l4_load_16(at + quote->l3_len);
	quote->destination_port_be = l4_load_16(at + quote->l3_len + 2);
	return true;
}

/*
 * In the quote, as much as is there of its headers: RFC 5508 section 4.2. The TCP checksum may be cut off, and then only
 * the addresses and ports are. What the quote's sums cover is not looked at: they are kept as right or wrong as they were.
 */
static void
quote_rewrite(struct l4_packet *quote, uint32_t len, const struct endpoint *source, const struct endpoint *destination)
{
	uint8_t *l4 = l4_packet_l4(quote);

	if (quote->ip_protocol == IPPROTO_UDP || quote->l3_len + L4_TCP_CHECKSUM_AT + 2u <= len) {
		l4_rewrite_ends(quote, &source->ip, source->port_be, &destination->ip, destination->port_be);
		return;
	}
	quote->flags |= L4_PACKET_LATER_FRAGMENT;
	l4_rewrite_ends(quote, &source->ip, source->port_be, &destination->ip, destination->port_be);
	l4_store_16(l4, quote->source_port_be);
	l4_store_16(l4 + 2, quote->destination_port_be);
}

/* Room that headers of ours take is not the sender's (0: a router that does not know RFC 1191). */
static void
mtu_reduce(uint8_t *icmp, bool v6, uint16_t growth)
{
	uint32_t mtu = ntohl(l4_load_32(icmp + ICMP_REST_AT)), least = v6 ? MTU_MIN_V6 : MTU_MIN_V4;

	if (v6 ? icmp[0] != ICMPV6_TOO_BIG : icmp[0] != ICMP_UNREACHABLE || icmp[1] != ICMP_FRAGMENTATION_NEEDED)
		return;
	if (!v6)
		mtu &= UINT16_MAX;
	if (mtu <= least)
		return;
	mtu = mtu - least > growth ? mtu - growth : least;
	if (v6)
		l4_store_32(icmp + ICMP_REST_AT, htonl(mtu));
	else
		l4_store_16(icmp + ICMP_REST_AT + 2, htons((uint16_t)mtu));
}

static void
outer_rewrite(struct l4_packet *p, const struct ip_address *source, const struct ip_address *destination)
{
	bool v6 = p->flags & L4_PACKET_IPV6;
	uint8_t *addresses = p->l3 + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);
	uint64_t change = l4_address_replace(addresses + (v6 ? 16 : 4), v6, destination);

	if (source)
		change += l4_address_replace(addresses, v6, source);
	if (!v6)
		l4_ipv4_checksum_adjust(p->l3, change);
}

bool
l4_icmp_relay(struct l4_packet *packet, const struct ip_address *source, const struct ip_address *destination,
	      const struct endpoint *quoted_source, const struct endpoint *quoted_destination, uint16_t mtu_growth)
{
	bool v6 = packet->flags & L4_PACKET_IPV6;
	uint8_t *icmp = l4_packet_l4(packet), *end;
	struct l4_packet quote;
	uint32_t len;

	if (packet->ip_protocol != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || packet->flags & L4_PACKET_FRAGMENT ||
	    packet->ip_len < packet->l3_len + ICMP_HEADER_LEN)
		return false;
	if (ip_address_is_v4(destination) == v6 || ip_address_is_v4(&quoted_source->ip) == v6 ||
	    ip_address_is_v4(&quoted_destination->ip) == v6)
		return false;
	/* Headers are read and written in the first segment alone. */
	end = rte_pktmbuf_mtod_offset(packet->m, uint8_t *, packet->m->data_len);
	if (end - packet->l3 > packet->ip_len)
		end = packet->l3 + packet->ip_len;
	if (end - icmp < ICMP_HEADER_LEN)
		return false;
	len = (uint32_t)(end - icmp) - ICMP_HEADER_LEN;
	if (!quote_parse(icmp + ICMP_HEADER_LEN, len, v6, &quote))
		return false;
	l4_strip(packet);
	quote_rewrite(&quote, len, quoted_source, quoted_destination);
	mtu_reduce(icmp, v6, mtu_growth);
	outer_rewrite(packet, source, destination);
	packet_checksum_fill(packet->m, 0);
	return true;
}
