#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "base/hash.h"
#include "l4/generation.h"
#include "l4/quick_inline.h"
#include "l4/rewrite_inline.h"
#include "l4/worker.h"

#define ETHERNET_LEN 14
/* How far ahead of the parsing a packet's headers are fetched. */
#define PREFETCH_AHEAD 4
#define CHECKSUMS_GOOD (RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD)
#define CHECKSUM_MASK (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK)

/* Only what nearly every packet is: everything else, and every doubt, goes to packet_parse(). */

#define PLAIN_MASK (CHECKSUM_MASK | RTE_MBUF_F_RX_VLAN_STRIPPED)
#define V4_AND_NO_OPTIONS 0x45
#define V4_FRAGMENT_MASK RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)
#define TCP_WORDS_MIN 5

/* 0/8, 127/8 and what is not unicast. */
static __rte_always_inline bool
is_plain_source_v4(uint8_t first_octet)
{
	return (uint8_t)(first_octet - 1) < 223 && first_octet != 127;
}

/* Global unicast and unique local addresses. */
static __rte_always_inline bool
is_plain_source_v6(uint8_t first_octet)
{
	return (uint8_t)(first_octet - 1) < 0xfe;
}

/* The addresses, and of the packet what its IP header says. */
static __rte_always_inline bool
read_plain_v4(const uint8_t *ip, struct l4_slot *slot, struct l4_packet *p)
{
	uint32_t source = l4_load_32(ip + L4_IPV4_ADDRESSES_AT);

	if (unlikely(ip[0] != V4_AND_NO_OPTIONS || l4_load_16(ip + 6) & V4_FRAGMENT_MASK ||
		     !is_plain_source_v4((uint8_t)source)))
		return false;
	p->l3_len = 20;
	p->ip_len = rte_be_to_cpu_16(l4_load_16(ip + L4_IPV4_TOTAL_LEN_AT));
	p->ttl = ip[L4_IPV4_TTL_AT];
	p->ip_protocol = ip[9];
	slot->source = l4_address_v4(source);
	slot->destination = l4_address_v4(l4_load_32(ip + L4_IPV4_ADDRESSES_AT + 4));
	return true;
}

static __rte_always_inline bool
read_plain_v6(const uint8_t *ip, uint32_t readable, struct l4_slot *slot, struct l4_packet *p)
{
	if (unlikely(readable < L4_IPV6_HEADER_LEN || ip[0] >> 4 != 6 ||
		     !is_plain_source_v6(ip[L4_IPV6_ADDRESSES_AT]) || ip[L4_IPV6_ADDRESSES_AT + 16] == 0))
		return false;
	p->l3_len = L4_IPV6_HEADER_LEN;
	p->ip_len = (uint16_t)(L4_IPV6_HEADER_LEN + rte_be_to_cpu_16(l4_load_16(ip + L4_IPV6_PAYLOAD_LEN_AT)));
	p->ttl = ip[L4_IPV6_TTL_AT];
	p->ip_protocol = ip[6];
	p->flags = L4_PACKET_IPV6;
	memcpy(&slot->source, ip + L4_IPV6_ADDRESSES_AT, sizeof(slot->source));
	memcpy(&slot->destination, ip + L4_IPV6_ADDRESSES_AT + 16, sizeof(slot->destination));
	return true;
}

static __rte_always_inline bool
read_plain_l4(const uint8_t *l4, uint32_t readable, struct l4_packet *p)
{
	bool tcp = p->ip_protocol == IPPROTO_TCP;
	uint32_t len = p->ip_len - p->l3_len;
	uint16_t ports[2];

	if (unlikely(p->ip_len > readable || p->ip_len < p->l3_len + 8u))
		return false;
	if (likely(tcp)) {
		uint32_t words = len < 20 ? 0 : l4[L4_TCP_DATA_OFFSET_AT] >> 4;

		if (unlikely(words < TCP_WORDS_MIN || words * 4 > len))
			return false;
		p->tcp_flags = l4[L4_TCP_FLAGS_AT];
	} else if (unlikely(p->ip_protocol != IPPROTO_UDP)) {
		return false;
	}
	memcpy(ports, l4, sizeof(ports));
	p->source_port_be = ports[0];
	p->destination_port_be = ports[1];
	return true;
}

