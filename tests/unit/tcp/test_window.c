/*
 * Windows of both sides: full, closed, probed, small, scaled.
 */
#include "script.h"

static void
rfc9293_3_8_6_2_2_a_full_receive_buffer_closes_the_window_and_reading_opens_it(void **state)
{
	h->config.receive_buffer = 4000;
	script_open("mss 1000");
	for (int i = 0; i < 4; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1", 1 + i * 1000, 1001 + i * 1000);
		inject(h, text);
	}
	harness_events(h);
	expect(h, ". 1:1 ack 4001 win 0");
	/* A probe: its byte is not taken, its ACK is. */
	inject(h, ". 4001:4002 ack 1");
	expect(h, ". 1:1 ack 4001 win 0");
	assert_int_equal(tcp_readable(h->c), 4000);
	/* Silly window avoidance: not by a few bytes. */
	harness_read(h, 500);
	expect_nothing(h);
	harness_read(h, 499);
	expect_nothing(h);
	harness_read(h, 1);
	expect(h, ". 1:1 ack 4001 win 1000");
	harness_read(h, 3000);
	expect(h, ". 1:1 ack 4001 win 4000");
	inject(h, ". 4001:5001 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE);
	harness_read(h, 1000);
}

static void
rfc9293_3_10_7_4_data_past_the_window_is_cut_off(void **state)
{
	h->config.receive_buffer = 2048;
	script_open("mss 1000");
	inject(h, ". 1:1501 ack 1");
	inject(h, ". 1501:2501 ack 1");
	assert_int_equal(tcp_readable(h->c), 2048);
	expect(h, ". 1:1 ack 2049 win 0");
	inject(h, ". 3000:3100 ack 1");
	expect(h, ". 1:1 ack 2049 win 0");
	assert_int_equal(harness_count(h, "drop_past_window"), 1);
	assert_int_equal(harness_count(h, "drop_out_of_window"), 1);
	harness_events(h);
	harness_read(h, 2048);
}

static void
rfc7323_2_4_the_window_never_moves_back_under_scaling(void **state)
{
	uint32_t edge;

	h->config.receive_buffer = 1 << 20;
	harness_start(h);
	harness_accept(h, "mss 1000,wscale 7", 512);
	edge = h->c->rcv_edge;
	for (int i = 0; i < 200; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1", 1 + i * 7, 8 + i * 7);
		inject(h, text);
		advance(h, 50);
		harness_discard(h);
		assert_false(sequence_before(h->c->rcv_edge, edge));
		edge = h->c->rcv_edge;
	}
	assert_true(edge - h->c->rcv_nxt <= (1 << 20) + 32);
	harness_events(h);
}

static void
rfc9293_3_8_6_1_a_closed_window_is_probed_until_it_opens(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 0);
	harness_write(h, 3000);
	expect_nothing(h);
	advance(h, 300);
	expect(h, ". 1:2 ack 1");
	inject(h, ". 1:1 ack 1 win 0");
	advance(h, 300);
	expect_nothing(h);
	advance(h, 250);
	expect(h, ". 1:2 ack 1");
	/* For hours, as long as it is answered. */
	for (int i = 0; i < 100; i++) {
		inject(h, ". 1:1 ack 1 win 0");
		advance(h, 61000);
		assert_true(harness_discard(h) >= 1);
	}
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:1 ack 1 win 2000");
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 1001:2001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 2001 win 2000");
	expect(h, "P. 2001:3001 ack 1");
	inject(h, ". 1:1 ack 3001 win 2000");
	advance(h, 100000);
	expect_nothing(h);
}

static void
rfc9293_3_8_6_1_a_probe_that_is_taken_counts_as_sent(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 0);
	harness_write(h, 100);
	advance(h, 300);
	expect(h, ". 1:2 ack 1");
	inject(h, ". 1:1 ack 2 win 0");
	expect_nothing(h);
	advance(h, 300);
	expect(h, ". 2:3 ack 1");
	inject(h, ". 1:1 ack 3 win 1000");
	expect(h, "P. 3:101 ack 1");
}

static void
rfc9293_3_8_6_1_unanswered_probes_end_the_connection(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 0);
	harness_write(h, 100);
	advance(h, 1000000);
	assert_int_equal(harness_discard(h), 15);
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_TIMED_OUT);
}

static void
rfc9293_3_8_6_2_1_a_small_window_is_not_filled_with_small_segments(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 1500);
	harness_write(h, 4000);
	expect(h, ". 1:1001 ack 1");
	/* 500 more would fit, but are neither a full segment nor half the largest window. */
	expect_nothing(h);
	inject(h, ". 1:1 ack 1001 win 300");
	expect_nothing(h);
	/* In the end the timer overrides it (RFC 9293 section 3.8.6.2.1). */
	advance(h, 300);
	expect(h, ". 1001:1301 ack 1");
	inject(h, ". 1:1 ack 1301 win 4000");
	expect(h, ". 1301:2301 ack 1");
	expect(h, ". 2301:3301 ack 1");
	expect(h, "P. 3301:4001 ack 1");
}

static void
rfc9293_3_10_7_4_who_has_acknowledged_less_says_nothing_of_the_window(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1460", 4000);
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1");
	inject(h, ". 1:1 ack 1001 win 4000");
	inject(h, "P. 1:101 ack 1 win 100");
	assert_int_equal(h->c->snd_wnd, 4000);
	inject(h, "P. 101:201 ack 1001 win 100");
	assert_int_equal(h->c->snd_wnd, 100);
	harness_discard(h);
}

static void
rfc7323_2_3_a_scaled_window_is_understood(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000,wscale 4", 500);
	harness_write(h, 20000);
	assert_int_equal(harness_discard(h), 8);
	inject(h, ". 1:1 ack 8001 win 1000");
	assert_int_equal(harness_discard(h), 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9293_3_8_6_2_2_a_full_receive_buffer_closes_the_window_and_reading_opens_it),
		TEST(rfc9293_3_10_7_4_data_past_the_window_is_cut_off),
		TEST(rfc7323_2_4_the_window_never_moves_back_under_scaling),
		TEST(rfc9293_3_8_6_1_a_closed_window_is_probed_until_it_opens),
		TEST(rfc9293_3_8_6_1_a_probe_that_is_taken_counts_as_sent),
		TEST(rfc9293_3_8_6_1_unanswered_probes_end_the_connection),
		TEST(rfc9293_3_8_6_2_1_a_small_window_is_not_filled_with_small_segments),
		TEST(rfc9293_3_10_7_4_who_has_acknowledged_less_says_nothing_of_the_window),
		TEST(rfc7323_2_3_a_scaled_window_is_understood),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
