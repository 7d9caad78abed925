/*
 * Loss recovery with SACK: what is sent again, when, and how much at a time. Each name begins with the RFC whose rule it
 * holds.
 */
#include "script.h"
#include "tcp/rack.h"
#include "tcp/recovery.h"

/* What the window allows of `bytes` leaves at once, whatever the pace; returns how many segments that were. */
static uint32_t
fly(uint32_t bytes)
{
	uint32_t count;

	h->c->rtt_min_us = 0;
	harness_write(h, bytes);
	count = harness_discard(h);
	h->c->rtt_min_us = 100000;
	return count;
}

/* A round trip of 100 ms is known, `bytes` are in flight in segments of 1000, and the window has room for them. */
static void
start(uint32_t bytes)
{
	harness_start(h);
	harness_accept(h, "mss 1000,sackOK", 65535);
	h->c->congestion.window = 60000;
	h->c->srtt_us = 100000;
	h->c->rttvar_us = 10000;
	h->c->rto_us = 300000;
	fly(bytes);
	/* No time passes in most tests: nothing that could be measured. */
	h->c->flags &= ~TCP_RTT_TIMED;
}

static void
sack(uint32_t ack, uint32_t from, uint32_t to)
{
	char text[80];

	snprintf(text, sizeof(text), ". 1:1 ack %u <sack %u:%u>", ack, from, to);
	inject(h, text);
}

/* ---- what is lost ---- */

static void
rfc6675_4_three_segments_beyond_a_hole_make_it_lost(void **state)
{
	start(10000);
	sack(1, 1001, 2001);
	sack(1, 1001, 3001);
	expect_nothing(h);
	sack(1, 1001, 4001);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
	inject(h, ". 1:1 ack 10001");
	assert_null(h->c->board);
	assert_false(h->c->flags & TCP_RECOVERY);
}

static void
rfc6675_5_only_what_is_missing_is_sent_again(void **state)
{
	start(10000);
	inject(h, ". 1:1 ack 1 <sack 9001:10001,sack 5001:7001,sack 1001:3001>");
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 3001:4001 ack 1");
	expect(h, ". 4001:5001 ack 1");
	expect(h, ". 7001:8001 ack 1");
	expect(h, ". 8001:9001 ack 1");
	for (int i = 0; i < 8; i++)
		inject(h, ". 1:1 ack 1 <sack 9001:10001,sack 5001:7001,sack 1001:3001>");
	sack(3001, 5001, 7001);
	inject(h, ". 1:1 ack 8001 <sack 9001:10001>");
	expect_nothing(h);
	inject(h, ". 1:1 ack 10001");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 5);
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
}

static void
rfc3042_a_sacked_segment_lets_a_new_one_out(void **state)
{
	start(0);
	h->c->congestion.window = 10000;
	harness_write(h, 20000);
	assert_int_equal(harness_discard(h), 10);
	sack(1, 1001, 2001);
	expect(h, ". 10001:11001 ack 1");
	sack(1, 1001, 3001);
	expect(h, ". 11001:12001 ack 1");
	expect_nothing(h);
}

static void
rfc2018_4_blocks_that_make_no_sense_are_not_noted(void **state)
{
	start(5000);
	sack(1, 1, 1001);    /* says that what it waits for has come */
	sack(1, 4001, 9001); /* never sent */
	sack(1, 3001, 2001); /* backwards */
	sack(1, 2001, 2001); /* empty */
	assert_null(h->c->board);
	expect_nothing(h);
}

static void
rfc2018_8_a_peer_that_drops_what_it_had_gets_it_again(void **state)
{
	start(5000);
	sack(1, 1001, 5001);
	expect(h, ". 1:1001 ack 1");
	/* Without the rest, as if it had not come. */
	inject(h, ". 1:1 ack 1001");
	expect(h, ". 1001:2001 ack 1");
	inject(h, ". 1:1 ack 2001");
	harness_discard(h);
	inject(h, ". 1:1 ack 5001");
	assert_null(h->c->board);
	assert_int_equal(harness_count(h, "peers_reneged"), 1);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
}

static void
rfc6675_5_a_lost_fin_is_sent_again(void **state)
{
	start(5000);
	tcp_shutdown(h->c);
	expect(h, "F. 5001:5001 ack 1");
	/* All but the last segment and the first have come; the probe brings the news. */
	sack(1, 1001, 4001);
	expect(h, ". 1:1001 ack 1");
	inject(h, ". 1:1 ack 4001");
	expect_nothing(h);
	advance(h, 350);
	expect(h, "F. 4001:5001 ack 1");
	inject(h, ". 1:1 ack 5002");
	expect_nothing(h);
	assert_int_equal(h->c->state, TCP_STATE_FIN_WAIT_2);
}

