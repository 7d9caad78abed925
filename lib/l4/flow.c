#include "l4/flow.h"

#include <rte_branch_prediction.h>
#include <rte_tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/pages.h"
#include "l4/flow_inline.h"

/* So that entries are numbered in 32 bits. */
#define PAIRS_MAX (UINT32_MAX / L4_PAIR_PLACES)

/*
 * Where an entry stands (l4_flow.place): 0 in the first bucket of its hash, else what leads back to that: which pair it
 * is in, which bucket of its own pair the first one is, and the stride.
 */
#define PLACE_SECOND 0x80u
#define PLACE_THIRD 0xc0u
#define PLACE_ODD 0x20u
#define PLACE_STRIDE 0x1fu

static_assert(L4_TARGETS_MAX <= 1 << 16, "l4_flow.target");
static_assert(PLACE_STRIDE + 1 == L4_FLOW_STRIDES, "l4_flow.place");

struct flows {
	struct l4_flows head;
	uint32_t cursor; /* next bucket to sweep */
	const struct l4_target *targets;
	struct l4_target_use *use;
	uint8_t (*away)[L4_PAIRS_AWAY]; /* per bucket: its flows in their second and third pair; 255 stays */
	void *memory;
	size_t memory_bytes;
	uint64_t used, spilled;
};

static void recount(struct flows *f);

void
l4_flows_strides(uint32_t pairs, uint32_t strides[L4_PAIRS_AWAY][L4_FLOW_STRIDES])
{
	for (uint32_t i = 0; i < L4_PAIRS_AWAY * L4_FLOW_STRIDES; i++) {
		uint32_t random = (uint32_t)(hash_mix64(i + 1) >> 32);

		strides[i / L4_FLOW_STRIDES][i % L4_FLOW_STRIDES] =
			1 + (uint32_t)((uint64_t)random * (pairs - 1) >> 32);
	}
}

uint64_t
l4_flows_pairs(uint64_t flows)
{
	uint64_t pairs = flows * 5 / 12 + 1;

	/* A second pair is another one. */
	return pairs < 2 ? 2 : pairs;
}

/* With room for entries of this size in front of what is counted per bucket; 0: they are elsewhere. */
static struct flows *
flows_alloc(uint64_t flows, size_t entry_bytes, const struct l4_target *targets, struct l4_target_use *use)
{
	uint64_t pairs = l4_flows_pairs(flows);
	struct flows *f;
	size_t table;

	if (pairs > PAIRS_MAX)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	table = pairs * entry_bytes * L4_PAIR_PLACES;
	f->memory_bytes = table + pairs * 2 * L4_PAIRS_AWAY;
	f->memory = pages_map(f->memory_bytes);
	if (!f->memory) {
		free(f);
		return NULL;
	}
	f->head.entries = f->memory;
	f->head.bucket_count = (uint32_t)pairs * 2;
	f->head.pair_count = (uint32_t)pairs;
	f->away = (void *)((uint8_t *)f->memory + table);
	f->targets = targets;
	f->use = use;
	l4_flows_strides((uint32_t)pairs, f->head.strides);
	return f;
}

struct l4_flows *
l4_flows_new(uint64_t flows, const struct l4_target *targets, struct l4_target_use *use)
{
	struct flows *f = flows_alloc(flows, sizeof(struct l4_flow), targets, use);

	return f ? &f->head : NULL;
}

struct l4_flows *
l4_flows_new_in(struct l4_flow_pair *memory, uint64_t flows, const struct l4_target *targets, struct l4_target_use *use)
{
	struct flows *f = flows_alloc(flows, 0, targets, use);

	if (!f)
		return NULL;
	f->head.entries = memory->places;
	recount(f);
	return &f->head;
}

void
l4_flows_free(struct l4_flows *flows)
{
	struct flows *f = (struct flows *)flows;

	if (!f)
		return;
	pages_unmap(f->memory, f->memory_bytes);
	free(f);
}

/* ---- places ---- */

