#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/settings/virtual_host.h"
#include "world.h"

static struct world w;
static struct config *config;
static const struct proxy_addresses *addresses;
static char warnings[4096];

static void
note(void *context, const char *text)
{
	strcat(strcat(warnings, text), "\n");
}

static void
parse(const char *text)
{
	config_free(config);
	config = world_parse(&w, text);
	if (config_error(config))
		fail_msg("%s", config_error(config));
	warnings[0] = '\0';
	config_each_warning(config, note, NULL);
	addresses = ((struct proxy_server *)config_settings(config_child(config_root(config), CONFIG_HTTP),
							    &proxy_server_module))
			    ->addresses;
}

/* The status that the server found returns for everything. */
static int
at(const char *local, const char *host)
{
	struct endpoint endpoint;
	const struct proxy_address *address;
	const struct config_regex *regex = NULL;
	size_t offsets[8];
	int groups;

	endpoint_parse(bytes_of_string(local), 80, &endpoint);
	address = proxy_address_find(addresses, &endpoint);
	if (!address)
		return 0;
	return proxy_server_find(address, bytes_of_string(host), offsets, 4, &groups, &regex)->root->return_status;
}

static int
of(const char *host)
{
	return at("192.0.2.1:80", host);
}

static void
order_of_names_is_exact_head_tail_expression_default(void **state)
{
	parse("server { return 200; } "
	      "server { server_name ~^www ~x$; return 205; } server { server_name ~w; return 206; } "
	      "server { server_name mail.*; return 204; } server { server_name mail.b.*; return 207; } "
	      "server { server_name *.example.org; return 202; } server { server_name *.b.example.org; return 203; } "
	      "server { server_name Www.Example.ORG; return 201; }");
	assert_int_equal(of("www.example.org"), 201);
	assert_int_equal(of("a.example.org"), 202);
	assert_int_equal(of("mail.example.org"), 202);
	assert_int_equal(of("a.c.example.org"), 202);
	assert_int_equal(of("a.b.example.org"), 203);
	assert_int_equal(of("b.example.org"), 202);
	assert_int_equal(of("example.org"), 200);
	assert_int_equal(of("mail.x"), 204);
	assert_int_equal(of("mail.b.x"), 207);
	assert_int_equal(of("mail.b"), 204);
	assert_int_equal(of("mail"), 200);
	assert_int_equal(of("wwww"), 205);
	assert_int_equal(of("aw"), 206);
	assert_int_equal(of("other"), 200);
	assert_int_equal(of(""), 200);
}

static void
name_with_a_leading_dot_is_itself_and_all_below(void **state)
{
	parse("server { return 200; } server { server_name .example.org; return 201; }");
	assert_int_equal(of("example.org"), 201);
	assert_int_equal(of("a.example.org"), 201);
	assert_int_equal(of("a.b.example.org"), 201);
	assert_int_equal(of("xexample.org"), 200);
}

static void
empty_name_takes_requests_without_host(void **state)
{
	parse("server { server_name a; return 200; } server { server_name b \"\"; return 201; }");
	assert_int_equal(of(""), 201);
	assert_int_equal(of("x"), 200);
	/* A server without server_name has that name. */
	parse("server { server_name a; return 200; } server { return 201; }");
	assert_int_equal(of(""), 201);
}

static void
default_server_is_the_first_or_the_one_that_says_so(void **state)
{
	parse("server { listen 80; return 200; } server { listen 80 default_server; listen 81; return 201; } "
	      "server { listen 81; return 202; }");
	assert_int_equal(of("x"), 201);
	assert_int_equal(at("192.0.2.1:81", "x"), 201);
	assert_int_equal(at("192.0.2.1:82", "x"), 0);
}

static void
exact_address_goes_before_the_wildcard_of_its_version(void **state)
{
	parse("server { listen 80; listen [::]:81; return 200; } server { listen 192.0.2.1:80; server_name x; return "
	      "201; } "
	      "server { listen [2001:db8::1]:81; return 202; }");
	assert_int_equal(at("192.0.2.1:80", "other"), 201);
	assert_int_equal(at("192.0.2.2:80", "x"), 200);
	assert_int_equal(at("[2001:db8::1]:81", "x"), 202);
	assert_int_equal(at("[2001:db8::2]:81", "x"), 200);
	assert_int_equal(at("[2001:db8::2]:80", "x"), 0);
	assert_int_equal(at("192.0.2.1:81", "x"), 0);
}

