/*
 * Servers that fail: at every point, in every way, and what the client and the next server see of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "opening.h"
#include "proxy/worker.h"

#define TWO                                                                                                            \
	"upstream u { server 10.0.0.1 max_fails=0; server 10.0.0.2 max_fails=0; } server { location / { proxy_pass "   \
	"http://u; "
#define POST "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

static void
assert_status(struct peer *client, int status)
{
	char wanted[32];

	sprintf(wanted, "HTTP/1.1 %d ", status);
	if (strncmp((const char *)client->in, wanted, strlen(wanted)) != 0)
		fail_msg("wanted %s, got %.60s", wanted, client->in_len ? (const char *)client->in : "nothing");
	assert_int_equal(world_last(&w)->status, status);
}

/* ---- the server closes at every point ---- */

static void
server_that_ends_at_any_byte_gives_502_or_a_truncated_answer(void **state)
{
	const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	const size_t head = sizeof(answer) - 1 - 5;

	for (size_t cut = 0; cut < sizeof(answer) - 1; cut++)
		for (int how = 0; how < 3; how++) {
			struct peer *server, *client;

			start(PROXY);
			client = asked(GET, &server);
			peer_send(server, answer, cut);
			if (how == 0)
				peer_shutdown(server);
			else if (how == 1)
				peer_reset(server);
			else
				peer_close(server);
			if (cut < head) {
				assert_status(client, 502);
				assert_non_null(strstr(peer_said(client), "Connection: keep-alive\r\n"));
				assert_true(world_logged(
					&w, how == 1 ? "recv() failed (104: Connection reset by peer) while reading "
						       "response header from upstream, client: "
						       "198.51.100.7, server: , request: "
						       "\"GET / HTTP/1.1\", upstream: "
						       "\"http://10.0.0.1:80/\", host: \"a\""
						     : "upstream prematurely closed connection while reading "
						       "response header from upstream"));
			} else {
				assert_status(client, 200);
				assert_memory_equal(client->in + client->in_len - (cut - head), answer + head,
						    cut - head);
				assert_true(peer_sees_end(client));
				assert_false(client->closed && client->reason == TCP_RESET);
			}
			assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_CLOSED_EARLY), 1);
			world_stop(&w);
		}
}

/* Of a kept connection whose server has gone without a word: what our retransmissions have come to. */
static void
silence_of_a_server_is_not_called_a_reset(void **state)
{
	struct peer *server, *client;

	start("upstream u { server 10.0.0.1; keepalive 8; } server { location / { proxy_pass http://u; "
	      "proxy_read_timeout 10h; proxy_send_timeout 10h; "
	      "proxy_next_upstream off; proxy_http_version 1.1; proxy_set_header Connection \"\"; } }");
	client = asked(GET, &server);
	peer_say(server, OK);
	assert_status(client, 200);
	w.sides[WORLD_SERVERS].cut = true;
	peer_say(client, GET);
	world_advance(&w, 3600 * 1000);
	assert_true(world_logged(
		&w, "recv() failed (110: Connection timed out) while reading response header from upstream"));
	w.sides[WORLD_SERVERS].cut = false;
	world_stop(&w);
}

static void
chunked_answer_that_breaks_off_is_not_ended_properly(void **state)
{
	const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
	const size_t head = sizeof(answer) - 1 - 15;

	for (size_t cut = head; cut < sizeof(answer) - 1; cut++)
		for (int old = 0; old < 2; old++) {
			struct peer *server, *client;

			start(KEEP);
			client = asked(old ? "GET / HTTP/1.0\r\n\r\n" : GET, &server);
			peer_send(server, answer, cut);
			peer_close(server);
			assert_status(client, 200);
			assert_false(world_last(&w)->complete);
			if (!old)
				assert_null(strstr(peer_said(client), "\r\n0\r\n\r\n"));
			assert_true(client->ended || client->closed);
			world_stop(&w);
		}
}