static inline struct l4_flow *
bucket_at(const struct flows *f, uint32_t bucket)
{
	return f->head.entries + (size_t)bucket * L4_BUCKET_PLACES;
}

/* Whose first bucket was full: the four places of its second pair (0), or its third (1). */
static inline struct l4_flow *
pair_away(const struct flows *f, uint32_t bucket, unsigned int which, uint32_t hash)
{
	return l4_flow_pair(&f->head, bucket, f->head.strides[which][l4_flow_stride(hash)]);
}

static inline unsigned int
which_away(uint32_t place)
{
	return (place & PLACE_THIRD) == PLACE_THIRD;
}

/* Where an entry away from its first bucket belongs. */
static uint32_t
first_bucket_of(const struct flows *f, const struct l4_flow *flow, uint32_t place)
{
	uint32_t pair = (uint32_t)((size_t)(flow - f->head.entries) / L4_PAIR_PLACES);
	uint32_t stride = f->head.strides[which_away(place)][place & PLACE_STRIDE];

	pair = pair >= stride ? pair - stride : pair + f->head.pair_count - stride;
	return pair * 2 + !!(place & PLACE_ODD);
}

static void
spill_count(struct flows *f, uint32_t bucket, unsigned int which)
{
	uint8_t *away = &f->away[bucket][which];

	if (*away < UINT8_MAX)
		++*away;
	bucket_at(f, bucket)[which].bits |= L4_FLOW_SPILLED;
	f->spilled++;
}

static void
spill_uncount(struct flows *f, uint32_t bucket, unsigned int which)
{
	uint8_t *away = &f->away[bucket][which];

	f->spilled--;
	/* Once it could not be counted, nobody knows when the last one has gone. */
	if (*away < UINT8_MAX && --*away == 0)
		bucket_at(f, bucket)[which].bits &= ~(uint32_t)L4_FLOW_SPILLED & 0xff;
}

/* ---- time ---- */

/* Of an entry in use. */
static inline bool
timed_out(const struct flows *f, const struct l4_flow *flow, uint16_t now_s)
{
	return l4_flow_timed_out(f->targets, flow, now_s);
}

uint32_t
l4_flow_timeout_s(const struct l4_flows *flows, const struct l4_flow *flow)
{
	const struct flows *f = (const struct flows *)flows;

	return l4_flow_timeout_of(&f->targets[flow->target], flow);
}

/* ---- lookup ---- */

struct l4_flow *
l4_flow_find(struct l4_flows *flows, const struct l4_flow_key *key, uint16_t now_s)
{
	return l4_flow_look_up(flows, ((const struct flows *)flows)->targets, key, now_s);
}

struct l4_flow *
l4_answer_find(struct l4_flows *flows, const struct l4_answer_key *key, uint16_t now_s)
{
	return l4_answer_look_up(flows, ((const struct flows *)flows)->targets, key, now_s);
}

/* ---- changes ---- */

static void
clear(struct flows *f, struct l4_flow *flow)
{
	const struct l4_flow old = *flow;

	assert(l4_flow_state(flow) != L4_FLOW_NONE && "flow removed twice");
	l4_flow_publish(flow, L4_TARGET_NONE, 0, old.bits & L4_FLOW_SPILLED);
	*flow = (struct l4_flow){ .bits = old.bits & L4_FLOW_SPILLED };
	f->used--;
	if (!(old.bits & L4_FLOW_ANSWER))
		f->use[old.target].flows--;
	if (old.place & PLACE_SECOND)
		spill_uncount(f, first_bucket_of(f, flow, old.place), which_away(old.place));
}

/* What is known beside the entries, from the entries: those of a process before this one. */
static void
recount(struct flows *f)
{
	struct l4_flow *end = f->head.entries + (size_t)f->head.pair_count * L4_PAIR_PLACES;

	for (uint32_t i = 0; i < L4_TARGETS_MAX; i++)
		f->use[i].flows = 0;
	for (struct l4_flow *flow = f->head.entries; flow < end; flow++) {
		if (l4_flow_state(flow) == L4_FLOW_NONE)
			continue;
		f->used++;
		if (!(flow->bits & L4_FLOW_ANSWER))
			f->use[flow->target].flows++;
		if (flow->place & PLACE_SECOND)
			spill_count(f, first_bucket_of(f, flow, flow->place), which_away(flow->place));
	}
}

