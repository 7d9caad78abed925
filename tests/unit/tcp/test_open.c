/*
 * Opening: both kinds, both at once, retransmission, refusal, options, limits.
 */
#include <errno.h>

#include "script.h"

static void
rfc9293_3_5_a_listener_answers_a_syn_and_accepts_after_the_third_segment(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1 win 65535 <mss 1460>");
	assert_int_equal(harness_events(h), 0);
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_ptr_equal(tcp_user(h->c), h);
	assert_true(endpoint_equal(tcp_remote(h->c), &h->remote));
	assert_true(endpoint_equal(tcp_local(h->c), &h->local));
	assert_true(tcp_knows(h->stack, &h->local, &h->remote));
	expect_nothing(h);
}

static void
rfc7323_2_2_options_are_used_only_when_both_sides_have_them(void **state)
{
	h->config.receive_buffer = 262144;
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1400,sackOK,ts 7:0,wscale 9>");
	expect(h, "S. 0:0 ack 1 win 65535 <mss 1460,sackOK,ts 0:7,wscale 3>");
	h->have_local_isn = false;
	h->remote.port_be++;
	inject(h, "S 0:0 win 65535 <mss 1400,sackOK>");
	expect(h, "S. 0:0 ack 1 win 65535 <mss 1460,sackOK>");
	h->have_local_isn = false;
	h->remote.port_be++;
	inject(h, "S 0:0 win 65535");
	expect(h, "S. 0:0 ack 1 win 65535 <mss 1460>");
}

static void
rfc9293_3_7_1_ipv6_opens_alike_with_its_own_mss(void **state)
{
	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::1]:443"), 0, &h->local), 0);
	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::2]:5000"), 0, &h->remote), 0);
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1440>");
	expect(h, "S. 0:0 ack 1 <mss 1440>");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	inject(h, ". 1:101 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE);
	harness_read(h, 100);
	assert_int_equal(harness_write(h, 3000), 3000);
	expect(h, ". 1:1441 ack 101");
	expect(h, ". 1441:2881 ack 101");
	expect(h, "P. 2881:3001 ack 101");
}

static void
rfc9293_3_7_1_mss_is_of_the_routes_mtu_in_both_directions(void **state)
{
	h->mtu = 1400;
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1 <mss 1360>");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_int_equal(harness_write(h, 2000), 2000);
	expect(h, ". 1:1361 ack 1");
	expect(h, "P. 1361:2001 ack 1");
}

static void
rfc9293_3_5_an_active_open_offers_everything_and_connects(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 0>");
	advance(h, 20);
	inject(h, "S. 0:0 ack 1 win 5000 <mss 1200,sackOK,ts 50:1,wscale 2>");
	assert_int_equal(harness_events(h), TCP_CONNECTED);
	expect(h, ". 1:1 ack 1 win 65535 <ts 20:50>");
	assert_int_equal(tcp_srtt_us(h->c), 20000);
	/* The window of a SYN is not scaled: 5000, of which full segments are used. */
	harness_write(h, 20000);
	expect(h, ". 1:1189 ack 1");
	expect(h, ". 1189:2377 ack 1");
	expect(h, ". 2377:3565 ack 1");
	expect(h, ". 3565:4753 ack 1");
	expect_nothing(h);
}

static void
rfc6298_5_5_a_syn_is_sent_again_with_backoff_and_given_up_after_six(void **state)
{
	static const uint32_t waits_ms[] = { 1000, 2000, 4000, 8000, 16000, 32000 };

	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	for (size_t i = 0; i < RTE_DIM(waits_ms); i++) {
		advance(h, waits_ms[i] - 100);
		expect_nothing(h);
		advance(h, 102);
		expect(h, "S 0:0");
	}
	advance(h, 59000);
	assert_int_equal(harness_events(h), 0);
	advance(h, 1100);
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_TIMED_OUT);
	expect_nothing(h);
	assert_int_equal(h->port_uses, 0);
	tcp_close(h->c);
}