static void
reset_ends_no_close_delimited_answer(void **state)
{
	struct peer *server, *client;

	start(PROXY);
	client = asked(GET, &server);
	peer_say(server, "HTTP/1.1 200 OK\r\n\r\nhello");
	peer_reset(server);
	assert_status(client, 200);
	assert_null(strstr(peer_said(client), "\r\n0\r\n\r\n"));
	assert_true(peer_sees_end(client));
	assert_false(world_last(&w)->complete);
	world_stop(&w);
}

/* The server's host vanishes in the middle; our ends of the connection give up, which is not an end either. */
static void
silence_of_tcp_ends_no_close_delimited_answer(void **state)
{
	struct peer *server, *client;

	world_init(&w);
	w.keepalive_idle_s = 60;
	world_start(&w, "server { location / { proxy_pass http://10.0.0.1; proxy_read_timeout 10h; } }");
	client = asked(GET, &server);
	peer_say(server, "HTTP/1.1 200 OK\r\n\r\nhello");
	w.sides[WORLD_SERVERS].cut = true;
	for (int i = 0; i < 60 && !client->ended; i++)
		world_advance(&w, 60000);
	assert_true(client->ended);
	assert_null(strstr(peer_said(client), "\r\n0\r\n\r\n"));
	world_stop(&w);
}

/* ---- nonsense ---- */

static void
answers_that_are_none_give_502(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 abc\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct peer *server, *client;

		start(PROXY);
		client = asked(GET, &server);
		peer_say(server, answers[i]);
		assert_status(client, 502);
		assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_BAD_RESPONSE), 1);
		assert_true(peer_sees_reset(server));
		world_stop(&w);
	}
}

static void
head_larger_than_the_buffer_gives_502(void **state)
{
	struct peer *server, *client;
	char answer[8192];

	start(PROXY);
	client = asked(GET, &server);
	sprintf(answer, "HTTP/1.1 200 OK\r\nX: %05000d\r\n\r\n", 0);
	peer_say(server, answer);
	assert_status(client, 502);
	assert_true(world_logged(&w, "upstream sent too big header while reading response header from upstream"));
	world_stop(&w);
}

static void
bad_chunks_break_the_answer_off(void **state)
{
	for (int old = 0; old < 2; old++) {
		struct peer *server, *client;

		start(KEEP);
		client = asked(old ? "GET / HTTP/1.0\r\n\r\n" : GET, &server);
		peer_say(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
		assert_status(client, 200);
		assert_true(peer_sees_end(client));
		assert_true(world_logged(&w, "upstream sent invalid chunked response"));
		world_stop(&w);
	}
}

/* ---- timeouts ---- */

static void
connect_timeout_gives_504(void **state)
{
	struct peer *client;

	start("server { location / { proxy_pass http://10.0.0.1; proxy_connect_timeout 3s; } }");
	w.sides[WORLD_SERVERS].cut = true;
	client = world_connect(&w);
	peer_say(client, GET);
	world_advance(&w, 2900);
	assert_int_equal(client->in_len, 0);
	world_advance(&w, 200);
	assert_status(client, 504);
	assert_true(world_logged(&w, "upstream timed out (110: Connection timed out) while connecting to upstream"));
	world_stop(&w);
}

static void
read_timeout_gives_504_before_the_head_and_breaks_off_behind_it(void **state)
{
	static const char *const parts[] = { "", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n",
					     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
					     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct peer *server, *client;

		start("server { location / { proxy_pass http://10.0.0.1; proxy_read_timeout 3s; } }");
		client = asked(GET, &server);
		world_advance(&w, 2000);
		peer_say(server, parts[i]);
		/* What comes starts the time anew. */
		world_advance(&w, i == 0 ? 900 : 2900);
		assert_int_equal(w.record_count, 0);
		world_advance(&w, 200);
		assert_status(client, i < 3 ? 504 : 200);
		assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_TIMEOUT), 1);
		if (i >= 3)
			assert_true(peer_sees_end(client));
		assert_true(peer_sees_reset(server));
		world_stop(&w);
	}
}

