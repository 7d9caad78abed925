/* One call to parse a whole head, for the tests of this room. */
#ifndef TESTS_UNIT_HTTP_PARSE_H
#define TESTS_UNIT_HTTP_PARSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/h1.h"

/* HTTP1_NONE with *head_len, or why not; fails the test for a head that is not complete. */
static inline enum http1_error
parse_request(struct http_message *message, struct bytes raw, size_t *head_len)
{
	size_t scanned = 0;
	enum http1_error error = HTTP1_NONE;
	enum http1_result result = http1_parse_request(message, raw.data, raw.len, &scanned, head_len, &error);

	assert_int_not_equal(result, HTTP1_MORE);
	assert_int_equal(result == HTTP1_BAD, error != HTTP1_NONE);
	return error;
}

static inline enum http1_error
parse_response(struct http_message *message, struct bytes raw, size_t *head_len, bool to_head)
{
	size_t scanned = 0;
	enum http1_error error = HTTP1_NONE;
	enum http1_result result =
		http1_parse_response(message, raw.data, raw.len, &scanned, head_len, to_head, &error);

	assert_int_not_equal(result, HTTP1_MORE);
	assert_int_equal(result == HTTP1_BAD, error != HTTP1_NONE);
	return error;
}

static inline void
assert_bytes(struct bytes actual, const char *expected)
{
	if (!bytes_equal_string(actual, expected))
		fail_msg("\"%.*s\" is not \"%s\"", (int)actual.len, (const char *)actual.data, expected);
}

#endif
