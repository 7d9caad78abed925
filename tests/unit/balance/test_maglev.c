#include "balance/maglev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <xxhash.h>

#include "fixture.h"

static struct balance_maglev *
table_new(const struct fixture *fixture, uint32_t size)
{
	size_t bytes = fixture->method->table_size(fixture->servers, fixture->count, 0, size);
	struct balance_maglev *table = malloc(bytes);

	assert_non_null(table);
	assert_int_equal(fixture->method->build(table, fixture->servers, fixture->count, 0, size), 0);
	return table;
}

static void
count_entries(const struct balance_maglev *table, uint32_t *counts, size_t servers)
{
	memset(counts, 0, servers * sizeof(*counts));
	for (uint32_t i = 0; i < table->size; i++) {
		assert_true(table->entries[i] < servers);
		counts[table->entries[i]]++;
	}
}

/* The definition taken literally: fractions of the sum, a permutation by multiplication. Hosts are already sorted. */
static void
table_by_definition(const struct fixture *fixture, uint32_t size, uint16_t *entries)
{
	double share[FIXTURE_SERVERS_MAX], target[FIXTURE_SERVERS_MAX] = { 0 }, sum = 0, largest = 0;
	uint64_t next[FIXTURE_SERVERS_MAX] = { 0 };
	uint32_t filled = 0;

	for (size_t i = 0; i < fixture->count; i++)
		sum += fixture->servers[i].weight;
	for (size_t i = 0; i < fixture->count; i++) {
		share[i] = fixture->servers[i].weight / sum;
		largest = share[i] > largest ? share[i] : largest;
	}
	memset(entries, 0xff, size * sizeof(*entries));
	for (uint32_t iteration = 1; filled < size; iteration++)
		for (size_t i = 0; i < fixture->count && filled < size; i++) {
			const struct balance_server *server = &fixture->servers[i];
			uint64_t offset = XXH64(server->key, server->key_len, 0) % size;
			uint64_t skip = XXH64(server->key, server->key_len, 1) % (size - 1) + 1;

			if (iteration * share[i] < target[i])
				continue;
			target[i] += largest;
			while (entries[(offset + skip * next[i]) % size] != UINT16_MAX)
				next[i]++;
			entries[(offset + skip * next[i]++) % size] = (uint16_t)i;
			filled++;
		}
}

static struct fixture *
numbered(uint32_t count, uint32_t weight_steps)
{
	struct fixture *fixture = fixture_new("maglev", "");

	for (uint32_t i = 0; i < count; i++) {
		char key[32];

		snprintf(key, sizeof(key), "10.0.%03u.%03u:80", i / 250, i % 250);
		fixture_add(fixture, key, 1 + i % weight_steps);
	}
	return fixture;
}

/* The assignments known of Envoy for these hosts. */
static void
test_small_tables_are_envoys(void **state)
{
	static const uint16_t equal[7] = { 2, 4, 0, 1, 5, 0, 3 };
	static const uint16_t weighted[17] = { 1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1 };
	struct fixture *six = fixture_new("maglev", ""), *two = fixture_new("maglev", "");
	struct balance_maglev *table;

	for (int i = 0; i < 6; i++) {
		char key[32];

		snprintf(key, sizeof(key), "127.0.0.1:%d", 90 + i);
		fixture_add(six, key, 1);
	}
	table = table_new(six, 7);
	assert_memory_equal(table->entries, equal, sizeof(equal));
	free(table);

	fixture_add(two, "127.0.0.1:90", 1);
	fixture_add(two, "127.0.0.1:91", 2);
	table = table_new(two, 17);
	assert_memory_equal(table->entries, weighted, sizeof(weighted));
	free(table);
	fixture_free(six);
	fixture_free(two);
}

