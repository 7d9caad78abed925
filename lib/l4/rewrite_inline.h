/*
 * The packet path's half of rewrite.c: what every forwarded packet goes through, inlined into the forwarders. Of this room
 * alone; the contracts are those of forward.h.
 *
 * Sums are kept by difference (RFC 1624 equation 3): what is taken out goes in inverted, words as they lie in memory. A
 * difference of up to sixteen 32-bit words stays unfolded.
 */
#ifndef L4_REWRITE_INLINE_H
#define L4_REWRITE_INLINE_H

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "l4/packet.h"
#include "packet/sum.h"

/* What a next hop puts in front: Ethernet and a tag. */
#define L4_LINK_HEADROOM 18

enum {
	L4_IPV4_HEADER_LEN = 20,
	L4_IPV4_TOTAL_LEN_AT = 2,
	L4_IPV4_TTL_AT = 8,
	L4_IPV4_CHECKSUM_AT = 10,
	L4_IPV4_ADDRESSES_AT = 12,
	L4_IPV6_PAYLOAD_LEN_AT = 4,
	L4_IPV6_TTL_AT = 7,
	L4_IPV6_ADDRESSES_AT = 8,
	L4_IPV6_HEADER_LEN = 40,
	L4_TCP_DATA_OFFSET_AT = 12,
	L4_TCP_FLAGS_AT = 13,
	L4_TCP_CHECKSUM_AT = 16,
	L4_TCP_HEADER_LEN = 20,
	L4_UDP_CHECKSUM_AT = 6,
	L4_UDP_HEADER_LEN = 8,
};

