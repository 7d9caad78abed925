/* What the XDP program leaves to the workers, and why: packets that are not plain, servers that it cannot choose, nonsense. */
#include <linux/bpf.h>
#include <netinet/in.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"

/* ---- reasons ---- */

/* An established flow of one worker, and its packets in the form that the program forwards. */
static struct wire
established(const char *mode, const char *more, uint8_t ip_protocol)
{
	struct wire w = workers_opening(1, false, ip_protocol);

	pair_make(1, !workers_answers(mode), workers_services(mode, more), 1000, XDP_ANSWERS_TO_CLIENTS);
	if (pair.one_way)
		pair_assert_forwarded(&w);
	else
		pair_assert_up(&w, XDP_COUNT_UP_NO_FLOW);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	if (ip_protocol == IPPROTO_TCP && !pair.one_way)
		pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	return w;
}

static void
what_is_not_plain_goes_to_the_worker(void **state)
{
	struct wire plain = established("dsr", "", IPPROTO_UDP), w;

	pair_assert_forwarded(&plain);
	w = plain;
	w.ttl = 1;
	pair_assert_up(&w, XDP_COUNT_UP_TTL);
	w = plain;
	w.part = WIRE_FIRST;
	w.payload_len = 200;
	pair_assert_up(&w, XDP_COUNT_UP_FRAGMENT);
	w.part = WIRE_LATER;
	pair_assert_up(&w, XDP_COUNT_UP_FRAGMENT);
	w = plain;
	w.partial = true;
	pair_assert_up(&w, XDP_COUNT_UP_PARTIAL_SUM);
	w = plain;
	w.payload_len = 1500;
	pair_assert_up(&w, XDP_COUNT_UP_TOO_BIG);
	w.payload_len = 1500 - 28;
	pair_assert_forwarded(&w);
	w = plain;
	w.padded = true;
	pair_assert_forwarded(&w);
}

static void
tcp_that_changes_its_state_goes_to_the_worker(void **state)
{
	struct wire plain = established("nat", "", IPPROTO_TCP), w = plain;

	pair_assert_forwarded(&plain);
	w.tcp_flags = RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;
	pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	/* The rest of it goes on. */
	pair_assert_forwarded(&plain);
	w.tcp_flags = RTE_TCP_RST_FLAG;
	pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	w.tcp_flags = RTE_TCP_SYN_FLAG;
	pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
}

static void
what_changes_the_content_goes_to_the_worker(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_TCP);

	pair_make(1, false,
		  "stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; toa on; } }", 1000,
		  XDP_ANSWERS_TO_CLIENTS);
	pair_assert_up(&w, XDP_COUNT_UP_NO_FLOW);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	pair_assert_up(&w, XDP_COUNT_UP_CONTENT);
}

/* ---- who is chosen ---- */

#define SERVERS_TEXT "server 10.0.2.1:80; server 10.0.2.2:80 weight=2; server 10.0.2.3:80; "

/* `method` is the group's, `more` for the server. */
static void
serve_by(const char *method, const char *more)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "stream { upstream u { %s " SERVERS_TEXT "} "
		 "server { listen 10.0.1.1:80; listen 10.0.1.1:80 udp; proxy_pass u; forward dsr; } "
		 "server { listen [fd00:1::1]:80; listen [fd00:1::1]:80 udp; proxy_pass [2001:db8:2::1]:80; "
		 "forward ipip; %s } }",
		 method, more);
	pair_make(1, true, text, 4000, XDP_ANSWERS_TO_FORWARD);
}

static void
the_address_alone_may_choose(void **state)
{
	serve_by("hash $remote_addr consistent;", "");
	for (unsigned int n = 0; n < 300; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_UDP);

		pair_assert_up(&w, XDP_COUNT_UP_CHOICE);
	}
	pair_teardown(NULL);
	serve_by("maglev $remote_addr;", "");
	for (unsigned int n = 0; n < 300; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_TCP);
		uint32_t target;

		/* Or its first bucket is full. */
		if (!pair_run(&w))
			assert_int_equal(pair.out.why, XDP_COUNT_UP_NO_FLOW);
		target = workers_flow(&w)->target;
		w.source.port_be ^= 0x1234;
		pair_run(&w);
		assert_int_equal(workers_flow(&w)->target, target);
	}
}

static void
what_only_a_worker_can_choose_goes_there(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_TCP);

	serve_by("least_conn;", "");
	pair_assert_up(&w, XDP_COUNT_UP_CHOICE);
	/* What belongs to a flow that nobody knows is placed by Maglev, whatever the method. */
	w = workers_opening(2, false, IPPROTO_TCP);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	pair_assert_forwarded(&w);
	w = workers_opening(3, false, IPPROTO_UDP);
	pair_assert_up(&w, XDP_COUNT_UP_CHOICE);
	pair_assert_forwarded(&w);
	pair_teardown(NULL);

	serve_by("", "syn_rate 1;");
	w = workers_opening(1, true, IPPROTO_TCP);
	pair_assert_up(&w, XDP_COUNT_UP_CHOICE);
	/* Known by now: one a second. */
	pair_assert_forwarded(&w);
	w = workers_opening(2, true, IPPROTO_TCP);
	pair_assert_up(&w, XDP_COUNT_UP_CHOICE);
	assert_int_equal(workers_counter(L4_STATELESS), 1);
}

static void
nobody_is_chosen_where_nobody_is_there(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_UDP);

	serve_by("server 10.0.2.7:80 weight=0; server 10.0.2.8:80 down; } upstream other {", "");
	pair_assert_up(&w, XDP_COUNT_UP_NO_FLOW);
	assert_int_equal(workers_counter(L4_DROP_NO_SERVER), 1);
}

