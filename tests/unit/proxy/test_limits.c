/*
 * What is bounded, at its bound; and what changes under exchanges that are under way: configurations, and the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "opening.h"
#include "proxy/worker.h"

/* ---- worker_connections ---- */

static void
sessions_and_links_share_worker_connections(void **state)
{
	struct peer *clients[8], *server;
	int open = 0;

	world_init(&w);
	w.worker_connections = 4;
	world_start(&w, PROXY);
	clients[0] = world_connect(&w);
	peer_say(clients[0], GET);
	for (int i = 1; i < 6; i++)
		clients[i] = world_connect(&w);
	for (int i = 0; i < 6; i++)
		open += !clients[i]->closed;
	assert_int_equal(open, 3); /* and a link */
	assert_int_equal(world_count(&w, PROXY_COUNT_REFUSED_LIMIT), 3);
	assert_true(peer_sees_reset(clients[5]));
	assert_true(world_logged(&w, "4 worker_connections are not enough"));
	server = world_accept(&w);
	peer_say(server, OK);
	assert_memory_equal(peer_said(clients[0]), "HTTP/1.1 200 OK", 15);
	clients[6] = world_connect(&w);
	assert_false(clients[6]->closed);
	world_stop(&w);
}

/* ---- handshakes ---- */

static unsigned int
handshakes_due(void)
{
	struct list *node;
	unsigned int due = 0;

	while ((node = list_first(&w.worker->idle)) != NULL) {
		proxy_session_secure(container_of(node, struct proxy_session, node));
		due++;
	}
	return due;
}

static void
one_step_of_all_handshakes_is_done_in_a_round(void **state)
{
	unsigned int due;

	start("server { listen 443 ssl; ssl_reject_handshake on; }");
	for (int i = 0; i < 6; i++)
		world_connect_to(&w, "192.0.2.1:443");
	due = handshakes_due();
	assert_int_equal(due, 6);
	assert_int_equal(proxy_worker_next_ns(w.worker), 0);
	for (; due > 0; due--)
		assert_int_equal(proxy_worker_handshakes(w.worker, false), 1);
	assert_int_equal(proxy_worker_handshakes(w.worker, false), 0);
	world_stop(&w);
}

static void
packets_go_before_handshakes_but_not_for_ever(void **state)
{
	start("server { listen 443 ssl; ssl_reject_handshake on; }");
	for (int i = 0; i < 2; i++)
		world_connect_to(&w, "192.0.2.1:443");
	assert_int_equal(handshakes_due(), 2);
	for (int step = 0; step < 2; step++) {
		for (int round = 0; round < 64; round++)
			assert_int_equal(proxy_worker_handshakes(w.worker, true), 0);
		assert_int_equal(proxy_worker_handshakes(w.worker, true), 1);
	}
	world_stop(&w);
}

static void
every_session_that_was_accepted_gets_its_link(void **state)
{
	struct peer *clients[4], *server;

	world_init(&w);
	w.worker_connections = 4;
	world_start(&w, PROXY);
	for (int i = 0; i < 4; i++)
		clients[i] = world_connect(&w);
	for (int i = 0; i < 4; i++)
		peer_say(clients[i], GET);
	for (int i = 0; i < 4; i++) {
		server = world_accept(&w);
		assert_non_null(server);
		peer_say(server, OK);
		assert_memory_equal(peer_said(clients[i]), "HTTP/1.1 200 OK", 15);
	}
	world_stop(&w);
}

