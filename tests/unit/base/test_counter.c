#include "base/counter.h"

#include <stdio.h>
#include <string.h>

#include "support/cmocka.h"

static char report[1000];

static void
each(void *context, const char *room, const char *name, uint64_t value)
{
	size_t len = strlen(report);

	snprintf(report + len, sizeof(report) - len, "%s/%s=%lu ", room, name, (unsigned long)value);
}

static const char *
summed(void)
{
	report[0] = 0;
	counter_sum(each, NULL);
	return report;
}

static void
lcores_are_summed_in_order_of_registration(void **state)
{
	static const char *const names[] = { "segments", "resets" };
	static const char *const other_names[] = { "resets", "late" };
	uint64_t first[2] = { 1, 2 }, second[2] = { 10, 20 }, packets[1] = { 5 }, other[2] = { 100, 7 };

	assert_int_equal(counter_register(&(struct counter_block){ "tcp", 0, names, first, 2 }), 0);
	assert_int_equal(counter_register(&(struct counter_block){ "port", 0, names, packets, 1 }), 0);
	assert_int_equal(counter_register(&(struct counter_block){ "tcp", 1, names, second, 2 }), 0);
	assert_string_equal(summed(), "tcp/segments=11 tcp/resets=22 port/segments=5 ");
	/* A block of the same room with an array of its own. */
	assert_int_equal(counter_register(&(struct counter_block){ "tcp", 0, other_names, other, 2 }), 0);
	assert_string_equal(summed(), "tcp/segments=11 tcp/resets=122 port/segments=5 tcp/late=7 ");
	first[0]++;
	counter_unregister(other);
	counter_unregister(second);
	assert_string_equal(summed(), "tcp/segments=2 tcp/resets=2 port/segments=5 ");
	counter_unregister(first);
	counter_unregister(packets);
	assert_string_equal(summed(), "");
}

static void
too_many_blocks_are_refused(void **state)
{
	static const char *const names[] = { "n" };
	static uint64_t values[4096];
	size_t registered = 0;

	while (registered < 4096 &&
	       counter_register(&(struct counter_block){ "r", 0, names, &values[registered], 1 }) == 0)
		registered++;
	assert_in_range(registered, 64, 4095);
	for (size_t i = 0; i < registered; i++)
		counter_unregister(&values[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lcores_are_summed_in_order_of_registration),
		cmocka_unit_test(too_many_blocks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
