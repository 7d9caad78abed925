/*
 * The packet path's half of flow.c: lookups, inlined into the burst. Of this room alone; the contracts are those of flow.h.
 */
#ifndef L4_FLOW_INLINE_H
#define L4_FLOW_INLINE_H

#include <rte_branch_prediction.h>
#include <stddef.h>
#include <string.h>

#include "l4/flow.h"

/* ---- time ---- */

static inline uint32_t
l4_flow_timeout_of(const struct l4_target *target, const struct l4_flow *flow)
{
	return l4_flow_state_timeout_s(l4_flow_state(flow), target->timeout_s);
}

/* Of an entry in use. Its last second has begun: a packet at 9.9 s and one at 20.1 s are 11 apart, and 10.2 s. */
static inline bool
l4_flow_timed_out(const struct l4_target *targets, const struct l4_flow *flow, uint16_t now_s)
{
	uint16_t silent_s = l4_flow_silent_s(flow->seen_s, now_s);

	/* Of a flow in use nearly always: no timeout is 0. */
	return unlikely(silent_s != 0) && silent_s > l4_flow_timeout_of(&targets[flow->target], flow);
}

/* ---- lookup ---- */

static inline uint64_t
l4_flow_word(const void *at, size_t offset)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)at + offset, sizeof(word));
	return word;
}

/* The word of an entry that begins with its ports; a key has both ports side by side, too. */
#define L4_FLOW_PORTS_MASK L4_FLOW_HEAD_KEY

static_assert(offsetof(struct l4_flow, service_port_be) == offsetof(struct l4_flow, client_port_be) + 2 &&
		      offsetof(struct l4_flow_key, service_port_be) == offsetof(struct l4_flow_key, client_port_be) + 2,
	      "L4_FLOW_PORTS_MASK");

/* Zero when the entry's own part of the key is the same; the rest is for l4_flow_is_live(). */
static inline uint64_t
l4_flow_difference(const struct l4_flow *flow, const void *wanted)
{
	const struct l4_flow_key *key = wanted;
	uint64_t ports = (uint64_t)key->service_port_be << 16 | key->client_port_be;

	return (flow->client.halves[0] ^ key->client.halves[0]) | (flow->client.halves[1] ^ key->client.halves[1]) |
	       ((l4_flow_word(flow, offsetof(struct l4_flow, client_port_be)) & L4_FLOW_PORTS_MASK) ^ ports);
}

static inline bool
l4_flow_is_live(const struct l4_target *targets, const struct l4_flow *flow, const void *wanted, uint16_t now_s)
{
	const struct l4_flow_key *key = wanted;

	return likely(targets[flow->target].service_id == key->service_id) && l4_flow_is_one(l4_flow_state(flow)) &&
	       !l4_flow_timed_out(targets, flow, now_s);
}

static inline uint64_t
l4_answer_difference(const struct l4_flow *flow, const void *wanted)
{
	const struct l4_answer_key *key = wanted;
	uint64_t local = flow->local_port_be ^ key->to_port_be;
	uint64_t client = (flow->client.halves[0] ^ key->to.halves[0]) | (flow->client.halves[1] ^ key->to.halves[1]) |
			  (uint64_t)(flow->client_port_be ^ key->to_port_be);

	return (flow->local_port_be ? local : client) | (~flow->bits & L4_FLOW_ANSWER);
}

static inline bool
l4_answer_is_live(const struct l4_target *targets, const struct l4_flow *flow, const void *wanted, uint16_t now_s)
{
	const struct l4_answer_key *key = wanted;
	const struct l4_target *target = &targets[flow->target];
	uint16_t port_be = target->server.port_be ? target->server.port_be : flow->service_port_be;

	return ip_address_equal(&target->server.ip, &key->server.ip) && port_be == key->server.port_be &&
	       target->ip_protocol == key->ip_protocol &&
	       (!flow->local_port_be || ip_address_equal(&target->local, &key->to)) &&
	       l4_flow_is_one(l4_flow_state(flow)) && !l4_flow_timed_out(targets, flow, now_s);
}

/* What the two kinds of lookup differ in. */
struct l4_lookup {
	uint64_t (*difference)(const struct l4_flow *flow, const void *wanted);
	bool (*is_live)(const struct l4_target *targets, const struct l4_flow *flow, const void *wanted,
			uint16_t now_s);
};

/* All places are compared before a branch, since which of them it is cannot be predicted. A timed out entry is
 * passed over: behind it there may be a live one of the same key. */
static inline __attribute__((always_inline)) struct l4_flow *
l4_find_in(const struct l4_target *targets, struct l4_flow *places, unsigned int count, const void *wanted,
	   uint16_t now_s, const struct l4_lookup lookup)
{
	unsigned int same = 0;

	for (unsigned int i = 0; i < count; i++)
		same |= (unsigned int)(lookup.difference(&places[i], wanted) == 0) << i;
	for (; same; same &= same - 1) {
		struct l4_flow *flow = &places[__builtin_ctz(same)];

		if (likely(lookup.is_live(targets, flow, wanted, now_s)))
			return flow;
	}
	return NULL;
}

static inline __attribute__((always_inline)) struct l4_flow *
l4_look_up(struct l4_flows *flows, const struct l4_target *targets, uint32_t hash, const void *wanted, uint16_t now_s,
	   const struct l4_lookup lookup)
{
	uint32_t index = l4_flow_bucket(flows, hash);
	struct l4_flow *bucket = flows->entries + (size_t)index * L4_BUCKET_PLACES;
	struct l4_flow *flow = l4_find_in(targets, bucket, L4_BUCKET_PLACES, wanted, now_s, lookup);

	for (unsigned int i = 0; i < L4_PAIRS_AWAY && unlikely(!flow); i++) {
		if (bucket[i].bits & L4_FLOW_SPILLED) {
			struct l4_flow *pair = l4_flow_pair(flows, index, flows->strides[i][l4_flow_stride(hash)]);

			flow = l4_find_in(targets, pair, L4_PAIR_PLACES, wanted, now_s, lookup);
		}
	}
	return flow;
}

/* l4_flow_find() and l4_answer_find() */
static inline __attribute__((always_inline)) struct l4_flow *
l4_flow_look_up(struct l4_flows *flows, const struct l4_target *targets, const struct l4_flow_key *key, uint16_t now_s)
{
	return l4_look_up(flows, targets, key->hash, key, now_s,
			  (struct l4_lookup){ l4_flow_difference, l4_flow_is_live });
}

static inline __attribute__((always_inline)) struct l4_flow *
l4_answer_look_up(struct l4_flows *flows, const struct l4_target *targets, const struct l4_answer_key *key,
		  uint16_t now_s)
{
	return l4_look_up(flows, targets, key->hash, key, now_s,
			  (struct l4_lookup){ l4_answer_difference, l4_answer_is_live });
}

#endif
