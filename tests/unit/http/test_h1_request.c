#include "parse.h"

static struct http_message message;
static size_t head_len;

static enum http1_error
parse(const char *raw)
{
	return parse_request(&message, bytes_of_string(raw), &head_len);
}

/* RFC 9112 section 2.1, and a body behind the head. */
static void
a_request_is_taken_apart(void **state)
{
	const char *raw =
		"POST /where?q=now&x=%20#frag HTTP/1.1\r\nHost: www.example.org:81\r\nUser-Agent:  curl/7.16.3 x \t\r\n"
		"Accept-Language:\r\nContent-Length: 5\r\n\r\nhello";

	assert_int_equal(parse(raw), HTTP1_NONE);
	assert_int_equal(head_len, strlen(raw) - 5);
	assert_int_equal(message.method, HTTP_POST);
	assert_bytes(message.method_text, "POST");
	assert_bytes(message.target, "/where?q=now&x=%20#frag");
	assert_bytes(message.path, "/where");
	assert_bytes(message.query, "q=now&x=%20");
	assert_true(message.has_query);
	assert_bytes(message.authority, "");
	assert_bytes(message.start_line, "POST /where?q=now&x=%20#frag HTTP/1.1");
	assert_int_equal(message.version_minor, 1);
	assert_int_equal(message.field_count, 4);
	assert_bytes(message.fields[1].name, "User-Agent");
	assert_bytes(message.fields[1].value, "curl/7.16.3 x");
	assert_bytes(message.fields[2].value, "");
	assert_int_equal(message.framing, HTTP_LENGTH);
	assert_int_equal(message.content_length, 5);
	assert_true(message.keep_alive);
}

