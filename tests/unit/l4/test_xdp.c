/*
 * The XDP program and the workers decide alike: random packets of random flows, first ones included, go through the program,
 * by BPF_PROG_TEST_RUN, and through the workers, and what the program forwards is what the workers send, byte for byte, and
 * leaves the same entry behind. What it does not forward, it has not touched.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"
#include "workers.h"
#include "xdp/xdp.h"

#define FRAME_MAX 2048
#define ETHERNET_LEN 14

/* As 100,000 flows of all modes together; three packets at least of each. */
#define FLOWS 10000
#define WORKERS_PORT_TOP 60000

static struct xdp_program *program;
static uint64_t before[XDP_COUNTER_COUNT], after[XDP_COUNTER_COUNT];

/* What the program made of a frame. */
static struct {
	uint32_t action;
	enum xdp_counter why; /* the counter that went up; of those to workers, the reason */
	uint8_t frame[FRAME_MAX];
	uint32_t len;
} out;

/* ---- the program ---- */

/* Whose packets are the workers' that the program does not forward. Services have their numbers in order of the file. */
static void
serve(enum xdp_answers answers_to)
{
	static const char *const vips[] = { "10.0.1.1:80", "[fd00:1::1]:80" };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct xdp_service services[4];
	struct xdp_server servers[4 * WORKERS_SERVERS];
	uint32_t count = 0;
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned int i = 0; i < 4; i++)
		services[i] = (struct xdp_service){ .endpoint = wire_endpoint(vips[i / 2]),
						    .ip_protocol = protocols[i % 2],
						    .forwarded = true,
						    .number = (uint16_t)(i + 1) };
	for (unsigned int i = 0; i < 2 * WORKERS_SERVERS; i++) {
		snprintf(text, sizeof(text), i % 2 ? "[2001:db8:2::%u]:8080" : "10.0.2.%u:8080", 1 + i / 2);
		for (unsigned int p = 0; p < 2; p++)
			servers[count++] = (struct xdp_server){ wire_endpoint(text), protocols[p], answers_to };
	}
	assert_int_equal(xdp_program_serve(program, services, 4, servers, count, NULL, 0), 0);
	xdp_program_forwarding_ports(program, WORKERS_PORT_FIRST, WORKERS_PORT_TOP);
}

