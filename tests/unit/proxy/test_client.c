/*
 * Clients that are slow, that go away, that send too much, and those that ask for a tunnel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opening.h"

#define TUNNEL                                                                                                         \
	"server { location / { proxy_pass http://10.0.0.1; proxy_http_version 1.1; proxy_read_timeout 20s; "           \
	"proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade; } }"
#define UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

/* ---- going away ---- */

static void
client_that_goes_at_any_byte_of_its_request_leaves_nothing(void **state)
{
	const char request[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

	for (size_t cut = 0; cut < sizeof(request) - 1; cut++)
		for (int how = 0; how < 3; how++) {
			struct peer *client;
			bool head = cut >= sizeof(request) - 1 - 5;

			start(PROXY);
			client = world_connect(&w);
			peer_send(client, request, cut);
			if (how == 0)
				peer_shutdown(client);
			else if (how == 1)
				peer_reset(client);
			else
				peer_close(client);
			assert_int_equal(world_in_use(&w), 0);
			assert_int_equal(w.record_count, cut > 0);
			if (cut)
				assert_int_equal(world_last(&w)->status, head ? 499 : 400);
			world_stop(&w);
		}
}

static void
client_that_goes_while_it_waits_is_499_and_the_server_is_let_go(void **state)
{
	for (int how = 0; how < 3; how++)
		for (int connected = 0; connected < 2; connected++) {
			struct peer *client, *server;

			start(PROXY);
			client = world_connect(&w);
			w.sides[WORLD_SERVERS].cut = !connected;
			peer_say(client, GET);
			server = world_accept(&w);
			if (how == 0)
				peer_shutdown(client);
			else if (how == 1)
				peer_reset(client);
			else
				peer_close(client);
			assert_int_equal(world_last(&w)->status, 499);
			assert_int_equal(world_count(&w, PROXY_COUNT_CLIENT_ABORTED), 1);
			assert_int_equal(world_in_use(&w), 0);
			if (connected)
				assert_true(peer_sees_reset(server));
			world_stop(&w);
		}
}

static void
proxy_ignore_client_abort_waits_for_the_answer(void **state)
{
	struct peer *client, *server;

	start("proxy_ignore_client_abort on; " PROXY);
	client = asked(GET, &server);
	peer_shutdown(client);
	assert_int_equal(w.record_count, 0);
	peer_say(server, OK);
	assert_int_equal(world_last(&w)->status, 200);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nok"));
	assert_true(peer_sees_end(client));
	world_stop(&w);
}

static void
client_that_goes_in_the_middle_of_the_answer_keeps_its_status(void **state)
{
	struct peer *client, *server;

	start(PROXY);
	client = asked(GET, &server);
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
	peer_reset(client);
	assert_int_equal(world_last(&w)->status, 200);
	assert_false(world_last(&w)->complete);
	assert_int_equal(world_in_use(&w), 0);
	world_stop(&w);
}

static void
half_closed_client_gets_its_answer_when_fin_came_with_the_request(void **state)
{
	struct peer *client, *server;

	start(PROXY);
	client = world_connect(&w);
	client->shutting = true;
	peer_say(client, "GET / HTTP/1.0\r\n\r\n");
	server = world_accept(&w);
	if (server) {
		peer_say(server, OK);
		assert_non_null(strstr(peer_said(client), "\r\n\r\nok"));
	} else {
		assert_int_equal(world_last(&w)->status, 499);
	}
	world_stop(&w);
}

static void
half_closed_client_gets_an_answer_of_our_own_though_its_body_is_short(void **state)
{
	struct peer *client;

	start("server { location / { return 404; } }");
	client = world_connect(&w);
	client->shutting = true;
	peer_say(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
	assert_memory_equal(peer_said(client), "HTTP/1.1 404 ", 13);
	assert_true(peer_sees_end(client));
	assert_int_equal(world_in_use(&w), 0);
	world_stop(&w);
}

/* ---- slow ---- */

static void
slow_head_ends_by_client_header_timeout(void **state)
{
	struct peer *client;

	start("client_header_timeout 5s; keepalive_timeout 7s; " PROXY);
	client = world_connect(&w);
	/* A head that drips does not extend the time. */
	for (int i = 0; i < 4; i++) {
		peer_say(client, "G");
		world_advance(&w, 1200);
	}
	assert_int_equal(w.record_count, 0);
	world_advance(&w, 300);
	assert_int_equal(world_last(&w)->status, 408);
	assert_true(client->ended);
	assert_int_equal(client->in_len, 0);
	peer_close(client);
	/* Without a byte there is no request to log. */
	client = world_connect(&w);
	world_advance(&w, 5100);
	assert_true(client->ended);
	assert_int_equal(w.record_count, 1);
	world_stop(&w);
}

static void
idle_connection_ends_by_keepalive_timeout_and_a_second_head_has_its_own_time(void **state)
{
	struct peer *client;

	start("client_header_timeout 5s; keepalive_timeout 7s; server { location / { return 200; } }");
	client = world_connect(&w);
	peer_say(client, GET);
	world_advance(&w, 6900);
	assert_false(client->ended);
	peer_say(client, "GET /");
	world_advance(&w, 4900);
	assert_false(client->ended);
	world_advance(&w, 200);
	assert_true(client->ended);
	assert_int_equal(world_last(&w)->status, 408);
	peer_close(client);
	client = world_connect(&w);
	peer_say(client, GET);
	world_advance(&w, 7100);
	assert_true(client->ended);
	assert_int_equal(w.record_count, 3);
	world_stop(&w);
}

static void
client_that_takes_nothing_is_reset_after_send_timeout(void **state)
{
	uint8_t *data = calloc(1, 1 << 20);
	struct peer *client, *server;

	start("send_timeout 5s; " PROXY);
	client = asked(GET, &server);
	client->slow = true;
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
	peer_send(server, data, 1 << 20);
	world_advance(&w, 4900);
	assert_int_equal(w.record_count, 0);
	/* Whatever it takes starts the time anew. */
	peer_read(client, 70000);
	world_advance(&w, 4800);
	assert_int_equal(w.record_count, 0);
	world_advance(&w, 1000);
	assert_int_equal(w.record_count, 1);
	assert_int_equal(world_last(&w)->status, 200);
	assert_false(world_last(&w)->complete);
	assert_true(peer_sees_reset(client));
	assert_true(peer_sees_reset(server));
	free(data);
	world_stop(&w);
}

/* ---- too much ---- */

static void
bodies_beyond_the_limit_get_413(void **state)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nabcdefghijk",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\nabcdef\r\n",
	};

	for (size_t i = 0; i < 3; i++) {
		struct peer *client, *server;

		start("client_max_body_size 10; " PROXY);
		client = world_connect(&w);
		peer_say(client, requests[i]);
		assert_memory_equal(peer_said(client), "HTTP/1.1 413 Request Entity Too Large\r\n", 39);
		assert_int_equal(world_last(&w)->status, 413);
		assert_int_equal(world_count(&w, PROXY_COUNT_BODY_TOO_LARGE), 1);
		assert_true(peer_sees_end(client));
		server = world_accept(&w);
		if (server)
			assert_true(peer_sees_reset(server));
		world_stop(&w);
	}
}