static void
test_every_entry_is_that_of_the_definition(void **state)
{
	static const struct {
		uint32_t servers, steps, size;
	} cases[] = { { 1, 1, 7 },       { 3, 3, 251 },       { 10, 7, 65537 },
		      { 100, 1, 65537 }, { 300, 100, 65537 }, { 251, 5, 251 } };
	uint16_t *expected = malloc(BALANCE_MAGLEV_SIZE_DEFAULT * sizeof(*expected));

	assert_non_null(expected);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fixture = numbered(cases[i].servers, cases[i].steps);
		struct balance_maglev *table = table_new(fixture, cases[i].size);

		table_by_definition(fixture, cases[i].size, expected);
		assert_memory_equal(table->entries, expected, cases[i].size * sizeof(*expected));
		free(table);
		fixture_free(fixture);
	}
	free(expected);
}

static void
test_the_order_in_the_file_does_not_change_the_table(void **state)
{
	struct fixture *forward = numbered(100, 7), *shuffled = fixture_new("maglev", "");
	struct balance_maglev *table, *other;

	for (uint32_t i = 0; i < 100; i++) /* 37 is prime to 100: a permutation */
		fixture_add(shuffled, forward->keys[i * 37 % 100], forward->servers[i * 37 % 100].weight);
	table = table_new(forward, 0);
	other = table_new(shuffled, 0);
	for (uint32_t i = 0; i < table->size; i++)
		assert_int_equal(table->entries[i], other->entries[i] * 37 % 100);
	free(table);
	free(other);
	fixture_free(forward);
	fixture_free(shuffled);
}

static void
test_equal_weights_differ_by_one_entry_at_most(void **state)
{
	struct fixture *fixture = numbered(100, 1);
	struct balance_maglev *table = table_new(fixture, 0);
	uint32_t counts[100];

	count_entries(table, counts, 100);
	for (int i = 0; i < 100; i++)
		assert_in_range(counts[i], 65537 / 100, 65537 / 100 + 1);
	free(table);
	fixture_free(fixture);
}

static void
test_weights_are_kept_within_one_per_cent(void **state)
{
	struct fixture *fixture = numbered(20, 4);
	struct balance_maglev *table = table_new(fixture, 0);
	uint32_t counts[20];

	count_entries(table, counts, 20);
	for (uint32_t i = 0; i < 20; i++) {
		double expected = 65537.0 * (1 + i % 4) / 50;

		if (counts[i] < expected * 0.99 || counts[i] > expected * 1.01)
			fail_msg("server %u: %u entries, expected %.0f", i, counts[i], expected);
	}
	free(table);
	fixture_free(fixture);
}

static void
test_one_of_a_hundred_leaving_moves_under_two_per_cent_of_the_others(void **state)
{
	struct fixture *fixture = numbered(100, 1);
	struct balance_maglev *before = table_new(fixture, 0);
	double worst = 0, sum = 0;

	for (int gone = 0; gone < 100; gone += 9) {
		struct balance_maglev *after;
		uint32_t moved = 0, others = 0;

		fixture->servers[gone].weight = 0;
		after = table_new(fixture, 0);
		fixture->servers[gone].weight = 1;
		for (uint32_t i = 0; i < before->size; i++) {
			assert_int_not_equal(after->entries[i], gone);
			others += before->entries[i] != gone;
			moved += before->entries[i] != gone && before->entries[i] != after->entries[i];
		}
		free(after);
		sum += 100.0 * moved / others;
		if (100.0 * moved / others > worst)
			worst = 100.0 * moved / others;
	}
	print_message("           moved %.2f %% on average, %.2f %% at worst\n", sum / 12, worst);
	assert_true(worst < 2);
	free(before);
	fixture_free(fixture);
}

static void
test_the_smallest_weight_has_an_entry(void **state)
{
	struct fixture *fixture = numbered(1000, 1);
	struct balance_maglev *table;
	uint32_t counts[1000];

	fixture->servers[0].weight = 1000000;
	table = table_new(fixture, 0);
	count_entries(table, counts, 1000);
	for (int i = 0; i < 1000; i++)
		assert_true(counts[i] > 0);
	free(table);
	fixture_free(fixture);
}

