/*
 * The XDP program and the workers decide alike: random packets of random flows, first ones included; and both make and end flows of
 * one table at the same time.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"

/* As 100,000 flows of all modes together; three packets at least of each. */
#define FLOWS 10000

/* ---- random flows ---- */

static const char *const modes[] = { "full_nat", "nat", "dsr", "ipip", "gue" };

/* Weights, a server that is drained. */
static const char *
services_of(const char *mode)
{
	bool answers = workers_answers(mode), tunnel = !answers && strcmp(mode, "dsr") != 0;
	unsigned int port = answers ? 8080 : 80;
	/* What a tunnel carries may be of another version than its end. */
	const char *other4 = tunnel ? "server [2001:db8:2::5]:80; " : "",
		   *other6 = tunnel ? "server 10.0.2.5:80; " : "";
	static char text[2048];

	snprintf(text, sizeof(text),
		 "stream { upstream u4 { server 10.0.2.1:%u weight=3; server 10.0.2.2:%u; server 10.0.2.3:%u weight=0; "
		 "%sserver 10.0.2.4:%u weight=2; server 10.0.2.9:%u down; }"
		 "upstream u6 { server [2001:db8:2::1]:%u weight=3; server [2001:db8:2::2]:%u; "
		 "server [2001:db8:2::3]:%u weight=0; %sserver [2001:db8:2::4]:%u weight=2; }"
		 "server { listen 10.0.1.1:80; listen 10.0.1.1:80 udp; proxy_pass u4; forward %s; }"
		 "server { listen [fd00:1::1]:80; listen [fd00:1::1]:80 udp; proxy_pass u6; forward %s; } }",
		 port, port, port, other4, port, port, port, port, port, other6, port, mode, mode);
	return text;
}

/* What is not so plain, now and then. */
static void
vary(struct wire *w)
{
	w->tos = (uint8_t)workers_roll(256);
	w->ttl = (uint8_t)(workers_roll(50) ? 2 + workers_roll(254) : workers_roll(2));
	w->dont_fragment = workers_roll(2);
	w->padded = !workers_roll(4);
	w->partial = !workers_roll(30);
	w->no_sum = w->ip_protocol == IPPROTO_UDP && !w->v6 && !workers_roll(10) && !w->partial;
	w->identification = (uint16_t)workers_roll(65536);
	w->payload_len = (uint16_t)(workers_roll(20) ? workers_roll(200) : workers_roll(1480));
	w->sequence = workers_roll(1u << 31);
	w->tcp_flags = (uint8_t)(RTE_TCP_ACK_FLAG | (workers_roll(2) ? RTE_TCP_PSH_FLAG : 0));
	if (!workers_roll(40))
		w->tcp_flags |= workers_roll(2) ? RTE_TCP_FIN_FLAG : RTE_TCP_SYN_FLAG;
	if (pair.one_way && !workers_roll(100))
		w->tcp_flags |= RTE_TCP_RST_FLAG;
}

