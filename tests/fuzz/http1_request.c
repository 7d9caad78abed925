/* A request parsed in two pieces must be answered as in one, and what is accepted must have the form it promises. The
 * first byte says where the input is cut. */
#include <assert.h>
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_message message;

static bool
lies_in(struct bytes slice, const uint8_t *data, size_t len)
{
	return slice.len == 0 || (slice.data >= data && slice.data + slice.len <= data + len);
}

static void
check_message(const uint8_t *data, size_t head_len)
{
	assert(head_len >= 4 && memcmp(data + head_len - 4, "\r\n\r\n", 4) == 0);
	assert(!memchr(data, 0, head_len));
	assert(lies_in(message.start_line, data, head_len) && lies_in(message.target, data, head_len));
	assert(lies_in(message.query, data, head_len) && lies_in(message.authority, data, head_len));
	assert(lies_in(message.path, data, head_len) || bytes_equal_string(message.path, "/"));
	assert(message.framing != HTTP_TO_CLOSE && message.version_minor <= 1);
	assert(message.content_length <= INT64_MAX);
	assert(message.version_minor == 0 || http_message_field(&message, HTTP_FIELD_HOST));
	for (uint16_t i = 0; i < message.field_count; i++) {
		const struct http_field *field = &message.fields[i];
		assert(field->name.len && lies_in(field->name, data, head_len) &&
		       lies_in(field->value, data, head_len));
		assert(bytes_index(field->value, '\r') < 0 && bytes_index(field->value, '\n') < 0);
		http_field_is_hop_by_hop(&message, field);
		assert(http_message_field_named(&message, field->name));
	}
	/* One message, one framing: never both fields. */
	assert(!http_message_field(&message, HTTP_FIELD_TRANSFER_ENCODING) ||
	       (message.framing == HTTP_CHUNKED && !http_message_field(&message, HTTP_FIELD_CONTENT_LENGTH)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http1_error whole_error = HTTP1_NONE, split_error = HTTP1_NONE;
	size_t scanned = 0, whole_len = 0, split_len = 0;

	if (size == 0)
		return 0;
	/* In a block of its own length, so that the sanitizer sees a byte read too far. */
	size_t len = size - 1, cut = len ? data[0] % (len + 1) : 0;
	uint8_t *copy = malloc(len + 1), *piece = malloc(cut + 1);
	assert(copy && piece);
	memcpy(copy, data + 1, len);
	memcpy(piece, data + 1, cut);

	enum http1_result split = http1_parse_request(&message, piece, cut, &scanned, &split_len, &split_error);
	if (split == HTTP1_MORE)
		split = http1_parse_request(&message, copy, len, &scanned, &split_len, &split_error);
	scanned = 0;
	enum http1_result whole = http1_parse_request(&message, copy, len, &scanned, &whole_len, &whole_error);

	/* In pieces a field line may be judged only when the head is complete. */
	assert(split == whole || (split == HTTP1_MORE && whole == HTTP1_BAD));
	assert(split != HTTP1_BAD || split_error == whole_error);
	assert((whole == HTTP1_BAD) == (whole_error != HTTP1_NONE));
	if (whole == HTTP1_DONE) {
		assert(split_len == whole_len);
		check_message(copy, whole_len);
	}
	http1_start_line_len(copy, len);
	free(copy);
	free(piece);
	return 0;
}
