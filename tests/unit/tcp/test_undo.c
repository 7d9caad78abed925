/*
 * What was no loss: duplicates reported to the peer, and reductions undone. Each name begins with the RFC whose rule it
 * holds.
 */
#include "script.h"

static int
set_up(void **state)
{
	script_set_up(state);
	h->config.congestion = TCP_NEW_RENO;
	return 0;
}

static void
start(const char *options, uint32_t bytes)
{
	script_open(options);
	h->c->congestion.window = 60000;
	h->c->srtt_us = h->c->rtt_min_us = 100000;
	h->c->rto_us = 300000;
	harness_write(h, bytes);
	harness_discard(h);
	h->c->flags &= ~TCP_RTT_TIMED;
}

/* ---- as a receiver ---- */

static void
rfc2883_4_1_1_a_segment_that_came_twice_is_reported_once(void **state)
{
	start("mss 1000,sackOK", 0);
	inject(h, ". 1:501 ack 1");
	inject(h, ". 1:501 ack 1");
	expect(h, ". 1:1 ack 501 <sack 1:501>");
	inject(h, ". 501:601 ack 1");
	advance(h, 10);
	expect(h, ". 1:1 ack 601 <>");
	harness_events(h);
}

static void
rfc2883_4_1_2_a_duplicate_beside_a_gap_goes_before_it(void **state)
{
	start("mss 1000,sackOK", 0);
	inject(h, ". 1:501 ack 1");
	inject(h, ". 1001:1501 ack 1");
	expect(h, ". 1:1 ack 501 <sack 1001:1501>");
	inject(h, ". 1:501 ack 1");
	expect(h, ". 1:1 ack 501 <sack 1:501,sack 1001:1501>");
	harness_events(h);
}

static void
rfc2883_4_2_a_duplicate_beyond_a_gap_comes_with_the_block_it_lies_in(void **state)
{
	start("mss 1000,sackOK", 0);
	inject(h, ". 2001:3001 ack 1");
	inject(h, ". 4001:5001 ack 1");
	harness_discard(h);
	inject(h, ". 2001:2501 ack 1");
	expect(h, ". 1:1 ack 1 <sack 2001:2501,sack 2001:3001,sack 4001:5001>");
}

static void
rfc2883_4_3_a_partial_duplicate_is_reported_as_far_as_it_is_one(void **state)
{
	start("mss 1000,sackOK", 0);
	inject(h, ". 1:501 ack 1");
	inject(h, ". 301:1001 ack 1");
	advance(h, 10);
	expect(h, ". 1:1 ack 1001 <sack 301:501>");
	harness_events(h);
	harness_read(h, 1000);
}

static void
rfc2883_3_nothing_is_reported_to_a_peer_without_sack(void **state)
{
	start("mss 1000", 0);
	inject(h, ". 1:501 ack 1");
	inject(h, ". 1:501 ack 1");
	expect(h, ". 1:1 ack 501 <>");
	harness_events(h);
}

/* ---- as a sender ---- */

static void
rfc3522_3_2_a_timestamp_from_before_undoes_a_timeout(void **state)
{
	start("mss 1012,sackOK,ts 100:0", 10000);
	advance(h, 205);
	assert_int_equal(harness_discard(h), 1); /* the tail */
	advance(h, 400);
	assert_int_equal(harness_discard(h), 1);
	assert_int_equal(h->c->congestion.window, 1012);
	/* The ACK of what was sent at first. */
	inject(h, ". 1:1 ack 1001 <ts 101:1>");
	assert_int_equal(h->c->congestion.window >= 60000, 1);
	assert_int_equal(harness_count(h, "losses_undone"), 1);
	expect_nothing(h);
	inject(h, ". 1:1 ack 10001 <ts 102:1>");
	assert_null(h->c->board);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 2);
}

static void
rfc3522_3_2_and_so_it_does_after_several_timeouts(void **state)
{
	start("mss 1012,sackOK,ts 100:0", 10000);
	advance(h, 2500);
	harness_discard(h);
	assert_true(harness_count(h, "retransmission_timeouts") >= 2);
	inject(h, ". 1:1 ack 1001 <ts 101:1>");
	assert_int_equal(harness_count(h, "losses_undone"), 1);
	assert_true(h->c->congestion.window >= 60000);
}

static void
rfc3522_3_2_a_timestamp_of_the_retransmission_does_not(void **state)
{
	start("mss 1012,sackOK,ts 100:0", 10000);
	advance(h, 205);
	harness_discard(h);
	advance(h, 400);
	harness_discard(h);
	inject(h, ". 1:1 ack 1001 <ts 101:505>");
	assert_int_equal(harness_count(h, "losses_undone"), 0);
	assert_true(h->c->congestion.window <= 2 * 1012);
}

