/*
 * Several segments that leave as one, for the port to cut up: what is in them, and what becomes of them.
 */
#include <rte_ip.h>
#include <rte_tcp.h>

#include "script.h"

static int
set_up(void **state)
{
	script_set_up(state);
	h->config.send_buffer = 1 << 18;
	return 0;
}

/* A window of 64 KB times eight on both sides, MSS 1000. */
static void
start(void)
{
	harness_start(h);
	harness_accept(h, "mss 1000,wscale 3", 65535);
	h->c->congestion.window = 1 << 20;
}

static const struct rte_tcp_hdr *
tcp_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, m->l3_len);
}

/* The next that leaves is bytes `from` to `to`, with `flags`, in segments of 1000. */
static struct rte_mbuf *
assert_large(uint32_t from, uint32_t to, uint8_t flags)
{
	struct rte_mbuf *m = harness_take(h);
	uint32_t header_len, len = to - from;
	static uint8_t copy[1 << 16];
	const uint8_t *data;

	assert_non_null(m);
	header_len = (uint32_t)m->l3_len + m->l4_len;
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	assert_int_equal(m->tso_segsz, 1000);
	assert_int_equal(ntohl(tcp_of(m)->sent_seq) - h->local_isn, from);
	assert_int_equal(m->pkt_len, header_len + len);
	assert_int_equal(tcp_of(m)->tcp_flags, flags);
	assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
	data = rte_pktmbuf_read(m, header_len, len, copy);
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != harness_pattern(from - 1 + i))
			fail_msg("wrong payload at %u", from + i);
	return m;
}

static void
what_the_windows_allow_leaves_as_one(void **state)
{
	struct rte_mbuf *m;

	start();
	h->whole = true;
	harness_write(h, 40500);
	m = assert_large(1, 40501, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG);
	assert_int_equal(ntohs(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->total_length), m->pkt_len);
	assert_true(rte_pktmbuf_headroom(m) >= RTE_PKTMBUF_HEADROOM);
	rte_pktmbuf_free(m);
	assert_null(harness_take(h));
	assert_int_equal(harness_count(h, "segments_sent"), 1 + 41);
	assert_int_equal(harness_count(h, "bytes_sent"), 40500);
}

static void
none_is_longer_than_64_kb(void **state)
{
	start();
	h->whole = true;
	harness_write(h, 130500);
	rte_pktmbuf_free(assert_large(1, 65001, RTE_TCP_ACK_FLAG));
	rte_pktmbuf_free(assert_large(65001, 130001, RTE_TCP_ACK_FLAG));
	h->whole = false;
	expect(h, "P. 130001:130501 ack 1");
}

static void
over_ipv6_too(void **state)
{
	struct rte_mbuf *m;

	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::1]:80"), 0, &h->local), 0);
	assert_int_equal(endpoint_parse(bytes_of_string("[2001:db8::2]:40000"), 0, &h->remote), 0);
	start();
	h->whole = true;
	harness_write(h, 70000);
	m = assert_large(1, 65001, RTE_TCP_ACK_FLAG);
	assert_int_equal(ntohs(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->payload_len), m->pkt_len - 40);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(assert_large(65001, 70001, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG));
}

static void
a_window_ends_it_at_a_whole_segment(void **state)
{
	start();
	h->c->congestion.window = 10500;
	h->whole = true;
	harness_write(h, 30000);
	rte_pktmbuf_free(assert_large(1, 10001, RTE_TCP_ACK_FLAG));
	assert_null(harness_take(h));
}

static void
fin_is_behind_the_data(void **state)
{
	start();
	h->whole = true;
	harness_write(h, 3500);
	tcp_shutdown(h->c);
	rte_pktmbuf_free(assert_large(1, 3501, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG));
	assert_null(harness_take(h));
	inject(h, ". 1:1 ack 3502");
	assert_int_equal(h->c->state, TCP_STATE_FIN_WAIT_2);
	harness_events(h);
}

