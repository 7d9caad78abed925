#include "pair.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define ETHERNET_LEN 14
#define PORT_LAST 60000

struct pair pair;

/* ---- life ---- */

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
	assert_int_equal(xdp_program_serve(pair.program, services, 4, servers, count, NULL, 0), 0);
	xdp_program_forwarding_ports(pair.program, WORKERS_PORT_FIRST, PORT_LAST);
}

void
pair_make(unsigned int workers, bool one_way, const char *configuration, uint64_t flows, enum xdp_answers answers_to)
{
	struct xdp_forwarding forwarding = { .workers = workers,
					     .pairs = (uint32_t)l4_flows_pairs(flows),
					     .hash_seed = WORKERS_HASH_SEED,
					     .start_ns = clock_monotonic_ns() };
	char error[512];

	pair = (struct pair){ .workers = workers, .one_way = one_way };
	l4_flows_strides(forwarding.pairs, forwarding.strides);
	if (xdp_program_load(&pair.program, &forwarding, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	workers_share(pair.program, forwarding.start_ns);
	serve(answers_to);
	workers_make_with(workers, configuration, flows, WORKERS_PORT_FIRST, PORT_LAST);
}

int
pair_teardown(void **state)
{
	workers_free();
	workers_share(NULL, 0);
	xdp_program_free(pair.program);
	pair.program = NULL;
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
	return 0;
}

/* ---- the program ---- */

static enum xdp_counter
counted(void)
{
	enum xdp_counter found = XDP_COUNTER_COUNT;
	uint64_t before[XDP_COUNTER_COUNT];

	memcpy(before, pair.counters, sizeof(before));
	xdp_program_counters(pair.program, pair.counters);
	for (unsigned int i = 0; i < XDP_COUNTER_COUNT; i++) {
		if (pair.counters[i] == before[i] || i == XDP_COUNT_NO_SOCKET)
			continue;
		assert_int_equal(pair.counters[i], before[i] + 1);
		assert_int_equal(found, XDP_COUNTER_COUNT);
		found = i;
	}
	return found;
}

void
pair_run_frame(const uint8_t *frame, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = len, .data_out = pair.out.frame,
		    .data_size_out = sizeof(pair.out.frame), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(xdp_program_fd(pair.program), &options), 0);
	pair.out.action = options.retval;
	pair.out.len = options.data_size_out;
	pair.out.why = counted();
	if (pair.out.action == XDP_PASS) {
		assert_int_equal(pair.out.len, len);
		assert_memory_equal(pair.out.frame, frame, len);
	}
}

static void
run(const struct wire *w)
{
	struct l4_packet packet;
	uint8_t frame[PAIR_FRAME_MAX];
	uint32_t len;

	wire_build(w, &packet);
	len = packet.m->pkt_len;
	assert_true(len <= sizeof(frame));
	memcpy(frame, rte_pktmbuf_read(packet.m, 0, len, frame), len);
	rte_pktmbuf_free(packet.m);
	pair_run_frame(frame, len);
}

/* ---- both ---- */

/* A flow of one entry is as it was, or not there, so that the worker does to it what the program has done. */
static void
undo(const struct wire *w, const struct l4_flow *was)
{
	struct l4_flow *flow = workers_flow(w);

	if (pair.out.why == XDP_COUNT_STARTED) {
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

	if (pair.out.action != XDP_REDIRECT)
		fail_msg("action %u, %s", pair.out.action, xdp_counter_names[pair.out.why]);
	if (workers_sent_count != 1)
		fail_msg("%s here, but %u are sent by workers, %u passed", xdp_counter_names[pair.out.why],
			 workers_sent_count, workers_passed);
	assert_int_equal(pair.out.len, ETHERNET_LEN + sent->len);
	assert_memory_equal(pair.out.frame, sent->ethernet, ETHERNET_LEN);
	assert_memory_equal(pair.out.frame + ETHERNET_LEN, sent->ip, sent->len);
}

bool
pair_run(const struct wire *w)
{
	struct l4_flow *flow = workers_flow(w), was = flow ? *flow : (struct l4_flow){ 0 }, made = was;
	uint64_t started_before = workers_counter(L4_STARTED);
	bool undone = false;

	run(w);
	if (pair.one_way && pair.out.action == XDP_REDIRECT) {
		made = *workers_flow(w);
		/* Now and then the worker finds a flow that the program has made. */
		undone = workers_roll(4);
		if (undone)
			undo(w, &was);
	}
	workers_receive_wire(workers_roll(pair.workers), L4_FROM_PORT, w);
	if (pair.out.action == XDP_PASS)
		return false;
	assert_same_packet();
	if (undone)
		assert_same_flow(workers_flow(w), &made);
	assert_int_equal(workers_counter(L4_STARTED) - started_before, undone && pair.out.why == XDP_COUNT_STARTED);
	return true;
}

void
pair_assert_up(const struct wire *w, enum xdp_counter why)
{
	if (pair_run(w))
		fail_msg("%s", xdp_counter_names[pair.out.why]);
	if (pair.out.why != why)
		fail_msg("the reason is %s, not %s", xdp_counter_names[pair.out.why], xdp_counter_names[why]);
}

void
pair_assert_forwarded(const struct wire *w)
{
	if (!pair_run(w))
		fail_msg("not forwarded: %s", xdp_counter_names[pair.out.why]);
}