/* ---- RACK ---- */

static void
rfc8985_6_2_a_lost_retransmission_is_found_by_what_was_sent_later(void **state)
{
	start(10000);
	sack(1, 1001, 4001);
	expect(h, ". 1:1001 ack 1");
	harness_write(h, 2000);
	advance(h, 100);
	for (int i = 5; i <= 10; i++)
		sack(1, 1001, (uint32_t)i * 1000 + 1);
	harness_discard(h);
	/* The new data left after the retransmission. */
	sack(1, 1001, 11001);
	expect(h, ". 1:1001 ack 1");
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
	inject(h, ". 1:1 ack 12001");
	assert_null(h->c->board);
}

static void
rfc8985_6_2_a_lost_retransmission_is_found_by_a_later_one(void **state)
{
	start(10000);
	inject(h, ". 1:1 ack 1 <sack 1001:4001>");
	expect(h, ". 1:1001 ack 1");
	advance(h, 50);
	inject(h, ". 1:1 ack 1 <sack 6001:10001,sack 1001:4001>");
	expect(h, ". 4001:5001 ack 1");
	expect(h, ". 5001:6001 ack 1");
	advance(h, 120);
	/* The second retransmission has come, the first has not. */
	inject(h, ". 1:1 ack 1 <sack 1001:5001,sack 6001:10001>");
	expect(h, ". 1:1001 ack 1");
}

static void
rfc8985_6_2_without_three_segments_the_window_for_reordering_passes_first(void **state)
{
	start(3000);
	sack(1, 1001, 2001);
	advance(h, 20);
	expect_nothing(h);
	/* A quarter of the round trip. */
	advance(h, 7);
	expect(h, ". 1:1001 ack 1");
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
}

static void
rfc8985_6_2_once_reordering_was_seen_three_segments_are_not_enough(void **state)
{
	start(10000);
	sack(1, 1001, 3001);
	/* What was late was not lost. */
	inject(h, ". 1:1 ack 3001");
	assert_int_equal(harness_count(h, "reordering_seen"), 1);
	sack(3001, 4001, 10001);
	expect_nothing(h);
	inject(h, ". 1:1 ack 10001");
	advance(h, 1000);
	expect_nothing(h);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 0);
	assert_null(h->c->board);
}

static void
rfc8985_6_2_a_duplicate_reported_widens_the_window(void **state)
{
	start(10000);
	h->c->flags |= TCP_REORDERED;
	inject(h, ". 1:1 ack 1001 <sack 1:1001>");
	assert_int_equal(h->c->trouble->reorder_steps, 1);
	/* Once per round trip. */
	inject(h, ". 1:1 ack 2001 <sack 1001:2001>");
	assert_int_equal(h->c->trouble->reorder_steps, 1);
	sack(2001, 3001, 9001);
	advance(h, 40);
	expect_nothing(h);
	advance(h, 12);
	expect(h, ". 2001:3001 ack 1");
	inject(h, ". 1:1 ack 10001");
	for (int i = 0; i < 16; i++)
		tcp_rack_recovered(h->c);
	assert_int_equal(h->c->trouble->reorder_steps, 0);
}

/* ---- the tail ---- */

static void
rfc8985_7_3_a_probe_repeats_the_last_segment(void **state)
{
	start(5000);
	advance(h, 200);
	expect_nothing(h);
	/* Twice the round trip, and a little. */
	advance(h, 5);
	expect(h, ". 4001:5001 ack 1");
	assert_int_equal(harness_count(h, "tail_probes"), 1);
	/* It shows what else is missing. */
	sack(2001, 4001, 5001);
	advance(h, 30);
	expect(h, ". 2001:3001 ack 1");
	sack(3001, 4001, 5001);
	expect(h, ". 3001:4001 ack 1");
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
	inject(h, ". 1:1 ack 5001");
	assert_null(h->c->board);
}

static void
rfc8985_7_3_a_probe_with_new_data_where_there_is_some(void **state)
{
	start(0);
	h->c->congestion.window = 5000;
	harness_write(h, 8000);
	assert_int_equal(harness_discard(h), 5);
	advance(h, 205);
	expect(h, ". 5001:6001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 6001");
	harness_discard(h);
	assert_false(h->c->flags & TCP_TAIL_SENT);
	assert_int_equal(harness_count(h, "tail_repairs"), 0);
}

