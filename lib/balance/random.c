/*
 * `random`: a server drawn with the probability of its weight. `random two [least_conn]`: of two different ones drawn,
 * the one with fewer active requests for its weight. As nginx, which after 20 unlucky draws leaves it to round robin.
 */
#include <errno.h>
#include <string.h>

#include "balance/internal.h"

#define RANDOM_TWO 1u
#define RANDOM_LEAST_CONN 2u /* the default of `two`, written out */

static int
random_option(const char *word, size_t len, uint32_t *options, const char **error)
{
	if (*options == 0 && len == 3 && memcmp(word, "two", 3) == 0) {
		*options = RANDOM_TWO;
		return 0;
	}
	if (*options == RANDOM_TWO && len == 10 && memcmp(word, "least_conn", 10) == 0) {
		*options |= RANDOM_LEAST_CONN;
		return 0;
	}
	*error = "invalid parameter";
	return -EINVAL;
}

/* SplitMix64 (Steele, Lea and Flood, 2014): as many draws as needed from the one number that the caller gives. */
static uint64_t
random_draw(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static size_t
random_less_loaded(const struct balance_peer *peers, size_t first, size_t second)
{
	uint64_t first_load = (uint64_t)peers[first].active * (uint64_t)peers[second].weight;
	uint64_t second_load = (uint64_t)peers[second].active * (uint64_t)peers[first].weight;

	return second_load > first_load ? first : second;
}

static int
random_pick(const void *table, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
	    const struct balance_request *request)
{
	const struct balance_weights *line = table;
	uint64_t state = request->random;
	size_t first = count;

	if (line->total == 0)
		return -1;
	for (uint32_t i = 0; i < BALANCE_POSITIONS_MAX; i++) {
		size_t index = balance_weights_find(line, random_draw(&state) % line->total);

		if (index == first || !balance_usable(usable, index))
			continue;
		if (!(options & RANDOM_TWO))
			return (int)index;
		if (first != count)
			return (int)random_less_loaded(peers, first, index);
		first = index;
	}
	return balance_round_robin_pick(peers, count, usable);
}

const struct balance_method balance_random = {
	.name = "random",
	.argument = "[two [least_conn]]",
	.properties = BALANCE_NO_BACKUP,
	.words_max = 2,
	.option = random_option,
	.table_size = balance_weights_size,
	.build = balance_weights_build,
	.pick = random_pick,
};
