/*
 * Retransmission: timeout and backoff, fast retransmit, NewReno, round-trip times.
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
start(uint32_t bytes)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 65535);
	harness_write(h, bytes);
	harness_discard(h);
}

static void
rfc6298_5_5_unacknowledged_data_is_sent_again_with_backoff_until_given_up(void **state)
{
	uint32_t sent = 0, last_ms = 0, gap_ms = 0;
	uint32_t now_ms = 0;

	start(100);
	for (; !(harness_events(h) & TCP_CLOSED); now_ms += 50) {
		assert_true(now_ms < 1200000);
		advance(h, 50);
		if (h->sent_count == 0)
			continue;
		expect(h, "P. 1:101 ack 1");
		/* At least twice the last, until the longest. */
		assert_true(now_ms - last_ms + 100 >= 2 * gap_ms || now_ms - last_ms >= 59000);
		gap_ms = now_ms - last_ms;
		last_ms = now_ms;
		sent++;
	}
	assert_int_equal(sent, 15);
	assert_int_equal(tcp_close_reason(h->c), TCP_TIMED_OUT);
	assert_true(now_ms > 300000);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 15);
}

static void
rfc5681_3_1_a_timeout_goes_back_to_one_segment_and_slow_start(void **state)
{
	start(8000);
	advance(h, 250);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 1001");
	expect(h, ". 1001:2001 ack 1");
	expect(h, ". 2001:3001 ack 1");
	expect_nothing(h);
	/* What had arrived before is acknowledged with it, and not sent again. */
	inject(h, ". 1:1 ack 8001");
	expect_nothing(h);
	advance(h, 5000);
	expect_nothing(h);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 1);
}

static void
rfc5681_3_2_three_duplicates_make_a_fast_retransmit(void **state)
{
	start(10000);
	inject(h, ". 1:1 ack 1");
	inject(h, ". 1:1 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 1");
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
	/* Half of what was in flight. */
	inject(h, ". 1:1 ack 10001");
	assert_int_equal(h->c->congestion.threshold, 5000);
	assert_true(h->c->congestion.window <= 5000);
	assert_false(h->c->flags & TCP_RECOVERY);
}

static void
rfc5681_2_what_is_no_duplicate_does_not_count(void **state)
{
	start(5000);
	for (int i = 0; i < 5; i++) {
		char text[64];

		/* The window changes; data is carried. */
		snprintf(text, sizeof(text), ". 1:1 ack 1 win %d", 60000 - i);
		inject(h, text);
		snprintf(text, sizeof(text), ". %d:%d ack 1 win %d", 1 + i * 10, 11 + i * 10, 60000 - i);
		inject(h, text);
	}
	assert_int_equal(h->c->duplicates, 0);
	assert_int_equal(harness_count(h, "fast_retransmits"), 0);
	harness_discard(h);
	harness_events(h);
}

static void
rfc3042_2_the_first_two_duplicates_let_new_data_out(void **state)
{
	start(20000);
	assert_int_equal(h->c->snd_nxt - h->c->snd_una, 10000);
	inject(h, ". 1:1 ack 1");
	expect(h, ". 10001:11001 ack 1");
	inject(h, ". 1:1 ack 1");
	expect(h, ". 11001:12001 ack 1");
	inject(h, ". 1:1 ack 1");
	expect(h, ". 1:1001 ack 1");
}

static void
rfc6582_3_2_a_partial_ack_fills_the_next_hole_at_once(void **state)
{
	start(10000);
	for (int i = 0; i < 3; i++)
		inject(h, ". 1:1 ack 1");
	expect(h, ". 1:1001 ack 1");
	inject(h, ". 1:1 ack 3001");
	expect(h, ". 3001:4001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 6001");
	expect(h, ". 6001:7001 ack 1");
	/* Duplicates in recovery do not begin another. */
	for (int i = 0; i < 5; i++)
		inject(h, ". 1:1 ack 6001");
	expect_nothing(h);
	inject(h, ". 1:1 ack 10001");
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
	assert_int_equal(harness_count(h, "retransmitted_segments"), 3);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
}

static void
rfc5681_3_2_duplicates_inflate_the_window_during_recovery(void **state)
{
	start(30000);
	for (int i = 0; i < 3; i++)
		inject(h, ". 1:1 ack 1");
	expect(h, ". 1:1001 ack 1");
	harness_discard(h);
	for (int i = 0; i < 9; i++)
		inject(h, ". 1:1 ack 1");
	assert_true(harness_discard(h) >= 3);
	assert_true(sequence_after(h->c->snd_max, h->local_isn + 12001));
}

/* Ten were out, five may be: the window ends twice ten past that. */
static void
rfc5681_3_2_a_flood_of_duplicates_does_not_inflate_it_further(void **state)
{
	start(60000);
	for (int i = 0; i < 1000; i++)
		inject(h, ". 1:1 ack 1");
	harness_discard(h);
	assert_int_equal(h->c->snd_max - h->c->snd_una, 25000);
}

/* Savage's ACK division: what counts is bytes. */
static void
rfc3465_2_1_an_ack_for_every_few_bytes_opens_the_window_no_further(void **state)
{
	uint32_t window;

	start(10000);
	window = h->c->congestion.window;
	for (uint32_t i = 1; i <= 100; i++) {
		char text[40];

		snprintf(text, sizeof(text), ". 1:1 ack %u", 1 + i * 100);
		inject(h, text);
	}
	assert_int_equal(h->c->congestion.window, window + 10000);
}

static void
rfc6582_3_2_old_duplicates_after_a_timeout_do_not_begin_a_recovery(void **state)
{
	start(10000);
	advance(h, 250);
	expect(h, ". 1:1001 ack 1");
	for (int i = 0; i < 4; i++)
		inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_count(h, "fast_retransmits"), 0);
	harness_discard(h);
}

