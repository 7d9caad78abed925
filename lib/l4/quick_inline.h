/*
 * The quick way, of what most packets are: plain, from a client or from a server, of a flow that is known and goes on as it
 * was, and which is in the first bucket of its hash or in its second pair. Nothing here branches on where the flow is, as
 * nobody can predict that. Of arrive.c and burst.c alone:
 *
 *     l4_quick_start()      the hash is known: the bucket is fetched
 *     l4_quick_look()       the bucket has arrived: the flow is in it, or else
 *     l4_quick_look_away()  its second pair is fetched, and
 *     l4_quick_look_there() has arrived
 *     l4_quick_is_there()   the packet's turn: packets before it may have changed the table
 *
 * An entry is told from others by one of its words. That may still be another flow's, so what is found is compared in full
 * (l4_quick_is_of_client(), l4_quick_is_of_server()). Whatever turns out to be anything else goes the way of all packets.
 */
#ifndef L4_QUICK_INLINE_H
#define L4_QUICK_INLINE_H

#include <rte_tcp.h>

#include "l4/flow_inline.h"
#include "l4/rewrite_inline.h"
#include "l4/worker.h"

/* What keeps a packet from it: the flow's state may change. */
#define L4_QUICK_NOT (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG)

/* States of flows that such a packet leaves as they are, with L4_FLOW_ANSWER as the bit above. */
#define L4_QUICK_STATES (1u << L4_FLOW_UDP | 1u << L4_FLOW_ESTABLISHED | 1u << L4_FLOW_CLOSING | 1u << L4_FLOW_CLOSED)
#define L4_QUICK_ANSWER_STATES (L4_QUICK_STATES << L4_FLOW_ANSWER)

/* ---- the word of an entry: `what` is a constant wherever these are called ---- */

static_assert(offsetof(struct l4_flow, client) == 0 && offsetof(struct l4_flow, client_port_be) == 16 &&
		      offsetof(struct l4_flow, service_port_be) == 18 && offsetof(struct l4_flow, local_port_be) == 24,
	      "words of an entry; its bits are byte 23 (l4_flow_head())");

/* A client: the last word of its address and both ports, which a header of IPv4 and the next one have in this order. */
static __rte_always_inline uint64_t
l4_quick_word_of_client(uint32_t address_last, uint32_t ports)
{
	return (uint64_t)ports << 32 | address_last;
}

/* An answer to a port of ours: that, and that the entry is one of answers. */
static __rte_always_inline uint64_t
l4_quick_word_of_local(uint16_t to_port_be)
{
	return (uint64_t)to_port_be << 32 | (uint64_t)L4_FLOW_ANSWER << 24;
}

static __rte_always_inline unsigned int
l4_quick_differs(const struct l4_flow *flow, uint64_t word, enum l4_quick what)
{
	switch (what) {
	case L4_QUICK_TO_LOCAL:
		return ((l4_flow_word(flow, 20) ^ word) & l4_quick_word_of_local(UINT16_MAX)) != 0;
	case L4_QUICK_TO_CLIENT:
		/* The client, but not the service's port. */
		return (l4_flow_word(flow, 12) ^ word) << 16 != 0;
	default:
		return l4_flow_word(flow, 12) != word;
	}
}

/* ---- where the flow is ---- */

static __rte_always_inline void
l4_quick_start(struct l4_slot *slot, const struct l4_flows *flows, enum l4_quick what, uint64_t word)
{
	slot->quick = (uint8_t)what;
	slot->word = word;
	slot->flow = flows->entries + (size_t)l4_flow_bucket(flows, slot->hash) * L4_BUCKET_PLACES;
	rte_prefetch0(slot->flow);
}

/* True when the flow is not in its bucket, and there are others of this bucket away. */
static __rte_always_inline unsigned int
l4_quick_look(struct l4_slot *slot, enum l4_quick what)
{
	struct l4_flow *bucket = slot->flow;
	unsigned int not_first = l4_quick_differs(&bucket[0], slot->word, what);
	unsigned int not_second = l4_quick_differs(&bucket[1], slot->word, what);

	slot->flow = bucket + not_first;
	return not_first & not_second & bucket->bits / L4_FLOW_SPILLED;
}

static __rte_always_inline void
l4_quick_look_away(struct l4_slot *slot, const struct l4_flows *flows)
{
	uint32_t stride = flows->strides[0][l4_flow_stride(slot->hash)];

	slot->flow = l4_flow_pair(flows, l4_flow_bucket(flows, slot->hash), stride);
	rte_prefetch0(slot->flow);
	rte_prefetch0(slot->flow + L4_BUCKET_PLACES);
}

static __rte_always_inline void
l4_quick_look_there(struct l4_slot *slot, enum l4_quick what)
{
	const struct l4_flow *pair = slot->flow;
	unsigned int differ = l4_quick_differs(&pair[0], slot->word, what) |
			      l4_quick_differs(&pair[1], slot->word, what) << 1 |
			      l4_quick_differs(&pair[2], slot->word, what) << 2;

	slot->flow += __builtin_ctz(~differ);
}

static __rte_always_inline bool
l4_quick_is_there(const struct l4_slot *slot, enum l4_quick what)
{
	return !l4_quick_differs(slot->flow, slot->word, what);
}

/* ---- whether it is the packet's: of a flow that is there ---- */

static __rte_always_inline bool
l4_quick_state_is(const struct l4_flow *flow, uint32_t states)
{
	return states >> (flow->bits & (7 | L4_FLOW_ANSWER)) & 1;
}

/* The target's service says the version of IP, too. */
static __rte_always_inline bool
l4_quick_is_of_client(const struct l4_slot *slot, const struct l4_target *target, bool v6)
{
	const struct l4_flow *flow = slot->flow;

	if (target->service_id != slot->service->id || !l4_quick_state_is(flow, L4_QUICK_STATES))
		return false;
	return !v6 || !memcmp(flow->client.bytes, slot->packet.l3 + L4_IPV6_ADDRESSES_AT, 16);
}

static __rte_always_inline bool
l4_quick_address_is(const struct ip_address *ip, const uint8_t *at, bool v6)
{
	const struct ip_address there = l4_address_at(at, v6);

	return ip_address_equal(ip, &there);
}

static __rte_always_inline bool
l4_quick_is_of_server(const struct l4_slot *slot, const struct l4_target *target, enum l4_quick what, bool v6)
{
	const struct l4_flow *flow = slot->flow;
	const struct l4_packet *p = &slot->packet;
	const uint8_t *source = p->l3 + (v6 ? L4_IPV6_ADDRESSES_AT : L4_IPV4_ADDRESSES_AT);
	const uint8_t *l4 = p->l3 + (v6 ? L4_IPV6_HEADER_LEN : L4_IPV4_HEADER_LEN);
	uint16_t port_be = target->server.port_be ? target->server.port_be : flow->service_port_be;
	bool to_local = what == L4_QUICK_TO_LOCAL;

	return l4_quick_state_is(flow, L4_QUICK_ANSWER_STATES) && port_be == l4_load_16(l4) &&
	       target->ip_protocol == p->ip_protocol && l4_quick_address_is(&target->server.ip, source, v6) &&
	       l4_quick_address_is(to_local ? &target->local : &flow->client, source + (v6 ? 16 : 4), v6) &&
	       (to_local || !flow->local_port_be);
}

#endif
