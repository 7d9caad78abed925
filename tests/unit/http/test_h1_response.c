#include "parse.h"

static struct http_message message;
static size_t head_len;

static enum http1_error
parse(const char *raw, bool to_head)
{
	return parse_response(&message, bytes_of_string(raw), &head_len, to_head);
}

static void
a_response_is_taken_apart(void **state)
{
	const char *raw = "HTTP/1.1 404 Not Found here\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc";

	assert_int_equal(parse(raw, false), HTTP1_NONE);
	assert_int_equal(head_len, strlen(raw) - 3);
	assert_int_equal(message.status, 404);
	assert_bytes(message.reason, "Not Found here");
	assert_bytes(message.start_line, "HTTP/1.1 404 Not Found here");
	assert_int_equal(message.framing, HTTP_LENGTH);
	assert_int_equal(message.content_length, 3);
	assert_true(message.keep_alive);
	assert_bytes(http_message_field(&message, HTTP_FIELD_SERVER)->value, "x");
}

static void
status_lines_may_lack_a_reason_but_nothing_else(void **state)
{
	static const struct {
		const char *line;
		uint16_t status;
		const char *reason;
	} rows[] = {
		{ "HTTP/1.1 200 OK", 200, "OK" },
		{ "HTTP/1.1 200 ", 200, "" },
		{ "HTTP/1.1 200", 200, "" },
		{ "HTTP/1.0 302 Found", 302, "Found" },
		{ "HTTP/1.1 999 \t\xe9", 999, "\t\xe9" },
		{ "HTTP/1.1 200  OK", 200, " OK" },
		{ "HTTP/1.1 099 OK", 0, NULL },
		{ "HTTP/1.1 20 OK", 0, NULL },
		{ "HTTP/1.1 2000 OK", 0, NULL },
		{ "HTTP/1.1 2x0 OK", 0, NULL },
		{ "HTTP/1.1 200OK", 0, NULL },
		{ "HTTP/1.1  200 OK", 0, NULL },
		{ "HTTP/1.1\t200 OK", 0, NULL },
		{ "HTTP/1.1 200 O\x01K", 0, NULL },
		{ "HTTP/2.0 200 OK", 0, NULL },
		{ "HTTP/1 200 OK    ", 0, NULL },
		{ "HTTP/1.x 200 OK", 0, NULL },
		{ "http/1.1 200 OK", 0, NULL },
		{ " HTTP/1.1 200 OK", 0, NULL },
		{ "\r\nHTTP/1.1 200 OK", 0, NULL },
		{ "ICY 200 OK", 0, NULL },
		{ "<html>", 0, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char raw[128];
		snprintf(raw, sizeof(raw), "%s\r\nContent-Length: 0\r\n\r\n", rows[i].line);
		assert_int_equal(parse(raw, false), rows[i].reason ? HTTP1_NONE : HTTP1_BAD_STATUS);
		if (!rows[i].reason)
			continue;
		assert_int_equal(message.status, rows[i].status);
		assert_bytes(message.reason, rows[i].reason);
	}
}

/* RFC 9112 section 6.3 */
static void
bodies_are_framed_by_status_method_and_fields(void **state)
{
	static const struct {
		const char *raw;
		bool to_head;
		enum http_framing framing;
		uint64_t length;
		bool keep_alive;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", false, HTTP_TO_CLOSE, 0, false },
		{ "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false, HTTP_TO_CLOSE, 0, false },
		{ "HTTP/1.1 200 OK\r\n\r\n", true, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_LENGTH, 5, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", false, HTTP_LENGTH, 5, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_LENGTH, 5, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, HTTP_LENGTH, 5,
		  true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_CHUNKED, 0, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n", false, HTTP_CHUNKED, 0, true },
		{ "HTTP/1.1 204 No Content\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 100 Continue\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, HTTP_NO_BODY, 0, true },
		{ "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, HTTP_NO_BODY,
		  0, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, HTTP_LENGTH, 5, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", false, HTTP_LENGTH, 5, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5,5 ,05\r\nContent-Length: 5\r\n\r\n", false, HTTP_LENGTH, 5,
		  true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum http1_error error = parse(rows[i].raw, rows[i].to_head);
		if (error)
			fail_msg("row %zu: %s", i, http1_error_names[error]);
		assert_int_equal(message.framing, rows[i].framing);
		assert_int_equal(message.content_length, rows[i].length);
		assert_int_equal(message.keep_alive, rows[i].keep_alive);
	}
}

static void
contradictory_or_malformed_heads_are_refused_by_name(void **state)
{
	static const struct {
		const char *fields;
		enum http1_error error;
	} rows[] = {
		{ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HTTP1_LENGTH_AND_CHUNKED },
		{ "Content-Length: 5\r\nContent-Length: 6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 5, 6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 5, x\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length:\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: ,\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 5\r\nContent-Length:\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: -1\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 9223372036854775808\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Transfer-Encoding: gzip, chunked\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: identity\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: xchunked\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked, gzip\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "X: a\r\n b\r\n", HTTP1_OBSOLETE_FOLD },
		{ "X: a\nY: b\r\n", HTTP1_BARE_LINE_FEED },
		{ "X: a\rY: b\r\n", HTTP1_BAD_FIELD_VALUE },
		{ "X\r\n", HTTP1_BAD_FIELD_NAME },
		{ " : x\r\n", HTTP1_OBSOLETE_FOLD },
		{ ": x\r\n", HTTP1_BAD_FIELD_NAME },
		{ "X Y: x\r\n", HTTP1_BAD_FIELD_NAME },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char raw[256];
		snprintf(raw, sizeof(raw), "HTTP/1.1 200 OK\r\n%s\r\n", rows[i].fields);
		enum http1_error error = parse(raw, false);
		if (error != rows[i].error)
			fail_msg("%s: %s", http1_error_names[error], rows[i].fields);
	}
	assert_int_equal(parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
			 HTTP1_BAD_TRANSFER_ENCODING);
}

/* RFC 9112 section 5.1 */
static void
white_space_before_a_colon_is_taken_off(void **state)
{
	assert_int_equal(parse("HTTP/1.1 200 OK\r\nSet-Cookie \t: a=b\r\nContent-Length : 5\r\n\r\n", false),
			 HTTP1_NONE);
	assert_bytes(message.fields[0].name, "Set-Cookie");
	assert_bytes(message.fields[0].value, "a=b");
	assert_int_equal(message.content_length, 5);
}

static void
a_split_response_is_answered_like_a_whole_one(void **state)
{
	static const struct bytes rows[] = {
		BYTES("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 12345\r\n\r\n"),
		BYTES("HTTP/1.1 200\r\n\r\n"),
		BYTES("HTTP/1.1 200 OK\r\nContent-Length : 12345\r\nX:y\r\n\r\n"),
		BYTES("HTTP/1.1 200 OK\r\nX: a\nb: c\r\n\r\n"),
		BYTES("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
		BYTES("HTTP/1.1 20x OK\r\n\r\n"),
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum http1_error expected = parse_response(&message, rows[i], &head_len, false);
		size_t expected_len = head_len;
		uint64_t expected_length = message.content_length;
		for (size_t split = 1; split < rows[i].len; split++) {
			size_t scanned = 0;
			enum http1_error error = HTTP1_NONE;
			if (http1_parse_response(&message, rows[i].data, split, &scanned, &head_len, false, &error) ==
			    HTTP1_MORE)
				http1_parse_response(&message, rows[i].data, rows[i].len, &scanned, &head_len, false,
						     &error);
			assert_int_equal(error, expected);
			if (error)
				continue;
			assert_int_equal(head_len, expected_len);
			assert_int_equal(message.content_length, expected_length);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_response_is_taken_apart),
		cmocka_unit_test(status_lines_may_lack_a_reason_but_nothing_else),
		cmocka_unit_test(bodies_are_framed_by_status_method_and_fields),
		cmocka_unit_test(contradictory_or_malformed_heads_are_refused_by_name),
		cmocka_unit_test(white_space_before_a_colon_is_taken_off),
		cmocka_unit_test(a_split_response_is_answered_like_a_whole_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