static void
load(unsigned int workers, uint64_t flows, enum xdp_answers answers_to)
{
	struct xdp_forwarding forwarding = { .workers = workers,
					     .pairs = (uint32_t)l4_flows_pairs(flows),
					     .hash_seed = WORKERS_HASH_SEED,
					     .start_ns = clock_monotonic_ns() };
	char error[512];

	l4_flows_strides(forwarding.pairs, forwarding.strides);
	if (xdp_program_load(&program, &forwarding, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	workers_share(program, forwarding.start_ns);
	serve(answers_to);
}

static int
unload(void **state)
{
	workers_free();
	workers_share(NULL, 0);
	xdp_program_free(program);
	program = NULL;
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
	return 0;
}

static enum xdp_counter
counted(void)
{
	enum xdp_counter found = XDP_COUNTER_COUNT;

	xdp_program_counters(program, after);
	for (unsigned int i = 0; i < XDP_COUNTER_COUNT; i++) {
		if (after[i] == before[i] || i == XDP_COUNT_NO_SOCKET)
			continue;
		assert_int_equal(after[i], before[i] + 1);
		assert_int_equal(found, XDP_COUNTER_COUNT);
		found = i;
	}
	memcpy(before, after, sizeof(before));
	return found;
}

/* There is no socket: what is a worker's would pass to the kernel. */
static void
run_frame(const uint8_t *frame, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = len, .data_out = out.frame,
		    .data_size_out = sizeof(out.frame), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(xdp_program_fd(program), &options), 0);
	out.action = options.retval;
	out.len = options.data_size_out;
	out.why = counted();
	if (out.action == XDP_PASS) {
		assert_int_equal(out.len, len);
		assert_memory_equal(out.frame, frame, len);
	}
}

static void
run(const struct wire *w)
{
	struct l4_packet packet;
	uint8_t frame[FRAME_MAX];
	uint32_t len;

	wire_build(w, &packet);
	len = packet.m->pkt_len;
	assert_true(len <= sizeof(frame));
	memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
	rte_pktmbuf_free(packet.m);
	run_frame(frame, len);
}

/* ---- both ---- */

static unsigned int lanes;

/* A flow of one entry is as it was, or not there, so that the worker does to it what the program has done. */
static void
undo(const struct wire *w, const struct l4_flow *was)
{
	struct l4_flow *flow = workers_flow(w);

	if (out.why == XDP_COUNT_STARTED) {
		workers_forget(w);
		assert_null(workers_flow(w));
	} else {
		flow->bits = was->bits;
		flow->seen_s = was->seen_s;
	}
}

static void
assert_same_flow(const struct l4_flow *a, const struct l4_flow *b)
{
	assert_non_null(a);
	assert_true(ip_address_equal(&a->client, &b->client));
	assert_int_equal(a->client_port_be, b->client_port_be);
	assert_int_equal(a->service_port_be, b->service_port_be);
	assert_int_equal(a->target, b->target);
	assert_int_equal(a->bits, b->bits);
	assert_int_equal(a->local_port_be, b->local_port_be);
}

static void
assert_same_packet(void)
{
	const struct workers_sent *sent = &workers_sent[0];

	if (out.action != XDP_REDIRECT)
		fail_msg("action %u, %s", out.action, xdp_counter_names[out.why]);
	if (workers_sent_count != 1)
		fail_msg("%s here, but %u are sent by workers, %u passed", xdp_counter_names[out.why],
			 workers_sent_count, workers_passed);
	assert_int_equal(out.len, ETHERNET_LEN + sent->len);
	assert_memory_equal(out.frame, sent->ethernet, ETHERNET_LEN);
	assert_memory_equal(out.frame + ETHERNET_LEN, sent->ip, sent->len);
}

/* Of one entry, that both see. */
static bool one_way;

/* True when the program has forwarded it. */
static bool
both(const struct wire *w)
{
	struct l4_flow *flow = workers_flow(w), was = flow ? *flow : (struct l4_flow){ 0 }, made = was;
	uint64_t started_before = workers_counter(L4_STARTED);
	bool undone = false;

	run(w);
	if (one_way && out.action == XDP_REDIRECT) {
		made = *workers_flow(w);
		/* Now and then the worker finds a flow that the program has made. */
		undone = workers_roll(4);
		if (undone)
			undo(w, &was);
	}
	workers_receive_wire(workers_roll(lanes), L4_FROM_PORT, w);
	if (out.action == XDP_PASS)
		return false;
	assert_same_packet();
	if (undone)
		assert_same_flow(workers_flow(w), &made);
	assert_int_equal(workers_counter(L4_STARTED) - started_before, undone && out.why == XDP_COUNT_STARTED);
	return true;
}

static void
assert_up(const struct wire *w, enum xdp_counter why)
{
	if (both(w))
		fail_msg("%s", xdp_counter_names[out.why]);
	if (out.why != why)
		fail_msg("the reason is %s, not %s", xdp_counter_names[out.why], xdp_counter_names[why]);
}

static void
assert_forwarded(const struct wire *w)
{
	if (!both(w))
		fail_msg("not forwarded: %s", xdp_counter_names[out.why]);
}

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
	if (one_way && !workers_roll(100))
		w->tcp_flags |= RTE_TCP_RST_FLAG;
}

