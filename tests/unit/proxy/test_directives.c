/*
 * What is said of configurations that are wrong: nginx 1.22.1's words, where nginx refuses them too.
 */
#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

#include "refusal.h"

static struct world w;

struct row {
	const char *text, *error;
};

#define IN "server { location / { "
#define PASS "proxy_pass http://127.0.0.1; "

/* Taken from `nginx -t`. */
static const struct row nginxs[] = {
	{ "server { listen 8081 default_server; } server { listen 8081 default_server; }",
	  "a duplicate default server for 0.0.0.0:8081 in t.conf:2" },
	{ "server { listen 8081; listen 8081; }", "a duplicate listen 0.0.0.0:8081 in t.conf:2" },
	{ "server { listen 0; }", "invalid port in \"0\" of the \"listen\" directive in t.conf:2" },
	{ "server { listen 70000; }", "invalid port in \"70000\" of the \"listen\" directive in t.conf:2" },
	{ "server { listen [::g]:80; }",
	  "invalid IPv6 address in \"[::g]:80\" of the \"listen\" directive in t.conf:2" },
	{ "server { listen 80 foo; }", "invalid parameter \"foo\" in t.conf:2" },
	{ "server { server_name *; }", "server name \"*\" is invalid in t.conf:2" },
	{ "server { server_name .; }", "server name \".\" is invalid in t.conf:2" },
	{ "server { server_name ~(; }", "pcre2_compile() failed: missing closing parenthesis in \"(\"" },
	{ "server { location / {} location / {} }", "duplicate location \"/\" in t.conf:2" },
	{ "server { location = / {} location = / {} }", "duplicate location \"/\" in t.conf:2" },
	{ "server { location / {} location ^~ / {} }", "duplicate location \"/\" in t.conf:2" },
	{ "server { location / {} location = / {} location ~ / {} location ~ / {} }", NULL },
	{ "server { location /a { location /b {} } }", "location \"/b\" is outside location \"/a\" in t.conf:2" },
	{ "server { location = /a { location /a/b {} } }",
	  "location \"/a/b\" cannot be inside the exact location \"/a\" in t.conf:2" },
	{ "server { location ~ a { location /b {} } }", "location \"/b\" is outside location \"a\" in t.conf:2" },
	{ "server { location foo /b {} }", "invalid location modifier \"foo\" in t.conf:2" },
	{ "server { location ~ ( {} }", "pcre2_compile() failed: missing closing parenthesis in \"(\" in t.conf:2" },
	{ IN "return foo; } }", "invalid return code \"foo\" in t.conf:2" },
	{ IN "return 1000; } }", "invalid return code \"1000\" in t.conf:2" },
	{ IN "return 200 a b; } }", "invalid number of arguments in \"return\" directive in t.conf:2" },
	{ IN PASS PASS "} }", "\"proxy_pass\" directive is duplicate in t.conf:2" },
	{ IN "proxy_pass ftp://127.0.0.1; } }", "invalid URL prefix in t.conf:2" },
	{ IN "proxy_pass http://; } }", "no host in upstream \"\" in t.conf:2" },
	{ IN "proxy_pass http:///x; } }", "no host in upstream \"/x\" in t.conf:2" },
	{ IN "proxy_pass http://127.0.0.1:0; } }", "invalid port in upstream \"127.0.0.1:0\" in t.conf:2" },
	{ IN "proxy_pass http://127.0.0.1:99999; } }", "invalid port in upstream \"127.0.0.1:99999\" in t.conf:2" },
	{ IN "proxy_pass http://127.0.0.1:x/y; } }", "invalid port in upstream \"127.0.0.1:x" },
	{ "server { location ~ a { proxy_pass http://127.0.0.1/; } }",
	  "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, or "
	  "inside "
	  "\"if\" statement, or inside \"limit_except\" block in t.conf:2" },
	{ "proxy_pass http://127.0.0.1;", "\"proxy_pass\" directive is not allowed here in t.conf:2" },
	{ IN "proxy_http_version 2; } }", "invalid value \"2\" in t.conf:2" },
	{ IN "proxy_connect_timeout x; } }", "\"proxy_connect_timeout\" directive invalid value in t.conf:2" },
	{ IN "proxy_next_upstream foo; } }", "invalid value \"foo\" in t.conf:2" },
	{ IN "proxy_next_upstream error error; } }", NULL },
	{ IN "proxy_next_upstream error; proxy_next_upstream timeout; } }", NULL },
	{ IN "proxy_redirect foo; } }", "invalid parameter \"foo\" in t.conf:2" },
	{ IN PASS "proxy_redirect off; proxy_redirect default; } }",
	  "\"proxy_redirect\" directive is duplicate in t.conf:2" },
	{ IN PASS "proxy_redirect off; proxy_redirect a b; } }",
	  "\"proxy_redirect\" directive is duplicate in t.conf:2" },
	{ IN PASS "proxy_redirect a b; proxy_redirect off; } }",
	  "\"proxy_redirect\" directive is duplicate in t.conf:2" },
	{ IN PASS "proxy_redirect default; proxy_redirect a b; } }", NULL },
	{ IN "proxy_redirect default; } }",
	  "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive in t.conf:2" },
	{ IN "proxy_set_header a; } }", "invalid number of arguments in \"proxy_set_header\" directive in t.conf:2" },
	{ IN "proxy_set_header a \"${b\"; } }", "the closing bracket in \"b\" variable is missing" },
	{ IN "proxy_set_header a $b; } }", "unknown \"b\" variable" },
	{ IN "proxy_ignore_client_abort maybe; } }", "invalid value \"maybe\" in \"proxy_ignore_client_abort\" "
						     "directive, it must be \"on\" or \"off\" in t.conf:2" },
	{ IN "proxy_next_upstream_tries x; } }", "\"proxy_next_upstream_tries\" directive invalid number in t.conf:2" },
	{ "keepalive_timeout 5 x;", "\"keepalive_timeout\" directive invalid value in t.conf:2" },
	{ "keepalive_timeout x;", "\"keepalive_timeout\" directive invalid value in t.conf:2" },
	{ "keepalive_timeout 5; keepalive_timeout 6;", "\"keepalive_timeout\" directive is duplicate in t.conf:2" },
	{ "large_client_header_buffers 0 1k;", "\"large_client_header_buffers\" directive invalid value in t.conf:2" },
	{ "large_client_header_buffers x 1k;", "\"large_client_header_buffers\" directive invalid value in t.conf:2" },
	{ "large_client_header_buffers 1 x;", "\"large_client_header_buffers\" directive invalid value in t.conf:2" },
	{ IN "client_max_body_size x; } }", "\"client_max_body_size\" directive invalid value in t.conf:2" },
	{ IN "http2_chunk_size 0; } }", "the http2 chunk size cannot be zero in t.conf:2" },
	{ IN "http2_chunk_size 16m; } }", "the maximum http2 chunk size is 16777215 in t.conf:2" },
	{ "http2_body_preread_size 3g;", "the maximum body preread buffer size is 2147483647 in t.conf:2" },
	{ IN "default_type; } }", "invalid number of arguments in \"default_type\" directive in t.conf:2" },
};

