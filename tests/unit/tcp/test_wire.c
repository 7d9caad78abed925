/*
 * Two stacks with a wire between them that loses, reorders, duplicates and delays, from a seed: every byte must arrive,
 * in both directions, whatever the reader's and writer's pace, and nothing may be left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <rte_ether.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "check.h"
#include "harness.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/dpdk.h"

#define WIRE_MAX 1024

struct wire_config {
	uint32_t seed;
	uint32_t loss_percent, duplicate_percent;
	uint32_t delay_ms, jitter_ms;
	uint32_t bytes;
	uint32_t receive_buffer;
	bool ipv6;
	bool half_close;          /* the second side writes only after the first has finished */
	struct rte_mempool *pool; /* of both stacks; NULL: the usual */
	bool relay;               /* the second side sends back what it gets, by tcp_move() */
};

struct flight {
	struct rte_mbuf *m;
	uint64_t arrives_ns;
};

struct side {
	struct tcp_stack *stack;
	struct wire *wire;
	struct endpoint address;
	struct tcp_connection *c;
	struct flight flights[WIRE_MAX]; /* on the way to this side */
	uint32_t flight_count;
	uint32_t written, read, to_write, to_read;
	bool shut, ended, closed;
};

struct wire {
	const struct wire_config *config;
	struct random random;
	uint64_t now_ns;
	struct side sides[2];
};

static uint32_t
chance(struct wire *wire, uint32_t of)
{
	return (uint32_t)(random_next(&wire->random) >> 33) % of;
}

static void
wire_put(struct wire *wire, struct side *to, struct rte_mbuf *m)
{
	uint64_t delay_ms = wire->config->delay_ms;

	if (chance(wire, 100) < wire->config->loss_percent || to->flight_count == WIRE_MAX) {
		rte_pktmbuf_free(m);
		return;
	}
	if (wire->config->jitter_ms)
		delay_ms += chance(wire, wire->config->jitter_ms);
	to->flights[to->flight_count++] = (struct flight){ m, wire->now_ns + delay_ms * NS_PER_MS };
}

static void
segment_send(void *context, struct rte_mbuf *m)
{
	struct side *from = context;
	struct wire *wire = from->wire;
	struct side *to = &wire->sides[from == &wire->sides[0]];
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	assert_true(packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE));
	if (chance(wire, 100) < wire->config->duplicate_percent) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, support_pool(), 0, UINT32_MAX);

		if (copy)
			wire_put(wire, to, copy);
	}
	wire_put(wire, to, m);
}

static void
wire_send(void *context, struct rte_mbuf *m)
{
	harness_cut_up(m, segment_send, context);
}

static bool
wire_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	const struct side *side = context;

	*local = side->address.ip;
	*mtu = 1500;
	return true;
}

static void
deliver(struct wire *wire, struct side *side)
{
	for (uint32_t i = 0; i < side->flight_count;) {
		struct rte_mbuf *m = side->flights[i].m;

		if (side->flights[i].arrives_ns > wire->now_ns) {
			i++;
			continue;
		}
		side->flight_count--;
		memmove(&side->flights[i], &side->flights[i + 1], (side->flight_count - i) * sizeof(struct flight));
		assert_int_equal(packet_parse(m), PACKET_OK);
		tcp_input(side->stack, m);
	}
}

static void
side_read(struct wire *wire, struct side *side)
{
	uint32_t len = tcp_readable(side->c), take = 1 + chance(wire, 20000);
	uint8_t out[512];

	if (chance(wire, 4) == 0)
		return;
	if (take > len)
		take = len;
	while (take > 0) {
		uint32_t run = tcp_peek_copy(side->c, 0, out, take < sizeof(out) ? take : sizeof(out));

		assert_true(run > 0);
		for (uint32_t i = 0; i < run; i++)
			assert_int_equal(out[i], harness_pattern(side->read + i));
		tcp_consume(side->c, run);
		side->read += run;
		take -= run;
	}
}