/* Whether the program may not leave it to the workers; of IPv4 and IPv6 alike. */
static bool
is_plain(const struct wire *w, bool gue)
{
	uint32_t headers = (w->v6 ? 40 : 20) + (w->ip_protocol == IPPROTO_TCP ? 20 : 8);

	return w->ttl > 1 && !w->partial && headers + w->payload_len + 52 <= 1500 &&
	       !(w->ip_protocol == IPPROTO_TCP && !one_way &&
		 w->tcp_flags & (RTE_TCP_FIN_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) &&
	       !(gue && w->no_sum);
}

static unsigned int forwarded, answered, started;

/* One sum in 65536 happens to be that of the pseudo-header, and time passes: once in a while a flow's other entry is told. */
static bool
may_be_up(const struct wire *w, bool gue)
{
	return !is_plain(w, gue) || out.why == XDP_COUNT_UP_PARTIAL_SUM || out.why == XDP_COUNT_UP_TWIN;
}

/* The first packet. One flow in some finds its first bucket full, and one in some hundreds no place at all. False: no flow. */
static bool
begins(const struct wire *w, bool gue)
{
	uint64_t stateless = workers_counter(L4_STATELESS);

	if (!one_way)
		assert_up(w, XDP_COUNT_UP_NO_FLOW);
	else if (both(w))
		started++;
	else if (out.why != XDP_COUNT_UP_NO_FLOW && !may_be_up(w, gue))
		fail_msg("the first packet: %s", xdp_counter_names[out.why]);
	return workers_sent_count && workers_counter(L4_STATELESS) == stateless;
}

static void
client_says(unsigned int n, bool v6, uint8_t ip_protocol, bool gue)
{
	struct wire w = workers_opening(n, v6, ip_protocol);

	vary(&w);
	if (both(&w))
		forwarded++;
	else if (!may_be_up(&w, gue))
		fail_msg("flow %u: %s", n, xdp_counter_names[out.why]);
}

/* `packet` is one that has reached the server. True when the answer reaches the client. */
static bool
server_says(const struct workers_sent *packet, bool v6, uint8_t ip_protocol, bool answers_before)
{
	struct wire w = workers_answer(packet, v6, ip_protocol);
	uint64_t answers_until_now = workers_counter(L4_ANSWERED);

	vary(&w);
	if (both(&w))
		answered++;
	else if (!may_be_up(&w, false) && answers_before)
		fail_msg("the second answer: %s", xdp_counter_names[out.why]);
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
	if (one_way && !workers_roll(8))
		vary(&w);
	if (!begins(&w, gue))
		return;
	first = workers_sent[0];
	if (ip_protocol == IPPROTO_TCP && !one_way) {
		w.tcp_flags = RTE_TCP_ACK_FLAG;
		assert_up(&w, XDP_COUNT_UP_TCP_STATE);
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
		both(&w);
	}
}

/* Whoever has made and ended flows, the numbers of them are right. */
static void
assert_counts(void)
{
	uint64_t entries = 0;

	for (unsigned int i = 0; i < lanes; i++)
		entries += workers_entries(i);
	/* Where a flow has two entries, one may have had to give way before the other. */
	if (one_way)
		assert_int_equal(workers_flows(), entries);
	/* Until all have timed out and been swept. */
	for (unsigned int i = 0; i < 13000; i++)
		workers_pass_seconds(1);
	for (unsigned int i = 0; i < lanes; i++)
		assert_int_equal(workers_entries(i), 0);
	assert_int_equal(workers_flows(), 0);
}

static void
the_program_forwards_what_workers_would(void **state)
{
	static const unsigned int worker_counts[] = { 1, 3 };

	for (unsigned int c = 0; c < RTE_DIM(worker_counts); c++) {
		for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
			lanes = worker_counts[c];
			one_way = !workers_answers(modes[i]);
			workers_roll_anew();
			forwarded = answered = started = 0;
			load(lanes, 2 * FLOWS,
			     strcmp(modes[i], "nat") == 0 ? XDP_ANSWERS_TO_CLIENTS : XDP_ANSWERS_TO_FORWARD);
			workers_make_with(lanes, services_of(modes[i]), 2 * FLOWS, WORKERS_PORT_FIRST,
					  WORKERS_PORT_TOP);
			memset(before, 0, sizeof(before));
			for (unsigned int n = 0; n < FLOWS; n++)
				flow(n, modes[i]);
			assert_true(forwarded > FLOWS);
			assert_true(one_way ? started > FLOWS * 3 / 4 : answered > FLOWS * 3 / 4);
			assert_counts();
			unload(NULL);
		}
	}
}

/* ---- reasons ---- */

