#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

static void
test_the_same_random_bits_give_the_same_server(void **state)
{
	struct fixture *fixture = fixture_new("random", "");
	int first[50];

	for (int i = 0; i < 10; i++)
		fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	for (int i = 0; i < 50; i++)
		first[i] = fixture_pick(fixture, "", 0);
	fixture->random = 0;
	for (int i = 0; i < 50; i++)
		assert_int_equal(fixture_pick(fixture, "", 0), first[i]);
	fixture_free(fixture);
}

static void
test_two_takes_the_less_loaded_of_two_servers(void **state)
{
	struct fixture *fixture = fixture_new("random", "two");

	fixture_add(fixture, NULL, 1);
	fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	fixture->peers[0].active = 1;
	for (int i = 0; i < 200; i++)
		assert_int_equal(fixture_pick(fixture, "", 0), 1);
	fixture_free(fixture);
}

static void
test_two_never_takes_the_most_loaded_server(void **state)
{
	struct fixture *fixture = fixture_new("random", "two least_conn");
	bool seen[5] = { false };

	for (int i = 0; i < 5; i++)
		fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	for (uint32_t i = 0; i < 5; i++)
		fixture->peers[i].active = i;
	for (int i = 0; i < 2000; i++)
		seen[fixture_pick(fixture, "", 0)] = true;
	for (int i = 0; i < 4; i++)
		assert_true(seen[i]);
	assert_false(seen[4]);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_random_bits_give_the_same_server),
		cmocka_unit_test(test_two_takes_the_less_loaded_of_two_servers),
		cmocka_unit_test(test_two_never_takes_the_most_loaded_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
