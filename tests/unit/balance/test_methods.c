/* What must hold for every registered method, whatever its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

/* Each method in each of its forms; test_every_registered_method_is_covered keeps the list complete. */
static const struct form {
	const char *method, *words;
} forms[] = {
	{ "round_robin", "" }, { "least_conn", "" },           { "ip_hash", "" },
	{ "hash", "" },        { "hash", "consistent" },       { "random", "" },
	{ "random", "two" },   { "random", "two least_conn" }, { "maglev", "" },
};

#define FORMS (sizeof(forms) / sizeof(forms[0]))

typedef void form_test(struct fixture *fixture);

static void
each_form(form_test *test)
{
	for (size_t i = 0; i < FORMS; i++) {
		struct fixture *fixture = fixture_new(forms[i].method, forms[i].words);

		print_message("           %s %s\n", forms[i].method, forms[i].words);
		test(fixture);
		fixture_free(fixture);
	}
}

static void
test_every_registered_method_is_covered(void **state)
{
	for (const struct balance_method *const *method = balance_methods; *method; method++) {
		bool found = false;

		for (size_t i = 0; i < FORMS; i++)
			found |= strcmp(forms[i].method, (*method)->name) == 0;
		assert_true(found);
		assert_ptr_equal(balance_method_find((*method)->name, strlen((*method)->name)), *method);
		assert_true((*method)->words_min <= (*method)->words_max);
		assert_true(!(*method)->table_size == !(*method)->build);
	}
	assert_null(balance_method_find("round", 5));
	assert_null(balance_method_find("", 0));
	assert_string_equal(balance_methods[0]->name, "round_robin");
}

static void
unusable_never_picked(struct fixture *fixture)
{
	for (uint32_t i = 0; i < 70; i++)
		fixture_add(fixture, NULL, i % 5);
	fixture_build(fixture);
	for (uint32_t round = 0; round < 200; round++) {
		for (size_t i = 0; i < fixture->count; i++)
			fixture_set_usable(fixture, i, fixture->servers[i].weight && (i * 7 + round) % 9 < 3);
		for (uint32_t i = 0; i < 20; i++) {
			int index = fixture_pick_number(fixture, round * 100 + i);

			assert_in_range(index, 0, fixture->count - 1);
			assert_true(balance_usable(fixture->usable, (size_t)index));
			assert_true(fixture->servers[index].weight > 0);
		}
	}
}

static void
test_an_unusable_server_is_never_picked(void **state)
{
	each_form(unusable_never_picked);
}

static void
drained_never_picked(struct fixture *fixture)
{
	fixture_add(fixture, NULL, 0);
	fixture_add(fixture, NULL, 2);
	fixture_add(fixture, NULL, 0);
	fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(fixture_pick_number(fixture, i) % 2, 1);
	fixture_set_usable(fixture, 1, false);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(fixture_pick_number(fixture, i), 3);
	fixture_set_usable(fixture, 3, false);
	assert_int_equal(fixture_pick_number(fixture, 1), -1); /* the two of weight 0 are still marked usable */
}

static void
test_a_server_of_weight_0_is_never_picked(void **state)
{
	each_form(drained_never_picked);
}

static void
none_usable(struct fixture *fixture)
{
	for (uint32_t i = 0; i < 3; i++)
		fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	for (size_t i = 0; i < 3; i++)
		fixture_set_usable(fixture, i, false);
	fixture_set_usable(fixture, 3, true); /* beyond the servers */
	assert_int_equal(fixture_pick_number(fixture, 1), -1);
	assert_int_equal(fixture_pick(fixture, "", 0), -1);
}

static void
test_minus_one_when_none_is_usable(void **state)
{
	each_form(none_usable);
}

static void
no_weight_at_all(struct fixture *fixture)
{
	fixture_add(fixture, NULL, 0);
	fixture_add(fixture, NULL, 0);
	fixture_build(fixture);
	assert_int_equal(fixture_pick_number(fixture, 1), -1);
	assert_int_equal(fixture_pick(fixture, "", 0), -1);
}

static void
test_minus_one_when_all_weights_are_0(void **state)
{
	each_form(no_weight_at_all);
}

static void
reaches_the_only_usable(struct fixture *fixture)
{
	for (uint32_t i = 0; i < FIXTURE_SERVERS_MAX; i++)
		fixture_add(fixture, NULL, 1 + i % 3);
	fixture_build(fixture);
	memset(fixture->usable, 0, sizeof(fixture->usable));
	for (size_t i = 0; i < fixture->count; i++) {
		fixture_set_usable(fixture, i, true);
		assert_int_equal(fixture_pick_number(fixture, (uint32_t)i), i);
		fixture_set_usable(fixture, i, false);
	}
}

static void
test_the_only_usable_server_of_a_thousand_is_found(void **state)
{
	each_form(reaches_the_only_usable);
}

