#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weir-load/histogram.h"

static struct histogram h, other;

static void
test_small_values_are_exact(void **state)
{
	histogram_clear(&h);
	for (uint64_t value = 0; value < 128; value++)
		histogram_add(&h, value);
	assert_int_equal(histogram_percentile(&h, 50), 63);
	assert_int_equal(histogram_percentile(&h, 100), 127);
	assert_int_equal(histogram_percentile(&h, 0), 0);
}

/* One value alone, and a larger one, so that the most does not hide the bucket's end. */
static void
test_the_error_is_bounded_from_a_nanosecond_to_an_hour(void **state)
{
	for (uint64_t value = 1; value < 1ull << 41; value += value / 5 + 1) {
		uint64_t found;

		histogram_clear(&h);
		histogram_add(&h, value);
		histogram_add(&h, UINT64_MAX >> 8);
		found = histogram_percentile(&h, 50);
		assert_true(found >= value);
		assert_true(found - value <= value / 128);
	}
}

static void
test_buckets_follow_each_other(void **state)
{
	uint64_t last = histogram_bucket_end(0);

	for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t end = histogram_bucket_end(i);

		assert_true(end > last);
		/* The end, and what follows the last end, count in this bucket. */
		histogram_clear(&h);
		histogram_add(&h, last + 1);
		histogram_add(&h, end);
		assert_int_equal(h.buckets[i], 2);
		last = end;
	}
	assert_int_equal(last, (1ull << HISTOGRAM_VALUE_BITS) - 1);
}

static void
test_what_is_too_long_counts_in_the_last_bucket(void **state)
{
	histogram_clear(&h);
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, 1ull << HISTOGRAM_VALUE_BITS);
	assert_int_equal(h.buckets[HISTOGRAM_BUCKETS - 1], 2);
	assert_int_equal(h.most, UINT64_MAX);
}

static void
test_percentiles_of_a_thousand(void **state)
{
	histogram_clear(&h);
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(&h, i * 1000);
	assert_in_range(histogram_percentile(&h, 50), 500000, 500000 + 500000 / 128);
	assert_in_range(histogram_percentile(&h, 99), 990000, 990000 + 990000 / 128);
	assert_int_equal(histogram_percentile(&h, 99.95), 1000000);
	assert_true(fabs(histogram_mean(&h) - 500500) < 0.01);
	assert_true(fabs(histogram_deviation(&h) - 288675) < 1);
	/* Uniform: 1 / sqrt(3). */
	assert_true(fabs(histogram_within_deviation(&h) - 57.7) < 0.5);
}

static void
test_merging_is_as_if_all_had_been_added_to_one(void **state)
{
	static struct histogram both;

	histogram_clear(&h);
	histogram_clear(&other);
	histogram_clear(&both);
	for (uint64_t i = 0; i < 1000; i++) {
		histogram_add(i % 3 ? &h : &other, i * i);
		histogram_add(&both, i * i);
	}
	histogram_merge(&h, &other);
	assert_memory_equal(h.buckets, both.buckets, sizeof(both.buckets));
	assert_int_equal(h.count, both.count);
	assert_int_equal(h.sum, both.sum);
	assert_int_equal(h.least, both.least);
	assert_int_equal(h.most, both.most);
}

static void
test_an_empty_one_is_all_zeros(void **state)
{
	histogram_clear(&h);
	assert_int_equal(histogram_percentile(&h, 99), 0);
	assert_true(histogram_mean(&h) == 0);
	assert_true(histogram_deviation(&h) == 0);
	assert_true(histogram_within_deviation(&h) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_the_error_is_bounded_from_a_nanosecond_to_an_hour),
		cmocka_unit_test(test_buckets_follow_each_other),
		cmocka_unit_test(test_what_is_too_long_counts_in_the_last_bucket),
		cmocka_unit_test(test_percentiles_of_a_thousand),
		cmocka_unit_test(test_merging_is_as_if_all_had_been_added_to_one),
		cmocka_unit_test(test_an_empty_one_is_all_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
