/* Frames are found wherever the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "http/h2.h"
#include "http/h2_frames.h"

/* SETTINGS, empty; DATA of 3 bytes that look like a header; PRIORITY; PRIORITY that is too short; an end without more. */
static const uint8_t wire[] = HTTP2_PREFACE "\0\0\0\4\0\0\0\0\0"
					    "\0\0\3\0\1\0\0\1\5\0\0\7"
					    "\0\0\5\2\0\x80\0\0\3\x80\0\0\7\x10"
					    "\0\0\3\2\0\0\0\0\3\0\0\7"
					    "\0\0\0\0\1\0\0\0\7";
static const struct http2_frame wanted[] = {
	{ 0, NGHTTP2_SETTINGS, 0, 0, -1 }, { 3, NGHTTP2_DATA, 1, 261, -1 }, { 5, NGHTTP2_PRIORITY, 0, 3, 7 },
	{ 3, NGHTTP2_PRIORITY, 0, 3, -1 }, { 0, NGHTTP2_DATA, 1, 7, -1 },
};
#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

static size_t
look(struct http2_frames *frames, struct bytes data, size_t count)
{
	struct http2_frame frame;
	size_t at = 0;
	bool found = true;

	while (found) {
		at += http2_frames_next(frames, bytes_from(data, at), &frame, &found);
		if (!found)
			break;
		assert_true(count < WANTED);
		assert_int_equal(frame.length, wanted[count].length);
		assert_int_equal(frame.type, wanted[count].type);
		assert_int_equal(frame.flags, wanted[count].flags);
		assert_int_equal(frame.stream, wanted[count].stream);
		assert_int_equal(frame.depends_on, wanted[count].depends_on);
		count++;
	}
	assert_int_equal(at, data.len);
	return count;
}

static void
frames_are_found_in_pieces_of_any_size(void **state)
{
	for (size_t size = 1; size < sizeof(wire); size++) {
		struct http2_frames frames;
		size_t count = 0, len = sizeof(wire) - 1;

		http2_frames_init(&frames);
		for (size_t at = 0; at < len; at += size)
			count = look(&frames, bytes_of(wire + at, size < len - at ? size : len - at), count);
		assert_int_equal(count, WANTED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_found_in_pieces_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
