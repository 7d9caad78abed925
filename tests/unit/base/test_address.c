#include "base/address.h"

#include <errno.h>

#include "support/cmocka.h"

static void
assert_endpoint(const char *text, const char *expected)
{
	struct endpoint e;
	char out[ENDPOINT_TEXT_MAX];

	if (!expected) {
		assert_int_equal(endpoint_parse(bytes_of_string(text), 80, &e), -EINVAL);
		return;
	}
	assert_int_equal(endpoint_parse(bytes_of_string(text), 80, &e), 0);
	assert_int_equal(endpoint_format(&e, out, sizeof(out)), strlen(expected));
	assert_string_equal(out, expected);
}

static void
endpoints_are_parsed_with_a_default_port(void **state)
{
	assert_endpoint("127.0.0.1", "127.0.0.1:80");
	assert_endpoint("127.0.0.1:8080", "127.0.0.1:8080");
	assert_endpoint("[::1]", "[::1]:80");
	assert_endpoint("[2001:DB8::0:1]:443", "[2001:db8::1]:443");
	assert_endpoint("0.0.0.0:65535", "0.0.0.0:65535");
}

static void
what_is_no_endpoint_is_refused(void **state)
{
	static const char *const texts[] = { "",
					     ":80",
					     "127.0.0.1:",
					     "127.0.0.1:0",
					     "127.0.0.1:65536",
					     "127.0.0.1:8x",
					     "127.0.0",
					     "127.0.0.1.1",
					     "localhost",
					     "::1",
					     "[::1",
					     "[::1]80",
					     "[::1]:",
					     "[127.0.0.1]",
					     "[]",
					     "256.0.0.1",
					     "[::g]",
					     " 127.0.0.1",
					     "127.0.0.1:+80" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_endpoint(texts[i], NULL);
}

static void
a_failed_parse_leaves_the_output(void **state)
{
	struct endpoint e = { ip_address_from_v4(htonl(1)), 2 }, before = e;

	endpoint_parse(bytes_of_string("127.0.0.1:bad"), 80, &e);
	assert_true(endpoint_equal(&e, &before));
}

static void
bytes_behind_the_length_are_not_read(void **state)
{
	struct ip_address a;
	char text[ENDPOINT_TEXT_MAX];

	assert_int_equal(ip_address_parse(bytes_of("10.0.0.199", 8), &a), 0);
	ip_address_format(&a, text, sizeof(text));
	assert_string_equal(text, "10.0.0.1");
	assert_int_equal(ip_address_parse(bytes_of("10.0.0.1\0junk", 13), &a), -EINVAL);
}

static void
a_mapped_address_is_the_ipv4_address(void **state)
{
	struct ip_address mapped, plain;

	assert_int_equal(ip_address_parse(bytes_of_string("::ffff:10.0.0.1"), &mapped), 0);
	assert_int_equal(ip_address_parse(bytes_of_string("10.0.0.1"), &plain), 0);
	assert_true(ip_address_equal(&mapped, &plain));
	assert_true(ip_address_is_v4(&mapped));
}

static void
wildcards_and_loopback_are_known(void **state)
{
	static const struct {
		const char *text;
		bool any, loopback;
	} cases[] = {
		{ "0.0.0.0", true, false },   { "::", true, false },        { "127.0.0.1", false, true },
		{ "127.9.9.9", false, true }, { "::1", false, true },       { "128.0.0.1", false, false },
		{ "::2", false, false },      { "10.0.0.0", false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_address a;

		assert_int_equal(ip_address_parse(bytes_of_string(cases[i].text), &a), 0);
		assert_int_equal(ip_address_is_any(&a), cases[i].any);
		assert_int_equal(ip_address_is_loopback(&a), cases[i].loopback);
	}
}

static void
a_sockaddr_comes_back_as_it_was(void **state)
{
	static const char *const texts[] = { "10.1.2.3:4567", "[2001:db8::1]:4567" };

	for (size_t i = 0; i < 2; i++) {
		struct sockaddr_storage sa;
		struct endpoint e, back;
		socklen_t len;

		assert_int_equal(endpoint_parse(bytes_of_string(texts[i]), 0, &e), 0);
		len = endpoint_to_sockaddr(&e, &sa);
		assert_int_equal(len, i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &back), 0);
		assert_true(endpoint_equal(&e, &back));
	}
	assert_int_equal(endpoint_from_sockaddr(&(struct sockaddr){ .sa_family = AF_UNIX }, &(struct endpoint){ 0 }),
			 -EAFNOSUPPORT);
}

static void
a_short_buffer_is_not_overrun(void **state)
{
	struct ip_address a = ip_address_from_v4(htonl(0x0a000001));
	char text[6] = "xxxxx";

	assert_int_equal(ip_address_format(&a, text, 4), 3);
	assert_string_equal(text, "10.");
	assert_int_equal(text[4], 'x');
}

static void
unsigned_numbers_have_digits_alone_and_a_limit(void **state)
{
	uint64_t value = 7;

	assert_true(bytes_parse_unsigned(bytes_of_string("0"), 0, &value));
	assert_int_equal(value, 0);
	assert_true(bytes_parse_unsigned(bytes_of_string("65535"), 65535, &value));
	assert_int_equal(value, 65535);
	assert_true(bytes_parse_unsigned(bytes_of_string("18446744073709551615"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	value = 7;
	assert_false(bytes_parse_unsigned(bytes_of_string("18446744073709551616"), UINT64_MAX, &value));
	assert_false(bytes_parse_unsigned(bytes_of_string("65536"), 65535, &value));
	assert_false(bytes_parse_unsigned(bytes_of_string("5"), 4, &value));
	assert_false(bytes_parse_unsigned(bytes_of_string(""), 10, &value));
	assert_false(bytes_parse_unsigned(bytes_of_string("-1"), 10, &value));
	assert_false(bytes_parse_unsigned(bytes_of_string("1 "), 10, &value));
	assert_int_equal(value, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_parsed_with_a_default_port),
		cmocka_unit_test(what_is_no_endpoint_is_refused),
		cmocka_unit_test(a_failed_parse_leaves_the_output),
		cmocka_unit_test(bytes_behind_the_length_are_not_read),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
		cmocka_unit_test(wildcards_and_loopback_are_known),
		cmocka_unit_test(a_sockaddr_comes_back_as_it_was),
		cmocka_unit_test(a_short_buffer_is_not_overrun),
		cmocka_unit_test(unsigned_numbers_have_digits_alone_and_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
