/*
 * Requests and answers between client, proxy and server: what goes through, in which form, however it is cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/error_page.h"
#include "opening.h"

/* A head without the lines that are the same in every one. */
static const char *
body_of(const char *message)
{
	const char *body = strstr(message, "\r\n\r\n");

	assert_non_null(body);
	return body + 4;
}

static void
head_for_server_is_nginxs_default(void **state)
{
	struct peer *server;

	start(PROXY);
	asked("POST /a%20b?q=1 HTTP/1.1\r\nHost: a:8080\r\nConnection: X-Drop, close\r\nX-Drop: 1\r\nX-Keep: 2\r\n"
	      "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nbad_name: 3\r\nProxy-Connection: x\r\n"
	      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
	      &server);
	assert_string_equal(peer_said(server), "POST /a%20b?q=1 HTTP/1.0\r\nHost: 10.0.0.1\r\nConnection: close\r\n"
					       "Content-Length: 2\r\nX-Keep: 2\r\n\r\nhi");
	world_stop(&w);
}

static void
head_for_client_is_nginxs(void **state)
{
	struct peer *server, *client;

	start("server { server_tokens off; location / { proxy_pass http://10.0.0.1; } }");
	client = asked(GET, &server);
	peer_say(server, "HTTP/1.1 200 Fine\r\nServer: x\r\nDate: y\r\nX-Accel-Buffering: no\r\nETag: \"1\"\r\n"
			 "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nContent-Length: 3\r\n"
			 "Content-Type: a/b\r\nUpgrade: h2c\r\n\r\nabc");
	assert_string_equal(
		peer_said(client),
		"HTTP/1.1 200 Fine\r\nServer: weir\r\nDate: Sat, 21 Nov 2026 00:31:00 GMT\r\n"
		"Content-Type: a/b\r\nContent-Length: 3\r\nConnection: keep-alive\r\nETag: \"1\"\r\n\r\nabc");
	assert_int_equal(world_last(&w)->status, 200);
	assert_int_equal(world_last(&w)->body_bytes, 3);
	world_stop(&w);
}

static void
passed_server_and_date_are_made_where_the_server_sends_none(void **state)
{
	struct peer *server, *client;
	const char *said;

	start("server { location / { proxy_pass http://10.0.0.1; proxy_pass_header Server; proxy_pass_header Date; } "
	      "}");
	client = asked(GET, &server);
	peer_say(server, "HTTP/1.1 204 No Content\r\n\r\n");
	said = peer_said(client);
	assert_non_null(strstr(said, "Server: weir"));
	assert_non_null(strstr(said, "Date: Sat, "));
	peer_say(client, GET);
	server = world_accept(&w);
	peer_say(server, "HTTP/1.1 204 No Content\r\nServer: mine\r\nDate: then\r\n\r\n");
	said = peer_said(client);
	assert_non_null(strstr(said, "Server: mine\r\n"));
	assert_non_null(strstr(said, "Date: then\r\n"));
	assert_null(strstr(said, "weir"));
	world_stop(&w);
}

/* ---- cuts ---- */

#define HEAD_POST "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKS "3;e=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKS

static void
everything_may_be_cut_anywhere(void **state)
{
	char request[] = HEAD_POST CHUNKS GET, answer[] = ANSWER;

	for (size_t cut = 0; cut <= sizeof(request) - 1; cut++) {
		struct peer *client, *server;
		size_t answer_cut = cut * (sizeof(answer) - 1) / (sizeof(request) - 1);
		const char *said;

		start(KEEP);
		client = world_connect(&w);
		peer_send(client, request, cut);
		peer_send(client, request + cut, sizeof(request) - 1 - cut);
		server = world_accept(&w);
		assert_string_equal(peer_said(server),
				    "POST /x HTTP/1.1\r\nHost: u\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKS);
		peer_send(server, answer, answer_cut);
		peer_send(server, answer + answer_cut, sizeof(answer) - 1 - answer_cut);
		said = peer_said(client);
		assert_string_equal(body_of(said), CHUNKS);
		/* The second request uses the same connection. */
		assert_string_equal(peer_said(server), "GET / HTTP/1.1\r\nHost: u\r\n\r\n");
		peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		assert_string_equal(body_of(peer_said(client)), "ok");
		assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_REUSED), 1);
		assert_null(world_accept(&w));
		world_stop(&w);
	}
}

