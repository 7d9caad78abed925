/*
 * Closing: every order of FIN, RST, TIME-WAIT, orphans, moving bytes between connections.
 */
#include "script.h"

static uint32_t
connections(void)
{
	struct tcp_usage usage;

	tcp_usage(h->stack, &usage);
	return usage.connections;
}

static uint32_t
time_waits(void)
{
	struct tcp_usage usage;

	tcp_usage(h->stack, &usage);
	return usage.time_wait;
}

static void
rfc9293_3_6_the_peer_closes_first(void **state)
{
	script_open("mss 1000");
	inject(h, "P. 1:101 ack 1");
	inject(h, "F. 101:101 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_END_OF_STREAM);
	expect(h, ". 1:1 ack 102");
	assert_false(tcp_at_end(h->c));
	harness_read(h, 100);
	assert_true(tcp_at_end(h->c));
	/* Half-closed: we may go on sending. */
	harness_write(h, 1500);
	expect(h, ". 1:1001 ack 102");
	expect(h, "P. 1001:1501 ack 102");
	inject(h, ". 102:102 ack 1501");
	tcp_close(h->c);
	expect(h, "F. 1501:1501 ack 102");
	assert_int_equal(connections(), 1);
	inject(h, ". 102:102 ack 1502");
	assert_int_equal(connections(), 0);
	assert_int_equal(time_waits(), 0);
	assert_false(tcp_knows(h->stack, &h->local, &h->remote));
}

static void
rfc9293_3_6_we_close_first_and_the_peer_goes_on_sending(void **state)
{
	script_open("mss 1000");
	harness_write(h, 100);
	tcp_shutdown(h->c);
	assert_int_equal(tcp_writable(h->c), 0);
	assert_int_equal(tcp_write(h->c, "x", 1), 0);
	expect(h, "FP. 1:101 ack 1");
	inject(h, ". 1:1 ack 102");
	inject(h, "P. 1:1001 ack 102");
	assert_int_equal(harness_events(h), TCP_READABLE);
	harness_read(h, 1000);
	inject(h, "F. 1001:1001 ack 102");
	assert_int_equal(harness_events(h), TCP_END_OF_STREAM | TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_FINISHED);
	assert_true(tcp_at_end(h->c));
	expect(h, ". 102:102 ack 1002");
	assert_int_equal(time_waits(), 1);
	tcp_close(h->c);
	expect_nothing(h);
	assert_int_equal(connections(), 0);
}

static void
rfc9293_3_6_both_close_at_once(void **state)
{
	script_open("mss 1000");
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, "F. 1:1 ack 1");
	expect(h, ". 2:2 ack 2");
	assert_int_equal(time_waits(), 0);
	inject(h, ". 2:2 ack 2");
	assert_int_equal(time_waits(), 1);
	assert_int_equal(connections(), 0);
	expect_nothing(h);
}

static void
rfc9293_3_6_fin_and_its_answer_may_come_in_one_segment(void **state)
{
	script_open("mss 1000");
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, "F. 1:1 ack 2");
	expect(h, ". 2:2 ack 2");
	assert_int_equal(time_waits(), 1);
	assert_int_equal(connections(), 0);
}

static void
rfc2525_2_17_unread_bytes_make_closing_a_reset(void **state)
{
	script_open("mss 1000");
	inject(h, "P. 1:101 ack 1");
	harness_events(h);
	harness_write(h, 10);
	tcp_close(h->c);
	expect(h, "R. 1:1 ack 101");
	assert_int_equal(connections(), 0);
}

static void
rfc2525_2_17_bytes_that_come_after_closing_are_answered_with_reset(void **state)
{
	script_open("mss 1000");
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, ". 1:1 ack 2");
	inject(h, "P. 1:101 ack 2");
	expect(h, "R. 2:2 ack 1");
	assert_int_equal(connections(), 0);
	assert_int_equal(harness_count(h, "drop_after_close"), 1);
}

static void
aborting_resets_at_once(void **state)
{
	script_open("mss 1000");
	harness_write(h, 10000);
	harness_discard(h);
	tcp_abort(h->c);
	expect(h, "R. 10001:10001 ack 1");
	assert_int_equal(connections(), 0);
}

static void
rfc9293_3_10_7_4_a_reset_tells_the_user_who_may_still_read(void **state)
{
	script_open("mss 1000");
	inject(h, "P. 1:101 ack 1");
	inject(h, "R 101:101");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_RESET);
	assert_string_equal(tcp_close_reason_text(tcp_close_reason(h->c)), "reset by peer");
	harness_read(h, 100);
	assert_int_equal(harness_write(h, 10), 0);
	tcp_shutdown(h->c);
	tcp_want_sent(h->c);
	expect_nothing(h);
	tcp_close(h->c);
	assert_int_equal(connections(), 0);
	assert_int_equal(harness_events(h), 0);
}