static void
all_reached(struct fixture *fixture)
{
	bool seen[100] = { false };

	for (uint32_t i = 0; i < 100; i++)
		fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	for (uint32_t i = 0; i < 20000; i++)
		seen[fixture_pick_number(fixture, i * 977)] = true;
	for (size_t i = 0; i < 100; i++)
		assert_true(seen[i]);
}

static void
test_all_of_a_hundred_servers_get_requests(void **state)
{
	each_form(all_reached);
}

static void
honours_weights(struct fixture *fixture)
{
	static const uint32_t weights[] = { 1, 2, 5, 10, 2 };
	static const uint32_t requests = 200000;
	uint32_t got[5] = { 0 }, total = 20;
	/* `two` prefers the less loaded, ip_hash has 6271 values, a ring of 160 points per weight is uneven. */
	bool ring = fixture->method->properties & BALANCE_SERVER_NAMES && fixture->options;
	double tolerance = ring ? 0.35 : 0.04;

	for (size_t i = 0; i < 5; i++)
		fixture_add(fixture, NULL, weights[i]);
	fixture_build(fixture);
	for (uint32_t i = 0; i < requests; i++) {
		int index = fixture_pick_number(fixture, i * 83);

		got[index]++;
		fixture->peers[index].active++; /* all requests last: least_conn and two see the load */
	}
	for (size_t i = 0; i < 5; i++) {
		double expected = (double)requests * weights[i] / total, ratio = got[i] / expected;

		if (ratio < 1 - tolerance || ratio > 1 + tolerance)
			fail_msg("weight %u got %.3f of its share", weights[i], ratio);
	}
}

static void
test_requests_are_spread_by_weight(void **state)
{
	each_form(honours_weights);
}

static void
same_key_same_server(struct fixture *fixture)
{
	int first[200];

	if (!(fixture->method->properties & (BALANCE_NEEDS_KEY | BALANCE_NEEDS_ADDRESS)))
		return;
	for (uint32_t i = 0; i < 20; i++)
		fixture_add(fixture, NULL, 1 + i % 4);
	fixture_build(fixture);
	for (uint32_t i = 0; i < 200; i++)
		first[i] = fixture_pick_number(fixture, i);
	fixture_set_usable(fixture, 3, false);
	for (uint32_t i = 0; i < 200; i++) {
		int index = fixture_pick_number(fixture, i);

		if (first[i] != 3)
			assert_int_equal(index, first[i]);
	}
	fixture_set_usable(fixture, 3, true);
	for (uint32_t i = 200; i-- > 0;)
		assert_int_equal(fixture_pick_number(fixture, i), first[i]);
}

static void
test_a_key_keeps_its_server_also_when_another_one_fails(void **state)
{
	each_form(same_key_same_server);
}

static void
per_packet_without_peers(struct fixture *fixture)
{
	struct balance_request request = { .key = (const uint8_t *)"x", .key_len = 1 };

	if (!(fixture->method->properties & BALANCE_PER_PACKET))
		return;
	fixture_add(fixture, NULL, 1);
	fixture_add(fixture, NULL, 1);
	fixture_build(fixture);
	assert_in_range(fixture->method->pick(fixture->table, 0, NULL, 2, fixture->usable, &request), 0, 1);
}

static void
test_methods_fit_for_packets_need_no_peers(void **state)
{
	each_form(per_packet_without_peers);
}

static void
test_words_that_are_no_option_are_refused(void **state)
{
	static const struct form wrong[] = {
		{ "hash", "consistently" },
		{ "hash", "" },
		{ "random", "three" },
		{ "random", "least_conn" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct balance_method *method = balance_method_find(wrong[i].method, strlen(wrong[i].method));
		const char *error = NULL;
		uint32_t options = 0;

		assert_true(method->option(wrong[i].words, strlen(wrong[i].words), &options, &error) < 0);
		assert_string_equal(error, "invalid parameter");
		assert_int_equal(options, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_registered_method_is_covered),
		cmocka_unit_test(test_an_unusable_server_is_never_picked),
		cmocka_unit_test(test_a_server_of_weight_0_is_never_picked),
		cmocka_unit_test(test_minus_one_when_none_is_usable),
		cmocka_unit_test(test_minus_one_when_all_weights_are_0),
		cmocka_unit_test(test_the_only_usable_server_of_a_thousand_is_found),
		cmocka_unit_test(test_all_of_a_hundred_servers_get_requests),
		cmocka_unit_test(test_requests_are_spread_by_weight),
		cmocka_unit_test(test_a_key_keeps_its_server_also_when_another_one_fails),
		cmocka_unit_test(test_methods_fit_for_packets_need_no_peers),
		cmocka_unit_test(test_words_that_are_no_option_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
