#include "l4/forward/origin.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "l4/rewrite_inline.h"
#include "packet/proxy_protocol.h"

/* flow->origin. */
#define ORIGIN_FIRST 0x7fffffffu
#define ORIGIN_PAST 0x80000000u
#define ORIGIN_PAST_AFTER (1 << 29)

/* RFC 6928: ten segments, but not more than this. */
#define INITIAL_WINDOW 14600

#define OPTION_NOP 1
#define OPTION_SACK 5
#define OPTION_FAST_OPEN 34 /* RFC 7413 */
#define OPTION_TOA 254
#define TCP_HEADER_MAX 60

enum {
	SEQUENCE_AT = 4,
	ACKNOWLEDGEMENT_AT = 8,
	URGENT_AT = 18,
};

struct toa_v4 {
	uint8_t kind, len;
	uint16_t port_be;
	uint8_t ip[4];
} __attribute__((packed));

struct toa_v6 {
	uint8_t kind, len;
	uint16_t port_be;
	uint8_t ip[16];
} __attribute__((packed));

#define TOA_LEN(ipv6) ((ipv6) ? sizeof(struct toa_v6) : sizeof(struct toa_v4))

static_assert(sizeof(struct toa_v4) == 8 && sizeof(struct toa_v6) == 20, "as the toa modules have it");

uint16_t
l4_origin_len(uint8_t options, bool ipv6)
{
	return (uint16_t)((options & L4_OPTION_TOA ? TOA_LEN(ipv6) : 0) +
			  (options & L4_OPTION_PROXY_PROTOCOL ? packet_proxy_v2_len(ipv6) : 0));
}

/* ---- growing ---- */

static uint32_t
tcp_header_len(const struct l4_packet *p)
{
	return (l4_packet_l4(p)[L4_TCP_DATA_OFFSET_AT] >> 4) * 4u;
}

static uint32_t
data_len(const struct l4_packet *p)
{
	return p->ip_len - p->l3_len - tcp_header_len(p);
}

/* The IP header's length field and its checksum. Returns the change of the pseudo-header. */
static uint64_t
ip_len_change(struct l4_packet *p, int32_t by)
{
	uint16_t l4_len = p->ip_len - p->l3_len;
	uint8_t *at;

	p->ip_len = (uint16_t)(p->ip_len + by);
	if (p->flags & L4_PACKET_IPV6) {
		l4_store_16(p->l3 + L4_IPV6_PAYLOAD_LEN_AT, htons(p->ip_len - L4_IPV6_HEADER_LEN));
	} else {
		at = p->l3 + L4_IPV4_TOTAL_LEN_AT;
		l4_ipv4_checksum_adjust(p->l3, l4_change_16(l4_load_16(at), htons(p->ip_len)));
		l4_store_16(at, htons(p->ip_len));
	}
	return l4_change_16(htons(l4_len), htons((uint16_t)(l4_len + by)));
}

/* Puts `len` bytes `at` bytes behind the L4 header's start, by moving what is in front; sums are brought up to date. */
static enum l4_verdict
insert(struct l4_packet *p, uint32_t at, const void *data, uint16_t len)
{
	uint8_t *start;

	if (rte_pktmbuf_headroom(p->m) < len + L4_LINK_HEADROOM)
		return L4_DROP_NO_HEADROOM;
	if (p->ip_len + len > UINT16_MAX)
		return L4_DROP_TOO_BIG;
	start = (uint8_t *)rte_pktmbuf_prepend(p->m, len);
	memmove(start, p->l3, p->l3_len + at);
	memcpy(start + p->l3_len + at, data, len);
	p->l3 = start;
	l4_checksum_adjust(p, ip_len_change(p, len), packet_sum(0, data, len));
	return L4_FORWARDED;
}

/* ---- what is told ---- */

