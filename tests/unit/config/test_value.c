#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sample.h"

static struct sample_subject subject = {
	.host = "example.com",
	.group_count = 3,
	.groups = { BYTES("whole"), BYTES("first"), BYTES("second") },
	.named = { BYTES("slot0"), BYTES("slot1") },
};

/* A configuration whose `return` has the text, and the value compiled from it. */
static const struct config_value *
compile(const char *text, struct config **config)
{
	char whole[8192];
	const struct sample_http *http;

	snprintf(whole, sizeof(whole), "events {}\nhttp { server {\nreturn 200 '%s';\n} }", text);
	*config = sample_parse(whole);
	if (config_error(*config))
		fail_msg("%s", config_error(*config));
	http = config_settings(config_child(config_child(config_root(*config), CONFIG_HTTP), CONFIG_SERVER),
			       &sample_http_module);
	return http->answer;
}

static void
check(const char *text, enum config_missing missing, config_escape_fn *escape, const char *expected)
{
	uint8_t out[1024];
	struct config *config;
	const struct config_value *value = compile(text, &config);
	size_t len = config_value_write(value, &subject, out, sizeof(out), missing, escape);

	if (len != strlen(expected) || memcmp(out, expected, len) != 0)
		fail_msg("%s: %.*s", text, (int)(len == SIZE_MAX ? 0 : len), (const char *)out);
	/* One byte less is too little, and exactly that size is enough, for every text. */
	assert_int_equal(config_value_write(value, &subject, out, len, missing, escape), len);
	if (len > 0)
		assert_true(config_value_write(value, &subject, out, len - 1, missing, escape) == SIZE_MAX);
	config_free(config);
}

static void
variables_are_found_in_any_case_with_and_without_braces(void **state)
{
	check("$host", CONFIG_MISSING_EMPTY, NULL, "example.com");
	check("a${host}b$HOST.$Host", CONFIG_MISSING_EMPTY, NULL, "aexample.combexample.com.example.com");
	check("http://$host$request_uri/", CONFIG_MISSING_EMPTY, NULL, "http://example.comexample.com/");
	check("", CONFIG_MISSING_EMPTY, NULL, "");
}

static void
a_prefix_gets_the_rest_of_the_name_and_the_longest_prefix_wins(void **state)
{
	check("$http_abc ${HTTP_XY}z", CONFIG_MISSING_EMPTY, NULL, "cba yxz");
	check("[$http_long_abc]", CONFIG_MISSING_EMPTY, NULL, "[]");
}

static void
what_is_missing_is_empty_or_a_dash(void **state)
{
	check("[$missing]", CONFIG_MISSING_EMPTY, NULL, "[]");
	check("[$missing]", CONFIG_MISSING_DASH, NULL, "[-]");
	check("[$9]", CONFIG_MISSING_DASH, NULL, "[-]");
}

static void
captures_are_one_digit(void **state)
{
	check("$1/$2", CONFIG_MISSING_EMPTY, NULL, "first/second");
	check("$10", CONFIG_MISSING_EMPTY, NULL, "first0");
}

static size_t
escape_e(uint8_t *out, size_t size, struct bytes in)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		size_t need = in.data[i] == 'e' ? 2 : 1;

		if (len + need > size)
			return SIZE_MAX;
		if (need == 2)
			out[len++] = '%';
		out[len++] = in.data[i];
	}
	return len;
}

static void
escaping_is_for_variables_alone(void **state)
{
	check("e$host e $missing", CONFIG_MISSING_DASH, escape_e, "e%exampl%e.com e -");
}

static void
values_longer_than_the_scratch_of_one_variable_fit(void **state)
{
	uint8_t out[3 * CONFIG_VARIABLE_SCRATCH];
	struct config *config;
	const struct config_value *value = compile("$long$long$long", &config);

	assert_int_equal(config_value_write(value, &subject, out, sizeof(out), CONFIG_MISSING_EMPTY, NULL),
			 sizeof(out));
	config_free(config);
}

static void
constants_are_known(void **state)
{
	struct config *config;
	struct bytes text;

	assert_true(config_value_constant(compile("plain text", &config), &text));
	assert_true(bytes_equal_string(text, "plain text"));
	config_free(config);
	assert_true(config_value_constant(compile("", &config), &text));
	assert_int_equal(text.len, 0);
	config_free(config);
	assert_false(config_value_constant(compile("$host", &config), &text));
	config_free(config);
	assert_false(config_value_constant(compile("$1", &config), &text));
	config_free(config);
	assert_false(config_value_constant(compile("a$host", &config), &text));
	config_free(config);
}

