#include "tcp/table.h"

#include <assert.h>
#include <stdlib.h>

bool
tcp_table_init(struct tcp_table *table, uint32_t entries, uint64_t seed)
{
	uint64_t slots = 16;

	while (slots < 2 * (uint64_t)entries)
		slots *= 2;
	if (slots > (uint64_t)UINT32_MAX + 1)
		return false;
	*table = (struct tcp_table){ .mask = (uint32_t)(slots - 1) };
	flow_hash_key_init(&table->hash_key, seed);
	table->slots = calloc(slots, sizeof(*table->slots));
	return table->slots != NULL;
}

void
tcp_table_fini(struct tcp_table *table)
{
	free(table->slots);
	table->slots = NULL;
}

void
tcp_table_insert(struct tcp_table *table, uint32_t hash, uint32_t value)
{
	uint32_t i = hash & table->mask;

	assert(value != 0 && table->used < table->mask);
	while (table->slots[i].value != 0)
		i = (i + 1) & table->mask;
	table->slots[i] = (struct tcp_table_slot){ hash, value };
	table->used++;
}

void
tcp_table_remove(struct tcp_table *table, uint32_t hash, uint32_t value)
{
	uint32_t hole = hash & table->mask, i;

	while (table->slots[hole].value != value) {
		assert(table->slots[hole].value != 0);
		hole = (hole + 1) & table->mask;
	}
	/* Shift back whatever probed past the hole, until an empty slot ends the run. */
	for (i = (hole + 1) & table->mask; table->slots[i].value != 0; i = (i + 1) & table->mask) {
		uint32_t home = table->slots[i].hash & table->mask;

		if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole].value = 0;
	table->used--;
}