/* What nginx has and Weir has not: never ignored. */
static const struct row ours[] = {
	{ "server { listen 80 http2; http2_push off; http2_push_preload off; http2_max_concurrent_streams 7; } ",
	  NULL },
	{ "server { http2_push /x; }", "\"http2_push\" is not supported: clients do not take server push" },
	{ "http2_recv_buffer_size 1k;", "\"http2_recv_buffer_size\" is not supported" },
	{ "http2_pool_size 1k;", "\"http2_pool_size\" is not supported" },
	{ "http2_streams_index_size 16;", "\"http2_streams_index_size\" is not supported" },
	{ "http2_max_concurrent_pushes 1;", "\"http2_max_concurrent_pushes\" is not supported" },
	{ "http2_max_requests 9; http2_idle_timeout 1s; http2_recv_timeout 1s; http2_max_field_size 1k; "
	  "http2_max_header_size 1k;",
	  NULL },
	{ "server { listen 443 ssl; }", "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in " },
	{ "server { listen 80 backlog=5; }", "the \"backlog=5\" parameter of \"listen\" is not supported" },
	{ "server { listen unix:/x; }", "\"unix:/x\" is not supported: weir listens on IP addresses" },
	{ "server { location @x {} }", "named location \"@x\" is not supported" },
	{ IN "proxy_pass https://127.0.0.1; proxy_ssl_verify on; } }", "no proxy_ssl_trusted_certificate for" },
	{ IN "grpc_pass grpc://127.0.0.1:1/uri; } }",
	  "\"grpc_pass\" cannot have a URI: the request's own goes to the server" },
	{ IN "grpc_pass 127.0.0.1; } }", "no port in upstream \"127.0.0.1\"" },
	{ IN "grpc_pass grpc://nowhere.test; } }", "no port in upstream \"nowhere.test\"" },
	{ IN "grpc_pass $host; } }", "\"grpc_pass\" with a variable for its host is not supported" },
	{ IN "grpc_pass 127.0.0.1:1; proxy_pass http://127.0.0.1; } }", "\"proxy_pass\" directive is duplicate" },
	{ IN "grpc_pass grpcs://127.0.0.1:1; grpc_ssl_verify on; } }", "no grpc_ssl_trusted_certificate for" },
	{ IN "grpc_pass 127.0.0.1:1; proxy_redirect default; } }",
	  "\"proxy_redirect default\" should be placed after" },
	{ "grpc_intercept_errors on;", "\"grpc_intercept_errors on\" is not supported: error pages" },
	{ "grpc_socket_keepalive on;", "\"grpc_socket_keepalive on\" is not supported: there is no kernel socket" },
	{ "grpc_buffer_size 100;", "\"grpc_buffer_size\" must be between 128 and 32768 bytes" },
	{ "grpc_set_header Content-Length 1;", "\"grpc_set_header Content-Length\" is not supported: weir frames" },
	{ "grpc_next_upstream never;", "invalid value \"never\"" },
	{ IN "proxy_pass http://$host; } }", "\"proxy_pass\" with a variable for its host is not supported" },
	{ IN "proxy_request_buffering on; } }", "\"proxy_request_buffering on\" is not supported" },
	{ IN "proxy_request_buffering off; } }", NULL },
	{ IN PASS "proxy_redirect ~a b; } }",
	  "\"proxy_redirect\" with variables or regular expressions is not supported" },
	{ IN PASS "proxy_redirect \"\" b; } }", NULL },
	{ IN "proxy_buffer_size 16; } }", "\"proxy_buffer_size\" must be between 128 and 32768 bytes" },
	{ "tcp_nodelay off;", "\"tcp_nodelay off\" is not supported: weir never delays" },
	{ "tcp_nodelay on; tcp_nopush off;", NULL },
	{ "error_log syslog:server=x;", "\"error_log\" to \"syslog:server=x\" is not supported" },
	{ "error_log /dev/null loud;", "invalid log level \"loud\"" },
	{ "error_log /dev/null/x;", "open() \"/dev/null/x\" failed (20: Not a directory)" },
};

