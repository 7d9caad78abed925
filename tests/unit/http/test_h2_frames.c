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
					    "\0\0\4\2\0\0\0\0\3\0\0\0\3"
					    "\0\0\0\0\1\0\0\0\7";
static const struct http2_frame wanted[] = {
	{ 0, NGHTTP2_SETTINGS, 0, 0, -1 }, { 3, NGHTTP2_DATA, 1, 261, -1 }, { 5, NGHTTP2_PRIORITY, 0, 3, 7 },
	{ 4, NGHTTP2_PRIORITY, 0, 3, -1 }, { 0, NGHTTP2_DATA, 1, 7, -1 },
};
#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

struct reader {
	struct http2_frames frames;
	size_t count; /* of frames */
	size_t at;    /* in wire[]: all before it has been passed over, or given as a header */
};

static void
assert_next(const struct reader *reader, const struct http2_frame *frame)
{
	const struct http2_frame *next = &wanted[reader->count];

	assert_true(reader->count < WANTED);
	assert_int_equal(frame->length, next->length);
	assert_int_equal(frame->type, next->type);
	assert_int_equal(frame->flags, next->flags);
	assert_int_equal(frame->stream, next->stream);
	assert_int_equal(frame->depends_on, next->depends_on);
	assert_memory_equal(reader->frames.start, wire + reader->at, reader->frames.have);
}

static void
look(struct reader *reader, struct bytes data)
{
	struct http2_frame frame;
	bool found = true;

	while (found) {
		const uint8_t *before = data.data;
		size_t len = http2_frames_next(&reader->frames, &data, &frame, &found);

		assert_memory_equal(before, wire + reader->at, len);
		reader->at += len;
		if (!found)
			break;
		assert_next(reader, &frame);
		reader->at += reader->frames.have;
		reader->count++;
	}
	assert_int_equal(data.len, 0);
}

static void
look_at_all(bool is_client, size_t size)
{
	struct reader reader = { .at = is_client ? 0 : sizeof(HTTP2_PREFACE) - 1 };
	size_t end = sizeof(wire) - 1;

	http2_frames_init(&reader.frames, is_client);
	for (size_t at = reader.at; at < end; at += size)
		look(&reader, bytes_of(wire + at, size < end - at ? size : end - at));
	assert_int_equal(reader.count, WANTED);
	assert_int_equal(reader.at, end);
}

static void
frames_are_found_in_pieces_of_any_size(void **state)
{
	for (size_t size = 1; size < sizeof(wire); size++) {
		look_at_all(true, size);
		look_at_all(false, size);
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
