/*
 * What others may try: RFC 5961, PAWS, ICMP, nonsense.
 */
#include "script.h"

static void
rfc5961_3_2_a_reset_counts_only_at_the_exact_sequence_number(void **state)
{
	script_open("mss 1460");
	inject(h, "R 2:2");
	expect(h, ". 1:1 ack 1");
	inject(h, "R 70000:70000");
	inject(h, "R 0:0");
	expect_nothing(h);
	assert_int_equal(harness_events(h), 0);
	inject(h, "R 1:1");
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_RESET);
}

static void
rfc5961_4_2_a_syn_in_a_connection_is_challenged(void **state)
{
	script_open("mss 1460");
	inject(h, "S 10:10");
	expect(h, ". 1:1 ack 1");
	advance(h, 600);
	inject(h, "S 900000:900000");
	expect(h, ". 1:1 ack 1");
	advance(h, 600);
	inject(h, "S. 0:0 ack 1");
	expect(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), 0);
}

static void
rfc5961_7_challenges_are_limited(void **state)
{
	script_open("mss 1460");
	for (int i = 0; i < 100; i++)
		inject(h, "R 5:5");
	expect(h, ". 1:1 ack 1");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "challenge_acks_limited"), 99);
	advance(h, 501);
	inject(h, "R 5:5");
	expect(h, ". 1:1 ack 1");
}

static void
rfc5961_5_2_acks_of_what_was_never_sent_or_long_ago_are_not_believed(void **state)
{
	script_open("mss 1460");
	harness_write(h, 100);
	expect(h, "P. 1:101 ack 1");
	inject(h, "P. 1:11 ack 500");
	expect(h, ". 101:101 ack 1");
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(tcp_unsent(h->c), 100);
	advance(h, 600);
	harness_discard(h);
	h->local_isn -= 200000;
	inject(h, "P. 1:11 ack 1");
	h->local_isn += 200000;
	expect(h, ". 101:101 ack 1");
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(harness_count(h, "drop_bad_ack"), 2);
}

static void
rfc7323_5_3_old_timestamps_are_refused(void **state)
{
	script_open("mss 1460,ts 1000:0");
	inject(h, "P. 1:11 ack 1 <ts 1000:0>");
	assert_int_equal(harness_events(h), TCP_READABLE);
	inject(h, "P. 11:21 ack 1 <ts 999:0>");
	expect(h, ". 1:1 ack 11");
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(harness_count(h, "drop_paws"), 1);
	/* Without one, silently. */
	inject(h, "P. 11:21 ack 1");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "drop_no_timestamp"), 1);
	/* RST is not subject to it. */
	inject(h, "R 11:11");
	assert_int_equal(harness_events(h), TCP_CLOSED);
}

static void
rfc7323_5_5_old_timestamps_are_believed_after_weeks_of_silence(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1460,ts 1000:0", 65535);
	advance(h, 25ull * 24 * 3600 * 1000);
	inject(h, "P. 1:11 ack 1 <ts 999:0>");
	assert_int_equal(harness_events(h), TCP_READABLE);
}

static void
nonsense_flags_and_options_are_dropped(void **state)
{
	script_open("mss 1460");
	inject(h, "SF. 1:1 ack 1");
	inject(h, "SR. 1:1 ack 1");
	inject(h, "FR. 1:1 ack 1");
	inject(h, "P 1:11");
	inject(h, "- 1:1");
	expect_nothing(h);
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(harness_count(h, "drop_bad_flags"), 3);
	assert_int_equal(harness_count(h, "drop_no_ack"), 2);
}

static void
rfc9293_3_7_1_a_tiny_mss_is_not_obeyed(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1", 65535);
	harness_write(h, 880);
	assert_int_equal(harness_discard(h), 10);
}

static struct packet_quote
quote(uint8_t type, uint8_t code, uint32_t sequence, uint32_t mtu)
{
	return (struct packet_quote){
		.source = h->local.ip,
		.destination = h->remote.ip,
		.source_port_be = h->local.port_be,
		.destination_port_be = h->remote.port_be,
		.tcp_sequence = h->local_isn + sequence,
		.mtu = mtu,
		.ip_protocol = 6,
		.icmp_type = type,
		.icmp_code = code,
	};
}

