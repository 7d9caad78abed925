/*
 * Without mbufs nothing is lost for good; and bytes moved from one connection to another.
 */
#include "script.h"
#include "tcp/output.h"

static void
start(void)
{
	script_open("mss 1000");
}

static void
a_syn_ack_without_memory_is_sent_later(void **state)
{
	harness_start(h);
	harness_starve(h, 1);
	inject(h, "S 0:0 win 65535 <mss 1000>");
	harness_starve(h, 0);
	expect_nothing(h);
	assert_true(harness_count(h, "no_mbuf") > 0);
	harness_feed(h);
	advance(h, 20);
	expect(h, "S. 0:0 ack 1");
}

static void
a_syn_without_memory_is_sent_later(void **state)
{
	harness_start(h);
	harness_starve(h, 0);
	harness_dial(h);
	expect_nothing(h);
	advance(h, 100);
	harness_feed(h);
	advance(h, 20);
	expect(h, "S 0:0");
}

static void
a_write_without_memory_takes_nothing_and_tells_when_to_go_on(void **state)
{
	start();
	harness_starve(h, 0);
	assert_int_equal(harness_write(h, 1000), 0);
	assert_int_equal(harness_events(h), 0);
	harness_feed(h);
	advance(h, 20);
	assert_int_equal(harness_events(h), TCP_WRITABLE);
	assert_int_equal(harness_write(h, 1000), 1000);
	expect(h, "P. 1:1001 ack 1");
}

/* The reserve; and with so many free, a connection's share is `mbufs`. */
#define LOW (SUPPORT_POOL_SIZE / 8)
#define FREE_FOR_SHARE(mbufs) (LOW + 8 * (mbufs))

static void
leave(uint32_t free)
{
	harness_feed(h);
	harness_starve(h, free);
	advance(h, 2);
}

static void
the_last_mbufs_are_kept_for_what_drains_the_buffers(void **state)
{
	start();
	leave(LOW - 1);
	assert_int_equal(harness_write(h, 1000), 0);
	/* Nor is the peer promised more than it has been. */
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	harness_events(h);
	harness_read(h, 2000);
	assert_int_equal(harness_discard(h), 1);
	assert_int_equal(h->c->rcv_edge - h->c->rcv_nxt, 65535 - 2000);
	harness_feed(h);
	advance(h, 20);
	assert_int_equal(harness_events(h), TCP_WRITABLE);
	assert_int_equal(harness_write(h, 1), 1);
}

static void
buffers_shrink_with_what_is_left(void **state)
{
	h->config.send_buffer = 1 << 18;
	h->config.receive_buffer = 1 << 18;
	harness_start(h);
	harness_accept(h, "mss 1000,wscale 3", 65535);
	assert_int_equal(tcp_writable(h->c), 1 << 18);
	leave(FREE_FOR_SHARE(200));
	assert_int_equal(tcp_writable(h->c), 200 * 1024);
	/* No segment has said yet that the peer's are larger. SYN's window is not scaled, so there is more to offer. */
	assert_int_equal(tcp_window_offer(h->c), 200 * 536);
	inject(h, ". 1:1001 ack 1");
	harness_events(h);
	harness_read(h, 1000);
	assert_int_equal(tcp_window_offer(h->c), 200 * 1000);
	advance(h, 3);
	expect(h, ". 1:1 ack 1001 win 25000");
	/* What was offered is not taken back. */
	leave(FREE_FOR_SHARE(64));
	assert_int_equal(tcp_writable(h->c), 64 * 1024);
	assert_int_equal(tcp_window_offer(h->c), 200 * 1000);
	leave(LOW - 1);
	assert_int_equal(tcp_writable(h->c), TCP_BUFFER_MIN);
	harness_feed(h);
}