static void
rfc8985_7_3_one_probe_then_the_timeout(void **state)
{
	start(5000);
	advance(h, 205);
	expect(h, ". 4001:5001 ack 1");
	advance(h, 250);
	expect_nothing(h);
	advance(h, 60);
	expect(h, ". 1:1001 ack 1");
	assert_int_equal(harness_count(h, "tail_probes"), 1);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 1);
}

static void
rfc8985_7_2_a_lone_segment_whose_ack_may_be_delayed_is_not_probed(void **state)
{
	start(1000);
	advance(h, 295);
	expect_nothing(h);
	advance(h, 10);
	expect(h, ". 1:1001 ack 1");
	assert_int_equal(harness_count(h, "tail_probes"), 0);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 1);
}

static void
rfc8985_7_4_a_loss_that_the_probe_repaired_reduces_the_window(void **state)
{
	start(5000);
	advance(h, 205);
	expect(h, ". 4001:5001 ack 1");
	inject(h, ". 1:1 ack 5001");
	assert_int_equal(h->c->congestion.threshold, UINT32_MAX / 4);
	harness_write(h, 1000);
	harness_discard(h);
	inject(h, ". 1:1 ack 6001");
	assert_int_equal(harness_count(h, "tail_repairs"), 1);
	assert_true(h->c->congestion.threshold < 60000);
}

static void
rfc8985_7_4_a_probe_in_vain_does_not(void **state)
{
	start(5000);
	advance(h, 205);
	expect(h, ". 4001:5001 ack 1");
	inject(h, ". 1:1 ack 5001");
	inject(h, ". 1:1 ack 5001 <sack 4001:5001>");
	harness_write(h, 1000);
	harness_discard(h);
	inject(h, ". 1:1 ack 6001");
	assert_int_equal(harness_count(h, "tail_repairs"), 0);
	assert_int_equal(h->c->congestion.threshold, UINT32_MAX / 4);
	/* Nor is it a sign of reordering. */
	assert_int_equal(h->c->trouble->reorder_steps, 0);
}

/* ---- how much at a time ---- */

static void
rfc9937_6_the_window_falls_in_proportion_to_what_arrives(void **state)
{
	uint32_t sent = 0;

	start(0);
	h->c->stack->congestion = &tcp_congestion_new_reno;
	h->c->congestion.window = 20000;
	assert_int_equal(fly(60000), 20);
	/* The first of twenty is lost; the others come in one by one. */
	for (uint32_t i = 2; i <= 20; i++) {
		sack(1, 1001, i * 1000 + 1);
		sent += harness_discard(h);
		/* Not all of them at the end, when what is out has come down to the half. */
		if (i == 12)
			assert_in_range(sent, 6, 8);
	}
	/* Two new ones before the loss was known; then half of what arrives. */
	assert_in_range(sent, 11, 13);
	inject(h, ". 1:1 ack 20001");
	harness_discard(h);
	assert_in_range(h->c->congestion.window, 10000, 11000);
}

static void
rfc9937_6_heavy_loss_is_answered_with_no_more_than_arrives(void **state)
{
	start(0);
	h->c->congestion.window = 20000;
	assert_int_equal(fly(60000), 20);
	/* Only the last three come. */
	sack(1, 17001, 20001);
	assert_in_range(harness_discard(h), 1, 3);
	sack(1001, 17001, 20001);
	assert_in_range(harness_discard(h), 1, 2);
}

/* ---- the timeout ---- */

static void
rfc6675_5_1_a_timeout_sends_again_what_is_not_sacked(void **state)
{
	start(6000);
	sack(1, 3001, 4001);
	advance(h, 30);
	/* Both are called lost by now and left; neither comes. */
	assert_in_range(harness_discard(h), 1, 3);
	advance(h, 400);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
	sack(1001, 3001, 4001);
	/* First it wants to see whether the timeout was in vain, but there is nothing new to send. */
	expect(h, ". 1001:2001 ack 1");
	expect(h, ". 2001:3001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 4001");
	expect(h, ". 4001:5001 ack 1");
	expect(h, ". 5001:6001 ack 1");
	inject(h, ". 1:1 ack 6001");
	expect_nothing(h);
	assert_null(h->c->board);
}