static void
rfc6928_2_a_retransmitted_syn_leaves_one_segment_of_initial_window(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	advance(h, 1005);
	expect(h, "S 0:0");
	inject(h, "S. 0:0 ack 1 win 65535 <mss 1000>");
	expect(h, ". 1:1 ack 1");
	harness_write(h, 5000);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
	harness_events(h);
}

static void
rfc6298_5_5_a_syn_ack_is_sent_again_and_a_half_open_connection_goes_away(void **state)
{
	struct tcp_usage usage;

	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	tcp_usage(h->stack, &usage);
	assert_int_equal(usage.half_open, 1);
	advance(h, 1005);
	expect(h, "S. 0:0 ack 1");
	/* The peer's own retransmission is answered too. */
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1 <mss 1460>");
	expect_nothing(h);
	advance(h, 130000);
	assert_int_equal(harness_discard(h), 5);
	assert_int_equal(harness_events(h), 0);
	tcp_usage(h->stack, &usage);
	assert_int_equal(usage.half_open, 0);
	assert_int_equal(usage.connections, 0);
}

static void
rfc9293_3_10_7_3_a_refused_syn_says_so(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	/* Not for another SYN, and not without ACK. */
	inject(h, "R. 0:0 ack 77");
	inject(h, "R 0:0");
	assert_int_equal(harness_events(h), 0);
	inject(h, "R. 0:0 ack 1");
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_REFUSED);
	assert_int_equal(harness_write(h, 10), 0);
	tcp_close(h->c);
	expect_nothing(h);
}

static void
rfc9293_3_10_7_3_a_wrong_ack_in_syn_sent_is_answered_with_rst(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	inject(h, "S. 0:0 ack 5");
	expect(h, "R 5:5");
	inject(h, "S. 0:0 ack 1 <mss 1460>");
	assert_int_equal(harness_events(h), TCP_CONNECTED);
	expect(h, ". 1:1 ack 1");
}

static void
rfc9293_3_5_1_a_syn_goes_again_soon_once_a_stale_connection_was_reset(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	inject(h, ". 900:900 ack 5");
	expect(h, "R 5:5");
	advance(h, 4);
	expect(h, "S 0:0");
	/* Only once: whoever forges ACKs does not get a SYN for each. */
	inject(h, ". 900:900 ack 5");
	expect(h, "R 5:5");
	advance(h, 100);
	expect_nothing(h);
	tcp_abort(h->c);
}

static void
rfc9293_3_5_both_sides_may_open_at_once(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, "S. 0:0 ack 1 win 65535 <mss 1460>");
	assert_int_equal(harness_events(h), TCP_CONNECTED);
	expect_nothing(h);
	inject(h, ". 1:11 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE);
	harness_read(h, 10);
}

static void
rfc9293_3_5_both_sides_may_open_at_once_and_a_plain_ack_completes_it(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_CONNECTED);
}

static void
data_written_before_the_connection_is_up_follows_the_handshake(void **state)
{
	harness_start(h);
	harness_dial(h);
	assert_int_equal(harness_write(h, 100), 100);
	expect(h, "S 0:0");
	expect_nothing(h);
	inject(h, "S. 0:0 ack 1 <mss 1460>");
	expect(h, "P. 1:101 ack 1");
	expect_nothing(h);
	harness_events(h);
}

static void
shutdown_before_the_connection_is_up_sends_fin_behind_the_data(void **state)
{
	harness_start(h);
	harness_dial(h);
	harness_write(h, 100);
	tcp_shutdown(h->c);
	expect(h, "S 0:0");
	inject(h, "S. 0:0 ack 1 <mss 1460>");
	expect(h, "FP. 1:101 ack 1");
	inject(h, ". 1:1 ack 102");
	harness_events(h);
	inject(h, "F. 1:1 ack 102");
	assert_int_equal(harness_events(h), TCP_END_OF_STREAM | TCP_CLOSED);
	expect(h, ". 102:102 ack 2");
	tcp_close(h->c);
}