static void
count_warning(void *context, const char *text)
{
	char(*texts)[128] = context;

	while ((*texts)[0])
		texts++;
	snprintf(*texts, sizeof(*texts), "%s", text);
}

static void
a_dollar_that_starts_no_name_is_taken_as_it_is_with_a_warning(void **state)
{
	char warnings[8][128] = { "" };
	struct config *config;

	check("$ $http_x", CONFIG_MISSING_EMPTY, NULL, "$ x");
	check("costs 5$", CONFIG_MISSING_EMPTY, NULL, "costs 5$");
	check("$$host", CONFIG_MISSING_EMPTY, NULL, "$example.com");
	check("${}${ host}$", CONFIG_MISSING_EMPTY, NULL, "${}${ host}$");
	compile("$ $host", &config);
	config_each_warning(config, count_warning, warnings);
	assert_string_equal(warnings[0],
			    "\"$\" in \"$ $host\" starts no variable name and stands for itself in t.conf:3");
	assert_string_equal(warnings[1], "");
	config_free(config);
}

static void
check_error(const char *text, const char *expected)
{
	struct config *config = sample_parse(text);

	assert_non_null(config_error(config));
	assert_string_equal(config_error(config), expected);
	config_free(config);
}

static void
an_unknown_variable_is_told_where_it_is_first_used(void **state)
{
	check_error("events {}\nhttp {\nserver { return 200 $host$NoPe; }\nserver { return 200 $nope2; }\n}\n",
		    "unknown \"nope\" variable in t.conf:3");
	check_error("events {}\nhttp { server { return 200 $0; } }\n", "unknown \"0\" variable in t.conf:2");
	check_error("events {}\nhttp { server { return 200 ${1}; } }\n", "unknown \"1\" variable in t.conf:2");
	check_error("events {}\nhttp { server { return 200 $http_; } }\n", "unknown \"http_\" variable in t.conf:2");
	check_error("events {}\nhttp { server { return 200 \"${host\"; } }\n",
		    "the closing bracket in \"host\" variable is missing in t.conf:2");
}

static void
a_named_group_is_a_variable_even_before_its_expression(void **state)
{
	const char *text = "events {}\n"
			   "http { server { return 200 $first-$second; }\n"
			   "  server { server_name ~^(?<first>a)(?<Second>b); }\n"
			   "  server { server_name ~^(?<second>a)(?<first>b); } }\n";
	struct config *config = sample_parse(text);
	const struct config_scope *http = config_child(config_root(config), CONFIG_HTTP);
	const struct sample_http *server, *last;
	const struct config_regex_name *names;
	char expected[] = "slot?-slot?";
	uint8_t out[64];
	size_t count, len;

	assert_null(config_error(config));
	server = config_settings(http->children, &sample_http_module);
	last = config_settings(http->last_child, &sample_http_module);
	/* Both expressions keep a name in the same slot, whichever group it is. */
	names = config_regex_names(last->regex, &count);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++)
		expected[bytes_equal_string(names[i].name, "first") ? 4 : 10] = (char)('0' + names[i].slot);
	len = config_value_write(server->answer, &subject, out, sizeof(out), CONFIG_MISSING_DASH, NULL);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(out, expected, len);
	config_free(config);
}

static void
a_named_group_takes_no_name_of_a_fixed_variable(void **state)
{
	struct config *config;

	check_error("events {}\nhttp { server { server_name ~(?<host>.); } }\n",
		    "the duplicate \"host\" variable in t.conf:2");
	config = sample_parse("events {}\nhttp { server { server_name ~(?<free>.)(?<http_x>.); } }\n");
	assert_null(config_error(config));
	config_free(config);
}

static int
bind(void **state)
{
	sample_captures_bind();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_found_in_any_case_with_and_without_braces),
		cmocka_unit_test(a_prefix_gets_the_rest_of_the_name_and_the_longest_prefix_wins),
		cmocka_unit_test(what_is_missing_is_empty_or_a_dash),
		cmocka_unit_test(captures_are_one_digit),
		cmocka_unit_test(escaping_is_for_variables_alone),
		cmocka_unit_test(values_longer_than_the_scratch_of_one_variable_fit),
		cmocka_unit_test(constants_are_known),
		cmocka_unit_test(a_dollar_that_starts_no_name_is_taken_as_it_is_with_a_warning),
		cmocka_unit_test(an_unknown_variable_is_told_where_it_is_first_used),
		cmocka_unit_test(a_named_group_is_a_variable_even_before_its_expression),
		cmocka_unit_test(a_named_group_takes_no_name_of_a_fixed_variable),
	};

	return cmocka_run_group_tests(tests, bind, NULL);
}