static inline bool
place_is_free(const struct l4_flow *flow)
{
	return l4_flow_state(flow) == L4_FLOW_NONE;
}

/* A client that means it has answered the server's SYN by then. */
static inline bool
gives_way(const struct l4_flow *flow, uint16_t now_s)
{
	return l4_flow_state(flow) == L4_FLOW_OPENING && (uint16_t)(now_s - flow->seen_s) >= L4_OPENING_YIELDS_S;
}

/* Makes a place free whose flow has timed out, or else is still half open after a while: a flood of SYNs may fill the table,
 * but not keep it. */
static struct l4_flow *
place_reclaim(struct flows *f, struct l4_flow *places, unsigned int count, uint16_t now_s)
{
	struct l4_flow *found = NULL;

	for (unsigned int i = 0; i < count && !found; i++)
		if (timed_out(f, &places[i], now_s))
			found = &places[i];
	for (unsigned int i = 0; i < count && !found; i++)
		if (gives_way(&places[i], now_s))
			found = &places[i];
	if (found)
		clear(f, found);
	return found;
}

static inline struct l4_flow *
place_in_bucket(struct flows *f, struct l4_flow *bucket, uint16_t now_s)
{
	if (place_is_free(&bucket[0]))
		return &bucket[0];
	if (place_is_free(&bucket[1]))
		return &bucket[1];
	return place_reclaim(f, bucket, L4_BUCKET_PLACES, now_s);
}

/* The emptier bucket, so that as many flows as possible find room in their first one. */
static struct l4_flow *
place_in_pair(struct flows *f, struct l4_flow *pair, uint16_t now_s)
{
	struct l4_flow *found = NULL;

	for (unsigned int i = 0; i < L4_PAIR_PLACES; i += L4_BUCKET_PLACES) {
		bool first = place_is_free(&pair[i]), second = place_is_free(&pair[i + 1]);

		if (first && second)
			return &pair[i];
		if (!found && (first || second))
			found = &pair[first ? i : i + 1];
	}
	return found ? found : place_reclaim(f, pair, L4_PAIR_PLACES, now_s);
}

static unsigned int
free_places(const struct l4_flow *pair)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < L4_PAIR_PLACES; i++)
		count += place_is_free(&pair[i]);
	return count;
}

/* A place in the second pair or in the third; `place` says which. NULL: both are full. The second is preferred, as
 * it is the first to be looked at, but not to its last place: with room left everywhere fewer flows are refused. */
static __attribute__((noinline)) struct l4_flow *
place_away(struct flows *f, uint32_t bucket, uint32_t hash, uint16_t now_s, uint32_t *place)
{
	struct l4_flow *pairs[L4_PAIRS_AWAY] = { pair_away(f, bucket, 0, hash), pair_away(f, bucket, 1, hash) };
	unsigned int room = free_places(pairs[0]);
	unsigned int preferred = room < 2 && free_places(pairs[1]) > room;

	for (unsigned int i = 0; i < L4_PAIRS_AWAY; i++) {
		unsigned int which = i ^ preferred;
		struct l4_flow *flow = place_in_pair(f, pairs[which], now_s);

		if (!flow)
			continue;
		*place = (which ? PLACE_THIRD : PLACE_SECOND) | (bucket & 1 ? PLACE_ODD : 0) | l4_flow_stride(hash);
		spill_count(f, bucket, which);
		return flow;
	}
	return NULL;
}

