/* One lcore's view of a group: who may be asked now, and what became of those who were. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "upstream/upstream.h"

#define WORDS (UPSTREAM_SERVERS_MAX / 64)

/* nginx's three figures per server; times are when the last failure was, and when the last failure or probe was. */
struct record {
	uint32_t fails;
	uint64_t accessed_ns, checked_ns;
};

/* The primary servers, or the backups. Bits are by the server's index in its part. */
struct part {
	const struct balance_method *method;
	const void *table;
	const struct upstream_server *servers;
	struct balance_peer *peers;
	struct record *records;
	uint32_t count;
	uint64_t in_service[WORDS]; /* neither down nor drained */
	uint64_t full[WORDS];       /* at max_conns */
	uint64_t failed[WORDS];     /* at max_fails */
};

struct upstream_state {
	const struct upstream_group *group;
	struct random random;
	bool single; /* one server and no backup: nothing is gained by leaving it out */
	struct part primary, backup;
	struct balance_peer *peers;
	struct record *records;
};

static void
bit_set(uint64_t *bits, uint32_t index)
{
	bits[index / 64] |= 1ull << index % 64;
}

static void
bit_clear(uint64_t *bits, uint32_t index)
{
	bits[index / 64] &= ~(1ull << index % 64);
}

static void
part_init(struct part *part, const struct upstream_state *state, uint32_t first, uint32_t count)
{
	part->servers = state->group->servers + first;
	part->peers = state->peers + first;
	part->records = state->records + first;
	part->count = count;
}

static void
part_adopt(struct part *part, const uint32_t *weights, const void *table)
{
	part->table = table;
	for (uint32_t i = 0; i < part->count; i++) {
		/* What failures have taken off is forgotten with the weight that they took it off. */
		if (part->peers[i].weight != (int32_t)weights[i])
			part->peers[i].weight = part->peers[i].effective_weight = (int32_t)weights[i];
		if (!part->servers[i].down && weights[i] > 0)
			bit_set(part->in_service, i);
		else
			bit_clear(part->in_service, i);
	}
}

struct upstream_state *
upstream_state_new(const struct upstream_group *group, uint64_t random_seed)
{
	uint32_t count = upstream_server_count(group);
	struct upstream_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->group = group;
	state->random.state = random_seed ? random_seed : 1; /* the generator has no zero */
	state->single = count == 1;
	state->peers = calloc(count, sizeof(*state->peers));
	state->records = calloc(count, sizeof(*state->records));
	if (!state->peers || !state->records) {
		upstream_state_free(state);
		return NULL;
	}
	part_init(&state->primary, state, 0, group->primary_count);
	part_init(&state->backup, state, group->primary_count, group->backup_count);
	state->primary.method = state->backup.method = group->method;
	if (group->method->properties & BALANCE_NO_BACKUP)
		state->backup.method = balance_methods[0];
	upstream_state_adopt(state, &group->plan);
	return state;
}

void
upstream_state_adopt(struct upstream_state *state, const struct upstream_plan *plan)
{
	part_adopt(&state->primary, plan->weights, plan->primary_table);
	part_adopt(&state->backup, plan->weights + state->primary.count, plan->backup_table);
}

static uint32_t
part_in_service(const struct part *part)
{
	uint32_t count = 0;

	for (uint32_t word = 0; word * 64 < part->count; word++)
		count += (uint32_t)__builtin_popcountll(part->in_service[word]);
	return count;
}

uint32_t
upstream_tries(const struct upstream_state *state)
{
	return part_in_service(&state->primary) + part_in_service(&state->backup);
}

void
upstream_state_free(struct upstream_state *state)
{
	if (!state)
		return;
	free(state->peers);
	free(state->records);
	free(state);
}

const struct upstream_group *
upstream_state_group(const struct upstream_state *state)
{
	return state->group;
}

static bool
timeout_is_over(const struct part *part, uint32_t index, uint64_t now_ns)
{
	return now_ns - part->records[index].checked_ns > (uint64_t)part->servers[index].fail_timeout_ms * NS_PER_MS;
}

