/*
 * Established: data both ways, reordering, windows, acknowledgements, keepalive.
 */
#include "script.h"
#include "tcp/reassembly.h"

static void
accept_plain(void)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 65535);
	/* Past the short delays of a young connection. */
	h->c->quick_acks = 0;
}

static void
accept_sack(void)
{
	harness_start(h);
	harness_accept(h, "mss 1000,sackOK", 65535);
	h->c->quick_acks = 0;
}

static void
data_is_read_in_order_and_acknowledged(void **state)
{
	accept_plain();
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
rfc9293_3_8_6_3_an_ack_waits_two_milliseconds_at_most(void **state)
{
	accept_plain();
	inject(h, "P. 1:101 ack 1");
	advance(h, 1);
	inject(h, "P. 101:201 ack 1");
	expect_nothing(h);
	advance(h, 2);
	expect(h, ". 1:1 ack 201");
	assert_int_equal(harness_count(h, "delayed_acks"), 1);
	harness_events(h);
}

/* A request after another, the last of which ended at `end`, whose answer takes so long. */
static void
ask(uint32_t end)
{
	char text[40];

	snprintf(text, sizeof(text), "P. %u:%u ack %u", end, end + 100, end);
	inject(h, text);
}

static void
answer(uint32_t end, uint64_t ms)
{
	char text[40];

	advance(h, ms);
	harness_events(h);
	expect_nothing(h);
	assert_int_equal(harness_write(h, 100), 100);
	snprintf(text, sizeof(text), "P. %u:%u ack %u", end, end + 100, end + 100);
	expect(h, text);
}

static void
rfc9293_3_8_6_3_where_acks_were_in_vain_they_wait_for_the_answer(void **state)
{
	accept_plain();
	ask(1);
	advance(h, 3);
	expect(h, ". 1:1 ack 101");
	answer(1, 20);
	ask(101);
	advance(h, 9);
	expect(h, ". 101:101 ack 201");
	answer(101, 20);
	ask(201);
	answer(201, 30);
	/* And no longer than that. */
	ask(301);
	advance(h, 34);
	expect(h, ". 301:301 ack 401");
	answer(301, 1);
	ask(401);
	advance(h, 34);
	expect(h, ". 401:401 ack 501");
	/* The peer had more, and may have waited with it. */
	inject(h, "P. 501:601 ack 401");
	advance(h, 3);
	expect(h, ". 401:401 ack 601");
	harness_events(h);
}

static void
rfc8985_7_2_of_several_small_segments_none_waits_longer(void **state)
{
	accept_plain();
	h->c->ack_patience = TCP_ACK_PATIENCE_MAX;
	inject(h, "P. 1:101 ack 1");
	advance(h, 10);
	expect_nothing(h);
	inject(h, "P. 101:201 ack 1");
	advance(h, 3);
	expect(h, ". 1:1 ack 201");
	harness_events(h);
}

static void
a_window_that_nobody_waits_for_is_told_with_the_next_ack(void **state)
{
	h->config.receive_buffer = 1 << 18;
	harness_start(h);
	harness_accept(h, "mss 1460,wscale 7", 65535);
	h->c->quick_acks = 0;
	inject(h, "P. 1:101 ack 1");
	harness_events(h);
	harness_read(h, 100);
	expect_nothing(h);
	advance(h, 3);
	expect(h, ". 1:1 ack 101 win 30016"); /* in units of 8 bytes */
}

/* The pattern is made over the sender's sequence space: the same place counted from elsewhere has other bytes. */
static void
inject_differing(const char *text, uint32_t shift)
{
	h->remote_isn -= shift;
	inject(h, text);
	h->remote_isn += shift;
}

static void
rfc9293_3_10_7_4_of_data_that_differs_what_came_first_counts(void **state)
{
	accept_plain();
	inject(h, ". 101:201 ack 1");
	inject_differing(". 108:208 ack 1", 7);
	inject_differing(". 158:208 ack 1", 7);
	inject(h, ". 1:101 ack 1");
	inject_differing(". 8:208 ack 1", 7);
	harness_discard(h);
	assert_int_equal(tcp_readable(h->c), 200);
	harness_read(h, 200);
	harness_events(h);
}

/* A sender in recovery has a small window, and grows it by what comes back. */
static void
rfc5681_4_2_after_a_gap_acks_are_not_delayed_for_a_while(void **state)
{
	char text[40];

	accept_plain();
	inject(h, "P. 101:201 ack 1");
	expect(h, ". 1:1 ack 1");
	inject(h, "P. 1:101 ack 1");
	expect(h, ". 1:1 ack 201");
	for (int i = 2; i < 17; i++) {
		snprintf(text, sizeof(text), "P. %d01:%d01 ack 1", i, i + 1);
		inject(h, text);
		snprintf(text, sizeof(text), ". 1:1 ack %d01", i + 1);
		expect(h, text);
	}
	inject(h, "P. 1701:1801 ack 1");
	expect_nothing(h);
	advance(h, 3);
	expect(h, ". 1:1 ack 1801");
	harness_events(h);
}

static void
a_young_connection_acknowledges_sooner(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 65535);
	inject(h, "P. 1:101 ack 1");
	expect_nothing(h);
	advance(h, 3);
	expect(h, ". 1:1 ack 101");
	harness_events(h);
}