static void
side_write(struct wire *wire, struct side *side)
{
	uint8_t data[5000];
	uint32_t len = 1 + chance(wire, sizeof(data)), taken;

	if (len > side->to_write - side->written)
		len = side->to_write - side->written;
	for (uint32_t i = 0; i < len; i++)
		data[i] = harness_pattern(side->written + i);
	taken = tcp_write(side->c, data, len);
	side->written += taken;
	if (side->written == side->to_write) {
		tcp_shutdown(side->c);
		side->shut = true;
	}
}

static void
side_relay(struct side *side)
{
	uint32_t moved = tcp_move(side->c, side->c, UINT32_MAX);

	side->read += moved;
	side->written += moved;
	if (tcp_at_end(side->c)) {
		tcp_shutdown(side->c);
		side->shut = true;
	}
}

static void
side_work(struct wire *wire, struct side *side)
{
	const struct wire_config *config = wire->config;
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(side->stack, &events))) {
		if (events & TCP_ACCEPTED)
			side->c = c;
		assert_ptr_equal(c, side->c);
		if (events & TCP_END_OF_STREAM)
			side->ended = true;
		if (events & TCP_CLOSED) {
			assert_int_equal(tcp_close_reason(c), TCP_FINISHED);
			side->closed = true;
		}
	}
	if (!side->c)
		return;
	if (config->relay && side == &wire->sides[1]) {
		if (!side->shut)
			side_relay(side);
		return;
	}
	side_read(wire, side);
	if (!side->shut && !(config->half_close && side == &wire->sides[1] && !tcp_at_end(side->c)))
		side_write(wire, side);
}

static bool
finished(const struct side *side)
{
	return side->c && side->read == side->to_read && side->shut && tcp_at_end(side->c);
}

static void
wire_round(struct wire *wire)
{
	for (int i = 0; i < 2; i++) {
		struct side *side = &wire->sides[i];

		tcp_stack_time(side->stack, wire->now_ns);
		deliver(wire, side);
		tcp_timers(side->stack);
		side_work(wire, side);
		tcp_flush(side->stack);
		if (wire->now_ns / NS_PER_MS % 16 == 0)
			tcp_check_stack(side->stack);
	}
	wire->now_ns += NS_PER_MS;
}

static void
wire_open(struct wire *wire, const struct wire_config *config, struct tcp_listener *listener)
{
	struct tcp_config tcp = {
		.pool = config->pool ? config->pool : support_pool(),
		.connections_max = 8,
		.time_wait_max = 8,
		.receive_buffer = config->receive_buffer,
		.send_buffer = config->pool ? 1 << 18 : 65536,
		.syn_backlog = 4,
		.large_segments = config->seed % 4 != 3,
		.port_first = 32768,
		.port_last = 60999,
		.port_modulus = 1,
		.secret = { config->seed, 1 },
	};
	const char *const texts[2][2] = { { "192.0.2.1:1", "192.0.2.2:80" },
					  { "[2001:db8::1]:1", "[2001:db8::2]:80" } };
	const char *error;
	int reason;

	*wire = (struct wire){ .config = config,
			       .random = { config->seed * 2654435761u + 1 },
			       .now_ns = NS_PER_SECOND };
	for (int i = 0; i < 2; i++) {
		struct side *side = &wire->sides[i];
		struct tcp_env env = { side, wire_send, wire_route, NULL };

		assert_int_equal(endpoint_parse(bytes_of_string(texts[config->ipv6][i]), 0, &side->address), 0);
		side->wire = wire;
		side->to_write = side->to_read = config->bytes;
		side->stack = tcp_stack_new(&tcp, &env, wire->now_ns, &error);
		assert_non_null(side->stack);
	}
	*listener = (struct tcp_listener){ wire->sides[1].address, wire };
	tcp_listen(wire->sides[1].stack, listener, 1);
	wire->sides[0].c = tcp_connect(wire->sides[0].stack, &wire->sides[1].address, wire, &reason);
	assert_non_null(wire->sides[0].c);
}

