/*
 * Established: data both ways, in order; sequence numbers, timestamps, keepalive.
 */
#include "script.h"

static void
data_is_read_in_order_and_acknowledged(void **state)
{
	script_open("mss 1000");
	inject(h, "P. 1:101 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE);
	assert_int_equal(tcp_readable(h->c), 100);
	harness_read(h, 60);
	assert_int_equal(tcp_readable(h->c), 40);
	harness_read(h, 40);
	assert_false(tcp_at_end(h->c));
	expect_nothing(h);
	advance(h, 42);
	/* The window moves by no less than a segment. */
	expect(h, ". 1:1 ack 101 win 65435");
}

static void
writes_are_gathered_into_full_segments(void **state)
{
	script_open("mss 1000");
	for (int i = 0; i < 25; i++)
		harness_write(h, 100);
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 1001:2001 ack 1");
	expect(h, "P. 2001:2501 ack 1");
	expect_nothing(h);
	assert_int_equal(tcp_unsent(h->c), 2500);
	tcp_want_sent(h->c);
	inject(h, ". 1:1 ack 1001");
	assert_int_equal(tcp_unsent(h->c), 1500);
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:1 ack 2501");
	assert_int_equal(harness_events(h), TCP_SENT);
	assert_int_equal(tcp_unsent(h->c), 0);
	tcp_want_sent(h->c);
	assert_int_equal(harness_events(h), TCP_SENT);
}

static void
rfc6928_2_the_initial_window_is_ten_segments_and_grows_with_acks(void **state)
{
	script_open("mss 1000");
	assert_int_equal(harness_write(h, 40000), 40000);
	assert_int_equal(harness_discard(h), 10);
	inject(h, ". 1:1 ack 5001");
	assert_int_equal(harness_discard(h), 10);
	inject(h, ". 1:1 ack 20001");
	assert_int_equal(harness_discard(h), 20);
	inject(h, ". 1:1 ack 40001");
	expect_nothing(h);
}

static void
a_full_send_buffer_takes_no_more_and_tells_when_there_is_room(void **state)
{
	h->config.send_buffer = 8000;
	script_open("mss 1000");
	assert_int_equal(harness_write(h, 10000), 8000);
	assert_int_equal(tcp_writable(h->c), 0);
	assert_int_equal(harness_write(h, 1), 0);
	assert_int_equal(harness_discard(h), 8);
	inject(h, ". 1:1 ack 1001");
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:1 ack 4001");
	assert_int_equal(harness_events(h), TCP_WRITABLE);
	assert_int_equal(tcp_writable(h->c), 4000);
	inject(h, ". 1:1 ack 8001");
	assert_int_equal(harness_events(h), 0);
}

static void
rfc9293_3_4_sequence_numbers_wrap_in_both_directions(void **state)
{
	uint64_t secret;

	h->remote_isn = 0xfffffff0;
	harness_start(h);
	secret = tcp_pair_secret(h->stack, &h->local, &h->remote);
	/* At a time at which our own begin just before the end, too: 4 microseconds a step. */
	h->now_ns += 4000ull * (uint32_t)(0xffffff00u - tcp_initial_sequence(h->stack, secret));
	tcp_stack_time(h->stack, h->now_ns);
	tcp_timers(h->stack);
	harness_accept(h, "mss 1000", 65535);
	assert_int_equal(h->local_isn, 0xffffff00u);
	inject(h, ". 501:1001 ack 1");
	expect(h, ". 1:1 ack 1");
	inject(h, ". 1:501 ack 1");
	expect(h, ". 1:1 ack 1001");
	harness_events(h);
	harness_read(h, 1000);
	harness_write(h, 3000);
	expect(h, ". 1:1001 ack 1001");
	expect(h, ". 1001:2001 ack 1001");
	expect(h, ". 2001:3001 ack 1001");
	inject(h, ". 1001:1001 ack 1");
	inject(h, ". 1001:1001 ack 1");
	inject(h, ". 1001:1001 ack 1");
	expect(h, ". 1:1001 ack 1001");
	inject(h, ". 1001:1001 ack 3001");
	assert_int_equal(tcp_unsent(h->c), 0);
}

static void
peeking_does_not_consume(void **state)
{
	uint8_t out[300];

	script_open("mss 1000");
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	inject(h, ". 2001:3001 ack 1");
	harness_discard(h);
	assert_int_equal(tcp_peek_copy(h->c, 1900, out, sizeof(out)), 300);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(out[i], harness_pattern(1900 + i));
	assert_int_equal(tcp_peek_copy(h->c, 2900, out, sizeof(out)), 100);
	assert_int_equal(tcp_peek_copy(h->c, 3000, out, sizeof(out)), 0);
	assert_int_equal(tcp_readable(h->c), 3000);
	harness_events(h);
	harness_read(h, 3000);
	assert_int_equal(tcp_peek(h->c).len, 0);
}

static void
rfc9293_3_8_4_a_silent_peer_is_probed_and_given_up(void **state)
{
	h->config.keepalive_idle_s = 60;
	script_open("mss 1000");
	advance(h, 59000);
	expect_nothing(h);
	advance(h, 1100);
	expect(h, ". 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	advance(h, 59000);
	expect_nothing(h);
	advance(h, 9 * 60000);
	for (int i = 0; i < 9; i++)
		expect(h, ". 0:0 ack 1");
	expect_nothing(h);
	advance(h, 60100);
	expect(h, "R. 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_TIMED_OUT);
}

static void
rfc9293_3_8_4_a_peers_keepalive_probe_is_answered(void **state)
{
	script_open("mss 1000");
	inject(h, ". 0:0 ack 1");
	expect(h, ". 1:1 ack 1");
	advance(h, 1000);
	inject(h, ". 0:1 ack 1");
	expect(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), 0);
}

static void
rfc5681_4_1_window_growth_after_idling_starts_from_the_initial_window(void **state)
{
	script_open("mss 1000");
	for (int i = 0; i < 3; i++) {
		char text[64];

		harness_write(h, 10000u << i);
		assert_int_equal(harness_discard(h), 10 << i);
		snprintf(text, sizeof(text), ". 1:1 ack %u", 1 + h->written);
		inject(h, text);
	}
	assert_true(h->c->congestion.window >= 50000);
	advance(h, 5000);
	harness_write(h, 30000);
	assert_int_equal(harness_discard(h), 10);
}

static void
rfc7323_4_3_timestamps_are_echoed_from_the_segment_that_fills_the_edge(void **state)
{
	script_open("mss 1000,ts 100:0");
	inject(h, ". 1:101 ack 1 <ts 200:0>");
	inject(h, ". 101:201 ack 1 <ts 205:0>");
	advance(h, 45);
	/* RFC 7323 section 4.3: of two segments under one ACK, the earlier. */
	expect(h, ". 1:1 ack 201 <ts 2:200>");
	inject(h, ". 301:401 ack 1 <ts 300:0>");
	expect(h, ". 1:1 ack 201 <ts 45:200>");
	inject(h, ". 201:301 ack 1 <ts 310:0>");
	expect(h, ". 1:1 ack 401 <ts 45:310>");
	harness_events(h);
	harness_read(h, 400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_is_read_in_order_and_acknowledged),
		TEST(writes_are_gathered_into_full_segments),
		TEST(rfc6928_2_the_initial_window_is_ten_segments_and_grows_with_acks),
		TEST(a_full_send_buffer_takes_no_more_and_tells_when_there_is_room),
		TEST(rfc9293_3_4_sequence_numbers_wrap_in_both_directions),
		TEST(peeking_does_not_consume),
		TEST(rfc9293_3_8_4_a_silent_peer_is_probed_and_given_up),
		TEST(rfc9293_3_8_4_a_peers_keepalive_probe_is_answered),
		TEST(rfc5681_4_1_window_growth_after_idling_starts_from_the_initial_window),
		TEST(rfc7323_4_3_timestamps_are_echoed_from_the_segment_that_fills_the_edge),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