static void
a_window_follows_what_is_read_in_a_round_trip(void **state)
{
	h->config.receive_buffer = 1 << 20;
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	advance(h, 10);
	inject(h, "S. 0:0 ack 1 win 65535 <mss 1460,wscale 7>");
	expect(h, ". 1:1 ack 1");
	harness_events(h);
	assert_int_equal(h->c->receive_limit, TCP_BUFFER_START);
	for (uint32_t i = 0, at = 1; i < 130; i++, at += 1460) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u ack 1", at, at + 1460);
		inject(h, text);
		/* First a quarter of the limit in a round trip, then more than half. */
		if (i % 2 || i > 60)
			continue;
		harness_events(h);
		harness_read(h, 1460);
		if (i == 60) {
			assert_int_equal(h->c->receive_limit, TCP_BUFFER_START);
			advance(h, 10);
		}
	}
	harness_events(h);
	harness_read(h, tcp_readable(h->c));
	assert_int_equal(h->c->receive_limit, TCP_BUFFER_START);
	advance(h, 10);
	inject(h, ". 189801:191261 ack 1");
	harness_events(h);
	harness_read(h, 1460);
	assert_int_equal(h->c->receive_limit, 2 * TCP_BUFFER_START);
	harness_discard(h);
}

static void
a_send_buffer_follows_the_congestion_window(void **state)
{
	h->config.send_buffer = 1 << 20;
	start();
	assert_int_equal(tcp_writable(h->c), TCP_BUFFER_START);
	h->c->congestion.window = 150000;
	assert_int_equal(tcp_writable(h->c), 300000);
	h->c->congestion.window = 1 << 30;
	assert_int_equal(tcp_writable(h->c), 448 * 1024);
}

/* ---- who wants too much ---- */

/* Every other byte from `from` on. */
static void
inject_tiny(uint32_t from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u ack 1", from + 2 * i, from + 2 * i + 1);
		inject(h, text);
	}
	harness_discard(h);
}

/* Whoever has sent it. */
static void
forget_what_was_sent(void)
{
	struct rte_mbuf *m;

	advance(h, 5);
	while ((m = harness_take(h)))
		rte_pktmbuf_free(m);
}

static struct tcp_connection *
another(uint16_t port)
{
	struct tcp_connection *c;

	forget_what_was_sent();
	h->c = NULL;
	h->remote.port_be = htons(port);
	h->have_local_isn = false;
	h->read = 0;
	harness_accept(h, "mss 1000,sackOK", 65535);
	h->c->quick_acks = 0;
	c = h->c;
	return c;
}

static void
tiny_segments_ahead_of_a_gap_count_as_whole_mbufs(void **state)
{
	start();
	leave(FREE_FOR_SHARE(40));
	inject_tiny(100, 60);
	assert_int_equal(h->c->trouble->range_mbufs, 40);
	assert_int_equal(harness_count(h, "drop_no_memory"), 20);
	/* And take from the window what as many full ones would. */
	assert_true(tcp_memory_receive_room(h->c) <= TCP_BUFFER_MIN);
}

static void
tiny_segments_in_order_share_mbufs(void **state)
{
	uint32_t before;

	start();
	before = support_pool_available();
	for (uint32_t i = 1; i <= 4000; i++) {
		char text[64];

		snprintf(text, sizeof(text), ". %u:%u ack 1", i, i + 1);
		inject(h, text);
		if (i % 1000 == 0)
			harness_discard(h);
	}
	assert_true(before - support_pool_available() <= 4000 / 512 + 1);
	harness_events(h);
	harness_read(h, 4000);
}

static void
a_flood_ahead_of_gaps_leaves_the_reserve(void **state)
{
	struct tcp_connection *first;

	harness_start(h);
	first = another(1000);
	for (uint32_t i = 0; i < 60; i++) {
		inject_tiny(100, 120);
		advance(h, 1);
		if (i < 59)
			another((uint16_t)(1001 + i));
	}
	assert_true(support_pool_available() >= LOW - 130);
	assert_true(harness_count(h, "drop_no_memory") > 0);
	/* Who has memory already need not give it back for that. */
	assert_int_equal(first->trouble->range_count, 120);
	assert_int_equal(harness_count(h, "reneged"), 0);
}

