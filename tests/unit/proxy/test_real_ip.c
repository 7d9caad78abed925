/*
 * Who the client is: the PROXY protocol in front of requests, and addresses that trusted senders name.
 */
#include "proxy/settings/real_ip.h"

#include <stdio.h>

#include "opening.h"
#include "packet/proxy_protocol.h"
#include "refusal.h"

static int
teardown(void **state)
{
	world_stop(&w);
	return 0;
}

/* ---- the PROXY protocol ---- */

#define SAYS                                                                                                           \
	"return 200 \"$remote_addr:$remote_port $proxy_protocol_addr:$proxy_protocol_port "                            \
	"$proxy_protocol_server_addr:$proxy_protocol_server_port\";"
#define HEADER "PROXY TCP4 203.0.113.9 192.0.2.99 4000 81\r\n"

static void
test_a_header_may_be_split_at_every_byte(void **state)
{
	char first[sizeof(HEADER)];

	start("set_real_ip_from 198.51.100.0/24; real_ip_header proxy_protocol;"
	      "server { listen 80 proxy_protocol; " SAYS " }");
	for (size_t cut = 0; cut <= sizeof(HEADER) - 1; cut++) {
		struct peer *client = world_connect(&w);

		snprintf(first, sizeof(first), "%.*s", (int)cut, HEADER);
		peer_say(client, first);
		peer_say(client, &(HEADER GET)[cut]);
		assert_non_null(strstr(peer_said(client), "\r\n\r\n203.0.113.9:4000 203.0.113.9:4000 192.0.2.99:81"));
		/* It holds for all requests of the connection, and the client closes as it likes. */
		peer_say(client, GET);
		assert_non_null(strstr(peer_said(client), "203.0.113.9:4000 203.0.113.9:4000"));
		peer_close(client);
	}
}

static void
test_version_2_may_be_split_too_and_its_tlvs_are_passed_over(void **state)
{
	struct packet_proxy_v2 header;
	uint8_t bytes[33];

	packet_proxy_v2_fill(&header, false, "\xcb\x00\x71\x09\xc0\x00\x02\x63", htons(4000), htons(81));
	header.len_be = htons(17);
	memcpy(bytes, &header, 28);
	memcpy(bytes + 28, "\x04\x00\x02xy", 5);
	start("server { listen 80 proxy_protocol; " SAYS " }");
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		struct peer *client = world_connect(&w);

		peer_send(client, bytes, cut);
		peer_send(client, bytes + cut, sizeof(bytes) - cut);
		peer_say(client, GET);
		assert_non_null(strstr(peer_said(client), " 203.0.113.9:4000 192.0.2.99:81"));
		peer_close(client);
	}
}

static void
test_a_header_that_names_nobody_leaves_the_connections_addresses(void **state)
{
	struct peer *client;

	start("set_real_ip_from 198.51.100.0/24; real_ip_header proxy_protocol;"
	      "server { listen 80 proxy_protocol; return 200 \"$remote_addr [$proxy_protocol_addr]\"; }");
	client = world_connect(&w);
	peer_say(client, "PROXY UNKNOWN\r\n" GET);
	assert_non_null(strstr(peer_said(client), "\r\n\r\n198.51.100.7 []"));
}

static void
test_what_is_no_header_is_told_and_reset(void **state)
{
	struct peer *client;

	start("server { listen 80 proxy_protocol; return 200 x; }");
	client = world_connect(&w);
	peer_say(client, GET);
	assert_true(peer_sees_reset(client));
	assert_int_equal(world_count(&w, PROXY_COUNT_BAD_PROXY_HEADER), 1);
	assert_true(world_logged(&w, "broken header: \"GET / HTTP/1.1\" while reading PROXY protocol, client: "
				     "198.51.100.7, server: 0.0.0.0:80"));
}

static void
test_a_connection_without_a_header_ends(void **state)
{
	struct peer *client;

	start("client_header_timeout 5s; server { listen 80 proxy_protocol; return 200 x; }");
	client = world_connect(&w);
	peer_say(client, "PROXY TC");
	peer_shutdown(client);
	assert_true(peer_sees_end(client) || peer_sees_reset(client));
	client = world_connect(&w);
	peer_say(client, "PROXY TC");
	world_advance(&w, 5100);
	assert_true(peer_sees_end(client) || peer_sees_reset(client));
}

/* ---- real_ip_header ---- */

static void
assert_client(const char *fields, const char *wanted)
{
	struct peer *client = world_connect(&w);
	char request[512];
	const char *body;

	snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n", strchr(fields, '|') ? "in" : "",
		 fields);
	peer_say(client, request);
	body = strstr(peer_said(client), "\r\n\r\n");
	assert_non_null(body);
	assert_string_equal(body + 4, wanted);
	peer_close(client);
}

#define ANSWER "return 200 \"$remote_addr:$remote_port\";"
#define SENT "198.51.100.7"

static void
test_the_last_forwarded_address_counts(void **state)
{
	start("set_real_ip_from 198.51.100.0/24; real_ip_header X-Forwarded-For; server { " ANSWER " }");
	assert_client("X-Forwarded-For: 203.0.113.1\r\n", "203.0.113.1:");
	assert_client("X-Forwarded-For: 203.0.113.1, 203.0.113.2\r\n", "203.0.113.2:");
	assert_client("X-Forwarded-For: 203.0.113.1,203.0.113.2 , \r\n", "203.0.113.2:");
	assert_client("X-Forwarded-For: 203.0.113.1:99\r\n", "203.0.113.1:99");
	assert_client("X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1:99");
	assert_client("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1:");
	assert_client("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 203.0.113.2\r\n", "203.0.113.2:");
}

