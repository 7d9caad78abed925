/*
 * The quick way, of what most packets are: plain IPv4 of a client that opens and ends nothing, of a flow that is in the
 * first bucket of its hash or in its second pair. Nothing here branches on where the flow is, as nobody can predict that.
 * Of arrive.c and burst.c alone. What turns out to be anything else becomes an L4_KIND_CLIENT like others (l4_quick_give_up()).
 *
 * A flow of IPv4 is compared by one word, which holds the last word of the client's address and both ports. An entry that
 * has the word may still be one of answers, of IPv6 or of another service: l4_quick_is_of() asks.
 */
#ifndef L4_QUICK_INLINE_H
#define L4_QUICK_INLINE_H

#include "l4/flow_inline.h"
#include "l4/rewrite_inline.h"
#include "l4/worker.h"

#define L4_QUICK_WORD_AT 12

static_assert(offsetof(struct l4_flow, client) + 12 == L4_QUICK_WORD_AT &&
		      offsetof(struct l4_flow, client_port_be) == L4_QUICK_WORD_AT + 4 &&
		      offsetof(struct l4_flow, service_port_be) == L4_QUICK_WORD_AT + 6,
	      "one word of an entry tells a client of IPv4, and a header has its parts in this order");

/* What keeps a packet from it: the flow's state may change. */
#define L4_QUICK_NOT (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG)

/* States, with L4_FLOW_ANSWER as the bit above, of flows that such a packet leaves as they are. */
#define L4_QUICK_STATES (1u << L4_FLOW_UDP | 1u << L4_FLOW_ESTABLISHED | 1u << L4_FLOW_CLOSING | 1u << L4_FLOW_CLOSED)

static_assert(offsetof(struct l4_packet, ip_len) == offsetof(struct l4_packet, l3_len) + 2 &&
		      offsetof(struct l4_packet, source_port_be) == offsetof(struct l4_packet, l3_len) + 4 &&
		      offsetof(struct l4_packet, destination_port_be) == offsetof(struct l4_packet, l3_len) + 6 &&
		      offsetof(struct l4_packet, ip_protocol) == offsetof(struct l4_packet, ttl) + 1,
	      "written together");

/* In one store. */
static __rte_always_inline void
l4_quick_lengths_and_ports(struct l4_packet *p, uint16_t ip_len, uint32_t ports)
{
	uint64_t word = (uint64_t)ports << 32 | (uint32_t)ip_len << 16 | L4_IPV4_HEADER_LEN;

	memcpy(&p->l3_len, &word, sizeof(word));
}

/* First stage: the word and the hash are known, the bucket is fetched. */
static __rte_always_inline void
l4_quick_start(struct l4_slot *slot, const struct l4_flows *flows, uint32_t source, uint32_t ports)
{
	slot->kind = L4_KIND_QUICK;
	slot->word = (uint64_t)ports << 32 | source;
	slot->bucket = l4_flow_bucket(flows, slot->hash);
	rte_prefetch0(flows->entries + (size_t)slot->bucket * L4_BUCKET_PLACES);
}

static __rte_always_inline unsigned int
l4_quick_same(const struct l4_flow *flow, uint64_t word)
{
	return l4_flow_word(flow, L4_QUICK_WORD_AT) == word;
}

static __rte_always_inline struct l4_flow *
l4_quick_either(unsigned int which, struct l4_flow *no, struct l4_flow *yes)
{
	return (struct l4_flow *)((uintptr_t)no ^ (((uintptr_t)no ^ (uintptr_t)yes) & -(uintptr_t)which));
}

/* Second stage: the bucket has arrived. The flow is in it, else the second pair is fetched, if any flow of this bucket is
 * there: two cache lines to look into, which may be the same. */
static __rte_always_inline void
l4_quick_look(struct l4_slot *slot, const struct l4_flows *flows)
{
	struct l4_flow *bucket = flows->entries + (size_t)slot->bucket * L4_BUCKET_PLACES;
	struct l4_flow *pair = l4_flow_pair(flows, slot->bucket, flows->strides[0][l4_flow_stride(slot->hash)]);
	unsigned int here = l4_quick_same(&bucket[0], slot->word) | l4_quick_same(&bucket[1], slot->word);
	unsigned int away = ~here & bucket->bits / L4_FLOW_SPILLED;

	slot->lines[0] = l4_quick_either(away, bucket, pair);
	slot->lines[1] = l4_quick_either(away, bucket, pair + L4_BUCKET_PLACES);
	rte_prefetch0(slot->lines[0]);
	rte_prefetch0(slot->lines[1]);
}

/* Third stage. NULL: not there. */
static __rte_always_inline struct l4_flow *
l4_quick_flow(const struct l4_slot *slot)
{
	struct l4_flow *a = slot->lines[0], *b = slot->lines[1];
	unsigned int same = l4_quick_same(&a[0], slot->word) | l4_quick_same(&a[1], slot->word) << 1 |
			    l4_quick_same(&b[0], slot->word) << 2 | l4_quick_same(&b[1], slot->word) << 3;
	unsigned int place = (unsigned int)__builtin_ctz(same | 16);

	return likely(same) ? (place & 2 ? b : a) + (place & 1) : NULL;
}

/* Of a flow that l4_quick_flow() has found: the target's service says the version of IP, too. */
static __rte_always_inline bool
l4_quick_is_of(const struct l4_flow *flow, const struct l4_target *target, const struct l4_service *service)
{
	return likely(target->service_id == service->id) && L4_QUICK_STATES >> (flow->bits & (7 | L4_FLOW_ANSWER)) & 1;
}

/* It becomes a packet like others. */
static inline void
l4_quick_give_up(struct l4_slot *slot)
{
	slot->kind = L4_KIND_CLIENT;
	slot->verdict = PACKET_OK;
	slot->source = l4_packet_source(&slot->packet);
	slot->destination = l4_packet_destination(&slot->packet);
}

#endif