static void
send_timeout_runs_while_the_server_takes_nothing(void **state)
{
	const size_t len = 1 << 20;
	uint8_t *data = calloc(1, len);
	struct peer *server, *client;

	start("server { location / { proxy_pass http://10.0.0.1; proxy_send_timeout 3s; } }");
	client = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n", &server);
	server->slow = true;
	peer_send(client, data, len);
	world_advance(&w, 2900);
	assert_int_equal(w.record_count, 0);
	/* Anything taken starts the time anew. */
	peer_read(server, 60000);
	world_advance(&w, 2900);
	assert_int_equal(w.record_count, 0);
	world_advance(&w, 4000);
	assert_status(client, 504);
	assert_true(world_logged(&w, "while sending request to upstream"));
	free(data);
	world_stop(&w);
}

/* The client's pace is client_body_timeout's business, not the server's. */
static void
upload_may_take_longer_than_proxy_send_timeout(void **state)
{
	struct peer *server, *client;

	start("server { location / { proxy_pass http://10.0.0.1; proxy_send_timeout 3s; proxy_read_timeout 5s; } }");
	client = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n", &server);
	for (int i = 0; i < 20; i++) {
		world_advance(&w, 1000);
		peer_say(client, "x");
	}
	assert_int_equal(w.record_count, 0);
	/* From the end of the request on, the time is proxy_read_timeout. */
	world_advance(&w, 4900);
	assert_int_equal(w.record_count, 0);
	peer_say(server, OK);
	assert_status(client, 200);
	world_stop(&w);
}

static void
upload_that_pauses_ends_by_client_body_timeout(void **state)
{
	struct peer *server, *client;

	start("client_body_timeout 10s; server { location / { proxy_pass http://10.0.0.1; proxy_send_timeout 3s; } }");
	client = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nabc", &server);
	world_advance(&w, 9900);
	assert_int_equal(w.record_count, 0);
	world_advance(&w, 200);
	assert_int_equal(world_last(&w)->status, 408);
	assert_int_equal(world_count(&w, PROXY_COUNT_CLIENT_TIMEOUT), 1);
	assert_true(peer_sees_reset(server));
	assert_true(client->ended);
	world_stop(&w);
}

/* ---- the next server ---- */

