/*
 * Servers of `stream`, of either kind: what is read, and what nginx 1.22's stream modules refuse.
 */
#include <string.h>

#include "stream/stream.h"
#include "support/cmocka.h"

#define SERVER(words) "stream {\nserver { " words " }\n}"
#define WELL "listen 10.0.1.1:80; proxy_pass 10.0.2.1:80;"

static struct config *
parse(const char *text)
{
	static struct config_module *const modules[] = { &upstream_module, &stream_module, NULL };
	struct config_source source = { .path = "t.conf", .text = bytes_of_string(text) };

	return config_parse(&source, modules);
}

static void
assert_error(const char *text, const char *wanted)
{
	struct config *config = parse(text);
	const char *error = config_error(config);

	if (!error || strcmp(error, wanted) != 0)
		fail_msg("%s\n wanted: %s\n got:    %s", text, wanted, error ? error : "nothing");
	config_free(config);
}

static void
servers_are_read_and_inherit(void **state)
{
	struct config *config =
		parse("stream { proxy_timeout 5s;\n"
		      "server { listen 10.0.1.1:80 ssl; listen *:81 proxy_protocol; proxy_pass 10.0.2.1:80; }\n"
		      "server { listen [::1]:82; proxy_pass $name; proxy_protocol on; proxy_timeout 1h; } }");
	struct stream_settings *stream;
	const struct stream_settings *a, *b;
	char text[STREAM_LISTEN_TEXT_MAX];

	assert_string_equal(config_error(config), "unknown \"name\" variable in t.conf:3");
	config_free(config);
	config = parse("stream { proxy_timeout 5s;\n"
		       "server { listen 10.0.1.1:80 ssl; listen *:81 proxy_protocol; proxy_pass 10.0.2.1:80; }\n"
		       "server { listen [::1]:82; proxy_pass 10.0.2.1:80; proxy_protocol on; proxy_timeout 1h; } }");
	assert_null(config_error(config));
	stream = stream_settings(config);
	assert_int_equal(stream->server_count, 2);
	a = stream->servers[0];
	b = stream->servers[1];
	assert_int_equal(a->timeout_ms, 5000);
	assert_int_equal(a->proxy_protocol, 0);
	assert_null(a->forward);
	assert_true(a->listens->ssl && !a->listens->proxy_protocol);
	assert_true(!a->listens->next->ssl && a->listens->next->proxy_protocol);
	stream_listen_format(a->listens->next, text, sizeof(text));
	assert_string_equal(text, "0.0.0.0:81");
	assert_int_equal(b->timeout_ms, 3600000);
	assert_int_equal(b->proxy_protocol, 1);
	assert_ptr_equal(b->group->servers, a->group->servers);
	assert_ptr_equal(stream_server(b->scope), b);
	assert_null(stream_server(b->scope->parent));
	config_free(config);
	config = parse("");
	assert_null(stream_settings(config));
	config_free(config);
}

static void
errors_are_nginxs(void **state)
{
	assert_error("stream {}\nstream {}", "\"stream\" directive is duplicate in t.conf:2");
	assert_error(SERVER("proxy_pass 10.0.2.1:80;"), "no \"listen\" is defined for server in t.conf:2");
	assert_error(SERVER("listen 10.0.1.1:80;"), "no handler for server in t.conf:2");
	assert_error(SERVER(WELL "\nproxy_pass 10.0.2.2:80;"), "\"proxy_pass\" directive is duplicate in t.conf:3");
	assert_error(SERVER(WELL "\nproxy_pass $name;"), "\"proxy_pass\" directive is duplicate in t.conf:3");
	assert_error(SERVER("listen 10.0.1.1:80; return a;\nreturn b;"),
		     "\"return\" directive is duplicate in t.conf:3");
	assert_error(SERVER(WELL "return a;"), "\"return\" cannot stand beside \"proxy_pass\" in t.conf:2");
	assert_error(SERVER("listen 10.0.1.1:80 backlogs;"), "the invalid \"backlogs\" parameter in t.conf:2");
	assert_error("stream { proxy_timeout x; }", "\"proxy_timeout\" directive invalid value in t.conf:1");
	assert_error("stream { listen 10.0.1.1:80; }", "\"listen\" directive is not allowed here in t.conf:1");
}

static void
what_connections_cannot_have_is_said(void **state)
{
	assert_error(SERVER("listen 10.0.1.1:53 udp; proxy_pass 10.0.2.1:53;"),
		     "\"udp\" needs \"forward\" in its server: datagrams are forwarded packet by packet, and not "
		     "otherwise in t.conf:2");
	assert_error(SERVER("listen 10.0.1.1:80-90; proxy_pass 10.0.2.1:80;"),
		     "several ports in one \"listen\" need \"forward\" in their server in t.conf:2");
	assert_error(SERVER("listen 10.0.1.1:*; proxy_pass 10.0.2.1:80;"),
		     "several ports in one \"listen\" need \"forward\" in their server in t.conf:2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_are_read_and_inherit),
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(what_connections_cannot_have_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
