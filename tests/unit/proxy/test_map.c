/*
 * Maps: what is looked up how, in http and in stream, and what nginx refuses.
 */
#include "proxy/settings/map.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "refusal.h"
#include "support/cmocka.h"

static struct world w;

static int
teardown(void **state)
{
	world_stop(&w);
	return 0;
}

static void
assert_mapped(const char *host, const char *wanted)
{
	struct peer *client = world_connect(&w);
	char request[256];
	const char *body;

	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: a\r\nX-In: %s\r\n\r\n", host);
	peer_say(client, request);
	body = strstr(peer_said(client), "\r\n\r\n");
	assert_non_null(body);
	if (strcmp(body + 4, wanted) != 0)
		fail_msg("%s\n wanted: %s\n got: %s", host, wanted, body + 4);
	peer_close(client);
}

static void
start(const char *map)
{
	char text[2048];

	snprintf(text, sizeof(text), "%s server { listen 80; return 200 \"$out\"; }", map);
	world_init(&w);
	world_start(&w, text);
}

static void
test_texts_expressions_and_default(void **state)
{
	start("map $http_x_in $out { default none; Abc 1; \"\" empty; \\~x tilde; ~^a.c$ re; ~*^BIG i; \\default word; "
	      "}");
	assert_mapped("abc", "1");
	assert_mapped("ABC", "1");
	assert_mapped("axc", "re");
	assert_mapped("AXC", "none");
	assert_mapped("bigger", "i");
	assert_mapped("", "empty");
	assert_mapped("~x", "tilde");
	assert_mapped("default", "word");
	assert_mapped("other", "none");
}

static void
test_host_names(void **state)
{
	start("map $http_x_in $out { hostnames; default none; a.test 1; *.a.test 2; *.b.a.test 3; .c.test 4; d.* 5; "
	      "~^e 6; }");
	assert_mapped("a.test", "1");
	assert_mapped("A.Test.", "1");
	assert_mapped("x.a.test", "2");
	assert_mapped("x.y.a.test", "2");
	assert_mapped("x.b.a.test", "3");
	assert_mapped("c.test", "4");
	assert_mapped("x.c.test", "4");
	assert_mapped("d.example", "5");
	assert_mapped("e.example", "6");
	assert_mapped("test", "none");
}

static void
test_values_may_have_variables_and_maps_use_maps(void **state)
{
	start("map $http_x_in $first { a b; default \"<$http_x_in>\"; } map \"$first-$host\" $out { b-a yes; default "
	      "$first; volatile; }");
	assert_mapped("a", "yes");
	assert_mapped("z", "<z>");
}

static void
test_without_a_default_it_is_empty(void **state)
{
	start("map $http_x_in $out { a 1; }");
	assert_mapped("b", "");
}

static void
test_a_circle_has_an_end(void **state)
{
	start("map $second $out { default x$second; } map $out $second { default y$out; }");
	assert_mapped("a", "xyxyxyxyxyxyxyxy");
}

static void
test_what_is_wrong(void **state)
{
	world_init(&w);
	assert_error(&w, "map $host out { }", "invalid variable name \"out\" in t.conf:2");
	assert_error(&w, "map $host $host { }", "the duplicate \"host\" variable in t.conf:2");
	assert_error(&w, "map $nothing $out { }", "unknown \"nothing\" variable in t.conf:2");
	assert_error(&w, "map $host $out { a b c; }", "invalid number of the map parameters in t.conf:2");
	assert_error(&w, "map $host $out { default a;\ndefault b; }", "duplicate default map parameter in t.conf:3");
	assert_error(&w, "map $host $out { a 1;\nA 2; }", "conflicting parameter \"a\" in t.conf:3");
	assert_error(&w, "map $host $out { hostnames; .a 1;\na 2; }", "conflicting parameter \"a\" in t.conf:3");
	assert_error(&w, "map $host $out { ~( 1; }", "pcre2_compile() failed: missing closing parenthesis in \"(\"");
	assert_error(&w, "map $host $out { ~(a) $1; }", "captures are not supported in \"map\"");
	assert_error(&w, "map $host $out { ~(?<n>a) 1; }", "groups with names are not supported in \"map\"");
	assert_error(&w, "map $host $out {", "unexpected end of file");
	assert_error(&w, "} stream { map $host $out { }", "unknown \"host\" variable in t.conf:2");
	assert_error(&w,
		     "} stream { map $remote_addr $out { default nowhere; }\nserver { listen 80; proxy_pass $out; }",
		     "no port in upstream \"nowhere\" in t.conf:2");
}