static void
rfc1191_3_fragmentation_needed_lowers_the_segments_and_sends_again(void **state)
{
	struct packet_quote q;

	script_open("mss 1460");
	harness_write(h, 4000);
	harness_discard(h);
	q = quote(3, 4, 1, 1000);
	tcp_icmp_error(h->stack, &q);
	expect(h, ". 1:961 ack 1");
	expect(h, ". 961:1921 ack 1");
	expect(h, ". 1921:2881 ack 1");
	expect(h, ". 2881:3841 ack 1");
	expect(h, "P. 3841:4001 ack 1");
	expect_nothing(h);
	assert_int_equal(harness_count(h, "retransmission_timeouts"), 0);
	/* Never below what every path must bear, and never up. */
	q = quote(3, 4, 1, 68);
	tcp_icmp_error(h->stack, &q);
	expect(h, ". 1:513 ack 1");
	harness_discard(h);
	q = quote(3, 4, 1, 1400);
	tcp_icmp_error(h->stack, &q);
	expect_nothing(h);
}

static void
rfc5927_4_1_an_icmp_error_about_what_is_not_in_flight_is_ignored(void **state)
{
	struct packet_quote q;

	script_open("mss 1460");
	harness_write(h, 4000);
	harness_discard(h);
	q = quote(3, 4, 4001, 1000);
	tcp_icmp_error(h->stack, &q);
	q = quote(3, 4, 0, 1000);
	tcp_icmp_error(h->stack, &q);
	q = quote(3, 4, 1, 1000);
	q.source_port_be++;
	tcp_icmp_error(h->stack, &q);
	q = quote(4, 0, 1, 0);
	tcp_icmp_error(h->stack, &q);
	expect_nothing(h);
	assert_int_equal(harness_count(h, "icmp_ignored"), 4);
}

static void
rfc9293_3_9_2_2_unreachable_ends_an_attempt_but_no_connection(void **state)
{
	struct packet_quote q;

	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	q = quote(3, 1, 0, 0);
	tcp_icmp_error(h->stack, &q);
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_UNREACHABLE);
	tcp_close(h->c);

	h->have_local_isn = false;
	harness_connect(h, "mss 1000", 65535);
	harness_write(h, 10);
	expect(h, "P. 1:11 ack 1");
	q = quote(3, 3, 1, 0);
	tcp_icmp_error(h->stack, &q);
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(harness_count(h, "icmp_soft_errors"), 1);
	/* It is remembered as the reason, if there is to be one. */
	advance(h, 1000000);
	harness_discard(h);
	assert_int_equal(harness_events(h), TCP_CLOSED);
	assert_int_equal(tcp_close_reason(h->c), TCP_UNREACHABLE);
}

static void
rfc8201_4_packet_too_big_of_ipv6_lowers_the_segments(void **state)
{
	struct packet_quote q;

	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::1]:443"), 0, &h->local), 0);
	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::2]:5000"), 0, &h->remote), 0);
	script_open("mss 1460");
	harness_write(h, 2000);
	harness_discard(h);
	q = quote(2, 0, 1, 1280);
	tcp_icmp_error(h->stack, &q);
	expect(h, ". 1:1221 ack 1");
	/* No link of IPv6 bears less (RFC 8200 section 5), so it is not believed. */
	harness_discard(h);
	q.mtu = 1279;
	tcp_icmp_error(h->stack, &q);
	assert_int_equal(h->c->mtu, 1280);
	assert_int_equal(harness_count(h, "icmp_ignored"), 1);
	expect_nothing(h);
}

static void
rfc9293_3_9_2_3_segments_to_a_group_are_not_answered(void **state)
{
	harness_start(h);
	h->have_local_isn = true;
	h->local.ip = ip_address_from_v4(htonl(0xe0000001));
	inject(h, "S 0:0");
	assert_int_equal(h->sent_count, 0);
	assert_int_equal(harness_count(h, "drop_not_unicast"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc5961_3_2_a_reset_counts_only_at_the_exact_sequence_number),
		TEST(rfc5961_4_2_a_syn_in_a_connection_is_challenged),
		TEST(rfc5961_7_challenges_are_limited),
		TEST(rfc5961_5_2_acks_of_what_was_never_sent_or_long_ago_are_not_believed),
		TEST(rfc7323_5_3_old_timestamps_are_refused),
		TEST(rfc7323_5_5_old_timestamps_are_believed_after_weeks_of_silence),
		TEST(nonsense_flags_and_options_are_dropped),
		TEST(rfc9293_3_7_1_a_tiny_mss_is_not_obeyed),
		TEST(rfc1191_3_fragmentation_needed_lowers_the_segments_and_sends_again),
		TEST(rfc5927_4_1_an_icmp_error_about_what_is_not_in_flight_is_ignored),
		TEST(rfc9293_3_9_2_2_unreachable_ends_an_attempt_but_no_connection),
		TEST(rfc8201_4_packet_too_big_of_ipv6_lowers_the_segments),
		TEST(rfc9293_3_9_2_3_segments_to_a_group_are_not_answered),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