static void
fin_out_of_order_waits_for_the_gap(void **state)
{
	script_open("mss 1000");
	inject(h, "F. 101:201 ack 1");
	expect(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:101 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_END_OF_STREAM);
	expect(h, ". 1:1 ack 202");
	harness_read(h, 200);
	assert_true(tcp_at_end(h->c));
}

static void
a_bare_fin_out_of_order_waits_for_the_gap(void **state)
{
	script_open("mss 1000");
	inject(h, "F. 101:101 ack 1");
	expect(h, ". 1:1 ack 1");
	inject(h, ". 1:101 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_END_OF_STREAM);
	expect(h, ". 1:1 ack 102");
	harness_read(h, 100);
}

static void
rfc9293_3_10_7_4_data_behind_fin_is_not_data(void **state)
{
	script_open("mss 1000");
	inject(h, ". 51:151 ack 1");
	inject(h, "F. 41:51 ack 1");
	harness_discard(h);
	inject(h, ". 1:41 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_END_OF_STREAM);
	harness_discard(h);
	inject(h, ". 151:251 ack 1");
	harness_discard(h);
	assert_true(tcp_readable(h->c) <= 150);
	tcp_abort(h->c);
	harness_discard(h);
}

static void
fin_comes_through_a_closed_window(void **state)
{
	h->config.receive_buffer = 2048;
	script_open("mss 1000");
	inject(h, ". 1:1025 ack 1");
	inject(h, ". 1025:2049 ack 1");
	expect(h, ". 1:1 ack 2049 win 0");
	inject(h, "F. 2049:2049 ack 1");
	expect(h, ". 1:1 ack 2050");
	assert_int_equal(harness_events(h), TCP_READABLE | TCP_END_OF_STREAM);
	harness_write(h, 100);
	expect(h, "P. 1:101 ack 2050");
	inject(h, ". 2050:2050 ack 101");
	assert_int_equal(tcp_unsent(h->c), 0);
	harness_read(h, 2048);
}

static void
rfc9293_3_6_1_time_wait_answers_a_repeated_fin_and_ends_after_a_minute(void **state)
{
	script_open("mss 1000");
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, "F. 1:1 ack 2");
	expect(h, ". 2:2 ack 2");
	advance(h, 30000);
	inject(h, "F. 1:1 ack 2");
	expect(h, ". 2:2 ack 2");
	/* RST elsewhere and plain ACKs change nothing. */
	inject(h, "R 1:1");
	inject(h, "R 3:3");
	inject(h, ". 2:2 ack 2");
	expect_nothing(h);
	advance(h, 59000);
	assert_true(tcp_knows(h->stack, &h->local, &h->remote));
	advance(h, 1100);
	assert_false(tcp_knows(h->stack, &h->local, &h->remote));
	assert_int_equal(time_waits(), 0);
	assert_int_equal(tcp_next_timer_ns(h->stack), UINT64_MAX);
}

static void
enter_time_wait(const char *syn_options, const char *options)
{
	char text[128];

	harness_start(h);
	harness_accept(h, syn_options, 65535);
	tcp_close(h->c);
	h->c = NULL;
	expect(h, "F. 1:1 ack 1");
	snprintf(text, sizeof(text), "F. 1:1 ack 2 <%s>", options);
	inject(h, text);
	expect(h, ". 2:2 ack 2");
	assert_int_equal(time_waits(), 1);
}

static void
rfc1122_4_2_2_13_a_newer_syn_takes_time_wait_over_by_sequence_number(void **state)
{
	uint32_t old_isn;

	enter_time_wait("mss 1000", "");
	old_isn = h->local_isn;
	inject(h, "S 1:1");
	expect(h, ". 2:2 ack 2");
	h->remote_isn += 100000;
	h->have_local_isn = false;
	harness_accept(h, "mss 1000", 65535);
	assert_int_equal(time_waits(), 0);
	assert_true(sequence_after(h->local_isn, old_isn + 65535));
	assert_int_equal(harness_count(h, "time_wait_reused"), 1);
}

static void
rfc6191_2_a_newer_syn_takes_time_wait_over_by_timestamp(void **state)
{
	enter_time_wait("mss 1000,ts 100:0", "ts 110:1");
	h->remote_isn -= 100000;
	inject(h, "S 0:0 win 65535 <mss 1000,ts 90:0>");
	tcp_flush(h->stack);
	assert_int_equal(harness_discard(h), 1);
	assert_int_equal(time_waits(), 1);
	h->have_local_isn = false;
	inject(h, "S 0:0 win 65535 <mss 1000,ts 120:0>");
	expect(h, "S. 0:0 ack 1");
	assert_int_equal(time_waits(), 0);
}

/* A peer that has started again, and whose clock with it. */
static void
rfc5961_3_2_a_reset_at_the_next_sequence_number_ends_time_wait(void **state)
{
	enter_time_wait("mss 1000,ts 100:0", "ts 110:1");
	h->remote_isn -= 100000;
	inject(h, "S 0:0 win 65535 <mss 1000,ts 90:0>");
	expect(h, ". 2:2 ack 100002");
	inject(h, "R 100002:100002");
	expect_nothing(h);
	assert_int_equal(time_waits(), 0);
	assert_int_equal(harness_count(h, "time_wait_reset"), 1);
	h->have_local_isn = false;
	inject(h, "S 0:0 win 65535 <mss 1000,ts 91:0>");
	expect(h, "S. 0:0 ack 1");
}

static void
rfc5961_3_2_any_other_reset_leaves_time_wait_alone(void **state)
{
	enter_time_wait("mss 1000,ts 100:0", "ts 110:1");
	inject(h, "R 1:1");
	inject(h, "R 3:3");
	inject(h, "R 65000:65000 <ts 120:1>");
	/* Of before (RFC 7323 section 5.2). */
	inject(h, "R. 2:2 ack 2 <ts 109:1>");
	expect_nothing(h);
	assert_int_equal(time_waits(), 1);
	inject(h, "R. 2:2 ack 2 <ts 110:1>");
	expect_nothing(h);
	assert_int_equal(time_waits(), 0);
}

static void
rfc6191_2_a_pair_of_our_own_is_reused_after_a_second_if_timestamps_tell_old_from_new(void **state)
{
	int error;
	uint32_t old_isn;

	h->config.port_first = h->config.port_last = 5000;
	harness_start(h);
	harness_connect(h, "mss 1000,ts 100:0", 65535);
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, "F. 1:1 ack 2 <ts 101:1>");
	expect(h, ". 2:2 ack 2");
	/* The port stays ours, as the peer's FIN may come again. */
	assert_int_equal(h->port_uses, 1);
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	advance(h, 1100);
	old_isn = h->local_isn;
	h->have_local_isn = false;
	harness_dial(h);
	assert_int_equal(time_waits(), 0);
	assert_int_equal(h->port_uses, 1);
	expect(h, "S 0:0");
	assert_true(sequence_after(h->local_isn, old_isn + 65535));
	tcp_close(h->c);
	assert_int_equal(h->port_uses, 0);
}

