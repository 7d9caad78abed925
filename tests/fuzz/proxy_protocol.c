/* A header that is read whole is MORE in each of its beginnings, and what version 1 writes is read as it was. */
#include <assert.h>
#include <stdlib.h>

#include "packet/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_beginnings(const uint8_t *data, size_t len)
{
	struct packet_proxy out;

	for (size_t i = 0; i < len; i++) {
		uint8_t *copy = malloc(i + 1);

		assert(copy);
		memcpy(copy, data, i);
		assert(packet_proxy_parse(bytes_of(copy, i), &out) == PACKET_PROXY_MORE);
		free(copy);
	}
}

static void
check_writing(const struct packet_proxy *said)
{
	char text[PACKET_PROXY_V1_MAX];
	size_t len = packet_proxy_write_v1(text, &said->source, &said->destination);
	struct packet_proxy back;

	assert(packet_proxy_parse(bytes_of(text, len), &back) == PACKET_PROXY_DONE);
	assert(back.known && back.len == len);
	assert(endpoint_equal(&back.source, &said->source) && endpoint_equal(&back.destination, &said->destination));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No longer than what is there, so that a byte read behind it is seen. */
	uint8_t *copy = malloc(size + 1);
	struct packet_proxy out;

	assert(copy);
	memcpy(copy, data, size);
	if (packet_proxy_parse(bytes_of(copy, size), &out) == PACKET_PROXY_DONE) {
		assert(out.len <= size && out.len <= PACKET_PROXY_MAX);
		check_beginnings(copy, out.len);
		if (out.known)
			check_writing(&out);
	}
	free(copy);
	return 0;
}