static void
test_the_requests_of_a_failed_server_spread_over_the_others(void **state)
{
	struct fixture *fixture = numbered(10, 1);
	uint32_t got[10] = { 0 }, total = 0;

	fixture_build(fixture);
	for (uint32_t i = 0; i < 100000; i++) {
		if (fixture_pick_number(fixture, i) != 4)
			continue;
		fixture_set_usable(fixture, 4, false);
		got[fixture_pick_number(fixture, i)]++;
		total++;
		fixture_set_usable(fixture, 4, true);
	}
	for (int i = 0; i < 10; i++)
		if (i != 4)
			assert_in_range(got[i], total / 9 * 8 / 10, total / 9 * 12 / 10);
	fixture_free(fixture);
}

static void
test_a_lookup_is_xxh64_of_the_key_modulo_the_size(void **state)
{
	struct fixture *fixture = numbered(50, 3);
	const struct balance_maglev *table;

	fixture_build(fixture);
	table = fixture->table;
	for (uint32_t i = 0; i < 1000; i++) {
		char key[32];
		int len = snprintf(key, sizeof(key), "192.0.2.%u", i);

		assert_int_equal(fixture_pick(fixture, key, (size_t)len),
				 table->entries[XXH64(key, (size_t)len, 0) % 65537]);
		assert_int_equal(balance_maglev_at(table, i), table->entries[i]);
	}
	fixture_free(fixture);
}

static void
test_without_a_key_any_server_is_chosen(void **state)
{
	struct fixture *fixture = numbered(10, 1);
	bool seen[10] = { false };

	fixture_build(fixture);
	for (int i = 0; i < 1000; i++)
		seen[fixture_pick(fixture, "", 0)] = true;
	for (int i = 0; i < 10; i++)
		assert_true(seen[i]);
	fixture_free(fixture);
}

static void
test_a_size_that_is_not_a_prime_or_too_small_is_refused(void **state)
{
	static const uint32_t sizes[] = { 1, 4, 9, 65536, 65535, 5000013, 4294967291u, 97 };
	struct fixture *fixture = numbered(98, 1);
	uint64_t memory[8];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(fixture->method->table_size(fixture->servers, fixture->count, 0, sizes[i]), 0);
		assert_true(fixture->method->build(memory, fixture->servers, fixture->count, 0, sizes[i]) < 0);
	}
	assert_true(fixture->method->table_size(fixture->servers, fixture->count, 0, 101) > 0);
	fixture_free(fixture);
}

static void
test_a_thousand_servers_are_placed_quickly(void **state)
{
	struct fixture *fixture = numbered(1000, 100);
	struct timespec start, end;
	double ms;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	free(table_new(fixture, 0));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	ms = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
	print_message("           %.1f ms of CPU\n", ms);
	assert_true(ms < 100); /* sanitizers included: about 3 ms without */
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_tables_are_envoys),
		cmocka_unit_test(test_every_entry_is_that_of_the_definition),
		cmocka_unit_test(test_the_order_in_the_file_does_not_change_the_table),
		cmocka_unit_test(test_equal_weights_differ_by_one_entry_at_most),
		cmocka_unit_test(test_weights_are_kept_within_one_per_cent),
		cmocka_unit_test(test_one_of_a_hundred_leaving_moves_under_two_per_cent_of_the_others),
		cmocka_unit_test(test_the_smallest_weight_has_an_entry),
		cmocka_unit_test(test_the_requests_of_a_failed_server_spread_over_the_others),
		cmocka_unit_test(test_a_lookup_is_xxh64_of_the_key_modulo_the_size),
		cmocka_unit_test(test_without_a_key_any_server_is_chosen),
		cmocka_unit_test(test_a_size_that_is_not_a_prime_or_too_small_is_refused),
		cmocka_unit_test(test_a_thousand_servers_are_placed_quickly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
