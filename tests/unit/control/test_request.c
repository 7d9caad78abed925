#include "control/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka.h"

static struct control_request request;
static const char *error;

static int
parse(const char *line)
{
	return control_request_parse(line, strlen(line), &request, &error);
}

static void
words_stand_between_blanks(void **state)
{
	assert_int_equal(parse("  drain\tweb  10.0.0.1:80 \r"), 0);
	assert_int_equal(request.count, 3);
	assert_string_equal(request.words[0], "drain");
	assert_string_equal(request.words[1], "web");
	assert_string_equal(request.words[2], "10.0.0.1:80");
	assert_int_equal(parse(""), 0);
	assert_int_equal(request.count, 0);
	assert_int_equal(parse("  "), 0);
	assert_int_equal(request.count, 0);
}

static void
json_words_may_hold_blanks(void **state)
{
	assert_int_equal(parse(" [\"weight\", \"my group\", \"\\u00e4\", \"\"]"), 0);
	assert_int_equal(request.count, 4);
	assert_string_equal(request.words[1], "my group");
	assert_string_equal(request.words[2], "\xc3\xa4");
	assert_string_equal(request.words[3], "");
	assert_int_equal(parse("[]"), 0);
	assert_int_equal(request.count, 0);
}

static void
the_word_json_is_no_word(void **state)
{
	assert_int_equal(parse("status --json"), 0);
	assert_true(request.json);
	assert_int_equal(request.count, 1);
	assert_int_equal(parse("[\"--json\",\"status\"]"), 0);
	assert_true(request.json);
	assert_string_equal(request.words[0], "status");
	assert_int_equal(parse("status"), 0);
	assert_false(request.json);
}

static void
other_json_is_refused(void **state)
{
	static const char *const lines[] = { "[",        "[1]",           "[\"a\",[\"b\"]]", "[\"a\"] x",
					     "[\"a\",]", "[\"\\u0000\"]", "[\"\xff\"]",      "[null]" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(lines[i]), -EINVAL);
		assert_string_equal(error, "not a JSON array of words");
	}
}

static void
lines_are_bounded(void **state)
{
	char *line = malloc(CONTROL_LINE_MAX + 2);

	memset(line, 'x', CONTROL_LINE_MAX + 1);
	assert_int_equal(control_request_parse(line, CONTROL_LINE_MAX, &request, &error), 0);
	assert_int_equal(strlen(request.words[0]), CONTROL_LINE_MAX);
	assert_int_equal(control_request_parse(line, CONTROL_LINE_MAX + 1, &request, &error), -EINVAL);
	assert_string_equal(error, "the line is too long");
	for (size_t i = 1; i < CONTROL_LINE_MAX; i += 2)
		line[i] = ' ';
	assert_int_equal(control_request_parse(line, CONTROL_WORDS_MAX * 2, &request, &error), 0);
	assert_int_equal(request.count, CONTROL_WORDS_MAX);
	assert_int_equal(control_request_parse(line, CONTROL_WORDS_MAX * 2 + 1, &request, &error), -EINVAL);
	assert_string_equal(error, "too many words");
	free(line);
}

static void
control_characters_are_refused(void **state)
{
	assert_int_equal(control_request_parse("a\0b", 3, &request, &error), -EINVAL);
	assert_int_equal(parse("a\x1b[2J"), -EINVAL);
	assert_int_equal(parse("a\rb"), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_stand_between_blanks), cmocka_unit_test(json_words_may_hold_blanks),
		cmocka_unit_test(the_word_json_is_no_word),   cmocka_unit_test(other_json_is_refused),
		cmocka_unit_test(lines_are_bounded),          cmocka_unit_test(control_characters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