/* RFC 2018 section 8, as little as possible of it. */
static void
what_is_ahead_of_the_oldest_gap_goes_when_nearly_nothing_is_left(void **state)
{
	struct tcp_connection *first, *last;

	harness_start(h);
	first = another(1000);
	inject_tiny(100, 100);
	last = another(1001);
	inject_tiny(100, 100);
	harness_starve(h, LOW / 2 - 50);
	advance(h, 2);
	assert_int_equal(first->trouble->range_count, 0);
	assert_int_equal(last->trouble->range_count, 100);
	assert_int_equal(harness_count(h, "reneged"), 1);
	/* Its gap filled, the peer is told no more than what is there. */
	h->c = first;
	h->remote = *tcp_remote(first);
	h->local_isn = first->snd_iss;
	harness_feed(h);
	advance(h, 2);
	inject(h, ". 1:100 ack 1");
	advance(h, 10);
	expect(h, ". 1:1 ack 100 <>");
	harness_events(h);
	harness_read(h, 99);
}

static void
who_has_his_share_gets_no_more_when_memory_is_low(void **state)
{
	harness_start(h);
	another(1000);
	for (uint32_t at = 1, i = 0; i < 20; i++, at += 1400) {
		char text[64];

		if (i == 10)
			leave(LOW - 10);
		snprintf(text, sizeof(text), ". %u:%u ack 1", at, at + 1400);
		inject(h, text);
	}
	assert_int_equal(h->c->received.mbufs, TCP_SHARE_MIN);
	assert_int_equal(harness_count(h, "drop_no_memory"), 4);
	harness_discard(h);
	harness_events(h);
	/* He reads, and what was dropped is sent again. */
	harness_read(h, TCP_SHARE_MIN * 1400);
	inject(h, ". 22401:23801 ack 1");
	harness_events(h);
	harness_read(h, 1400);
	harness_discard(h);
}

/* Each has its window full; the first were promised the most. */
static void
many_who_do_not_read_leave_the_reserve(void **state)
{
	h->config.receive_buffer = 1 << 18;
	harness_start(h);
	for (uint16_t port = 1000; port < 1060; port++) {
		another(port);
		for (uint32_t at = 1; !sequence_after(h->remote_isn + at + 1400, h->c->rcv_edge) && at < 300000;
		     at += 1400) {
			char text[64];
			uint32_t before = h->c->rcv_nxt;

			snprintf(text, sizeof(text), ". %u:%u ack 1", at, at + 1400);
			inject(h, text);
			harness_discard(h);
			advance(h, 1);
			if (h->c->rcv_nxt == before)
				break;
		}
		harness_events(h);
	}
	forget_what_was_sent();
	assert_true(support_pool_available() >= LOW / 2 - 60 * 2);
}

static void
data_ack_and_fin_without_memory_are_sent_later(void **state)
{
	start();
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	harness_write(h, 2500);
	tcp_shutdown(h->c);
	harness_starve(h, 0);
	expect_nothing(h);
	advance(h, 1000);
	expect_nothing(h);
	harness_feed(h);
	advance(h, 20);
	expect(h, ". 1:1001 ack 2001");
	expect(h, ". 1001:2001 ack 2001");
	expect(h, "FP. 2001:2501 ack 2001");
	harness_events(h);
	harness_read(h, 2000);
}

static void
part_of_a_burst_without_memory_is_sent_later(void **state)
{
	start();
	harness_write(h, 5000);
	harness_starve(h, 2);
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 1001:2001 ack 1");
	harness_starve(h, 0);
	expect_nothing(h);
	harness_feed(h);
	advance(h, 20);
	expect(h, ". 2001:3001 ack 1");
	expect(h, ". 3001:4001 ack 1");
	expect(h, "P. 4001:5001 ack 1");
}

static void
a_retransmission_without_memory_is_sent_later(void **state)
{
	start();
	harness_write(h, 5000);
	harness_discard(h);
	harness_starve(h, 1);
	inject(h, ". 1:1 ack 1");
	inject(h, ". 1:1 ack 1");
	inject(h, ". 1:1 ack 1");
	harness_starve(h, 0);
	expect_nothing(h);
	harness_feed(h);
	advance(h, 20);
	expect(h, ". 1:1001 ack 1");
	expect_nothing(h);
}

static void
a_reset_without_memory_is_not_sent_and_nothing_breaks(void **state)
{
	start();
	harness_starve(h, 0);
	tcp_abort(h->c);
	harness_feed(h);
	expect_nothing(h);
	assert_false(tcp_knows(h->stack, &h->local, &h->remote));
}