static void
rfc6298_3_round_trips_are_not_measured_on_what_was_sent_twice(void **state)
{
	start(100);
	advance(h, 100);
	inject(h, ". 1:1 ack 101");
	assert_in_range(tcp_srtt_us(h->c), 12000, 13000); /* the handshake took none: 7/8 of 0 and 1/8 of 100 ms */
	harness_write(h, 100);
	expect(h, "P. 101:201 ack 1");
	advance(h, 400);
	expect(h, "P. 101:201 ack 1");
	advance(h, 3000);
	harness_discard(h);
	inject(h, ". 1:1 ack 201");
	assert_in_range(tcp_srtt_us(h->c), 12000, 13000);
}

static void
rfc7323_4_timestamps_measure_even_what_was_sent_twice(void **state)
{
	uint32_t before;

	harness_start(h);
	harness_accept(h, "mss 1000,ts 100:0", 65535);
	harness_write(h, 100);
	expect(h, "P. 1:101 ack 1 <ts 0:100>");
	advance(h, 250);
	expect(h, "P. 1:101 ack 1");
	before = tcp_srtt_us(h->c);
	advance(h, 80);
	inject(h, ". 1:1 ack 101 <ts 180:210>");
	assert_true(tcp_srtt_us(h->c) > before + 10000);
}

static void
fin_is_sent_again_too(void **state)
{
	start(100);
	tcp_shutdown(h->c);
	expect(h, "F. 101:101 ack 1");
	advance(h, 250);
	expect(h, "FP. 1:101 ack 1");
	inject(h, ". 1:1 ack 101");
	expect_nothing(h);
	advance(h, 250);
	expect(h, "F. 101:101 ack 1");
	inject(h, ". 1:1 ack 102");
	advance(h, 5000);
	expect_nothing(h);
}

static void
a_lost_last_segment_is_sent_again_with_its_fin(void **state)
{
	start(5000);
	tcp_shutdown(h->c);
	expect(h, "F. 5001:5001 ack 1");
	for (int i = 0; i < 3; i++)
		inject(h, ". 1:1 ack 4001");
	inject(h, ". 1:1 ack 4001");
	expect(h, "F. 4001:5001 ack 1");
	inject(h, ". 1:1 ack 5002");
	expect_nothing(h);
}

static void
rfc9293_3_8_6_1_a_window_that_closes_over_lost_data_is_probed(void **state)
{
	start(5000);
	inject(h, ". 1:1 ack 1001 win 0");
	advance(h, 250);
	/* The timeout finds no window to send into. */
	expect_nothing(h);
	advance(h, 1000);
	assert_true(harness_discard(h) >= 1);
	inject(h, ". 1:1 ack 1001 win 10000");
	expect(h, ". 1001:2001 ack 1");
}

static void
rfc5681_3_1_reno_grows_by_a_segment_per_window_past_the_threshold(void **state)
{
	uint32_t acked = 1;

	start(40000);
	h->c->congestion.threshold = 10000;
	h->c->congestion.window = 10000;
	for (int i = 0; i < 10; i++) {
		char text[64];

		acked += 1000;
		snprintf(text, sizeof(text), ". 1:1 ack %u", acked);
		inject(h, text);
	}
	assert_int_equal(h->c->congestion.window, 11000);
	harness_discard(h);
}

static void
recovery_still_works_after_two_gigabytes_without_loss(void **state)
{
	start(0);
	/* As if so much had been sent. */
	for (int i = 0; i < 2; i++) {
		h->c->snd_una += 0x60000000;
		h->c->snd_nxt = h->c->snd_max = h->c->snd_una;
		h->written = 0;
		h->local_isn = h->c->snd_una - 1;
		harness_write(h, 1000);
		expect(h, "P. 1:1001 ack 1");
		inject(h, ". 1:1 ack 1001");
	}
	h->local_isn = h->c->snd_una - 1;
	h->written = 0;
	harness_write(h, 5000);
	harness_discard(h);
	for (int i = 0; i < 3; i++)
		inject(h, ". 1:1 ack 1");
	expect(h, ". 1:1001 ack 1");
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc6298_5_5_unacknowledged_data_is_sent_again_with_backoff_until_given_up),
		TEST(rfc5681_3_1_a_timeout_goes_back_to_one_segment_and_slow_start),
		TEST(rfc5681_3_2_three_duplicates_make_a_fast_retransmit),
		TEST(rfc5681_2_what_is_no_duplicate_does_not_count),
		TEST(rfc3042_2_the_first_two_duplicates_let_new_data_out),
		TEST(rfc6582_3_2_a_partial_ack_fills_the_next_hole_at_once),
		TEST(rfc5681_3_2_duplicates_inflate_the_window_during_recovery),
		TEST(rfc5681_3_2_a_flood_of_duplicates_does_not_inflate_it_further),
		TEST(rfc3465_2_1_an_ack_for_every_few_bytes_opens_the_window_no_further),
		TEST(rfc6582_3_2_old_duplicates_after_a_timeout_do_not_begin_a_recovery),
		TEST(rfc6298_3_round_trips_are_not_measured_on_what_was_sent_twice),
		TEST(rfc7323_4_timestamps_measure_even_what_was_sent_twice),
		TEST(fin_is_sent_again_too),
		TEST(a_lost_last_segment_is_sent_again_with_its_fin),
		TEST(rfc9293_3_8_6_1_a_window_that_closes_over_lost_data_is_probed),
		TEST(rfc5681_3_1_reno_grows_by_a_segment_per_window_past_the_threshold),
		TEST(recovery_still_works_after_two_gigabytes_without_loss),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