static void
idle_link_to_another_server_gives_way_when_all_are_taken(void **state)
{
	struct peer *clients[3], *servers[3];

	world_init(&w);
	w.worker_connections = 3;
	world_start(
		&w,
		"upstream a { server 10.0.0.1; keepalive 8; } upstream b { server 10.0.0.2; keepalive 8; } server { "
		"proxy_http_version 1.1; proxy_set_header Connection \"\"; location /a { proxy_pass http://a; } "
		"location /b { proxy_pass http://b; } }");
	for (int i = 0; i < 3; i++)
		clients[i] = world_connect(&w);
	for (int i = 0; i < 3; i++) {
		peer_say(clients[i], "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
		servers[i] = world_accept(&w);
	}
	for (int i = 0; i < 3; i++)
		peer_say(servers[i], OK);
	/* Three links wait, all to `a`. */
	peer_said(clients[0]);
	peer_say(clients[0], "GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
	servers[0] = world_accept(&w);
	assert_non_null(servers[0]);
	peer_say(servers[0], OK);
	assert_memory_equal(peer_said(clients[0]), "HTTP/1.1 200 OK", 15);
	world_stop(&w);
}

static void
large_blocks_run_out_without_harm(void **state)
{
	static char head[6000];
	struct peer *clients[70];
	int answered = 0, refused = 0;

	world_init(&w);
	w.worker_connections = 128;
	world_start(&w, PROXY);
	memset(head, 'x', sizeof(head));
	memcpy(head, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
	/* Each holds a block while its head is unfinished; there are 64. */
	for (int i = 0; i < 70; i++) {
		clients[i] = world_connect(&w);
		peer_send(clients[i], head, 5000);
	}
	assert_int_equal(slab_in_use(w.worker->large), 64);
	for (int i = 0; i < 70; i++) {
		struct peer *server;

		peer_say(clients[i], "\r\n\r\n");
		server = world_accept(&w);
		if (server) {
			peer_say(server, OK);
			answered += strncmp(peer_said(clients[i]), "HTTP/1.1 200 ", 13) == 0;
		} else {
			refused += clients[i]->ended || clients[i]->closed;
		}
	}
	assert_int_equal(answered, 64);
	assert_int_equal(refused, 6);
	assert_true(world_count(&w, PROXY_COUNT_OUT_OF_MEMORY) >= 6);
	world_stop(&w);
}

/* More than the exchange's own memory, of a field of 900 bytes. */
#define FOUR "$http_y$http_y$http_y$http_y"
#define WIDE FOUR FOUR FOUR FOUR

static void
exchange_that_finds_no_large_block_gets_500_and_blames_no_server(void **state)
{
	static char head[6000];
	static const char *const paths[] = { "/text", "/buffer", "/wide" };
	struct peer *client, *server;

	world_init(&w);
	w.worker_connections = 128;
	world_start(&w,
		    "server { location /text { return 200 " WIDE "; } location /buffer { proxy_pass http://10.0.0.1; "
		    "proxy_buffer_size 16k; } location /wide { proxy_pass http://10.0.0.1; proxy_set_header X " WIDE
		    "; } }");
	memset(head, 'x', sizeof(head));
	memcpy(head, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
	for (int i = 0; i < 64; i++)
		peer_send(world_connect(&w), head, 5000);
	assert_int_equal(slab_in_use(w.worker->large), 64);
	for (int i = 0; i < 3; i++) {
		char request[1100];

		client = world_connect(&w);
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\nY: %0900d\r\n\r\n", paths[i], 1);
		peer_say(client, request);
		server = world_accept(&w);
		if (server)
			peer_say(server, OK);
		assert_memory_equal(peer_said(client), "HTTP/1.1 500 Internal Server Error\r\n", 36);
		assert_int_equal(world_last(&w)->status, 500);
		assert_true(peer_sees_end(client));
	}
	assert_false(upstream_failed(w.generation->shares[0].states[0], 0));
	world_stop(&w);
}

/* ---- packet buffers ---- */

/* A scripted exchange with bodies in both directions, during which the pool runs out at a given moment, for a while. */
static void
starved_exchange(int at, unsigned int left, bool chunked)
{
	static uint8_t data[60000];
	struct peer *client, *server = NULL;
	int now = 0;

	start(chunked ? PROXY : KEEP);
	client = world_connect(&w);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (int step = 0; step < 12; step++) {
		if (now++ == at)
			world_starve(&w, left);
		if (now == at + 3) {
			world_advance(&w, 3000);
			world_feed(&w);
		}
		if (step == 0)
			peer_say(client, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
		else if (step < 5)
			peer_send(client, data + (step - 1) * 15000, 15000);
		if (!server)
			server = world_accept(&w);
		if (step == 5 && server)
			peer_say(server, chunked ? "HTTP/1.1 200 OK\r\n\r\n"
						 : "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
		else if (step > 5 && step < 10 && server)
			peer_send(server, data + (step - 6) * 15000, 15000);
		else if (step == 10 && server)
			peer_shutdown(server);
		world_advance(&w, 1000);
	}
	world_advance(&w, 200000);
	/* Whatever came of it: an answer that claims to be whole is whole. */
	if (world_last(&w)->complete && world_last(&w)->status == 200) {
		const char *body = strstr((const char *)client->in, "\r\n\r\n");

		assert_non_null(body);
		if (chunked)
			assert_memory_equal(client->in + client->in_len - 5, "0\r\n\r\n", 5);
		else
			assert_memory_equal(body + 4, data, sizeof(data));
	}
	world_stop(&w);
}

static void
packet_buffers_may_run_out_at_any_moment(void **state)
{
	for (int at = 0; at < 12; at++)
		for (unsigned int left = 0; left <= 12; left += 3) {
			starved_exchange(at, left, false);
			starved_exchange(at, left, true);
		}
}

/* ---- configurations ---- */

static void
exchange_under_way_finishes_on_the_configuration_it_began_with(void **state)
{
	struct peer *client, *server, *second;

	start(KEEP);
	client = world_connect(&w);
	peer_say(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
	server = world_accept(&w);
	world_reload(&w, "server { location / { proxy_pass http://10.0.0.2; } }");
	assert_false(proxy_generation_unused(w.old));
	peer_say(client, "def");
	assert_non_null(strstr(peer_said(server), "\r\n\r\nabcdef"));
	peer_say(server, OK);
	assert_memory_equal(peer_said(client), "HTTP/1.1 200 OK", 15);
	/* Its connection is not kept: it belongs to the old one. */
	assert_true(server->closed || server->ended);
	assert_true(proxy_generation_unused(w.old));
	peer_say(client, GET);
	second = world_accept(&w);
	assert_non_null(strstr(peer_said(second), "Host: 10.0.0.2"));
	peer_say(second, OK);
	assert_memory_equal(peer_said(client), "HTTP/1.1 200 OK", 15);
	world_stop(&w);
}

static void
retry_and_body_after_a_reload_use_the_old_groups(void **state)
{
	struct peer *client, *server;

	start("upstream u { server 10.0.0.1; server 10.0.0.2; } server { location / { proxy_pass http://u; } }");
	client = world_connect(&w);
	peer_say(client, GET);
	server = world_accept(&w);
	world_reload(&w, "server { location / { return 200 new; } }");
	peer_close(server);
	server = world_accept(&w);
	assert_non_null(server);
	peer_say(server, OK);
	assert_memory_equal(peer_said(client), "HTTP/1.1 200 OK", 15);
	assert_int_equal(world_last(&w)->tried, 2);
	assert_true(proxy_generation_unused(w.old));
	peer_say(client, GET);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nnew"));
	world_stop(&w);
}

static void
idle_links_of_the_old_configuration_are_closed_idle_clients_are_not(void **state)
{
	struct peer *client, *server;

	start(KEEP);
	client = world_connect(&w);
	peer_say(client, GET);
	server = world_accept(&w);
	peer_say(server, OK);
	assert_false(server->closed || server->ended);
	world_reload(&w, KEEP);
	assert_true(server->closed || server->ended);
	assert_true(proxy_generation_unused(w.old));
	assert_false(client->closed || client->ended);
	world_reload(&w, "server { location / { return 200 x; } }");
	peer_say(client, GET);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nx"));
	world_stop(&w);
}

static void
address_that_is_listened_on_no_more_ends_its_connections_between_requests(void **state)
{
	struct peer *idle, *busy, *half, *server;

	start("server { listen 81; location / { proxy_pass http://10.0.0.1; } }");
	idle = world_connect_to(&w, "192.0.2.1:81");
	half = world_connect_to(&w, "192.0.2.1:81");
	busy = world_connect_to(&w, "192.0.2.1:81");
	peer_say(half, "GET / HT");
	peer_say(busy, GET);
	server = world_accept(&w);
	world_reload(&w, "server { listen 82; return 200 new; }");
	peer_say(server, OK);
	assert_memory_equal(peer_said(busy), "HTTP/1.1 200 OK", 15);
	assert_true(busy->closed || busy->ended);
	peer_say(half, "TP/1.1\r\nHost: a\r\n\r\n");
	server = world_accept(&w);
	peer_say(server, OK);
	assert_memory_equal(peer_said(half), "HTTP/1.1 200 OK", 15);
	peer_say(idle, GET);
	assert_true(idle->closed || idle->ended);
	assert_true(proxy_generation_unused(w.old));
	world_stop(&w);
}

/* ---- the end ---- */

static void
drain_closes_the_idle_and_lets_the_others_finish(void **state)
{
	struct peer *idle, *busy, *half, *server, *late;

	start(KEEP);
	idle = world_connect(&w);
	half = world_connect(&w);
	busy = world_connect(&w);
	peer_say(idle, GET);
	peer_say(world_accept(&w), OK);
	peer_say(half, "GET / HTTP/1.1\r\n");
	peer_say(busy, GET);
	peer_say(busy, GET);
	proxy_worker_drain(w.worker);
	world_run(&w);
	assert_true(peer_sees_end(idle));
	late = world_connect(&w);
	assert_true(late->closed);
	assert_int_equal(proxy_worker_sessions(w.worker), 2);
	for (size_t i = 0; i < w.peer_count; i++)
		if (w.peers[i].port && !w.peers[i].closed && !w.peers[i].ended)
			peer_say(&w.peers[i], OK);
	assert_memory_equal(peer_said(busy), "HTTP/1.1 200 OK", 15);
	assert_true(peer_sees_end(busy));
	peer_close(busy);
	peer_say(half, "Host: a\r\n\r\n");
	while ((server = world_accept(&w)))
		if (!server->closed && !server->ended)
			peer_say(server, OK);
	assert_non_null(strstr(peer_said(half), "Connection: close\r\n"));
	assert_true(peer_sees_end(half));
	assert_int_equal(proxy_worker_sessions(w.worker), 0);
	assert_int_equal(world_in_use(&w), 0);
	world_stop(&w);
}

/* ---- chance ---- */

static uint32_t seed;

static uint32_t
chance(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void
random_peer_step(struct peer *peer, bool server)
{
	static const char *const requests[] = {
		GET,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HEAD /k HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /t HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly",
		"GET /no HTTP/1.0\r\n\r\n",
		"bad\r\n\r\n",
		"PUT /k HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
	};
	static const char *const answers[] = {
		OK,
		"HTTP/1.1 200 OK\r\n\r\nbytes",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
		"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
		"nonsense\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\n\r\n",
	};
	const char *text = server ? answers[chance(8)] : requests[chance(8)];
	size_t len = strlen(text);

	switch (chance(16)) {
	case 0:
		peer_reset(peer);
		break;
	case 1:
		peer_close(peer);
		break;
	case 2:
		peer_shutdown(peer);
		break;
	case 3:
		peer->slow = !peer->slow;
		break;
	case 4:
		peer_send(peer, text, chance((uint32_t)len));
		break;
	default:
		peer_send(peer, text, len);
	}
}

static void
nothing_leaks_whatever_clients_servers_time_and_memory_do(void **state)
{
	for (uint32_t run = 0; run < 60; run++) {
		struct peer *live[32];
		bool is_server[32];
		int count = 0;

		seed = run + 1;
		world_init(&w);
		w.worker_connections = 12;
		w.consistency = run % 4 == 0;
		world_start(&w,
			    "upstream u { server 10.0.0.1; server 10.0.0.2:8080; server 10.0.0.3:81; keepalive 2; } "
			    "upstream k { server 10.0.0.2; keepalive 4; } server { proxy_read_timeout 5s; "
			    "proxy_next_upstream error timeout http_503 invalid_header non_idempotent; "
			    "location / { proxy_pass http://u; } location /k { proxy_pass http://k; "
			    "proxy_http_version 1.1; proxy_set_header Connection \"\"; } "
			    "location /t { proxy_pass http://k; proxy_http_version 1.1; "
			    "proxy_set_header Upgrade $http_upgrade; } location /no { return 404; } }");
		for (int step = 0; step < 200; step++) {
			struct peer *server;
			int which = count ? (int)chance((uint32_t)count) : 0;

			while ((server = world_accept(&w)) && count < 32) {
				is_server[count] = true;
				live[count++] = server;
			}
			if (count < 24 && chance(4) == 0) {
				is_server[count] = false;
				live[count++] = world_connect(&w);
			} else if (count && chance(8)) {
				if (live[which]->tcp)
					random_peer_step(live[which], is_server[which]);
				if (!live[which]->tcp || live[which]->closed) {
					peer_reset(live[which]);
					live[which] = live[--count];
					is_server[which] = is_server[count];
				}
			} else {
				world_advance(&w, chance(3000));
			}
			if (chance(40) == 0)
				world_starve(&w, chance(20));
			else if (chance(5) == 0)
				world_feed(&w);
			if (chance(60) == 0 && (!w.old || proxy_generation_unused(w.old)))
				world_reload(&w, chance(2) ? KEEP : PROXY);
		}
		world_stop(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_and_links_share_worker_connections),
		cmocka_unit_test(one_step_of_all_handshakes_is_done_in_a_round),
		cmocka_unit_test(packets_go_before_handshakes_but_not_for_ever),
		cmocka_unit_test(every_session_that_was_accepted_gets_its_link),
		cmocka_unit_test(idle_link_to_another_server_gives_way_when_all_are_taken),
		cmocka_unit_test(large_blocks_run_out_without_harm),
		cmocka_unit_test(exchange_that_finds_no_large_block_gets_500_and_blames_no_server),
		cmocka_unit_test(packet_buffers_may_run_out_at_any_moment),
		cmocka_unit_test(exchange_under_way_finishes_on_the_configuration_it_began_with),
		cmocka_unit_test(retry_and_body_after_a_reload_use_the_old_groups),
		cmocka_unit_test(idle_links_of_the_old_configuration_are_closed_idle_clients_are_not),
		cmocka_unit_test(address_that_is_listened_on_no_more_ends_its_connections_between_requests),
		cmocka_unit_test(drain_closes_the_idle_and_lets_the_others_finish),
		cmocka_unit_test(nothing_leaks_whatever_clients_servers_time_and_memory_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