/* Whether the program may not leave it to the workers; of IPv4 and IPv6 alike. */
static bool
is_plain(const struct wire *w, bool gue)
{
	uint32_t headers = (w->v6 ? 40 : 20) + (w->ip_protocol == IPPROTO_TCP ? 20 : 8);

	return w->ttl > 1 && !w->partial && headers + w->payload_len + 52 <= 1500 &&
	       !(w->ip_protocol == IPPROTO_TCP && !pair.one_way &&
		 w->tcp_flags & (RTE_TCP_FIN_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) &&
	       !(gue && w->no_sum);
}

static unsigned int forwarded, answered, started;

/* One sum in 65536 happens to be that of the pseudo-header, and time passes: once in a while a flow's other entry is told. */
static bool
may_be_up(const struct wire *w, bool gue)
{
	return !is_plain(w, gue) || pair.out.why == XDP_COUNT_UP_PARTIAL_SUM || pair.out.why == XDP_COUNT_UP_TWIN;
}

/* The first packet. One flow in some finds its first bucket full, and one in some hundreds no place at all. False: no flow. */
static bool
begins(const struct wire *w, bool gue)
{
	uint64_t stateless = workers_counter(L4_STATELESS);

	if (!pair.one_way)
		pair_assert_up(w, XDP_COUNT_UP_NO_FLOW);
	else if (pair_run(w))
		started++;
	else if (pair.out.why != XDP_COUNT_UP_NO_FLOW && !may_be_up(w, gue))
		fail_msg("the first packet: %s", xdp_counter_names[pair.out.why]);
	return workers_sent_count && workers_counter(L4_STATELESS) == stateless;
}

static void
client_says(unsigned int n, bool v6, uint8_t ip_protocol, bool gue)
{
	struct wire w = workers_opening(n, v6, ip_protocol);

	vary(&w);
	if (pair_run(&w))
		forwarded++;
	else if (!may_be_up(&w, gue))
		fail_msg("flow %u: %s", n, xdp_counter_names[pair.out.why]);
}

/* `packet` is one that has reached the server. True when the answer reaches the client. */
static bool
server_says(const struct workers_sent *packet, bool v6, uint8_t ip_protocol, bool answers_before)
{
	struct wire w = workers_answer(packet, v6, ip_protocol);
	uint64_t answers_until_now = workers_counter(L4_ANSWERED);

	vary(&w);
	if (pair_run(&w))
		answered++;
	else if (!may_be_up(&w, false) && answers_before)
		fail_msg("the second answer: %s", xdp_counter_names[pair.out.why]);
	return workers_counter(L4_ANSWERED) > answers_until_now;
}

static void
flow(unsigned int n, const char *mode)
{
	uint8_t ip_protocol = workers_roll(2) ? IPPROTO_TCP : IPPROTO_UDP;
	bool v6 = workers_roll(2), gue = strcmp(mode, "gue") == 0;
	struct wire w = workers_opening(n, v6, ip_protocol);
	struct workers_sent first;

	/* Of some the first packet that is seen is one in the middle. */
	if (pair.one_way && !workers_roll(8))
		vary(&w);
	if (!begins(&w, gue))
		return;
	first = workers_sent[0];
	if (ip_protocol == IPPROTO_TCP && !pair.one_way) {
		w.tcp_flags = RTE_TCP_ACK_FLAG;
		pair_assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	}
	client_says(n, v6, ip_protocol, gue);
	if (workers_answers(mode)) {
		bool known = server_says(&first, v6, ip_protocol, false);

		server_says(&first, v6, ip_protocol, known);
	}
	client_says(n, v6, ip_protocol, gue);
	/* One of long ago, wherever it is by now. */
	if (n > 100) {
		w = workers_opening(n - 100, v6, ip_protocol);
		vary(&w);
		pair_run(&w);
	}
}

/* Whoever has made and ended flows, the numbers of them are right. */
static void
assert_counts(void)
{
	uint64_t entries = 0;

	for (unsigned int i = 0; i < pair.workers; i++)
		entries += workers_entries(i);
	/* Where a flow has two entries, one may have had to give way before the other. */
	if (pair.one_way)
		assert_int_equal(workers_flows(), entries);
	/* Until all have timed out and been swept. */
	for (unsigned int i = 0; i < 13000; i++)
		workers_pass_seconds(1);
	for (unsigned int i = 0; i < pair.workers; i++)
		assert_int_equal(workers_entries(i), 0);
	assert_int_equal(workers_flows(), 0);
}

static void
the_program_forwards_what_workers_would(void **state)
{
	static const unsigned int worker_counts[] = { 1, 3 };

	for (unsigned int c = 0; c < RTE_DIM(worker_counts); c++) {
		for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
			workers_roll_anew();
			forwarded = answered = started = 0;
			pair_make(worker_counts[c], !workers_answers(modes[i]), services_of(modes[i]), 2 * FLOWS,
				  strcmp(modes[i], "nat") == 0 ? XDP_ANSWERS_TO_CLIENTS : XDP_ANSWERS_TO_FORWARD);
			for (unsigned int n = 0; n < FLOWS; n++)
				flow(n, modes[i]);
			assert_true(forwarded > FLOWS);
			assert_true(pair.one_way ? started > FLOWS * 3 / 4 : answered > FLOWS * 3 / 4);
			assert_counts();
			pair_teardown(NULL);
		}
	}
}

