#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "weir-load/report.h"

static struct report report;
static struct load_result result;

static void
fill(void)
{
	report_clear(&report);
	result = (struct load_result){ .begin_ns = 1000000000, .end_ns = 3000000000 };
	histogram_clear(&result.latency);
	for (uint64_t i = 1; i <= 100; i++)
		histogram_add(&result.latency, i * 1000);
	result.counters[LOAD_ANSWERS] = 100;
	result.counters[LOAD_BYTES] = 3 << 20;
	report_add(&report, &result, 7);
}

static char *
printed(const struct cmdline *cmdline)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	report_print(&report, cmdline, out);
	fclose(out);
	return text;
}

static void
test_numbers_have_the_units_of_wrk(void **state)
{
	char text[REPORT_TEXT_MAX];

	report_format_time(500, text);
	assert_string_equal(text, "0.50us");
	report_format_time(1234567, text);
	assert_string_equal(text, "1.23ms");
	report_format_time(2.5e9, text);
	assert_string_equal(text, "2.50s");
	report_format_time(100e9, text);
	assert_string_equal(text, "100.00s");
	report_format_bytes(1536, text);
	assert_string_equal(text, "1.50KB");
	report_format_count(12340, text);
	assert_string_equal(text, "12.34k");
}

static void
test_the_text(void **state)
{
	struct cmdline cmdline = { .latency = true };
	char *text;

	fill();
	text = printed(&cmdline);
	assert_non_null(strstr(text, "100 requests in 2.00s, 3.00MB read"));
	assert_non_null(strstr(text, "Requests/sec:      50.00"));
	assert_non_null(strstr(text, "Transfer/sec:     1.50MB"));
	assert_non_null(strstr(text, "      99%   99.33us"));
	assert_non_null(strstr(text, "     100%  100.00us"));
	assert_null(strstr(text, "errors"));
	assert_null(strstr(text, "Non-2xx"));
	free(text);
}

static void
test_errors_are_named(void **state)
{
	struct cmdline cmdline = { .rate = 100, .close = true };
	char *text;

	fill();
	report.counters[LOAD_CONNECT_REFUSED] = 1;
	report.counters[LOAD_CONNECT_TIMED_OUT] = 2;
	report.counters[LOAD_READ] = 4;
	report.counters[LOAD_TIMEOUT] = 5;
	report.counters[LOAD_BAD_STATUS] = 6;
	report.counters[LOAD_BAD_ANSWER] = 7;
	report.counters[LOAD_WRONG_SIZE] = 8;
	report.counters[LOAD_DUE] = 200;
	report.interrupted = true;
	text = printed(&cmdline);
	assert_non_null(strstr(text, "Socket errors: connect 3, read 4, timeout 5"));
	assert_non_null(strstr(text, "refused 1, timed out 2, unreachable 0"));
	assert_non_null(strstr(text, "Non-2xx or 3xx responses: 6"));
	assert_non_null(strstr(text, "no HTTP/1.1: 7"));
	assert_non_null(strstr(text, "wrong size: 8"));
	assert_non_null(strstr(text, "Due and not answered in time: 100 of 200"));
	assert_non_null(strstr(text, "Interrupted"));
	assert_non_null(strstr(text, "Connections/sec:"));
	free(text);
}

static void
test_results_of_several_lcores_add_up(void **state)
{
	fill();
	result.end_ns += 500000000;
	report_add(&report, &result, 0);
	assert_int_equal(report.counters[LOAD_ANSWERS], 200);
	assert_int_equal(report.latency.count, 200);
	assert_true(report.seconds == 2.5);
}

static void
test_json_has_it_all(void **state)
{
	struct cmdline cmdline = { .url = "http://a/\"", .connections = 3, .lcores = 1 };
	json_t *root, *latency, *buckets;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fill();
	assert_int_equal(report_write_json(&report, &cmdline, out), 0);
	fclose(out);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "url")), "http://a/\"");
	assert_true(json_number_value(json_object_get(root, "requests_per_second")) == 50);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "counters"), "answers")), 100);
	latency = json_object_get(root, "latency_ns");
	assert_in_range(json_integer_value(json_object_get(json_object_get(latency, "percentiles"), "50")), 50000,
			50400);
	assert_int_equal(json_integer_value(json_object_get(latency, "max")), 100000);
	buckets = json_object_get(latency, "buckets");
	assert_true(json_array_size(buckets) > 50 && json_array_size(buckets) <= 100);
	json_decref(root);
	free(text);
}

static void
test_nothing_at_all_is_printed_too(void **state)
{
	struct cmdline cmdline = { .latency = true };
	char *text;

	report_clear(&report);
	text = printed(&cmdline);
	assert_non_null(strstr(text, "0 requests in 0.00s, 0.00B read"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_have_the_units_of_wrk),
		cmocka_unit_test(test_the_text),
		cmocka_unit_test(test_errors_are_named),
		cmocka_unit_test(test_results_of_several_lcores_add_up),
		cmocka_unit_test(test_json_has_it_all),
		cmocka_unit_test(test_nothing_at_all_is_printed_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