static void
errors_are_nginxs(void **state)
{
	for (size_t i = 0; i < sizeof(nginxs) / sizeof(nginxs[0]); i++)
		assert_error(&w, nginxs[i].text, nginxs[i].error);
}

static void
what_is_not_supported_is_said_by_name(void **state)
{
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_error(&w, ours[i].text, ours[i].error);
}

static void
settings_are_inherited_as_nginx_does(void **state)
{
	struct peer *server;

	world_init(&w);
	world_start(&w, "proxy_set_header A outer; proxy_set_header Host $http_host; proxy_http_version 1.1; server { "
			"location /in { proxy_pass http://10.0.0.1; } "
			"location /own { proxy_pass http://10.0.0.1; proxy_set_header B own; proxy_set_header C \"\"; "
			"proxy_set_header Connection \"\"; } }");
	peer_say(world_connect(&w), "GET /in HTTP/1.1\r\nHost: h:1\r\nA: client\r\nB: client\r\n\r\n");
	server = world_accept(&w);
	assert_string_equal(peer_said(server),
			    "GET /in HTTP/1.1\r\nA: outer\r\nHost: h:1\r\nConnection: close\r\nB: client\r\n\r\n");
	peer_say(world_connect(&w), "GET /own HTTP/1.1\r\nHost: h:1\r\nA: client\r\nB: client\r\nc: client\r\n\r\n");
	server = world_accept(&w);
	assert_string_equal(peer_said(server), "GET /own HTTP/1.1\r\nB: own\r\nHost: 10.0.0.1\r\nA: client\r\n\r\n");
	world_stop(&w);
}

