/*
 * Received packets of several segments, which the peer's kernel has not cut up.
 */
#include "script.h"

static int
set_up(void **state)
{
	script_set_up(state);
	script_open("mss 1460");
	return 0;
}

static void
all_of_it_is_one_event_and_one_ack(void **state)
{
	inject(h, "P. 1:30001 ack 1");
	assert_int_equal(harness_events(h), TCP_READABLE);
	expect(h, ". 1:1 ack 30001");
	expect_nothing(h);
	harness_read(h, 30000);
}

/* RFC 9293 section 3.8.6.3: every second full segment, and full is what our SYN allowed. */
static void
it_does_not_change_what_a_full_segment_is(void **state)
{
	inject(h, ". 1:30001 ack 1");
	expect(h, ". 1:1 ack 30001");
	harness_read(h, 30000);
	harness_discard(h);
	inject(h, ". 30001:31461 ack 1");
	expect_nothing(h);
	inject(h, ". 31461:32921 ack 1");
	expect(h, ". 1:1 ack 32921");
	harness_read(h, 2920);
}

static void
what_is_known_of_it_is_cut_off(void **state)
{
	inject(h, ". 1:4001 ack 1");
	inject(h, ". 2001:20001 ack 1");
	expect(h, ". 1:1 ack 20001");
	harness_read(h, 20000);
}

static void
what_is_past_the_window_is_cut_off(void **state)
{
	uint32_t edge = h->c->rcv_edge - h->c->rcv_irs;
	char text[64];

	snprintf(text, sizeof(text), ". 10001:%u ack 1", edge + 3000);
	inject(h, ". 1:10001 ack 1");
	inject(h, text);
	assert_int_equal(harness_count(h, "drop_past_window"), 1);
	assert_int_equal(tcp_readable(h->c), edge - 1);
	harness_discard(h);
	harness_read(h, edge - 1);
}

static void
it_may_come_ahead_of_a_gap(void **state)
{
	inject(h, ". 5001:25001 ack 1");
	expect(h, ". 1:1 ack 1");
	inject(h, ". 1:5001 ack 1");
	expect(h, ". 1:1 ack 25001");
	harness_read(h, 25000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, script_tear_down)
		TEST(all_of_it_is_one_event_and_one_ack), TEST(it_does_not_change_what_a_full_segment_is),
		TEST(what_is_known_of_it_is_cut_off),     TEST(what_is_past_the_window_is_cut_off),
		TEST(it_may_come_ahead_of_a_gap),
#undef TEST
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