static void
everything_may_come_byte_by_byte(void **state)
{
	const char *request = HEAD_POST CHUNKS GET, *answer = ANSWER;
	struct peer *client, *server;

	start(KEEP);
	client = world_connect(&w);
	for (const char *at = request; *at; at++)
		peer_send(client, at, 1);
	server = world_accept(&w);
	for (const char *at = answer; *at; at++)
		peer_send(server, at, 1);
	assert_string_equal(body_of(peer_said(client)), CHUNKS);
	assert_non_null(strstr(peer_said(server), "\r\n\r\nGET / HTTP/1.1"));
	world_stop(&w);
}

static void
thousand_requests_in_one_buffer_are_answered_in_order(void **state)
{
	static char all[1000 * 64];
	size_t len = 0, n = 0;
	struct peer *client;
	const char *said;
	char wanted[16];

	start("server { location / { return 200 $arg_n; } keepalive_requests 10000; }");
	for (int i = 0; i < 1000; i++)
		len += (size_t)sprintf(all + len, "GET /?n=%04d HTTP/1.1\r\nHost: a\r\n\r\n", i);
	client = world_connect(&w);
	peer_send(client, all, len);
	for (said = peer_said(client); (said = strstr(said, "\r\n\r\n")); n++) {
		sprintf(wanted, "%04zu", n);
		said += 4;
		assert_memory_equal(said, wanted, 4);
	}
	assert_int_equal(n, 1000);
	assert_int_equal(w.record_count, 1000);
	assert_false(peer_sees_end(client));
	world_stop(&w);
}

static void
answer_ok(struct peer *server)
{
	const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	/* As many as there are whole heads; once around the loop, `in` holds what has come. */
	for (const char *at = peer_said(server); (at = strstr(at, "\r\n\r\n")); at += 4)
		tcp_write(server->tcp, answer, (uint32_t)strlen(answer));
}

static void
thousand_proxied_requests_in_one_buffer_share_one_connection(void **state)
{
	static char all[1000 * 64];
	size_t len = 0, n = 0;
	struct peer *client;

	world_init(&w);
	w.on_server_input = answer_ok;
	world_start(&w, KEEP);
	for (int i = 0; i < 1000; i++)
		len += (size_t)sprintf(all + len, "GET /?n=%04d HTTP/1.1\r\nHost: a\r\n\r\n", i);
	client = world_connect(&w);
	peer_send(client, all, len);
	for (const char *said = peer_said(client); (said = strstr(said, "\r\n\r\nok")); said += 4)
		n++;
	assert_int_equal(n, 1000);
	/* keepalive_requests of the group ends the first connection after its 1000th. */
	assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_REUSED), 999);
	/* keepalive_requests of the client's side, too. */
	assert_true(peer_sees_end(client));
	world_stop(&w);
}

/* ---- framing ---- */

struct framing {
	const char *request, *answer, *body;
	bool server_closes, client_sees_end, chunked;
	uint16_t status;
};

static const struct framing framings[] = {
	/* close-delimited to 1.1: in chunks */
	{ GET, "HTTP/1.1 200 OK\r\n\r\nhello", "5\r\nhello\r\n0\r\n\r\n", true, false, true, 200 },
	{ GET, "HTTP/1.0 200 OK\r\n\r\n", "0\r\n\r\n", true, false, true, 200 },
	/* ... to 1.0: as it is */
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", true, true,
	  false, 200 },
	/* chunked to 1.0: plain, ended by the connection */
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKS, "abc0123456789abcdef", false, true, false,
	  200 },
	/* chunked to 1.1, length to both */
	{ GET, ANSWER, CHUNKS, false, false, true, 200 },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc",
	  false, false, false, 200 },
	{ "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", false, true, false, 200 },
	{ GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", false, false, false, 200 },
	/* no bodies */
	{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "", false, false, false,
	  200 },
	{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "", false, false, false, 200 },
	{ GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "", false, false, false, 304 },
	{ GET, "HTTP/1.1 204 No Content\r\n\r\n", "", false, false, false, 204 },
	/* informational answers before the final one, in one buffer */
	{ GET,
	  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
	  "abc", false, false, false, 200 },
	/* more than was promised is not passed on */
	{ GET, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc", false, false, false, 200 },
	{ GET, "HTTP/1.1 204 No Content\r\n\r\nabcdef", "", false, false, false, 204 },
};

static void
bodies_are_framed_as_the_client_understands(void **state)
{
	for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
		const struct framing *f = &framings[i];
		struct peer *server, *client;
		const char *said;

		start(KEEP);
		client = asked(f->request, &server);
		peer_say(server, f->answer);
		if (f->server_closes)
			peer_close(server);
		said = peer_said(client);
		assert_string_equal(body_of(said), f->body);
		assert_int_equal(strstr(said, "Transfer-Encoding: chunked") != NULL, f->chunked);
		assert_int_equal(peer_sees_end(client), f->client_sees_end);
		assert_int_equal(strstr(said, f->client_sees_end ? "Connection: close" : "Connection: keep-alive") !=
					 NULL,
				 true);
		assert_int_equal(world_last(&w)->status, f->status);
		assert_true(world_last(&w)->complete);
		world_stop(&w);
	}
}