/* Untagged Ethernet, plain IP, TCP or UDP, in one segment, sums verified by the device. */
static __rte_always_inline bool
read_plain(struct rte_mbuf *m, struct l4_slot *slot)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHERNET_LEN);
	struct l4_packet p = { .m = m, .l3 = ip };
	uint32_t readable;
	uint16_t type;

	if (unlikely((m->ol_flags & PLAIN_MASK) != CHECKSUMS_GOOD || m->data_len < ETHERNET_LEN + 28 ||
		     m->nb_segs != 1))
		return false;
	readable = m->data_len - ETHERNET_LEN;
	type = l4_load_16(ip - 2);
	if (likely(type == RTE_BE16(RTE_ETHER_TYPE_IPV4))) {
		if (!read_plain_v4(ip, slot, &p) || !read_plain_l4(ip + 20, readable, &p))
			return false;
	} else if (type != RTE_BE16(RTE_ETHER_TYPE_IPV6) || !read_plain_v6(ip, readable, slot, &p) ||
		   !read_plain_l4(ip + L4_IPV6_HEADER_LEN, readable, &p)) {
		return false;
	}
	slot->packet = p;
	return true;
}

/* Most packets of a burst are for the service of the one before. */
static __rte_always_inline bool
service_as_before(struct l4_slot *slot, const struct l4_slot *before)
{
	const struct l4_packet *p = &slot->packet, *q = &before->packet;

	if (before->destination.halves[1] != slot->destination.halves[1] ||
	    before->destination.halves[0] != slot->destination.halves[0] ||
	    q->destination_port_be != p->destination_port_be || q->ip_protocol != p->ip_protocol)
		return false;
	slot->service = before->service;
	return slot->service != NULL;
}

/* A destination that is a service's, else a source that may be a server. */
static __rte_always_inline enum l4_kind
kind_of(const struct l4_generation *generation, struct l4_slot *slot, const struct l4_slot *before)
{
	struct l4_packet *p = &slot->packet;

	if (!service_as_before(slot, before))
		slot->service =
			l4_find_service(&generation->find, &slot->destination, p->destination_port_be, p->ip_protocol);
	if (likely(slot->service != NULL)) {
		p->flags |= L4_PACKET_FROM_CLIENT;
		return L4_KIND_CLIENT;
	}
	return l4_is_server(generation, &slot->source, p->source_port_be, p->ip_protocol) ? L4_KIND_ANSWER
											  : L4_KIND_PASSED;
}

/* ---- the quick way: quick_inline.h ---- */

/* For every packet of a burst. */
struct arrival {
	struct l4_worker *worker;
	bool quick;
	bool by_hash; /* those alone that the hash gives to this lcore */
};

/* The type in front of an IP header, and the first byte of that, as they are loaded together. */
#define START(type, first) (RTE_BE16(type) | (uint32_t)(first) << 16)
/* From the fragments' field of IPv4 on. */
#define MIDDLE_MASK ((uint64_t)V4_FRAGMENT_MASK | 0xffull << 24)
#define MIDDLE_OF_NONE UINT64_MAX

/* All but the source's port, which lies between; where that of the destination does not count, without it, too. */
static __rte_always_inline uint64_t
to_mask(enum l4_quick what)
{
	return what == L4_QUICK_CLIENT ? 0xffff0000ffffffffull : 0xffffffffull;
}

