#include "http/h2_frames.h"

#include <nghttp2/nghttp2.h>

#include "http/h2.h"

void
http2_frames_init(struct http2_frames *frames)
{
	*frames = (struct http2_frames){ .left = sizeof(HTTP2_PREFACE) - 1 };
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

static bool
is_complete(const struct http2_frames *frames)
{
	bool tells_more = frames->have >= HTTP2_FRAME_HEADER_LEN && frames->start[3] == NGHTTP2_PRIORITY &&
			  length_of(frames) >= 4;

	return frames->have == (tells_more ? sizeof(frames->start) : HTTP2_FRAME_HEADER_LEN);
}

size_t
http2_frames_next(struct http2_frames *frames, struct bytes data, struct http2_frame *frame, bool *found)
{
	size_t at = 0;

	*found = false;
	while (at < data.len && !*found) {
		size_t passed = data.len - at < frames->left ? data.len - at : frames->left;

		frames->left -= (uint32_t)passed;
		at += passed;
		if (at == data.len)
			break;
		frames->start[frames->have++] = data.data[at++];
		*found = is_complete(frames);
	}
	if (!*found)
		return at;
	*frame = (struct http2_frame){
		.length = length_of(frames),
		.type = frames->start[3],
		.flags = frames->start[4],
		.stream = stream_at(frames->start + 5),
		.depends_on =
			frames->have > HTTP2_FRAME_HEADER_LEN ? stream_at(frames->start + HTTP2_FRAME_HEADER_LEN) : -1,
	};
	frames->left = frame->length - (frames->have - HTTP2_FRAME_HEADER_LEN);
	frames->have = 0;
	return at;
}
