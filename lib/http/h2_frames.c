#include "http/h2_frames.h"

#include <nghttp2/nghttp2.h>

#include "http/h2.h"

void
http2_frames_init(struct http2_frames *frames, bool is_client)
{
	*frames = (struct http2_frames){ .left = is_client ? sizeof(HTTP2_PREFACE) - 1 : 0 };
}

static uint32_t
length_of(const struct http2_frames *frames)
{
	return (uint32_t)frames->start[0] << 16 | (uint32_t)frames->start[1] << 8 | frames->start[2];
}

static int32_t
stream_at(const uint8_t *data)
{
	return (int32_t)((uint32_t)(data[0] & 0x7f) << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3]);
}

#define PRIORITY_LEN 5 /* what has another is no PRIORITY, and nghttp2 says so */

static bool
is_complete(const struct http2_frames *frames)
{
	bool tells_more = frames->have >= HTTP2_FRAME_HEADER_LEN && frames->start[3] == NGHTTP2_PRIORITY &&
			  length_of(frames) == PRIORITY_LEN;

	return frames->have == (tells_more ? sizeof(frames->start) : HTTP2_FRAME_HEADER_LEN);
}

static struct http2_frame
frame_of(const struct http2_frames *frames)
{
	bool tells_more = frames->have > HTTP2_FRAME_HEADER_LEN;

	return (struct http2_frame){
		.length = length_of(frames),
		.type = frames->start[3],
		.flags = frames->start[4],
		.stream = stream_at(frames->start + 5),
		.depends_on = tells_more ? stream_at(frames->start + HTTP2_FRAME_HEADER_LEN) : -1,
	};
}

size_t
http2_frames_next(struct http2_frames *frames, struct bytes *data, struct http2_frame *frame, bool *found)
{
	size_t passed, at;

	if (is_complete(frames)) {
		frames->left = length_of(frames) - (frames->have - HTTP2_FRAME_HEADER_LEN);
		frames->have = 0;
	}
	passed = data->len < frames->left ? data->len : frames->left;
	frames->left -= (uint32_t)passed;
	for (at = passed; at < data->len && !is_complete(frames); at++)
		frames->start[frames->have++] = data->data[at];
	*data = bytes_from(*data, at);
	*found = is_complete(frames);
	if (*found)
		*frame = frame_of(frames);
	return passed;
}