static void
rfc3522_3_2_a_timestamp_from_before_undoes_a_fast_retransmit(void **state)
{
	start("mss 1012,sackOK,ts 100:0", 10000);
	advance(h, 20);
	inject(h, ". 1:1 ack 1 <ts 101:1,sack 1001:5001>");
	assert_int_equal(harness_discard(h), 1);
	assert_true(h->c->flags & TCP_RECOVERY);
	inject(h, ". 1:1 ack 5001 <ts 102:1>");
	assert_false(h->c->flags & TCP_RECOVERY);
	assert_true(h->c->congestion.window >= 60000);
	/* It was reordering, and is known to happen. */
	assert_true(h->c->flags & TCP_REORDERED);
	expect_nothing(h);
}

static void
rfc3708_3_when_all_that_was_sent_again_came_twice_the_window_is_restored(void **state)
{
	start("mss 1000,sackOK", 10000);
	inject(h, ". 1:1 ack 1 <sack 1001:5001>");
	assert_int_equal(harness_discard(h), 1);
	inject(h, ". 1:1 ack 5001");
	assert_true(h->c->congestion.window < 60000);
	inject(h, ". 1:1 ack 5001 <sack 1:1001>");
	assert_true(h->c->congestion.window >= 60000);
	assert_int_equal(harness_count(h, "losses_undone"), 1);
	inject(h, ". 1:1 ack 10001");
	assert_null(h->c->board);
}

static void
rfc3708_3_as_long_as_one_is_not_reported_it_is_not(void **state)
{
	start("mss 1000,sackOK", 10000);
	inject(h, ". 1:1 ack 1 <sack 2001:6001>");
	assert_int_equal(harness_discard(h), 1);
	inject(h, ". 1:1 ack 1001 <sack 2001:6001>");
	assert_int_equal(harness_discard(h), 1);
	inject(h, ". 1:1 ack 6001");
	inject(h, ". 1:1 ack 6001 <sack 1001:2001>");
	assert_int_equal(harness_count(h, "losses_undone"), 0);
}

/* Ten segments are out, the tail was probed, the timeout has come, and the first has left again. */
static void
time_out(void)
{
	advance(h, 205);
	harness_discard(h);
	advance(h, 305);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
}

static void
rfc5682_3_1_step_3b_data_not_sent_again_arrives(void **state)
{
	start("mss 1000,sackOK", 10000);
	time_out();
	h->c->congestion.window = 1000;
	harness_write(h, 5000);
	inject(h, ". 1:1 ack 1001");
	expect(h, ". 10001:11001 ack 1");
	expect(h, ". 11001:12001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 2001");
	assert_int_equal(harness_count(h, "losses_undone"), 1);
	assert_true(h->c->congestion.window >= 60000);
	harness_discard(h);
	inject(h, ". 1:1 ack 15001");
	assert_null(h->c->board);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 2);
}

static void
rfc5682_3_1_step_3a_a_duplicate_means_that_it_was_lost(void **state)
{
	start("mss 1000,sackOK", 10000);
	time_out();
	harness_write(h, 5000);
	inject(h, ". 1:1 ack 1001");
	expect(h, ". 10001:11001 ack 1");
	expect(h, ". 11001:12001 ack 1");
	inject(h, ". 1:1 ack 1001 <sack 10001:11001>");
	expect(h, ". 1001:2001 ack 1");
	assert_int_equal(harness_count(h, "losses_undone"), 0);
	assert_true(h->c->congestion.window <= 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc2883_4_1_1_a_segment_that_came_twice_is_reported_once),
		TEST(rfc2883_4_1_2_a_duplicate_beside_a_gap_goes_before_it),
		TEST(rfc2883_4_2_a_duplicate_beyond_a_gap_comes_with_the_block_it_lies_in),
		TEST(rfc2883_4_3_a_partial_duplicate_is_reported_as_far_as_it_is_one),
		TEST(rfc2883_3_nothing_is_reported_to_a_peer_without_sack),
		TEST(rfc3522_3_2_a_timestamp_from_before_undoes_a_timeout),
		TEST(rfc3522_3_2_and_so_it_does_after_several_timeouts),
		TEST(rfc3522_3_2_a_timestamp_of_the_retransmission_does_not),
		TEST(rfc3522_3_2_a_timestamp_from_before_undoes_a_fast_retransmit),
		TEST(rfc3708_3_when_all_that_was_sent_again_came_twice_the_window_is_restored),
		TEST(rfc3708_3_as_long_as_one_is_not_reported_it_is_not),
		TEST(rfc5682_3_1_step_3b_data_not_sent_again_arrives),
		TEST(rfc5682_3_1_step_3a_a_duplicate_means_that_it_was_lost),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
