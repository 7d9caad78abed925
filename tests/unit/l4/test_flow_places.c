/* Where flows lie in the table, how many fit, and who gives way. */
#include "flow_table.h"

/* Flows of one hash until no more fit. */
static uint32_t
crowd(uint32_t hash, enum l4_flow_state flow_state, uint16_t now_s)
{
	uint32_t count = 0;

	for (struct l4_flow_key key = key_of(count, 1, hash); insert(&key, 1, flow_state, now_s);
	     key = key_of(++count, 1, hash))
		assert_true(count < 100);
	return count;
}

static void
one_hash_has_ten_places_and_an_eleventh_is_refused(void **state)
{
	const uint32_t hash = 0x12345678;
	struct l4_flow_key key;

	table_new(100000);
	assert_int_equal(crowd(hash, L4_FLOW_ESTABLISHED, 0), 10);
	assert_int_equal(usage().used, 10);
	assert_int_equal(usage().spilled, 8);
	assert_int_equal(use[1].flows, 10);
	for (uint32_t i = 0; i < 10; i++) {
		key = key_of(i, 1, hash);
		assert_non_null(l4_flow_find(flows, &key, 0));
	}
	table_free();
}

static bool
spilled(uint32_t hash, unsigned int which)
{
	return flows->entries[(size_t)l4_flow_bucket(flows, hash) * L4_BUCKET_PLACES + which].bits & L4_FLOW_SPILLED;
}

static void
a_bucket_says_spilled_as_long_as_flows_of_it_are_away(void **state)
{
	const uint32_t hash = 0xfedcba98;
	struct l4_flow_key key;

	table_new(100000);
	assert_false(spilled(hash, 0));
	assert_int_equal(crowd(hash, L4_FLOW_ESTABLISHED, 0), 10);
	assert_true(spilled(hash, 0) && spilled(hash, 1));
	/* Removal from the first bucket changes nothing about the others. */
	for (uint32_t i = 0; i < 10; i++) {
		for (uint32_t j = i; j < 10; j++) {
			key = key_of(j, 1, hash);
			assert_non_null(l4_flow_find(flows, &key, 0));
		}
		assert_true(spilled(hash, 0) || spilled(hash, 1));
		key = key_of(i, 1, hash);
		l4_flow_remove(flows, l4_flow_find(flows, &key, 0));
		assert_null(l4_flow_find(flows, &key, 0));
	}
	assert_false(spilled(hash, 0) || spilled(hash, 1));
	assert_int_equal(usage().used, 0);
	assert_int_equal(usage().spilled, 0);
	assert_int_equal(counted(), 0);
	table_free();
}

static void
a_new_flow_takes_the_place_of_one_that_timed_out(void **state)
{
	const uint32_t hash = 0x12345678;
	struct l4_flow_key key = key_of(50, 2, hash), old = key_of(0, 1, hash);

	table_new(100000);
	assert_int_equal(crowd(hash, L4_FLOW_CLOSED, 100), 10);
	assert_null(insert(&key, 2, L4_FLOW_OPENING, 100 + L4_CLOSED_S));
	assert_non_null(l4_flow_find(flows, &old, 100 + L4_CLOSED_S));
	assert_null(l4_flow_find(flows, &old, 101 + L4_CLOSED_S));
	assert_non_null(insert(&key, 2, L4_FLOW_OPENING, 101 + L4_CLOSED_S));
	assert_int_equal(use[1].flows, 9);
	assert_int_equal(use[2].flows, 1);
	assert_int_equal(usage().used, 10);
	/* All nine others too, those away from their bucket included. */
	for (uint32_t i = 51; i < 60; i++) {
		key = key_of(i, 2, hash);
		assert_non_null(insert(&key, 2, L4_FLOW_OPENING, 101 + L4_CLOSED_S));
	}
	assert_int_equal(use[1].flows, 0);
	for (uint32_t i = 50; i < 60; i++) {
		key = key_of(i, 2, hash);
		assert_non_null(l4_flow_find(flows, &key, 101 + L4_CLOSED_S));
	}
	table_free();
}

