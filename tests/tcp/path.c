#include "path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <rte_ip.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "harness.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/dpdk.h"
#include "tcp/stack.h"

#define WRITE_PIECE 20000u

uint32_t
path_chance(struct path *path, uint32_t of)
{
	/* xorshift64* (Vigna) */
	path->random ^= path->random >> 12;
	path->random ^= path->random << 25;
	path->random ^= path->random >> 27;
	return (uint32_t)((path->random * 2685821657736338717ull) >> 33) % of;
}

static bool
happens(struct path *path, uint32_t of_1000)
{
	return of_1000 > 0 && path_chance(path, 1000) < of_1000;
}

/* ---- the path ---- */

static void
fly(struct path *path, struct rte_mbuf *m, uint8_t to, uint64_t at_ns)
{
	uint32_t i = path->flying_count;

	if (path->flying_count == PATH_FLYING_MAX) {
		rte_pktmbuf_free(m);
		return;
	}
	for (; i > 0 && path->flying[i - 1].at_ns > at_ns; i--)
		path->flying[i] = path->flying[i - 1];
	path->flying[i] = (struct path_flying){ at_ns, m, to };
	path->flying_count++;
}

/* When the bottleneck has passed it on; 0: its queue is full. */
static uint64_t
through_bottleneck(struct path *path, struct path_side *side, struct rte_mbuf *m)
{
	uint64_t each_ns, from_ns = RTE_MAX(side->free_ns, path->now_ns);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	uint32_t queued;

	if (path->config.rate_kbit == 0)
		return path->now_ns;
	each_ns = (uint64_t)m->pkt_len * 8 * NS_PER_MS / path->config.rate_kbit;
	queued = (uint32_t)((from_ns - path->now_ns) / (1500ull * 8 * NS_PER_MS / path->config.rate_kbit));
	if (queued >= path->config.queue_max)
		return 0;
	if (path->config.ecn_above && queued >= path->config.ecn_above && ip->type_of_service & 3)
		ip->type_of_service |= 3;
	side->free_ns = from_ns + each_ns;
	return side->free_ns;
}

static bool
is_lost(struct path *path, struct path_side *side)
{
	if (side->burst_left > 0) {
		side->burst_left--;
		return true;
	}
	if (!happens(path, path->config.loss))
		return false;
	side->burst_left = path->config.burst > 0 ? path->config.burst - 1 : 0;
	return true;
}

static void
segment_sent(void *context, struct rte_mbuf *m)
{
	struct path_side *side = context;
	struct path *path = side->path;
	uint8_t to = side == &path->sides[0];
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	uint64_t at_ns;

	side->sent++;
	if (m->pkt_len > path->config.mtu)
		fail_msg("a segment of %u bytes", m->pkt_len);
	at_ns = is_lost(path, side) ? 0 : through_bottleneck(path, side, m);
	if (at_ns == 0) {
		side->lost++;
		rte_pktmbuf_free(m);
		return;
	}
	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	assert_true(packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE));
	if (happens(path, path->config.corruption)) {
		uint8_t *byte = rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + path_chance(path, m->data_len - 34u));

		*byte ^= (uint8_t)(1 << path_chance(path, 8));
	}
	if (happens(path, path->config.duplication)) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, support_pool(), 0, UINT32_MAX);

		if (copy)
			fly(path, copy, to, at_ns + path->config.delay_us * NS_PER_US + path_chance(path, NS_PER_MS));
	}
	if (!happens(path, path->config.reordering))
		at_ns += path->config.delay_us * NS_PER_US;
	fly(path, m, to, at_ns);
}

static void
env_send(void *context, struct rte_mbuf *m)
{
	harness_cut_up(m, segment_sent, context);
}

static bool
env_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	const struct path_side *side = context;

	*local = side->address.ip;
	*mtu = side->path->config.mtu;
	return true;
}

static void
arrive(struct path *path)
{
	while (path->flying_count > 0 && path->flying[0].at_ns <= path->now_ns) {
		struct path_flying first = path->flying[0];

		path->flying_count--;
		memmove(path->flying, path->flying + 1, path->flying_count * sizeof(first));
		if (packet_parse(first.m) == PACKET_OK)
			tcp_input(path->sides[first.to].stack, first.m);
		else
			rte_pktmbuf_free(first.m);
	}
}

/* ---- the two users ---- */

static void
user_writes(struct path_side *side, uint32_t bytes)
{
	static uint8_t buffer[WRITE_PIECE];

	while (side->written < bytes) {
		uint32_t len = RTE_MIN(WRITE_PIECE, bytes - side->written), taken;

		for (uint32_t i = 0; i < len; i++)
			buffer[i] = harness_pattern(side->written + i);
		taken = tcp_write(side->c, buffer, len);
		side->written += taken;
		if (taken < len)
			return;
	}
}

static void
user_reads(struct path_side *side)
{
	struct bytes run;

	while ((run = tcp_peek(side->c)).len > 0) {
		for (size_t i = 0; i < run.len; i++)
			if (run.data[i] != harness_pattern(side->read + (uint32_t)i))
				fail_msg("wrong byte at %zu", side->read + i);
		side->read += (uint32_t)run.len;
		tcp_consume(side->c, (uint32_t)run.len);
	}
}