static void
test_with_recursive_the_last_that_is_not_trusted_counts(void **state)
{
	start("set_real_ip_from 198.51.100.0/24; set_real_ip_from 2001:db8::/33; real_ip_recursive on;"
	      "real_ip_header x-forwarded-for; server { " ANSWER " }");
	assert_client("X-Forwarded-For: 203.0.113.1, 198.51.100.9\r\n", "203.0.113.1:");
	assert_client("X-Forwarded-For: 203.0.113.1, 203.0.113.2, 198.51.100.9\r\n", "203.0.113.2:");
	assert_client("X-Forwarded-For: 198.51.100.8, 198.51.100.9\r\n", "198.51.100.8:");
	assert_client("X-Forwarded-For: 203.0.113.1, 2001:db8:7fff::1\r\n", "203.0.113.1:");
	assert_client("X-Forwarded-For: 203.0.113.1, 2001:db8:8000::1\r\n", "2001:db8:8000::1:");
	assert_client("X-Forwarded-For: 203.0.113.1, nonsense, 198.51.100.9\r\n", "198.51.100.9:");
	assert_client("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 198.51.100.9\r\n", "203.0.113.1:");
}

static void
test_a_field_of_any_name(void **state)
{
	start("set_real_ip_from 198.51.100.7; real_ip_header CF-Connecting-IP; server { " ANSWER " }");
	assert_client("CF-Connecting-IP: 203.0.113.1\r\n", "203.0.113.1:");
	assert_client("cf-connecting-ip: 203.0.113.1\r\nX-Real-IP: 203.0.113.2\r\n", "203.0.113.1:");
}

static void
test_nobody_else_is_believed(void **state)
{
	struct peer *client;

	start("set_real_ip_from 198.51.100.0/32; server { return 200 $remote_addr; }");
	client = world_connect(&w);
	peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 203.0.113.1\r\n\r\n");
	assert_non_null(strstr(peer_said(client), "\r\n\r\n" SENT));
}

static void
test_a_location_may_trust_others_than_its_server(void **state)
{
	struct peer *client, *server;

	start("server { location / { set_real_ip_from 198.51.100.0/24; proxy_pass http://10.0.0.1:80;"
	      "proxy_set_header X $remote_addr-$realip_remote_addr-$proxy_add_x_forwarded_for; } }");
	client = world_connect(&w);
	peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 203.0.113.1\r\n\r\n");
	server = world_accept(&w);
	assert_non_null(strstr(peer_said(server), "X: 203.0.113.1-" SENT "-203.0.113.1\r\n"));
	peer_say(server, "HTTP/1.0 204 No\r\n\r\n");
	peer_close(client);
}

static void
test_balancing_goes_by_the_real_address(void **state)
{
	static const char *const methods[] = { "ip_hash", "hash $remote_addr", "maglev" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		char text[512];
		unsigned int used = 0;

		snprintf(
			text, sizeof(text),
			"set_real_ip_from 198.51.100.0/24; upstream u { %s; server 10.0.0.1:80; server 10.0.0.1:8080; }"
			"server { location / { proxy_pass http://u; } }",
			methods[i]);
		start(text);
		for (int n = 0; n < 32; n++) {
			struct peer *client = world_connect(&w), *server;
			char request[128];

			snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 203.0.%d.1\r\n\r\n",
				 n);
			peer_say(client, request);
			server = world_accept(&w);
			used |= server->port == 80 ? 1 : 2;
			peer_say(server, "HTTP/1.0 204 No\r\n\r\n");
			peer_close(client);
		}
		assert_int_equal(used, 3);
		if (i + 1 < sizeof(methods) / sizeof(methods[0]))
			world_stop(&w);
	}
}

/* ---- directives ---- */

static void
test_directives_that_are_wrong(void **state)
{
	world_init(&w);
	assert_error(&w, "set_real_ip_from 10.0.0.0/33;", "invalid parameter \"10.0.0.0/33\" in t.conf:2");
	assert_error(&w, "set_real_ip_from nobody.invalid;", "host not found in set_real_ip_from \"nobody.invalid\"");
	assert_error(&w, "set_real_ip_from unix:;", "is not supported: weir listens on IP addresses");
	assert_error(&w, "real_ip_header a; real_ip_header b;",
		     "\"real_ip_header\" directive is duplicate in t.conf:2");
	assert_error(&w, "real_ip_recursive 1;", "invalid value \"1\" in \"real_ip_recursive\" directive");
}

int
main(void)
{
#define IN_WORLD(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_a_header_may_be_split_at_every_byte),
		IN_WORLD(test_version_2_may_be_split_too_and_its_tlvs_are_passed_over),
		IN_WORLD(test_a_header_that_names_nobody_leaves_the_connections_addresses),
		IN_WORLD(test_what_is_no_header_is_told_and_reset),
		IN_WORLD(test_a_connection_without_a_header_ends),
		IN_WORLD(test_the_last_forwarded_address_counts),
		IN_WORLD(test_with_recursive_the_last_that_is_not_trusted_counts),
		IN_WORLD(test_a_field_of_any_name),
		IN_WORLD(test_nobody_else_is_believed),
		IN_WORLD(test_a_location_may_trust_others_than_its_server),
		IN_WORLD(test_balancing_goes_by_the_real_address),
		cmocka_unit_test(test_directives_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
