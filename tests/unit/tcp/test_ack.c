/*
 * When data is acknowledged: at once, with what is sent, or later.
 */
#include "script.h"

static void
rfc9293_3_8_6_3_an_ack_waits_two_milliseconds_at_most(void **state)
{
	script_open("mss 1000");
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
	script_open("mss 1000");
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
	script_open("mss 1000");
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
	script_open("mss 1460,wscale 7");
	inject(h, "P. 1:101 ack 1");
	harness_events(h);
	harness_read(h, 100);
	expect_nothing(h);
	advance(h, 3);
	expect(h, ". 1:1 ack 101 win 30016"); /* in units of 8 bytes */
}

/* A sender in recovery has a small window, and grows it by what comes back. */
static void
rfc5681_4_2_after_a_gap_acks_are_not_delayed_for_a_while(void **state)
{
	char text[40];

	script_open("mss 1000");
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
	script_open("mss 1000");
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
	script_open("mss 1000");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9293_3_8_6_3_an_ack_waits_two_milliseconds_at_most),
		TEST(rfc9293_3_8_6_3_where_acks_were_in_vain_they_wait_for_the_answer),
		TEST(rfc8985_7_2_of_several_small_segments_none_waits_longer),
		TEST(a_window_that_nobody_waits_for_is_told_with_the_next_ack),
		TEST(rfc5681_4_2_after_a_gap_acks_are_not_delayed_for_a_while),
		TEST(a_young_connection_acknowledges_sooner),
		TEST(rfc9293_3_8_6_3_every_second_full_segment_is_acknowledged_with_the_flush),
		TEST(an_ack_rides_on_data_of_the_same_round),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