static void
targets_are_read_in_their_four_forms(void **state)
{
	static const struct {
		const char *start, *authority, *path, *query;
	} rows[] = {
		{ "GET /", "", "/", NULL },
		{ "GET /?", "", "/", "" },
		{ "GET /a/b?c?d=/e", "", "/a/b", "c?d=/e" },
		{ "GET /a#b?c", "", "/a", NULL },
		{ "GET /a?b#c?d", "", "/a", "b" },
		{ "GET //a", "", "//a", NULL },
		{ "GET http://h", "h", "/", NULL },
		{ "GET http://h/", "h", "/", NULL },
		{ "GET http://h?q", "h", "/", "q" },
		{ "GET HTTPS://h:8443/a?q", "h:8443", "/a", "q" },
		{ "GET http://[::1]:80/a", "[::1]:80", "/a", NULL },
		{ "OPTIONS *", "", "*", NULL },
		{ "OPTIONS /a", "", "/a", NULL },
		{ "OPTIONS http://h:1", "h:1", "/", NULL },
		{ "CONNECT h:443", "h:443", "", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char raw[128];
		snprintf(raw, sizeof(raw), "%s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].start);
		assert_int_equal(parse(raw), HTTP1_NONE);
		assert_bytes(message.target, strchr(rows[i].start, ' ') + 1);
		assert_bytes(message.authority, rows[i].authority);
		assert_bytes(message.path, rows[i].path);
		assert_int_equal(message.has_query, rows[i].query != NULL);
		assert_bytes(message.query, rows[i].query ? rows[i].query : "");
	}
}

static void
spaces_around_the_parts_of_a_request_line_are_in_no_part(void **state)
{
	assert_int_equal(parse("\r\nGET   /a   HTTP/1.1  \r\nHost: x\r\n\r\n"), HTTP1_NONE);
	assert_bytes(message.method_text, "GET");
	assert_bytes(message.target, "/a");
	assert_bytes(message.path, "/a");
	assert_bytes(message.start_line, "GET   /a   HTTP/1.1  ");
}

static void
every_control_character_in_a_head_is_refused(void **state)
{
	for (unsigned int c = 0; c < 0x80; c++) {
		char raw[] = "GET /a?b HTTP/1.1\r\nHost: h\r\nX-Field: some value that is longer than a word\r\n\r\n";
		size_t in_path = 5, in_query = 7, in_name = 30, in_value = strlen(raw) - 24;
		bool control = c < 0x20 || c == 0x7f;
		struct bytes text = bytes_of(raw, sizeof(raw) - 1);
		char kept;
		const size_t places[] = { 0, in_path, in_query, in_name, in_value };
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			kept = raw[places[i]];
			raw[places[i]] = (char)c;
			enum http1_error error = parse_request(&message, text, &head_len);
			raw[places[i]] = kept;
			if (control && !(c == '\t' && places[i] == in_value))
				assert_int_not_equal(error, HTTP1_NONE);
			if (c == '\n')
				assert_true(error == HTTP1_BARE_LINE_FEED || places[i] == 0 || places[i] == in_name);
		}
	}
}

static void
all_token_characters_and_no_others_are_in_field_names(void **state)
{
	for (unsigned int c = 1; c < 256; c++) {
		char raw[64];
		bool alphanumeric =
			(c >= '0' && c <= '9') || (byte_lower((uint8_t)c) >= 'a' && byte_lower((uint8_t)c) <= 'z');
		bool token = alphanumeric || (c < 0x80 && strchr("!#$%&'*+-.^_`|~", (int)c));
		snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\nA%cb: c\r\n\r\n", (int)c);
		/* A colon ends the name. */
		assert_int_equal(parse(raw) == HTTP1_NONE, token || c == ':');
	}
}

static void
bytes_above_ascii_are_in_values_and_targets(void **state)
{
	assert_int_equal(parse("GET /\xc3\xa9?\xff HTTP/1.0\r\nX: \x80\xff\r\n\r\n"), HTTP1_NONE);
	assert_bytes(message.path, "/\xc3\xa9");
	assert_bytes(message.fields[0].value, "\x80\xff");
}

static void
persistence_follows_version_and_connection(void **state)
{
	static const struct {
		const char *version, *connection;
		bool keep_alive;
	} rows[] = {
		{ "1.1", "", true },
		{ "1.1", "Connection: close\r\n", false },
		{ "1.1", "Connection: CLOSE\r\n", false },
		{ "1.1", "Connection: keep-alive\r\n", true },
		{ "1.1", "Connection: keep-alive, close\r\n", false },
		{ "1.1", "Connection: x\r\nConnection: close\r\n", false },
		{ "1.1", "Connection: closed\r\n", true },
		{ "1.7", "", true },
		{ "1.0", "", false },
		{ "1.0", "Connection: Keep-Alive\r\n", true },
		{ "1.0", "Connection: keep-alive, close\r\n", false },
		{ "1.0", "Keep-Alive: 5\r\n", false },
		{ "1.0", "Proxy-Connection: keep-alive\r\n", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char raw[128];
		snprintf(raw, sizeof(raw), "GET / HTTP/%s\r\nHost: x\r\n%s\r\n", rows[i].version, rows[i].connection);
		assert_int_equal(parse(raw), HTTP1_NONE);
		assert_int_equal(message.keep_alive, rows[i].keep_alive);
	}
}

static void
an_upgrade_needs_both_fields_and_http_1_1(void **state)
{
	assert_int_equal(
		parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		HTTP1_NONE);
	assert_true(message.upgrade);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"), HTTP1_NONE);
	assert_false(message.upgrade);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\r\n"), HTTP1_NONE);
	assert_false(message.upgrade);
	assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), HTTP1_NONE);
	assert_false(message.upgrade);
}

static void
only_100_continue_is_an_expectation_and_not_in_http_1_0(void **state)
{
	assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n"), HTTP1_NONE);
	assert_true(message.expect_continue);
	assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n"), HTTP1_NONE);
	assert_false(message.expect_continue);
	assert_int_equal(parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), HTTP1_NONE);
	assert_false(message.expect_continue);
}

/* RFC 9112 section 11.2: what two recipients could frame in two ways is refused. nginx's answers to most of these are
 * in test_nginx.c; here the reason counts. */
