/*
 * Thousands of connections that come and go between two stacks, over a path that loses and doubles, ended by either side in every
 * way there is: afterwards nothing is left of them, no control block, no timer, no packet buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "path.h"
#include "support/dpdk.h"

#define CONNECTIONS 5000
#define AT_ONCE 100

static struct path P, *const p = &P;
static uint32_t opened, held, reset;

/* ---- the users ---- */

static bool
one_of(uint32_t of)
{
	return path_chance(p, of) == 0;
}

static void
let_go(struct tcp_connection *c)
{
	held--;
	if (one_of(4))
		tcp_abort(c);
	else
		tcp_close(c);
}

static void
client_events(struct tcp_connection *c, uint32_t events)
{
	static const uint8_t request[4000];

	if (events & TCP_CONNECTED) {
		tcp_write(c, request, 1 + path_chance(p, sizeof(request)));
		/* Some do not wait for an answer, some say that there is no more. */
		if (one_of(8)) {
			let_go(c);
			return;
		}
		if (one_of(2))
			tcp_shutdown(c);
	}
	if (tcp_readable(c) && one_of(3))
		tcp_consume(c, tcp_readable(c));
	reset += events & TCP_CLOSED && tcp_close_reason(c) == TCP_RESET;
	if (events & (TCP_CLOSED | TCP_END_OF_STREAM) || (events & TCP_READABLE && one_of(2)))
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
	if (events & (TCP_CLOSED | TCP_END_OF_STREAM) || one_of(16))
		let_go(c);
}

static void
open_more(struct path_side *client)
{
	int error;

	for (; opened < CONNECTIONS && held < AT_ONCE; opened++, held++)
		assert_non_null(tcp_connect(client->stack, &p->sides[1].address, NULL, &error));
}

static void
user(struct path_side *side)
{
	bool is_client = side == &p->sides[0];
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(side->stack, &events)))
		(is_client ? client_events : server_events)(c, events);
	if (is_client)
		open_more(side);
	side->closed = opened == CONNECTIONS && held == 0;
}

static void
after_thousands_of_connections_nothing_is_left(void **state)
{
	path_init(p);
	p->config.user = user;
	p->config.delay_us = 1000;
	p->config.loss = 20;
	p->config.duplication = 10;
	p->config.tcp.connections_max = 1024;
	p->config.tcp.time_wait_max = 2048;
	p->config.tcp.receive_buffer = p->config.tcp.send_buffer = 1 << 16;
	p->config.tcp.syn_backlog = 64;
	p->config.tcp.large_segments = false;
	p->config.tcp.port_first = 10000;
	p->config.tcp.port_last = 19999;
	path_start(p);
	assert_true(path_run(p, 3600 * 1000));
	/* It has been as colourful as it was meant to be. */
	assert_true(reset > CONNECTIONS / 100);
	assert_true(path_count(p, 0, "retransmitted_segments") > CONNECTIONS / 100);
	path_stop(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(after_thousands_of_connections_nothing_is_left) };

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