static enum l4_verdict
toa_insert(struct l4_packet *p)
{
	bool v6 = p->flags & L4_PACKET_IPV6;
	uint32_t header_len = tcp_header_len(p), len = TOA_LEN(v6);
	struct toa_v6 option = { .kind = OPTION_TOA, .len = (uint8_t)len, .port_be = p->source_port_be };
	enum l4_verdict verdict;
	uint16_t before;
	uint8_t *at;

	/* Without room it is left out: a server that asks for it knows what to do without. */
	if (header_len + len > TCP_HEADER_MAX)
		return L4_FORWARDED;
	memcpy(option.ip, p->l3 + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT), v6 ? 16 : 4);
	verdict = insert(p, L4_TCP_HEADER_LEN, &option, (uint16_t)len);
	if (verdict != L4_FORWARDED)
		return verdict;
	at = l4_packet_l4(p) + L4_TCP_DATA_OFFSET_AT;
	before = l4_load_16(at);
	at[0] = (uint8_t)((header_len + len) / 4 << 4 | (at[0] & 0xf));
	l4_checksum_adjust(p, 0, l4_change_16(before, l4_load_16(at)));
	if (p->flags & L4_PACKET_PARTIAL)
		p->m->l4_len = (uint8_t)(header_len + len);
	return L4_FORWARDED;
}

static enum l4_verdict
proxy_insert(struct l4_packet *p, const struct l4_flow *flow)
{
	bool v6 = p->flags & L4_PACKET_IPV6;
	struct packet_proxy_v2 header;
	uint8_t *l4;

	packet_proxy_v2_fill(&header, v6, p->l3 + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT), p->source_port_be,
			     flow->service_port_be);
	l4 = l4_packet_l4(p);
	if (p->tcp_flags & RTE_TCP_URG_FLAG)
		l4_checksum_adjust(p, 0,
				   l4_tcp_replace_16(p, l4 + URGENT_AT,
						     htons((uint16_t)(ntohs(l4_load_16(l4 + URGENT_AT)) +
								      packet_proxy_v2_len(v6)))));
	return insert(p, tcp_header_len(p), &header, packet_proxy_v2_len(v6));
}

/* ---- sequence numbers ---- */

static uint64_t
sequence_move(struct l4_packet *p, uint8_t *at, int32_t by)
{
	uint32_t moved_be = htonl(ntohl(l4_load_32(at)) + (uint32_t)by);
	uint16_t halves_be[2];

	memcpy(halves_be, &moved_be, sizeof(halves_be));
	return l4_tcp_replace_16(p, at, halves_be[0]) + l4_tcp_replace_16(p, at + 2, halves_be[1]);
}

static void
sack_move(struct l4_packet *p, int32_t by)
{
	uint8_t *option = l4_tcp_option_find(p, OPTION_SACK, 10);
	uint64_t content = 0;

	if (!option)
		return;
	for (uint8_t *edge = option + 2; edge + 4 <= option + option[1]; edge += 4)
		content += sequence_move(p, edge, by);
	l4_checksum_adjust(p, 0, content);
}

/* Overwrites all options of a kind with NOPs. */
static void
option_erase(struct l4_packet *p, uint8_t kind)
{
	const uint8_t *l4 = l4_packet_l4(p);
	uint32_t header_len = tcp_header_len(p);
	uint8_t *option = l4_tcp_option_find(p, kind, 2);
	uint64_t before;

	if (likely(!option))
		return;
	before = packet_sum(0, l4, header_len);
	for (; option; option = l4_tcp_option_find(p, kind, 2))
		memset(option, OPTION_NOP, option[1]);
	l4_checksum_adjust(p, 0, (uint16_t)~packet_sum_fold(before) + packet_sum(0, l4, header_len));
}

/*
 * Data in a SYN (RFC 7413) would come before the header. Without it and the option, the server acknowledges the SYN alone,
 * and the client sends the data anew, as it does when such a SYN is lost.
 */
static enum l4_verdict
fast_open_refuse(struct l4_packet *p)
{
	uint32_t len = data_len(p);
	uint64_t content;

	option_erase(p, OPTION_FAST_OPEN);
	if (likely(len == 0))
		return L4_FORWARDED;
	if (p->flags & L4_PACKET_FRAGMENT || p->m->nb_segs > 1)
		return L4_DROP_OPTION_NO_ROOM;
	content = (uint16_t)~packet_sum_fold(packet_sum(0, l4_packet_l4(p) + tcp_header_len(p), len));
	rte_pktmbuf_trim(p->m, (uint16_t)len);
	l4_checksum_adjust(p, ip_len_change(p, -(int32_t)len), content);
	return L4_FORWARDED;
}

