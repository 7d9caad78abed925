/*
 * `maglev [KEY]`: the table of maglev.h, and the lookup XXH64(key, seed 0) % M.
 *
 * When the server found is not usable, the hash is hashed again with the seeds 1, 2, ... 20, which spreads the requests of
 * a failed server evenly over the others, and after that the entries are walked one by one, so that every usable server
 * is reached. Requests of usable servers never move. (Envoy complements the hash for its retries; that mirrors the table
 * and was measured to be up to a fifth uneven.)
 */
#include "balance/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "balance/internal.h"

#define MAGLEV_EMPTY UINT16_MAX

/* What a host needs when it is its turn: small, as there are hundreds of thousands of turns. */
struct maglev_turn {
	double share, target; /* of the sum of weights: Envoy's arithmetic, rounding included */
	uint32_t position, skip;
	uint16_t index;
};

struct maglev_host {
	const char *key;
	size_t key_len;
	double share;
	uint16_t index;
};

/* A build's own memory. */
struct maglev_work {
	struct maglev_host *hosts;
	struct maglev_turn *turns;
	uint32_t *free; /* the entries left, once they are few */
	uint32_t few;   /* how many that is: about the square root of the size */
};

static bool
maglev_is_prime(uint32_t number)
{
	if (number < 4)
		return number > 1;
	if (number % 2 == 0)
		return false;
	for (uint32_t divisor = 3; (uint64_t)divisor * divisor <= number; divisor += 2)
		if (number % divisor == 0)
			return false;
	return true;
}

static size_t
maglev_size(const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	uint32_t size = size_hint ? size_hint : BALANCE_MAGLEV_SIZE_DEFAULT;

	if (size > BALANCE_MAGLEV_SIZE_MAX || !maglev_is_prime(size) || count > size || count >= MAGLEV_EMPTY)
		return 0;
	return sizeof(struct balance_maglev) + size * sizeof(uint16_t);
}

static int
maglev_host_compare(const void *left, const void *right)
{
	const struct maglev_host *a = left, *b = right;
	int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	if (order == 0 && a->key_len != b->key_len)
		order = a->key_len < b->key_len ? -1 : 1;
	return order != 0 ? order : (int)a->index - (int)b->index;
}

/* Fills hosts[], sorted. Returns how many take part. */
static size_t
maglev_hosts_prepare(struct maglev_host *hosts, const struct balance_server *servers, size_t count)
{
	uint64_t sum = 0;
	size_t used = 0;

	for (size_t i = 0; i < count; i++)
		sum += servers[i].weight;
	for (size_t i = 0; i < count; i++) {
		struct maglev_host *host = &hosts[used];

		if (servers[i].weight == 0)
			continue;
		host->key = servers[i].key;
		host->key_len = servers[i].key_len;
		host->share = (double)servers[i].weight / (double)sum;
		host->index = (uint16_t)i;
		used++;
	}
	qsort(hosts, used, sizeof(*hosts), maglev_host_compare);
	return used;
}

/* Fills turns[] in the order of the hosts. Returns the largest share. */
static double
maglev_turns_prepare(struct maglev_turn *turns, const struct maglev_host *hosts, size_t count, uint32_t size)
{
	double largest_share = 0;

	for (size_t i = 0; i < count; i++) {
		const struct maglev_host *host = &hosts[i];

		turns[i] = (struct maglev_turn){
			.share = host->share,
			.position = (uint32_t)(XXH64(host->key, host->key_len, 0) % size),
			.skip = (uint32_t)(XXH64(host->key, host->key_len, 1) % (size - 1)) + 1,
			.index = host->index,
		};
		if (host->share > largest_share)
			largest_share = host->share;
	}
	return largest_share;
}

static inline uint32_t
maglev_advance(uint32_t position, uint32_t skip, uint32_t size)
{
	position += skip;
	return position >= size ? position - size : position;
}

/* The next free entry of a host's permutation, by going along it. */
static uint32_t
maglev_search(const struct balance_maglev *table, const struct maglev_turn *turn)
{
	uint32_t position = turn->position;

	while (table->entries[position] != MAGLEV_EMPTY)
		position = maglev_advance(position, turn->skip, table->size);
	return position;
}

/* 1/number modulo a prime (Euclid's algorithm, extended). */
static uint32_t
maglev_inverse(uint32_t number, uint32_t prime)
{
	int64_t before = 0, inverse = 1;
	uint32_t high = prime, low = number;

	while (low > 1) {
		int64_t quotient = high / low, next = before - quotient * inverse;
		uint32_t rest = high % low;

		high = low;
		low = rest;
		before = inverse;
		inverse = next;
	}
	return (uint32_t)(inverse < 0 ? inverse + prime : inverse);
}

/*
 * The same entry, taken out of the `left` free ones: the one that comes first in the permutation. An entry is
 * (entry - position) / skip steps ahead. Where few are free this asks each of them instead of going past all that are not:
 * half of all steps of a build would be spent on its last 256 of 65537 entries.
 */