static void
closing_during_the_attempt_ends_it_silently(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	tcp_close(h->c);
	expect_nothing(h);
	assert_int_equal(h->port_uses, 0);
	inject(h, "S. 0:0 ack 1");
	expect(h, "R 1:1");
}

static void
rfc9293_3_10_7_4_data_with_the_third_segment_is_taken(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, "P. 1:51 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED | TCP_READABLE);
	harness_read(h, 50);
}

static void
rfc9293_3_10_7_4_a_lost_third_segment_is_made_good_by_data(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, "P. 51:101 ack 1");
	expect(h, ". 1:1 ack 1");
	inject(h, "P. 1:51 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED | TCP_READABLE);
	harness_read(h, 100);
	expect(h, ". 1:1 ack 101");
}

static void
rfc9293_3_10_7_4_a_wrong_ack_of_a_syn_ack_is_answered_with_rst(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 9");
	expect(h, "R 9:9");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
}

static void
rfc9293_3_10_7_4_rst_ends_a_half_open_connection_unseen(void **state)
{
	struct tcp_usage usage;

	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, "R 1:1");
	assert_int_equal(harness_events(h), 0);
	tcp_usage(h->stack, &usage);
	assert_int_equal(usage.connections + usage.half_open, 0);
}

static void
rfc9293_3_10_7_1_what_belongs_to_nothing_is_refused(void **state)
{
	harness_start(h);
	h->have_local_isn = true;
	inject(h, ". 1:1 ack 7");
	expect(h, "R 7:7");
	h->local.port_be = htons(81);
	h->local_isn = 0;
	inject(h, "S 5:5");
	expect(h, "R. 0:0 ack 6");
	inject(h, "R 5:5");
	inject(h, "R. 5:5 ack 1");
	expect_nothing(h);
}

static void
refusals_are_limited(void **state)
{
	harness_start(h);
	h->local.port_be = htons(81);
	h->have_local_isn = true;
	for (int i = 0; i < 1500; i++)
		inject(h, "S 5:5");
	assert_int_equal(harness_discard(h), 1000);
	assert_int_equal(harness_count(h, "drop_reset_limited"), 500);
	advance(h, 100);
	for (int i = 0; i < 1500; i++)
		inject(h, "S 5:5");
	assert_int_equal(harness_discard(h), 100);
}

static void
a_full_backlog_gives_up_its_oldest(void **state)
{
	struct tcp_usage usage;

	h->config.syn_backlog = 3;
	h->config.syn_cookies = TCP_COOKIES_NEVER;
	harness_start(h);
	for (int i = 0; i < 5; i++) {
		h->remote.port_be = htons((uint16_t)(1000 + i));
		h->have_local_isn = false;
		inject(h, "S 0:0 <mss 1460>");
	}
	tcp_flush(h->stack);
	assert_int_equal(h->sent_count, 3);
	assert_int_equal(harness_count(h, "backlog_evicted"), 2);
	tcp_usage(h->stack, &usage);
	assert_int_equal(usage.half_open, 3);
	for (uint32_t i = 0; i < 3; i++)
		rte_pktmbuf_free(h->sent[h->sent_first + i]);
	h->sent_count = 0;
}

static void
a_full_connection_table_drops_a_syn_and_fails_a_connect(void **state)
{
	int error;

	h->config.connections_max = 1;
	harness_start(h);
	harness_accept(h, "mss 1460", 65535);
	h->remote.port_be++;
	inject(h, "S 0:0");
	expect_nothing(h);
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	assert_int_equal(error, -ENOBUFS);
	assert_int_equal(harness_count(h, "no_connection"), 2);
}

static void
no_route_fails_at_once(void **state)
{
	int error;

	h->no_route = true;
	harness_start(h);
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	assert_int_equal(error, -EHOSTUNREACH);
	inject(h, "S 0:0");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "no_route"), 2);
}