static void
uri_of_proxy_pass_replaces_the_location(void **state)
{
	static const struct {
		const char *location, *pass, *asked, *sent;
	} rows[] = {
		{ "/a/", "", "/a/b%2Fc?x", "/a/b%2Fc?x" },
		{ "/a/", "/", "/a/b%20c?x", "/b%20c?x" },
		{ "/a/", "/z", "/a/b", "/zb" },
		{ "/a/", "/z/", "/a/../a//b", "/z/b" },
		{ "/a", "/", "/abc", "/bc" },
		{ "= /a", "/z", "/a?q", "/z?q" },
		{ "/a/", "?z=1", "/a/b", "/?z=1b" },
		{ "~ ^/a", "", "/a/./b", "/a/./b" },
		{ "/a/", "/", "/a/%3Fx%25", "/%3Fx%25" },
		{ "/", "", "http://h/x?y", "/x?y" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *server;
		char text[256], wanted[128];

		world_init(&w);
		snprintf(text, sizeof(text), "server { location %s { proxy_pass http://10.0.0.1%s; } }",
			 rows[i].location, rows[i].pass);
		world_start(&w, text);
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].asked);
		peer_say(world_connect(&w), text);
		server = world_accept(&w);
		assert_non_null(server);
		snprintf(wanted, sizeof(wanted), "GET %s HTTP/1.0\r\n", rows[i].sent);
		if (strncmp((char *)server->in, wanted, strlen(wanted)) != 0)
			fail_msg("row %zu: wanted %s, got %s", i, wanted, peer_said(server));
		world_stop(&w);
	}
}

static void
keys_of_balancing_come_from_the_request(void **state)
{
	static const char *const methods[] = { "hash $arg_k consistent", "ip_hash", "maglev $arg_k", "hash $uri" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct peer *client, *first = NULL;
		char text[256];

		world_init(&w);
		snprintf(text, sizeof(text),
			 "upstream u { %s; server 10.0.0.1; server 10.0.0.2; server 10.0.0.3; } "
			 "server { location / { proxy_pass http://u; } }",
			 methods[i]);
		world_start(&w, text);
		/* The same key, the same server: its address is the one that the first connection went to. */
		for (int n = 0; n < 6; n++) {
			struct peer *server;

			client = world_connect(&w);
			peer_say(client, "GET /?k=abc HTTP/1.1\r\nHost: a\r\n\r\n");
			server = world_accept(&w);
			assert_non_null(server);
			if (!first)
				first = server;
			assert_true(endpoint_equal(tcp_local(server->tcp), tcp_local(first->tcp)));
		}
		world_stop(&w);
	}
}

static void
location_without_a_handler_serves_nothing(void **state)
{
	static const struct {
		const char *request, *line;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 " },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 " },
		{ "GET /early HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 099 " },
	};

	for (size_t i = 0; i < 3; i++) {
		struct peer *client;

		world_init(&w);
		world_start(&w, "server { location /early { return 99 x; } }");
		client = world_connect(&w);
		peer_say(client, rows[i].request);
		assert_memory_equal(peer_said(client), rows[i].line, strlen(rows[i].line));
		world_stop(&w);
	}
}

static void
body_and_fields_stay_here_where_the_configuration_says_so(void **state)
{
	struct peer *server, *client;

	world_init(&w);
	world_start(&w, "server { location / { proxy_pass http://10.0.0.1; proxy_pass_request_body off; "
			"proxy_pass_request_headers off; proxy_set_header Content-Length \"\"; } }");
	client = world_connect(&w);
	peer_say(client, "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\nContent-Length: 5\r\n\r\nhe");
	server = world_accept(&w);
	assert_string_equal(peer_said(server), "POST / HTTP/1.0\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
	peer_say(client, "llo");
	assert_string_equal(peer_said(server), "");
	peer_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_non_null(strstr(peer_said(client), "\r\n\r\nok"));
	world_stop(&w);
}

static void
set_fields_replace_those_of_the_request(void **state)
{
	struct peer *server;

	world_init(&w);
	world_start(&w, "server { location / { proxy_pass http://10.0.0.1; proxy_set_header User-Agent weir; "
			"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header x-real-ip "
			"$remote_addr; } }");
	peer_say(world_connect(&w), "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: c\r\nX-Forwarded-For: 1.2.3.4\r\n"
				    "X-Real-IP: forged\r\n\r\n");
	server = world_accept(&w);
	assert_string_equal(peer_said(server),
			    "GET / HTTP/1.0\r\nUser-Agent: weir\r\nX-Forwarded-For: 1.2.3.4, 198.51.100.7\r\n"
			    "x-real-ip: 198.51.100.7\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
	world_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(what_is_not_supported_is_said_by_name),
		cmocka_unit_test(settings_are_inherited_as_nginx_does),
		cmocka_unit_test(uri_of_proxy_pass_replaces_the_location),
		cmocka_unit_test(keys_of_balancing_come_from_the_request),
		cmocka_unit_test(location_without_a_handler_serves_nothing),
		cmocka_unit_test(body_and_fields_stay_here_where_the_configuration_says_so),
		cmocka_unit_test(set_fields_replace_those_of_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