static void
rfc9293_3_6_1_a_pair_without_timestamps_rests_the_whole_minute(void **state)
{
	int error;

	h->config.port_first = h->config.port_last = 5000;
	harness_start(h);
	harness_connect(h, "mss 1000", 65535);
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, "F. 1:1 ack 2");
	expect(h, ". 2:2 ack 2");
	advance(h, 59000);
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	advance(h, 1100);
	assert_int_equal(h->port_uses, 0);
	harness_dial(h);
	tcp_close(h->c);
}

static void
the_oldest_time_wait_goes_when_there_is_no_room(void **state)
{
	struct endpoint first = h->remote;

	h->config.time_wait_max = 2;
	harness_start(h);
	for (int i = 0; i < 3; i++) {
		h->have_local_isn = false;
		h->remote.port_be = htons((uint16_t)(2000 + i));
		if (i == 0)
			first = h->remote;
		harness_accept(h, "mss 1000", 65535);
		tcp_close(h->c);
		h->c = NULL;
		expect(h, "F. 1:1 ack 1");
		inject(h, "F. 1:1 ack 2");
		expect(h, ". 2:2 ack 2");
		advance(h, 10);
	}
	assert_int_equal(time_waits(), 2);
	assert_false(tcp_knows(h->stack, &h->local, &first));
	assert_true(tcp_knows(h->stack, &h->local, &h->remote));
	advance(h, 61000);
	assert_int_equal(time_waits(), 0);
}

static void
an_orphan_in_fin_wait_2_goes_after_a_minute(void **state)
{
	script_open("mss 1000");
	tcp_close(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, ". 1:1 ack 2");
	advance(h, 59000);
	assert_int_equal(connections(), 1);
	advance(h, 1100);
	assert_int_equal(connections(), 0);
	expect_nothing(h);
}