static void
one_segment_is_copied_as_ever(void **state)
{
	struct rte_mbuf *m;

	start();
	h->whole = true;
	harness_write(h, 1000);
	m = harness_take(h);
	assert_non_null(m);
	assert_int_equal(m->nb_segs, 1);
	assert_false(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	rte_pktmbuf_free(m);
}

/* The port may hold it long after the data is acknowledged, and more is written meanwhile. */
static void
what_a_port_still_holds_does_not_change(void **state)
{
	struct rte_mbuf *m, *more;

	start();
	h->whole = true;
	harness_write(h, 5300);
	m = assert_large(1, 5301, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG);
	harness_write(h, 2200);
	inject(h, ". 1:1 ack 2501");
	more = assert_large(5301, 7501, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG);
	inject(h, ". 1:1 ack 7501");
	assert_int_equal(h->c->sending.bytes, 0);
	harness_write(h, 100);
	rte_pktmbuf_free(harness_take(h));
	/* Sent as it was, byte for byte. */
	h->sent[h->sent_first] = m;
	h->sent_count = 1;
	rte_pktmbuf_free(assert_large(1, 5301, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG));
	rte_pktmbuf_free(more);
}

static void
an_ack_in_its_middle_counts(void **state)
{
	start();
	h->whole = true;
	harness_write(h, 10000);
	rte_pktmbuf_free(assert_large(1, 10001, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG));
	inject(h, ". 1:1 ack 3456");
	assert_int_equal(h->c->snd_una - h->local_isn, 3456);
	assert_int_equal(h->c->sending.bytes, 10001 - 3456);
	assert_null(harness_take(h));
	harness_write(h, 2000);
	rte_pktmbuf_free(assert_large(10001, 12001, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG));
}

/* Its round trip ends when the first of its segments is acknowledged, not the last. */
static void
its_first_segment_is_timed(void **state)
{
	start();
	harness_write(h, 20000);
	assert_int_equal(harness_discard(h), 20);
	assert_int_equal(h->c->rtt_sequence - h->local_isn, 1001);
	advance(h, 16);
	inject(h, ". 1:1 ack 2001");
	assert_in_range(tcp_srtt_us(h->c), 2000, 2002); /* the handshake took none: 1/8 of 16 ms */
}

static void
what_is_lost_of_it_is_sent_again_by_itself(void **state)
{
	start();
	harness_write(h, 10000);
	assert_int_equal(harness_discard(h), 10);
	inject(h, ". 1:1 ack 4001");
	for (int i = 0; i < 3; i++)
		inject(h, ". 1:1 ack 4001");
	expect(h, ". 4001:5001 ack 1");
	expect_nothing(h);
	inject(h, ". 1:1 ack 10001");
	assert_int_equal(harness_count(h, "retransmitted_segments"), 1);
}

static void
after_a_timeout_segments_go_one_by_one(void **state)
{
	struct rte_mbuf *m;

	start();
	h->whole = true;
	harness_write(h, 10000);
	rte_pktmbuf_free(assert_large(1, 10001, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG));
	advance(h, 300);
	h->c->congestion.window = 1 << 20;
	for (int i = 0; (m = harness_take(h)); i++) {
		assert_false(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(ntohl(tcp_of(m)->sent_seq) - h->local_isn, 1 + 1000 * i);
		rte_pktmbuf_free(m);
		inject(h, ". 1:1 ack 1");
		tcp_connection_schedule(h->c);
	}
}

static void
without_mbufs_for_references_segments_go_one_by_one(void **state)
{
	struct rte_mbuf *m;
	uint32_t count = 0;

	start();
	h->whole = true;
	harness_write(h, 20000);
	/* Enough for the copies of a few segments, not for as many references as the data has mbufs. */
	harness_starve(h, 5);
	while ((m = harness_take(h))) {
		assert_false(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(m->nb_segs, 1);
		rte_pktmbuf_free(m);
		count++;
	}
	assert_int_equal(count, 5);
	harness_feed(h);
	advance(h, 20);
	/* The pool is no longer short. */
	m = harness_take(h);
	assert_non_null(m);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	rte_pktmbuf_free(m);
}

static void
small_segments_are_not_gathered(void **state)
{
	struct rte_mbuf *m;

	harness_start(h);
	harness_accept(h, "mss 500,wscale 3", 65535);
	h->whole = true;
	harness_write(h, 3000);
	for (int i = 0; i < 6; i++) {
		m = harness_take(h);
		assert_non_null(m);
		assert_false(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		rte_pktmbuf_free(m);
	}
	assert_null(harness_take(h));
}

static void
who_does_not_ask_gets_none(void **state)
{
	struct rte_mbuf *m;

	h->config.large_segments = false;
	start();
	h->whole = true;
	harness_write(h, 5000);
	for (int i = 0; i < 5; i++) {
		m = harness_take(h);
		assert_non_null(m);
		assert_int_equal(m->nb_segs, 1);
		rte_pktmbuf_free(m);
	}
	assert_null(harness_take(h));
}

/* Data that came in is handed on by reference twice over. */
static void
moved_data_is_referred_to(void **state)
{
	struct rte_mbuf *m;

	start();
	for (int i = 0; i < 8; i++) {
		char text[64];

		snprintf(text, sizeof(text), "P. %d:%d ack 1", 1 + i * 1700, 1701 + i * 1700);
		inject(h, text);
	}
	harness_events(h);
	harness_discard(h);
	h->whole = true;
	assert_int_equal(tcp_move(h->c, h->c, 13600), 13600);
	m = assert_large(1, 13601, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG);
	assert_int_equal(m->nb_segs, 1 + 8);
	inject(h, ". 13601:13601 ack 13601");
	rte_pktmbuf_free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_windows_allow_leaves_as_one),
		TEST(none_is_longer_than_64_kb),
		TEST(over_ipv6_too),
		TEST(a_window_ends_it_at_a_whole_segment),
		TEST(fin_is_behind_the_data),
		TEST(one_segment_is_copied_as_ever),
		TEST(what_a_port_still_holds_does_not_change),
		TEST(an_ack_in_its_middle_counts),
		TEST(its_first_segment_is_timed),
		TEST(what_is_lost_of_it_is_sent_again_by_itself),
		TEST(after_a_timeout_segments_go_one_by_one),
		TEST(without_mbufs_for_references_segments_go_one_by_one),
		TEST(small_segments_are_not_gathered),
		TEST(who_does_not_ask_gets_none),
		TEST(moved_data_is_referred_to),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
