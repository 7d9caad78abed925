/*
 * Failures, probes, backups and limits, on a clock that the tests move. The sequences of tests named "observed" were seen
 * of nginx 1.22.1 with the same servers, whose clock there has whole seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fixture.h"

struct lcore {
	struct config *config;
	struct upstream_state *state;
	uint64_t now_ns;
};

static struct lcore
lcore_of(const char *upstream)
{
	struct lcore lcore = { .now_ns = 1000 * NS_PER_SECOND };
	char text[512];

	snprintf(text, sizeof(text), "upstream a { %s }", upstream);
	lcore.config = fixture_parse_well(text);
	lcore.state = upstream_state_new(upstream_group_find(lcore.config, bytes_of_string("a")), 1);
	assert_non_null(lcore.state);
	return lcore;
}

static void
lcore_end(struct lcore *lcore)
{
	upstream_state_free(lcore->state);
	config_free(lcore->config);
}

static int
pick(struct lcore *lcore, struct upstream_attempts *attempts)
{
	return upstream_pick(lcore->state, attempts, bytes_of("k", 1), lcore->now_ns);
}

/*
 * One request by a client who takes any answer: `alive` has a letter per living server. Returns the servers tried, as
 * letters; '-' at the end when there was none left.
 */
static const char *
request(struct lcore *lcore, const char *alive)
{
	static char tried[32];
	struct upstream_attempts attempts = { 0 };
	size_t count = 0;

	for (;;) {
		int index = pick(lcore, &attempts);
		char letter = (char)(index < 0 ? '-' : 'a' + index);
		bool well = index >= 0 && strchr(alive, letter);

		tried[count++] = letter;
		tried[count] = 0;
		if (index >= 0)
			upstream_done(lcore->state, (uint32_t)index, well ? UPSTREAM_OK : UPSTREAM_FAILED,
				      lcore->now_ns);
		if (index < 0 || well)
			return tried;
	}
}

static void
expect_requests(struct lcore *lcore, const char *alive, const char *const *expected)
{
	for (size_t i = 0; expected[i]; i++)
		assert_string_equal(request(lcore, alive), expected[i]);
}

#define EXPECT(lcore, alive, ...) expect_requests(lcore, alive, (const char *const[]){ __VA_ARGS__, NULL })

static void
wait_ms(struct lcore *lcore, uint64_t ms)
{
	lcore->now_ns += ms * NS_PER_MS;
}

static void
test_a_failing_server_is_left_out_for_fail_timeout_as_observed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2;");

	EXPECT(&lcore, "b", "ab", "b", "b", "b");
	assert_true(upstream_failed(lcore.state, 0));
	assert_false(upstream_failed(lcore.state, 1));
	wait_ms(&lcore, 3100);
	EXPECT(&lcore, "ab", "b", "b", "a", "b", "a", "b", "a", "b");
	assert_false(upstream_failed(lcore.state, 0));
	lcore_end(&lcore);
}

static void
test_fail_timeout_is_over_when_more_than_it_has_passed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2 down;");

	EXPECT(&lcore, "", "a-");
	wait_ms(&lcore, 2000);
	EXPECT(&lcore, "a", "-");
	wait_ms(&lcore, 1);
	EXPECT(&lcore, "a", "a", "a");
	lcore_end(&lcore);
}

static void
test_three_max_fails_are_counted_as_observed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_fails=3 fail_timeout=2s; server 10.0.0.2;");

	EXPECT(&lcore, "b", "ab", "b", "ab", "b", "ab", "b", "b", "b", "b", "b", "b", "b");
	wait_ms(&lcore, 3100);
	EXPECT(&lcore, "b", "b", "ab", "b", "b", "b", "b");
	lcore_end(&lcore);
}