struct l4_flow *
l4_flow_insert(struct l4_flows *flows, uint32_t hash, const struct l4_flow *model, uint16_t now_s)
{
	struct flows *f = (struct flows *)flows;
	uint32_t bucket = l4_flow_bucket(flows, hash), spilled, place = 0;
	struct l4_flow *flow = place_in_bucket(f, bucket_at(f, bucket), now_s);

	assert(l4_flow_state(model) != L4_FLOW_NONE && model->target != L4_TARGET_NONE);
	if (!flow)
		flow = place_away(f, bucket, hash, now_s, &place);
	if (unlikely(!flow))
		return NULL;
	spilled = flow->bits & L4_FLOW_SPILLED;
	flow->client = model->client;
	flow->client_port_be = model->client_port_be;
	flow->service_port_be = model->service_port_be;
	flow->local_port_be = model->local_port_be;
	flow->seen_s = now_s;
	flow->origin = model->origin;
	l4_flow_publish(flow, model->target, place, (model->bits & ~(uint32_t)L4_FLOW_SPILLED) | spilled);
	if (!(flow->bits & L4_FLOW_ANSWER))
		f->use[flow->target].flows++;
	f->used++;
	return flow;
}

void
l4_flow_remove(struct l4_flows *flows, struct l4_flow *flow)
{
	clear((struct flows *)flows, flow);
}

uint32_t
l4_flows_sweep(struct l4_flows *flows, uint32_t buckets, uint16_t now_s)
{
	struct flows *f = (struct flows *)flows;
	uint32_t cleared = 0;

	while (buckets-- > 0) {
		struct l4_flow *bucket = bucket_at(f, f->cursor);

		for (unsigned int i = 0; i < L4_BUCKET_PLACES; i++) {
			if (!place_is_free(&bucket[i]) && timed_out(f, &bucket[i], now_s)) {
				clear(f, &bucket[i]);
				cleared++;
			}
		}
		if (++f->cursor == flows->bucket_count)
			f->cursor = 0;
	}
	return cleared;
}

void
l4_flows_usage(const struct l4_flows *flows, struct l4_flows_usage *out)
{
	const struct flows *f = (const struct flows *)flows;

	*out = (struct l4_flows_usage){
		.places = (uint64_t)flows->bucket_count * L4_BUCKET_PLACES,
		.used = f->used,
		.bytes = f->memory_bytes,
		.spilled = f->spilled,
	};
}

void
l4_flows_forget_hops(struct l4_flows *flows)
{
	const struct flows *f = (const struct flows *)flows;
	struct l4_flow *end = flows->entries + (size_t)flows->pair_count * L4_PAIR_PLACES;

	for (uint32_t i = 0; i < L4_TARGETS_MAX; i++)
		f->use[i].hop = f->use[i].hop_generation = 0;
	for (struct l4_flow *flow = flows->entries; flow < end; flow++)
		if (flow->bits & L4_FLOW_ANSWER)
			flow->hop = flow->hop_generation = 0;
}

/* ---- TCP ---- */

static inline void
state_set(struct l4_flow *flow, enum l4_flow_state state)
{
	flow->bits = ((flow->bits & ~7u) | state) & 0xff;
}

void
l4_flow_track(struct l4_flow *flow, uint8_t tcp_flags, bool from_client, uint16_t now_s)
{
	const uint32_t both = L4_FLOW_CLIENT_FIN | L4_FLOW_SERVER_FIN;
	enum l4_flow_state state = l4_flow_state(flow);

	flow->seen_s = now_s;
	if (state == L4_FLOW_UDP || state == L4_FLOW_CLOSED)
		return;
	if (tcp_flags & RTE_TCP_RST_FLAG) {
		state_set(flow, L4_FLOW_CLOSED);
	} else if (tcp_flags & RTE_TCP_FIN_FLAG) {
		flow->bits |= from_client ? L4_FLOW_CLIENT_FIN : L4_FLOW_SERVER_FIN;
		state_set(flow, (flow->bits & both) == both ? L4_FLOW_CLOSED : L4_FLOW_CLOSING);
	} else if (state == L4_FLOW_OPENING && from_client && !(tcp_flags & RTE_TCP_SYN_FLAG)) {
		/* Not by the server's SYN: under a flood of forged ones it answers, and nobody is there. */
		state_set(flow, L4_FLOW_ESTABLISHED);
	}
}
