#include "net/neighbor.h"

#include <errno.h>
#include <stdlib.h>

struct neighbor_table *
neighbor_table_new(uint32_t count)
{
	struct neighbor_table *table;
	uint32_t places = 64;

	while (places < 2 * count)
		places *= 2;
	table = calloc(1, sizeof(*table) + places * sizeof(table->places[0]));
	if (table)
		table->mask = places - 1;
	return table;
}

struct neighbor_table *
neighbor_table_copy(const struct neighbor_table *table)
{
	size_t size = sizeof(*table) + (table->mask + 1ull) * sizeof(table->places[0]);
	struct neighbor_table *copy = malloc(size);

	if (copy)
		memcpy(copy, table, size);
	return copy;
}

static struct neighbor *
place_of(struct neighbor_table *table, const struct neighbor *neighbor)
{
	for (uint32_t i = neighbor_hash(neighbor->ifindex, &neighbor->address);; i++) {
		struct neighbor *n = &table->places[i & table->mask];

		if (n->ifindex == 0 ||
		    (n->ifindex == neighbor->ifindex && ip_address_equal(&n->address, &neighbor->address)))
			return n;
	}
}

static int
table_grow(struct neighbor_table **table)
{
	struct neighbor_table *old = *table, *grown = neighbor_table_new(2 * (old->count + 1));

	if (!grown)
		return -ENOMEM;
	for (uint32_t i = 0; i <= old->mask; i++)
		if (old->places[i].ifindex)
			*place_of(grown, &old->places[i]) = old->places[i];
	grown->count = old->count;
	free(old);
	*table = grown;
	return 0;
}

int
neighbor_table_set(struct neighbor_table **table, const struct neighbor *neighbor)
{
	struct neighbor *place = place_of(*table, neighbor);
	int rc;

	if (place->ifindex == 0) {
		if ((*table)->count >= NEIGHBORS_MAX)
			return -ENOSPC;
		if (2 * ((*table)->count + 1) > (*table)->mask + 1) {
			rc = table_grow(table);
			if (rc < 0)
				return rc;
			place = place_of(*table, neighbor);
		}
		(*table)->count++;
	}
	*place = *neighbor;
	return 0;
}

/* Closes the gap instead of leaving a tombstone (Knuth, volume 3, algorithm 6.4R), as snapshots must stay short to walk. */
void
neighbor_table_remove(struct neighbor_table *table, int32_t ifindex, const struct ip_address *address)
{
	struct neighbor key = { .ifindex = ifindex, .address = *address };
	uint32_t hole = (uint32_t)(place_of(table, &key) - table->places);

	if (table->places[hole].ifindex == 0)
		return;
	for (uint32_t i = (hole + 1) & table->mask; table->places[i].ifindex; i = (i + 1) & table->mask) {
		const struct neighbor *n = &table->places[i];
		uint32_t home = neighbor_hash(n->ifindex, &n->address) & table->mask;

		if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
			table->places[hole] = *n;
			hole = i;
		}
	}
	memset(&table->places[hole], 0, sizeof(table->places[hole]));
	table->count--;
}