static enum l4_verdict
opening(struct l4_packet *p, const struct l4_target *target, struct l4_flow *flow)
{
	uint32_t sequence = ntohl(l4_load_32(l4_packet_l4(p) + SEQUENCE_AT));

	/* Of an established flow it is a stray, or a lie. */
	if (l4_flow_state(flow) == L4_FLOW_OPENING) {
		flow->origin = (sequence + 1) & ORIGIN_FIRST;
		flow->bits &= ~(unsigned int)L4_FLOW_PREFIXED & 0xff;
	}
	return target->options & L4_OPTION_PROXY_PROTOCOL ? fast_open_refuse(p) : L4_FORWARDED;
}

/* How far from `first` the segment starts, in 31 bits. */
static int32_t
distance(const struct l4_packet *p, const struct l4_flow *flow)
{
	uint32_t sequence = ntohl(l4_load_32(l4_packet_l4(p) + SEQUENCE_AT));

	return (int32_t)((sequence - flow->origin) << 1) >> 1;
}

static enum l4_verdict
proxy_apply(struct l4_packet *p, struct l4_flow *flow, bool behind, bool at_first)
{
	uint8_t *sequence = l4_packet_l4(p) + SEQUENCE_AT;

	if (behind) {
		int32_t by = packet_proxy_v2_len(p->flags & L4_PACKET_IPV6);

		l4_checksum_adjust(p, 0, sequence_move(p, sequence, by));
		return L4_FORWARDED;
	}
	if (!at_first || p->tcp_flags & RTE_TCP_RST_FLAG || (data_len(p) == 0 && !(p->tcp_flags & RTE_TCP_FIN_FLAG)))
		return L4_FORWARDED;
	/* Fragments that follow would have to move, too. */
	if (p->flags & L4_PACKET_FRAGMENT)
		return L4_DROP_OPTION_NO_ROOM;
	flow->bits |= L4_FLOW_PREFIXED;
	return proxy_insert(p, flow);
}

enum l4_verdict
l4_origin_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	bool past = flow->origin & ORIGIN_PAST;
	int32_t from_first;

	if (packet->flags & L4_PACKET_LATER_FRAGMENT)
		return L4_FORWARDED;
	/* A client that says who it is must not be believed. */
	if (target->options & L4_OPTION_TOA)
		option_erase(packet, OPTION_TOA);
	if (packet->tcp_flags & RTE_TCP_SYN_FLAG)
		return opening(packet, target, flow);
	from_first = distance(packet, flow);
	if (!past && from_first >= ORIGIN_PAST_AFTER) {
		flow->origin |= ORIGIN_PAST;
		past = true;
	}
	if (target->options & L4_OPTION_PROXY_PROTOCOL) {
		enum l4_verdict verdict = proxy_apply(packet, flow, past || from_first > 0, from_first == 0);

		if (verdict != L4_FORWARDED)
			return verdict;
	}
	if (target->options & L4_OPTION_TOA && !past && from_first >= 0 && from_first < INITIAL_WINDOW &&
	    (packet->tcp_flags & (RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG)) == RTE_TCP_ACK_FLAG &&
	    !(packet->flags & L4_PACKET_FRAGMENT))
		return toa_insert(packet);
	return L4_FORWARDED;
}

/* ---- answers ---- */

static void
mss_make_room(struct l4_packet *p, const struct l4_target *target)
{
	uint16_t len = l4_origin_len(target->options, p->flags & L4_PACKET_IPV6), mss;
	const uint8_t *option = l4_tcp_option_find(p, L4_TCP_OPTION_MSS, 4);

	if (!option)
		return;
	mss = ntohs(l4_load_16(option + 2));
	if (mss > 2 * len)
		l4_rewrite_mss(p, mss - len);
}

void
l4_origin_to_client(struct l4_packet *packet, const struct l4_target *target, const struct l4_flow *flow)
{
	int32_t by = -(int32_t)packet_proxy_v2_len(packet->flags & L4_PACKET_IPV6);

	if (packet->flags & L4_PACKET_LATER_FRAGMENT)
		return;
	if (packet->tcp_flags & RTE_TCP_SYN_FLAG) {
		/* Its acknowledgement is of the SYN, also when it is sent again. */
		mss_make_room(packet, target);
		return;
	}
	if (!(target->options & L4_OPTION_PROXY_PROTOCOL) || !(flow->bits & L4_FLOW_PREFIXED) ||
	    !(packet->tcp_flags & RTE_TCP_ACK_FLAG))
		return;
	l4_checksum_adjust(packet, 0, sequence_move(packet, l4_packet_l4(packet) + ACKNOWLEDGEMENT_AT, by));
	sack_move(packet, by);
}