static uint32_t
maglev_take_free(struct maglev_work *work, uint32_t left, const struct maglev_turn *turn, uint32_t size)
{
	uint64_t inverse = maglev_inverse(turn->skip, size), reciprocal = UINT64_MAX / size;
	uint32_t nearest = 0, entry;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < left; i++) {
		uint32_t ahead = work->free[i] >= turn->position ? work->free[i] - turn->position
								 : work->free[i] + (size - turn->position);
		uint64_t steps = ahead * inverse;

		/* Modulo `size` without a division: the quotient may be one too small. */
		steps -= (uint64_t)((unsigned __int128)steps * reciprocal >> 64) * size;
		steps = steps >= size ? steps - size : steps;
		if (steps < least) {
			least = steps;
			nearest = i;
		}
	}
	entry = work->free[nearest];
	work->free[nearest] = work->free[left - 1];
	return entry;
}

static void
maglev_list_free(const struct balance_maglev *table, struct maglev_work *work)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < table->size; i++)
		if (table->entries[i] == MAGLEV_EMPTY)
			work->free[count++] = i;
}

static void
maglev_fill(struct balance_maglev *table, struct maglev_work *work, size_t count, double largest_share)
{
	uint32_t left = table->size;

	memset(table->entries, 0xff, table->size * sizeof(*table->entries));
	for (uint32_t iteration = 1; left > 0; iteration++) {
		for (size_t i = 0; i < count && left > 0; i++) {
			struct maglev_turn *turn = &work->turns[i];
			uint32_t entry;

			if (iteration * turn->share < turn->target)
				continue;
			turn->target += largest_share;
			if (left == work->few)
				maglev_list_free(table, work);
			entry = left > work->few ? maglev_search(table, turn)
						 : maglev_take_free(work, left, turn, table->size);
			table->entries[entry] = turn->index;
			turn->position = maglev_advance(entry, turn->skip, table->size);
			left--;
		}
	}
}

static void
maglev_work_free(struct maglev_work *work)
{
	free(work->hosts);
	free(work->turns);
	free(work->free);
}

static int
maglev_work_alloc(struct maglev_work *work, size_t count, uint32_t size)
{
	work->few = 1;
	while ((uint64_t)work->few * work->few < size)
		work->few++;
	work->hosts = calloc(count + 1, sizeof(*work->hosts));
	work->turns = calloc(count + 1, sizeof(*work->turns));
	work->free = calloc(work->few, sizeof(*work->free));
	if (work->hosts && work->turns && work->free)
		return 0;
	maglev_work_free(work);
	return -ENOMEM;
}

static int
maglev_build(void *memory, const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	struct balance_maglev *table = memory;
	struct maglev_work work;
	double largest_share;
	size_t used;

	if (maglev_size(servers, count, options, size_hint) == 0)
		return -EINVAL;
	table->size = size_hint ? size_hint : BALANCE_MAGLEV_SIZE_DEFAULT;
	table->count = (uint32_t)count;
	if (maglev_work_alloc(&work, count, table->size) < 0)
		return -ENOMEM;
	used = maglev_hosts_prepare(work.hosts, servers, count);
	largest_share = maglev_turns_prepare(work.turns, work.hosts, used, table->size);
	if (used)
		maglev_fill(table, &work, used, largest_share);
	else
		table->size = 0;
	maglev_work_free(&work);
	return 0;
}

static int
maglev_walk(const struct balance_maglev *table, const uint64_t *usable, uint64_t hash)
{
	uint32_t position = (uint32_t)(hash % table->size);

	for (uint32_t i = 0; i < table->size; i++) {
		if (balance_usable(usable, table->entries[position]))
			return table->entries[position];
		if (++position == table->size)
			position = 0;
	}
	return -1;
}

static int
maglev_pick(const void *memory, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
	    const struct balance_request *request)
{
	const struct balance_maglev *table = memory;
	/* Without a key there is nothing to be faithful to: any server, as Envoy. */
	uint64_t hash = request->key_len ? XXH64(request->key, request->key_len, 0) : request->random;

	if (table->size == 0 || balance_usable_next(usable, count, 0) == count)
		return -1;
	for (uint64_t i = 0; i < BALANCE_POSITIONS_MAX; i++) {
		uint16_t index = balance_maglev_at(table, i == 0 ? hash : XXH64(&hash, sizeof(hash), i));

		if (balance_usable(usable, index))
			return index;
	}
	return maglev_walk(table, usable, hash);
}

const struct balance_method balance_maglev = {
	.name = "maglev",
	.argument = "[KEY]",
	.properties = BALANCE_NEEDS_KEY | BALANCE_KEY_OPTIONAL | BALANCE_PER_PACKET,
	.words_max = 1,
	.table_size = maglev_size,
	.build = maglev_build,
	.pick = maglev_pick,
};
