#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

#include "filter/headers/headers.h"
#include "world.h"

static struct world w;
static const struct proxy_filter *const filter_list[] = { &headers_filter, NULL };
static struct config_module *modules[2];

static void
start(const char *text)
{
	modules[0] = headers_filter.module;
	world_init(&w);
	w.more_modules = modules;
	w.filters = filter_list;
	world_start(&w, text);
}

/* The answer to a GET of that path, until the next call. */
static const char *
answer(const char *path)
{
	struct peer *client = world_connect(&w);
	char request[128];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	peer_say(client, request);
	return peer_said(client);
}

static void
fields_come_in_order_behind_the_others(void **state)
{
	start("add_header A 1; add_header B \"$host $uri\"; add_header A 2; server { return 200 x; }");
	assert_non_null(strstr(answer("/p"), "Connection: keep-alive\r\nA: 1\r\nB: a /p\r\nA: 2\r\n\r\nx"));
	world_stop(&w);
}

static void
level_with_any_inherits_none(void **state)
{
	const char *said;

	start("add_header Outer 1; server { add_header Middle 2; location / { return 200; } "
	      "location /own { return 200; add_header Inner 3; } } server { server_name b; return 200; }");
	said = answer("/");
	assert_non_null(strstr(said, "Middle: 2\r\n"));
	assert_null(strstr(said, "Outer"));
	said = answer("/own");
	assert_non_null(strstr(said, "Inner: 3\r\n"));
	assert_null(strstr(said, "Middle"));
	world_stop(&w);
}

static void
only_some_statuses_get_them_unless_always(void **state)
{
	static const int with[] = { 200, 201, 204, 206, 301, 302, 303, 304, 307, 308 };
	char text[256];

	for (int status = 200; status < 600; status++) {
		const char *said;
		bool expected = false;

		if (status == 444)
			continue;
		for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
			expected |= with[i] == status;
		if (!expected && status % 7)
			continue;
		snprintf(text, sizeof(text), "add_header Some 1; add_header All 2 always; server { return %d; }",
			 status);
		start(text);
		said = answer("/");
		if ((strstr(said, "Some: 1\r\n") != NULL) != expected)
			fail_msg("%d: %s", status, said);
		assert_non_null(strstr(said, "All: 2\r\n"));
		world_stop(&w);
	}
}

static void
empty_values_add_nothing_and_long_ones_fit(void **state)
{
	static char text[8000];
	const char *said;

	start("add_header Empty $http_none; add_header Half a$http_none; server { return 200; }");
	said = answer("/");
	assert_null(strstr(said, "Empty"));
	assert_non_null(strstr(said, "Half: a\r\n"));
	world_stop(&w);
	snprintf(text, sizeof(text), "add_header Long %03500d; add_header End 1; server { return 200 body; }", 7);
	start(text);
	said = answer("/");
	assert_non_null(strstr(said, "00007\r\nEnd: 1\r\n\r\nbody"));
	world_stop(&w);
}

static void
answers_of_servers_get_them_too(void **state)
{
	struct peer *client, *server;

	start("server { location / { proxy_pass http://10.0.0.1; add_header X-Upstream $upstream_addr; "
	      "add_header X-Status $upstream_status always; } }");
	client = world_connect(&w);
	peer_say(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	server = world_accept(&w);
	peer_say(server, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	assert_null(strstr((char *)client->in, "X-Upstream"));
	assert_non_null(strstr(peer_said(client), "X-Status: 404\r\n"));
	world_stop(&w);
}

static void
errors_are_nginxs(void **state)
{
	static const char *const rows[][2] = {
		{ "add_header a;", "invalid number of arguments in \"add_header\" directive in t.conf:2" },
		{ "add_header a b sometimes;", "invalid parameter \"sometimes\" in t.conf:2" },
		{ "add_header a $nope;", "unknown \"nope\" variable" },
	};

	modules[0] = headers_filter.module;
	world_init(&w);
	w.more_modules = modules;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *config = world_parse(&w, rows[i][0]);

		assert_non_null(config_error(config));
		assert_non_null(strstr(config_error(config), rows[i][1]));
		config_free(config);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_in_order_behind_the_others),
		cmocka_unit_test(level_with_any_inherits_none),
		cmocka_unit_test(only_some_statuses_get_them_unless_always),
		cmocka_unit_test(empty_values_add_nothing_and_long_ones_fit),
		cmocka_unit_test(answers_of_servers_get_them_too),
		cmocka_unit_test(errors_are_nginxs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