/* ---- at the same time ---- */

#define RACING 3000
#define RACING_ROUNDS 8
#define RACING_FLOWS 4000 /* of the table */

static struct {
	struct wire wire;
	uint8_t bytes[512];
	uint32_t len;
} racing[RACING];
static bool program_has_run;

static void *
program_races(void *argument)
{
	int rc = 0;

	for (unsigned int i = 0; i < RACING * RACING_ROUNDS && rc == 0; i++) {
		uint8_t frame[1024];
		uint32_t nth = i * 7919u % RACING;
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = racing[nth].bytes, .data_size_in = racing[nth].len,
			    .data_out = frame, .data_size_out = sizeof(frame), .repeat = 1);

		rc = bpf_prog_test_run_opts(xdp_program_fd(pair.program), &options);
	}
	__atomic_store_n(&program_has_run, true, __ATOMIC_RELEASE);
	return rc == 0 ? NULL : argument;
}

static uint64_t
entries_there(void)
{
	struct xdp_memory memory;
	uint64_t count = 0;

	assert_true(xdp_program_memory(pair.program, 0, &memory));
	for (uint64_t i = 0; i < l4_flows_pairs(RACING_FLOWS) * L4_PAIR_PLACES; i++) {
		const struct l4_flow *flow = &memory.flows[i / L4_PAIR_PLACES].places[i % L4_PAIR_PLACES];

		assert_int_not_equal(l4_flow_state(flow), L4_FLOW_TAKEN);
		count += l4_flow_is_one(l4_flow_state(flow));
	}
	return count;
}

/* Both make entries of the same flows, for the same places of a small table, and the worker ends some. */
static void
program_and_worker_make_flows_at_once(void **state)
{
	struct l4_packet packet;
	void *failed;
	pthread_t thread;

	pair_make(1, true, workers_services("dsr", ""), RACING_FLOWS, XDP_ANSWERS_TO_FORWARD);
	for (unsigned int i = 0; i < RACING; i++) {
		racing[i].wire = workers_opening(i, false, IPPROTO_UDP);
		wire_build(&racing[i].wire, &packet);
		racing[i].len = packet.m->pkt_len;
		assert_true(racing[i].len <= sizeof(racing[i].bytes));
		memcpy(racing[i].bytes, rte_pktmbuf_read(packet.m, 0, racing[i].len, racing[i].bytes), racing[i].len);
		rte_pktmbuf_free(packet.m);
	}
	program_has_run = false;
	assert_int_equal(pthread_create(&thread, NULL, program_races, racing), 0);
	/* All the time in the middle of it. */
	for (unsigned int i = 0; !__atomic_load_n(&program_has_run, __ATOMIC_ACQUIRE); i++) {
		const struct wire *w = &racing[i * 4001u % RACING].wire;

		if (workers_flow(w))
			workers_forget(w);
		else
			workers_begin(w);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	xdp_program_counters(pair.program, pair.counters);
	assert_true(pair.counters[XDP_COUNT_STARTED] > 1000);
	assert_int_equal(workers_entries(0), entries_there());
	assert_int_equal(workers_flows(), entries_there());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(program_and_worker_make_flows_at_once, pair_teardown),
		cmocka_unit_test_teardown(the_program_forwards_what_workers_would, pair_teardown),
	};

	namespace_enter();
	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
