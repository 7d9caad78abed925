/*
 * The PROXY protocol's headers: what is read of them, also byte by byte; what nginx refuses; what is written.
 */
#include "packet/proxy_protocol.h"

#include "support/cmocka.h"

#define SIGNATURE PACKET_PROXY_V2_SIGNATURE
#define HEADER(literal)                                                                                                \
	{                                                                                                              \
		(const uint8_t *)(literal), sizeof(literal) - 1                                                        \
	}

static void
assert_endpoint(const struct endpoint *endpoint, const char *wanted)
{
	char text[ENDPOINT_TEXT_MAX];

	endpoint_format(endpoint, text, sizeof(text));
	assert_string_equal(text, wanted);
}

struct good {
	struct bytes header;
	const char *source, *destination; /* NULL: nobody is named */
};

#define V4 "\xc6\x33\x64\x07\xc0\x00\x02\x0a\x0f\xa0\x00\x50"
#define V6_A "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define V6_B "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x10"

static const struct good goods[] = {
	{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 4000 80\r\n"), "198.51.100.7:4000", "192.0.2.10:80" },
	{ HEADER("PROXY TCP6 2001:db8::7 2001:db8::10 65535 0\r\n"), "[2001:db8::7]:65535", "[2001:db8::10]:0" },
	{ HEADER("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ HEADER("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, NULL },
	{ HEADER(SIGNATURE "\x21\x11\x00\x0c" V4), "198.51.100.7:4000", "192.0.2.10:80" },
	{ HEADER(SIGNATURE "\x21\x11\x00\x11" V4 "\x04\x00\x02xy"), "198.51.100.7:4000", "192.0.2.10:80" },
	{ HEADER(SIGNATURE "\x21\x21\x00\x24" V6_A V6_B "\x0f\xa0\x01\xbb"), "[2001:db8::7]:4000",
	  "[2001:db8::10]:443" },
	{ HEADER(SIGNATURE "\x20\x00\x00\x00"), NULL, NULL },
	{ HEADER(SIGNATURE "\x20\x11\x00\x0c" V4), NULL, NULL },
	{ HEADER(SIGNATURE "\x21\x00\x00\x03xyz"), NULL, NULL },
	{ HEADER(SIGNATURE "\x21\x12\x00\x0c" V4), NULL, NULL }, /* UDP: not of this connection */
};

static void
test_headers_are_read_and_what_follows_is_left(void **state)
{
	uint8_t bytes[256];

	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const struct good *good = &goods[i];
		struct packet_proxy said;

		memcpy(bytes, good->header.data, good->header.len);
		memcpy(bytes + good->header.len, "GET", 3);
		assert_int_equal(packet_proxy_parse(bytes_of(bytes, good->header.len + 3), &said), PACKET_PROXY_DONE);
		assert_int_equal(said.len, good->header.len);
		assert_int_equal(said.known, good->source != NULL);
		if (!good->source)
			continue;
		assert_endpoint(&said.source, good->source);
		assert_endpoint(&said.destination, good->destination);
	}
}

static void
test_each_beginning_of_a_header_waits_for_more(void **state)
{
	struct packet_proxy said;

	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++)
		for (size_t len = 0; len < goods[i].header.len; len++)
			assert_int_equal(packet_proxy_parse(bytes_of(goods[i].header.data, len), &said),
					 PACKET_PROXY_MORE);
}

