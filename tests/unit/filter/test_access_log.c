#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/access_log/access_log.h"
#include "filter/access_log/escape.h"
#include "filter/filters.h"
#include "world.h"

static struct world w;
static struct config_module *modules[3];
static char path[64];

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static int
setup(void **state)
{
	modules[0] = access_log_filter.module;
	snprintf(path, sizeof(path), "/tmp/weir-access-log-%d", getpid());
	return 0;
}

static int
teardown(void **state)
{
	unlink(path);
	return 0;
}

/* ---- escapes ---- */

static const char *
escaped(config_escape_fn *escape, const char *text, size_t len)
{
	static uint8_t out[1024];
	size_t out_len = escape(out, sizeof(out) - 1, bytes_of(text, len));

	assert_true(out_len < sizeof(out));
	out[out_len] = '\0';
	return (const char *)out;
}

static void
default_escape_is_hexadecimal_for_what_could_forge_a_line(void **state)
{
	assert_string_equal(escaped(access_log_escape_default, "plain text !#~", 14), "plain text !#~");
	assert_string_equal(escaped(access_log_escape_default, "a\"b\\c\n\r\0\x1f\x7f\x80\xff", 12),
			    "a\\x22b\\x5Cc\\x0A\\x0D\\x00\\x1F\\x7F\\x80\\xFF");
}

static void
json_escape_makes_a_json_string(void **state)
{
	assert_string_equal(escaped(access_log_escape_json, "a\"b\\c\n\r\t\b\f", 10), "a\\\"b\\\\c\\n\\r\\t\\b\\f");
	assert_string_equal(escaped(access_log_escape_json, "\0\x1f\x7f\xc3\xa9", 5), "\\u0000\\u001F\x7f\xc3\xa9");
}

static void
escapes_say_when_there_is_no_room(void **state)
{
	config_escape_fn *const escapes[] = { access_log_escape_default, access_log_escape_json };
	static const char *const texts[] = { "ab\"", "ab\x01", "abc" };
	uint8_t out[16];

	for (int e = 0; e < 2; e++)
		for (int t = 0; t < 3; t++) {
			struct bytes text = bytes_of_string(texts[t]);
			size_t need = escapes[e](out, sizeof(out), text);

			for (size_t size = 0; size < need; size++)
				assert_int_equal(escapes[e](out, size, text), SIZE_MAX);
			assert_int_equal(escapes[e](out, need, text), need);
		}
}

/* ---- directives ---- */

static void
assert_error(const char *text, const char *wanted)
{
	struct config *config = world_parse(&w, text);
	const char *error = config_error(config);

	if (!error != !wanted || (wanted && !strstr(error, wanted)))
		fail_msg("%s\n wanted: %s\n got:    %s", text, wanted ? wanted : "nothing", error ? error : "nothing");
	config_free(config);
}

static void
errors_are_nginxs(void **state)
{
	world_init(&w);
	w.more_modules = modules;
	assert_error("access_log off; log_format a b; log_format a c;",
		     "duplicate \"log_format\" name \"a\" in t.conf:2");
	assert_error("access_log off; log_format combined c;",
		     "duplicate \"log_format\" name \"combined\" in t.conf:2");
	assert_error("access_log off; log_format a escape=foo b;", "unknown log format escaping \"foo\" in t.conf:2");
	assert_error("access_log off; log_format a $nope;", "unknown \"nope\" variable");
	assert_error("access_log off; log_format a ${nope;", "the closing bracket in \"nope\" variable is missing");
	assert_error("access_log /dev/null nope;", "unknown log format \"nope\" in t.conf:2");
	assert_error("access_log off x;", "invalid parameter \"x\" in t.conf:2");
	assert_error("access_log /dev/null combined gzip;", "\"gzip\" parameter of \"access_log\" is not supported");
	assert_error("access_log syslog:server=a;", "\"access_log\" to \"syslog:server=a\" is not supported");
	assert_error("access_log /tmp/$host.log;", "\"access_log\" to \"/tmp/$host.log\" is not supported");
	assert_error("access_log /dev/null/x;", "open() \"/dev/null/x\" failed (20: Not a directory)");
	assert_error("server { access_log off; log_format a b; }", "\"log_format\" directive is not allowed here");
	assert_error("access_log off; log_format a b c '$host' \"d\"; server { access_log /dev/null a; }", NULL);
}

/* ---- lines ---- */