/* What read_plain_v4() or read_plain_v6() checks, except for the source: a flow's is good. */
static __rte_always_inline bool
is_of_run(const uint8_t *ip, const struct l4_run *run, enum l4_quick what, bool v6)
{
	const uint8_t *to = ip + (v6 ? L4_IPV6_ADDRESSES_AT + 16 : L4_IPV4_ADDRESSES_AT + 4);
	uint32_t start = l4_load_32(ip - 2);

	if (!v6)
		return (start & 0x00ffffff) == START(RTE_ETHER_TYPE_IPV4, V4_AND_NO_OPTIONS) &&
		       (what == L4_QUICK_TO_CLIENT || (l4_load_64(to) & to_mask(what)) == run->to_v4) &&
		       (l4_load_64(ip + 6) & MIDDLE_MASK) == run->middle;
	return (start & 0x00f0ffff) == START(RTE_ETHER_TYPE_IPV6, 0x60) && ip[6] == run->ip_protocol &&
	       (what == L4_QUICK_TO_CLIENT ||
		((l4_load_64(to) ^ run->to.halves[0]) | (l4_load_64(to + 8) ^ run->to.halves[1])) == 0) &&
	       (what != L4_QUICK_CLIENT || l4_load_16(to + 18) == run->to_port_be);
}

/* Lengths as read_plain_l4() checks them. */
static __rte_always_inline bool
lengths_hold(const uint8_t *ip, uint16_t l3_len, uint32_t ip_len, uint8_t ip_protocol, uint8_t *tcp_flags)
{
	const uint8_t *l4 = ip + l3_len;
	uint32_t header_len;

	*tcp_flags = 0;
	if (unlikely(ip_protocol != IPPROTO_TCP))
		return ip_len >= (uint32_t)l3_len + L4_UDP_HEADER_LEN;
	header_len = l4[L4_TCP_DATA_OFFSET_AT] >> 2 & 0x3c;
	*tcp_flags = l4[L4_TCP_FLAGS_AT];
	return header_len >= L4_TCP_HEADER_LEN && ip_len >= l3_len + header_len;
}

/*
 * Verified here where the device has not done it. False is for packet_parse() to look into: a sum that is wrong, none with
 * IPv6, or partial, and a datagram that is shorter than its packet.
 */
static __rte_noinline bool
sums_hold(const uint8_t *ip, uint16_t l3_len, uint16_t l4_len, uint8_t ip_protocol)
{
	const uint8_t *l4 = ip + l3_len;
	bool v6 = l3_len == L4_IPV6_HEADER_LEN, tcp = ip_protocol == IPPROTO_TCP;
	uint16_t field = l4_load_16(l4 + (tcp ? L4_TCP_CHECKSUM_AT : L4_UDP_CHECKSUM_AT));
	uint64_t addresses =
		v6 ? packet_sum(0, ip + L4_IPV6_ADDRESSES_AT, 32) : packet_sum(0, ip + L4_IPV4_ADDRESSES_AT, 8);
	uint64_t sum = packet_sum_pseudo(addresses, ip_protocol, l4_len);

	if (!v6 && packet_sum_fold(packet_sum(0, ip, L4_IPV4_HEADER_LEN)) != UINT16_MAX)
		return false;
	if (!tcp && l4_load_16(l4 + 4) != rte_cpu_to_be_16(l4_len))
		return false;
	/* RFC 768: whoever sent it made none. */
	if (!tcp && field == 0)
		return !v6;
	return packet_sum_fold(sum) != field && packet_sum_fold(packet_sum_long(sum, l4, l4_len)) == UINT16_MAX;
}

static __rte_always_inline uint32_t
hash_of_run(const uint8_t *ip, uint32_t ports, const struct l4_run *run, const struct flow_hash_key *key, bool v6)
{
	uint64_t source[2], to[2];

	if (!v6)
		return flow_hash_finish((l4_load_64(ip + L4_IPV4_ADDRESSES_AT) + key->addresses) *
					(2 * (uint64_t)ports + run->factor));
	memcpy(source, ip + L4_IPV6_ADDRESSES_AT, sizeof(source));
	memcpy(to, ip + L4_IPV6_ADDRESSES_AT + 16, sizeof(to));
	return flow_hash(source, to, (uint16_t)ports, (uint16_t)(ports >> 16), run->ip_protocol, key);
}