static bool
odd_rank(const struct endpoint *local)
{
	return ntohs(local->port_be) / 8 % 2;
}

static void
ports_whose_answers_land_on_this_lcore_go_first(void **state)
{
	int error;

	h->config.port_first = 1001;
	h->config.port_last = 1128;
	h->config.port_modulus = 8;
	h->config.port_remainder = 5;
	h->lands_here = odd_rank;
	harness_start(h);
	/* Of 16 every second one; then the others, whose answers are handed over. */
	for (int i = 0; i < 16; i++) {
		struct tcp_connection *c = tcp_connect(h->stack, &h->remote, NULL, &error);

		assert_non_null(c);
		assert_int_equal(ntohs(tcp_local(c)->port_be) % 8, 5);
		assert_int_equal(odd_rank(tcp_local(c)), i < 8);
	}
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	assert_int_equal(error, -EADDRNOTAVAIL);
	/* All of a round leave with its flush. */
	assert_int_equal(h->sent_count, 0);
	assert_int_equal(harness_discard(h), 16);
}

static void
rfc6056_3_3_4_ports_are_of_this_lcore_and_run_out(void **state)
{
	struct tcp_connection *c[4];
	struct endpoint other;
	int error;

	h->config.port_first = 1001;
	h->config.port_last = 1029;
	h->config.port_modulus = 8;
	h->config.port_remainder = 5;
	harness_start(h);
	/* 1005, 1013, 1021, 1029 */
	for (int i = 0; i < 4; i++) {
		c[i] = tcp_connect(h->stack, &h->remote, NULL, &error);
		assert_non_null(c[i]);
		assert_int_equal(ntohs(tcp_local(c[i])->port_be) % 8, 5);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(tcp_local(c[j])->port_be, tcp_local(c[i])->port_be);
	}
	assert_null(tcp_connect(h->stack, &h->remote, NULL, &error));
	assert_int_equal(error, -EADDRNOTAVAIL);
	assert_int_equal(h->port_uses, 4);
	/* Another server may be reached from the same ports. */
	other = h->remote;
	other.port_be++;
	assert_non_null(tcp_connect(h->stack, &other, NULL, &error));
	assert_int_equal(h->port_uses, 4);
	tcp_close(c[2]);
	c[2] = tcp_connect(h->stack, &h->remote, NULL, &error);
	assert_non_null(c[2]);
	tcp_flush(h->stack);
	while (h->sent_count)
		rte_pktmbuf_free(h->sent[--h->sent_count]);
}

