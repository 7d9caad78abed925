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
errors_are_nginxs(void **state)
{
	assert_error("stream {}\nstream {}", "\"stream\" directive is duplicate in t.conf:2");
	assert_error(SERVER("proxy_pass 10.0.2.1:80;"), "no \"listen\" is defined for server in t.conf:2");
	assert_error(SERVER("listen 10.0.1.1:80;"), "no handler for server in t.conf:2");
	assert_error(SERVER(WELL "\nproxy_pass 10.0.2.2:80;"), "\"proxy_pass\" directive is duplicate in t.conf:3");
	assert_error(SERVER(WELL "\nproxy_pass $name;"), "\"proxy_pass\" directive is duplicate in t.conf:3");
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
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(what_connections_cannot_have_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
