#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

#include <cmocka.h>

#include "sample.h"

/* The expression of a `location ~ PATTERN`. */
static const struct config_regex *
compile(const char *operator, const char * pattern, struct config **config)
{
	char text[4096];
	const struct config_scope *server;

	snprintf(text, sizeof(text), "events {} http { server { location %s '%s' {} } }", operator, pattern);
	*config = sample_parse(text);
	if (config_error(*config))
		fail_msg("%s", config_error(*config));
	server = config_child(config_child(config_root(*config), CONFIG_HTTP), CONFIG_SERVER);
	return ((const struct sample_http *)config_settings(server->children, &sample_http_module))->regex;
}

static void
groups_are_told_and_unset_ones_marked(void **state)
{
	struct config *config;
	const struct config_regex *regex = compile("~", "^/(a)|(b)?/(?<rest>.*)(z)?$", &config);
	size_t offsets[20];

	assert_int_equal(config_regex_match(regex, bytes_of_string("//tail"), offsets, 10), 5);
	assert_int_equal(offsets[0], 0);
	assert_int_equal(offsets[1], 6);
	for (int group = 1; group <= 4; group++)
		if (group != 3)
			assert_true(offsets[2 * group] == SIZE_MAX && offsets[2 * group + 1] == SIZE_MAX);
	assert_int_equal(offsets[6], 1);
	assert_int_equal(offsets[7], 6);
	assert_int_equal(config_regex_group(regex, bytes_of_string("rest")), 3);
	assert_int_equal(config_regex_group(regex, bytes_of_string("none")), -1);
	config_free(config);
}

static void
no_more_offsets_are_written_than_asked_for(void **state)
{
	struct config *config;
	const struct config_regex *regex = compile("~", "(a)(b)", &config);
	size_t offsets[4] = { 7, 7, 7, 7 };

	assert_int_equal(config_regex_match(regex, bytes_of_string("xab"), offsets, 1), 3);
	assert_int_equal(offsets[0], 1);
	assert_int_equal(offsets[1], 3);
	assert_int_equal(offsets[2], 7);
	assert_int_equal(config_regex_match(regex, bytes_of_string("xab"), NULL, 0), 3);
	config_free(config);
}

static void
case_matters_unless_told(void **state)
{
	struct config *config;
	size_t offsets[2];

	assert_int_equal(config_regex_match(compile("~", "\\.PHP$", &config), bytes_of_string("/a.php"), offsets, 1),
			 0);
	config_free(config);
	assert_int_equal(config_regex_match(compile("~*", "\\.PHP$", &config), bytes_of_string("/a.php"), offsets, 1),
			 1);
	config_free(config);
}

static void
empty_text_and_bytes_of_all_values_match(void **state)
{
	struct config *config;
	const struct config_regex *regex = compile("~", "^(?s:.)*$", &config);
	uint8_t all[256];
	size_t offsets[2];

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	assert_int_equal(config_regex_match(regex, bytes_of(NULL, 0), offsets, 1), 1);
	assert_int_equal(config_regex_match(regex, bytes_of(all, 256), offsets, 1), 1);
	assert_int_equal(offsets[1], 256);
	config_free(config);
}

/* Both ways of matching have a bound: catastrophic backtracking ends as an error in bounded time. `(*NO_JIT)` makes PCRE2
 * interpret, whose frames come from the thread's block. */
static void
runaway_expressions_end_as_errors(void **state)
{
	static const char *const patterns[] = { "^(a+)+$", "(*NO_JIT)^(a+)+$", "(*NO_JIT)^(?:(a)|b)*c" };
	char text[20001];
	size_t offsets[2];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '!';
	for (size_t i = 0; i < 3; i++) {
		struct config *config;
		const struct config_regex *regex = compile("~", patterns[i], &config);

		assert_true(config_regex_match(regex, bytes_of(text, sizeof(text)), offsets, 1) < 0);
		/* The next match has all the memory again. */
		assert_int_equal(config_regex_match(regex, bytes_of_string("aac!"), offsets, 1), i == 2 ? 2 : 0);
		config_free(config);
	}
}

struct matching {
	const struct config_regex *regex;
	int matched;
};

static int
match_often(void *context)
{
	struct matching *m = context;
	size_t offsets[4];

	for (int i = 0; i < 20000; i++)
		m->matched += config_regex_match(m->regex, bytes_of_string("/images/x.png"), offsets, 2) == 2;
	return 0;
}

static void
threads_match_the_same_expression_without_preparation(void **state)
{
	static const char *const patterns[] = { "^/images/(.*)\\.png$", "(*NO_JIT)^/images/(.*)\\.png$" };

	for (size_t p = 0; p < 2; p++) {
		struct config *config;
		struct matching m[3] = { 0 };
		thrd_t threads[3];

		m[0].regex = m[1].regex = m[2].regex = compile("~", patterns[p], &config);
		for (int i = 0; i < 3; i++)
			assert_int_equal(thrd_create(&threads[i], match_often, &m[i]), thrd_success);
		for (int i = 0; i < 3; i++) {
			thrd_join(threads[i], NULL);
			assert_int_equal(m[i].matched, 20000);
		}
		config_free(config);
	}
}

static void
too_many_groups_are_refused(void **state)
{
	char text[1024] = "events {} http { server { location ~ \"";
	struct config *config;

	for (int i = 0; i < CONFIG_REGEX_GROUPS_MAX + 1; i++)
		strcat(text, "()");
	strcat(text, "\" {} } }");
	config = sample_parse(text);
	assert_non_null(strstr(config_error(config), "more than 31 groups in \"()()"));
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_told_and_unset_ones_marked),
		cmocka_unit_test(no_more_offsets_are_written_than_asked_for),
		cmocka_unit_test(case_matters_unless_told),
		cmocka_unit_test(empty_text_and_bytes_of_all_values_match),
		cmocka_unit_test(runaway_expressions_end_as_errors),
		cmocka_unit_test(threads_match_the_same_expression_without_preparation),
		cmocka_unit_test(too_many_groups_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
