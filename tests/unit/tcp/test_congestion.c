/*
 * How the congestion window grows and falls: CUBIC, and what is common. Each name begins with the RFC whose rule it holds.
 */
#include "base/clock.h"
#include "script.h"

/* Past slow start, with a window of so many segments of 1000 bytes. */
static void
start(uint32_t segments)
{
	harness_start(h);
	harness_accept(h, "mss 1000,sackOK", 65535);
	h->c->congestion.window = h->c->congestion.threshold = segments * 1000;
	h->c->srtt_us = 100000;
}

/* A round trip of `ms` in which a whole window is acknowledged, every other segment. */
static void
round_trip(uint32_t ms)
{
	uint32_t acks = h->c->congestion.window / 2000;

	advance(h, ms);
	for (uint32_t i = 0; i < acks; i++)
		h->stack->congestion->acknowledged(h->c, 2000);
}

static void
rfc9438_cubic_is_the_default(void **state)
{
	start(10);
	assert_string_equal(h->stack->congestion->name, "cubic");
	assert_string_equal(tcp_congestion_of(TCP_NEW_RENO)->name, "new_reno");
}

static void
rfc9438_4_6_a_loss_takes_three_tenths(void **state)
{
	start(100);
	h->stack->congestion->lost(h->c, 100000);
	assert_int_equal(h->c->congestion.threshold, 70000);
	assert_int_equal(h->c->trouble->cubic.peak, 100000);
	/* Never below two segments. */
	h->stack->congestion->lost(h->c, 1000);
	assert_int_equal(h->c->congestion.threshold, 2000);
}

static void
rfc9438_4_7_who_lost_earlier_than_last_time_aims_lower(void **state)
{
	start(100);
	h->stack->congestion->lost(h->c, 100000);
	h->c->congestion.window = 80000;
	h->stack->congestion->lost(h->c, 80000);
	assert_int_equal(h->c->trouble->cubic.peak, 68000);
}

static void
rfc9438_4_2_growth_levels_off_where_the_loss_was_and_then_speeds_up(void **state)
{
	uint32_t before, near;

	start(1000);
	h->stack->congestion->lost(h->c, 1000000);
	h->c->congestion.window = h->c->congestion.threshold;
	/* K is the cube root of 300 / 0.4: 9.1 s. */
	for (int i = 0; i < 45; i++)
		round_trip(100);
	before = h->c->congestion.window;
	assert_in_range(before, 950000, 970000); /* 1000 - 0.4 * 4.5^3 = 963 */
	for (int i = 0; i < 46; i++)
		round_trip(100);
	near = h->c->congestion.window;
	assert_in_range(near, 995000, 1005000);
	for (int i = 0; i < 100; i++)
		round_trip(100);
	assert_in_range(h->c->congestion.window, 1350000, 1450000); /* 1000 + 0.4 * 10^3 = 1400 */
}

static void
rfc9438_4_3_it_never_grows_slower_than_reno(void **state)
{
	start(20);
	h->c->srtt_us = 5000;
	h->stack->congestion->lost(h->c, 20000);
	h->c->congestion.window = h->c->congestion.threshold;
	/* In 0.5 s the cubic function alone would be below its plateau; Reno's share is half a segment per round trip. */
	for (int i = 0; i < 100; i++)
		round_trip(5);
	assert_in_range(h->c->congestion.window, 60000, 110000);
}

static void
rfc9438_4_8_a_timeout_starts_over_from_one_segment(void **state)
{
	start(100);
	h->stack->congestion->timed_out(h->c, 100000, false);
	assert_int_equal(h->c->congestion.window, 1000);
	assert_int_equal(h->c->congestion.threshold, 70000);
	/* The same data once more: no further. */
	h->stack->congestion->timed_out(h->c, 1000, true);
	assert_int_equal(h->c->congestion.threshold, 70000);
}

static void
rfc9438_5_8_a_window_that_is_not_used_does_not_grow(void **state)
{
	uint32_t window;

	harness_start(h);
	harness_accept(h, "mss 1000,sackOK", 65535);
	window = h->c->congestion.window;
	for (uint32_t i = 0; i < 50; i++) {
		char text[40];

		harness_write(h, 1000);
		harness_discard(h);
		snprintf(text, sizeof(text), ". 1:1 ack %u", 1001 + i * 1000);
		inject(h, text);
	}
	assert_int_equal(h->c->congestion.window, window);
	harness_write(h, 10000);
	harness_discard(h);
	inject(h, ". 1:1 ack 60001");
	assert_int_equal(h->c->congestion.window, window + 10000);
}

static void
rfc5681_4_1_after_an_idle_timeout_the_initial_window_counts(void **state)
{
	start(60);
	harness_write(h, 1000);
	harness_discard(h);
	inject(h, ". 1:1 ack 1001");
	advance(h, 3000);
	harness_write(h, 30000);
	assert_int_equal(harness_discard(h), 10);
}

static void
rfc6928_2_the_first_window_is_ten_segments(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1460,sackOK", 65535);
	harness_write(h, 60000);
	assert_int_equal(harness_discard(h), 10);
}

static void
far_from_the_peak_nothing_overflows(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1460,sackOK", 65535);
	h->c->mss = 9000;
	h->c->srtt_us = 1000;
	h->c->congestion.threshold = h->c->congestion.window = 18000;
	tcp_trouble(h->c)->cubic.peak = UINT32_MAX / 4;
	for (uint32_t last = 0; h->c->congestion.window < UINT32_MAX / 4; last = h->c->congestion.window) {
		assert_true(h->c->congestion.window >= last);
		h->stack->now_ms += 7200000;
		for (int i = 0; i < 100; i++)
			h->stack->congestion->acknowledged(h->c, h->c->congestion.window / 10);
	}
	assert_int_equal(h->c->congestion.window, UINT32_MAX / 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9438_cubic_is_the_default),
		TEST(rfc9438_4_6_a_loss_takes_three_tenths),
		TEST(rfc9438_4_7_who_lost_earlier_than_last_time_aims_lower),
		TEST(rfc9438_4_2_growth_levels_off_where_the_loss_was_and_then_speeds_up),
		TEST(rfc9438_4_3_it_never_grows_slower_than_reno),
		TEST(rfc9438_4_8_a_timeout_starts_over_from_one_segment),
		TEST(rfc9438_5_8_a_window_that_is_not_used_does_not_grow),
		TEST(rfc5681_4_1_after_an_idle_timeout_the_initial_window_counts),
		TEST(rfc6928_2_the_first_window_is_ten_segments),
		TEST(far_from_the_peak_nothing_overflows),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