/* Answers to clients have nothing in common but that kind_of() would say so of each. */
static __rte_always_inline bool
may_be_to_client(const struct l4_find *find, const uint8_t *ip, uint8_t ip_protocol, bool v6)
{
	const uint8_t *at = ip + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);
	const struct ip_address source = l4_address_at(at, v6), to = l4_address_at(at + (v6 ? 16 : 4), v6);

	return !l4_find_has(find, &to, 0, ip_protocol, L4_FIND_OURS) &&
	       l4_find_is_server(find, &source, l4_load_16(at + (v6 ? 32 : 8)), ip_protocol);
}

/* What a flow's entry is told by: the last words of the addresses, and both ports, the destination's in the upper half. */
static __rte_always_inline uint64_t
quick_word(enum l4_quick what, uint32_t source, uint32_t to, uint32_t ports)
{
	if (what == L4_QUICK_TO_LOCAL)
		return l4_quick_word_of_local((uint16_t)(ports >> 16));
	if (what == L4_QUICK_TO_CLIENT)
		return l4_quick_word_of_client(to, ports >> 16);
	return l4_quick_word_of_client(source, ports);
}

/*
 * Of a client's packet that may change the state of its flow, or begin one, so that it goes the longer way: what arrive_plain()
 * would find out, from what the run says already. False for a source that is none.
 */
static __rte_noinline bool
read_client(const struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot, const struct l4_run *run,
	    uint16_t ip_len, uint8_t tcp_flags, bool v6)
{
	const uint16_t l3_len = v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN;
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHERNET_LEN);
	const uint8_t *source = ip + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);

	if (!(v6 ? is_plain_source_v6(*source) : is_plain_source_v4(*source)))
		return false;
	slot->packet = (struct l4_packet){
		.m = m,
		.l3 = ip,
		.l3_len = l3_len,
		.ip_len = ip_len,
		.source_port_be = l4_load_16(ip + l3_len),
		.destination_port_be = l4_load_16(ip + l3_len + 2),
		.ip_protocol = run->ip_protocol,
		.tcp_flags = tcp_flags,
		.ttl = ip[v6 ? L4_IPV6_TTL_AT : L4_IPV4_TTL_AT],
		.flags = L4_PACKET_FROM_CLIENT | (v6 ? L4_PACKET_IPV6 : 0),
	};
	slot->service = run->service;
	slot->hash = hash_of_run(ip, l4_load_32(ip + l3_len), run, &worker->hash_key, v6);
	l4_flow_prefetch(worker->flows, slot->hash);
	slot->kind = L4_KIND_CLIENT;
	slot->verdict = PACKET_OK;
	slot->quick = L4_QUICK_NO;
	slot->brief = false;
	slot->source = l4_address_at(source, v6);
	slot->destination = run->to;
	return true;
}

