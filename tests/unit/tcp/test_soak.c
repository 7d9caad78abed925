/*
 * Thousands of connections that come and go between two stacks, over a path that loses and doubles, ended by either side in every
 * way there is: afterwards nothing is left of them, no control block, no timer, no packet buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "check.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "support/dpdk.h"
#include "tcp/stack.h"

#define CONNECTIONS 5000
#define AT_ONCE 100
#define UNDER_WAY 4096 /* a power of two */
#define DELAY_NS NS_PER_MS
#define LOST_PERCENT 2
#define DOUBLED_PERCENT 1

struct side {
	struct tcp_stack *stack;
	struct endpoint address;
	struct {
		struct rte_mbuf *m;
		uint64_t arrives_ns;
	} under_way[UNDER_WAY]; /* to this side, in order */
	uint32_t first, count;
};

static struct side client, server;
static uint64_t now_ns;
static uint64_t seed = 1;
static uint32_t opened, held, reset;

static uint32_t
chance(uint32_t of)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % of;
}

/* ---- the path ---- */

static void
put(struct side *to, struct rte_mbuf *m)
{
	uint32_t last = (to->first + to->count) % UNDER_WAY;

	if (chance(100) < LOST_PERCENT || to->count == UNDER_WAY) {
		rte_pktmbuf_free(m);
		return;
	}
	to->under_way[last].m = m;
	to->under_way[last].arrives_ns = now_ns + DELAY_NS;
	to->count++;
}

static void
env_send(void *context, struct rte_mbuf *m)
{
	struct side *to = context == &client ? &server : &client;
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct rte_mbuf *copy;

	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	assert_true(packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE));
	copy = chance(100) < DOUBLED_PERCENT ? rte_pktmbuf_copy(m, support_pool(), 0, UINT32_MAX) : NULL;
	put(to, m);
	if (copy)
		put(to, copy);
}

static bool
env_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	*local = ((struct side *)context)->address.ip;
	*mtu = 1500;
	return true;
}

static void
deliver(struct side *side)
{
	while (side->count > 0 && side->under_way[side->first].arrives_ns <= now_ns) {
		struct rte_mbuf *m = side->under_way[side->first].m;

		side->first = (side->first + 1) % UNDER_WAY;
		side->count--;
		assert_int_equal(packet_parse(m), PACKET_OK);
		tcp_input(side->stack, m);
	}
}

/* ---- the users ---- */

static void
let_go(struct tcp_connection *c)
{
	held--;
	if (chance(4) == 0)
		tcp_abort(c);
	else
		tcp_close(c);
}

static void
client_events(struct tcp_connection *c, uint32_t events)
{
	static const uint8_t request[4000];

	if (events & TCP_CONNECTED) {
		tcp_write(c, request, 1 + chance(sizeof(request)));
		/* Some do not wait for an answer, some say that there is no more. */
		if (chance(8) == 0) {
			let_go(c);
			return;
		}
		if (chance(2) == 0)
			tcp_shutdown(c);
	}
	if (tcp_readable(c) && chance(3) == 0)
		tcp_consume(c, tcp_readable(c));
	reset += events & TCP_CLOSED && tcp_close_reason(c) == TCP_RESET;
	if (events & (TCP_CLOSED | TCP_END_OF_STREAM) || (events & TCP_READABLE && chance(2) == 0))
		let_go(c);
	else if (events & TCP_READABLE)
		tcp_shutdown(c);
}

static void
server_events(struct tcp_connection *c, uint32_t events)
{
	held += !!(events & TCP_ACCEPTED);
	if (events & TCP_READABLE)
		tcp_move(c, c, UINT32_MAX);
	if (events & (TCP_CLOSED | TCP_END_OF_STREAM) || chance(16) == 0)
		let_go(c);
}

static void
open_more(void)
{
	int error;

	for (; opened < CONNECTIONS && held < AT_ONCE; opened++, held++)
		assert_non_null(tcp_connect(client.stack, &server.address, NULL, &error));
}

static void
round_of(struct side *side, void (*user)(struct tcp_connection *c, uint32_t events))
{
	struct tcp_connection *c;
	uint32_t events;

	tcp_stack_time(side->stack, now_ns);
	deliver(side);
	tcp_timers(side->stack);
	while ((c = tcp_ready(side->stack, &events)))
		user(c, events);
	if (side == &client)
		open_more();
	tcp_flush(side->stack);
}

/* ---- start and end ---- */

static void
start(struct side *side, const char *address)
{
	struct tcp_config config = { .pool = support_pool(),
				     .connections_max = 1024,
				     .time_wait_max = 2048,
				     .receive_buffer = 1 << 16,
				     .send_buffer = 1 << 16,
				     .syn_backlog = 64,
				     .port_first = 10000,
				     .port_last = 19999,
				     .port_modulus = 1,
				     .keepalive_idle_s = 60 };
	struct tcp_env env = { .context = side, .send = env_send, .route = env_route };
	const char *error;

	assert_int_equal(endpoint_parse(bytes_of_string(address), 0, &side->address), 0);
	config.secret[0] = side == &client;
	side->stack = tcp_stack_new(&config, &env, now_ns, &error);
	assert_non_null(side->stack);
}

static uint64_t
next_ns(const struct side *side)
{
	uint64_t timer_ns = tcp_next_timer_ns(side->stack);

	return side->count > 0 ? RTE_MIN(timer_ns, side->under_way[side->first].arrives_ns) : timer_ns;
}

static void
nothing_is_left(const struct side *side)
{
	struct tcp_usage usage;

	tcp_usage(side->stack, &usage);
	assert_int_equal(usage.connections, 0);
	assert_int_equal(usage.half_open, 0);
	assert_int_equal(usage.time_wait, 0);
	assert_int_equal(side->stack->table.used, 0);
	assert_int_equal(slab_in_use(side->stack->scoreboards), 0);
	assert_int_equal(slab_in_use(side->stack->sent), 0);
	assert_true(tcp_next_timer_ns(side->stack) == UINT64_MAX);
}

static void
after_thousands_of_connections_nothing_is_left(void **state)
{
	unsigned int before = support_pool_available();
	struct tcp_listener listener;
	uint64_t next;

	now_ns = NS_PER_SECOND;
	start(&client, "192.0.2.1:1");
	start(&server, "192.0.2.2:80");
	listener = (struct tcp_listener){ server.address, NULL };
	tcp_listen(server.stack, &listener, 1);
	open_more();
	tcp_flush(client.stack);
	for (uint32_t rounds = 0; (next = RTE_MIN(next_ns(&client), next_ns(&server))) != UINT64_MAX; rounds++) {
		now_ns = RTE_MAX(next, now_ns + 100 * NS_PER_US);
		round_of(&client, client_events);
		round_of(&server, server_events);
		if (rounds % 64 == 0) {
			tcp_check_stack(client.stack);
			tcp_check_stack(server.stack);
		}
		assert_true(now_ns < 3600 * NS_PER_SECOND);
	}
	assert_int_equal(opened, CONNECTIONS);
	assert_int_equal(held, 0);
	/* It has been as colourful as it was meant to be. */
	assert_true(reset > CONNECTIONS / 100);
	assert_true(client.stack->counters[TCP_COUNT_retransmitted_segments] > CONNECTIONS / 100);
	nothing_is_left(&client);
	nothing_is_left(&server);
	assert_int_equal(support_pool_available(), before);
	tcp_stack_free(client.stack);
	tcp_stack_free(server.stack);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(after_thousands_of_connections_nothing_is_left) };

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
