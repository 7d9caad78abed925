/* Requests of HTTP/2 as messages: what nghttp2 does not check, and what a server of HTTP/1 must be able to read. */
#include "parse.h"

#include <string.h>

#include "http/h2.h"

static struct http_message message;
static uint8_t memory[4096];

struct pair {
	const char *name, *value;
};

/* A GET of http://a/p, with `more` behind it, up to a pair without a name. */
static enum http1_error
read_request(const struct pair *head, const struct pair *more, bool ended)
{
	enum http1_error error = HTTP1_NONE;

	memset(&message, 0, sizeof(message));
	for (; head->name && !error; head++)
		error = http2_request_field(&message, bytes_of_string(head->name), bytes_of_string(head->value));
	for (; more->name && !error; more++)
		error = http2_request_field(&message, bytes_of_string(more->name), bytes_of_string(more->value));
	assert_true(http2_request_memory(&message) <= sizeof(memory));
	return error ? error : http2_request_conclude(&message, memory, ended);
}

static const struct pair get[] = {
	{ ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a" }, { ":path", "/p?q#f" }, { 0 },
};
static const struct pair nothing[] = { { 0 } };

static void
a_request_is_what_http_1_would_have(void **state)
{
	const struct pair more[] = { { "x", " y\t" }, { "expect", "100-Continue" }, { 0 } };

	assert_int_equal(read_request(get, more, true), HTTP1_NONE);
	assert_bytes(message.start_line, "GET /p?q#f HTTP/2.0");
	assert_bytes(message.path, "/p");
	assert_bytes(message.query, "q");
	assert_bytes(http_message_field(&message, HTTP_FIELD_HOST)->value, "a");
	assert_bytes(http_message_field_named(&message, (struct bytes)BYTES("x"))->value, "y");
	assert_int_equal(message.method, HTTP_GET);
	assert_int_equal(message.version_major, 2);
	assert_int_equal(message.authority.len, 0);
	assert_int_equal(message.field_count, 3);
	assert_true(message.keep_alive && message.expect_continue && message.has_query);
}

static void
cookie_crumbs_are_joined_where_the_first_was(void **state)
{
	const struct pair more[] = {
		{ "cookie", "a=1" }, { "x", "y" }, { "cookie", "b=2" }, { "cookie", "c=3" }, { 0 }
	};

	assert_int_equal(read_request(get, more, true), HTTP1_NONE);
	assert_int_equal(message.field_count, 3);
	assert_bytes(message.fields[0].value, "a=1; b=2; c=3");
	assert_bytes(message.fields[1].name, "x");
	assert_bytes(message.start_line, "GET /p?q#f HTTP/2.0");
}

static void
content_ends_with_its_length_or_with_the_stream(void **state)
{
	const struct pair five[] = { { "content-length", "5" }, { 0 } }, none[] = { { "content-length", "0" }, { 0 } };

	assert_int_equal(read_request(get, nothing, true), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_NO_BODY);
	assert_int_equal(read_request(get, nothing, false), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_TO_CLOSE);
	assert_int_equal(read_request(get, five, false), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_LENGTH);
	assert_int_equal(message.content_length, 5);
	assert_int_equal(read_request(get, none, false), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_NO_BODY);
}

/* Each is what it is, whatever nghttp2 has let through. */
static void
what_two_recipients_could_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		struct pair more[3];
		enum http1_error error;
	} rows[] = {
		{ { { "host", "A" } }, HTTP1_NONE },
		{ { { "host", "b" } }, HTTP1_BAD_HOST },
		{ { { "host", "a" }, { "host", "a" } }, HTTP1_BAD_HOST },
		{ { { "content-length", "1" }, { "content-length", "1" } }, HTTP1_BAD_CONTENT_LENGTH },
		{ { { "content-length", "+1" } }, HTTP1_BAD_CONTENT_LENGTH },
		{ { { "content-length", "1,1" } }, HTTP1_BAD_CONTENT_LENGTH },
		{ { { "content-length", "" } }, HTTP1_BAD_CONTENT_LENGTH },
		{ { { "x", "a\nb" } }, HTTP1_BAD_FIELD_VALUE },
		{ { { "x", "a\rb" } }, HTTP1_BAD_FIELD_VALUE },
		{ { { "x", "a\x7f" } }, HTTP1_BAD_FIELD_VALUE },
		{ { { "x", "a\tb" } }, HTTP1_NONE },
		{ { { "x y", "a" } }, HTTP1_BAD_FIELD_NAME },
		{ { { "x:", "a" } }, HTTP1_BAD_FIELD_NAME },
		{ { { "x\r", "a" } }, HTTP1_BAD_FIELD_NAME },
		{ { { "", "a" } }, HTTP1_BAD_FIELD_NAME },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum http1_error error = read_request(get, rows[i].more, true);

		if (error != rows[i].error)
			fail_msg("row %zu: %s", i, http1_error_names[error]);
	}
}

static void
targets_are_those_of_http_1(void **state)
{
	static const struct {
		const char *method, *authority, *path;
		enum http1_error error;
	} rows[] = {
		{ "GET", "a", "/", HTTP1_NONE },
		{ "GET", "a:80", "/a%20b", HTTP1_NONE },
		{ "OPTIONS", "a", "*", HTTP1_NONE },
		{ "CONNECT", "a:443", "", HTTP1_NONE },
		{ "M-SEARCH", "a", "/", HTTP1_NONE },
		{ "GET", "a", "*", HTTP1_BAD_TARGET },
		{ "GET", "a", "", HTTP1_BAD_TARGET },
		{ "GET", "a", "x", HTTP1_BAD_TARGET },
		{ "GET", "a", "http://b/", HTTP1_BAD_TARGET },
		{ "GET", "a", "/ HTTP/1.1", HTTP1_BAD_TARGET },
		{ "CONNECT", "a", "", HTTP1_BAD_TARGET },
		{ "GET", "", "/", HTTP1_NO_HOST },
		{ "GET", "a b", "/", HTTP1_BAD_HOST },
		{ "GET", "u@a", "/", HTTP1_BAD_HOST },
		{ "GET", "a:x", "/", HTTP1_BAD_HOST },
		{ "get", "a", "/", HTTP1_BAD_METHOD },
		{ "GET /x", "a", "/", HTTP1_BAD_METHOD },
		{ "", "a", "/", HTTP1_BAD_METHOD },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pair head[] = {
			{ ":method", rows[i].method },
			{ ":authority", rows[i].authority },
			{ ":path", rows[i].path },
			{ 0 },
		};
		enum http1_error error = read_request(head, nothing, true);

		if (error != rows[i].error)
			fail_msg("row %zu: %s", i, http1_error_names[error]);
	}
}

static void
fields_are_bounded(void **state)
{
	enum http1_error error = read_request(get, nothing, true);

	memset(&message, 0, sizeof(message));
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		error |= http2_request_field(&message, (struct bytes)BYTES("x"), (struct bytes)BYTES("y"));
	assert_int_equal(error, HTTP1_NONE);
	assert_int_equal(http2_request_field(&message, (struct bytes)BYTES("x"), (struct bytes)BYTES("y")),
			 HTTP1_TOO_MANY_FIELDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_what_http_1_would_have),
		cmocka_unit_test(cookie_crumbs_are_joined_where_the_first_was),
		cmocka_unit_test(content_ends_with_its_length_or_with_the_stream),
		cmocka_unit_test(what_two_recipients_could_read_in_two_ways_is_refused),
		cmocka_unit_test(targets_are_those_of_http_1),
		cmocka_unit_test(fields_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
