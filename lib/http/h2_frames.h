/*
 * Where frames begin in what a client sends, and what their headers say (RFC 9113 section 4.1): for who must look at a frame
 * before nghttp2 does.
 */
#ifndef HTTP_H2_FRAMES_H
#define HTTP_H2_FRAMES_H

#include "base/bytes.h"

#define HTTP2_FRAME_HEADER_LEN 9

struct http2_frame {
	uint32_t length;
	uint8_t type, flags;
	int32_t stream;
	int32_t depends_on; /* of PRIORITY; else -1 */
};

struct http2_frames {
	uint8_t start[HTTP2_FRAME_HEADER_LEN + 4]; /* of the frame that begins */
	uint8_t have;
	uint32_t left; /* of the payload that is passed over */
};

/* The connection's preface comes first. */
void http2_frames_init(struct http2_frames *frames);

/* Up to the byte with which all of `frame` is known: returns how many bytes of `data` that are, and true in *found. Else all of
 * `data` has been passed over. */
size_t http2_frames_next(struct http2_frames *frames, struct bytes data, struct http2_frame *frame, bool *found);

#endif
