/*
 * Without mbufs nothing is lost for good; and bytes moved from one connection to another.
 */
#include "script.h"
#include "tcp/output.h"

static void
start(void)
{
	harness_start(h);
	harness_accept(h, "mss 1000", 65535);
	h->c->quick_acks = 0;
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

static void
the_last_mbufs_are_kept_for_what_drains_the_buffers(void **state)
{
	h->config.send_buffer = 1 << 21;
	start();
	harness_starve(h, 600);
	for (int i = 0; i < 50; i++) {
		harness_write(h, 20000);
		advance(h, 2);
	}
	assert_int_equal(harness_write(h, 1), 0);
	assert_in_range(support_pool_available(), SUPPORT_POOL_SIZE / 8 - 20, SUPPORT_POOL_SIZE / 8);
	/* Nor is the peer promised more than it has been. */
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	harness_events(h);
	harness_read(h, 2000);
	/* Ten segments of data, and the ACK. */
	assert_int_equal(harness_discard(h), 11);
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
	/* SYN's window is not scaled, so there is more to offer. */
	assert_int_equal(tcp_window_offer(h->c), 1 << 18);
	harness_starve(h, SUPPORT_POOL_SIZE / 2 - 1);
	advance(h, 2);
	assert_int_equal(tcp_writable(h->c), 1 << 17);
	assert_int_equal(tcp_window_offer(h->c), 1 << 17);
	harness_starve(h, SUPPORT_POOL_SIZE / 4 - 1);
	advance(h, 2);
	assert_int_equal(tcp_writable(h->c), 1 << 16);
	/* As offered before: the right edge moves by no less than a segment. */
	assert_int_equal(tcp_window_offer(h->c), 65535);
	harness_feed(h);
	advance(h, 2);
	/* What was offered is not taken back. */
	inject(h, ". 1:1001 ack 1");
	inject(h, ". 1001:2001 ack 1");
	harness_events(h);
	harness_discard(h);
	harness_starve(h, SUPPORT_POOL_SIZE / 4 - 1);
	advance(h, 2);
	assert_int_equal(h->c->rcv_edge - h->c->rcv_nxt, (1 << 18) - 2000);
	assert_int_equal(tcp_window_offer(h->c), (1 << 18) - 2000);
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
