#include "support/cmocka.h"

#include <string.h>

#include "proxy/exchange/head_writer.h"

static void
a_number_is_written_in_full(void **state)
{
	uint8_t out[32];
	struct proxy_head_writer head = { out, 0, sizeof(out), false };

	proxy_head_number(&head, 0);
	proxy_head_literal(&head, " ");
	proxy_head_number(&head, UINT64_MAX);
	assert_false(head.overflow);
	assert_int_equal(head.len, strlen("0 18446744073709551615"));
	assert_memory_equal(out, "0 18446744073709551615", head.len);
}

static void
what_does_not_fit_is_remembered_and_not_written(void **state)
{
	uint8_t out[8];
	struct proxy_head_writer head = { out, 0, sizeof(out), false };

	proxy_head_literal(&head, "1234567");
	assert_false(head.overflow);
	proxy_head_literal(&head, "89");
	assert_true(head.overflow);
	assert_int_equal(head.len, 7);
}

static void
escaped(config_escape_fn *escape, const char *in, const char *expected)
{
	uint8_t out[64];
	size_t len = escape(out, sizeof(out), bytes_of_string(in));

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(out, expected, len);
}

static void
a_variable_cannot_end_a_line(void **state)
{
	escaped(proxy_escape_field, "/a b\r\nX-Evil: 1", "/a b%0D%0AX-Evil: 1");
	escaped(proxy_escape_field, "\x7f\x01", "%7F%01");
	escaped(proxy_escape_target, "/a b\r\n", "/a%20b%0D%0A");
	escaped(proxy_escape_target, "/\xc3\xa4", "/\xc3\xa4");
}

static void
an_escape_that_does_not_fit_says_so(void **state)
{
	uint8_t out[2];

	assert_int_equal(proxy_escape_field(out, 2, bytes_of_string("\r")), SIZE_MAX);
	assert_int_equal(proxy_escape_field(out, 2, bytes_of_string("abc")), SIZE_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_written_in_full),
		cmocka_unit_test(what_does_not_fit_is_remembered_and_not_written),
		cmocka_unit_test(a_variable_cannot_end_a_line),
		cmocka_unit_test(an_escape_that_does_not_fit_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