/* The failed ones among `bits` (of word `word`) that may be probed now. */
static uint64_t
probes_due(const struct part *part, uint32_t word, uint64_t bits, uint64_t now_ns)
{
	uint64_t due = 0;

	for (; bits; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);

		if (timeout_is_over(part, word * 64 + bit, now_ns))
			due |= 1ull << bit;
	}
	return due;
}

/* The index in the part, or -1. */
static int
part_pick(struct part *part, uint32_t options, struct upstream_attempts *attempts,
	  const struct balance_request *request, uint64_t now_ns)
{
	uint64_t usable[WORDS];
	uint64_t any = 0;
	int index;

	for (uint32_t word = 0; word * 64 < part->count; word++) {
		uint64_t bits = part->in_service[word] & ~part->full[word] & ~attempts->tried[word];
		uint64_t failed = bits & part->failed[word];

		usable[word] = (bits & ~failed) | probes_due(part, word, failed, now_ns);
		any |= usable[word];
	}
	if (!any)
		return -1;
	index = part->method->pick(part->table, options, part->peers, part->count, usable, request);
	if (index < 0)
		return -1;
	if (timeout_is_over(part, (uint32_t)index, now_ns))
		part->records[index].checked_ns = now_ns;
	bit_set(attempts->tried, (uint32_t)index);
	attempts->count++;
	if (++part->peers[index].active == part->servers[index].max_conns)
		bit_set(part->full, (uint32_t)index);
	return index;
}

int
upstream_pick(struct upstream_state *state, struct upstream_attempts *attempts, struct bytes key, uint64_t now_ns)
{
	struct balance_request request = {
		.key = key.data, .key_len = key.len, .attempt = attempts->count, .random = random_next(&state->random)
	};
	int index;

	if (!attempts->in_backup) {
		index = part_pick(&state->primary, state->group->method_options, attempts, &request, now_ns);
		if (index >= 0 || state->backup.count == 0)
			return index;
		attempts->in_backup = true;
		memset(attempts->tried, 0, sizeof(attempts->tried));
	}
	index = part_pick(&state->backup, state->group->method_options, attempts, &request, now_ns);
	return index < 0 ? -1 : (int)state->primary.count + index;
}

static struct part *
part_of(struct upstream_state *state, uint32_t *index)
{
	if (*index < state->primary.count)
		return &state->primary;
	*index -= state->primary.count;
	return &state->backup;
}

static bool
record_failure(struct part *part, uint32_t index, uint64_t now_ns)
{
	uint32_t max_fails = part->servers[index].max_fails;
	struct record *record = &part->records[index];
	struct balance_peer *peer = &part->peers[index];

	if (record->fails < UINT32_MAX)
		record->fails++;
	record->accessed_ns = record->checked_ns = now_ns;
	if (max_fails == 0)
		return false;
	peer->effective_weight -= peer->weight / (int32_t)max_fails;
	if (peer->effective_weight < 0)
		peer->effective_weight = 0;
	if (record->fails < max_fails)
		return false;
	bit_set(part->failed, index);
	return true;
}

bool
upstream_done(struct upstream_state *state, uint32_t index, enum upstream_result result, uint64_t now_ns)
{
	struct part *part = part_of(state, &index);
	struct record *record = &part->records[index];

	part->peers[index].active--;
	bit_clear(part->full, index);
	if (state->single || result == UPSTREAM_ABANDONED)
		return false;
	if (result == UPSTREAM_FAILED)
		return record_failure(part, index, now_ns);
	/* A success counts once the window of the last failure is over: only then `checked` is later than it. */
	if (record->accessed_ns < record->checked_ns) {
		record->fails = 0;
		bit_clear(part->failed, index);
	}
	return false;
}

bool
upstream_failed(const struct upstream_state *state, uint32_t index)
{
	if (index < state->primary.count)
		return balance_usable(state->primary.failed, index);
	return balance_usable(state->backup.failed, index - state->primary.count);
}

uint32_t
upstream_active(const struct upstream_state *state, uint32_t index)
{
	return state->peers[index].active;
}
