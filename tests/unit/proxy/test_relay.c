/*
 * Terminated TCP between clients and servers in memory: what becomes of it when things go wrong on the way.
 */
#include "proxy/relay/relay.h"

#include <netinet/ip_icmp.h>
#include <stdio.h>

#include "refusal.h"
#include "support/cmocka.h"
#include "tcp/connection.h"

static struct world w;

static int
teardown(void **state)
{
	world_stop(&w);
	return 0;
}

/* `text` stands in stream. */
static void
start(const char *text)
{
	char whole[2048];

	snprintf(whole, sizeof(whole), "}\nstream {\n%s", text);
	world_init(&w);
	world_start(&w, whole);
}

static void
test_bytes_go_both_ways_and_both_ends_close(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }");
	client = world_connect(&w);
	server = world_accept(&w);
	assert_non_null(server);
	peer_say(client, "hello");
	assert_string_equal(peer_said(server), "hello");
	peer_say(server, "world");
	assert_string_equal(peer_said(client), "world");
	peer_say(client, "last");
	peer_shutdown(client);
	assert_string_equal(peer_said(server), "last");
	assert_true(peer_sees_end(server));
	assert_true(peer_sees_end(client));
	peer_close(client);
	peer_close(server);
	assert_int_equal(world_in_use(&w), 0);
	assert_int_equal(world_count(&w, PROXY_COUNT_STREAMS), 1);
}

static void
test_half_close_waits_for_the_other_end(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; proxy_half_close on; }");
	client = world_connect(&w);
	server = world_accept(&w);
	peer_shutdown(client);
	assert_true(peer_sees_end(server));
	assert_false(peer_sees_end(client));
	peer_say(server, "late");
	assert_string_equal(peer_said(client), "late");
	peer_close(server);
	assert_true(peer_sees_end(client));
}

static void
test_a_slow_reader_stops_the_sender(void **state)
{
	static uint8_t much[1 << 20];
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }");
	client = world_connect(&w);
	server = world_accept(&w);
	client->slow = true;
	peer_send(server, much, sizeof(much));
	assert_true(server->out_done < sizeof(much));
	while (peer_received(client) < sizeof(much))
		peer_read(client, 65536);
	assert_int_equal(server->out_done, sizeof(much));
}

/* RFC 9112 section 9.6, though this is not HTTP: a reset that answers late bytes would take what is still on its way. */
static void
test_who_still_talks_gets_all_that_was_said(void **state)
{
	struct peer *client, *server;

	start("server { listen 80 proxy_protocol; return \"so much\"; } server { listen 8080; proxy_pass 10.0.0.1:80; "
	      "}");
	client = world_connect(&w);
	w.sides[WORLD_CLIENTS].cut = true;
	peer_say(client, "PROXY UNKNOWN\r\n");
	peer_say(client, "and now?");
	w.sides[WORLD_CLIENTS].cut = false;
	world_advance(&w, 2000);
	assert_string_equal(peer_said(client), "so much");
	assert_true(peer_sees_end(client));
	peer_close(client);
	assert_int_equal(world_in_use(&w), 0);

	client = world_connect_to(&w, "192.0.2.1:8080");
	server = world_accept(&w);
	w.sides[WORLD_CLIENTS].cut = true;
	peer_say(server, "so much");
	peer_close(server);
	peer_say(client, "and now?");
	w.sides[WORLD_CLIENTS].cut = false;
	world_advance(&w, 2000);
	assert_string_equal(peer_said(client), "so much");
	assert_true(peer_sees_end(client));
	assert_int_equal(world_in_use(&w), 1);
	world_advance(&w, 5100); /* it says nothing more, and does not close */
	assert_int_equal(world_in_use(&w), 0);
}

static void
test_resets_are_passed_on(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }");
	client = world_connect(&w);
	server = world_accept(&w);
	peer_reset(server);
	assert_true(peer_sees_reset(client));
	client = world_connect(&w);
	server = world_accept(&w);
	peer_reset(client);
	assert_true(peer_sees_reset(server));
}

