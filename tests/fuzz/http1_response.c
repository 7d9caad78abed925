/* As http1_request, for responses. The first byte says where the input is cut, and whether it answers HEAD. */
#include <assert.h>
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_message message;

static void
check_message(bool to_head)
{
	bool bodiless = to_head || message.status < 200 || message.status == 204 || message.status == 304;

	assert(message.status >= 100 && message.status <= 999 && message.version_minor <= 1);
	assert(!bodiless || message.framing == HTTP_NO_BODY);
	assert(message.framing != HTTP_TO_CLOSE || !message.keep_alive);
	assert(message.framing != HTTP_LENGTH || (message.content_length && message.content_length <= INT64_MAX));
	assert(message.framing != HTTP_CHUNKED || message.version_minor == 1);
	for (uint16_t i = 0; i < message.field_count; i++) {
		struct bytes value = message.fields[i].value;
		assert(bytes_index(value, '\r') < 0 && bytes_index(value, '\n') < 0 && bytes_index(value, 0) < 0);
		assert(bytes_index(message.fields[i].name, ' ') < 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http1_error whole_error = HTTP1_NONE, split_error = HTTP1_NONE;
	size_t scanned = 0, whole_len = 0, split_len = 0;

	if (size == 0)
		return 0;
	size_t len = size - 1, cut = len ? data[0] % (len + 1) : 0;
	bool to_head = data[0] & 1;
	uint8_t *copy = malloc(len + 1), *piece = malloc(cut + 1);
	assert(copy && piece);
	memcpy(copy, data + 1, len);
	memcpy(piece, data + 1, cut);

	enum http1_result split =
		http1_parse_response(&message, piece, cut, &scanned, &split_len, to_head, &split_error);
	if (split == HTTP1_MORE)
		split = http1_parse_response(&message, copy, len, &scanned, &split_len, to_head, &split_error);
	scanned = 0;
	enum http1_result whole =
		http1_parse_response(&message, copy, len, &scanned, &whole_len, to_head, &whole_error);

	assert(split == whole || (split == HTTP1_MORE && whole == HTTP1_BAD));
	assert(split != HTTP1_BAD || split_error == whole_error);
	assert((whole == HTTP1_BAD) == (whole_error != HTTP1_NONE));
	if (whole == HTTP1_DONE) {
		assert(split_len == whole_len);
		check_message(to_head);
	}
	free(copy);
	free(piece);
	return 0;
}