static void
next_server_is_tried_where_the_rules_allow(void **state)
{
	static const struct {
		const char *rules, *request, *answer; /* NULL: the server closes; "": it is silent */
		bool next;
		uint16_t otherwise;
		bool own_page;
	} rows[] = {
		{ "", GET, NULL, true, 0, false },
		{ "proxy_next_upstream off;", GET, NULL, false, 502, true },
		{ "proxy_next_upstream timeout;", GET, NULL, false, 502, true },
		{ "", GET, "", true, 0, false },
		{ "proxy_next_upstream error;", GET, "", false, 504, true },
		{ "", GET, "nonsense\r\n\r\n", false, 502, true },
		{ "proxy_next_upstream invalid_header;", GET, "nonsense\r\n\r\n", true, 0, false },
		{ "", GET, "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", false, 503, false },
		{ "proxy_next_upstream http_503;", GET, "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", true, 0,
		  false },
		{ "proxy_next_upstream http_404;", GET, "HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno", true, 0,
		  false },
		{ "proxy_next_upstream http_403 http_429;", GET, "HTTP/1.1 429 X\r\nContent-Length: 2\r\n\r\nno", true,
		  0, false },
		{ "proxy_next_upstream http_500;", GET, "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", false, 503,
		  false },
		/* One try is all there is: the server's answer goes through as it came. */
		{ "proxy_next_upstream http_503; proxy_next_upstream_tries 1;", GET,
		  "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", false, 503, false },
		{ "proxy_next_upstream_tries 1;", GET, NULL, false, 502, true },
		/* POST is not idempotent; nginx then answers with a page of its own. */
		{ "", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, false, 502, true },
		{ "proxy_next_upstream error non_idempotent;", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, true, 0,
		  false },
		{ "", "LOCK / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, false, 502, true },
		{ "", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, true, 0, false },
		/* A body that is gone cannot be sent again. */
		{ "proxy_next_upstream error non_idempotent;", POST, NULL, false, 502, true },
		{ "", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", NULL, false, 502, true },
		{ "proxy_next_upstream http_503;", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		  "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", false, 503, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *server, *client, *second;
		char text[512];
		const char *said;

		sprintf(text, TWO "proxy_read_timeout 3s; %s } }", rows[i].rules);
		start(text);
		client = asked(rows[i].request, &server);
		if (!rows[i].answer)
			peer_close(server);
		else if (rows[i].answer[0])
			peer_say(server, rows[i].answer);
		else
			world_advance(&w, 3100);
		second = world_accept(&w);
		if (!second != !rows[i].next)
			fail_msg("row %zu: the next server was %s", i, second ? "tried" : "not tried");
		if (second) {
			peer_say(second, OK);
			assert_status(client, 200);
			assert_int_equal(world_last(&w)->tried, 2);
			assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_NEXT), 1);
		} else {
			assert_status(client, rows[i].otherwise);
			said = peer_said(client);
			if (!strstr(said, "<center>weir") != !rows[i].own_page)
				fail_msg("row %zu: %s", i, said);
		}
		world_stop(&w);
	}
}

static void
next_upstream_timeout_ends_the_tries(void **state)
{
	struct peer *server, *client;

	start(TWO "proxy_read_timeout 3s; proxy_next_upstream_timeout 2s; } }");
	client = asked(GET, &server);
	world_advance(&w, 3100);
	assert_null(world_accept(&w));
	assert_status(client, 504);
	world_stop(&w);
	start(TWO "proxy_next_upstream http_500; proxy_next_upstream_timeout 2s; } }");
	client = asked(GET, &server);
	world_advance(&w, 2100);
	peer_say(server, "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno");
	assert_status(client, 500);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nno"));
	world_stop(&w);
}

static void
refused_connections_go_to_the_next_server_at_once(void **state)
{
	struct peer *server, *client;

	/* Port 81 is not listened on. */
	start("upstream u { server 10.0.0.1:81; server 10.0.0.2; } server { location / { proxy_pass http://u; } }");
	client = asked(POST, &server);
	assert_string_equal(peer_said(server) + 0,
			    "POST / HTTP/1.0\r\nHost: u\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
	peer_say(server, OK);
	assert_status(client, 200);
	assert_int_equal(world_last(&w)->attempts[0], 502);
	assert_int_equal(world_last(&w)->attempts[1], 200);
	assert_true(world_logged(&w, "connect() failed (111: Connection refused) while connecting to upstream"));
	assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_CONNECT_FAILED), 1);
	world_stop(&w);
}