static void
run(const struct wire_config *config)
{
	static struct wire wire;
	struct tcp_listener listener;
	uint32_t before = support_pool_available(), rounds = 0;
	struct tcp_usage usage;

	wire_open(&wire, config, &listener);
	while (!finished(&wire.sides[0]) || !finished(&wire.sides[1])) {
		wire_round(&wire);
		if (++rounds > 4000000)
			fail_msg("seed %u: stuck at %u/%u and %u/%u of %u", config->seed, wire.sides[0].written,
				 wire.sides[1].read, wire.sides[1].written, wire.sides[0].read, config->bytes);
	}
	for (int i = 0; i < 2; i++) {
		tcp_close(wire.sides[i].c);
		wire.sides[i].c = NULL;
	}
	/* Whatever was lost last, both sides come to an end by themselves. */
	for (rounds = 0; rounds < 200000; rounds++)
		wire_round(&wire);
	for (int i = 0; i < 2; i++) {
		struct side *side = &wire.sides[i];

		tcp_usage(side->stack, &usage);
		assert_int_equal(usage.connections + usage.time_wait + usage.half_open, 0);
		while (side->flight_count)
			rte_pktmbuf_free(side->flights[--side->flight_count].m);
		tcp_stack_free(side->stack);
	}
	assert_int_equal(support_pool_available(), before);
}

static void
a_good_wire_carries_every_byte(void **state)
{
	run(&(struct wire_config){ .seed = 1, .delay_ms = 1, .bytes = 4000000, .receive_buffer = 65535 });
	run(&(struct wire_config){
		.seed = 2, .delay_ms = 1, .bytes = 4000000, .receive_buffer = 1 << 19, .ipv6 = true });
}

static void
a_lossy_wire_carries_every_byte(void **state)
{
	for (uint32_t seed = 10; seed < 16; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .loss_percent = seed - 8,
					   .delay_ms = 5,
					   .bytes = 400000,
					   .receive_buffer = 65535 });
}

static void
a_reordering_and_duplicating_wire_carries_every_byte(void **state)
{
	for (uint32_t seed = 20; seed < 26; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .duplicate_percent = 10,
					   .delay_ms = 3,
					   .jitter_ms = 12,
					   .bytes = 500000,
					   .receive_buffer = 1 << 17 });
}

static void
everything_bad_at_once_carries_every_byte(void **state)
{
	for (uint32_t seed = 30; seed < 42; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .loss_percent = 10,
					   .duplicate_percent = 5,
					   .delay_ms = 5,
					   .jitter_ms = 30,
					   .bytes = 150000,
					   .receive_buffer = seed % 2 ? 4096 : 65535,
					   .ipv6 = seed % 3 == 0 });
}

static void
an_answer_after_the_whole_request_arrives(void **state)
{
	for (uint32_t seed = 50; seed < 56; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .loss_percent = 5,
					   .delay_ms = 2,
					   .jitter_ms = 5,
					   .bytes = 200000,
					   .receive_buffer = 30000,
					   .half_close = true });
}

static void
bytes_moved_back_arrive(void **state)
{
	for (uint32_t seed = 60; seed < 66; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .loss_percent = seed % 2 * 5,
					   .delay_ms = 2,
					   .jitter_ms = 5,
					   .bytes = 400000,
					   .receive_buffer = 65535,
					   .relay = true });
}

static void
two_stacks_that_share_too_few_mbufs_still_get_on(void **state)
{
	/* Each of their send buffers could hold all of them. */
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("few", 127, 0, PACKET_PRIVATE_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

	assert_non_null(pool);
	for (uint32_t seed = 70; seed < 74; seed++)
		run(&(struct wire_config){ .seed = seed,
					   .pool = pool,
					   .loss_percent = seed % 2 * 3,
					   .delay_ms = 2,
					   .bytes = 300000,
					   .receive_buffer = 1 << 17,
					   .relay = seed > 71 });
	assert_int_equal(rte_mempool_avail_count(pool), 127);
	rte_mempool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_wire_carries_every_byte),
		cmocka_unit_test(a_lossy_wire_carries_every_byte),
		cmocka_unit_test(a_reordering_and_duplicating_wire_carries_every_byte),
		cmocka_unit_test(everything_bad_at_once_carries_every_byte),
		cmocka_unit_test(an_answer_after_the_whole_request_arrives),
		cmocka_unit_test(bytes_moved_back_arrive),
		cmocka_unit_test(two_stacks_that_share_too_few_mbufs_still_get_on),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
