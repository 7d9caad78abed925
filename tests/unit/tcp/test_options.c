#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "tcp/options.h"

static void
every_option_of_a_syn_is_read(void **state)
{
	const uint8_t data[] = { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 1, 0, 1, 3, 3, 9 };
	struct tcp_options options;

	assert_true(tcp_options_parse(data, sizeof(data), true, &options));
	assert_int_equal(options.flags,
			 TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP | TCP_OPTION_WINDOW_SCALE);
	assert_int_equal(options.mss, 1460);
	assert_int_equal(options.timestamp, 7);
	assert_int_equal(options.timestamp_echo, 256);
	assert_int_equal(options.window_scale, 9);
}

static void
options_of_a_syn_are_ignored_elsewhere_and_sack_in_a_syn(void **state)
{
	const uint8_t syn[] = { 2, 4, 0x05, 0xb4, 4, 2, 3, 3, 9, 0 };
	const uint8_t sack[] = { 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	struct tcp_options options;

	assert_true(tcp_options_parse(syn, sizeof(syn), false, &options));
	assert_int_equal(options.flags, 0);
	assert_true(tcp_options_parse(sack, sizeof(sack), true, &options));
	assert_int_equal(options.flags, 0);
	assert_true(tcp_options_parse(sack, sizeof(sack), false, &options));
	assert_int_equal(options.sack_count, 1);
	assert_int_equal(options.sack[0].start, 1);
	assert_int_equal(options.sack[0].end, 2);
}

static void
rfc7323_2_3_a_shift_above_fourteen_is_read_as_fourteen(void **state)
{
	const uint8_t data[] = { 3, 3, 200, 0 };
	struct tcp_options options;

	assert_true(tcp_options_parse(data, sizeof(data), true, &options));
	assert_int_equal(options.window_scale, 14);
}

static void
lengths_that_contradict_are_refused(void **state)
{
	static const uint8_t zero[] = { 2, 0, 0, 0 }, one[] = { 2, 1, 0, 0 }, past[] = { 1, 1, 8, 10 },
			     cut[] = { 1, 2 };
	struct tcp_options options;

	assert_false(tcp_options_parse(zero, sizeof(zero), true, &options));
	assert_false(tcp_options_parse(one, sizeof(one), true, &options));
	assert_false(tcp_options_parse(past, sizeof(past), true, &options));
	assert_false(tcp_options_parse(cut, sizeof(cut), true, &options));
}

static void
rfc9293_3_1_unknown_options_and_known_ones_of_another_length_are_skipped(void **state)
{
	const uint8_t data[] = { 254, 6, 1, 2, 3, 4, 2, 6, 1, 1, 1, 1, 2, 4, 2, 0, 0, 255, 255, 255 };
	struct tcp_options options;

	assert_true(tcp_options_parse(data, sizeof(data), true, &options));
	assert_int_equal(options.flags, TCP_OPTION_MSS);
	assert_int_equal(options.mss, 512);
}

static void
what_is_written_is_read_back(void **state)
{
	struct tcp_options options = { .flags = 0x1f & ~TCP_OPTION_SACK,
				       .mss = 1400,
				       .window_scale = 7,
				       .timestamp = 0xdeadbeef,
				       .timestamp_echo = 5 };
	struct tcp_options again;
	uint8_t data[TCP_OPTIONS_MAX];
	uint32_t len = tcp_options_fit(&options);

	assert_int_equal(len, 24);
	tcp_options_write(data, &options);
	assert_true(tcp_options_parse(data, len, true, &again));
	assert_int_equal(again.flags, options.flags);
	assert_int_equal(again.mss, 1400);
	assert_int_equal(again.window_scale, 7);
	assert_int_equal(again.timestamp, 0xdeadbeef);
}

static void
rfc2018_3_three_sack_blocks_fit_beside_a_timestamp_and_four_alone(void **state)
{
	struct tcp_options options = { .flags = TCP_OPTION_SACK, .sack_count = 4 };

	assert_int_equal(tcp_options_fit(&options), 36);
	assert_int_equal(options.sack_count, 4);
	options.flags |= TCP_OPTION_TIMESTAMP;
	assert_int_equal(tcp_options_fit(&options), 40);
	assert_int_equal(options.sack_count, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_of_a_syn_is_read),
		cmocka_unit_test(options_of_a_syn_are_ignored_elsewhere_and_sack_in_a_syn),
		cmocka_unit_test(rfc7323_2_3_a_shift_above_fourteen_is_read_as_fourteen),
		cmocka_unit_test(lengths_that_contradict_are_refused),
		cmocka_unit_test(rfc9293_3_1_unknown_options_and_known_ones_of_another_length_are_skipped),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(rfc2018_3_three_sack_blocks_fit_beside_a_timestamp_and_four_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