static void
server_without_a_route_is_passed_over(void **state)
{
	struct peer *server, *client;

	start("upstream u { server 10.0.0.255; server 10.0.0.2; } server { location / { proxy_pass http://u; } "
	      "location /one { proxy_pass http://10.0.0.255; } }");
	client = asked(POST, &server);
	peer_say(server, OK);
	assert_status(client, 200);
	assert_int_equal(world_last(&w)->tried, 2);
	client = world_connect(&w);
	peer_say(client, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_status(client, 502);
	assert_true(world_logged(&w, "while connecting to upstream"));
	world_stop(&w);
}

static void
no_server_left_gives_502(void **state)
{
	struct peer *client;

	start("upstream u { server 10.0.0.1:81; server 10.0.0.2:81; } server { location / { proxy_pass http://u; } }");
	client = world_connect(&w);
	peer_say(client, GET);
	assert_status(client, 502);
	assert_int_equal(world_last(&w)->tried, 2);
	assert_true(world_logged(&w, "upstream server temporarily disabled while connecting to upstream"));
	peer_said(client);
	client->in_len = client->in_taken = 0;
	peer_say(client, GET);
	assert_status(client, 502);
	assert_true(world_logged(&w, "no live upstreams while connecting to upstream"));
	assert_int_equal(world_last(&w)->tried, 1);
	world_stop(&w);
}

/* ---- kept connections ---- */

static void
kept_connection_that_died_unseen_is_replaced_without_blame(void **state)
{
	struct peer *first, *server, *client;

	start(KEEP);
	client = asked(GET, &first);
	peer_say(first, OK);
	assert_status(client, 200);
	/* The server's FIN is under way when the next request goes out. */
	w.sides[WORLD_WEIR].cut = true;
	peer_close(first);
	w.sides[WORLD_WEIR].cut = false;
	client->in_len = client->in_taken = 0;
	peer_say(client, GET);
	world_advance(&w, 1000);
	server = world_accept(&w);
	assert_non_null(server);
	peer_say(server, OK);
	assert_status(client, 200);
	assert_int_equal(world_last(&w)->tried, 2);
	/* Nothing is held against the server. */
	assert_int_equal(w.generation->groups[0]->servers[0].max_fails, 1);
	assert_false(upstream_failed(w.generation->shares[0].states[0], 0));
	world_stop(&w);
}

static void
kept_connection_is_closed_when_the_server_says_anything(void **state)
{
	struct peer *first, *client;

	start(KEEP);
	client = asked(GET, &first);
	peer_say(first, OK);
	peer_say(first, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	assert_true(peer_sees_reset(first));
	peer_say(client, GET);
	assert_non_null(world_accept(&w));
	world_stop(&w);
}

/* A server that says it closes may do so first, and the TIME-WAIT is its own; but it is not waited for long. */
static void
connection_that_the_server_closes_ends_by_fin(void **state)
{
	static const char closing[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
	enum { FIN_COMES, FIN_DOES_NOT_COME, MORE_COMES, CASES };

	for (int what = 0; what < CASES; what++) {
		struct peer *server, *client;
		struct tcp_usage usage;

		start(KEEP);
		client = asked(GET, &server);
		peer_say(server, closing);
		assert_status(client, 200);
		assert_false(server->ended || server->closed);
		if (what == FIN_COMES)
			peer_shutdown(server);
		else if (what == FIN_DOES_NOT_COME)
			world_advance(&w, 200);
		else
			peer_say(server, "more");
		if (what == MORE_COMES)
			assert_true(peer_sees_reset(server));
		else
			assert_true(server->ended && !peer_sees_reset(server));
		tcp_usage(w.sides[WORLD_WEIR].stack, &usage);
		assert_int_equal(usage.time_wait, 0);
		assert_int_equal(usage.connections, what == FIN_DOES_NOT_COME ? 2 : 1);
		world_stop(&w);
	}
}

static void
connection_that_awaits_its_end_gives_way_to_a_request(void **state)
{
	struct peer *server, *client;

	world_init(&w);
	w.worker_connections = 2;
	world_start(&w, KEEP);
	client = asked(GET, &server);
	for (int i = 0; i < 4; i++) {
		struct peer *before = server;

		peer_say(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
		peer_say(client, GET);
		server = world_accept(&w);
		assert_non_null(server);
		assert_false(peer_sees_reset(before));
	}
	world_stop(&w);
}

static void
kept_connections_end_by_the_groups_limits(void **state)
{
	struct peer *server, *client;

	start("upstream u { server 10.0.0.1; keepalive 8; keepalive_requests 2; keepalive_timeout 5s; } server { "
	      "location / { "
	      "proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; } }");
	client = asked(GET, &server);
	peer_say(server, OK);
	peer_say(client, GET);
	assert_null(world_accept(&w));
	peer_say(server, OK);
	assert_true(peer_sees_end(server));
	peer_say(client, GET);
	server = world_accept(&w);
	assert_non_null(server);
	peer_say(server, OK);
	assert_false(server->closed || server->ended);
	world_advance(&w, 5100);
	assert_true(peer_sees_end(server));
	world_stop(&w);
}

static void
no_more_connections_are_kept_than_keepalive_says(void **state)
{
	struct peer *servers[4];

	start("upstream u { server 10.0.0.1; keepalive 2; } server { location / { proxy_pass http://u; "
	      "proxy_http_version 1.1; "
	      "proxy_set_header Connection \"\"; } }");
	for (int i = 0; i < 4; i++)
		asked(GET, &servers[i]);
	for (int i = 0; i < 4; i++)
		peer_say(servers[i], OK);
	/* The longest idle ones went. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(servers[i]->closed || servers[i]->ended, i < 2);
	world_stop(&w);
}

static void
answer_before_the_request_has_ended_frees_the_server_and_ends_the_client(void **state)
{
	struct peer *server, *client;

	start(KEEP);
	client = asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", &server);
	peer_say(server, OK);
	assert_status(client, 200);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nok"));
	assert_true(server->closed || server->ended);
	/* What the client still sends is thrown away, without a reset that could overtake the answer. */
	peer_say(client, "defghij");
	assert_false(peer_sees_reset(client));
	assert_true(peer_sees_end(client));
	assert_int_equal(w.record_count, 1);
	peer_close(client);
	world_run(&w);
	assert_int_equal(world_in_use(&w), 0);
	world_stop(&w);
}

static void
answer_may_begin_before_the_request_has_ended(void **state)
{
	struct peer *server, *client;

	start(KEEP);
	client = asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc", &server);
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
	assert_non_null(strstr(peer_said(client), "\r\n\r\nab"));
	peer_say(client, "def");
	assert_non_null(strstr(peer_said(server), "\r\n\r\nabcdef"));
	peer_say(server, "cd");
	assert_string_equal(peer_said(client), "cd");
	peer_say(client, GET);
	assert_null(world_accept(&w));
	assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_REUSED), 1);
	world_stop(&w);
}

static void
bodies_may_stream_both_ways_for_longer_than_any_timeout(void **state)
{
	struct peer *server, *client;

	start("client_body_timeout 3s; send_timeout 3s; server { location / { proxy_pass http://10.0.0.1; "
	      "proxy_send_timeout 3s; proxy_read_timeout 3s; } }");
	client = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n", &server);
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		world_advance(&w, 1000);
		peer_say(client, "x");
		world_advance(&w, 1000);
		peer_say(server, "y");
	}
	assert_int_equal(w.record_count, 1);
	assert_true(world_last(&w)->complete);
	assert_non_null(strstr(peer_said(client), "\r\n\r\nyyyyyyyyyyyyyyyyyyyy"));
	assert_non_null(strstr(peer_said(server), "\r\n\r\nxxxxxxxxxxxxxxxxxxxx"));
	assert_false(client->ended);
	world_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_that_ends_at_any_byte_gives_502_or_a_truncated_answer),
		cmocka_unit_test(silence_of_a_server_is_not_called_a_reset),
		cmocka_unit_test(chunked_answer_that_breaks_off_is_not_ended_properly),
		cmocka_unit_test(reset_ends_no_close_delimited_answer),
		cmocka_unit_test(silence_of_tcp_ends_no_close_delimited_answer),
		cmocka_unit_test(answers_that_are_none_give_502),
		cmocka_unit_test(head_larger_than_the_buffer_gives_502),
		cmocka_unit_test(bad_chunks_break_the_answer_off),
		cmocka_unit_test(connect_timeout_gives_504),
		cmocka_unit_test(read_timeout_gives_504_before_the_head_and_breaks_off_behind_it),
		cmocka_unit_test(send_timeout_runs_while_the_server_takes_nothing),
		cmocka_unit_test(upload_may_take_longer_than_proxy_send_timeout),
		cmocka_unit_test(upload_that_pauses_ends_by_client_body_timeout),
		cmocka_unit_test(next_server_is_tried_where_the_rules_allow),
		cmocka_unit_test(next_upstream_timeout_ends_the_tries),
		cmocka_unit_test(refused_connections_go_to_the_next_server_at_once),
		cmocka_unit_test(server_without_a_route_is_passed_over),
		cmocka_unit_test(no_server_left_gives_502),
		cmocka_unit_test(kept_connection_that_died_unseen_is_replaced_without_blame),
		cmocka_unit_test(kept_connection_is_closed_when_the_server_says_anything),
		cmocka_unit_test(connection_that_the_server_closes_ends_by_fin),
		cmocka_unit_test(connection_that_awaits_its_end_gives_way_to_a_request),
		cmocka_unit_test(kept_connections_end_by_the_groups_limits),
		cmocka_unit_test(no_more_connections_are_kept_than_keepalive_says),
		cmocka_unit_test(answer_before_the_request_has_ended_frees_the_server_and_ends_the_client),
		cmocka_unit_test(answer_may_begin_before_the_request_has_ended),
		cmocka_unit_test(bodies_may_stream_both_ways_for_longer_than_any_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