static inline uint16_t
l4_load_16(const uint8_t *at)
{
	uint16_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint32_t
l4_load_32(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint64_t
l4_load_64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline void
l4_store_16(uint8_t *at, uint16_t word)
{
	memcpy(at, &word, sizeof(word));
}

static inline void
l4_store_32(uint8_t *at, uint32_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* ---- differences ---- */

static inline uint64_t
l4_change_16(uint16_t from, uint16_t to)
{
	return (uint64_t)(uint16_t)~from + to;
}

static inline uint64_t
l4_change_32(uint32_t from, uint32_t to)
{
	return (uint64_t)(uint32_t)~from + to;
}

static inline uint64_t
l4_change_64(uint64_t from, uint64_t to)
{
	return l4_change_32((uint32_t)from, (uint32_t)to) + l4_change_32((uint32_t)(from >> 32), (uint32_t)(to >> 32));
}

static inline uint16_t
l4_checksum_changed(uint16_t checksum, uint64_t change)
{
	return (uint16_t)~packet_sum_fold((uint16_t)~checksum + change);
}

/*
 * Brings the TCP or UDP checksum up to date. `pseudo`: of what the pseudo-header covers; `content`: of the L4 header and
 * behind. A partial sum holds the former alone, and is not inverted.
 */
static __rte_always_inline void
l4_checksum_adjust(const struct l4_packet *p, uint64_t pseudo, uint64_t content)
{
	bool tcp = p->ip_protocol == IPPROTO_TCP;
	uint8_t *at = p->l3 + p->l3_len + (tcp ? L4_TCP_CHECKSUM_AT : L4_UDP_CHECKSUM_AT);
	uint16_t checksum = l4_load_16(at);

	if (unlikely(p->flags & L4_PACKET_PARTIAL)) {
		l4_store_16(at, packet_sum_fold(checksum + pseudo));
		return;
	}
	if (tcp) {
		l4_store_16(at, l4_checksum_changed(checksum, pseudo + content));
		return;
	}
	/* No sum stays none; one that comes out as zero is sent as all ones (RFC 768). */
	if (checksum == 0)
		return;
	checksum = l4_checksum_changed(checksum, pseudo + content);
	l4_store_16(at, checksum ? checksum : UINT16_MAX);
}

static __rte_always_inline void
l4_ipv4_checksum_adjust(uint8_t *l3, uint64_t change)
{
	uint8_t *at = l3 + L4_IPV4_CHECKSUM_AT;

	l4_store_16(at, l4_checksum_changed(l4_load_16(at), change));
}

static inline void
l4_ttl_lower_v4(const struct l4_packet *p)
{
	uint8_t *at = p->l3 + L4_IPV4_CHECKSUM_AT;
	uint32_t checksum = (uint32_t)l4_load_16(at) + RTE_BE16(0x100);

	p->l3[L4_IPV4_TTL_AT]--;
	/* The word of TTL and protocol is 0x100 less, so the inverted sum is as much more; in it there is no 0xffff. */
	l4_store_16(at, (uint16_t)(checksum + (checksum >= UINT16_MAX)));
}

static inline void
l4_ttl_lower(struct l4_packet *p)
{
	p->ttl--;
	if (!(p->flags & L4_PACKET_IPV6)) {
		l4_ttl_lower_v4(p);
		return;
	}
	p->l3[L4_IPV6_TTL_AT]--;
}

/* ---- addresses and ports ---- */

static __rte_always_inline uint64_t
l4_address_replace(uint8_t *at, bool v6, const struct ip_address *ip)
{
	uint64_t change;

	if (v6) {
		change = l4_change_64(l4_load_64(at), ip->halves[0]) + l4_change_64(l4_load_64(at + 8), ip->halves[1]);
		memcpy(at, ip->bytes, 16);
	} else {
		change = l4_change_32(l4_load_32(at), ip_address_v4_be(ip));
		l4_store_32(at, ip_address_v4_be(ip));
	}
	return change;
}

/* Both ends at once: one pass over the sums. NULL leaves an address as it is, and `port_be` 0 a port. */
static __rte_always_inline void
l4_rewrite_ends(struct l4_packet *p, const struct ip_address *source, uint16_t source_port_be,
		const struct ip_address *destination, uint16_t destination_port_be)
{
	bool v6 = p->flags & L4_PACKET_IPV6;
	uint8_t *addresses = p->l3 + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);
	uint64_t pseudo = 0, content = 0;
	uint8_t *l4 = l4_packet_l4(p);

	if (source)
		pseudo += l4_address_replace(addresses, v6, source);
	if (destination)
		pseudo += l4_address_replace(addresses + (v6 ? 16 : 4), v6, destination);
	if (!v6)
		l4_ipv4_checksum_adjust(p->l3, pseudo);
	if (source_port_be == 0)
		source_port_be = p->source_port_be;
	if (destination_port_be == 0)
		destination_port_be = p->destination_port_be;
	content = l4_change_16(p->source_port_be, source_port_be) +
		  l4_change_16(p->destination_port_be, destination_port_be);
	p->source_port_be = source_port_be;
	p->destination_port_be = destination_port_be;
	if (unlikely(p->flags & L4_PACKET_LATER_FRAGMENT))
		return;
	l4_store_16(l4, source_port_be);
	l4_store_16(l4 + 2, destination_port_be);
	l4_checksum_adjust(p, pseudo, content);
}

/* ---- the mbuf ---- */

/* The L4 sum is the port's to fill. */
static inline void
l4_checksum_leave_to_port(struct l4_packet *p)
{
	bool tcp = p->ip_protocol == IPPROTO_TCP;
	uint32_t len = tcp ? (l4_packet_l4(p)[L4_TCP_DATA_OFFSET_AT] >> 4) * 4u : L4_UDP_HEADER_LEN;

	p->m->ol_flags |= (p->flags & L4_PACKET_IPV6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) |
			  (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
	p->m->tx_offload = rte_mbuf_tx_offload(0, p->l3_len, len, 0, 0, 0, 0);
}

/* Cuts a chain off behind `len` bytes, of which it has as many (rewrite.c). */
void l4_chain_trim(struct rte_mbuf *m, uint32_t len);

static inline void
l4_strip(struct l4_packet *p)
{
	struct rte_mbuf *m = p->m;
	uint16_t data_off = (uint16_t)(p->l3 - (uint8_t *)m->buf_addr);

	m->tx_offload = rte_mbuf_tx_offload(0, p->l3_len, 0, 0, 0, 0, 0);
	/* Padding of a short frame: in a tunnel, or at the next hop's MTU, it would count. */
	if (likely(m->nb_segs == 1)) {
		m->data_len = p->ip_len;
		m->pkt_len = p->ip_len;
	} else {
		m->data_len -= data_off - m->data_off;
		l4_chain_trim(m, p->ip_len);
	}
	m->data_off = data_off;
	if (unlikely(p->flags & L4_PACKET_PARTIAL))
		l4_checksum_leave_to_port(p);
}

/* ---- plain packets (forward.h) ---- */

/* Where the packet starts, and how long it is, burst.c tells the mbuf. */
static __rte_always_inline void
l4_strip_plain(const struct l4_packet *p, bool v6)
{
	p->m->tx_offload = rte_mbuf_tx_offload(0, v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN, 0, 0, 0, 0, 0);
}

/* A copy of a packet that is known to be plain, of which the compiler then knows it, too. Only what is asked of it here is
 * read. */
static __rte_always_inline struct l4_packet
l4_plain(const struct l4_packet *p, bool v6)
{
	const uint16_t l3_len = v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN;

	return (struct l4_packet){ .m = p->m,
				   .l3 = p->l3,
				   .l3_len = l3_len,
				   .ip_len = p->ip_len,
				   .source_port_be = l4_load_16(p->l3 + l3_len),
				   .destination_port_be = l4_load_16(p->l3 + l3_len + 2),
				   .ip_protocol = p->ip_protocol,
				   .flags = v6 ? L4_PACKET_IPV6 : 0 };
}

/* name_v4() and name_v6() of an inline function. */
#define L4_PLAIN_FUNCTION(name, rewrite, v6)                                                                           \
	static enum l4_verdict name(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)    \
	{                                                                                                              \
		struct l4_packet plain = l4_plain(packet, v6);                                                         \
		enum l4_verdict verdict;                                                                               \
                                                                                                                       \
		l4_strip_plain(&plain, v6);                                                                            \
		verdict = rewrite(&plain, target, flow);                                                               \
		packet->l3 = plain.l3;                                                                                 \
		packet->ip_len = plain.ip_len;                                                                         \
		return verdict;                                                                                        \
	}
#define L4_PLAIN_FUNCTIONS(name, rewrite)                                                                              \
	L4_PLAIN_FUNCTION(name##_v4, rewrite, false)                                                                   \
	L4_PLAIN_FUNCTION(name##_v6, rewrite, true)

/* ---- entropy ---- */

/* Of the addresses and ports, the same for all packets of a flow, its fragments included; not seeded, as it decides
 * nothing but paths. */
static __rte_always_inline uint64_t
l4_packet_entropy(const struct l4_packet *p)
{
	const uint64_t multiplier = 0x9e3779b97f4a7c15ull;
	uint64_t h = (uint64_t)p->source_port_be << 24 | (uint64_t)p->destination_port_be << 8 | p->ip_protocol;
	const uint8_t *at = p->l3 + L4_IPV4_ADDRESSES_AT;

	if (p->flags & L4_PACKET_IPV6) {
		at = p->l3 + L4_IPV6_ADDRESSES_AT;
		for (int i = 0; i < 3; i++, at += 8)
			h = (h ^ l4_load_64(at)) * multiplier;
	}
	return hash_mix64(h * multiplier ^ l4_load_64(at));
}

/* ---- TCP options (rewrite.c) ---- */

#define L4_TCP_OPTION_MSS 2

/* The first of its kind, or NULL when there is none, or none as long. The packet has a TCP header. */
uint8_t *l4_tcp_option_find(const struct l4_packet *p, uint8_t kind, uint8_t len_min);
/* Writes 16 bits anywhere behind the start of the TCP header. Returns the change of content for l4_checksum_adjust(). */
uint64_t l4_tcp_replace_16(const struct l4_packet *p, uint8_t *at, uint16_t value_be);

#endif