static void
rfc9293_3_8_6_3_every_second_full_segment_is_acknowledged_with_the_flush(void **state)
{
	accept_plain();
	inject(h, ". 1:1001 ack 1");
	expect_nothing(h);
	inject(h, ". 1001:2001 ack 1");
	expect(h, ". 1:1 ack 2001");
	/* A burst in one round shares one ACK. */
	inject(h, ". 2001:3001 ack 1");
	inject(h, ". 3001:4001 ack 1");
	inject(h, ". 4001:5001 ack 1");
	expect(h, ". 1:1 ack 5001");
	expect_nothing(h);
	assert_int_equal(harness_events(h), TCP_READABLE);
	harness_read(h, 5000);
}

static void
an_ack_rides_on_data_of_the_same_round(void **state)
{
	accept_plain();
	inject(h, "P. 1:1001 ack 1");
	inject(h, "P. 1001:2001 ack 1");
	harness_events(h);
	harness_read(h, 2000);
	harness_write(h, 10);
	harness_write(h, 20);
	expect(h, "P. 1:31 ack 2001");
	expect_nothing(h);
	advance(h, 100);
	expect_nothing(h);
}

static void
writes_are_gathered_into_full_segments(void **state)
{
	accept_plain();
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
	accept_plain();
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
	accept_plain();
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
rfc2018_4_reordered_segments_are_put_in_order_with_duplicate_acks_and_sack(void **state)
{
	accept_sack();
	inject(h, ". 1001:2001 ack 1");
	expect(h, ". 1:1 ack 1 <sack 1001:2001>");
	inject(h, ". 3001:4001 ack 1");
	expect(h, ". 1:1 ack 1 <sack 3001:4001,sack 1001:2001>");
	inject(h, ". 5001:6001 ack 1");
	expect(h, ". 1:1 ack 1 <sack 5001:6001,sack 1001:2001,sack 3001:4001>");
	inject(h, ". 2001:3001 ack 1");
	expect(h, ". 1:1 ack 1 <sack 1001:4001,sack 5001:6001>");
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:1001 ack 1");
	expect(h, ". 1:1 ack 4001 <sack 5001:6001>");
	assert_int_equal(harness_events(h), TCP_READABLE);
	inject(h, ". 4001:5001 ack 1");
	expect(h, ". 1:1 ack 6001 <>");
	harness_read(h, 6000);
}

static void
rfc2018_3_sack_blocks_ride_on_data_and_leave_room_for_timestamps(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000,sackOK,ts 100:0", 65535);
	for (int i = 0; i < 5; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1 <ts 100:1>", 101 + i * 200, 201 + i * 200);
		inject(h, text);
	}
	harness_discard(h);
	harness_write(h, 2000);
	expect(h, ". 1:961 ack 1 <ts 0:100,sack 901:1001,sack 101:201,sack 301:401>");
}

static void
rfc2018_2_no_sack_is_sent_to_a_peer_that_does_not_permit_it(void **state)
{
	accept_plain();
	inject(h, ". 1001:2001 ack 1");
	expect(h, ". 1:1 ack 1 <>");
}

static void
rfc9293_3_10_7_4_overlapping_data_is_trimmed(void **state)
{
	accept_plain();
	inject(h, ". 101:201 ack 1");
	inject(h, ". 151:251 ack 1");
	inject(h, ". 51:121 ack 1");
	inject(h, ". 301:401 ack 1");
	inject(h, ". 281:451 ack 1");
	inject(h, ". 1:61 ack 1");
	harness_discard(h);
	assert_int_equal(tcp_readable(h->c), 250);
	inject(h, ". 200:320 ack 1");
	assert_int_equal(tcp_readable(h->c), 450);
	expect(h, ". 1:1 ack 451");
	harness_events(h);
	harness_read(h, 450);
	/* All old: acknowledged, and nothing else. */
	inject(h, ". 301:401 ack 1");
	expect(h, ". 1:1 ack 451");
	assert_int_equal(harness_events(h), 0);
}

static void
too_many_gaps_are_not_kept(void **state)
{
	accept_plain();
	for (int i = 0; i < TCP_RANGES_MAX + 16; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1", 11 + i * 20, 21 + i * 20);
		inject(h, text);
	}
	harness_discard(h);
	assert_int_equal(harness_count(h, "drop_ranges_full"), 16);
	assert_int_equal(h->c->range_count, TCP_RANGES_MAX);
	inject(h, ". 1:1000 ack 1");
	assert_int_equal(tcp_readable(h->c), 1000);
	harness_discard(h);
	harness_events(h);
	harness_read(h, 1000);
}

static void
tiny_segments_share_mbufs(void **state)
{
	uint32_t before;

	accept_plain();
	before = support_pool_available();
	for (int i = 0; i < 4000; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1", 1 + i * 3, 4 + i * 3);
		inject(h, text);
		harness_discard(h);
	}
	assert_int_equal(tcp_readable(h->c), 12000);
	assert_true(before - support_pool_available() <= 12000 / 512 + 1);
	/* In alternating order, too. */
	for (int i = 4000; i < 8000; i++) {
		char text[64];
		int at = i ^ 1;

		snprintf(text, sizeof(text), ". %d:%d ack 1", 1 + at * 3, 4 + at * 3);
		inject(h, text);
		harness_discard(h);
	}
	assert_int_equal(tcp_readable(h->c), 24000);
	assert_true(before - support_pool_available() <= 24000 / 512 + 1);
	harness_events(h);
	harness_read(h, 24000);
}

static void
rfc9293_3_8_6_2_2_a_full_receive_buffer_closes_the_window_and_reading_opens_it(void **state)
{
	h->config.receive_buffer = 4000;
	accept_plain();
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
	accept_plain();
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
rfc7323_2_3_a_scaled_window_is_understood(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000,wscale 4", 500);
	harness_write(h, 20000);
	assert_int_equal(harness_discard(h), 8);
	inject(h, ". 1:1 ack 8001 win 1000");
	assert_int_equal(harness_discard(h), 12);
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

	accept_plain();
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
	accept_plain();
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
	accept_plain();
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
	accept_plain();
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
	harness_start(h);
	harness_accept(h, "mss 1000,ts 100:0", 65535);
	h->c->quick_acks = 0;
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
		TEST(rfc9293_3_8_6_3_an_ack_waits_two_milliseconds_at_most),
		TEST(rfc9293_3_8_6_3_where_acks_were_in_vain_they_wait_for_the_answer),
		TEST(rfc8985_7_2_of_several_small_segments_none_waits_longer),
		TEST(a_window_that_nobody_waits_for_is_told_with_the_next_ack),
		TEST(rfc9293_3_10_7_4_of_data_that_differs_what_came_first_counts),
		TEST(rfc5681_4_2_after_a_gap_acks_are_not_delayed_for_a_while),
		TEST(a_young_connection_acknowledges_sooner),
		TEST(rfc9293_3_8_6_3_every_second_full_segment_is_acknowledged_with_the_flush),
		TEST(an_ack_rides_on_data_of_the_same_round),
		TEST(writes_are_gathered_into_full_segments),
		TEST(rfc6928_2_the_initial_window_is_ten_segments_and_grows_with_acks),
		TEST(a_full_send_buffer_takes_no_more_and_tells_when_there_is_room),
		TEST(rfc2018_4_reordered_segments_are_put_in_order_with_duplicate_acks_and_sack),
		TEST(rfc2018_3_sack_blocks_ride_on_data_and_leave_room_for_timestamps),
		TEST(rfc2018_2_no_sack_is_sent_to_a_peer_that_does_not_permit_it),
		TEST(rfc9293_3_10_7_4_overlapping_data_is_trimmed),
		TEST(too_many_gaps_are_not_kept),
		TEST(tiny_segments_share_mbufs),
		TEST(rfc9293_3_8_6_2_2_a_full_receive_buffer_closes_the_window_and_reading_opens_it),
		TEST(rfc9293_3_10_7_4_data_past_the_window_is_cut_off),
		TEST(rfc7323_2_4_the_window_never_moves_back_under_scaling),
		TEST(rfc9293_3_8_6_1_a_closed_window_is_probed_until_it_opens),
		TEST(rfc9293_3_8_6_1_a_probe_that_is_taken_counts_as_sent),
		TEST(rfc9293_3_8_6_1_unanswered_probes_end_the_connection),
		TEST(rfc9293_3_8_6_2_1_a_small_window_is_not_filled_with_small_segments),
		TEST(rfc7323_2_3_a_scaled_window_is_understood),
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
