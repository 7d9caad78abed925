/*
 * The path's MTU: a black hole is found, and what was lowered is raised again.
 */
#include <netinet/ip_icmp.h>

#include "packet/parse.h"
#include "script.h"

#define TEN_MINUTES_MS 600000

static void
start(void)
{
	harness_start(h);
	harness_accept(h, "mss 1460,sackOK", 65535);
}

/* RFC 4821: full segments go unanswered, and no router says why. */
static void
fall_into_a_black_hole(void)
{
	start();
	harness_write(h, 1460);
	expect(h, ". 1:1461 ack 1");
	advance(h, 250);
	expect(h, ". 1:1461 ack 1");
	advance(h, 400);
	expect(h, ". 1:1461 ack 1");
	advance(h, 800);
	expect(h, ". 1:1241 ack 1");
	inject(h, ". 1:1 ack 1241");
	expect(h, ". 1241:1461 ack 1");
	inject(h, ". 1:1 ack 1461");
	assert_int_equal(harness_count(h, "mtu_black_holes"), 1);
	h->c->congestion.window = 20000;
}

static void
rfc2923_2_1_three_timeouts_of_a_full_segment_are_a_black_hole(void **state)
{
	fall_into_a_black_hole();
	harness_write(h, 2000);
	expect(h, ". 1461:2701 ack 1");
	expect(h, "P. 2701:3461 ack 1");
}

static void
timeouts_of_a_short_segment_are_none(void **state)
{
	start();
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1");
	advance(h, 8000);
	harness_discard(h);
	assert_int_equal(h->c->mss, 1460);
	assert_int_equal(harness_count(h, "mtu_black_holes"), 0);
}

static void
rfc2923_2_1_five_timeouts_leave_what_every_host_must_take(void **state)
{
	start();
	harness_write(h, 1460);
	advance(h, 40000);
	harness_discard(h);
	assert_int_equal(h->c->mss, 536);
}

static void
rfc8201_4_it_is_raised_when_a_probe_arrives_after_ten_minutes(void **state)
{
	fall_into_a_black_hole();
	advance(h, TEN_MINUTES_MS - 10000);
	harness_write(h, 1460);
	expect(h, ". 1461:2701 ack 1");
	expect(h, "P. 2701:2921 ack 1");
	inject(h, ". 1:1 ack 2921");
	advance(h, 10000);
	/* One segment is longer, while the others are not. */
	harness_write(h, 4000);
	expect(h, ". 2921:4381 ack 1");
	expect(h, ". 4381:5621 ack 1");
	expect(h, ". 5621:6861 ack 1");
	expect(h, "P. 6861:6921 ack 1");
	inject(h, ". 1:1 ack 4381");
	assert_int_equal(harness_count(h, "mtu_raised"), 1);
	inject(h, ". 1:1 ack 6921");
	harness_write(h, 1460);
	expect(h, "P. 6921:8381 ack 1");
}

static void
rfc8201_4_a_probe_that_is_lost_goes_again_in_pieces_and_waits_ten_minutes_more(void **state)
{
	fall_into_a_black_hole();
	advance(h, TEN_MINUTES_MS);
	h->c->sent_ms = h->stack->now_ms; /* not to be idle */
	harness_write(h, 5000);
	expect(h, ". 1461:2921 ack 1");
	assert_int_equal(harness_discard(h), 3);
	inject(h, ". 1:1 ack 1461 <sack 2921:6461>");
	expect(h, ". 1461:2701 ack 1");
	inject(h, ". 1:1 ack 2701 <sack 2921:6461>");
	expect(h, ". 2701:2921 ack 1");
	inject(h, ". 1:1 ack 6461");
	harness_write(h, 1460);
	expect(h, ". 6461:7701 ack 1");
	expect(h, "P. 7701:7921 ack 1");
	inject(h, ". 1:1 ack 7921");
	assert_int_equal(harness_count(h, "mtu_probes"), 1);
	advance(h, TEN_MINUTES_MS);
	harness_write(h, 1460);
	expect(h, "P. 7921:9381 ack 1");
	assert_int_equal(harness_count(h, "mtu_probes"), 2);
}

/* RFC 1191 section 6.3. */
static void
rfc8201_4_what_a_router_has_lowered_is_raised_too(void **state)
{
	struct packet_quote q = { .icmp_type = ICMP_DEST_UNREACH, .icmp_code = ICMP_FRAG_NEEDED, .mtu = 1400 };

	start();
	harness_write(h, 1460);
	expect(h, "P. 1:1461 ack 1");
	q.source = h->local.ip;
	q.source_port_be = h->local.port_be;
	q.destination = h->remote.ip;
	q.destination_port_be = h->remote.port_be;
	q.tcp_sequence = h->local_isn + 1;
	tcp_icmp_error(h->stack, &q);
	expect(h, ". 1:1361 ack 1");
	expect(h, ". 1361:1461 ack 1");
	inject(h, ". 1:1 ack 1461");
	advance(h, TEN_MINUTES_MS);
	harness_write(h, 1460);
	expect(h, "P. 1461:2921 ack 1");
	inject(h, ". 1:1 ack 2921");
	assert_int_equal(h->c->mss, 1460);
	/* Nor does the peer's word bound it less than before. */
	assert_false(h->c->mtu_lowered);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc2923_2_1_three_timeouts_of_a_full_segment_are_a_black_hole),
		TEST(timeouts_of_a_short_segment_are_none),
		TEST(rfc2923_2_1_five_timeouts_leave_what_every_host_must_take),
		TEST(rfc8201_4_it_is_raised_when_a_probe_arrives_after_ten_minutes),
		TEST(rfc8201_4_a_probe_that_is_lost_goes_again_in_pieces_and_waits_ten_minutes_more),
		TEST(rfc8201_4_what_a_router_has_lowered_is_raised_too),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