static void
test_only_one_request_per_fail_timeout_probes(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2;");
	struct upstream_attempts probe = { 0 };
	int from_a = 0;

	EXPECT(&lcore, "b", "ab");
	wait_ms(&lcore, 2001);
	EXPECT(&lcore, "b", "b", "b");
	assert_int_equal(pick(&lcore, &probe), 0);
	EXPECT(&lcore, "b", "b", "b", "b", "b", "b"); /* while the probe is under way */
	wait_ms(&lcore, 500);
	upstream_done(lcore.state, 0, UPSTREAM_OK, lcore.now_ns);
	assert_false(upstream_failed(lcore.state, 0));
	for (int i = 0; i < 10; i++)
		from_a += *request(&lcore, "ab") == 'a';
	assert_int_equal(from_a, 5);
	lcore_end(&lcore);
}

static void
test_a_probe_that_fails_or_is_abandoned_leaves_the_server_out(void **state)
{
	static const enum upstream_result results[] = { UPSTREAM_FAILED, UPSTREAM_ABANDONED };

	for (int i = 0; i < 2; i++) {
		struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2 down;");
		struct upstream_attempts attempts = { 0 };

		EXPECT(&lcore, "", "a-", "-");
		wait_ms(&lcore, 2001);
		assert_int_equal(pick(&lcore, &attempts), 0);
		assert_int_equal(upstream_done(lcore.state, 0, results[i], lcore.now_ns),
				 results[i] == UPSTREAM_FAILED);
		EXPECT(&lcore, "a", "-");
		wait_ms(&lcore, 2001);
		EXPECT(&lcore, "a", "a", "a");
		lcore_end(&lcore);
	}
}

static void
test_done_tells_when_a_server_is_taken_out(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_fails=2; server 10.0.0.2 down;");
	struct upstream_attempts attempts = { 0 };

	assert_int_equal(pick(&lcore, &attempts), 0);
	assert_false(upstream_done(lcore.state, 0, UPSTREAM_FAILED, lcore.now_ns));
	memset(&attempts, 0, sizeof(attempts));
	assert_int_equal(pick(&lcore, &attempts), 0);
	assert_true(upstream_done(lcore.state, 0, UPSTREAM_FAILED, lcore.now_ns));
	lcore_end(&lcore);
}

static void
test_a_success_within_the_window_forgives_nothing(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_fails=2 fail_timeout=10s; server 10.0.0.2 down;");

	EXPECT(&lcore, "", "a-");
	wait_ms(&lcore, 5000);
	EXPECT(&lcore, "a", "a");
	EXPECT(&lcore, "", "a-", "-");
	lcore_end(&lcore);
}

static void
test_a_success_after_the_window_forgives_all(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_fails=2 fail_timeout=10s; server 10.0.0.2 down;");

	EXPECT(&lcore, "", "a-");
	wait_ms(&lcore, 10001);
	EXPECT(&lcore, "a", "a");
	EXPECT(&lcore, "", "a-", "a-", "-");
	lcore_end(&lcore);
}

static void
test_max_fails_0_never_leaves_a_server_out(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_fails=0; server 10.0.0.2 max_fails=0;");

	for (int i = 0; i < 10; i++)
		assert_int_equal(strlen(request(&lcore, "")), 3);
	assert_false(upstream_failed(lcore.state, 0));
	lcore_end(&lcore);
}

static void
test_the_only_server_is_never_left_out(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1;");

	EXPECT(&lcore, "", "a-", "a-", "a-");
	EXPECT(&lcore, "a", "a");
	lcore_end(&lcore);
}

static void
test_the_only_primary_with_a_backup_is_left_out_as_observed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2 backup fail_timeout=2s;");

	EXPECT(&lcore, "", "ab-", "-", "-");
	wait_ms(&lcore, 3100);
	EXPECT(&lcore, "", "ab-", "-");
	wait_ms(&lcore, 3100);
	EXPECT(&lcore, "ab", "a", "a");
	lcore_end(&lcore);
}

static void
test_all_out_means_no_live_upstreams_until_a_timeout_is_over_as_observed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 fail_timeout=2s; server 10.0.0.2 fail_timeout=2s;");

	EXPECT(&lcore, "", "ab-", "-", "-", "-");
	wait_ms(&lcore, 1999);
	EXPECT(&lcore, "ab", "-");
	wait_ms(&lcore, 1101);
	EXPECT(&lcore, "ab", "b", "b", "a", "b", "a", "b", "a", "b");
	lcore_end(&lcore);
}

