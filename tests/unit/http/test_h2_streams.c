/* What is remembered of a client's streams: of the last 64 numbers, and right at both ends of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "http/h2_streams.h"

static void
a_stream_is_an_error_once_the_client_has_ended_it(void **state)
{
	struct http2_streams streams = { 0 };

	assert_int_equal(http2_streams_error(&streams, 1), 0);
	http2_streams_opened(&streams, 1);
	assert_int_equal(http2_streams_error(&streams, 1), 0);
	http2_streams_ended(&streams, 1);
	assert_int_equal(http2_streams_error(&streams, 1), NGHTTP2_STREAM_CLOSED);
	http2_streams_opened(&streams, 3);
	assert_int_equal(http2_streams_error(&streams, 1), NGHTTP2_STREAM_CLOSED);
	assert_int_equal(http2_streams_error(&streams, 3), 0);
}

static void
numbers_that_were_skipped_are_an_error(void **state)
{
	struct http2_streams streams = { 0 };

	http2_streams_opened(&streams, 1);
	http2_streams_opened(&streams, 7);
	assert_int_equal(http2_streams_error(&streams, 1), 0);
	assert_int_equal(http2_streams_error(&streams, 3), NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(http2_streams_error(&streams, 5), NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(http2_streams_error(&streams, 9), 0); /* new */
}

static void
what_is_longer_ago_passes(void **state)
{
	struct http2_streams streams = { 0 };

	for (int32_t id = 1; id <= 129; id += 2) {
		http2_streams_opened(&streams, id);
		http2_streams_ended(&streams, id);
	}
	assert_int_equal(http2_streams_error(&streams, 1), 0);
	assert_int_equal(http2_streams_error(&streams, 3), NGHTTP2_STREAM_CLOSED);
	http2_streams_opened(&streams, INT32_MAX);
	assert_int_equal(http2_streams_error(&streams, 129), 0);
	assert_int_equal(http2_streams_error(&streams, INT32_MAX - 2), NGHTTP2_PROTOCOL_ERROR);
}

static void
numbers_of_no_client_are_somebody_elses_to_refuse(void **state)
{
	struct http2_streams streams = { 0 };

	http2_streams_opened(&streams, 2);
	http2_streams_ended(&streams, 0);
	assert_int_equal(streams.last, 0);
	assert_int_equal(http2_streams_error(&streams, 2), 0);
	assert_int_equal(http2_streams_error(&streams, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_an_error_once_the_client_has_ended_it),
		cmocka_unit_test(numbers_that_were_skipped_are_an_error),
		cmocka_unit_test(what_is_longer_ago_passes),
		cmocka_unit_test(numbers_of_no_client_are_somebody_elses_to_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