/* `what` and `v6` are the run's. False, and nothing has happened, when the packet is not of it. */
static __rte_always_inline bool
read_of_run(const struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot, const struct l4_run *run,
	    enum l4_quick what, bool v6)
{
	const uint16_t l3_len = v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN;
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHERNET_LEN), tcp_flags;
	const uint8_t *source = ip + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);
	uint32_t readable = m->data_len, ports, len;

	if (unlikely(readable < ETHERNET_LEN + l3_len + 8u || m->nb_segs != 1 || !is_of_run(ip, run, what, v6)))
		return false;
	len = rte_be_to_cpu_16(l4_load_16(ip + (v6 ? L4_IPV6_PAYLOAD_LEN_AT : L4_IPV4_TOTAL_LEN_AT)));
	len += v6 ? L4_IPV6_HEADER_LEN : 0;
	if (unlikely(len > readable - ETHERNET_LEN || !lengths_hold(ip, l3_len, len, run->ip_protocol, &tcp_flags)))
		return false;
	if (unlikely((m->ol_flags & PLAIN_MASK) != CHECKSUMS_GOOD) &&
	    (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ||
	     !sums_hold(ip, l3_len, (uint16_t)(len - l3_len), run->ip_protocol)))
		return false;
	if (unlikely(tcp_flags & L4_QUICK_NOT))
		return what == L4_QUICK_CLIENT && read_client(worker, m, slot, run, (uint16_t)len, tcp_flags, v6);
	if (what == L4_QUICK_TO_CLIENT && !may_be_to_client(&worker->generation->find, ip, run->ip_protocol, v6))
		return false;
	slot->packet.m = m;
	slot->packet.l3 = ip;
	slot->packet.ip_len = (uint16_t)len;
	slot->packet.ip_protocol = run->ip_protocol;
	slot->packet.flags = (what == L4_QUICK_CLIENT ? L4_PACKET_FROM_CLIENT : 0) | (v6 ? L4_PACKET_IPV6 : 0);
	if (what == L4_QUICK_CLIENT)
		slot->service = run->service;
	slot->brief = true;
	ports = l4_load_32(ip + l3_len);
	slot->hash = hash_of_run(ip, ports, run, &worker->hash_key, v6);
	l4_quick_start(slot, worker->flows, what,
		       quick_word(what, l4_load_32(source + (v6 ? 12 : 0)), l4_load_32(source + (v6 ? 28 : 4)), ports));
	return true;
}

static __rte_always_inline bool
read_of(const struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot, const struct l4_run *run,
	enum l4_quick what)
{
	return run->v6 ? read_of_run(worker, m, slot, run, what, true) : read_of_run(worker, m, slot, run, what, false);
}

static __rte_always_inline bool
read_quick(const struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot)
{
	return read_of(worker, m, slot, &worker->to_service, L4_QUICK_CLIENT) ||
	       read_of(worker, m, slot, &worker->to_local, L4_QUICK_TO_LOCAL) ||
	       read_of(worker, m, slot, &worker->to_clients, L4_QUICK_TO_CLIENT);
}

void
l4_arrive_anew(struct l4_worker *worker)
{
	const struct l4_run none = { .middle = MIDDLE_OF_NONE };

	worker->to_service = worker->to_local = worker->to_clients = none;
}

static void
run_begin(struct l4_run *run, const struct l4_slot *slot, enum l4_quick what, const struct flow_hash_key *key)
{
	const struct l4_packet *p = &slot->packet;
	uint64_t to_v4 = (uint64_t)p->destination_port_be << 48 | ip_address_v4_be(&slot->destination);
	bool v6 = p->flags & L4_PACKET_IPV6;

	*run = (struct l4_run){ .service = slot->service,
				.to_v4 = to_v4 & to_mask(what),
				.to = slot->destination,
				.to_port_be = p->destination_port_be,
				.middle = (uint64_t)p->ip_protocol << 24,
				.factor = flow_hash_factor(0, p->ip_protocol, key),
				.ip_protocol = p->ip_protocol,
				.v6 = v6 };
}

/* Begins a run with this packet, which has come the longer way so far, unless each one's owner has to be asked for. */
static enum l4_quick
quick_of(const struct arrival *a, const struct l4_slot *slot)
{
	struct l4_worker *worker = a->worker;
	const struct l4_packet *p = &slot->packet;

	if (slot->kind == L4_KIND_CLIENT) {
		if (!a->by_hash)
			run_begin(&worker->to_service, slot, L4_QUICK_CLIENT, &worker->hash_key);
		return L4_QUICK_CLIENT;
	}
	if (!l4_is_local_end(worker->generation, &slot->destination, p->ip_protocol)) {
		if (!a->by_hash)
			run_begin(&worker->to_clients, slot, L4_QUICK_TO_CLIENT, &worker->hash_key);
		return L4_QUICK_TO_CLIENT;
	}
	if (!a->by_hash && l4_is_no_service(worker->generation, &slot->destination, p->ip_protocol))
		run_begin(&worker->to_local, slot, L4_QUICK_TO_LOCAL, &worker->hash_key);
	return L4_QUICK_TO_LOCAL;
}