static void
test_backups_serve_only_while_no_primary_can(void **state)
{
	struct lcore lcore =
		lcore_of("server 10.0.0.9 backup; server 10.0.0.1 fail_timeout=2s; server 10.0.0.8 backup;");

	EXPECT(&lcore, "abc", "a", "a");
	EXPECT(&lcore, "bc", "ab", "c", "b", "c");
	wait_ms(&lcore, 2001);
	EXPECT(&lcore, "abc", "a", "a", "a");
	lcore_end(&lcore);
}

static void
test_a_request_tries_each_server_once_then_each_backup_once(void **state)
{
	struct lcore lcore =
		lcore_of("server 10.0.0.1 max_fails=0; server 10.0.0.2 down; server 10.0.0.5 max_fails=0;\n"
			 "server 10.0.0.3 backup max_fails=0; server 10.0.0.4 backup max_fails=0;");

	EXPECT(&lcore, "", "acde-", "caed-", "acde-");
	assert_int_equal(upstream_tries(lcore.state), 4);
	lcore_end(&lcore);
}

static void
test_backups_of_a_method_without_backups_take_turns(void **state)
{
	struct lcore lcore =
		lcore_of("server 10.0.0.1 max_fails=0; server 10.0.0.2 backup; server 10.0.0.3 backup; ip_hash;");

	EXPECT(&lcore, "bc", "ab", "ac", "ab");
	lcore_end(&lcore);
}

static void
test_drained_and_down_servers_get_no_requests(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 weight=0; server 10.0.0.2 down; server 10.0.0.3;");

	EXPECT(&lcore, "abc", "c", "c", "c");
	lcore_end(&lcore);
	lcore = lcore_of("server 10.0.0.1 weight=0; server 10.0.0.2 backup;");
	EXPECT(&lcore, "ab", "b", "b");
	lcore_end(&lcore);
	lcore = lcore_of("server 10.0.0.1 down;");
	EXPECT(&lcore, "a", "-");
	lcore_end(&lcore);
}

static void
test_a_lowered_weight_sends_fewer_requests_at_first_as_observed(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 weight=4 max_fails=2; server 10.0.0.2 weight=4;");

	EXPECT(&lcore, "b", "ab"); /* the effective weight falls by 4/2, and comes back by one each time */
	EXPECT(&lcore, "ab", "b", "b", "a", "b", "a", "b", "a", "b", "a");
	lcore_end(&lcore);
}

static void
test_max_conns_counts_requests_under_way(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_conns=2; server 10.0.0.2 max_conns=1;");
	struct upstream_attempts attempts[4] = { { { 0 } } };

	for (int i = 0; i < 3; i++)
		assert_true(pick(&lcore, &attempts[i]) >= 0);
	assert_int_equal(upstream_active(lcore.state, 0), 2);
	assert_int_equal(upstream_active(lcore.state, 1), 1);
	assert_int_equal(pick(&lcore, &attempts[3]), -1);
	upstream_done(lcore.state, 1, UPSTREAM_OK, lcore.now_ns);
	assert_int_equal(pick(&lcore, &attempts[3]), 1);
	upstream_done(lcore.state, 0, UPSTREAM_ABANDONED, lcore.now_ns);
	upstream_done(lcore.state, 0, UPSTREAM_OK, lcore.now_ns);
	upstream_done(lcore.state, 1, UPSTREAM_OK, lcore.now_ns);
	assert_int_equal(upstream_active(lcore.state, 0), 0);
	assert_int_equal(upstream_active(lcore.state, 1), 0);
	lcore_end(&lcore);
}

static void
test_max_conns_binds_the_only_server_too(void **state)
{
	struct lcore lcore = lcore_of("server 10.0.0.1 max_conns=1;");
	struct upstream_attempts first = { 0 };

	assert_int_equal(pick(&lcore, &first), 0);
	EXPECT(&lcore, "a", "-");
	lcore_end(&lcore);
}

