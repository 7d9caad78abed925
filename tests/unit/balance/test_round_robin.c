#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

static void
expect_sequence(struct fixture *fixture, const char *expected)
{
	for (size_t i = 0; expected[i]; i++)
		assert_int_equal('a' + fixture_pick(fixture, "", 0), expected[i]);
}

static void
test_weights_5_1_1_are_interleaved(void **state)
{
	struct fixture *fixture = fixture_new("round_robin", "");

	fixture_add(fixture, NULL, 5);
	fixture_add(fixture, NULL, 1);
	fixture_add(fixture, NULL, 1);
	expect_sequence(fixture, "aabacaaaabacaa");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(fixture->peers[i].current_weight, 0);
	fixture_free(fixture);
}

static void
test_equal_weights_take_turns_in_file_order(void **state)
{
	struct fixture *fixture = fixture_new("round_robin", "");

	for (int i = 0; i < 3; i++)
		fixture_add(fixture, NULL, 1);
	expect_sequence(fixture, "abcabcabc");
	fixture_set_usable(fixture, 1, false);
	expect_sequence(fixture, "acacac");
	fixture_free(fixture);
}

static void
test_a_lowered_effective_weight_creeps_back_by_one_per_round(void **state)
{
	struct fixture *fixture = fixture_new("round_robin", "");

	fixture_add(fixture, NULL, 4);
	fixture_add(fixture, NULL, 4);
	fixture->peers[0].effective_weight = 0;
	for (int32_t i = 1; i <= 4; i++) {
		fixture_pick(fixture, "", 0);
		assert_int_equal(fixture->peers[0].effective_weight, i);
	}
	fixture_pick(fixture, "", 0);
	assert_int_equal(fixture->peers[0].effective_weight, 4);
	fixture_free(fixture);
}

static void
test_an_effective_weight_of_0_still_gets_requests_when_alone(void **state)
{
	struct fixture *fixture = fixture_new("round_robin", "");

	fixture_add(fixture, NULL, 1);
	fixture_add(fixture, NULL, 1);
	fixture->peers[0].effective_weight = fixture->peers[1].effective_weight = 0;
	assert_int_equal(fixture_pick(fixture, "", 0), 0);
	fixture_set_usable(fixture, 0, false);
	assert_int_equal(fixture_pick(fixture, "", 0), 1);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_5_1_1_are_interleaved),
		cmocka_unit_test(test_equal_weights_take_turns_in_file_order),
		cmocka_unit_test(test_a_lowered_effective_weight_creeps_back_by_one_per_round),
		cmocka_unit_test(test_an_effective_weight_of_0_still_gets_requests_when_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
