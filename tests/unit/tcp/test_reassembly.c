/*
 * Segments that come out of order, twice, or not as they came before.
 */
#include "script.h"
#include "tcp/reassembly.h"

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
	script_open("mss 1000");
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

static void
rfc2018_4_reordered_segments_are_put_in_order_with_duplicate_acks_and_sack(void **state)
{
	script_open("mss 1000,sackOK");
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
	script_open("mss 1000");
	inject(h, ". 1001:2001 ack 1");
	expect(h, ". 1:1 ack 1 <>");
}

static void
rfc9293_3_10_7_4_overlapping_data_is_trimmed(void **state)
{
	script_open("mss 1000");
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
	script_open("mss 1000");
	for (int i = 0; i < TCP_RANGES_MAX + 16; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %d:%d ack 1", 11 + i * 20, 21 + i * 20);
		inject(h, text);
	}
	harness_discard(h);
	assert_int_equal(harness_count(h, "drop_ranges_full"), 16);
	assert_int_equal(h->c->trouble->range_count, TCP_RANGES_MAX);
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

	script_open("mss 1000");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9293_3_10_7_4_of_data_that_differs_what_came_first_counts),
		TEST(rfc2018_4_reordered_segments_are_put_in_order_with_duplicate_acks_and_sack),
		TEST(rfc2018_3_sack_blocks_ride_on_data_and_leave_room_for_timestamps),
		TEST(rfc2018_2_no_sack_is_sent_to_a_peer_that_does_not_permit_it),
		TEST(rfc9293_3_10_7_4_overlapping_data_is_trimmed),
		TEST(too_many_gaps_are_not_kept),
		TEST(tiny_segments_share_mbufs),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
