#include "base/clock.h"
#include "l4/path_mtu.h"
#include "support/cmocka.h"

#define LIFE_NS (600 * NS_PER_SECOND)
#define PLACES (L4_PATH_MTU_SETS * L4_PATH_MTU_WAYS)

static struct l4_path_mtus paths;

static int
setup(void **state)
{
	l4_path_mtus_init(&paths);
	return 0;
}

static void
nothing_is_known_at_first(void **state)
{
	for (uint32_t target = 1; target < L4_TARGETS_MAX; target++)
		assert_int_equal(l4_path_mtu_find(&paths, target, 0), L4_PATH_MTU_NONE);
	assert_int_equal(paths.least, L4_PATH_MTU_NONE);
	l4_path_mtus_expire(&paths, UINT64_MAX - 1);
}

static void
what_is_learnt_ends_after_ten_minutes(void **state)
{
	l4_path_mtu_learn(&paths, 7, 1400, 5);
	assert_int_equal(l4_path_mtu_find(&paths, 7, 5 + LIFE_NS - 1), 1400);
	assert_int_equal(l4_path_mtu_find(&paths, 7 + L4_PATH_MTU_SETS, 5), L4_PATH_MTU_NONE);
	assert_int_equal(l4_path_mtu_find(&paths, 7, 5 + LIFE_NS), L4_PATH_MTU_NONE);
	l4_path_mtus_expire(&paths, 5 + LIFE_NS - 1);
	assert_int_equal(paths.least, 1400);
	l4_path_mtus_expire(&paths, 5 + LIFE_NS);
	assert_int_equal(paths.least, L4_PATH_MTU_NONE);
	l4_path_mtu_learn(&paths, 7, 1450, 6 + LIFE_NS);
	assert_int_equal(l4_path_mtu_find(&paths, 7, 6 + LIFE_NS), 1450);
}

static void
it_falls_and_does_not_rise(void **state)
{
	l4_path_mtu_learn(&paths, 7, 1400, 0);
	l4_path_mtu_learn(&paths, 7, 1450, NS_PER_SECOND);
	assert_int_equal(l4_path_mtu_find(&paths, 7, NS_PER_SECOND), 1400);
	assert_int_equal(l4_path_mtu_find(&paths, 7, LIFE_NS), L4_PATH_MTU_NONE);
	l4_path_mtu_learn(&paths, 7, 1300, NS_PER_SECOND);
	assert_int_equal(l4_path_mtu_find(&paths, 7, LIFE_NS), 1300);
}

static void
the_least_is_of_those_that_are_left(void **state)
{
	l4_path_mtu_learn(&paths, 1, 1300, 0);
	l4_path_mtu_learn(&paths, 2, 1400, NS_PER_SECOND);
	l4_path_mtu_learn(&paths, 3, 1350, NS_PER_SECOND);
	assert_int_equal(paths.least, 1300);
	l4_path_mtus_expire(&paths, LIFE_NS);
	assert_int_equal(paths.least, 1350);
	l4_path_mtu_forget(&paths, 3);
	assert_int_equal(paths.least, 1400);
	assert_int_equal(l4_path_mtu_find(&paths, 3, NS_PER_SECOND), L4_PATH_MTU_NONE);
	l4_path_mtu_forget(&paths, 4);
	assert_int_equal(l4_path_mtu_find(&paths, 2, NS_PER_SECOND), 1400);
}

static void
in_a_full_table_the_oldest_gives_way(void **state)
{
	for (uint32_t i = 1; i <= PLACES; i++)
		l4_path_mtu_learn(&paths, i, (uint16_t)(1000 + i % 400), i);
	for (uint32_t i = 1; i <= PLACES; i++)
		assert_int_equal(l4_path_mtu_find(&paths, i, PLACES), 1000 + i % 400);
	l4_path_mtu_learn(&paths, PLACES + 9, 1234, PLACES + 1);
	assert_int_equal(l4_path_mtu_find(&paths, PLACES + 9, PLACES + 1), 1234);
	assert_int_equal(l4_path_mtu_find(&paths, 9, PLACES + 1), L4_PATH_MTU_NONE);
	for (uint32_t i = 1; i <= PLACES; i++)
		if (i != 9)
			assert_int_equal(l4_path_mtu_find(&paths, i, PLACES), 1000 + i % 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_known_at_first, setup),
		cmocka_unit_test_setup(what_is_learnt_ends_after_ten_minutes, setup),
		cmocka_unit_test_setup(it_falls_and_does_not_rise, setup),
		cmocka_unit_test_setup(the_least_is_of_those_that_are_left, setup),
		cmocka_unit_test_setup(in_a_full_table_the_oldest_gives_way, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
