#include "http/h1_scan.h"

/* HTTP/1.x SP 3DIGIT [SP [reason]] CRLF; a missing reason, and a missing space before it, are common enough. */
static enum http1_result
parse_status_line(struct http1_input *in, struct http_message *message)
{
	static const uint8_t prefix[] = "HTTP/1.";
	const uint8_t *start = in->at;
	size_t len = (size_t)(in->end - start);

	if (memcmp(start, prefix, len < 7 ? len : 7) != 0)
		return http1_refuse(in, HTTP1_BAD_STATUS);
	if (len < 12)
		return HTTP1_MORE;
	if (start[7] < '0' || start[7] > '9' || start[8] != ' ' || start[9] < '1' || start[9] > '9' ||
	    start[10] < '0' || start[10] > '9' || start[11] < '0' || start[11] > '9')
		return http1_refuse(in, HTTP1_BAD_STATUS);
	message->version_major = 1;
	message->version_minor = start[7] != '0';
	message->status = (uint16_t)((start[9] - '0') * 100 + (start[10] - '0') * 10 + (start[11] - '0'));

	in->at += 12;
	if (in->at < in->end && *in->at == ' ') {
		const uint8_t *reason = ++in->at;
		for (;;) {
			in->at = http1_skip_text(in->at, in->end, 0x1f, 0x7f, 0x7f);
			if (in->at == in->end || *in->at != '\t')
				break;
			in->at++;
		}
		message->reason = bytes_of(reason, (size_t)(in->at - reason));
	}
	message->start_line = bytes_of(start, (size_t)(in->at - start));
	return http1_line_end(in, HTTP1_BAD_STATUS);
}

/* RFC 9110 section 8.6: the same number several times, as a list or in several fields, is that number. */
static enum http1_error
read_content_length(struct http_message *message)
{
	bool known = false;

	for (uint16_t i = 0; i < message->field_count; i++) {
		if (message->fields[i].id != HTTP_FIELD_CONTENT_LENGTH)
			continue;
		struct bytes list = message->fields[i].value, element;
		uint64_t value;
		if (list.len == 0)
			return HTTP1_BAD_CONTENT_LENGTH;
		while (http_list_next(&list, &element)) {
			if (!bytes_parse_unsigned(element, INT64_MAX, &value) ||
			    (known && value != message->content_length))
				return HTTP1_BAD_CONTENT_LENGTH;
			message->content_length = value;
			known = true;
		}
	}
	return known ? HTTP1_NONE : HTTP1_BAD_CONTENT_LENGTH;
}

/* RFC 9112 section 6.3 */
static enum http1_error
frame_response(struct http_message *message, uint64_t repeated, bool to_head)
{
	bool has_length = HTTP1_SEEN(message->seen, CONTENT_LENGTH);
	enum http1_error error = HTTP1_NONE;

	message->framing = HTTP_TO_CLOSE;
	if (HTTP1_SEEN(message->seen, TRANSFER_ENCODING)) {
		if (has_length)
			return HTTP1_LENGTH_AND_CHUNKED;
		error = http1_check_transfer_encoding(message, repeated);
		message->framing = HTTP_CHUNKED;
	} else if (has_length) {
		error = read_content_length(message);
		message->framing = message->content_length ? HTTP_LENGTH : HTTP_NO_BODY;
	}
	if (to_head || message->status < 200 || message->status == 204 || message->status == 304) {
		message->framing = HTTP_NO_BODY;
		message->content_length = 0;
	}
	return error;
}

enum http1_result
http1_parse_response(struct http_message *message, const uint8_t *data, size_t len, size_t *scanned, size_t *head_len,
		     bool to_head, enum http1_error *error)
{
	struct http1_input in = { .at = data, .end = data + len };
	enum http1_result result;

	if (len == 0 || (*scanned && !http1_head_may_end(data, len, scanned)))
		return HTTP1_MORE;
	memset(message, 0, offsetof(struct http_message, fields));
	result = parse_status_line(&in, message);
	if (result == HTTP1_DONE)
		result = http1_parse_fields(&in, message, true);
	if (result == HTTP1_DONE) {
		in.error = frame_response(message, in.repeated, to_head);
		if (!in.error)
			in.error = http1_read_connection(message);
		if (in.error)
			result = HTTP1_BAD;
		if (message->framing == HTTP_TO_CLOSE)
			message->keep_alive = false;
	}

	*scanned = len;
	*head_len = (size_t)(in.at - data);
	*error = in.error;
	return result;
}