/* One segment, no options or extension headers, no fragment, a sum that is complete. */
static inline bool
is_plain(const struct l4_packet *p)
{
	bool v6 = p->flags & L4_PACKET_IPV6;

	return p->m->nb_segs == 1 && !(p->flags & ~(L4_PACKET_IPV6 | L4_PACKET_FROM_CLIENT)) &&
	       p->l3_len == (v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN);
}

/* A packet that is known as one of a client or perhaps a server. */
static void
start_quick(const struct arrival *a, struct l4_slot *slot)
{
	const struct l4_packet *p = &slot->packet;
	enum l4_quick what;

	if (!a->quick || !is_plain(p))
		return;
	what = quick_of(a, slot);
	if (p->tcp_flags & L4_QUICK_NOT || (a->by_hash && !l4_is_mine(a->worker, slot)))
		return;
	l4_quick_start(slot, a->worker->flows, what,
		       quick_word(what, slot->source.words_be[3], slot->destination.words_be[3],
				  (uint32_t)p->destination_port_be << 16 | p->source_port_be));
}

static __rte_always_inline void
hash_and_prefetch(struct l4_slot *slot, const struct l4_flows *flows, const struct flow_hash_key *key)
{
	const struct l4_packet *p = &slot->packet;

	slot->hash = flow_hash(slot->source.halves, slot->destination.halves, p->source_port_be, p->destination_port_be,
			       p->ip_protocol, key);
	l4_flow_prefetch(flows, slot->hash);
}

static inline bool
has_flow(const struct l4_slot *slot)
{
	return slot->kind == L4_KIND_CLIENT || slot->kind == L4_KIND_ANSWER;
}

