/* A body decoded in pieces must give what it gives as a whole. The first byte is the framing, the second the size of
 * the pieces. */
#include <assert.h>
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decoded {
	enum http1_result result;
	enum http1_error error;
	size_t consumed, len;
	uint8_t *content;
};

static struct decoded
decode(const struct http_message *message, const uint8_t *data, size_t len, size_t step)
{
	struct decoded out = { .result = HTTP1_MORE, .content = malloc(len + 1) };
	struct http1_body body;
	size_t end = 0;

	assert(out.content);
	http1_body_init(&body, message);
	while (out.result == HTTP1_MORE && out.consumed < len) {
		size_t consumed, offset, size;
		if (end == out.consumed)
			end = len - end < step ? len : end + step;
		out.result = http1_body_decode(&body, data + out.consumed, end - out.consumed, &consumed, &offset,
					       &size, &out.error);
		assert(consumed <= end - out.consumed && offset + size <= consumed);
		assert(consumed || out.result != HTTP1_MORE);
		memcpy(out.content + out.len, data + out.consumed + offset, size);
		out.len += size;
		out.consumed += consumed;
	}
	assert((out.result == HTTP1_BAD) == (out.error != HTTP1_NONE));
	assert(out.result != HTTP1_DONE || http1_body_may_end(&body));
	return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_message message;

	if (size < 2)
		return 0;
	message.framing = (enum http_framing)(data[0] % 4);
	message.content_length = message.framing == HTTP_LENGTH ? data[0] : 0;

	struct decoded whole = decode(&message, data + 2, size - 2, SIZE_MAX);
	struct decoded split = decode(&message, data + 2, size - 2, data[1] % 16 + 1);
	assert(whole.result == split.result && whole.error == split.error);
	assert(whole.consumed == split.consumed && whole.len == split.len);
	assert(memcmp(whole.content, split.content, whole.len) == 0);
	free(whole.content);
	free(split.content);
	return 0;
}