static void
bad_chunks_get_400_whoever_was_to_answer(void **state)
{
	static const char *const configurations[] = { PROXY, "server { location / { return 200 hello; } }" };

	for (int i = 0; i < 2; i++) {
		struct peer *client;

		start(configurations[i]);
		client = world_connect(&w);
		peer_say(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" GET);
		if (i == 0)
			assert_memory_equal(peer_said(client), "HTTP/1.1 400 ", 13);
		assert_int_equal(w.record_count, 1);
		assert_int_equal(world_count(&w, PROXY_COUNT_BAD_REQUEST), 1);
		assert_true(peer_sees_end(client));
		world_stop(&w);
	}
}

/* ---- expectations ---- */

static void
continue_is_said_when_the_server_is_ready_and_nothing_has_come(void **state)
{
	struct peer *client, *server;

	start(PROXY);
	w.sides[WORLD_SERVERS].cut = true;
	client = world_connect(&w);
	peer_say(client, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	assert_string_equal(peer_said(client), "");
	w.sides[WORLD_SERVERS].cut = false;
	world_advance(&w, 3000);
	assert_string_equal(peer_said(client), "HTTP/1.1 100 Continue\r\n\r\n");
	server = world_accept(&w);
	assert_null(strstr(peer_said(server), "Expect"));
	peer_say(client, "hello");
	assert_string_equal(peer_said(server), "hello");
	peer_say(server, OK);
	assert_memory_equal(peer_said(client), "HTTP/1.1 200 OK", 15);
	world_stop(&w);
}

static void
continue_is_not_said_to_impatient_old_or_refused_clients(void **state)
{
	static const char *const requests[] = {
		"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhe",
		"PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"PUT /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	};

	for (int i = 0; i < 3; i++) {
		struct peer *client;

		start("server { location / { proxy_pass http://10.0.0.1; } location /no { return 403; } }");
		client = world_connect(&w);
		peer_say(client, requests[i]);
		assert_null(strstr(peer_said(client), "100 Continue"));
		world_stop(&w);
	}
}

/* ---- tunnels ---- */

static void
upgraded_connection_carries_bytes_both_ways_until_an_end(void **state)
{
	for (int first = 0; first < 2; first++) {
		struct peer *client, *server;

		start(TUNNEL);
		client = asked(UPGRADE, &server);
		assert_string_equal(peer_said(server), "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
						       "Host: 10.0.0.1\r\n\r\n");
		/* Bytes of the new protocol may come with the head. */
		peer_say(server, SWITCHING "from server");
		assert_non_null(
			strstr(peer_said(client), "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nfrom server"));
		peer_say(client, "from client");
		assert_string_equal(peer_said(server), "from client");
		for (int i = 0; i < 5; i++) {
			world_advance(&w, 15000);
			peer_say(i % 2 ? client : server, "x");
		}
		assert_int_equal(w.record_count, 0);
		if (first == 0) {
			/* The client has ended, the server has not. */
			peer_shutdown(client);
			assert_true(peer_sees_end(server));
			peer_say(server, "last words");
			assert_non_null(strstr(peer_said(client), "last words"));
			peer_shutdown(server);
			assert_true(peer_sees_end(client));
		} else {
			peer_say(server, "last words");
			peer_shutdown(server);
			assert_non_null(strstr(peer_said(client), "last words"));
			assert_true(peer_sees_end(client));
			peer_close(client);
		}
		assert_int_equal(world_last(&w)->status, 101);
		assert_int_equal(world_in_use(&w), 0);
		world_stop(&w);
	}
}

static void
bytes_that_came_before_the_switch_are_carried_too(void **state)
{
	struct peer *client, *server;

	start(TUNNEL);
	client = asked(UPGRADE "early", &server);
	assert_null(strstr(peer_said(server), "early"));
	peer_say(server, SWITCHING);
	assert_string_equal(peer_said(server), "early");
	peer_shutdown(client);
	assert_true(peer_sees_end(server));
	world_stop(&w);
}

static void
end_that_came_before_the_switch_is_carried_too(void **state)
{
	struct peer *client, *server;

	start("proxy_ignore_client_abort on; " TUNNEL);
	client = asked(UPGRADE, &server);
	peer_say(client, "early");
	peer_shutdown(client);
	peer_say(server, SWITCHING);
	assert_non_null(strstr(peer_said(server), "early"));
	assert_true(peer_sees_end(server));
	world_stop(&w);
}

static void
resets_and_silence_end_a_tunnel(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer *client, *server;

		start(TUNNEL);
		client = asked(UPGRADE, &server);
		peer_say(server, SWITCHING);
		if (how == 0)
			peer_reset(client);
		else if (how == 1)
			peer_reset(server);
		else
			world_advance(&w, 20100);
		assert_int_equal(w.record_count, 1);
		assert_true(how == 0 || client->ended || client->closed);
		assert_true(how == 1 || server->ended || server->closed);
		if (how != 0)
			peer_close(client);
		assert_int_equal(world_in_use(&w), 0);
		world_stop(&w);
	}
}

static void
tunnel_holds_back_whoever_is_too_fast_and_loses_nothing(void **state)
{
	const size_t len = 2 << 20;
	uint8_t *data = malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	for (int to_client = 0; to_client < 2; to_client++) {
		struct peer *client, *server, *from, *to;

		start(TUNNEL);
		client = asked(UPGRADE, &server);
		peer_say(server, SWITCHING);
		from = to_client ? server : client;
		to = to_client ? client : server;
		to->slow = true;
		peer_send(from, data, len);
		world_advance(&w, 5000);
		for (int i = 0; to->in_len < len && i < 2000; i++) {
			peer_read(to, 60000);
			world_advance(&w, 300);
		}
		assert_memory_equal(to->in + to->in_len - len, data, len);
		assert_int_equal(w.record_count, 0);
		world_stop(&w);
	}
	free(data);
}

/* ---- pipelining ---- */

static void
next_request_waits_for_the_answer_under_way(void **state)
{
	struct peer *client, *server;

	start(KEEP);
	client = asked(GET, &server);
	peer_said(server);
	peer_say(client, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3");
	assert_string_equal(peer_said(server), "");
	peer_say(server, OK);
	assert_memory_equal(peer_said(server), "GET /2 ", 7);
	peer_say(server, OK);
	peer_say(client, " HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_memory_equal(peer_said(server), "GET /3 ", 7);
	/* It closes behind its last request: that is no abort before the answer is there. */
	peer_say(server, OK);
	assert_int_equal(w.record_count, 3);
	world_stop(&w);
}

static void
closing_request_ends_the_connection_though_more_was_sent(void **state)
{
	struct peer *client;

	start("server { location / { return 200 a; } }");
	client = world_connect(&w);
	peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET);
	assert_int_equal(w.record_count, 1);
	assert_true(peer_sees_end(client));
	/* Lingering: what comes late is met by no reset. */
	peer_say(client, GET);
	assert_false(peer_sees_reset(client));
	world_advance(&w, 5100);
	assert_int_equal(world_in_use(&w), 0);
	world_stop(&w);
}

static void
lingering_ends_after_lingering_time_however_busy_the_client(void **state)
{
	struct peer *client;
	int seconds = 0;

	start("lingering_time 10s; lingering_timeout 3s; server { location / { return 200 a; } }");
	client = world_connect(&w);
	peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nx");
	while (world_in_use(&w) && seconds < 30) {
		peer_say(client, "x");
		world_advance(&w, 1000);
		seconds++;
	}
	assert_in_range(seconds, 9, 12);
	world_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_that_goes_at_any_byte_of_its_request_leaves_nothing),
		cmocka_unit_test(client_that_goes_while_it_waits_is_499_and_the_server_is_let_go),
		cmocka_unit_test(proxy_ignore_client_abort_waits_for_the_answer),
		cmocka_unit_test(client_that_goes_in_the_middle_of_the_answer_keeps_its_status),
		cmocka_unit_test(half_closed_client_gets_its_answer_when_fin_came_with_the_request),
		cmocka_unit_test(half_closed_client_gets_an_answer_of_our_own_though_its_body_is_short),
		cmocka_unit_test(slow_head_ends_by_client_header_timeout),
		cmocka_unit_test(idle_connection_ends_by_keepalive_timeout_and_a_second_head_has_its_own_time),
		cmocka_unit_test(client_that_takes_nothing_is_reset_after_send_timeout),
		cmocka_unit_test(bodies_beyond_the_limit_get_413),
		cmocka_unit_test(bad_chunks_get_400_whoever_was_to_answer),
		cmocka_unit_test(continue_is_said_when_the_server_is_ready_and_nothing_has_come),
		cmocka_unit_test(continue_is_not_said_to_impatient_old_or_refused_clients),
		cmocka_unit_test(upgraded_connection_carries_bytes_both_ways_until_an_end),
		cmocka_unit_test(bytes_that_came_before_the_switch_are_carried_too),
		cmocka_unit_test(end_that_came_before_the_switch_is_carried_too),
		cmocka_unit_test(resets_and_silence_end_a_tunnel),
		cmocka_unit_test(tunnel_holds_back_whoever_is_too_fast_and_loses_nothing),
		cmocka_unit_test(next_request_waits_for_the_answer_under_way),
		cmocka_unit_test(closing_request_ends_the_connection_though_more_was_sent),
		cmocka_unit_test(lingering_ends_after_lingering_time_however_busy_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