/* A router's word about what Weir has sent to the server and the server has not seen. */
static void
icmp_unreachable(const struct peer *server)
{
	const struct endpoint *weir = tcp_remote(server->tcp), *local = tcp_local(server->tcp);
	const struct packet_quote quote = {
		.source = weir->ip,
		.destination = local->ip,
		.source_port_be = weir->port_be,
		.destination_port_be = local->port_be,
		.tcp_sequence = server->tcp->rcv_nxt,
		.ip_protocol = IPPROTO_TCP,
		.icmp_type = ICMP_DEST_UNREACH,
		.icmp_code = ICMP_HOST_UNREACH,
	};

	tcp_icmp_error(w.sides[WORLD_WEIR].stack, &quote);
}

/* What our retransmissions have come to, and an ICMP error on the way. */
static void
test_why_a_connection_broke_is_in_the_log(void **state)
{
	static const char *const wanted[] = {
		"recv() failed (110: Connection timed out) while proxying and reading from upstream",
		"recv() failed (113: No route to host) while proxying and reading from upstream",
	};

	for (int unreachable = 0; unreachable < 2; unreachable++) {
		struct peer *client, *server;

		start("server { listen 80; proxy_pass 10.0.0.1:80; proxy_timeout 10h; }");
		client = world_connect(&w);
		server = world_accept(&w);
		w.sides[WORLD_SERVERS].cut = true;
		peer_say(client, "is anybody there?");
		if (unreachable)
			icmp_unreachable(server);
		world_advance(&w, 3600 * 1000);
		assert_true(peer_sees_reset(client));
		assert_true(world_logged(&w, wanted[unreachable]));
		if (!unreachable)
			world_stop(&w);
	}
}

static void
test_a_server_that_does_not_answer_is_left_for_the_next(void **state)
{
	struct peer *client, *server;

	start("upstream u { server 10.0.0.255:80; server 10.0.0.9:80; server 10.0.0.1:8080; }\n"
	      "server { listen 80; proxy_pass u; proxy_connect_timeout 1s; }");
	client = world_connect(&w);
	server = world_accept(&w);
	assert_non_null(server);
	assert_int_equal(server->port, 8080);
	peer_close(server);
	assert_true(peer_sees_end(client));
	assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_NEXT), 1);
	w.sides[WORLD_SERVERS].cut = true;
	client = world_connect(&w);
	world_advance(&w, 1100);
	assert_int_equal(world_count(&w, PROXY_COUNT_UPSTREAM_TIMEOUT), 1);
	assert_true(peer_sees_end(client));
}

static void
test_a_client_that_goes_while_a_server_is_tried(void **state)
{
	struct peer *client;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }");
	w.sides[WORLD_SERVERS].cut = true;
	client = world_connect(&w);
	assert_true(world_in_use(&w) > 0);
	peer_reset(client);
	assert_int_equal(world_in_use(&w), 0);
}

static void
test_next_upstream_has_its_bounds(void **state)
{
	struct peer *client;

	start("upstream u { server 10.0.0.255:80; server 10.0.0.254:81; server 10.0.0.1:80; }\n"
	      "server { listen 80; proxy_pass u; proxy_next_upstream off; }\n"
	      "server { listen 81; proxy_pass u; proxy_next_upstream_tries 1; }");
	client = world_connect(&w);
	assert_true(peer_sees_end(client) || peer_sees_reset(client));
	assert_null(world_accept(&w));
}

static void
test_the_header_goes_first(void **state)
{
	struct peer *client, *server;
	const char *said;

	start("server { listen 80; proxy_pass 10.0.0.1:80; proxy_protocol on; }");
	client = world_connect(&w);
	peer_say(client, "hello");
	server = world_accept(&w);
	said = peer_said(server);
	assert_int_equal(strncmp(said, "PROXY TCP4 198.51.100.7 192.0.2.1 ", 34), 0);
	assert_string_equal(said + strlen(said) - 10, " 80\r\nhello");
	peer_close(server);
}