/* ---- by the name in a hello ---- */

static uint8_t hello[4096];
static size_t hello_len;

static void
make_hello(const char *name)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *ssl = SSL_new(context);

	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	hello_len = (size_t)BIO_read(out, hello, sizeof(hello));
	SSL_free(ssl);
	SSL_CTX_free(context);
}

#define PREREAD(more)                                                                                                  \
	"}\nstream { ssl_preread on; " more "map $ssl_preread_server_name $to { hostnames; a.test web; *.b.test "      \
	"10.0.0.2:8080; default 10.0.0.3:80; }\n"                                                                      \
	"upstream web { server 10.0.0.1:80; }\nserver { listen 80; proxy_pass $to; }"

static void
assert_goes_on(struct peer *client, const char *wanted, const void *data, size_t len)
{
	struct peer *server = world_accept(&w);
	char text[ENDPOINT_TEXT_MAX];

	assert_non_null(server);
	endpoint_format(tcp_local(server->tcp), text, sizeof(text));
	assert_string_equal(text, wanted);
	assert_int_equal(peer_received(server), len);
	assert_memory_equal(server->in, data, len);
	peer_close(server);
	peer_close(client);
}

static void
test_a_hello_may_be_split_at_every_byte(void **state)
{
	make_hello("a.test");
	world_init(&w);
	world_start(&w, PREREAD(""));
	for (size_t cut = 0; cut <= hello_len; cut++) {
		struct peer *client = world_connect(&w);

		peer_send(client, hello, cut);
		if (cut < hello_len)
			assert_null(world_accept(&w));
		peer_send(client, hello + cut, hello_len - cut);
		assert_goes_on(client, "10.0.0.1:80", hello, hello_len);
	}
}

static void
test_names_choose_the_server(void **state)
{
	struct peer *client;

	world_init(&w);
	world_start(&w, PREREAD(""));
	make_hello("x.b.test");
	client = world_connect(&w);
	peer_send(client, hello, hello_len);
	assert_goes_on(client, "10.0.0.2:8080", hello, hello_len);
	client = world_connect(&w);
	peer_say(client, "SSH-2.0-x\r\n");
	assert_goes_on(client, "10.0.0.3:80", "SSH-2.0-x\r\n", 11);
}

static void
test_a_client_that_says_too_little_or_too_much(void **state)
{
	struct peer *client;

	make_hello("a.test");
	world_init(&w);
	world_start(&w, PREREAD("preread_timeout 5s; preread_buffer_size 100; "));
	client = world_connect(&w);
	peer_send(client, hello, 50);
	world_advance(&w, 5100);
	assert_true(peer_sees_end(client) || peer_sees_reset(client));
	client = world_connect(&w);
	peer_send(client, hello, hello_len);
	assert_true(peer_sees_end(client) || peer_sees_reset(client));
	assert_null(world_accept(&w));
	assert_true(world_logged(&w, "preread buffer full while prereading client data"));
	client = world_connect(&w);
	peer_send(client, hello, 50);
	peer_reset(client);
	assert_int_equal(world_in_use(&w), 0);
}

int
main(void)
{
#define IN_WORLD(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_texts_expressions_and_default),
		IN_WORLD(test_host_names),
		IN_WORLD(test_values_may_have_variables_and_maps_use_maps),
		IN_WORLD(test_without_a_default_it_is_empty),
		IN_WORLD(test_a_circle_has_an_end),
		cmocka_unit_test(test_what_is_wrong),
		IN_WORLD(test_a_hello_may_be_split_at_every_byte),
		IN_WORLD(test_names_choose_the_server),
		IN_WORLD(test_a_client_that_says_too_little_or_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
