#include "parse.h"

static struct http_message message;

static const struct {
	const char *text;
	enum http_field_id id;
} known[] = {
#define ROW(id, text) { text, HTTP_FIELD_##id },
	HTTP_KNOWN_FIELDS(ROW)
#undef ROW
};

static void
every_known_field_is_identified_in_any_case(void **state)
{
	for (size_t i = 1; i < HTTP_FIELD_COUNT; i++) {
		uint8_t name[32];
		size_t len = strlen(known[i].text);

		assert_int_equal(http_field_identify(bytes_of_string(known[i].text)), known[i].id);
		for (size_t j = 0; j < len; j++)
			name[j] = known[i].text[j] >= 'a' ? (uint8_t)(known[i].text[j] - 0x20)
							  : (uint8_t)known[i].text[j];
		assert_int_equal(http_field_identify(bytes_of(name, len)), known[i].id);
	}
}

/* One byte changed in any place to any other value makes another name, unless it only changes a letter's case. */
static void
names_near_a_known_one_are_other_names(void **state)
{
	for (size_t i = 1; i < HTTP_FIELD_COUNT; i++) {
		struct bytes text = bytes_of_string(known[i].text);
		uint8_t name[32];

		memcpy(name, text.data, text.len);
		name[text.len] = 'x';
		assert_int_equal(http_field_identify(bytes_of(name, text.len + 1)), HTTP_FIELD_OTHER);
		assert_int_equal(http_field_identify(bytes_of(name, text.len - 1)), HTTP_FIELD_OTHER);
		for (size_t j = 0; j < text.len; j++) {
			for (unsigned int c = 0; c < 256; c++) {
				name[j] = (uint8_t)c;
				bool same = byte_lower((uint8_t)c) == text.data[j];
				assert_int_equal(http_field_identify(bytes_of(name, text.len)),
						 same ? known[i].id : HTTP_FIELD_OTHER);
			}
			name[j] = text.data[j];
		}
	}
	assert_int_equal(http_field_identify(bytes_of_string("")), HTTP_FIELD_OTHER);
}