/* An established flow of one worker, and its packets in the form that the program forwards. */
static struct wire
established(const char *mode, const char *more, uint8_t ip_protocol)
{
	struct wire w = workers_opening(1, false, ip_protocol);

	lanes = 1;
	one_way = !workers_answers(mode);
	load(1, 1000, XDP_ANSWERS_TO_CLIENTS);
	workers_make_with(1, workers_services(mode, more), 1000, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
	memset(before, 0, sizeof(before));
	if (one_way)
		assert_forwarded(&w);
	else
		assert_up(&w, XDP_COUNT_UP_NO_FLOW);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	if (ip_protocol == IPPROTO_TCP && !one_way)
		assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	return w;
}

static void
what_is_not_plain_goes_to_the_worker(void **state)
{
	struct wire plain = established("dsr", "", IPPROTO_UDP), w;

	assert_forwarded(&plain);
	w = plain;
	w.ttl = 1;
	assert_up(&w, XDP_COUNT_UP_TTL);
	w = plain;
	w.part = WIRE_FIRST;
	w.payload_len = 200;
	assert_up(&w, XDP_COUNT_UP_FRAGMENT);
	w.part = WIRE_LATER;
	assert_up(&w, XDP_COUNT_UP_FRAGMENT);
	w = plain;
	w.partial = true;
	assert_up(&w, XDP_COUNT_UP_PARTIAL_SUM);
	w = plain;
	w.payload_len = 1500;
	assert_up(&w, XDP_COUNT_UP_TOO_BIG);
	w.payload_len = 1500 - 28;
	assert_forwarded(&w);
	w = plain;
	w.padded = true;
	assert_forwarded(&w);
}

static void
tcp_that_changes_its_state_goes_to_the_worker(void **state)
{
	struct wire plain = established("nat", "", IPPROTO_TCP), w = plain;

	assert_forwarded(&plain);
	w.tcp_flags = RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;
	assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	/* The rest of it goes on. */
	assert_forwarded(&plain);
	w.tcp_flags = RTE_TCP_RST_FLAG;
	assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	w.tcp_flags = RTE_TCP_SYN_FLAG;
	assert_up(&w, XDP_COUNT_UP_TCP_STATE);
}

static void
what_changes_the_content_goes_to_the_worker(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_TCP);

	lanes = 1;
	one_way = false;
	load(1, 1000, XDP_ANSWERS_TO_CLIENTS);
	workers_make_with(1,
			  "stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; toa on; } }",
			  1000, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
	memset(before, 0, sizeof(before));
	assert_up(&w, XDP_COUNT_UP_NO_FLOW);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	assert_up(&w, XDP_COUNT_UP_TCP_STATE);
	assert_up(&w, XDP_COUNT_UP_CONTENT);
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
	lanes = 1;
	one_way = true;
	load(1, 4000, XDP_ANSWERS_TO_FORWARD);
	workers_make_with(1, text, 4000, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
	memset(before, 0, sizeof(before));
}

static void
the_address_alone_may_choose(void **state)
{
	serve_by("hash $remote_addr consistent;", "");
	for (unsigned int n = 0; n < 300; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_UDP);

		assert_up(&w, XDP_COUNT_UP_CHOICE);
	}
	unload(NULL);
	serve_by("maglev $remote_addr;", "");
	for (unsigned int n = 0; n < 300; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_TCP);
		uint32_t target;

		/* Or its first bucket is full. */
		if (!both(&w))
			assert_int_equal(out.why, XDP_COUNT_UP_NO_FLOW);
		target = workers_flow(&w)->target;
		w.source.port_be ^= 0x1234;
		both(&w);
		assert_int_equal(workers_flow(&w)->target, target);
	}
}

static void
what_only_a_worker_can_choose_goes_there(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_TCP);

	serve_by("least_conn;", "");
	assert_up(&w, XDP_COUNT_UP_CHOICE);
	/* What belongs to a flow that nobody knows is placed by Maglev, whatever the method. */
	w = workers_opening(2, false, IPPROTO_TCP);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	assert_forwarded(&w);
	w = workers_opening(3, false, IPPROTO_UDP);
	assert_up(&w, XDP_COUNT_UP_CHOICE);
	assert_forwarded(&w);
	unload(NULL);

	serve_by("", "syn_rate 1;");
	w = workers_opening(1, true, IPPROTO_TCP);
	assert_up(&w, XDP_COUNT_UP_CHOICE);
	/* Known by now: one a second. */
	assert_forwarded(&w);
	w = workers_opening(2, true, IPPROTO_TCP);
	assert_up(&w, XDP_COUNT_UP_CHOICE);
	assert_int_equal(workers_counter(L4_STATELESS), 1);
}