/* What a request leaves in the file, whose path '@' stands for. */
static const char *
logged(const char *configuration, const char *request)
{
	static char text[4096];
	char whole[2048], *at = whole;
	struct peer *client;
	FILE *file;
	size_t len;

	unlink(path);
	world_init(&w);
	w.more_modules = modules;
	w.filters = filters;
	modules[1] = filters[0]->module != modules[0] ? filters[0]->module : NULL;
	for (; *configuration; configuration++)
		if (*configuration == '@')
			at += sprintf(at, "%s", path);
		else
			*at++ = *configuration;
	*at = '\0';
	world_start(&w, whole);
	client = world_connect(&w);
	peer_say(client, request);
	world_advance(&w, 61000);
	world_stop(&w);
	file = fopen(path, "r");
	if (!file)
		return "";
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	return text;
}

static void
combined_is_nginxs_format(void **state)
{
	assert_string_equal(
		logged("access_log @; server { return 200 hello; }",
		       "GET /a?b HTTP/1.1\r\nHost: a\r\nReferer: \"x\"\r\nAuthorization: Basic dTpw\r\n\r\n"),
		"198.51.100.7 - u [21/Nov/2026:00:31:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"\\x22x\\x22\" \"-\"\n");
}

static void
words_of_a_format_are_joined_and_only_variables_escaped(void **state)
{
	assert_string_equal(
		logged("log_format f escape=json '{\"h\":\"$host\",' '\"x\":\"$http_x\",\"n\":\"$http_n\"}'; "
		       "access_log @ f; server { return 204; }",
		       "GET / HTTP/1.1\r\nHost: a\r\nX: \"\r\n\r\n"),
		"{\"h\":\"a\",\"x\":\"\\\"\",\"n\":\"\"}\n");
	assert_string_equal(
		logged("log_format f a $host '$status' b \"$http_n\" ; access_log @ f; server { return 204; }", GET),
		"aa204b-\n");
	assert_string_equal(logged("log_format f escape=none '$http_x$http_n'; access_log @ f; server { return 204; }",
				   "GET / HTTP/1.1\r\nHost: a\r\nX: \"\xff\r\n\r\n"),
			    "\"\xff\n");
}

static void
levels_inherit_replace_or_turn_off(void **state)
{
	assert_string_equal(
		logged("log_format f outer; log_format g inner; access_log @ f; server { location / { return 200; } }",
		       GET),
		"outer\n");
	assert_string_equal(
		logged("log_format f outer; log_format g inner; access_log @ f; server { location / { return 200; "
		       "access_log @ g; } }",
		       GET),
		"inner\n");
	assert_string_equal(
		logged("log_format f outer; access_log @ f; server { location / { return 200; access_log off; } }",
		       GET),
		"");
	/* The location that answered decides, not the server. */
	assert_string_equal(
		logged("log_format f outer; access_log off; server { location / { return 200; access_log @ f; } }",
		       GET),
		"outer\n");
}

static void
requests_that_were_none_are_logged_as_nginx_does(void **state)
{
	static const char configuration[] =
		"log_format f '$request|$status|$body_bytes_sent|$uri|$arg_a|$host|$http_x'; "
		"access_log @ f; server { server_name s; return 200; }";

	assert_string_equal(logged(configuration, "bad request\r\n\r\n"), "bad request|400|155|-|-|s|-\n");
	assert_string_equal(logged(configuration, "GET / HT"), "-|408|0|-|-|s|-\n");
	assert_string_equal(logged(configuration, ""), "");
}

static void
variables_of_upstreams_list_every_attempt(void **state)
{
	assert_string_equal(logged("log_format f '$upstream_addr|$upstream_status|$proxy_host|$proxy_port|$status'; "
				   "access_log @ f; upstream u { server 10.0.0.1:81; server 10.0.0.2:81; } "
				   "server { location / { proxy_pass http://u; } }",
				   GET),
			    "10.0.0.1:81, 10.0.0.2:81|502, 502|u|80|502\n");
	assert_string_equal(
		logged("log_format f '$upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time'; "
		       "access_log @ f; server { return 200; }",
		       GET),
		"-|-|-|-\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_escape_is_hexadecimal_for_what_could_forge_a_line),
		cmocka_unit_test(json_escape_makes_a_json_string),
		cmocka_unit_test(escapes_say_when_there_is_no_room),
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(combined_is_nginxs_format),
		cmocka_unit_test(words_of_a_format_are_joined_and_only_variables_escaped),
		cmocka_unit_test(levels_inherit_replace_or_turn_off),
		cmocka_unit_test(requests_that_were_none_are_logged_as_nginx_does),
		cmocka_unit_test(variables_of_upstreams_list_every_attempt),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