static void
rfc9293_3_8_6_1_a_window_that_closes_over_a_hole_is_probed(void **state)
{
	start(5000);
	inject(h, ". 1:1 ack 1 win 0 <sack 1001:5001>");
	advance(h, 320);
	expect_nothing(h);
	advance(h, 3000);
	assert_true(harness_discard(h) >= 1);
	inject(h, ". 1:1 ack 1 win 10000");
	expect(h, ". 1:1001 ack 1");
	harness_discard(h);
	inject(h, ". 1:1 ack 5001 win 10000");
	expect_nothing(h);
}

static void
a_window_that_closed_after_all_was_acknowledged_is_probed_in_time(void **state)
{
	start(0);
	/* Two segments, so that the timer was for the tail. */
	harness_write(h, 2000);
	harness_discard(h);
	inject(h, ". 1:1 ack 2001 win 0");
	h->c->rto_us = 300000;
	harness_write(h, 1000);
	expect_nothing(h);
	advance(h, 310);
	expect(h, ". 2001:2002 ack 1");
}

/* ---- bounds ---- */

static void
no_connection_has_more_than_its_share_of_ranges(void **state)
{
	start(60000);
	for (uint32_t i = 0; i < 1000; i++)
		sack(1, 3 + i * 50, 4 + i * 50);
	assert_true(h->c->board->count <= TCP_SENT_MAX);
	assert_true(harness_count(h, "scoreboard_full") > 0);
	harness_discard(h);
	inject(h, ". 1:1 ack 60001");
	assert_null(h->c->board);
	assert_int_equal(slab_in_use(h->stack->sent), 0);
}

static void
without_a_scoreboard_everything_is_sent_again(void **state)
{
	void *taken[128];
	uint32_t count = 0;

	start(5000);
	/* The last of them is none. */
	assert_true(slab_capacity(h->stack->scoreboards) < RTE_DIM(taken));
	while ((taken[count] = slab_get(h->stack->scoreboards)))
		count++;
	sack(1, 1001, 5001);
	expect_nothing(h);
	assert_null(h->c->board);
	advance(h, 650);
	assert_true(harness_discard(h) >= 1);
	inject(h, ". 1:1 ack 1001");
	expect(h, ". 1001:2001 ack 1");
	expect(h, ". 2001:3001 ack 1");
	inject(h, ". 1:1 ack 5001");
	expect_nothing(h);
	assert_true(harness_count(h, "no_scoreboard") > 0);
	while (count > 0)
		slab_put(h->stack->scoreboards, taken[--count]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc6675_4_three_segments_beyond_a_hole_make_it_lost),
		TEST(rfc6675_5_only_what_is_missing_is_sent_again),
		TEST(rfc3042_a_sacked_segment_lets_a_new_one_out),
		TEST(rfc2018_4_blocks_that_make_no_sense_are_not_noted),
		TEST(rfc2018_8_a_peer_that_drops_what_it_had_gets_it_again),
		TEST(rfc6675_5_a_lost_fin_is_sent_again),
		TEST(rfc8985_6_2_a_lost_retransmission_is_found_by_what_was_sent_later),
		TEST(rfc8985_6_2_a_lost_retransmission_is_found_by_a_later_one),
		TEST(rfc8985_6_2_without_three_segments_the_window_for_reordering_passes_first),
		TEST(rfc8985_6_2_once_reordering_was_seen_three_segments_are_not_enough),
		TEST(rfc8985_6_2_a_duplicate_reported_widens_the_window),
		TEST(rfc8985_7_3_a_probe_repeats_the_last_segment),
		TEST(rfc8985_7_3_a_probe_with_new_data_where_there_is_some),
		TEST(rfc8985_7_3_one_probe_then_the_timeout),
		TEST(rfc8985_7_2_a_lone_segment_whose_ack_may_be_delayed_is_not_probed),
		TEST(rfc8985_7_4_a_loss_that_the_probe_repaired_reduces_the_window),
		TEST(rfc8985_7_4_a_probe_in_vain_does_not),
		TEST(rfc9937_6_the_window_falls_in_proportion_to_what_arrives),
		TEST(rfc9937_6_heavy_loss_is_answered_with_no_more_than_arrives),
		TEST(rfc6675_5_1_a_timeout_sends_again_what_is_not_sacked),
		TEST(rfc9293_3_8_6_1_a_window_that_closes_over_a_hole_is_probed),
		TEST(a_window_that_closed_after_all_was_acknowledged_is_probed_in_time),
		TEST(no_connection_has_more_than_its_share_of_ranges),
		TEST(without_a_scoreboard_everything_is_sent_again),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
