/*
 * Pacing: how much of what the windows allow leaves at once, and when the rest does.
 */
#include "base/clock.h"
#include "script.h"

/* Past slow start, on a path of `rtt_us`, with a window of so many segments of 1000 bytes. */
static void
start(uint32_t segments, uint32_t rtt_us)
{
	harness_start(h);
	harness_accept(h, "mss 1000,sackOK", 65535);
	h->c->congestion.window = h->c->congestion.threshold = segments * 1000;
	h->c->srtt_us = h->c->rtt_min_us = rtt_us;
}

/* A round now. Returns how many segments leave. */
static uint32_t
sent_now(void)
{
	tcp_stack_time(h->stack, h->now_ns);
	tcp_timers(h->stack);
	return harness_discard(h);
}

/* Rounds when the stack asks for them. Returns how many segments leave, and in *most, in one round at most. */
static uint32_t
sent_within(uint64_t us, uint32_t *most)
{
	uint64_t until_ns = h->now_ns + us * NS_PER_US;
	uint32_t sum = 0;

	*most = 0;
	while (h->now_ns < until_ns) {
		uint64_t next_ns = RTE_MAX(tcp_next_timer_ns(h->stack), h->now_ns + 1);
		uint32_t count;

		h->now_ns = RTE_MIN(next_ns, until_ns);
		count = sent_now();
		sum += count;
		*most = RTE_MAX(*most, count);
	}
	return sum;
}

static void
rfc9002_7_7_a_window_that_opens_at_once_is_spread(void **state)
{
	uint32_t most;

	/* 240 in 20 ms. */
	start(200, 20000);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	assert_in_range(sent_within(3000, &most), 33, 37);
	assert_in_range(most, 2, 5);
	sent_within(2000, &most);
	assert_int_equal(h->c->snd_nxt, tcp_send_end(h->c));
	assert_int_equal(h->stack->calendar.occupied, 0);
}

static void
rfc9002_7_7_in_slow_start_twice_the_window_leaves_in_a_round_trip(void **state)
{
	uint32_t most;

	start(200, 20000);
	h->c->congestion.threshold = 1000000;
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	assert_in_range(sent_within(2000, &most), 35, 41);
	assert_in_range(most, 5, 9);
}

static void
rfc9002_7_7_an_initial_window_leaves_at_once(void **state)
{
	start(10, 100000);
	harness_write(h, 20000);
	assert_int_equal(sent_now(), 10);
	assert_int_equal(h->stack->calendar.occupied, 0);
}

static void
rfc9002_7_7_after_a_pause_it_is_no_more_than_that(void **state)
{
	start(100, 20000);
	harness_write(h, 1000);
	assert_int_equal(sent_now(), 1);
	inject(h, ". 1:1 ack 1001");
	h->c->srtt_us = h->c->rtt_min_us = 20000;
	advance(h, 150);
	harness_write(h, 40000);
	assert_int_equal(sent_now(), 10);
}

static void
what_acks_clock_out_is_not_held_back(void **state)
{
	uint32_t most, sent;

	start(40, 20000);
	harness_write(h, 60000);
	sent = sent_now() + sent_within(20000, &most);
	assert_int_equal(sent, 40);
	/* As the path took them, two each millisecond. */
	for (uint32_t i = 1; i <= 10; i++) {
		char text[40];

		snprintf(text, sizeof(text), ". 1:1 ack %u", 1 + i * 2000);
		inject(h, text);
		assert_int_equal(sent_now(), 2);
		sent_within(1000, &most);
	}
}

static void
short_round_trips_are_not_spread(void **state)
{
	start(200, 300);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 60);
}

/* With small answers every ACK is delayed, and the smoothed round trip is their delay. */
static void
acks_that_the_peer_delays_do_not_slow_it_down(void **state)
{
	start(200, 100);
	h->c->srtt_us = 40000;
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 60);
}

static void
what_a_late_round_has_not_sent_the_next_may(void **state)
{
	uint32_t most;

	start(200, 20000);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	sent_within(500, &most);
	h->now_ns += 2 * NS_PER_MS;
	assert_in_range(sent_now(), 23, 26);
}

