/*
 * Conversations of two stacks over paths on which everything goes wrong: the bytes are right, nothing stalls, nothing is
 * left over, and it does not take much longer than it must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "path.h"
#include "support/dpdk.h"
#include "tcp/stack.h"

static struct path P, *const p = &P;

static void
report(const char *what)
{
	if (getenv("PATH_REPORT"))
		printf("%-28s %6u ms, sent %6lu lost %4lu again %4lu rto %3lu fast %3lu tail %2lu undone %2lu "
		       "full %lu\n",
		       what, path_elapsed_ms(p), p->sides[0].sent, p->sides[0].lost,
		       path_count(p, 0, "retransmitted_segments"), path_count(p, 0, "retransmission_timeouts"),
		       path_count(p, 0, "fast_retransmits"), path_count(p, 0, "tail_probes"),
		       path_count(p, 0, "losses_undone"), path_count(p, 0, "scoreboard_full"));
}

static void
transfer(const char *what, uint32_t limit_ms)
{
	path_start(p);
	if (!path_run(p, limit_ms)) {
		report(what);
		fail_msg("%s: after %u ms %u of %u bytes", what, limit_ms, p->sides[1].read, p->config.bytes[0]);
	}
	report(what);
	assert_false(p->sides[0].failed || p->sides[1].failed);
	assert_int_equal(p->sides[1].read, p->config.bytes[0]);
	assert_int_equal(p->sides[0].read, p->config.bytes[1]);
}

static int
set_up(void **state)
{
	path_init(p);
	return 0;
}

static int
tear_down(void **state)
{
	path_stop(p);
	return 0;
}

static void
nothing_is_sent_twice_on_a_clean_path(void **state)
{
	transfer("clean", 3000);
	assert_int_equal(path_count(p, 0, "retransmitted_segments"), 0);
	assert_int_equal(path_count(p, 0, "tail_probes"), 0);
	assert_int_equal(path_count(p, 1, "retransmitted_segments"), 0);
}

static void
two_of_a_hundred_lost(void **state)
{
	p->config.loss = 20;
	p->config.bytes[0] = 4000000;
	transfer("loss 2 %", 60000);
}

static void
bursts_of_ten_lost(void **state)
{
	p->config.loss = 2;
	p->config.burst = 10;
	p->config.bytes[0] = 4000000;
	transfer("bursts of ten", 60000);
}

static void
five_of_a_hundred_reordered(void **state)
{
	p->config.reordering = 50;
	p->config.bytes[0] = 4000000;
	transfer("reordering 5 %", 60000);
}

static void
duplicates_change_nothing(void **state)
{
	p->config.duplication = 50;
	p->config.bytes[0] = 4000000;
	transfer("duplication 5 %", 10000);
}

static void
one_of_a_hundred_corrupted(void **state)
{
	p->config.corruption = 10;
	p->config.bytes[0] = 4000000;
	transfer("corruption 1 %", 60000);
}

static void
fifty_megabit_with_a_queue_of_a_hundred(void **state)
{
	p->config.rate_kbit = 50000;
	p->config.bytes[0] = 20000000;
	p->config.tcp.receive_buffer = p->config.tcp.send_buffer = 1 << 20;
	transfer("50 Mbit/s, queue 100", 10000);
}

/* RFC 3168: marks in place of losses, both ways of opening. */
static void
a_router_that_marks_need_not_drop(void **state)
{
	p->config.rate_kbit = 50000;
	p->config.ecn_above = 30;
	p->config.bytes[0] = 20000000;
	p->config.tcp.receive_buffer = p->config.tcp.send_buffer = 1 << 20;
	p->config.tcp.ecn = TCP_ECN_ON;
	transfer("50 Mbit/s, marked", 10000);
	assert_int_equal(path_count(p, 0, "ecn_agreed") + path_count(p, 1, "ecn_agreed"), 2);
	assert_true(path_count(p, 1, "ecn_marks") > 0);
	assert_true(path_count(p, 0, "ecn_reductions") > 0);
	assert_in_range(p->sides[0].lost, 0, 120); /* of slow start */
}

static void
random_trouble_ends_with_the_right_bytes(void **state)
{
	for (uint32_t seed = 1; seed <= 60; seed++) {
		char what[40];

		if (seed > 1) {
			path_stop(p);
			path_init(p);
		}
		snprintf(what, sizeof(what), "random trouble %u", seed);
		p->config.seed = seed;
		p->config.burst = seed % 5;
		p->config.loss = seed * 7 % 60 / (p->config.burst + 1);
		p->config.reordering = seed * 13 % 100;
		p->config.duplication = seed * 5 % 40;
		p->config.corruption = seed * 3 % 20;
		p->config.delay_us = seed % 3 * 7000 + 50;
		p->config.rate_kbit = seed % 4 == 0 ? 20000 : 0;
		p->config.ecn_above = seed % 8 == 0 ? 10 : 0;
		p->config.tcp.ecn = seed % 3;
		p->config.bytes[0] = 300000 + seed;
		p->config.bytes[1] = seed % 2 ? 200000 : 10;
		p->config.tcp.receive_buffer = seed % 3 ? 1 << 18 : 30000;
		transfer(what, 600000);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_sent_twice_on_a_clean_path),
		TEST(two_of_a_hundred_lost),
		TEST(bursts_of_ten_lost),
		TEST(five_of_a_hundred_reordered),
		TEST(duplicates_change_nothing),
		TEST(one_of_a_hundred_corrupted),
		TEST(fifty_megabit_with_a_queue_of_a_hundred),
		TEST(a_router_that_marks_need_not_drop),
		TEST(random_trouble_ends_with_the_right_bytes),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