static void
an_exact_listener_goes_before_a_wildcard_and_one_that_is_gone_accepts_nothing(void **state)
{
	struct tcp_listener set[2] = { 0 };
	int wild, exact;

	harness_start(h);
	set[0] = (struct tcp_listener){ h->local, &wild };
	set[0].local.ip = ip_address_from_v4(0);
	set[1] = (struct tcp_listener){ h->local, &exact };
	tcp_listen(h->stack, set, 2);
	inject(h, "S 0:0 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_ptr_equal(tcp_user(h->c), &exact);

	h->c = NULL;
	h->remote.port_be++;
	h->have_local_isn = false;
	inject(h, "S 0:0 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	tcp_listen(h->stack, set, 1);
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_ptr_equal(tcp_user(h->c), &wild);

	h->c = NULL;
	h->remote.port_be++;
	h->have_local_isn = false;
	inject(h, "S 0:0 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	tcp_listen(h->stack, NULL, 0);
	assert_int_equal(harness_events(h), 0);
	expect(h, "R. 1:1 ack 1");
}

static void
rfc6528_3_initial_sequence_numbers_advance_with_time_and_differ_by_pair(void **state)
{
	struct endpoint other;
	uint64_t secret;
	uint32_t first;

	harness_start(h);
	secret = tcp_pair_secret(h->stack, &h->local, &h->remote);
	first = tcp_initial_sequence(h->stack, secret);
	advance(h, 1000);
	assert_int_equal(tcp_initial_sequence(h->stack, secret) - first, 250000);
	other = h->remote;
	other.port_be++;
	assert_true(tcp_pair_secret(h->stack, &h->local, &other) != secret);
}

static void
a_bad_configuration_is_refused_with_a_reason(void **state)
{
	struct tcp_env env = { 0 };
	const char *error = NULL;
	struct tcp_config config;

	harness_start(h);
	config = h->config;
	config.port_modulus = 50000;
	config.port_remainder = 49999;
	config.port_first = 100;
	config.port_last = 200;
	assert_null(tcp_stack_new(&config, &env, 0, &error));
	assert_non_null(error);
	config = h->config;
	config.connections_max = 0;
	assert_null(tcp_stack_new(&config, &env, 0, &error));
	assert_non_null(error);
}

static void
an_idle_connection_takes_less_than_half_a_kilobyte(void **state)
{
	struct tcp_usage usage;

	harness_start(h);
	tcp_usage(h->stack, &usage);
	assert_true(usage.bytes_per_connection <= 512);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9293_3_5_a_listener_answers_a_syn_and_accepts_after_the_third_segment),
		TEST(rfc7323_2_2_options_are_used_only_when_both_sides_have_them),
		TEST(rfc9293_3_7_1_ipv6_opens_alike_with_its_own_mss),
		TEST(rfc9293_3_7_1_mss_is_of_the_routes_mtu_in_both_directions),
		TEST(rfc9293_3_5_an_active_open_offers_everything_and_connects),
		TEST(rfc6298_5_5_a_syn_is_sent_again_with_backoff_and_given_up_after_six),
		TEST(rfc6928_2_a_retransmitted_syn_leaves_one_segment_of_initial_window),
		TEST(rfc6298_5_5_a_syn_ack_is_sent_again_and_a_half_open_connection_goes_away),
		TEST(rfc9293_3_10_7_3_a_refused_syn_says_so),
		TEST(rfc9293_3_10_7_3_a_wrong_ack_in_syn_sent_is_answered_with_rst),
		TEST(rfc9293_3_5_1_a_syn_goes_again_soon_once_a_stale_connection_was_reset),
		TEST(rfc9293_3_5_both_sides_may_open_at_once),
		TEST(rfc9293_3_5_both_sides_may_open_at_once_and_a_plain_ack_completes_it),
		TEST(data_written_before_the_connection_is_up_follows_the_handshake),
		TEST(shutdown_before_the_connection_is_up_sends_fin_behind_the_data),
		TEST(closing_during_the_attempt_ends_it_silently),
		TEST(rfc9293_3_10_7_4_data_with_the_third_segment_is_taken),
		TEST(rfc9293_3_10_7_4_a_lost_third_segment_is_made_good_by_data),
		TEST(rfc9293_3_10_7_4_a_wrong_ack_of_a_syn_ack_is_answered_with_rst),
		TEST(rfc9293_3_10_7_4_rst_ends_a_half_open_connection_unseen),
		TEST(rfc9293_3_10_7_1_what_belongs_to_nothing_is_refused),
		TEST(refusals_are_limited),
		TEST(a_full_backlog_gives_up_its_oldest),
		TEST(a_full_connection_table_drops_a_syn_and_fails_a_connect),
		TEST(no_route_fails_at_once),
		TEST(ports_whose_answers_land_on_this_lcore_go_first),
		TEST(rfc6056_3_3_4_ports_are_of_this_lcore_and_run_out),
		TEST(an_exact_listener_goes_before_a_wildcard_and_one_that_is_gone_accepts_nothing),
		TEST(rfc6528_3_initial_sequence_numbers_advance_with_time_and_differ_by_pair),
		TEST(a_bad_configuration_is_refused_with_a_reason),
		TEST(an_idle_connection_takes_less_than_half_a_kilobyte),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
