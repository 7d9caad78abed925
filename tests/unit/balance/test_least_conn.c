#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

static struct fixture *
three_servers(uint32_t a, uint32_t b, uint32_t c)
{
	struct fixture *fixture = fixture_new("least_conn", "");

	fixture_add(fixture, NULL, a);
	fixture_add(fixture, NULL, b);
	fixture_add(fixture, NULL, c);
	return fixture;
}

static void
test_the_least_active_server_is_chosen(void **state)
{
	struct fixture *fixture = three_servers(1, 1, 1);

	fixture->peers[0].active = 2;
	fixture->peers[1].active = 1;
	fixture->peers[2].active = 3;
	for (int i = 0; i < 5; i++)
		assert_int_equal(fixture_pick(fixture, "", 0), 1);
	fixture_free(fixture);
}

static void
test_activity_counts_in_proportion_to_weight(void **state)
{
	struct fixture *fixture = three_servers(4, 1, 1);

	fixture->peers[0].active = 3; /* 3/4 < 1/1 */
	fixture->peers[1].active = fixture->peers[2].active = 1;
	assert_int_equal(fixture_pick(fixture, "", 0), 0);
	fixture->peers[0].active = 5;
	assert_int_not_equal(fixture_pick(fixture, "", 0), 0);
	fixture_free(fixture);
}

static void
test_ties_take_turns_and_others_keep_their_place_in_the_rotation(void **state)
{
	struct fixture *fixture = three_servers(1, 1, 1);

	fixture->peers[1].active = 1;
	assert_int_equal(fixture_pick(fixture, "", 0), 0);
	assert_int_equal(fixture_pick(fixture, "", 0), 2);
	assert_int_equal(fixture_pick(fixture, "", 0), 0);
	assert_int_equal(fixture_pick(fixture, "", 0), 2);
	assert_int_equal(fixture->peers[1].current_weight, 0);
	fixture_free(fixture);
}

static void
test_ties_of_idle_servers_are_rotated_by_weight(void **state)
{
	static const int expected[] = { 0, 0, 1, 0, 2, 0, 0 };
	struct fixture *fixture = three_servers(5, 1, 1);

	for (size_t i = 0; i < 7; i++)
		assert_int_equal(fixture_pick(fixture, "", 0), expected[i]);
	fixture_free(fixture);
}

static void
test_long_requests_fill_servers_by_weight(void **state)
{
	struct fixture *fixture = three_servers(1, 2, 3);

	for (int i = 0; i < 60; i++)
		fixture->peers[fixture_pick(fixture, "", 0)].active++;
	assert_int_equal(fixture->peers[0].active, 10);
	assert_int_equal(fixture->peers[1].active, 20);
	assert_int_equal(fixture->peers[2].active, 30);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_least_active_server_is_chosen),
		cmocka_unit_test(test_activity_counts_in_proportion_to_weight),
		cmocka_unit_test(test_ties_take_turns_and_others_keep_their_place_in_the_rotation),
		cmocka_unit_test(test_ties_of_idle_servers_are_rotated_by_weight),
		cmocka_unit_test(test_long_requests_fill_servers_by_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
