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
	if (unlikely(readable < L4_IPV6_HEADER_LEN || ip[0] >> 4 != 6 || !is_plain_source_v6(ip[L4_IPV6_ADDRESSES_AT])))
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

/* What the packets of a burst so far were for. */
struct run {
	const struct l4_service *service;
	uint64_t to;     /* the destination and its port, as they lie in a header (TO_MASK); TO_NOBODY: nothing yet */
	uint64_t factor; /* of the hash, but for the ports */
	uint8_t ip_protocol;
};

/* From the destination on, all but the port between the two. */
#define TO_MASK 0xffff0000ffffffffull
#define TO_NOBODY UINT64_MAX
/* The type in front of an IPv4 header, and its first byte, as they are loaded together. */
#define QUICK_START_MASK 0x00ffffffu
#define QUICK_START (RTE_BE16(RTE_ETHER_TYPE_IPV4) | (uint32_t)V4_AND_NO_OPTIONS << 16)
#define TCP_HEADER_MIN (TCP_WORDS_MIN * 4)

/* The same checks as in read_plain(), but for packets of the run alone. False, and nothing has happened, else. */
static __rte_always_inline bool
read_quick(struct rte_mbuf *m, struct l4_slot *slot, const struct run *run, const struct l4_flows *flows,
	   uint64_t addresses_key)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHERNET_LEN), *l4 = ip + L4_IPV4_HEADER_LEN;
	uint32_t readable = m->data_len, ports, len;
	uint8_t tcp_flags = 0;
	uint64_t addresses;

	if (unlikely((m->ol_flags & PLAIN_MASK) != CHECKSUMS_GOOD || readable < ETHERNET_LEN + 28 || m->nb_segs != 1 ||
		     (l4_load_32(ip - 2) & QUICK_START_MASK) != QUICK_START || l4_load_16(ip + 6) & V4_FRAGMENT_MASK ||
		     (l4_load_64(ip + L4_IPV4_ADDRESSES_AT + 4) & TO_MASK) != run->to || ip[9] != run->ip_protocol ||
		     !is_plain_source_v4(ip[L4_IPV4_ADDRESSES_AT])))
		return false;
	len = rte_be_to_cpu_16(l4_load_16(ip + L4_IPV4_TOTAL_LEN_AT));
	if (unlikely(len > readable - ETHERNET_LEN))
		return false;
	if (likely(run->ip_protocol == IPPROTO_TCP)) {
		uint32_t header_len = l4[L4_TCP_DATA_OFFSET_AT] >> 2 & 0x3c;

		tcp_flags = l4[L4_TCP_FLAGS_AT];
		if (unlikely(len < L4_IPV4_HEADER_LEN + header_len || header_len < TCP_HEADER_MIN ||
			     tcp_flags & L4_QUICK_NOT))
			return false;
	} else if (unlikely(len < L4_IPV4_HEADER_LEN + L4_UDP_HEADER_LEN)) {
		return false;
	}
	addresses = l4_load_64(ip + L4_IPV4_ADDRESSES_AT);
	ports = l4_load_32(l4);
	slot->packet.m = m;
	slot->packet.l3 = ip;
	l4_quick_lengths_and_ports(&slot->packet, (uint16_t)len, ports);
	memcpy(&slot->packet.ttl, ip + L4_IPV4_TTL_AT, 2);
	slot->packet.tcp_flags = tcp_flags;
	slot->packet.flags = L4_PACKET_FROM_CLIENT;
	slot->service = run->service;
	/* flow_hash_v4(), half of which the run knows. */
	slot->hash = flow_hash_finish((addresses + addresses_key) * (2 * (uint64_t)ports + run->factor));
	l4_quick_start(slot, flows, (uint32_t)addresses, ports);
	return true;
}

/* The first packet of a run, which has come the longer way so far. */
static void
run_begin(struct run *run, struct l4_slot *slot, const struct l4_flows *flows, const struct flow_hash_key *key)
{
	const struct l4_packet *p = &slot->packet;

	if (slot->kind != L4_KIND_CLIENT || p->flags & L4_PACKET_IPV6)
		return;
	*run = (struct run){ .service = slot->service,
			     .to = (uint64_t)p->destination_port_be << 48 | ip_address_v4_be(&slot->destination),
			     .factor = flow_hash_factor(0, p->ip_protocol, key),
			     .ip_protocol = p->ip_protocol };
	if (!(p->tcp_flags & L4_QUICK_NOT))
		l4_quick_start(slot, flows, ip_address_v4_be(&slot->source),
			       (uint32_t)p->destination_port_be << 16 | p->source_port_be);
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

static __rte_noinline void
arrive_with_care(struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot)
{
	slot->service = NULL;
	if (packet_view(m)->stage == PACKET_NEW)
		packet_parse(m);
	l4_arrive_parsed(worker, m, slot);
}

void
l4_arrive_burst(struct l4_worker *worker, struct rte_mbuf **m, uint16_t count, struct l4_slot *slots, bool quick,
		uint64_t *verdicts)
{
	static const struct l4_slot nothing;
	const struct l4_generation *generation = worker->generation;
	const struct l4_flows *flows = worker->flows;
	const struct flow_hash_key *key = &worker->hash_key;
	const struct l4_slot *before = &nothing;
	struct run run = { .to = TO_NOBODY };
	uint64_t plain = count;

	for (uint16_t i = 0; i < count && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (struct l4_slot *slot = slots; slot < slots + count; slot++, m++) {
		if (likely(slot + PREFETCH_AHEAD < slots + count))
			rte_prefetch0(rte_pktmbuf_mtod(m[PREFETCH_AHEAD], void *));
		if (likely(read_quick(*m, slot, &run, flows, key->addresses)))
			continue;
		slot->verdict = PACKET_OK;
		if (unlikely(!read_plain(*m, slot))) {
			arrive_with_care(worker, *m, slot);
			verdicts[slot->verdict]++;
			plain--;
		} else {
			slot->kind = (uint8_t)kind_of(generation, slot, before);
			/* Whoever gets it next reads the view. */
			if (unlikely(slot->kind == L4_KIND_PASSED)) {
				slot->verdict = (uint8_t)packet_parse(*m);
				verdicts[slot->verdict]++;
				plain--;
			} else {
				hash_and_prefetch(slot, flows, key);
				if (quick)
					run_begin(&run, slot, flows, key);
			}
		}
		before = slot;
	}
	verdicts[PACKET_OK] += plain;
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
