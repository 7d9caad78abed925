#include <rte_tcp.h>

#include "l4/forward.h"
#include "l4/rewrite_inline.h"

void
l4_rewrite_source(struct l4_packet *packet, const struct ip_address *ip, uint16_t port_be)
{
	l4_rewrite_ends(packet, ip, port_be, NULL, 0);
}

void
l4_rewrite_destination(struct l4_packet *packet, const struct ip_address *ip, uint16_t port_be)
{
	l4_rewrite_ends(packet, NULL, 0, ip, port_be);
}

void
l4_rewrite_ttl(struct l4_packet *packet)
{
	l4_ttl_lower(packet);
}

void
l4_chain_trim(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *last = m, *rest;

	m->pkt_len = len;
	m->nb_segs = 1;
	for (; len > last->data_len; last = last->next, m->nb_segs++)
		len -= last->data_len;
	last->data_len = (uint16_t)len;
	rest = last->next;
	last->next = NULL;
	rte_pktmbuf_free(rest);
}

void
l4_packet_strip(struct l4_packet *packet)
{
	l4_strip(packet);
}

/* ---- MSS ---- */

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
};

uint8_t *
l4_tcp_option_find(const struct l4_packet *packet, uint8_t kind, uint8_t len_min)
{
	uint8_t *l4 = l4_packet_l4(packet), *at = l4 + L4_TCP_HEADER_LEN;
	const uint8_t *end = l4 + (l4[L4_TCP_DATA_OFFSET_AT] >> 4) * 4;

	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return NULL;
		if (*at == kind)
			return at[1] >= len_min ? at : NULL;
		at += at[1];
	}
	return NULL;
}

uint64_t
l4_tcp_replace_16(const struct l4_packet *packet, uint8_t *at, uint16_t value_be)
{
	uint16_t from = l4_load_16(at);

	l4_store_16(at, value_be);
	/* At an odd place its bytes are halves of two words, which is the same sum with bytes swapped (RFC 1071 section 2(B)). */
	if ((at - l4_packet_l4(packet)) & 1)
		return l4_change_16(__builtin_bswap16(from), __builtin_bswap16(value_be));
	return l4_change_16(from, value_be);
}

void
l4_rewrite_mss(struct l4_packet *packet, uint16_t mss)
{
	uint8_t *option;

	if (!(packet->tcp_flags & RTE_TCP_SYN_FLAG) || packet->flags & L4_PACKET_LATER_FRAGMENT)
		return;
	option = l4_tcp_option_find(packet, L4_TCP_OPTION_MSS, 4);
	if (option && ntohs(l4_load_16(option + 2)) > mss)
		l4_checksum_adjust(packet, 0, l4_tcp_replace_16(packet, option + 2, htons(mss)));
}
