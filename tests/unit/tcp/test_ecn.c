/*
 * Explicit Congestion Notification (RFC 3168), by its sections.
 */
#include <rte_tcp.h>

#include "script.h"

#define OPTIONS "mss 1000,sackOK"

/* The peer asks for it, and gets it. */
static void
accept_ecn(void)
{
	harness_start(h);
	inject(h, "SEW 0:0 win 65535 <" OPTIONS ">");
	expect(h, "SE. 0:0 ack 1 ecn 0");
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	h->c->quick_acks = 0;
}

static void
connect_ecn(void)
{
	h->config.ecn = TCP_ECN_ON;
	harness_start(h);
	harness_dial(h);
	expect(h, "SEW 0:0 ecn 0");
	inject(h, "SE. 0:0 ack 1 <" OPTIONS ">");
	assert_int_equal(harness_events(h), TCP_CONNECTED);
	expect(h, ". 1:1 ack 1 ecn 0");
}

/* ---- the SYNs ---- */

static void
rfc3168_6_1_1_a_peer_that_asks_is_answered(void **state)
{
	accept_ecn();
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 2");
	assert_int_equal(harness_count(h, "ecn_agreed"), 1);
}

static void
rfc3168_6_1_1_only_both_flags_ask(void **state)
{
	harness_start(h);
	inject(h, "SE 0:0 win 65535 <" OPTIONS ">");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	harness_events(h);
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

static void
a_peer_that_asks_is_declined_when_it_is_off(void **state)
{
	h->config.ecn = TCP_ECN_OFF;
	harness_start(h);
	inject(h, "SEW 0:0 win 65535 <" OPTIONS ">");
	expect(h, "S. 0:0 ack 1");
}

static void
rfc3168_6_1_1_our_syn_asks_when_it_is_on(void **state)
{
	connect_ecn();
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 2");
}

static void
our_syn_does_not_ask_by_default(void **state)
{
	harness_start(h);
	harness_dial(h);
	expect(h, "S 0:0");
	/* A peer that answers what was not asked has no say. */
	inject(h, "SE. 0:0 ack 1 <" OPTIONS ">");
	harness_events(h);
	expect(h, ". 1:1 ack 1");
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

/* A reflection of our own flags is no agreement. */
static void
rfc3168_6_1_1_an_answer_with_cwr_declines(void **state)
{
	h->config.ecn = TCP_ECN_ON;
	harness_start(h);
	harness_dial(h);
	expect(h, "SEW 0:0");
	inject(h, "SEW. 0:0 ack 1 <" OPTIONS ">");
	harness_events(h);
	expect(h, ". 1:1 ack 1");
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

static void
rfc3168_6_1_1_1_a_syn_without_an_answer_goes_again_without(void **state)
{
	h->config.ecn = TCP_ECN_ON;
	harness_start(h);
	harness_dial(h);
	expect(h, "SEW 0:0");
	advance(h, 1010);
	expect(h, "S 0:0");
	/* Even if the answer is to the first. */
	inject(h, "SE. 0:0 ack 1 <" OPTIONS ">");
	harness_events(h);
	expect(h, ". 1:1 ack 1");
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

static void
rfc3168_6_1_1_1_a_peer_that_gives_up_asking_is_heard(void **state)
{
	harness_start(h);
	inject(h, "SEW 0:0 win 65535 <" OPTIONS ">");
	expect(h, "SE. 0:0 ack 1");
	inject(h, "S 0:0 win 65535 <" OPTIONS ">");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	harness_events(h);
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

/* In the lowest bit of our timestamp, at whatever time it is. */
static void
cookie_at(uint32_t ms, const char *syn, const char *answer, const char *data)
{
	char ack[64];

	h->config.syn_cookies = TCP_COOKIES_ALWAYS;
	harness_start(h);
	advance(h, ms);
	inject(h, syn);
	expect(h, answer);
	snprintf(ack, sizeof(ack), ". 1:1 ack 1 <ts 8:%u>", ms);
	inject(h, ack);
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	harness_write(h, 900);
	expect(h, data);
}

static void
a_cookie_keeps_it_with_timestamps(void **state)
{
	cookie_at(5, "SEW 0:0 win 65535 <mss 1460,sackOK,ts 7:0>", "SE. 0:0 ack 1", "P. 1:901 ack 1 ecn 2");
}

static void
a_cookie_keeps_it_a_millisecond_later_too(void **state)
{
	cookie_at(6, "SEW 0:0 win 65535 <mss 1460,sackOK,ts 7:0>", "SE. 0:0 ack 1", "P. 1:901 ack 1 ecn 2");
}

static void
a_cookie_gives_nothing_that_was_not_asked_for(void **state)
{
	cookie_at(5, "S 0:0 win 65535 <mss 1460,sackOK,ts 7:0>", "S. 0:0 ack 1", "P. 1:901 ack 1 ecn 0");
}

static void
a_cookie_gives_nothing_that_was_not_asked_for_a_millisecond_later(void **state)
{
	cookie_at(6, "S 0:0 win 65535 <mss 1460,sackOK,ts 7:0>", "S. 0:0 ack 1", "P. 1:901 ack 1 ecn 0");
}

static void
a_cookie_declines_it_without_timestamps(void **state)
{
	h->config.syn_cookies = TCP_COOKIES_ALWAYS;
	harness_start(h);
	inject(h, "SEW 0:0 win 65535 <mss 1460,sackOK>");
	expect(h, "S. 0:0 ack 1");
	inject(h, ". 1:1 ack 1");
	harness_events(h);
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 0");
}

/* ---- the sender ---- */

static void
rfc3168_6_1_2_an_echo_reduces_the_window_once_in_a_round_trip(void **state)
{
	accept_ecn();
	h->c->congestion.window = 20000;
	harness_write(h, 20000);
	assert_int_equal(harness_discard(h), 20);
	inject(h, "E. 1:1 ack 2001");
	assert_int_equal(h->c->congestion.window, 17000);
	inject(h, "E. 1:1 ack 4001");
	inject(h, "E. 1:1 ack 20001");
	assert_int_equal(h->c->congestion.window, 17000);
	assert_int_equal(harness_count(h, "ecn_reductions"), 1);
	/* The first new data says so, and nothing after it. */
	harness_write(h, 3000);
	expect(h, "W. 20001:21001 ack 1 ecn 2");
	expect(h, ". 21001:22001 ack 1 ecn 2");
	expect(h, "P. 22001:23001 ack 1 ecn 2");
	/* In the next round trip it would be another mark. */
	inject(h, "E. 1:1 ack 23001");
	assert_int_equal(h->c->congestion.window, 14450);
}

static void
rfc3168_6_1_2_a_loss_in_a_window_that_was_marked_does_not_reduce_it_again(void **state)
{
	accept_ecn();
	h->c->congestion.window = 20000;
	harness_write(h, 20000);
	harness_discard(h);
	inject(h, "E. 1:1 ack 2001");
	inject(h, "E. 1:1 ack 2001 <sack 3001:6001>");
	assert_int_equal(harness_count(h, "fast_retransmits"), 1);
	assert_int_equal(h->c->congestion.threshold, 17000);
}

static void
rfc3168_6_1_2_a_loss_is_told_as_well(void **state)
{
	accept_ecn();
	h->c->congestion.window = 20000;
	harness_write(h, 6000);
	harness_discard(h);
	inject(h, ". 1:1 ack 1 <sack 1001:5001>");
	expect(h, ". 1:1001 ack 1 ecn 0");
	harness_write(h, 1000);
	expect(h, "PW. 6001:7001 ack 1 ecn 2");
}

static void
rfc3168_6_1_5_what_is_sent_again_cannot_be_marked(void **state)
{
	accept_ecn();
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 2");
	advance(h, 1100);
	expect(h, ". 1:1001 ack 1 ecn 0");
}

static void
rfc3168_6_1_6_a_window_probe_cannot_be_marked(void **state)
{
	accept_ecn();
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 1 ecn 2");
	inject(h, ". 1:1 ack 1001 win 0");
	harness_write(h, 1000);
	advance(h, 1100);
	expect(h, ". 1001:1002 ack 1 ecn 0");
}

/* ---- the receiver ---- */

static void
rfc3168_6_1_3_a_mark_is_echoed_until_the_peer_has_slowed_down(void **state)
{
	accept_ecn();
	inject(h, ". 1:1001 ack 1 ecn 3");
	inject(h, ". 1001:2001 ack 1 ecn 2");
	expect(h, "E. 1:1 ack 2001 ecn 0");
	harness_write(h, 1000);
	expect(h, "PE. 1:1001 ack 2001 ecn 2");
	inject(h, "W. 2001:3001 ack 1001 ecn 2");
	inject(h, ". 3001:4001 ack 1001 ecn 2");
	expect(h, ". 1001:1001 ack 4001 ecn 0");
	/* The same segment may bring the next. */
	inject(h, "W. 4001:5001 ack 1001 ecn 3");
	inject(h, ". 5001:6001 ack 1001 ecn 2");
	expect(h, "E. 1001:1001 ack 6001");
	assert_int_equal(harness_count(h, "ecn_marks"), 2);
	harness_events(h);
	harness_read(h, 6000);
}

static void
rfc3168_6_1_4_a_mark_on_a_pure_ack_says_nothing(void **state)
{
	accept_ecn();
	inject(h, ". 1:1 ack 1 ecn 3");
	inject(h, ". 1:1001 ack 1 ecn 2");
	inject(h, ". 1001:2001 ack 1 ecn 2");
	expect(h, ". 1:1 ack 2001");
	harness_events(h);
	harness_read(h, 2000);
}

static void
rfc3168_6_1_5_a_mark_outside_the_window_says_nothing(void **state)
{
	accept_ecn();
	inject(h, ". 1:1001 ack 1 ecn 2");
	inject(h, ". 1001:2001 ack 1 ecn 2");
	expect(h, ". 1:1 ack 2001");
	inject(h, ". 1:1001 ack 1 ecn 3");
	expect(h, ". 1:1 ack 2001");
	harness_events(h);
	harness_read(h, 2000);
}

static void
a_peer_that_has_not_agreed_is_not_echoed(void **state)
{
	script_open(OPTIONS);
	inject(h, ". 1:1001 ack 1 ecn 3");
	inject(h, ". 1001:2001 ack 1 ecn 3");
	expect(h, ". 1:1 ack 2001");
	harness_write(h, 1000);
	expect(h, "P. 1:1001 ack 2001 ecn 0");
	inject(h, "E. 2001:2001 ack 1001");
	assert_int_equal(harness_count(h, "ecn_reductions"), 0);
	harness_events(h);
	harness_read(h, 2000);
}

/* Devices differ in which of several segments that leave as one say CWR. */
static void
of_several_that_leave_as_one_none_says_cwr(void **state)
{
	struct rte_mbuf *m;

	h->whole = true;
	accept_ecn();
	h->c->congestion.window = 10000;
	harness_write(h, 5000);
	m = harness_take(h);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	rte_pktmbuf_free(m);
	inject(h, "E. 1:1 ack 5001");
	harness_write(h, 5000);
	expect(h, "W. 5001:6001 ack 1 ecn 2");
	m = harness_take(h);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	assert_false(rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, m->l3_len)->tcp_flags & RTE_TCP_CWR_FLAG);
	rte_pktmbuf_free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, script_set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc3168_6_1_1_a_peer_that_asks_is_answered),
		TEST(rfc3168_6_1_1_only_both_flags_ask),
		TEST(a_peer_that_asks_is_declined_when_it_is_off),
		TEST(rfc3168_6_1_1_our_syn_asks_when_it_is_on),
		TEST(our_syn_does_not_ask_by_default),
		TEST(rfc3168_6_1_1_an_answer_with_cwr_declines),
		TEST(rfc3168_6_1_1_1_a_syn_without_an_answer_goes_again_without),
		TEST(rfc3168_6_1_1_1_a_peer_that_gives_up_asking_is_heard),
		TEST(a_cookie_keeps_it_with_timestamps),
		TEST(a_cookie_keeps_it_a_millisecond_later_too),
		TEST(a_cookie_gives_nothing_that_was_not_asked_for),
		TEST(a_cookie_gives_nothing_that_was_not_asked_for_a_millisecond_later),
		TEST(a_cookie_declines_it_without_timestamps),
		TEST(rfc3168_6_1_2_an_echo_reduces_the_window_once_in_a_round_trip),
		TEST(rfc3168_6_1_2_a_loss_in_a_window_that_was_marked_does_not_reduce_it_again),
		TEST(rfc3168_6_1_2_a_loss_is_told_as_well),
		TEST(rfc3168_6_1_5_what_is_sent_again_cannot_be_marked),
		TEST(rfc3168_6_1_6_a_window_probe_cannot_be_marked),
		TEST(rfc3168_6_1_3_a_mark_is_echoed_until_the_peer_has_slowed_down),
		TEST(rfc3168_6_1_4_a_mark_on_a_pure_ack_says_nothing),
		TEST(rfc3168_6_1_5_a_mark_outside_the_window_says_nothing),
		TEST(a_peer_that_has_not_agreed_is_not_echoed),
		TEST(of_several_that_leave_as_one_none_says_cwr),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