static bool
is_icmp(const struct packet_view *view)
{
	return view->ip_protocol == (view->flags & PACKET_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* Of a later fragment nothing but its addresses can say so far. */
static bool
may_be_ours(struct l4_worker *worker, const struct packet_view *view)
{
	return l4_concerns(worker->generation, &view->destination, &view->source, view->ip_protocol);
}

void
l4_arrive_parsed(struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot)
{
	static const struct l4_slot nothing;
	const struct packet_view *view = packet_view(m);
	struct l4_packet *p = &slot->packet;

	slot->service = NULL;
	slot->hash = 0;
	slot->quick = L4_QUICK_NO;
	slot->brief = false;
	slot->verdict = view->verdict;
	slot->kind = view->verdict == PACKET_OK       ? L4_KIND_PASSED
		     : view->verdict == PACKET_NOT_IP ? L4_KIND_PASSED
						      : L4_KIND_BAD;
	*p = (struct l4_packet){
		.m = m,
		.l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, view->l3_offset),
		.l3_len = (uint16_t)(view->l4_offset - view->l3_offset),
		.ip_len = view->l3_total_len,
		.source_port_be = view->source_port_be,
		.destination_port_be = view->destination_port_be,
		.ip_protocol = view->ip_protocol,
		.tcp_flags = view->tcp_flags,
		.ttl = view->ttl,
	};
	if (view->verdict != PACKET_OK)
		return;
	if (view->flags & PACKET_IPV6)
		p->flags |= L4_PACKET_IPV6;
	if (view->flags & PACKET_L4_CHECKSUM_PARTIAL)
		p->flags |= L4_PACKET_PARTIAL;
	if (view->flags & PACKET_FRAGMENT)
		p->flags |= L4_PACKET_FRAGMENT;
	if (view->flags & PACKET_LATER_FRAGMENT)
		p->flags |= L4_PACKET_LATER_FRAGMENT;
	slot->source = view->source;
	slot->destination = view->destination;
	if (is_icmp(view))
		slot->kind = view->flags & PACKET_FRAGMENT ? L4_KIND_PASSED : L4_KIND_ERROR;
	else if (view->ip_protocol != IPPROTO_TCP && view->ip_protocol != IPPROTO_UDP)
		slot->kind = L4_KIND_PASSED;
	else if (view->flags & PACKET_FRAGMENT && view->stage == PACKET_NEW && may_be_ours(worker, view))
		slot->kind = L4_KIND_FRAGMENT;
	else
		slot->kind = (uint8_t)kind_of(worker->generation, slot, &nothing);
	if (has_flow(slot))
		hash_and_prefetch(slot, worker->flows, &worker->hash_key);
}

/* Returns false when it was parsed, and slot->verdict is to be counted. */
static bool
arrive_plain(struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot, const struct l4_slot *before)
{
	slot->service = NULL;
	slot->verdict = PACKET_OK;
	slot->quick = L4_QUICK_NO;
	slot->brief = false;
	if (unlikely(!read_plain(m, slot))) {
		if (packet_view(m)->stage == PACKET_NEW)
			packet_parse(m);
		l4_arrive_parsed(worker, m, slot);
		return false;
	}
	slot->kind = (uint8_t)kind_of(worker->generation, slot, before);
	/* Whoever gets it next reads the view. */
	if (unlikely(slot->kind == L4_KIND_PASSED)) {
		slot->verdict = (uint8_t)packet_parse(m);
		return false;
	}
	hash_and_prefetch(slot, worker->flows, &worker->hash_key);
	return true;
}

void
l4_arrive_again(struct l4_worker *worker, struct l4_slot *slot, uint64_t *verdicts)
{
	static const struct l4_slot nothing;

	if (arrive_plain(worker, slot->packet.m, slot, &nothing))
		return;
	verdicts[PACKET_OK]--;
	verdicts[slot->verdict]++;
}

void
l4_arrive_burst(struct l4_worker *worker, struct rte_mbuf **m, uint16_t count, struct l4_slot *slots, bool quick,
		enum l4_arrival arrival, uint64_t *verdicts)
{
	static const struct l4_slot nothing;
	const struct arrival a = { .worker = worker,
				   .quick = quick,
				   .by_hash = arrival == L4_FROM_PORT && worker->config.workers > 1 };
	const bool by_runs = a.quick && !a.by_hash;
	const struct l4_slot *before = &nothing;
	uint64_t good = count;

	for (uint16_t i = 0; i < count && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (struct l4_slot *slot = slots; slot < slots + count; slot++, m++) {
		if (likely(slot + PREFETCH_AHEAD < slots + count))
			rte_prefetch0(rte_pktmbuf_mtod(m[PREFETCH_AHEAD], void *));
		if (likely(by_runs) && likely(read_quick(worker, *m, slot)))
			continue;
		if (unlikely(!arrive_plain(worker, *m, slot, before))) {
			verdicts[slot->verdict]++;
			good--;
		}
		if (has_flow(slot))
			start_quick(&a, slot);
		before = slot;
	}
	verdicts[PACKET_OK] += good;
}

#define FRAGMENT_HEADER 44

uint32_t
l4_fragment_identification(const struct l4_packet *p)
{
	uint32_t offset = 40, identification;
	uint8_t next = p->l3[6];
	uint16_t id;

	if (!(p->flags & L4_PACKET_IPV6)) {
		memcpy(&id, p->l3 + 4, sizeof(id));
		return id;
	}
	/* packet_parse() has walked this chain and found a fragment header in it. */
	while (next != FRAGMENT_HEADER && offset + 8 <= p->l3_len) {
		next = p->l3[offset];
		offset += (p->l3[offset + 1] + 1u) * 8;
	}
	if (offset + 8 > p->l3_len)
		return 0;
	memcpy(&identification, p->l3 + offset + 4, sizeof(identification));
	return identification;
}
