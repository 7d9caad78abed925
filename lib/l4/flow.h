/*
 * The flow table of one lcore: which target a flow was given, and how its TCP is doing.
 *
 * An entry is 32 bytes and two share a cache line, which is a bucket; two buckets are a pair. A flow lives in the
 * bucket of its hash or, when that was full, in one of two other pairs that follow from the hash; a bit in each entry
 * of the bucket says that there are such flows. Entries never move, so a pointer is good until the flow is removed or
 * has timed out. Full keys are compared: client's address and port, the service's port, and through the target the
 * service itself.
 *
 * A flow whose answers come back through Weir has a second entry under the hash of the answer (L4_FLOW_ANSWER), with
 * the same facts: full_nat by (server, local port), nat by (server, client).
 *
 * Memory is bounded by l4_flows_new() and allocated there. Entries that have timed out are reused when their place is
 * wanted, and collected in passing by l4_flows_sweep(); nothing else ends a flow. One lcore owns the table; control
 * only reads numbers. Of a table in shared memory, the XDP program makes and follows flows, too: xdp/flow.h says what is
 * whose. Times are seconds of the lcore's clock, modulo 2^16.
 */
#ifndef L4_FLOW_H
#define L4_FLOW_H

#include <assert.h>
#include <rte_prefetch.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "l4/target.h"
#include "xdp/flow.h"

/* ... but where another flow wants its place. */
#define L4_OPENING_YIELDS_S 3

/* What a packet is looked up by. */
struct l4_flow_key {
	struct ip_address client;
	uint16_t client_port_be, service_port_be;
	uint16_t service_id;
	uint32_t hash;
};

struct l4_answer_key {
	struct endpoint server; /* the packet's source */
	struct ip_address to;   /* its destination: our local address (full_nat), or the client (nat) */
	uint16_t to_port_be;
	uint8_t ip_protocol;
	uint32_t hash;
};

/* The table, for the functions below; what follows in memory is flow.c's. */
struct l4_flows {
	struct l4_flow *entries;
	uint32_t bucket_count, pair_count;
	/* From the pair of the first bucket to the second and the third pair, by l4_flow_stride(); never 0. */
	uint32_t strides[L4_PAIRS_AWAY][L4_FLOW_STRIDES];
};

/*
 * Room for `flows` entries at six tenths of its places, which is 57 bytes for each. Up to that number one insertion in
 * 700 finds no place (measured; one in 110 up to three quarters of the places, hardly any up to half of them).
 * `targets` is the process' array (L4_TARGETS_MAX), `use` the lcore's. Memory comes from huge pages where the kernel
 * gives them (transparently, too), and all of it is there when this returns (10 million: 0.1 s). NULL when it is short.
 */
struct l4_flows *l4_flows_new(uint64_t flows, const struct l4_target *targets, struct l4_target_use *use);
/*
 * The same in memory that the XDP program has, too (xdp/flow.h): room for l4_flows_pairs(flows) pairs. It stays the
 * caller's, and the flows that are in it go on, as long as targets have the numbers that they had. From then on the
 * program may make flows, which it must not have done since `lane` says so.
 */
struct l4_flows *l4_flows_new_in(struct l4_flow_pair *memory, struct xdp_lane *lane, uint64_t flows,
				 const struct l4_target *targets, struct l4_target_use *use);
/* Hops of another process mean nothing in this one: they are found anew. */
void l4_flows_forget_hops(struct l4_flows *flows);
void l4_flows_free(struct l4_flows *flows);
/* Pairs of the table for so many flows. */
uint64_t l4_flows_pairs(uint64_t flows);
/* The strides of a table of so many pairs. */
void l4_flows_strides(uint32_t pairs, uint32_t strides[L4_PAIRS_AWAY][L4_FLOW_STRIDES]);

static inline uint32_t
l4_flow_bucket(const struct l4_flows *flows, uint32_t hash)
{
	return l4_flow_bucket_of(flows->bucket_count, hash);
}

static inline struct l4_flow *
l4_flow_pair(const struct l4_flows *flows, uint32_t bucket, uint32_t stride)
{
	return flows->entries + (size_t)l4_flow_pair_of(flows->pair_count, bucket, stride) * L4_PAIR_PLACES;
}

/*
 * The stages of a burst: all its packets' l4_flow_prefetch(), then, when these have arrived, optionally all its
 * packets' l4_flow_prefetch_spilled(), then the lookups. The second one spares those a miss whose flows are elsewhere,
 * and costs little: its choice is not a branch.
 */
static inline void
l4_flow_prefetch(const struct l4_flows *flows, uint32_t hash)
{
	rte_prefetch0(flows->entries + (size_t)l4_flow_bucket(flows, hash) * L4_BUCKET_PLACES);
}

static inline void
l4_flow_prefetch_spilled(const struct l4_flows *flows, uint32_t hash)
{
	uint32_t bucket = l4_flow_bucket(flows, hash);
	const struct l4_flow *first = flows->entries + (size_t)bucket * L4_BUCKET_PLACES;
	const struct l4_flow *second = l4_flow_pair(flows, bucket, flows->strides[0][l4_flow_stride(hash)]);
	const struct l4_flow *wanted = first->bits & L4_FLOW_SPILLED ? second : first;

	rte_prefetch0(wanted);
	rte_prefetch0(wanted + L4_BUCKET_PLACES);
}

/* The live entry, or NULL. Does not touch it. */
struct l4_flow *l4_flow_find(struct l4_flows *flows, const struct l4_flow_key *key, uint16_t now_s);
struct l4_flow *l4_answer_find(struct l4_flows *flows, const struct l4_answer_key *key, uint16_t now_s);

/*
 * A new entry, which the caller knows not to be there: a free or timed out place, else NULL (the flow is then forwarded
 * without state). `model` gives all fields but L4_FLOW_SPILLED, `place` and seen_s (now_s). Counts the flow in `use`
 * when it is of the forward direction.
 */
struct l4_flow *l4_flow_insert(struct l4_flows *flows, uint32_t hash, const struct l4_flow *model, uint16_t now_s);
void l4_flow_remove(struct l4_flows *flows, struct l4_flow *flow);

/* After a packet: time and, for TCP, state. `tcp_flags` as in the header, `from_client` its direction. Of a flow
 * with two entries both are told what changes a state, and now and then that there are packets. A flow that is
 * closed stays so. */
void l4_flow_track(struct l4_flow *flow, uint8_t tcp_flags, bool from_client, uint16_t now_s);

/* Whole seconds of silence that the entry outlives; with one more it is dead. */
uint32_t l4_flow_timeout_s(const struct l4_flows *flows, const struct l4_flow *flow);

/* Looks at the next `buckets` buckets and clears what has timed out, so that counts stay true and seen_s never wraps
 * (the whole table at least once in four hours). Returns entries cleared. */
uint32_t l4_flows_sweep(struct l4_flows *flows, uint32_t buckets, uint16_t now_s);

struct l4_flows_usage {
	uint64_t places, used; /* entries of both directions */
	uint64_t bytes;
	uint64_t spilled; /* entries that are not in their first bucket */
};
void l4_flows_usage(const struct l4_flows *flows, struct l4_flows_usage *out);

static inline enum l4_flow_state
l4_flow_state(const struct l4_flow *flow)
{
	return (enum l4_flow_state)(flow->bits & 7);
}

#endif
