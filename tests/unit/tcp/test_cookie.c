/*
 * SYN cookies (RFC 4987 section 3.6): what survives in them, and a flood.
 */
#include <rte_tcp.h>

#include "base/clock.h"
#include "script.h"

#define BACKLOG 16

static int
set_up(void **state)
{
	script_set_up(state);
	h->config.syn_backlog = BACKLOG;
	h->config.cookie_secret[0] = 0x1234;
	h->config.syn_cookies = TCP_COOKIES_ALWAYS;
	return 0;
}

static void
rfc4987_3_6_nothing_is_kept_for_a_syn(void **state)
{
	struct tcp_usage usage;

	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK,wscale 7,ts 5:0>");
	expect(h, "S. 0:0 ack 1 win 65535 <mss 1460,sackOK,ts 0:5,wscale 0>");
	tcp_usage(h->stack, &usage);
	assert_int_equal(usage.connections, 0);
	/* Not even a timer: it is not sent again. */
	advance(h, 5000);
	expect_nothing(h);
	inject(h, "P. 1:101 ack 1 win 1000 <ts 6:1>");
	assert_int_equal(harness_events(h), TCP_ACCEPTED | TCP_READABLE);
	harness_read(h, 100);
	assert_int_equal(h->c->state, TCP_STATE_ESTABLISHED);
	assert_int_equal(h->stack->half_open, 0);
	harness_write(h, 10);
	expect(h, "P. 1:11 ack 101");
	assert_int_equal(harness_count(h, "cookies_accepted"), 1);
}

static void
rfc4987_3_6_mss_scale_sack_and_timestamps_survive(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1460,sackOK,wscale 9,ts 5:0", 100);
	assert_int_equal(h->c->mss, 1460);
	assert_int_equal(h->c->snd_scale, 9);
	assert_int_equal(h->c->snd_wnd, 100 << 9);
	assert_true(h->c->flags & TCP_SACK);
	assert_true(h->c->flags & TCP_TIMESTAMPS);
	assert_int_equal(h->c->ts_recent, 5);
}

static void
rfc4987_3_6_they_survive_without_timestamps_too(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1400,sackOK,wscale 14", 1);
	assert_int_equal(h->c->mss, 1400);
	assert_int_equal(h->c->snd_scale, 14);
	assert_true(h->c->flags & TCP_SACK);
	assert_false(h->c->flags & TCP_TIMESTAMPS);
}

static void
what_the_peer_did_not_offer_is_not_made_up(void **state)
{
	harness_start(h);
	harness_accept(h, "", 1000);
	assert_int_equal(h->c->mss, 536);
	assert_int_equal(h->c->snd_scale, 0);
	assert_int_equal(h->c->rcv_scale, 0);
	assert_false(h->c->flags & (TCP_SACK | TCP_TIMESTAMPS));
}

static void
rfc4987_3_6_the_next_lower_mss_of_the_table_is_taken(void **state)
{
	harness_start(h);
	harness_accept(h, "mss 1430", 1000);
	assert_int_equal(h->c->mss, 1400);
}

static void
rfc4987_3_6_a_guess_is_refused(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	for (uint32_t i = 0; i < 2000; i++) {
		char text[40];

		snprintf(text, sizeof(text), ". 1:1 ack %u", 2 + i * 77777);
		inject(h, text);
	}
	harness_discard(h);
	/* Another sequence number of the peer, another port: not this cookie. */
	inject(h, ". 2:2 ack 1");
	h->remote.port_be++;
	inject(h, ". 1:1 ack 1");
	harness_discard(h);
	assert_int_equal(harness_events(h), 0);
	assert_int_equal(harness_count(h, "cookies_accepted"), 0);
}

static void
rfc4987_3_6_a_cookie_is_good_for_a_minute_and_no_more_than_two(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460>");
	expect(h, "S. 0:0 ack 1");
	advance(h, 63000);
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	tcp_abort(h->c);
	h->c = NULL;
	harness_discard(h);
	advance(h, 130000);
	inject(h, ". 1:1 ack 1");
	expect(h, "R 1:1");
	assert_int_equal(harness_events(h), 0);
}

static void
rfc4987_3_6_keys_change_every_64_seconds(void **state)
{
	uint64_t before[2];

	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK>");
	expect(h, "S. 0:0 ack 1");
	memcpy(before, h->stack->cookies.keys[h->stack->cookies.period & 1], sizeof(before));
	advance(h, 64000);
	h->have_local_isn = false;
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK>");
	harness_discard(h);
	assert_memory_equal(h->stack->cookies.keys[(h->stack->cookies.period - 1) & 1], before, sizeof(before));
	assert_memory_not_equal(h->stack->cookies.keys[h->stack->cookies.period & 1], before, sizeof(before));
}

static void
lcores_take_each_others_cookies(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK>");
	expect(h, "S. 0:0 ack 1");
	/* Another stack with the same secret for cookies, and other secrets of its own. */
	harness_discard(h);
	tcp_stack_free(h->stack);
	h->config.secret[0]++;
	harness_start(h);
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
	assert_true(h->c->flags & TCP_SACK);
}