static void
an_orphan_that_becomes_one_in_fin_wait_2_goes_too(void **state)
{
	script_open("mss 1000");
	tcp_shutdown(h->c);
	expect(h, "F. 1:1 ack 1");
	inject(h, ". 1:1 ack 2");
	advance(h, 300000);
	assert_int_equal(connections(), 1);
	tcp_close(h->c);
	advance(h, 60100);
	assert_int_equal(connections(), 0);
}

static void
an_orphan_whose_peer_is_gone_gives_up_sooner(void **state)
{
	script_open("mss 1000");
	harness_write(h, 100);
	tcp_close(h->c);
	advance(h, 200000);
	assert_int_equal(harness_discard(h), 1 + 8);
	assert_int_equal(connections(), 0);
}

static void
an_orphan_whose_peer_never_opens_its_window_gives_up(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 0);
	harness_write(h, 100);
	tcp_close(h->c);
	for (int i = 0; i < 400 && connections() > 0; i++) {
		advance(h, 500);
		if (harness_discard(h))
			inject(h, ". 1:1 ack 1 win 0");
	}
	assert_int_equal(connections(), 0);
}

static void
orphans_are_bounded_and_the_oldest_goes(void **state)
{
	h->config.connections_max = 8;
	harness_start(h);
	for (int i = 0; i < 3; i++) {
		h->have_local_isn = false;
		h->remote.port_be = htons((uint16_t)(2000 + i));
		harness_accept(h, "mss 1000", 65535);
		tcp_close(h->c);
		h->c = NULL;
		if (i < 2)
			expect(h, "F. 1:1 ack 1");
	}
	assert_int_equal(connections(), 2);
	assert_int_equal(harness_count(h, "orphans_killed"), 1);
	tcp_flush(h->stack);
	while (h->sent_count)
		rte_pktmbuf_free(h->sent[(h->sent_first + --h->sent_count) % HARNESS_SENT_MAX]);
}

static void
closing_a_connection_that_the_user_has_not_seen_yet_is_reported_in_one(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1000>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	inject(h, "R 1:1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED | TCP_CLOSED);
	tcp_close(h->c);
	assert_int_equal(connections(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9293_3_6_the_peer_closes_first),
		TEST(rfc9293_3_6_we_close_first_and_the_peer_goes_on_sending),
		TEST(rfc9293_3_6_both_close_at_once),
		TEST(rfc9293_3_6_fin_and_its_answer_may_come_in_one_segment),
		TEST(rfc2525_2_17_unread_bytes_make_closing_a_reset),
		TEST(rfc2525_2_17_bytes_that_come_after_closing_are_answered_with_reset),
		TEST(aborting_resets_at_once),
		TEST(rfc9293_3_10_7_4_a_reset_tells_the_user_who_may_still_read),
		TEST(fin_out_of_order_waits_for_the_gap),
		TEST(a_bare_fin_out_of_order_waits_for_the_gap),
		TEST(rfc9293_3_10_7_4_data_behind_fin_is_not_data),
		TEST(fin_comes_through_a_closed_window),
		TEST(rfc9293_3_6_1_time_wait_answers_a_repeated_fin_and_ends_after_a_minute),
		TEST(rfc1122_4_2_2_13_a_newer_syn_takes_time_wait_over_by_sequence_number),
		TEST(rfc6191_2_a_newer_syn_takes_time_wait_over_by_timestamp),
		TEST(rfc5961_3_2_a_reset_at_the_next_sequence_number_ends_time_wait),
		TEST(rfc5961_3_2_any_other_reset_leaves_time_wait_alone),
		TEST(rfc6191_2_a_pair_of_our_own_is_reused_after_a_second_if_timestamps_tell_old_from_new),
		TEST(rfc9293_3_6_1_a_pair_without_timestamps_rests_the_whole_minute),
		TEST(the_oldest_time_wait_goes_when_there_is_no_room),
		TEST(an_orphan_in_fin_wait_2_goes_after_a_minute),
		TEST(an_orphan_that_becomes_one_in_fin_wait_2_goes_too),
		TEST(an_orphan_whose_peer_is_gone_gives_up_sooner),
		TEST(an_orphan_whose_peer_never_opens_its_window_gives_up),
		TEST(orphans_are_bounded_and_the_oldest_goes),
		TEST(closing_a_connection_that_the_user_has_not_seen_yet_is_reported_in_one),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