static void
methods_are_case_sensitive(void **state)
{
	static const struct {
		const char *text;
		enum http_method method;
	} methods[] = {
		{ "GET", HTTP_GET },
		{ "HEAD", HTTP_HEAD },
		{ "POST", HTTP_POST },
		{ "PUT", HTTP_PUT },
		{ "DELETE", HTTP_DELETE },
		{ "CONNECT", HTTP_CONNECT },
		{ "OPTIONS", HTTP_OPTIONS },
		{ "TRACE", HTTP_TRACE },
		{ "PATCH", HTTP_PATCH },
		{ "get", HTTP_METHOD_OTHER },
		{ "GETS", HTTP_METHOD_OTHER },
		{ "", HTTP_METHOD_OTHER },
		{ "PURGE", HTTP_METHOD_OTHER },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		assert_int_equal(http_method_identify(bytes_of_string(methods[i].text)), methods[i].method);
}

static void
fields_are_found_by_id_and_by_name_the_first_one_first(void **state)
{
	const struct bytes raw =
		BYTES("GET / HTTP/1.1\r\nX-A: 1\r\nHost: h\r\nx-a: 2\r\nCookie: a=b\r\ncookie: c=d\r\n\r\n");
	size_t head_len;

	assert_int_equal(parse_request(&message, raw, &head_len), HTTP1_NONE);
	assert_bytes(http_message_field(&message, HTTP_FIELD_HOST)->value, "h");
	assert_bytes(http_message_field(&message, HTTP_FIELD_COOKIE)->value, "a=b");
	assert_null(http_message_field(&message, HTTP_FIELD_REFERER));
	assert_bytes(http_message_field_named(&message, bytes_of_string("X-a"))->value, "1");
	assert_bytes(http_message_field_named(&message, bytes_of_string("COOKIE"))->value, "a=b");
	assert_null(http_message_field_named(&message, bytes_of_string("X-B")));
	assert_null(http_message_field_named(&message, bytes_of_string("Referer")));
}

static void
a_parse_leaves_nothing_of_the_message_before(void **state)
{
	size_t head_len;

	assert_int_equal(parse_request(&message,
				       (struct bytes)BYTES("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
							   "Expect: 100-continue\r\nConnection: x, upgrade\r\n"
							   "Upgrade: u\r\nReferer: r\r\nX: y\r\n\r\n"),
				       &head_len),
			 HTTP1_NONE);
	assert_int_equal(parse_request(&message, (struct bytes)BYTES("GET / HTTP/1.0\r\n\r\n"), &head_len), HTTP1_NONE);
	assert_int_equal(message.field_count, 0);
	assert_int_equal(message.seen, 0);
	assert_int_equal(message.framing, HTTP_NO_BODY);
	assert_int_equal(message.content_length, 0);
	assert_false(message.has_query || message.upgrade || message.expect_continue || message.keep_alive ||
		     message.connection_has_options);
	assert_null(http_message_field(&message, HTTP_FIELD_REFERER));
	assert_null(http_message_field_named(&message, bytes_of_string("X")));
}

/* RFC 9110 section 7.6.1 */
static void
hop_by_hop_fields_are_the_fixed_ones_and_those_that_connection_names(void **state)
{
	const struct bytes raw =
		BYTES("GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret ,host\r\n"
		      "Connection:,,Content-Length,x-other\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"
		      "TE: trailers\r\nTrailer: X\r\nUpgrade: u\r\nX-Secret: 1\r\nX-Other: 1\r\n"
		      "X-Sec: 1\r\nX-Secrets: 1\r\nCookie: a\r\nContent-Length: 0\r\n\r\n");
	static const char *const kept[] = { "Host", "X-Sec", "X-Secrets", "Cookie", "Content-Length" };
	size_t head_len, kept_count = 0;

	assert_int_equal(parse_request(&message, raw, &head_len), HTTP1_NONE);
	assert_true(message.connection_has_options);
	for (uint16_t i = 0; i < message.field_count; i++)
		if (!http_field_is_hop_by_hop(&message, &message.fields[i]))
			assert_bytes(message.fields[i].name, kept[kept_count++]);
	assert_int_equal(kept_count, sizeof(kept) / sizeof(kept[0]));
}

static void
close_and_keep_alive_are_no_field_names(void **state)
{
	const struct bytes raw = BYTES("GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive, Close, Upgrade\r\n\r\n");
	size_t head_len;

	assert_int_equal(parse_request(&message, raw, &head_len), HTTP1_NONE);
	assert_false(message.connection_has_options);
}

static void
lists_are_read_past_empty_elements(void **state)
{
	static const struct {
		const char *list, *first, *second;
	} rows[] = {
		{ "a", "a", NULL }, { "a,b", "a", "b" },      { " a , b ", "a", "b" }, { ",,a,,\t,b,,", "a", "b" },
		{ "", NULL, NULL }, { " , ,\t", NULL, NULL }, { "a b", "a b", NULL },  { ",a", "a", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes list = bytes_of_string(rows[i].list), element;
		const char *expected[] = { rows[i].first, rows[i].second, NULL };
		for (size_t j = 0; j < 3; j++) {
			assert_int_equal(http_list_next(&list, &element), expected[j] != NULL);
			if (!expected[j])
				break;
			assert_bytes(element, expected[j]);
		}
	}
}

static void
authorities_are_a_host_and_an_optional_port(void **state)
{
	static const char *const valid[] = { "a",    "a.b.c",         "a.",          "1.2.3.4",         "a:80",
					     "a:",   "a:65535",       "[::1]",       "[::1]:8080",      "a_b-c~d",
					     "%41b", "a!$&'()*+,;=b", "A.Example:0", "[::ffff:1.2.3.4]" };
	static const char *const invalid[] = { "",        ":",         ":80",   "a:b",     "a:80:80",
					       "a:65536", "a:-1",      "a:+1",  "a: 1",    "a b",
					       "a@b",     "a/b",       "a?b",   "a#b",     "a\\b",
					       "a..b",    ".",         "..",    "a%",      "a%4",
					       "a%4g",    "[",         "[]",    "[::1",    "::1",
					       "[::1]a",  "[1.2.3.4]", "[::g]", "[[::1]]", "a[::1]",
					       "\x80",    "a\"b",      "a<b",   "a\tb",    "a:99999999999999999999" };

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
		if (!http_authority_is_valid(bytes_of_string(valid[i])))
			fail_msg("%s is refused", valid[i]);
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		if (http_authority_is_valid(bytes_of_string(invalid[i])))
			fail_msg("%s is accepted", invalid[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_field_is_identified_in_any_case),
		cmocka_unit_test(names_near_a_known_one_are_other_names),
		cmocka_unit_test(methods_are_case_sensitive),
		cmocka_unit_test(fields_are_found_by_id_and_by_name_the_first_one_first),
		cmocka_unit_test(a_parse_leaves_nothing_of_the_message_before),
		cmocka_unit_test(hop_by_hop_fields_are_the_fixed_ones_and_those_that_connection_names),
		cmocka_unit_test(close_and_keep_alive_are_no_field_names),
		cmocka_unit_test(lists_are_read_past_empty_elements),
		cmocka_unit_test(authorities_are_a_host_and_an_optional_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