static void
but_not_all_of_a_long_stall(void **state)
{
	uint32_t most, first;

	start(200, 20000);
	harness_write(h, 64000);
	first = sent_now() + sent_within(300, &most);
	h->now_ns += 100 * NS_PER_MS;
	/* The bucket, and 4 ms. The timeout is longer than the stall. */
	assert_in_range(sent_now(), 48, 60 - first + 10);
}

/* It waits for longer than the calendar reaches. */
static void
a_very_slow_path_is_given_its_time(void **state)
{
	uint32_t most;

	start(20, 1000000);
	h->c->rto_us = 3000000;
	harness_write(h, 20000);
	assert_int_equal(sent_now(), 10);
	/* One in 41.7 ms. */
	assert_in_range(sent_within(208000, &most), 4, 6);
	assert_int_equal(most, 1);
	assert_in_range(sent_within(208000, &most), 4, 6);
}

static void
an_ack_does_not_wait_with_the_data(void **state)
{
	start(200, 20000);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	expect(h, ". 10001:10001 ack 2001");
	expect_nothing(h);
}

static void
fin_takes_no_part_of_it(void **state)
{
	start(200, 20000);
	harness_write(h, 10000);
	assert_int_equal(sent_now(), 10);
	tcp_shutdown(h->c);
	expect(h, "F. 10001:10001 ack 1");
}

static void
large_segments_are_no_larger_than_what_may_leave(void **state)
{
	struct rte_mbuf *m;
	uint32_t most;

	h->config.large_segments = true;
	start(200, 20000);
	h->whole = true;
	harness_write(h, 60000);
	m = harness_take(h);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, 20 + 20 + 10000);
	rte_pktmbuf_free(m);
	h->whole = false;
	assert_in_range(sent_within(1000, &most), 9, 13);
}

/* A worker that has nothing else to do sleeps until then. */
static void
the_stack_says_when_it_goes_on(void **state)
{
	start(200, 20000);
	assert_true(tcp_next_timer_ns(h->stack) > h->now_ns + 10 * NS_PER_MS);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	assert_in_range(tcp_next_timer_ns(h->stack), h->now_ns + 1, h->now_ns + 2 * TCP_PACE_TICK_NS);
}

static void
a_connection_that_waits_may_end(void **state)
{
	uint32_t most;

	start(200, 20000);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	tcp_abort(h->c);
	expect(h, "R. 10001:10001 ack 1");
	assert_int_equal(sent_within(5000, &most), 0);
	assert_int_equal(h->stack->calendar.occupied, 0);
}

static void
a_loss_that_takes_the_window_ends_the_wait(void **state)
{
	uint32_t most;

	start(200, 20000);
	harness_write(h, 60000);
	assert_int_equal(sent_now(), 10);
	h->c->congestion.window = 4000;
	assert_int_equal(sent_within(5000, &most), 0);
	assert_int_equal(h->stack->calendar.occupied, 0);
	h->c->congestion.window = 200000;
	inject(h, ". 1:1 ack 1001");
	assert_int_equal(sent_now(), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc9002_7_7_a_window_that_opens_at_once_is_spread),
		TEST(rfc9002_7_7_in_slow_start_twice_the_window_leaves_in_a_round_trip),
		TEST(rfc9002_7_7_an_initial_window_leaves_at_once),
		TEST(rfc9002_7_7_after_a_pause_it_is_no_more_than_that),
		TEST(what_acks_clock_out_is_not_held_back),
		TEST(short_round_trips_are_not_spread),
		TEST(acks_that_the_peer_delays_do_not_slow_it_down),
		TEST(what_a_late_round_has_not_sent_the_next_may),
		TEST(but_not_all_of_a_long_stall),
		TEST(a_very_slow_path_is_given_its_time),
		TEST(an_ack_does_not_wait_with_the_data),
		TEST(fin_takes_no_part_of_it),
		TEST(large_segments_are_no_larger_than_what_may_leave),
		TEST(the_stack_says_when_it_goes_on),
		TEST(a_connection_that_waits_may_end),
		TEST(a_loss_that_takes_the_window_ends_the_wait),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