static void
test_what_is_no_header_is_refused(void **state)
{
	static const struct {
		struct bytes header;
		const char *problem;
	} bads[] = {
		{ HEADER("GET / HTTP/1.0\r\n\r\n"), "broken header" },
		{ HEADER("PROXX"), "broken header" },
		{ HEADER("\r\n\r\nx"), "broken header" },
		{ HEADER("PROXY \r\n"), "broken header" },
		{ HEADER("PROXY TCP4\r\n"), "broken header" },
		{ HEADER("PROXY TCP5 198.51.100.7 192.0.2.10 4000 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 4000 80\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 4000\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 4000 80 \r\n"), "broken header" },
		{ HEADER("PROXY TCP4  198.51.100.7 192.0.2.10 4000 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 4000 65536\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.7 192.0.2.10 -1 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 198.51.100.700 192.0.2.10 4000 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP4 2001:db8::7 2001:db8::10 4000 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP6 198.51.100.7 192.0.2.10 4000 80\r\n"), "broken header" },
		{ HEADER("PROXY TCP6 [2001:db8::7] 2001:db8::10 4000 80\r\n"), "broken header" },
		{ HEADER(SIGNATURE "\x11\x11\x00\x0c"), "unknown PROXY protocol version" },
		{ HEADER(SIGNATURE "\x21\x11\x0f\xf1"), "header is too large" },
		{ HEADER(SIGNATURE "\x21\x11\x00\x0b"), "broken header" },
		{ HEADER(SIGNATURE "\x21\x21\x00\x23"), "broken header" },
	};
	struct packet_proxy said;

	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		assert_int_equal(packet_proxy_parse(bads[i].header, &said), PACKET_PROXY_BAD);
		assert_string_equal(said.problem, bads[i].problem);
	}
}

static void
test_a_line_without_an_end_is_refused_when_it_is_too_long(void **state)
{
	uint8_t line[PACKET_PROXY_V1_MAX];
	struct packet_proxy said;

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(packet_proxy_parse(bytes_of(line, sizeof(line) - 1), &said), PACKET_PROXY_MORE);
	assert_int_equal(packet_proxy_parse(bytes_of(line, sizeof(line)), &said), PACKET_PROXY_BAD);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	assert_int_equal(packet_proxy_parse(bytes_of(line, sizeof(line)), &said), PACKET_PROXY_DONE);
}

static void
assert_written(const char *source, const char *destination, const char *wanted)
{
	struct endpoint from, to;
	char text[PACKET_PROXY_V1_MAX + 1];

	assert_int_equal(endpoint_parse(bytes_of_string(source), 0, &from), 0);
	assert_int_equal(endpoint_parse(bytes_of_string(destination), 0, &to), 0);
	text[packet_proxy_write_v1(text, &from, &to)] = '\0';
	assert_string_equal(text, wanted);
}

static void
test_version_1_is_written_as_nginx_does(void **state)
{
	assert_written("198.51.100.7:4000", "192.0.2.10:80", "PROXY TCP4 198.51.100.7 192.0.2.10 4000 80\r\n");
	assert_written("[2001:db8::7]:4000", "[2001:db8::10]:80", "PROXY TCP6 2001:db8::7 2001:db8::10 4000 80\r\n");
	assert_written("198.51.100.7:1", "[2001:db8::10]:80", "PROXY TCP6 ::ffff:198.51.100.7 2001:db8::10 1 80\r\n");
}

static void
test_version_2_is_read_as_it_is_written(void **state)
{
	struct packet_proxy_v2 header;
	struct packet_proxy said;

	packet_proxy_v2_fill(&header, false, V4, htons(4000), htons(80));
	assert_int_equal(packet_proxy_parse(bytes_of(&header, packet_proxy_v2_len(false)), &said), PACKET_PROXY_DONE);
	assert_endpoint(&said.source, "198.51.100.7:4000");
	packet_proxy_v2_fill(&header, true, V6_A V6_B, htons(4000), htons(80));
	assert_int_equal(packet_proxy_parse(bytes_of(&header, packet_proxy_v2_len(true)), &said), PACKET_PROXY_DONE);
	assert_endpoint(&said.destination, "[2001:db8::10]:80");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_are_read_and_what_follows_is_left),
		cmocka_unit_test(test_each_beginning_of_a_header_waits_for_more),
		cmocka_unit_test(test_what_is_no_header_is_refused),
		cmocka_unit_test(test_a_line_without_an_end_is_refused_when_it_is_too_long),
		cmocka_unit_test(test_version_1_is_written_as_nginx_does),
		cmocka_unit_test(test_version_2_is_read_as_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
