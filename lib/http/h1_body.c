#include "http/h1_scan.h"

enum body_state {
	CONTENT, /* of HTTP_LENGTH, of HTTP_TO_CLOSE, or of a chunk */
	CHUNK_SIZE,
	CHUNK_PADDING, /* blanks behind the size: BWS of RFC 9112 section 7.1.1, or what old servers pad with */
	CHUNK_EXTENSION,
	CHUNK_LINE_FEED,
	CONTENT_RETURN, /* the CRLF behind a chunk's content */
	CONTENT_LINE_FEED,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LINE_FEED,
	LAST_LINE_FEED,
	ENDED,
	BROKEN_CHUNK,
	BROKEN_TRAILER,
};

/* 15 digits are more than any body and cannot overflow. */
#define SIZE_DIGITS_MAX 15

void
http1_body_init(struct http1_body *body, const struct http_message *message)
{
	*body = (struct http1_body){ .framing = message->framing, .state = CONTENT };
	switch (message->framing) {
	case HTTP_NO_BODY:
		body->state = ENDED;
		break;
	case HTTP_LENGTH:
		body->left = message->content_length;
		body->state = body->left ? CONTENT : ENDED;
		break;
	case HTTP_CHUNKED:
		body->state = CHUNK_SIZE;
		break;
	case HTTP_TO_CLOSE:
		body->left = UINT64_MAX;
		break;
	}
}

bool
http1_body_may_end(const struct http1_body *body)
{
	return body->framing == HTTP_TO_CLOSE || body->state == ENDED;
}

static inline bool
is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static enum body_state
size_byte(struct http1_body *body, uint8_t c)
{
	int digit = byte_hex(c);

	if (digit >= 0) {
		if (body->size_digits == SIZE_DIGITS_MAX)
			return BROKEN_CHUNK;
		body->size_digits++;
		body->left = body->left << 4 | (uint64_t)digit;
		return CHUNK_SIZE;
	}
	if (body->size_digits == 0)
		return BROKEN_CHUNK;
	if (c == '\r')
		return CHUNK_LINE_FEED;
	if (c == ';')
		return CHUNK_EXTENSION;
	return c == ' ' || c == '\t' ? CHUNK_PADDING : BROKEN_CHUNK;
}

/* Extensions mean nothing to anybody (RFC 9112 section 7.1.1: ignore what is not known); only their end matters. */
static enum body_state
extension_byte(struct http1_body *body, uint8_t c)
{
	if (c == '\r')
		return CHUNK_LINE_FEED;
	if (++body->line_len > HTTP1_CHUNK_LINE_MAX || is_control(c))
		return BROKEN_CHUNK;
	if (body->state == CHUNK_EXTENSION || c == ';')
		return CHUNK_EXTENSION;
	return c == ' ' || c == '\t' ? CHUNK_PADDING : BROKEN_CHUNK;
}

static enum body_state
trailer_byte(struct http1_body *body, uint8_t c)
{
	if (++body->trailer_len > HTTP1_TRAILERS_MAX)
		return BROKEN_TRAILER;
	switch (body->state) {
	case TRAILER_START:
		if (c == '\r')
			return LAST_LINE_FEED;
		return http1_classes[c] & HTTP1_IS_TOKEN ? TRAILER_NAME : BROKEN_TRAILER;
	case TRAILER_NAME:
		if (c == ':')
			return TRAILER_VALUE;
		return http1_classes[c] & HTTP1_IS_TOKEN ? TRAILER_NAME : BROKEN_TRAILER;
	case TRAILER_VALUE:
		if (c == '\r')
			return TRAILER_LINE_FEED;
		return is_control(c) ? BROKEN_TRAILER : TRAILER_VALUE;
	case TRAILER_LINE_FEED:
		return c == '\n' ? TRAILER_START : BROKEN_TRAILER;
	default:
		return c == '\n' ? ENDED : BROKEN_TRAILER;
	}
}

static enum body_state
framing_byte(struct http1_body *body, uint8_t c)
{
	switch (body->state) {
	case CHUNK_SIZE:
		return size_byte(body, c);
	case CHUNK_PADDING:
	case CHUNK_EXTENSION:
		return extension_byte(body, c);
	case CHUNK_LINE_FEED:
		if (c != '\n')
			return BROKEN_CHUNK;
		return body->left ? CONTENT : TRAILER_START;
	case CONTENT_RETURN:
		return c == '\r' ? CONTENT_LINE_FEED : BROKEN_CHUNK;
	case CONTENT_LINE_FEED:
		body->size_digits = 0;
		body->line_len = 0;
		return c == '\n' ? CHUNK_SIZE : BROKEN_CHUNK;
	case BROKEN_CHUNK:
	case BROKEN_TRAILER:
		return (enum body_state)body->state;
	default:
		return trailer_byte(body, c);
	}
}

enum http1_result
http1_body_decode(struct http1_body *body, const uint8_t *data, size_t len, size_t *consumed, size_t *offset,
		  size_t *size, enum http1_error *error)
{
	size_t at = 0;

	*offset = *size = 0;
	while (at < len && body->state < ENDED) {
		if (body->state == CONTENT) {
			if (*size)
				break;
			*offset = at;
			*size = len - at < body->left ? len - at : (size_t)body->left;
			at += *size;
			if (body->framing == HTTP_TO_CLOSE)
				break;
			body->left -= *size;
			if (body->left == 0)
				body->state = body->framing == HTTP_LENGTH ? ENDED : CONTENT_RETURN;
			continue;
		}
		body->state = (uint8_t)framing_byte(body, data[at]);
		at += body->state < BROKEN_CHUNK;
	}
	*consumed = at;
	if (body->state < ENDED)
		return HTTP1_MORE;
	if (body->state == ENDED)
		return HTTP1_DONE;
	*error = body->state == BROKEN_CHUNK ? HTTP1_BAD_CHUNK : HTTP1_BAD_TRAILER;
	return HTTP1_BAD;
}

size_t
http1_chunk_head(uint8_t *out, uint64_t size)
{
	static const uint8_t digits[] = "0123456789abcdef";
	unsigned int count = size ? (67 - (unsigned int)__builtin_clzll(size)) / 4 : 1;

	for (unsigned int i = 0; i < count; i++)
		out[i] = digits[size >> 4 * (count - 1 - i) & 15];
	out[count] = '\r';
	out[count + 1] = '\n';
	return count + 2;
}
