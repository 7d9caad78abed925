#include "http/h2_streams.h"

#include <nghttp2/nghttp2.h>

#define BITS 64

/* The bit of a client's stream among those that are remembered; 0: it is none of them. */
static uint64_t
bit_of(const struct http2_streams *streams, int32_t id)
{
	int32_t behind = (streams->last - id) / 2;

	return id % 2 == 1 && id <= streams->last && behind < BITS ? 1ull << behind : 0;
}

void
http2_streams_opened(struct http2_streams *streams, int32_t id)
{
	int32_t further = (id - streams->last + 1) / 2;

	if (id <= streams->last || id % 2 == 0)
		return;
	streams->opened = further < BITS ? streams->opened << further : 0;
	streams->ended = further < BITS ? streams->ended << further : 0;
	streams->last = id;
	streams->opened |= 1;
}

void
http2_streams_ended(struct http2_streams *streams, int32_t id)
{
	streams->ended |= bit_of(streams, id);
}

uint32_t
http2_streams_error(const struct http2_streams *streams, int32_t id)
{
	uint64_t bit = bit_of(streams, id);

	if (!(streams->opened & bit))
		return bit ? NGHTTP2_PROTOCOL_ERROR : 0;
	return streams->ended & bit ? NGHTTP2_STREAM_CLOSED : 0;
}