static void
conflicting_names_are_warned_of_with_nginxs_words_and_the_first_holds(void **state)
{
	parse("server { server_name a; return 200; } server { server_name A *.b .b; return 201; } "
	      "server { server_name *.b b c.*; return 202; } server { server_name c.*; return 203; } "
	      "server { listen 81; server_name a; return 204; }");
	assert_non_null(strstr(warnings, "conflicting server name \"a\" on 0.0.0.0:80, ignored"));
	assert_non_null(strstr(warnings, "conflicting server name \"*.b\" on 0.0.0.0:80, ignored"));
	assert_non_null(strstr(warnings, "conflicting server name \"b\" on 0.0.0.0:80, ignored"));
	assert_non_null(strstr(warnings, "conflicting server name \"c.*\" on 0.0.0.0:80, ignored"));
	assert_null(strstr(warnings, ":81"));
	assert_int_equal(of("a"), 200);
	assert_int_equal(of("x.b"), 201);
	assert_int_equal(of("b"), 201);
	assert_int_equal(of("c.x"), 202);
	assert_int_equal(at("192.0.2.1:81", "a"), 204);
	parse("server { server_name a a *.b *.b; }");
	assert_string_equal(warnings, "");
}

static void
server_name_variable_is_the_first(void **state)
{
	static const struct {
		const char *names, *variable;
	} rows[] = {
		{ "server_name B.example a;", "b.example" },
		{ "server_name *.x;", "*.x" },
		{ "server_name .x;", "x" },
		{ "server_name ~^(?<n>.*)$;", "~^(?<n>.*)$" },
		{ "server_name \"\" a;", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *client;
		char text[256], wanted[64];

		world_init(&w);
		sprintf(text, "server { %s return 200 <$server_name>; }", rows[i].names);
		world_start(&w, text);
		client = world_connect(&w);
		peer_say(client, "GET / HTTP/1.1\r\nHost: zzz\r\n\r\n");
		sprintf(wanted, "\r\n\r\n<%s>", rows[i].variable);
		assert_non_null(strstr(peer_said(client), wanted));
		world_stop(&w);
	}
}

static void
host_of_a_request_is_stripped_of_port_and_dot_and_case(void **state)
{
	static const struct {
		const char *head, *host;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: A.Example:8080\r\n", "a.example" },
		{ "GET / HTTP/1.1\r\nHost: a.example.\r\n", "a.example" },
		{ "GET http://B.x:1/ HTTP/1.1\r\nHost: b.x:1\r\n", "b.x" },
		{ "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n", "[2001:db8::1]" },
		{ "GET / HTTP/1.0\r\n", "first" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *client;
		char text[256], wanted[64];

		world_init(&w);
		world_start(&w, "server { server_name first; return 200 <$host>; }");
		client = world_connect(&w);
		sprintf(text, "%s\r\n", rows[i].head);
		peer_say(client, text);
		sprintf(wanted, "\r\n\r\n<%s>", rows[i].host);
		if (!strstr((const char *)client->in, wanted))
			fail_msg("wanted %s in %s", wanted, client->in);
		world_stop(&w);
	}
}

static int
teardown(void **state)
{
	config_free(config);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_names_is_exact_head_tail_expression_default),
		cmocka_unit_test(name_with_a_leading_dot_is_itself_and_all_below),
		cmocka_unit_test(empty_name_takes_requests_without_host),
		cmocka_unit_test(default_server_is_the_first_or_the_one_that_says_so),
		cmocka_unit_test(exact_address_goes_before_the_wildcard_of_its_version),
		cmocka_unit_test(conflicting_names_are_warned_of_with_nginxs_words_and_the_first_holds),
		cmocka_unit_test(server_name_variable_is_the_first),
		cmocka_unit_test(host_of_a_request_is_stripped_of_port_and_dot_and_case),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