/* What a flood has opened fills the table, but for a few seconds only, and takes no place of what lives. */
static void
half_open_flows_give_way_to_new_ones(void **state)
{
	const uint32_t hash = 0x12345678;
	struct l4_flow_key key = key_of(50, 2, hash), living = key_of(0, 1, hash);

	table_new(100000);
	assert_non_null(insert(&living, 1, L4_FLOW_ESTABLISHED, 100));
	for (uint32_t i = 1; i < 10; i++) {
		struct l4_flow_key opening = key_of(i, 1, hash);

		assert_non_null(insert(&opening, 1, L4_FLOW_OPENING, 100));
	}
	assert_null(insert(&key, 2, L4_FLOW_OPENING, 99 + L4_OPENING_YIELDS_S));
	for (uint32_t i = 50; i < 59; i++) {
		key = key_of(i, 2, hash);
		assert_non_null(insert(&key, 2, L4_FLOW_OPENING, 100 + L4_OPENING_YIELDS_S));
	}
	key = key_of(59, 2, hash);
	assert_null(insert(&key, 2, L4_FLOW_OPENING, 100 + L4_OPENING_YIELDS_S));
	assert_non_null(l4_flow_find(flows, &living, 100 + L4_OPENING_YIELDS_S));
	table_free();
}

/* Fills the table with hashes of which some bits are the same; returns how many were refused. */
static uint32_t
fill(uint32_t count, uint32_t bits, uint32_t value)
{
	uint32_t refused = 0, found = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct l4_flow_key key = key_of(i, 1, (hash_of(i) & ~bits) | value);

		refused += !insert(&key, 1, L4_FLOW_ESTABLISHED, 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		struct l4_flow_key key = key_of(i, 1, (hash_of(i) & ~bits) | value);

		found += l4_flow_find(flows, &key, 0) != NULL;
	}
	assert_int_equal(found, count - refused);
	assert_int_equal(usage().used, found);
	assert_int_equal(counted(), found);
	return refused;
}

static void
the_promised_number_fits(void **state)
{
	static const uint32_t counts[] = { 1000, 4096, 100000, 300000, 1000000 };

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		table_new(counts[c]);
		assert_true(fill(counts[c], 0, 0) < counts[c] / 100);
		assert_true(usage().bytes < counts[c] * 64ull + (2 << 20));
		table_free();
	}
}

static void
three_quarters_of_the_places_are_filled_with_few_refused(void **state)
{
	uint32_t count;

	table_new(100000);
	count = (uint32_t)(usage().places * 3 / 4);
	assert_true(fill(count, 0, 0) < count / 100);
	table_free();
}

/* An lcore has the flows whose hash chose it: by upper bits, as by l4_owner_by_hash(), or by lower ones. */
static void
the_share_of_one_lcore_of_64_fits_as_well(void **state)
{
	static const uint32_t bits[] = { 0x80000000, 0xfc000000, 1, 0x3f };

	for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++) {
		table_new(100000);
		assert_true(fill(100000, bits[b], 0) < 1000);
		table_free();
		table_new(100000);
		assert_true(fill(100000, bits[b], bits[b]) < 1000);
		table_free();
	}
}

static void
the_smallest_table_works(void **state)
{
	struct l4_flow_key key = key_of(0, 1, UINT32_MAX);

	table_new(0);
	assert_true(usage().places >= 8);
	assert_true(crowd(UINT32_MAX, L4_FLOW_UDP, 0) >= 6);
	assert_non_null(l4_flow_find(flows, &key, 0));
	table_free();
	assert_null(l4_flows_new(UINT64_MAX / 16, targets, use));
	l4_flows_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hash_has_ten_places_and_an_eleventh_is_refused),
		cmocka_unit_test(a_bucket_says_spilled_as_long_as_flows_of_it_are_away),
		cmocka_unit_test(a_new_flow_takes_the_place_of_one_that_timed_out),
		cmocka_unit_test(half_open_flows_give_way_to_new_ones),
		cmocka_unit_test(the_promised_number_fits),
		cmocka_unit_test(three_quarters_of_the_places_are_filled_with_few_refused),
		cmocka_unit_test(the_share_of_one_lcore_of_64_fits_as_well),
		cmocka_unit_test(the_smallest_table_works),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