static void
test_times_run_out(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; proxy_timeout 5s; }\n"
	      "server { listen 81 proxy_protocol; proxy_pass 10.0.0.1:80; proxy_protocol_timeout 5s; }");
	client = world_connect(&w);
	server = world_accept(&w);
	world_advance(&w, 4000);
	peer_say(client, "x");
	world_advance(&w, 4000);
	assert_false(peer_sees_end(client));
	world_advance(&w, 1100);
	assert_true(peer_sees_end(client) && peer_sees_end(server));
	client = world_connect_to(&w, "192.0.2.1:81");
	world_advance(&w, 5100);
	assert_true(peer_sees_end(client));
	assert_null(world_accept(&w));
}

static void
test_a_session_outlives_its_configuration(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }");
	client = world_connect(&w);
	server = world_accept(&w);
	world_reload(&w, "}\nstream { server { listen 80; proxy_pass 10.0.0.1:8080; }");
	assert_false(proxy_generation_unused(w.old));
	peer_say(client, "still");
	assert_string_equal(peer_said(server), "still");
	world_connect(&w);
	assert_int_equal(world_accept(&w)->port, 8080);
	peer_close(server);
	assert_true(peer_sees_end(client));
	assert_true(proxy_generation_unused(w.old));
}

static void
test_a_graceful_stop_lets_sessions_go_on(void **state)
{
	struct peer *client, *server;

	start("server { listen 80; proxy_pass 10.0.0.1:80; }\n"
	      "server { listen 81 proxy_protocol; proxy_pass 10.0.0.1:80; }");
	client = world_connect(&w);
	server = world_accept(&w);
	world_connect_to(&w, "192.0.2.1:81");
	proxy_worker_drain(w.worker);
	world_run(&w);
	assert_int_equal(proxy_worker_sessions(w.worker), 1);
	peer_say(client, "still");
	assert_string_equal(peer_said(server), "still");
	peer_close(client);
	assert_int_equal(proxy_worker_sessions(w.worker), 0);
}

/* ---- directives ---- */

static void
assert_error_in_stream(const char *text, const char *wanted)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "}\nstream {\n%s", text);
	assert_error(&w, whole, wanted);
}

static void
test_directives_that_are_wrong(void **state)
{
	world_init(&w);
	assert_error_in_stream("server { listen 80 ssl; proxy_pass 10.0.0.1:80; }",
			       "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in t.conf:4");
	assert_error_in_stream("server { listen 80; proxy_pass 10.0.0.1; }",
			       "no port in upstream \"10.0.0.1\" in t.conf:4");
	assert_error_in_stream("server { listen 80; proxy_pass nowhere; }",
			       "no port in upstream \"nowhere\" in t.conf:4");
	assert_error_in_stream("proxy_buffer_size 16k;",
			       "\"proxy_buffer_size\" directive is not supported in stream: bytes are moved");
	assert_error_in_stream("tcp_nodelay off;", "\"tcp_nodelay off\" is not supported");
	assert_error_in_stream("proxy_next_upstream error;",
			       "invalid value \"error\" in \"proxy_next_upstream\" directive");
	assert_error_in_stream("upstream u { hash $nothing; server 10.0.0.1:80; } server { listen 80; proxy_pass u; }",
			       "unknown \"nothing\" variable in t.conf:4");
	assert_error_in_stream(
		"server { listen 80; proxy_pass 10.0.0.1:80; } server { listen 80; proxy_pass 10.0.0.1:80; }",
		"duplicate \"0.0.0.0:80\" address and port pair in t.conf:4");
}

int
main(void)
{
#define IN_WORLD(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_bytes_go_both_ways_and_both_ends_close),
		IN_WORLD(test_half_close_waits_for_the_other_end),
		IN_WORLD(test_a_slow_reader_stops_the_sender),
		IN_WORLD(test_who_still_talks_gets_all_that_was_said),
		IN_WORLD(test_resets_are_passed_on),
		IN_WORLD(test_why_a_connection_broke_is_in_the_log),
		IN_WORLD(test_a_server_that_does_not_answer_is_left_for_the_next),
		IN_WORLD(test_a_client_that_goes_while_a_server_is_tried),
		IN_WORLD(test_next_upstream_has_its_bounds),
		IN_WORLD(test_the_header_goes_first),
		IN_WORLD(test_times_run_out),
		IN_WORLD(test_a_session_outlives_its_configuration),
		IN_WORLD(test_a_graceful_stop_lets_sessions_go_on),
		cmocka_unit_test(test_directives_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