static void
test_least_conn_sees_the_requests_under_way(void **state)
{
	struct lcore lcore = lcore_of("least_conn; server 10.0.0.1; server 10.0.0.2; server 10.0.0.3;");
	struct upstream_attempts held[2] = { { { 0 } } };
	int first = pick(&lcore, &held[0]), second = pick(&lcore, &held[1]);

	assert_int_not_equal(first, second);
	for (int i = 0; i < 5; i++) {
		struct upstream_attempts attempts = { 0 };
		int index = pick(&lcore, &attempts);

		assert_int_equal(index, 3 - first - second);
		upstream_done(lcore.state, (uint32_t)index, UPSTREAM_OK, lcore.now_ns);
	}
	lcore_end(&lcore);
}

static void
test_every_method_survives_failures_without_repeating_a_server(void **state)
{
	static const char *const forms[] = {
		"",        "least_conn;", "ip_hash;", "hash $arg_k;",  "hash $arg_k consistent;",
		"random;", "random two;", "maglev;",  "maglev $arg_k;"
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char text[512] = "";
		struct lcore lcore;
		uint32_t seen = 0;
		const char *tried;

		strcat(text, forms[i]);
		for (int j = 0; j < 9; j++)
			sprintf(text + strlen(text), "server 10.0.0.%d:80 weight=%d;", j + 1, j % 3 + 1);
		lcore = lcore_of(text);
		tried = request(&lcore, "");
		assert_int_equal(strlen(tried), 10);
		for (int j = 0; j < 9; j++)
			seen |= 1u << (tried[j] - 'a');
		assert_int_equal(seen, 0x1ff);
		assert_string_equal(request(&lcore, ""), "-");
		lcore_end(&lcore);
	}
}

static void
test_states_of_two_lcores_are_independent(void **state)
{
	struct lcore first = lcore_of("server 10.0.0.1; server 10.0.0.2;"), second = first;

	second.state = upstream_state_new(upstream_state_group(first.state), 2);
	EXPECT(&first, "b", "ab", "b");
	EXPECT(&second, "ab", "a", "b", "a");
	upstream_state_free(second.state);
	lcore_end(&first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failing_server_is_left_out_for_fail_timeout_as_observed),
		cmocka_unit_test(test_fail_timeout_is_over_when_more_than_it_has_passed),
		cmocka_unit_test(test_three_max_fails_are_counted_as_observed),
		cmocka_unit_test(test_only_one_request_per_fail_timeout_probes),
		cmocka_unit_test(test_a_probe_that_fails_or_is_abandoned_leaves_the_server_out),
		cmocka_unit_test(test_done_tells_when_a_server_is_taken_out),
		cmocka_unit_test(test_a_success_within_the_window_forgives_nothing),
		cmocka_unit_test(test_a_success_after_the_window_forgives_all),
		cmocka_unit_test(test_max_fails_0_never_leaves_a_server_out),
		cmocka_unit_test(test_the_only_server_is_never_left_out),
		cmocka_unit_test(test_the_only_primary_with_a_backup_is_left_out_as_observed),
		cmocka_unit_test(test_all_out_means_no_live_upstreams_until_a_timeout_is_over_as_observed),
		cmocka_unit_test(test_backups_serve_only_while_no_primary_can),
		cmocka_unit_test(test_a_request_tries_each_server_once_then_each_backup_once),
		cmocka_unit_test(test_backups_of_a_method_without_backups_take_turns),
		cmocka_unit_test(test_drained_and_down_servers_get_no_requests),
		cmocka_unit_test(test_a_lowered_weight_sends_fewer_requests_at_first_as_observed),
		cmocka_unit_test(test_max_conns_counts_requests_under_way),
		cmocka_unit_test(test_max_conns_binds_the_only_server_too),
		cmocka_unit_test(test_least_conn_sees_the_requests_under_way),
		cmocka_unit_test(test_every_method_survives_failures_without_repeating_a_server),
		cmocka_unit_test(test_states_of_two_lcores_are_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
