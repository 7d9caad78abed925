#include "l4/flow.h"

#include <rte_branch_prediction.h>
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
	uint64_t used, spilled; /* `used` without what the program has made, so below 0 at times */
	struct xdp_lane *lane;  /* NULL: nobody else has the table */
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
l4_flows_new_in(struct l4_flow_pair *memory, struct xdp_lane *lane, uint64_t flows, const struct l4_target *targets,
		struct l4_target_use *use)
{
	struct flows *f = flows_alloc(flows, 0, targets, use);

	if (!f)
		return NULL;
	f->head.entries = memory->places;
	f->lane = lane;
	recount(f);
	lane->made = 0;
	__atomic_store_n(&lane->makes_flows, 1, __ATOMIC_RELEASE);
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

/* The program may be about to fill this very place. */
static inline void
spilled_set(const struct flows *f, struct l4_flow *flow, bool spilled)
{
	if (!f->lane)
		flow->bits = (flow->bits & ~(uint32_t)L4_FLOW_SPILLED & 0xff) | (spilled ? L4_FLOW_SPILLED : 0);
	else if (spilled)
		__atomic_fetch_or(l4_flow_tail(flow), L4_FLOW_TAIL_SPILLED, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(l4_flow_tail(flow), ~L4_FLOW_TAIL_SPILLED, __ATOMIC_RELAXED);
}

static void
spill_count(struct flows *f, uint32_t bucket, unsigned int which)
{
	uint8_t *away = &f->away[bucket][which];

	if (*away < UINT8_MAX)
		++*away;
	spilled_set(f, &bucket_at(f, bucket)[which], true);
	f->spilled++;
}

static void
spill_uncount(struct flows *f, uint32_t bucket, unsigned int which)
{
	uint8_t *away = &f->away[bucket][which];

	f->spilled--;
	/* Once it could not be counted, nobody knows when the last one has gone. */
	if (*away < UINT8_MAX && --*away == 0)
		spilled_set(f, &bucket_at(f, bucket)[which], false);
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

static inline uint32_t
tail_of(struct l4_flow *flow)
{
	return __atomic_load_n(l4_flow_tail(flow), __ATOMIC_RELAXED);
}

/* The place is ours. False: since this was seen there the program has been faster. */
static inline bool
place_take(const struct flows *f, struct l4_flow *flow, uint32_t tail)
{
	if (f->lane)
		return l4_flow_take(flow, tail);
	*l4_flow_tail(flow) = (tail & L4_FLOW_TAIL_SPILLED) | L4_FLOW_TAKEN << 24;
	return true;
}

static inline void
place_give(const struct flows *f, struct l4_flow *flow, uint32_t tail)
{
	if (f->lane)
		l4_flow_give(flow, tail);
	else
		*l4_flow_tail(flow) = (*l4_flow_tail(flow) & L4_FLOW_TAIL_SPILLED) | tail;
}

static inline void
target_count(const struct flows *f, uint32_t target, uint32_t more)
{
	if (f->lane)
		__atomic_fetch_add(&f->use[target].flows, more, __ATOMIC_RELAXED);
	else
		f->use[target].flows += more;
}

/* Takes a place with the flow that this says is in it, and all that is counted of that. */
static bool
take_with_flow(struct flows *f, struct l4_flow *flow, uint32_t tail)
{
	uint32_t place = tail >> 16 & 0xff;

	assert(l4_flow_is_one(L4_FLOW_TAIL_STATE(tail)) && "flow removed twice");
	if (!place_take(f, flow, tail))
		return false;
	f->used--;
	if (!(tail >> 24 & L4_FLOW_ANSWER))
		target_count(f, tail & 0xffff, UINT32_MAX);
	if (place & PLACE_SECOND)
		spill_uncount(f, first_bucket_of(f, flow, place), which_away(place));
	return true;
}

/* A place that is ours becomes free. */
static void
place_free(struct flows *f, struct l4_flow *flow)
{
	memset(flow, 0, offsetof(struct l4_flow, client_port_be));
	flow->client_port_be = flow->service_port_be = flow->local_port_be = 0;
	flow->seen_s = 0;
	flow->origin = 0;
	place_give(f, flow, 0);
}

static bool
clear(struct flows *f, struct l4_flow *flow, uint32_t tail)
{
	if (!take_with_flow(f, flow, tail))
		return false;
	place_free(f, flow);
	return true;
}

/* What is known beside the entries, from the entries: those of a process before this one. */
static void
recount(struct flows *f)
{
	struct l4_flow *end = f->head.entries + (size_t)f->head.pair_count * L4_PAIR_PLACES;

	for (uint32_t i = 0; i < L4_TARGETS_MAX; i++)
		f->use[i].flows = 0;
	for (struct l4_flow *flow = f->head.entries; flow < end; flow++) {
		/* Whoever was about to fill it has been killed. */
		if (l4_flow_state(flow) == L4_FLOW_TAKEN)
			place_free(f, flow);
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

static inline bool
take_free(const struct flows *f, struct l4_flow *flow)
{
	uint32_t tail = tail_of(flow);

	return L4_FLOW_TAIL_STATE(tail) == L4_FLOW_NONE && place_take(f, flow, tail);
}

/* A client that means it has answered the server's SYN by then. */
static inline bool
gives_way(const struct l4_flow *flow, uint16_t now_s)
{
	return l4_flow_state(flow) == L4_FLOW_OPENING && l4_flow_silent_s(flow->seen_s, now_s) >= L4_OPENING_YIELDS_S;
}

/* Takes a place whose flow has timed out, or else is still half open after a while: a flood of SYNs may fill the table, but
 * not keep it. */
static struct l4_flow *
place_reclaim(struct flows *f, struct l4_flow *places, unsigned int count, uint16_t now_s)
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t tail = tail_of(&places[i]);

		if (l4_flow_is_one(L4_FLOW_TAIL_STATE(tail)) && timed_out(f, &places[i], now_s) &&
		    take_with_flow(f, &places[i], tail))
			return &places[i];
	}
	for (unsigned int i = 0; i < count; i++) {
		uint32_t tail = tail_of(&places[i]);

		if (gives_way(&places[i], now_s) && take_with_flow(f, &places[i], tail))
			return &places[i];
	}
	return NULL;
}

/* All of these take the place that they return. */
static inline struct l4_flow *
place_in_bucket(struct flows *f, struct l4_flow *bucket, uint16_t now_s)
{
	if (take_free(f, &bucket[0]))
		return &bucket[0];
	if (take_free(f, &bucket[1]))
		return &bucket[1];
	return place_reclaim(f, bucket, L4_BUCKET_PLACES, now_s);
}

/* The emptier bucket, so that as many flows as possible find room in their first one. */
static struct l4_flow *
free_in_pair(struct l4_flow *pair)
{
	struct l4_flow *found = NULL;

	for (unsigned int i = 0; i < L4_PAIR_PLACES; i += L4_BUCKET_PLACES) {
		bool first = place_is_free(&pair[i]), second = place_is_free(&pair[i + 1]);

		if (first && second)
			return &pair[i];
		if (!found && (first || second))
			found = &pair[first ? i : i + 1];
	}
	return found;
}

static struct l4_flow *
place_in_pair(struct flows *f, struct l4_flow *pair, uint16_t now_s)
{
	struct l4_flow *found;

	/* Again where the program was faster. */
	while ((found = free_in_pair(pair)))
		if (take_free(f, found))
			return found;
	return place_reclaim(f, pair, L4_PAIR_PLACES, now_s);
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
	uint32_t bucket = l4_flow_bucket(flows, hash), place = 0;
	struct l4_flow *flow = place_in_bucket(f, bucket_at(f, bucket), now_s);

	assert(l4_flow_state(model) != L4_FLOW_NONE && model->target != L4_TARGET_NONE);
	if (!flow)
		flow = place_away(f, bucket, hash, now_s, &place);
	if (unlikely(!flow))
		return NULL;
	flow->client = model->client;
	flow->client_port_be = model->client_port_be;
	flow->service_port_be = model->service_port_be;
	flow->local_port_be = model->local_port_be;
	flow->seen_s = now_s;
	flow->origin = model->origin;
	if (!(model->bits & L4_FLOW_ANSWER))
		target_count(f, model->target, 1);
	f->used++;
	place_give(f, flow, L4_FLOW_TAIL(model->target, place, model->bits & ~(uint32_t)L4_FLOW_SPILLED));
	return flow;
}

void
l4_flow_remove(struct l4_flows *flows, struct l4_flow *flow)
{
	/* The program may be following its state. */
	while (!clear((struct flows *)flows, flow, tail_of(flow)))
		;
}

uint32_t
l4_flows_sweep(struct l4_flows *flows, uint32_t buckets, uint16_t now_s)
{
	struct flows *f = (struct flows *)flows;
	uint32_t cleared = 0;

	while (buckets-- > 0) {
		struct l4_flow *bucket = bucket_at(f, f->cursor);

		for (unsigned int i = 0; i < L4_BUCKET_PLACES; i++) {
			uint32_t tail = tail_of(&bucket[i]);

			if (l4_flow_is_one(L4_FLOW_TAIL_STATE(tail)) && timed_out(f, &bucket[i], now_s))
				cleared += clear(f, &bucket[i], tail);
		}
		if (++f->cursor == flows->bucket_count)
			f->cursor = 0;
	}
	return cleared;
}

static uint64_t
made_by_program(const struct flows *f)
{
	return f->lane ? __atomic_load_n(&f->lane->made, __ATOMIC_RELAXED) : 0;
}

void
l4_flows_usage(const struct l4_flows *flows, struct l4_flows_usage *out)
{
	const struct flows *f = (const struct flows *)flows;

	*out = (struct l4_flows_usage){
		.places = (uint64_t)flows->bucket_count * L4_BUCKET_PLACES,
		.used = f->used + made_by_program(f),
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

void
l4_flow_track(struct l4_flow *flow, uint8_t tcp_flags, bool from_client, uint16_t now_s)
{
	uint32_t bits = l4_flow_bits_after(flow->bits, tcp_flags, from_client);

	flow->seen_s = now_s;
	/* The program may do the same at this moment, from another packet: of a state either will do. */
	if (bits != flow->bits)
		flow->bits = bits & 0xff;
}
