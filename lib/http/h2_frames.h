/*
 * Where frames begin in what the other side sends, and what their headers say (RFC 9113 section 4.1): for who must look at a frame
 * before nghttp2 does, and give it the header as a whole.
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
	uint8_t have;                              /* of it, so far */
	uint32_t left;                             /* of what comes before it, to be passed over */
};

/* `is_client`: of a client, whose connection preface comes first. */
void http2_frames_init(struct http2_frames *frames, bool is_client);

/*
 * Passes over what is in `data` up to the next frame and reads its start, of which a part may have come before. Returns how many
 * bytes were passed over. True in *found: frames->start has all frames->have bytes that tell of `frame`, and *data is what follows
 * them. Else *data has been taken in whole.
 */
size_t http2_frames_next(struct http2_frames *frames, struct bytes *data, struct http2_frame *frame, bool *found);

#endif