static void
smuggling_attempts_are_refused_by_name(void **state)
{
	static const struct {
		const char *fields;
		enum http1_error error;
	} rows[] = {
		{ "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", HTTP1_LENGTH_AND_CHUNKED },
		{ "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", HTTP1_LENGTH_AND_CHUNKED },
		{ "transfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n", HTTP1_LENGTH_AND_CHUNKED },
		{ "Content-Length: 6\r\nTransfer-Encoding: xchunked\r\n", HTTP1_LENGTH_AND_CHUNKED },
		{ "Transfer-Encoding : chunked\r\n", HTTP1_BAD_FIELD_NAME },
		{ "Transfer-Encoding\t: chunked\r\n", HTTP1_BAD_FIELD_NAME },
		{ "Transfer-Encoding\r\n : chunked\r\n", HTTP1_BAD_FIELD_NAME },
		{ "Transfer-Encoding:\r\n chunked\r\n", HTTP1_OBSOLETE_FOLD },
		{ " Transfer-Encoding: chunked\r\n", HTTP1_OBSOLETE_FOLD },
		{ "X: y\n Transfer-Encoding: chunked\r\n", HTTP1_BARE_LINE_FEED },
		{ "X: y\nTransfer-Encoding: chunked\r\n", HTTP1_BARE_LINE_FEED },
		{ "X: y\rTransfer-Encoding: chunked\r\n", HTTP1_BAD_FIELD_VALUE },
		{ "X: y\r\rTransfer-Encoding: chunked\r\n", HTTP1_BAD_FIELD_VALUE },
		{ "\x0bTransfer-Encoding: chunked\r\n", HTTP1_BAD_FIELD_NAME },
		{ "Transfer-Encoding:\x0b"
		  "chunked\r\n",
		  HTTP1_BAD_FIELD_VALUE },
		{ "Transfer-Encoding:\x0c"
		  "chunked\r\n",
		  HTTP1_BAD_FIELD_VALUE },
		{ "Transfer-Encoding: chunked\x08\r\n", HTTP1_BAD_FIELD_VALUE },
		{ "Transfer-Encoding: xchunked\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunkedx\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunk\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: identity\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: \"chunked\"\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: 'chunked'\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked;x=y\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked identity\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: gzip\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: gzip, chunked\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: identity, chunked\r\n", HTTP1_UNKNOWN_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked, identity\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked, gzip, chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked, chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: ,chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked,\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: ,\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding:\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding: identity\r\nTransfer-encoding: chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", HTTP1_BAD_TRANSFER_ENCODING },
		{ "Content-Length:\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: +6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: -6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 0x6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6.0\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6 6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6,6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6;\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: \"6\"\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6\r\nContent-Length: 6\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 6\r\nContent-Length: 0\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 9223372036854775808\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 18446744073709551616\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length: 18446744073709551622\r\n", HTTP1_BAD_CONTENT_LENGTH },
		{ "Content-Length : 6\r\n", HTTP1_BAD_FIELD_NAME },
		{ "Content-Length: 6\r\n 0\r\n", HTTP1_OBSOLETE_FOLD },
		{ "Host: y\r\n", HTTP1_BAD_HOST },
		{ "Host : y\r\n", HTTP1_BAD_FIELD_NAME },
		{ " Host: y\r\n", HTTP1_OBSOLETE_FOLD },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char raw[256];
		snprintf(raw, sizeof(raw), "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n", rows[i].fields);
		enum http1_error error = parse(raw);
		if (error != rows[i].error)
			fail_msg("%s: %s", http1_error_names[error], rows[i].fields);
	}
	assert_int_equal(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_TRANSFER_ENCODING);
}

static void
the_framing_that_remains_is_plain(void **state)
{
	assert_int_equal(parse("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked \r\n\r\n"), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_CHUNKED);
	assert_int_equal(parse("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n"),
			 HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_LENGTH);
	assert_true(message.content_length == INT64_MAX);
	assert_int_equal(parse("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n\r\n"), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_NO_BODY);
	assert_int_equal(parse("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_NO_BODY);
	/* Underscores are token characters: such a field is another one than its twin with dashes. */
	assert_int_equal(parse("POST / HTTP/1.1\r\nHost: x\r\nContent_Length: 5\r\n\r\n"), HTTP1_NONE);
	assert_int_equal(message.framing, HTTP_NO_BODY);
}

static void
as_many_fields_as_there_is_room_for_and_no_more(void **state)
{
	char raw[32 + 8 * (HTTP_FIELDS_MAX + 1)];
	int len = snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\n");

	for (size_t i = 0; i < HTTP_FIELDS_MAX; i++)
		len += snprintf(raw + len, sizeof(raw) - (size_t)len, "A: b\r\n");
	snprintf(raw + len, sizeof(raw) - (size_t)len, "\r\n");
	assert_int_equal(parse(raw), HTTP1_NONE);
	assert_int_equal(message.field_count, HTTP_FIELDS_MAX);
	snprintf(raw + len, sizeof(raw) - (size_t)len, "A: b\r\n\r\n");
	assert_int_equal(parse(raw), HTTP1_TOO_MANY_FIELDS);
}

static void
what_connection_names_is_bounded(void **state)
{
	char raw[700], options[600];

	memset(options, ',', sizeof(options));
	snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\nConnection: a%.*s\r\n\r\n", 511, options);
	assert_int_equal(parse(raw), HTTP1_NONE);
	snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\nConnection: a%.*s\r\n\r\n", 512, options);
	assert_int_equal(parse(raw), HTTP1_BAD_FIELD_VALUE);
	snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\nConnection: a%.*s\r\nConnection: a%.*s\r\n\r\n", 300, options,
		 300, options);
	assert_int_equal(parse(raw), HTTP1_BAD_FIELD_VALUE);
}

/* What is refused is refused as soon as the line shows it, not when the head is complete. */
static void
garbage_is_refused_before_its_head_ends(void **state)
{
	static const struct {
		const char *beginning;
		enum http1_error error;
	} rows[] = {
		{ "\x16\x03\x01", HTTP1_BAD_METHOD },
		{ "get /", HTTP1_BAD_METHOD },
		{ "GET / HTTP/2.0", HTTP1_UNSUPPORTED_VERSION },
		{ "GET /\r\n", HTTP1_BAD_VERSION },
		{ "GET / FTP", HTTP1_BAD_VERSION },
		{ "GET /\x01", HTTP1_BAD_TARGET },
		{ "GET / HTTP/1.1\r\nA b", HTTP1_BAD_FIELD_NAME },
		{ "GET / HTTP/1.1\n", HTTP1_BARE_LINE_FEED },
		{ "\rG", HTTP1_BAD_START_LINE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parse(rows[i].beginning), rows[i].error);
}

/* Lines typed one after another with bare line feeds are answered at the first, not after a time-out. */
static void
a_bare_line_feed_that_comes_later_is_refused_at_once(void **state)
{
	const char *raw = "GET / HTTP/1.1\r\nHost: a\nX: b";
	size_t scanned = 0;
	enum http1_error error = HTTP1_NONE;

	assert_int_equal(http1_parse_request(&message, (const uint8_t *)raw, 18, &scanned, &head_len, &error),
			 HTTP1_MORE);
	assert_int_equal(http1_parse_request(&message, (const uint8_t *)raw, 22, &scanned, &head_len, &error),
			 HTTP1_MORE);
	assert_int_equal(http1_parse_request(&message, (const uint8_t *)raw, 24, &scanned, &head_len, &error),
			 HTTP1_BAD);
	assert_int_equal(error, HTTP1_BARE_LINE_FEED);
}

static void
pipelined_requests_are_taken_one_by_one(void **state)
{
	const char *raw = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /3 "
			  "HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char *const paths[] = { "/1", "/2", "/3" };

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parse(raw), HTTP1_NONE);
		assert_bytes(message.path, paths[i]);
		raw += head_len;
	}
	assert_string_equal(raw, "");
}

static void
the_start_line_of_an_unfinished_head_is_measured(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
	} rows[] = {
		{ "", 0 },
		{ "GET / HT", 0 },
		{ "\r\n", 0 },
		{ "\r\nGET", 0 },
		{ "GET / HTTP/1.1\r\n", 16 },
		{ "\r\nGET / HTTP/1.1\r\nHost", 18 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(http1_start_line_len((const uint8_t *)rows[i].raw, strlen(rows[i].raw)), rows[i].len);
}

static void
errors_have_names_and_statuses(void **state)
{
	for (size_t i = 0; i < HTTP1_ERROR_COUNT; i++) {
		assert_non_null(http1_error_names[i]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(http1_error_names[i], http1_error_names[j]);
		assert_true(i == HTTP1_NONE || http_reason(http1_error_status[i]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(targets_are_read_in_their_four_forms),
		cmocka_unit_test(spaces_around_the_parts_of_a_request_line_are_in_no_part),
		cmocka_unit_test(every_control_character_in_a_head_is_refused),
		cmocka_unit_test(all_token_characters_and_no_others_are_in_field_names),
		cmocka_unit_test(bytes_above_ascii_are_in_values_and_targets),
		cmocka_unit_test(persistence_follows_version_and_connection),
		cmocka_unit_test(an_upgrade_needs_both_fields_and_http_1_1),
		cmocka_unit_test(only_100_continue_is_an_expectation_and_not_in_http_1_0),
		cmocka_unit_test(smuggling_attempts_are_refused_by_name),
		cmocka_unit_test(the_framing_that_remains_is_plain),
		cmocka_unit_test(as_many_fields_as_there_is_room_for_and_no_more),
		cmocka_unit_test(what_connection_names_is_bounded),
		cmocka_unit_test(garbage_is_refused_before_its_head_ends),
		cmocka_unit_test(a_bare_line_feed_that_comes_later_is_refused_at_once),
		cmocka_unit_test(pipelined_requests_are_taken_one_by_one),
		cmocka_unit_test(the_start_line_of_an_unfinished_head_is_measured),
		cmocka_unit_test(errors_have_names_and_statuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
