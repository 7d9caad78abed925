/* The table of neighbours against a list. */
#include <stdlib.h>

#include "support/cmocka.h"

#include "net/neighbor.h"

#define NEIGHBORS 3000

static struct neighbor
neighbor_of(uint32_t number)
{
	return (struct neighbor){ .ifindex = (int32_t)(1 + number % 3),
				  .address = ip_address_from_v4(htonl(0x0a000000u + number / 3)),
				  .state = NUD_REACHABLE,
				  .mac = { 2, 0, 0, 0, (uint8_t)(number >> 8), (uint8_t)number } };
}

static void
finds_what_is_there_and_nothing_else_through_random_changes(void **state)
{
	struct neighbor_table *table = neighbor_table_new(0);
	static bool there[NEIGHBORS];
	uint32_t seed = 1, count = 0;

	for (uint32_t step = 0; step < 60000; step++) {
		struct neighbor n;
		uint32_t number;

		seed = seed * 1664525u + 1013904223u;
		number = (seed >> 8) % NEIGHBORS;
		n = neighbor_of(number);
		if (seed >> 31) {
			assert_int_equal(neighbor_table_set(&table, &n), 0);
			count += !there[number];
			there[number] = true;
		} else {
			neighbor_table_remove(table, n.ifindex, &n.address);
			count -= there[number];
			there[number] = false;
		}
		assert_int_equal(table->count, count);
		if (step % 5000)
			continue;
		for (uint32_t i = 0; i < NEIGHBORS; i++) {
			struct neighbor wanted = neighbor_of(i);
			const struct neighbor *found = neighbor_find(table, wanted.ifindex, &wanted.address);

			assert_int_equal(found != NULL, there[i]);
			if (found)
				assert_memory_equal(found->mac, wanted.mac, sizeof(wanted.mac));
		}
	}
	free(table);
}

static void
a_copy_stays_as_it_was(void **state)
{
	struct neighbor_table *table = neighbor_table_new(0), *copy;
	struct neighbor n = neighbor_of(7);

	assert_int_equal(neighbor_table_set(&table, &n), 0);
	copy = neighbor_table_copy(table);
	n.mac[0] = 6;
	assert_int_equal(neighbor_table_set(&table, &n), 0);
	assert_int_equal(neighbor_find(copy, n.ifindex, &n.address)->mac[0], 2);
	assert_int_equal(neighbor_find(table, n.ifindex, &n.address)->mac[0], 6);
	neighbor_table_remove(table, n.ifindex, &n.address);
	assert_null(neighbor_find(table, n.ifindex, &n.address));
	assert_non_null(neighbor_find(copy, n.ifindex, &n.address));
	free(table);
	free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_there_and_nothing_else_through_random_changes),
		cmocka_unit_test(a_copy_stays_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
