#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REFUSED INT64_MIN

/* What nginx 1.22.1 accepts and refuses, by `nginx -t`. */
static void
sizes_are_those_of_nginx(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "0", 0 },
		{ "1024", 1024 },
		{ "1k", 1024 },
		{ "8K", 8192 },
		{ "1m", 1 << 20 },
		{ "1M", 1 << 20 },
		{ "1g", 1 << 30 },
		{ "1G", 1 << 30 },
		{ "9223372036854775807", INT64_MAX },
		{ "9007199254740991k", 9007199254740991 * 1024 },
		{ "8589934591g", 8589934591 << 30 },
		{ "9223372036854775808", REFUSED },
		{ "9007199254740992k", REFUSED },
		{ "8589934592g", REFUSED },
		{ "", REFUSED },
		{ "k", REFUSED },
		{ "1kk", REFUSED },
		{ "-1", REFUSED },
		{ "+1", REFUSED },
		{ "1.5k", REFUSED },
		{ "1t", REFUSED },
		{ " 1", REFUSED },
		{ "1 k", REFUSED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t value = 0;
		int result = config_parse_size(bytes_of_string(cases[i].text), &value);

		if (result != (cases[i].value == REFUSED ? -EINVAL : 0))
			fail_msg("%s", cases[i].text);
		if (result == 0)
			assert_int_equal(value, cases[i].value);
	}
}

static void
times_are_those_of_nginx(void **state)
{
	static const struct {
		const char *text;
		int64_t ms, s;
	} cases[] = {
		{ "0", 0, 0 },
		{ "60", 60000, 60 },
		{ "01", 1000, 1 },
		{ "60s", 60000, 60 },
		{ "500ms", 500, REFUSED },
		{ "1s500ms", 1500, REFUSED },
		{ "1m30s", 90000, 90 },
		{ "1m 30s", 90000, 90 },
		{ "1m30", 90000, 90 },
		{ "1s5", 6000, 6 },
		{ "1h30m", 5400000, 5400 },
		{ "1d", 86400000, 86400 },
		{ "1w2d3h", 788400000, 788400 },
		{ "1M", REFUSED, 2592000 },
		{ "1y", REFUSED, 31536000 },
		{ "1y1M", REFUSED, 34128000 },
		{ "1M1y", REFUSED, REFUSED },
		{ "1ms5", 5001, REFUSED },
		{ "5ms1s", REFUSED, REFUSED },
		{ "30m1h", REFUSED, REFUSED },
		{ "1s1s", REFUSED, REFUSED },
		{ "1mm", REFUSED, REFUSED },
		{ "1x", REFUSED, REFUSED },
		{ "1_", REFUSED, REFUSED },
		{ "", REFUSED, REFUSED },
		{ "s", REFUSED, REFUSED },
		{ "-1", REFUSED, REFUSED },
		{ "1.5s", REFUSED, REFUSED },
		{ "9223372036854775", 9223372036854775000, 9223372036854775 },
		{ "9223372036854775807", REFUSED, INT64_MAX },
		{ "99999999999999999999", REFUSED, REFUSED },
		{ "106751991168d", REFUSED, 106751991168 * 86400 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = REFUSED, s = REFUSED;
		int ms_result = config_parse_milliseconds(bytes_of_string(cases[i].text), &ms);
		int s_result = config_parse_seconds(bytes_of_string(cases[i].text), &s);

		if (ms != cases[i].ms || s != cases[i].s)
			fail_msg("%s: %lld ms, %lld s", cases[i].text, (long long)ms, (long long)s);
		assert_int_equal(ms_result, ms == REFUSED ? -EINVAL : 0);
		assert_int_equal(s_result, s == REFUSED ? -EINVAL : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_those_of_nginx),
		cmocka_unit_test(times_are_those_of_nginx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
