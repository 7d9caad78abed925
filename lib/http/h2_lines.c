/* From lines of HTTP/1 to fields of HTTP/2. */
#include "http/h2_internal.h"

/* Nor what would frame the message (RFC 9110 section 6.5.1). */
#define NOT_IN_TRAILERS (HTTP2_NOT_IN_HEADS | 1ull << HTTP_FIELD_CONTENT_LENGTH | 1ull << HTTP_FIELD_HOST)

/* "Name: value\r\n" at *text; false where the lines end. */
static bool
next_line(struct bytes *text, uint64_t left_out, nghttp2_nv *nv, size_t *count)
{
	const uint8_t *end = text->len ? memchr(text->data, '\r', text->len) : NULL, *colon;
	struct bytes line, value;
	uint8_t *name;

	if (!end || end == text->data)
		return false;
	line = bytes_of(text->data, (size_t)(end - text->data));
	*text = bytes_from(*text, line.len + 2);
	colon = memchr(line.data, ':', line.len);
	if (!colon)
		return true;
	value = bytes_from(line, (size_t)(colon - line.data) + 1);
	while (value.len && (value.data[0] == ' ' || value.data[0] == '\t'))
		value = bytes_from(value, 1);
	while (value.len && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
		value.len--;
	line.len = (size_t)(colon - line.data);
	if (!line.len || left_out >> http_field_identify(line) & 1)
		return true;
	name = (uint8_t *)(uintptr_t)line.data;
	bytes_lower(line, name);
	nv[(*count)++] =
		(nghttp2_nv){ name, (uint8_t *)(uintptr_t)value.data, line.len, value.len, NGHTTP2_NV_FLAG_NONE };
	return true;
}

/* Into nv[], from nv[count] on. False: too many. */
bool
http2_read_lines(struct bytes text, uint64_t left_out, nghttp2_nv *nv, size_t *count)
{
	while (*count < HTTP2_FIELDS_MAX)
		if (!next_line(&text, left_out, nv, count))
			return true;
	return false;
}

bool
http2_trailers(struct http2_session *s, int32_t id, struct bytes lines)
{
	static _Thread_local nghttp2_nv nv[HTTP2_FIELDS_MAX];
	size_t count = 0;

	s->has_trailers = http2_read_lines(lines, NOT_IN_TRAILERS, nv, &count) && count &&
			  nghttp2_submit_trailer(s->nghttp2, id, nv, count) == 0;
	return s->has_trailers;
}