static void
fixed_length_request_of_an_old_client_is_passed(void **state)
{
	struct peer *server;

	start(KEEP);
	asked("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n", &server);
	assert_string_equal(peer_said(server), "POST / HTTP/1.1\r\nHost: u\r\nContent-Length: 3\r\n\r\nabc");
	world_stop(&w);
}

/* ---- large bodies ---- */

static void
fill(uint8_t *data, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = (uint8_t)(seed >> 24);
	}
}

static void
large_bodies_pass_in_both_directions_byte_exact(void **state)
{
	const size_t len = 3 << 20;
	uint8_t *data = malloc(len);
	struct peer *client, *server;
	char head[128];

	fill(data, len, 1);
	start("client_max_body_size 0; " PROXY);
	sprintf(head, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
	client = asked(head, &server);
	peer_send(client, data, len);
	world_advance(&w, 1000);
	assert_int_equal(server->in_len, len + strlen(peer_said(server)) - strlen(body_of((char *)server->in)));
	assert_memory_equal(server->in + server->in_len - len, data, len);
	sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	peer_say(server, head);
	peer_send(server, data, len);
	world_advance(&w, 1000);
	assert_true(client->in_len > len);
	assert_memory_equal(client->in + client->in_len - len, data, len);
	assert_int_equal(world_last(&w)->request_content, len);
	free(data);
	world_stop(&w);
}

static void
slow_reader_holds_the_server_back_within_bounds(void **state)
{
	const size_t len = 4 << 20;
	uint8_t *data = malloc(len);
	struct peer *client, *server;
	char head[128];
	unsigned int held;

	fill(data, len, 2);
	start(PROXY);
	client = asked(GET, &server);
	client->slow = true;
	sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	peer_say(server, head);
	peer_send(server, data, len);
	world_advance(&w, 5000);
	/* What left the server: our receive and send buffers, and the client's window. */
	assert_in_range(server->out_len - (server->out_len - server->out_done) - tcp_unsent(server->tcp), 65536,
			65536 + 131072 + 65535 + 4096);
	held = 2047 - rte_mempool_avail_count(w.sides[WORLD_WEIR].pool);
	assert_in_range(held, 10, 300);
	for (int i = 0; client->in_len < len && i < 2000; i++) {
		peer_read(client, 50000);
		world_advance(&w, 300);
	}
	assert_memory_equal(client->in + client->in_len - len, data, len);
	assert_int_equal(world_last(&w)->body_bytes, len);
	assert_true(world_last(&w)->complete);
	free(data);
	world_stop(&w);
}

static void
slow_server_holds_the_client_back_within_bounds(void **state)
{
	const size_t len = 2 << 20;
	uint8_t *data = malloc(len);
	struct peer *client, *server;
	char head[128];

	fill(data, len, 3);
	start("client_max_body_size 0; " PROXY);
	sprintf(head, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
	client = asked(head, &server);
	server->slow = true;
	peer_send(client, data, len);
	world_advance(&w, 5000);
	assert_in_range(client->out_done - tcp_unsent(client->tcp), 65536, 65536 + 131072 + 65535 + 4096);
	for (int i = 0; server->in_len < len && i < 2000; i++) {
		peer_read(server, 50000);
		world_advance(&w, 300);
	}
	assert_memory_equal(server->in + server->in_len - len, data, len);
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(world_last(&w)->status, 200);
	free(data);
	world_stop(&w);
}

static void
close_delimited_answer_passes_through_a_slow_reader_in_chunks(void **state)
{
	const size_t len = 1 << 20;
	uint8_t *data = malloc(len);
	struct peer *client, *server;
	size_t got = 0;
	const char *at;

	fill(data, len, 4);
	start(PROXY);
	client = asked(GET, &server);
	client->slow = true;
	peer_say(server, "HTTP/1.1 200 OK\r\n\r\n");
	peer_send(server, data, len);
	peer_shutdown(server);
	for (int i = 0; !world_last(&w)->complete && i < 2000; i++) {
		peer_read(client, 30000);
		world_advance(&w, 300);
	}
	client->slow = false;
	peer_read(client, SIZE_MAX);
	world_advance(&w, 1000);
	at = body_of((const char *)client->in);
	for (;;) {
		char *end;
		size_t size = strtoul(at, &end, 16);

		assert_memory_equal(end, "\r\n", 2);
		if (size == 0)
			break;
		assert_memory_equal(end + 2, data + got, size);
		got += size;
		assert_memory_equal(end + 2 + size, "\r\n", 2);
		at = end + 2 + size + 2;
	}
	assert_int_equal(got, len);
	free(data);
	world_stop(&w);
}

/* ---- answers of our own ---- */

static void
refused_requests_get_nginxs_status_and_the_connection_ends(void **state)
{
	static const struct {
		const char *request, *line;
	} rows[] = {
		{ "GET\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n" },
		{ "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
		{ "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n" },
		{ "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Not Allowed\r\n" },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Not Allowed\r\n" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 Not Implemented\r\n" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
		  "HTTP/1.1 400 Bad Request\r\n" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n",
		  "HTTP/1.1 413 Request Entity Too Large\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *client;
		const char *said;

		start(PROXY);
		client = world_connect(&w);
		peer_say(client, rows[i].request);
		said = peer_said(client);
		assert_memory_equal(said, rows[i].line, strlen(rows[i].line));
		assert_non_null(strstr(said, "Connection: close\r\n"));
		assert_non_null(strstr(said, "<center>weir"));
		assert_true(peer_sees_end(client));
		assert_null(world_accept(&w));
		world_stop(&w);
	}
}

static void
heads_too_large_are_told_from_lines_too_long(void **state)
{
	static char request[40000];

	for (int kind = 0; kind < 4; kind++) {
		struct peer *client;
		size_t len = 0;

		start("large_client_header_buffers 2 1k; " PROXY);
		len = (size_t)sprintf(request, "GET /%0*d HTTP/1.1\r\nHost: a\r\n", kind == 0 ? 1100 : 1, 0);
		if (kind == 1)
			len += (size_t)sprintf(request + len, "X: %01100d\r\n", 0);
		for (int i = 0; kind == 2 && i < 40; i++)
			len += (size_t)sprintf(request + len, "X-%d: %0100d\r\n", i, 0);
		if (kind == 3) {
			memset(request + len, 'x', 20000); /* a line that never ends */
			len += 20000;
		}
		strcpy(request + len, "\r\n");
		client = world_connect(&w);
		peer_say(client, request);
		if (kind == 0)
			assert_memory_equal(peer_said(client), "HTTP/1.1 414", 12);
		else
			assert_non_null(strstr(peer_said(client), "Request Header Or Cookie Too Large"));
		assert_true(peer_sees_end(client));
		world_stop(&w);
	}
}

static void
answers_of_our_own_keep_the_connection_when_the_body_is_through(void **state)
{
	struct peer *client;
	const char *said;

	start("server { location / { return 200 hello; } }");
	client = world_connect(&w);
	peer_say(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
	said = peer_said(client);
	assert_string_equal(body_of(said), "hello");
	assert_non_null(strstr(said, "Connection: keep-alive"));
	peer_say(client, "cde");
	peer_say(client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	said = peer_said(client);
	assert_memory_equal(said, "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(body_of(said), "");
	assert_non_null(strstr(said, "Content-Length: 5\r\n"));
	assert_int_equal(w.record_count, 2);
	world_stop(&w);
}

static void
status_444_closes_without_a_word(void **state)
{
	struct peer *client;

	start("server { location / { return 444; } location /t { return 444 text; } }");
	client = world_connect(&w);
	peer_say(client, GET);
	assert_string_equal(peer_said(client), "");
	assert_true(client->closed);
	assert_int_equal(world_last(&w)->status, 444);
	client = world_connect(&w);
	peer_say(client, "GET /t HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_string_equal(peer_said(client), "");
	assert_true(client->closed);
	world_stop(&w);
}

static void
connections_end_when_the_configuration_says_so(void **state)
{
	struct peer *client;

	start("keepalive_requests 2; server { location / { return 200 a; } location /0 { keepalive_timeout 0; return "
	      "200 b; } }");
	client = world_connect(&w);
	peer_say(client, GET);
	assert_non_null(strstr(peer_said(client), "keep-alive"));
	peer_say(client, GET);
	assert_non_null(strstr(peer_said(client), "Connection: close"));
	assert_true(peer_sees_end(client));
	client = world_connect(&w);
	peer_say(client, "GET /0 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(peer_said(client), "Connection: close"));
	assert_true(peer_sees_end(client));
	world_stop(&w);
}

static void
slash_is_added_by_redirect_where_a_directory_is_proxied(void **state)
{
	struct peer *client;

	start("server { location /dir/ { proxy_pass http://10.0.0.1; } }");
	client = world_connect(&w);
	peer_say(client, "GET /dir?a=1 HTTP/1.1\r\nHost: Host.Example:80\r\n\r\n");
	assert_non_null(strstr(peer_said(client), "Location: http://host.example/dir/?a=1\r\n"));
	assert_int_equal(world_last(&w)->status, 301);
	world_stop(&w);
}

static void
location_of_a_redirect_is_rewritten(void **state)
{
	static const struct {
		const char *directives, *from, *to;
	} rows[] = {
		{ "", "http://10.0.0.1/two/x", "http://a/one/x" },
		{ "proxy_redirect default;", "http://10.0.0.1/two/", "http://a/one/" },
		{ "", "http://10.0.0.1/three/x", "http://10.0.0.1/three/x" },
		{ "", "/two/x", "/two/x" },
		{ "proxy_redirect off;", "http://10.0.0.1/two/x", "http://10.0.0.1/two/x" },
		{ "proxy_redirect http://b/ /c/; proxy_redirect / $scheme://d/;", "http://b/x", "http://a/c/x" },
		{ "proxy_redirect http://b/ /c/; proxy_redirect / $scheme://d/;", "/x", "http://d/x" },
		{ "proxy_redirect default; proxy_redirect http://b/ /c/;", "http://10.0.0.1/two/x", "http://a/one/x" },
		{ "proxy_redirect default; proxy_redirect http://b/ /c/;", "http://b/x", "http://a/c/x" },
		{ "absolute_redirect off;", "http://10.0.0.1/two/x", "/one/x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *client, *server;
		char text[512], answer[256], wanted[256];

		sprintf(text, "server { location /one/ { proxy_pass http://10.0.0.1/two/; %s } }", rows[i].directives);
		start(text);
		client = asked("GET /one/y HTTP/1.1\r\nHost: a\r\n\r\n", &server);
		assert_memory_equal(peer_said(server), "GET /two/y HTTP/1.0\r\n", 21);
		sprintf(answer, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", rows[i].from);
		peer_say(server, answer);
		sprintf(wanted, "Location: %s\r\n", rows[i].to);
		if (!strstr((const char *)client->in, wanted))
			fail_msg("row %zu: wanted %s in %s", i, wanted, peer_said(client));
		world_stop(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_for_server_is_nginxs_default),
		cmocka_unit_test(head_for_client_is_nginxs),
		cmocka_unit_test(passed_server_and_date_are_made_where_the_server_sends_none),
		cmocka_unit_test(everything_may_be_cut_anywhere),
		cmocka_unit_test(everything_may_come_byte_by_byte),
		cmocka_unit_test(thousand_requests_in_one_buffer_are_answered_in_order),
		cmocka_unit_test(thousand_proxied_requests_in_one_buffer_share_one_connection),
		cmocka_unit_test(bodies_are_framed_as_the_client_understands),
		cmocka_unit_test(fixed_length_request_of_an_old_client_is_passed),
		cmocka_unit_test(large_bodies_pass_in_both_directions_byte_exact),
		cmocka_unit_test(slow_reader_holds_the_server_back_within_bounds),
		cmocka_unit_test(slow_server_holds_the_client_back_within_bounds),
		cmocka_unit_test(close_delimited_answer_passes_through_a_slow_reader_in_chunks),
		cmocka_unit_test(refused_requests_get_nginxs_status_and_the_connection_ends),
		cmocka_unit_test(heads_too_large_are_told_from_lines_too_long),
		cmocka_unit_test(answers_of_our_own_keep_the_connection_when_the_body_is_through),
		cmocka_unit_test(status_444_closes_without_a_word),
		cmocka_unit_test(connections_end_when_the_configuration_says_so),
		cmocka_unit_test(slash_is_added_by_redirect_where_a_directory_is_proxied),
		cmocka_unit_test(location_of_a_redirect_is_rewritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
