#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/random.h"
#include "tcp/table.h"

static bool
has(const struct tcp_table *table, uint32_t hash, uint32_t value)
{
	uint32_t slot = hash, found;

	while ((found = tcp_table_next(table, hash, &slot)) != 0)
		if (found == value)
			return true;
	return false;
}

static void
what_is_in_is_found_and_what_is_out_is_not_however_hashes_collide(void **state)
{
	enum { ENTRIES = 500 };
	static uint32_t hashes[ENTRIES + 1];
	static bool in[ENTRIES + 1];
	struct random random = { 7 };
	struct tcp_table table;
	uint32_t used = 0;

	assert_true(tcp_table_init(&table, ENTRIES, 1));
	/* Few distinct ones, at the end of the table, so that runs are long and wrap. */
	for (uint32_t i = 1; i <= ENTRIES; i++)
		hashes[i] = 0xfffffff0u + (uint32_t)(random_next(&random) >> 40) % 40;
	for (int step = 0; step < 20000; step++) {
		uint32_t i = 1 + (uint32_t)(random_next(&random) >> 40) % ENTRIES;

		if (in[i])
			tcp_table_remove(&table, hashes[i], i);
		else
			tcp_table_insert(&table, hashes[i], i);
		used += in[i] ? -1u : 1u;
		in[i] = !in[i];
		assert_int_equal(table.used, used);
		i = 1 + (uint32_t)(random_next(&random) >> 40) % ENTRIES;
		assert_int_equal(has(&table, hashes[i], i), in[i]);
	}
	for (uint32_t i = 1; i <= ENTRIES; i++)
		assert_int_equal(has(&table, hashes[i], i), in[i]);
	tcp_table_fini(&table);
}

static void
a_full_table_is_at_most_half_full(void **state)
{
	struct tcp_table table;

	assert_true(tcp_table_init(&table, 1000, 1));
	assert_true(table.mask + 1 >= 2000);
	assert_true((table.mask + 1) * sizeof(struct tcp_table_slot) <= 1024 * TCP_TABLE_BYTES_PER_ENTRY);
	tcp_table_fini(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_is_found_and_what_is_out_is_not_however_hashes_collide),
		cmocka_unit_test(a_full_table_is_at_most_half_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