static void
none_is_believed_where_none_was_given(void **state)
{
	harness_start(h);
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK>");
	expect(h, "S. 0:0 ack 1");
	/* The right cookie, and a stack that has had no reason to make one. */
	harness_discard(h);
	tcp_stack_free(h->stack);
	h->config.syn_cookies = TCP_COOKIES_WHEN_FULL;
	harness_start(h);
	inject(h, ". 1:1 ack 1");
	expect(h, "R 1:1");
	/* Nor one whose last cookie is too old to come back. */
	h->stack->cookies.ready = true;
	h->stack->cookies.sent_ns = h->now_ns - 128 * NS_PER_SECOND;
	inject(h, ". 1:1 ack 1");
	expect(h, "R 1:1");
	assert_int_equal(harness_events(h), 0);
	h->stack->cookies.sent_ns++;
	inject(h, ". 1:1 ack 1");
	assert_int_equal(harness_events(h), TCP_ACCEPTED);
}

static void
rfc4987_3_6_only_a_full_backlog_makes_cookies(void **state)
{
	h->config.syn_cookies = TCP_COOKIES_WHEN_FULL;
	harness_start(h);
	for (int i = 0; i < 2 * BACKLOG; i++) {
		h->remote.port_be = htons((uint16_t)(2000 + i));
		inject(h, "S 0:0 win 65535 <mss 1460>");
		harness_discard(h);
	}
	assert_int_equal(h->stack->half_open, BACKLOG);
	assert_int_equal(harness_count(h, "cookies_sent"), BACKLOG);
	assert_int_equal(harness_count(h, "backlog_evicted"), 0);
}

static void
rfc4987_3_4_without_them_the_oldest_gives_way(void **state)
{
	h->config.syn_cookies = TCP_COOKIES_NEVER;
	harness_start(h);
	for (int i = 0; i < 2 * BACKLOG; i++) {
		h->remote.port_be = htons((uint16_t)(2000 + i));
		inject(h, "S 0:0 win 65535 <mss 1460>");
		harness_discard(h);
	}
	assert_int_equal(harness_count(h, "backlog_evicted"), BACKLOG);
	assert_int_equal(harness_count(h, "cookies_sent"), 0);
}

/* The answer to a SYN of the pair in h: our initial sequence number. */
static uint32_t
answer_to_syn(void)
{
	struct rte_mbuf *m;
	uint32_t sequence;

	h->have_local_isn = true; /* of no interest to the harness: there are many */
	inject(h, "S 0:0 win 65535 <mss 1460,sackOK,wscale 7>");
	m = harness_take(h);
	assert_non_null(m);
	sequence = ntohl(rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, m->l3_len)->sent_seq);
	rte_pktmbuf_free(m);
	return sequence;
}

/* Ten forged SYNs for every real one, whose ACK comes 50 ms later. */
static void
rfc4987_3_6_under_a_flood_real_connections_get_in(void **state)
{
	enum { CLIENTS = 2000, DELAY = 50, FORGED = 10 };
	static uint32_t answers[CLIENTS];
	uint32_t accepted = 0, events;
	struct tcp_connection *c;

	h->config.syn_cookies = TCP_COOKIES_WHEN_FULL;
	harness_start(h);
	for (uint32_t now = 0; now < CLIENTS + DELAY; now++) {
		for (uint32_t i = 0; i < FORGED; i++) {
			h->remote.ip = ip_address_from_v4(htonl(0xc6120000 + now * FORGED + i));
			h->remote.port_be = htons(1234);
			answer_to_syn();
		}
		assert_int_equal(endpoint_parse(bytes_of_string("198.51.100.7:1"), 0, &h->remote), 0);
		h->remote.port_be = htons((uint16_t)(1000 + now));
		if (now < CLIENTS)
			answers[now] = answer_to_syn();
		if (now >= DELAY) {
			h->remote.port_be = htons((uint16_t)(1000 + now - DELAY));
			h->local_isn = answers[now - DELAY];
			inject(h, ". 1:1 ack 1");
		}
		while ((c = tcp_ready(h->stack, &events))) {
			accepted += !!(events & TCP_ACCEPTED);
			tcp_abort(c);
		}
		while (h->sent_count > 0)
			rte_pktmbuf_free(harness_take(h));
		h->now_ns += NS_PER_MS;
		tcp_stack_time(h->stack, h->now_ns);
		tcp_timers(h->stack);
		tcp_flush(h->stack);
		while (h->sent_count > 0)
			rte_pktmbuf_free(harness_take(h));
	}
	assert_true(h->stack->half_open <= BACKLOG);
	assert_true(accepted >= CLIENTS * 99 / 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, script_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rfc4987_3_6_nothing_is_kept_for_a_syn),
		TEST(rfc4987_3_6_mss_scale_sack_and_timestamps_survive),
		TEST(rfc4987_3_6_they_survive_without_timestamps_too),
		TEST(what_the_peer_did_not_offer_is_not_made_up),
		TEST(rfc4987_3_6_the_next_lower_mss_of_the_table_is_taken),
		TEST(rfc4987_3_6_a_guess_is_refused),
		TEST(rfc4987_3_6_a_cookie_is_good_for_a_minute_and_no_more_than_two),
		TEST(rfc4987_3_6_keys_change_every_64_seconds),
		TEST(lcores_take_each_others_cookies),
		TEST(none_is_believed_where_none_was_given),
		TEST(rfc4987_3_6_only_a_full_backlog_makes_cookies),
		TEST(rfc4987_3_4_without_them_the_oldest_gives_way),
		TEST(rfc4987_3_6_under_a_flood_real_connections_get_in),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
