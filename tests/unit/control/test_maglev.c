#include "control/maglev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../l4/configuration.h"
#include "support/cmocka.h"

static struct control_call call;

static struct config *
parse(const char *text, char *error, size_t size)
{
	struct config *config = configuration_parse(text);

	if (!config_error(config))
		return config;
	snprintf(error, size, "%s", config_error(config));
	config_free(config);
	return NULL;
}

static int
run(unsigned int count, const char *const *words)
{
	json_decref(call.answer);
	call.parse = parse;
	return control_command_run(&call, words, count, true);
}

#define RUN(...)                                                                                                       \
	run(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), (const char *const[]){ __VA_ARGS__ })

static long long
number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void
assert_refused(int result, const char *reason)
{
	assert_true(result < 0);
	assert_non_null(strstr(json_string_value(json_object_get(call.answer, "error")), reason));
}

static void
a_table_has_all_its_entries(void **state)
{
	json_t *servers, *server;
	long long sum = 0;
	size_t index;

	assert_int_equal(RUN("maglev", "table", "10.0.0.1:80", "10.0.0.2:80=2", "[2001:db8::1]:80=0", "10.0.0.3"), 0);
	servers = json_object_get(call.answer, "servers");
	assert_int_equal(json_array_size(servers), 4);
	json_array_foreach(servers, index, server) sum += number(server, "entries");
	assert_int_equal(sum, 65537);
	assert_int_equal(number(json_array_get(servers, 2), "entries"), 0);
	assert_in_range(number(json_array_get(servers, 1), "entries"), 32700, 32840);
	assert_string_equal(json_string_value(json_object_get(json_array_get(servers, 3), "server")), "10.0.0.3");
	assert_int_equal(RUN("maglev", "table", "--size", "101", "10.0.0.1:80"), 0);
	assert_int_equal(number(call.answer, "size"), 101);
}

static void
bad_tables_are_refused(void **state)
{
	assert_refused(RUN("maglev", "table"), "usage: maglev table");
	assert_refused(RUN("maglev", "table", "--size"), "--size must be");
	assert_refused(RUN("maglev", "table", "--size", "7"), "usage: maglev table");
	assert_refused(RUN("maglev", "table", "--size", "9", "10.0.0.1:80"), "it must be a prime");
	assert_refused(RUN("maglev", "table", "--size", "2", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"),
		       "not less than");
	assert_refused(RUN("maglev", "table", "10.0.0.1:80", "10.0.0.1:80=3"), "twice");
	assert_refused(RUN("maglev", "table", "server-1:80"), "invalid server");
	assert_refused(RUN("maglev", "table", "10.0.0.1:80=x"), "invalid weight");
	assert_refused(RUN("maglev"), "unknown command");
	assert_refused(RUN("status"), "weirctl itself");
}

#define GROUP(name, servers) "upstream " name " { " servers " }"
#define USE(name, port) "server { listen 10.0.1.1:" port "; proxy_pass " name "; forward nat; }"

static void
a_diff_counts_what_moves(void **state)
{
	const char *old = "stream {" GROUP("a", "server 10.0.0.1:80; server 10.0.0.2:80; server 10.0.0.3:80;")
		GROUP("gone", "server 10.0.0.1:80;") USE("a", "80") USE("gone", "81") "}";
	const char *new = "stream {" GROUP("a", "server 10.0.0.1:80; server 10.0.0.2:80 down; server 10.0.0.3:80;")
		GROUP("come", "server 10.0.0.1:80;") USE("a", "80") USE("come", "81") "}";
	json_t *groups, *group, *servers;

	assert_int_equal(RUN("maglev", "diff", old, new), 0);
	groups = json_object_get(call.answer, "groups");
	assert_int_equal(json_array_size(groups), 3);
	group = json_array_get(groups, 0);
	servers = json_object_get(group, "servers");
	assert_int_equal(number(group, "entries"), 65537);
	assert_int_equal(number(json_array_get(servers, 1), "lost"), number(json_array_get(servers, 1), "old"));
	assert_int_equal(number(json_array_get(servers, 1), "new"), 0);
	assert_int_equal(number(group, "moved"),
			 number(group, "disturbed") + number(json_array_get(servers, 1), "old"));
	assert_int_equal(number(json_array_get(servers, 0), "new"),
			 number(json_array_get(servers, 0), "old") - number(json_array_get(servers, 0), "lost") +
				 number(json_array_get(servers, 0), "gained"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(groups, 1), "change")), "removed");
	assert_int_equal(number(json_array_get(groups, 1), "moved"), 65537);
	assert_string_equal(json_string_value(json_object_get(json_array_get(groups, 2), "change")), "added");
	assert_int_equal(RUN("maglev", "diff", old, old), 0);
	assert_int_equal(number(json_array_get(json_object_get(call.answer, "groups"), 0), "moved"), 0);
	assert_refused(RUN("maglev", "diff", old, "nonsense;"), "unknown directive \"nonsense\"");
	assert_refused(RUN("maglev", "diff", old), "usage: maglev diff");
}

static int
release(void **state)
{
	json_decref(call.answer);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_has_all_its_entries),
		cmocka_unit_test(bad_tables_are_refused),
		cmocka_unit_test(a_diff_counts_what_moves),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