static void
user_round(struct path_side *side)
{
	const struct path *path = side->path;
	uint32_t mine = side == &path->sides[1];
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(side->stack, &events))) {
		if (!side->c)
			side->c = c;
		assert_ptr_equal(c, side->c);
		if (events & TCP_CLOSED && tcp_close_reason(c) != TCP_FINISHED)
			side->failed = true;
	}
	if (!side->c || side->closed)
		return;
	tcp_want_sent(side->c);
	user_reads(side);
	user_writes(side, path->config.bytes[mine]);
	/* A connection that is given back is given up sooner. */
	if (side->failed || (side->written == path->config.bytes[mine] && side->read == path->config.bytes[!mine] &&
			     tcp_unsent(side->c) == 0)) {
		tcp_close(side->c);
		side->closed = true;
	}
}

/* ---- life ---- */

void
path_init(struct path *path)
{
	*path = (struct path){
		.config = {
			.delay_us = 10000,
			.mtu = 1500,
			.bytes = { 1000000, 0 },
			.seed = 1,
			.queue_max = 100,
			.tcp = {
				.connections_max = 16,
				.time_wait_max = 16,
				.receive_buffer = 1 << 18,
				.send_buffer = 1 << 18,
				.syn_backlog = 16,
				.large_segments = true,
				.keepalive_idle_s = 60,
				.port_first = 32768,
				.port_last = 60999,
				.port_modulus = 1,
				.secret = { 1, 2 },
			},
		},
	};
}

void
path_start(struct path *path)
{
	int error;

	path->pool_available = support_pool_available();
	path->random = path->config.seed * 0x9e3779b97f4a7c15ull + 1;
	path->start_ns = path->now_ns = 1000 * NS_PER_SECOND;
	path->config.tcp.pool = support_pool();
	endpoint_parse(bytes_of_string("192.0.2.1:1"), 0, &path->sides[0].address);
	endpoint_parse(bytes_of_string("192.0.2.2:80"), 0, &path->sides[1].address);
	for (int i = 0; i < 2; i++) {
		struct path_side *side = &path->sides[i];
		struct tcp_env env = { side, env_send, env_route, NULL };
		const char *reason;

		side->path = path;
		side->stack = tcp_stack_new(&path->config.tcp, &env, path->now_ns, &reason);
		assert_non_null(side->stack);
	}
	path->sides[1].listener.local = path->sides[1].address;
	tcp_listen(path->sides[1].stack, &path->sides[1].listener, 1);
	if (path->config.user)
		return;
	path->config.user = user_round;
	path->sides[0].c = tcp_connect(path->sides[0].stack, &path->sides[1].address, NULL, &error);
	assert_non_null(path->sides[0].c);
}

static void
rounds(struct path *path)
{
	arrive(path);
	for (int i = 0; i < 2; i++) {
		struct path_side *side = &path->sides[i];

		tcp_timers(side->stack);
		path->config.user(side);
		tcp_flush(side->stack);
		tcp_check_stack(side->stack);
	}
}

/* To when something happens; false when nothing does before `limit_ns`. */
static bool
step(struct path *path, uint64_t limit_ns)
{
	uint64_t next_ns = path->flying_count > 0 ? path->flying[0].at_ns : UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		uint64_t timer_ns = tcp_next_timer_ns(path->sides[i].stack);

		/* The wheel answers with what it can be slept until, which may be now. */
		if (timer_ns <= path->now_ns)
			timer_ns = path->now_ns + NS_PER_MS;
		next_ns = RTE_MIN(next_ns, timer_ns);
	}
	if (next_ns > limit_ns)
		return false;
	path->now_ns = RTE_MAX(next_ns, path->now_ns);
	for (int i = 0; i < 2; i++)
		tcp_stack_time(path->sides[i].stack, path->now_ns);
	return true;
}

bool
path_run(struct path *path, uint32_t limit_ms)
{
	uint64_t limit_ns = path->now_ns + limit_ms * NS_PER_MS;

	do
		rounds(path);
	while (!(path->sides[0].closed && path->sides[1].closed) && step(path, limit_ns));
	return path->sides[0].closed && path->sides[1].closed;
}

void
path_stop(struct path *path)
{
	uint64_t limit_ns = path->now_ns + 2000 * NS_PER_SECOND;
	struct tcp_usage usage;

	while (step(path, limit_ns))
		rounds(path);
	for (int i = 0; i < 2; i++) {
		struct tcp_stack *stack = path->sides[i].stack;

		tcp_usage(stack, &usage);
		assert_int_equal(usage.connections, 0);
		assert_int_equal(usage.half_open, 0);
		assert_int_equal(usage.time_wait, 0);
		assert_int_equal(stack->table.used, 0);
		assert_int_equal(slab_in_use(stack->troubles), 0);
		assert_int_equal(slab_in_use(stack->scoreboards), 0);
		assert_int_equal(slab_in_use(stack->sent), 0);
		assert_true(tcp_next_timer_ns(stack) == UINT64_MAX);
		tcp_stack_free(stack);
	}
	assert_int_equal(support_pool_available(), path->pool_available);
}

uint32_t
path_elapsed_ms(const struct path *path)
{
	return (uint32_t)((path->now_ns - path->start_ns) / NS_PER_MS);
}

uint64_t
path_count(const struct path *path, unsigned int side, const char *counter)
{
	for (size_t i = 0; i < tcp_counter_count; i++)
		if (strcmp(tcp_counter_names[i], counter) == 0)
			return tcp_counters(path->sides[side].stack)[i];
	fail_msg("no counter %s", counter);
	return 0;
}
