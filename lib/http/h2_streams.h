/*
 * What a client has done with its latest streams, for the time when nobody knows them any more: nghttp2 forgets a stream that is
 * closed, and then ignores what comes for it. What comes behind a client's own END_STREAM or RST_STREAM, or for a number that it
 * has skipped, is an error (RFC 9113 section 5.1, 5.1.1); what was on its way when we reset a stream is none.
 *
 * Of a client's last 64 numbers; those before are let pass.
 */
#ifndef HTTP_H2_STREAMS_H
#define HTTP_H2_STREAMS_H

#include <stdint.h>

/* Zeroed at first. Bit i is stream last - 2 * i. */
struct http2_streams {
	int32_t last;
	uint64_t opened, ended; /* by the client */
};

void http2_streams_opened(struct http2_streams *streams, int32_t id);
/* END_STREAM or RST_STREAM has come. */
void http2_streams_ended(struct http2_streams *streams, int32_t id);
/* A frame of a request for a stream that is not there (any more): the code of the error that it is (section 7), 0: none. */
uint32_t http2_streams_error(const struct http2_streams *streams, int32_t id);

#endif