/* SYNs with options in any order, at odd places, cut short. */
static void
the_segment_size_is_lowered_as_by_workers(void **state)
{
	static const char *const clamps[] = { "mss_clamp on;", "mss_clamp 1200;" };

	for (unsigned int i = 0; i < RTE_DIM(clamps); i++) {
		unsigned int lowered = 0;

		serve_by("", clamps[i]);
		workers_roll_anew();
		for (unsigned int n = 0; n < 1500; n++) {
			struct wire w = workers_opening(n, true, IPPROTO_TCP);
			static const uint8_t mss[] = { 2, 4, 1460 >> 8, 1460 & 0xff };

			w.options_len = (uint8_t)(4 * workers_roll(11));
			for (unsigned int o = 0; o < w.options_len; o++)
				w.options[o] = (uint8_t)(workers_roll(3) ? 1 : workers_roll(9));
			if (w.options_len >= 4 && workers_roll(4))
				memcpy(w.options + workers_roll(w.options_len - 3u), mss, sizeof(mss));
			lowered += pair_run(&w);
		}
		assert_true(lowered > 1000);
		pair_teardown(NULL);
	}
}

/* ---- nonsense ---- */

/* A frame's bytes changed by hand: no sum is right, or no header is. */
static void
assert_up_with(const struct wire *w, uint32_t at, uint8_t byte, enum xdp_counter why)
{
	uint8_t frame[PAIR_FRAME_MAX];
	struct l4_packet packet;
	uint32_t len;

	wire_build(w, &packet);
	len = packet.m->pkt_len;
	memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
	rte_pktmbuf_free(packet.m);
	frame[at] = byte;
	pair_run_frame(frame, len);
	assert_int_equal(pair.out.action, XDP_PASS);
	if (pair.out.why != why && pair.out.why != XDP_COUNT_TO_KERNEL)
		fail_msg("byte %u: the reason is %s", at, xdp_counter_names[pair.out.why]);
}

static void
malformed_packets_are_left_alone(void **state)
{
	struct wire udp = established("full_nat", "", IPPROTO_UDP), tcp = workers_opening(1, false, IPPROTO_TCP);

	pair_assert_forwarded(&udp);
	assert_up_with(&udp, 14, 0x46, XDP_COUNT_UP_OPTIONS);
	assert_up_with(&udp, 14, 0x44, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 14, 0x65, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 16, 0xff, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 22, 9, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 26, 127, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 38, 0xff, XDP_COUNT_UP_MALFORMED);
	assert_up_with(&udp, 0, 1, XDP_COUNT_TO_KERNEL);
	assert_up_with(&udp, 12, 0x81, XDP_COUNT_TO_KERNEL);
	/* The TCP header's length. */
	assert_up_with(&tcp, 14 + 20 + 12, 0x40, XDP_COUNT_UP_MALFORMED);
	tcp.payload_len = 0;
	assert_up_with(&tcp, 14 + 20 + 12, 0xf0, XDP_COUNT_UP_MALFORMED);
	/* Cut off anywhere. */
	for (uint32_t len = 14; len < 60; len++) {
		uint8_t frame[PAIR_FRAME_MAX];
		struct l4_packet packet;

		wire_build(&udp, &packet);
		memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
		rte_pktmbuf_free(packet.m);
		pair_run_frame(frame, len);
		assert_int_equal(pair.out.action, XDP_PASS);
	}
}

/* A byte or two of any frame changed, and the frame cut: never an action of another kind, and what is left alone is as it
 * was (pair_run_frame()). */
static void
random_bytes_do_no_harm(void **state)
{
	struct wire plain[] = { established("nat", "", IPPROTO_UDP), workers_opening(1, true, IPPROTO_UDP) };
	struct l4_packet packet;
	uint8_t frame[PAIR_FRAME_MAX];

	workers_roll_anew();
	assert_false(pair_run(&plain[1]));
	for (unsigned int i = 0; i < 20000; i++) {
		uint32_t len;

		wire_build(&plain[i % 2], &packet);
		len = packet.m->pkt_len;
		memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
		rte_pktmbuf_free(packet.m);
		for (unsigned int n = workers_roll(3); n > 0; n--)
			frame[workers_roll(62)] = (uint8_t)workers_roll(256);
		if (!workers_roll(4))
			len = 14 + workers_roll(len - 13);
		pair_run_frame(frame, len);
		assert_true(pair.out.action == XDP_PASS || pair.out.action == XDP_REDIRECT);
	}
	assert_true(pair.counters[XDP_COUNT_FORWARDED] > 1000);
	assert_true(pair.counters[XDP_COUNT_UP_MALFORMED] > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_not_plain_goes_to_the_worker, pair_teardown),
		cmocka_unit_test_teardown(tcp_that_changes_its_state_goes_to_the_worker, pair_teardown),
		cmocka_unit_test_teardown(what_changes_the_content_goes_to_the_worker, pair_teardown),
		cmocka_unit_test_teardown(the_address_alone_may_choose, pair_teardown),
		cmocka_unit_test_teardown(what_only_a_worker_can_choose_goes_there, pair_teardown),
		cmocka_unit_test_teardown(nobody_is_chosen_where_nobody_is_there, pair_teardown),
		cmocka_unit_test(the_segment_size_is_lowered_as_by_workers),
		cmocka_unit_test_teardown(malformed_packets_are_left_alone, pair_teardown),
		cmocka_unit_test_teardown(random_bytes_do_no_harm, pair_teardown),
	};

	namespace_enter();
	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
