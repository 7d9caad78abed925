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

struct maglev_host {
	const char *key;
	size_t key_len;
	double share, target; /* of the sum of weights: Envoy's arithmetic, rounding included */
	uint32_t position, skip;
	uint16_t index;
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

/* Fills hosts[], sorted, and *largest_share. Returns how many take part. */
static size_t
maglev_hosts_prepare(struct maglev_host *hosts, const struct balance_server *servers, size_t count, uint32_t size,
		     double *largest_share)
{
	uint64_t sum = 0;
	size_t used = 0;

	*largest_share = 0;
	for (size_t i = 0; i < count; i++)
		sum += servers[i].weight;
	for (size_t i = 0; i < count; i++) {
		struct maglev_host *host = &hosts[used];

		if (servers[i].weight == 0)
			continue;
		host->key = servers[i].key;
		host->key_len = servers[i].key_len;
		host->share = (double)servers[i].weight / (double)sum;
		host->position = (uint32_t)(XXH64(host->key, host->key_len, 0) % size);
		host->skip = (uint32_t)(XXH64(host->key, host->key_len, 1) % (size - 1)) + 1;
		host->index = (uint16_t)i;
		if (host->share > *largest_share)
			*largest_share = host->share;
		used++;
	}
	qsort(hosts, used, sizeof(*hosts), maglev_host_compare);
	return used;
}

static uint32_t
maglev_host_advance(const struct maglev_host *host, uint32_t size)
{
	uint32_t position = host->position + host->skip;

	return position >= size ? position - size : position;
}

static void
maglev_fill(struct balance_maglev *table, struct maglev_host *hosts, size_t count, double largest_share)
{
	uint32_t filled = 0;

	memset(table->entries, 0xff, table->size * sizeof(*table->entries));
	for (uint32_t iteration = 1; filled < table->size; iteration++) {
		for (size_t i = 0; i < count && filled < table->size; i++) {
			struct maglev_host *host = &hosts[i];

			if (iteration * host->share < host->target)
				continue;
			host->target += largest_share;
			while (table->entries[host->position] != MAGLEV_EMPTY)
				host->position = maglev_host_advance(host, table->size);
			table->entries[host->position] = host->index;
			host->position = maglev_host_advance(host, table->size);
			filled++;
		}
	}
}

static int
maglev_build(void *memory, const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	struct balance_maglev *table = memory;
	struct maglev_host *hosts;
	double largest_share;
	size_t used;

	if (maglev_size(servers, count, options, size_hint) == 0)
		return -EINVAL;
	hosts = calloc(count ? count : 1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	table->size = size_hint ? size_hint : BALANCE_MAGLEV_SIZE_DEFAULT;
	table->count = (uint32_t)count;
	used = maglev_hosts_prepare(hosts, servers, count, table->size, &largest_share);
	if (used)
		maglev_fill(table, hosts, used, largest_share);
	else
		table->size = 0;
	free(hosts);
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
