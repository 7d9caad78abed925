#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

#define KEYS 20000u

static struct fixture *
ring_of(uint32_t servers, uint32_t without)
{
	struct fixture *fixture = fixture_new("hash", "consistent");

	for (uint32_t i = 0; i < servers; i++) {
		char key[32];

		snprintf(key, sizeof(key), "10.1.0.%u:80", i);
		if (i != without)
			fixture_add(fixture, key, 1);
	}
	fixture_build(fixture);
	return fixture;
}

static void
test_a_server_that_leaves_the_ring_takes_only_its_own_keys_along(void **state)
{
	struct fixture *all = ring_of(20, 20), *fewer = ring_of(20, 7);

	for (uint32_t i = 0; i < KEYS; i++) {
		int before = fixture_pick_number(all, i), after = fixture_pick_number(fewer, i);

		if (before != 7)
			assert_int_equal(after, before < 7 ? before : before - 1);
	}
	fixture_free(all);
	fixture_free(fewer);
}

static void
test_the_order_of_servers_does_not_change_the_ring(void **state)
{
	struct fixture *forward = fixture_new("hash", "consistent"), *backward = fixture_new("hash", "consistent");
	char key[32];

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "10.1.0.%d:80", i);
		fixture_add(forward, key, 1 + (uint32_t)i % 3);
		snprintf(key, sizeof(key), "10.1.0.%d:80", 19 - i);
		fixture_add(backward, key, 1 + (uint32_t)(19 - i) % 3);
	}
	fixture_build(forward);
	fixture_build(backward);
	for (uint32_t i = 0; i < KEYS; i++)
		assert_int_equal(fixture_pick_number(forward, i), 19 - fixture_pick_number(backward, i));
	fixture_free(forward);
	fixture_free(backward);
}

static void
test_an_empty_key_is_left_to_round_robin(void **state)
{
	static const char *const forms[] = { "", "consistent" };

	for (int form = 0; form < 2; form++) {
		struct fixture *fixture = fixture_new("hash", forms[form]);

		for (int i = 0; i < 3; i++)
			fixture_add(fixture, NULL, 1);
		fixture_build(fixture);
		for (int i = 0; i < 9; i++)
			assert_int_equal(fixture_pick(fixture, "", 0), i % 3);
		fixture_free(fixture);
	}
}

static void
test_servers_of_one_name_share_its_keys(void **state)
{
	struct fixture *fixture = fixture_new("hash", "consistent");
	int first, second;

	fixture_add(fixture, "app:80", 1);
	fixture_add(fixture, "app:80", 1);
	fixture_build(fixture);
	first = fixture_pick_number(fixture, 1);
	second = fixture_pick_number(fixture, 1);
	assert_int_equal(first, 0);
	assert_int_equal(second, 1);
	assert_int_equal(fixture_pick_number(fixture, 1), 0);
	fixture_free(fixture);
}

static void
test_a_ring_that_would_not_fit_in_memory_is_refused(void **state)
{
	struct fixture *fixture = fixture_new("hash", "consistent");

	fixture_add(fixture, NULL, 1000000);
	assert_int_equal(fixture->method->table_size(fixture->servers, 1, fixture->options, 0), 0);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server_that_leaves_the_ring_takes_only_its_own_keys_along),
		cmocka_unit_test(test_the_order_of_servers_does_not_change_the_ring),
		cmocka_unit_test(test_an_empty_key_is_left_to_round_robin),
		cmocka_unit_test(test_servers_of_one_name_share_its_keys),
		cmocka_unit_test(test_a_ring_that_would_not_fit_in_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