/* Two connections in one stack: h->c with port 40000, and another that is returned. */
static struct tcp_connection *
second(void)
{
	struct tcp_connection *first = h->c, *c;

	h->c = NULL;
	h->remote.port_be++;
	h->have_local_isn = false;
	harness_accept(h, "mss 1000", 65535);
	c = h->c;
	h->c = first;
	return c;
}

static void
bytes_move_between_connections_without_copying_whole_mbufs(void **state)
{
	struct tcp_connection *to, *from;
	uint32_t available;

	start();
	from = h->c;
	inject(h, ". 1:1461 ack 1");
	inject(h, ". 1461:2921 ack 1");
	inject(h, ". 2921:3021 ack 1");
	harness_discard(h);
	harness_events(h);
	to = second();
	available = support_pool_available();
	assert_int_equal(tcp_move(to, from, 2000), 2000);
	/* One mbuf went over; of the other, what was left was copied. */
	assert_true(available - support_pool_available() <= 1);
	assert_int_equal(tcp_readable(from), 1020);
	assert_int_equal(tcp_unsent(to), 2000);
	assert_int_equal(tcp_move(to, from, 5000), 1020);
	assert_int_equal(tcp_readable(from), 0);
	h->c = to;
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 1001:2001 ack 1");
	expect(h, ". 2001:3001 ack 1");
	expect(h, "P. 3001:3021 ack 1");
	inject(h, ". 1:1 ack 3021");
	assert_int_equal(tcp_unsent(to), 0);
}

static void
moving_is_bounded_by_the_send_buffer_and_opens_the_window(void **state)
{
	struct tcp_connection *to, *from;

	h->config.send_buffer = 2048;
	h->config.receive_buffer = 4096;
	start();
	from = h->c;
	inject(h, ". 1:1461 ack 1");
	inject(h, ". 1461:2921 ack 1");
	inject(h, ". 2921:4097 ack 1");
	expect(h, ". 1:1 ack 4097 win 0");
	harness_events(h);
	to = second();
	assert_int_equal(tcp_move(to, from, UINT32_MAX), 2048);
	assert_int_equal(tcp_writable(to), 0);
	assert_int_equal(tcp_move(to, from, UINT32_MAX), 0);
	assert_int_equal(tcp_readable(from), 2048);
	h->c = to;
	expect(h, ". 1:1001 ack 1");
	expect(h, ". 1001:2001 ack 1");
	expect(h, "P. 2001:2049 ack 1");
	inject(h, ". 1:1 ack 2049");
	assert_int_equal(harness_events(h), TCP_WRITABLE);
	/* The other has told its peer of the room. */
	h->remote = *tcp_remote(from);
	h->local_isn = from->snd_iss;
	expect(h, ". 1:1 ack 4097 win 2048");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_syn_ack_without_memory_is_sent_later),
		TEST(a_syn_without_memory_is_sent_later),
		TEST(a_write_without_memory_takes_nothing_and_tells_when_to_go_on),
		TEST(the_last_mbufs_are_kept_for_what_drains_the_buffers),
		TEST(buffers_shrink_with_what_is_left),
		TEST(a_window_follows_what_is_read_in_a_round_trip),
		TEST(a_send_buffer_follows_the_congestion_window),
		TEST(tiny_segments_ahead_of_a_gap_count_as_whole_mbufs),
		TEST(tiny_segments_in_order_share_mbufs),
		TEST(a_flood_ahead_of_gaps_leaves_the_reserve),
		TEST(what_is_ahead_of_the_oldest_gap_goes_when_nearly_nothing_is_left),
		TEST(who_has_his_share_gets_no_more_when_memory_is_low),
		TEST(many_who_do_not_read_leave_the_reserve),
		TEST(data_ack_and_fin_without_memory_are_sent_later),
		TEST(part_of_a_burst_without_memory_is_sent_later),
		TEST(a_retransmission_without_memory_is_sent_later),
		TEST(a_reset_without_memory_is_not_sent_and_nothing_breaks),
		TEST(bytes_move_between_connections_without_copying_whole_mbufs),
		TEST(moving_is_bounded_by_the_send_buffer_and_opens_the_window),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