static void
nobody_is_chosen_where_nobody_is_there(void **state)
{
	struct wire w = workers_opening(1, false, IPPROTO_UDP);

	serve_by("server 10.0.2.7:80 weight=0; server 10.0.2.8:80 down; } upstream other {", "");
	assert_up(&w, XDP_COUNT_UP_NO_FLOW);
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
			lowered += both(&w);
		}
		assert_true(lowered > 1000);
		unload(NULL);
	}
}

/* ---- at the same time ---- */

#define RACING 3000
#define RACING_ROUNDS 8

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

		rc = bpf_prog_test_run_opts(xdp_program_fd(program), &options);
	}
	__atomic_store_n(&program_has_run, true, __ATOMIC_RELEASE);
	return rc == 0 ? NULL : argument;
}

static uint64_t
entries_there(uint64_t flows)
{
	struct xdp_memory memory;
	uint64_t count = 0;

	assert_true(xdp_program_memory(program, 0, &memory));
	for (uint64_t i = 0; i < l4_flows_pairs(flows) * L4_PAIR_PLACES; i++) {
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

	serve_by("", "");
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
	xdp_program_counters(program, before);
	assert_true(before[XDP_COUNT_STARTED] > 1000);
	assert_int_equal(workers_entries(0), entries_there(4000));
	assert_int_equal(workers_flows(), entries_there(4000));
}

/* A frame's bytes changed by hand: no sum is right, or no header is. */
static void
assert_up_with(const struct wire *w, uint32_t at, uint8_t byte, enum xdp_counter why)
{
	uint8_t frame[FRAME_MAX];
	struct l4_packet packet;
	uint32_t len;

	wire_build(w, &packet);
	len = packet.m->pkt_len;
	memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
	rte_pktmbuf_free(packet.m);
	frame[at] = byte;
	run_frame(frame, len);
	assert_int_equal(out.action, XDP_PASS);
	if (out.why != why && out.why != XDP_COUNT_TO_KERNEL)
		fail_msg("byte %u: the reason is %s", at, xdp_counter_names[out.why]);
}

static void
malformed_packets_are_left_alone(void **state)
{
	struct wire udp = established("full_nat", "", IPPROTO_UDP), tcp = workers_opening(1, false, IPPROTO_TCP);

	assert_forwarded(&udp);
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
		uint8_t frame[FRAME_MAX];
		struct l4_packet packet;

		wire_build(&udp, &packet);
		memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
		rte_pktmbuf_free(packet.m);
		run_frame(frame, len);
		assert_int_equal(out.action, XDP_PASS);
	}
}

/* A byte or two of any frame changed, and the frame cut: never an action of another kind, and what is left alone is as it
 * was (run_frame()). */
static void
random_bytes_do_no_harm(void **state)
{
	struct wire plain[] = { established("nat", "", IPPROTO_UDP), workers_opening(1, true, IPPROTO_UDP) };
	struct l4_packet packet;
	uint8_t frame[FRAME_MAX];

	workers_roll_anew();
	assert_false(both(&plain[1]));
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
		run_frame(frame, len);
		assert_true(out.action == XDP_PASS || out.action == XDP_REDIRECT);
	}
	assert_true(after[XDP_COUNT_FORWARDED] > 1000);
	assert_true(after[XDP_COUNT_UP_MALFORMED] > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_not_plain_goes_to_the_worker, unload),
		cmocka_unit_test_teardown(tcp_that_changes_its_state_goes_to_the_worker, unload),
		cmocka_unit_test_teardown(what_changes_the_content_goes_to_the_worker, unload),
		cmocka_unit_test_teardown(the_address_alone_may_choose, unload),
		cmocka_unit_test_teardown(what_only_a_worker_can_choose_goes_there, unload),
		cmocka_unit_test_teardown(nobody_is_chosen_where_nobody_is_there, unload),
		cmocka_unit_test(the_segment_size_is_lowered_as_by_workers),
		cmocka_unit_test_teardown(program_and_worker_make_flows_at_once, unload),
		cmocka_unit_test_teardown(malformed_packets_are_left_alone, unload),
		cmocka_unit_test_teardown(random_bytes_do_no_harm, unload),
		cmocka_unit_test_teardown(the_program_forwards_what_workers_would, unload),
	};

	namespace_enter();
	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
