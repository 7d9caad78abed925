#include "http/h1_scan.h"

static const uint8_t root_path[1] = "/";

/* RFC 9112 section 2.2: at least one empty line before a request is ignored; clients of old send it behind a POST. */
static enum http1_result
skip_empty_line(struct http1_input *in)
{
	if (in->at < in->end && (*in->at == '\r' || *in->at == '\n'))
		return http1_line_end(in, HTTP1_BAD_START_LINE);
	return HTTP1_DONE;
}

static enum http1_result
parse_method(struct http1_input *in, struct http_message *message)
{
	const uint8_t *start = in->at;

	in->at = http1_skip_class(start, in->end, HTTP1_IS_METHOD);
	if (in->at == in->end)
		return HTTP1_MORE;
	if (*in->at != ' ' || in->at == start)
		return http1_refuse(in, HTTP1_BAD_METHOD);
	message->method_text = bytes_of(start, (size_t)(in->at - start));
	message->method = http_method_identify(message->method_text);
	return HTTP1_DONE;
}

/* Path, query and fragment, from in->at on. */
static enum http1_result
parse_path(struct http1_input *in, struct http_message *message)
{
	const uint8_t *start = in->at;

	in->at = http1_skip_text(start, in->end, ' ', '?', '#');
	message->path = bytes_of(start, (size_t)(in->at - start));
	if (in->at < in->end && *in->at == '?') {
		start = ++in->at;
		in->at = http1_skip_text(start, in->end, ' ', '#', '#');
		message->query = bytes_of(start, (size_t)(in->at - start));
		message->has_query = true;
	}
	if (in->at < in->end && *in->at == '#')
		in->at = http1_skip_text(in->at, in->end, ' ', ' ', ' ');
	return in->at == in->end ? HTTP1_MORE : HTTP1_DONE;
}

/* http://host[:port][/path][?query] */
static enum http1_result
parse_absolute(struct http1_input *in, struct http_message *message, struct bytes target)
{
	static const struct bytes schemes[] = { BYTES("http://"), BYTES("https://") };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		struct bytes prefix = schemes[i];
		if (target.len < prefix.len || !bytes_equal_ignoring_case(bytes_of(target.data, prefix.len), prefix))
			continue;
		const uint8_t *start = target.data + prefix.len, *end = target.data + target.len, *at = start;
		while (at < end && *at != '/' && *at != '?')
			at++;
		message->authority = bytes_of(start, (size_t)(at - start));
		if (!http_authority_is_valid(message->authority))
			break;
		in->at = at;
		enum http1_result result = parse_path(in, message);
		if (message->path.len == 0)
			message->path = bytes_of(root_path, 1);
		return result;
	}
	return http1_refuse(in, HTTP1_BAD_TARGET);
}

/* The forms of RFC 9112 section 3.2 other than origin-form. They are rare: the end is looked for first. */
static enum http1_result
parse_other_target(struct http1_input *in, struct http_message *message)
{
	const uint8_t *end = http1_skip_text(in->at, in->end, ' ', ' ', ' ');
	struct bytes target = bytes_of(in->at, (size_t)(end - in->at));

	if (end == in->end)
		return HTTP1_MORE;
	if (message->method == HTTP_CONNECT) {
		message->authority = target;
		if (!http_authority_is_valid(target) || bytes_index(target, ':') < 0)
			return http1_refuse(in, HTTP1_BAD_TARGET);
	} else if (message->method == HTTP_OPTIONS && bytes_equal_string(target, "*")) {
		message->path = target;
	} else {
		return parse_absolute(in, message, target);
	}
	in->at = end;
	return HTTP1_DONE;
}

static enum http1_result
parse_target(struct http1_input *in, struct http_message *message)
{
	const uint8_t *start;
	enum http1_result result;

	while (in->at < in->end && *in->at == ' ')
		in->at++;
	if (in->at == in->end)
		return HTTP1_MORE;
	start = in->at;
	if (*start == '/' && message->method != HTTP_CONNECT)
		result = parse_path(in, message);
	else
		result = parse_other_target(in, message);
	if (result != HTTP1_DONE)
		return result;
	message->target = bytes_of(start, (size_t)(in->at - start));
	if (*in->at == ' ')
		return HTTP1_DONE;
	/* A line that ends here is HTTP/0.9, which has no way to say that an answer is complete. */
	result = http1_line_end(in, HTTP1_BAD_TARGET);
	return result == HTTP1_DONE ? http1_refuse(in, HTTP1_BAD_VERSION) : result;
}

static enum http1_result
parse_version(struct http1_input *in, struct http_message *message)
{
	static const uint8_t prefix[] = "HTTP/";
	const uint8_t *at;
	size_t len;

	while (in->at < in->end && *in->at == ' ')
		in->at++;
	at = in->at;
	len = (size_t)(in->end - at);
	if (memcmp(at, prefix, len < 5 ? len : 5) != 0)
		return http1_refuse(in, HTTP1_BAD_VERSION);
	if (len < 8)
		return HTTP1_MORE;
	if (at[5] < '1' || at[5] > '9' || at[6] != '.' || at[7] < '0' || at[7] > '9')
		return http1_refuse(in, HTTP1_BAD_VERSION);
	if (at[5] != '1')
		return http1_refuse(in, HTTP1_UNSUPPORTED_VERSION);
	message->version_major = 1;
	message->version_minor = at[7] != '0';
	in->at += 8;
	return HTTP1_DONE;
}

static enum http1_result
parse_request_line(struct http1_input *in, struct http_message *message)
{
	enum http1_result result = skip_empty_line(in);
	const uint8_t *start = in->at;

	if (result == HTTP1_DONE)
		result = parse_method(in, message);
	if (result == HTTP1_DONE)
		result = parse_target(in, message);
	if (result == HTTP1_DONE)
		result = parse_version(in, message);
	if (result != HTTP1_DONE)
		return result;
	while (in->at < in->end && *in->at == ' ')
		in->at++;
	message->start_line = bytes_of(start, (size_t)(in->at - start));
	return http1_line_end(in, HTTP1_BAD_VERSION);
}

static enum http1_error
check_host(const struct http_message *message, uint64_t repeated)
{
	const struct http_field *host = http_message_field(message, HTTP_FIELD_HOST);

	/* RFC 9112 section 3.2 */
	if (!host)
		return message->version_minor >= 1 ? HTTP1_NO_HOST : HTTP1_NONE;
	if (HTTP1_SEEN(repeated, HOST) || !http_authority_is_valid(host->value))
		return HTTP1_BAD_HOST;
	return HTTP1_NONE;
}

/* RFC 9112 section 6.3, refusing whatever two recipients could read differently. */
static enum http1_error
frame_request(struct http_message *message, uint64_t repeated)
{
	const struct http_field *length = http_message_field(message, HTTP_FIELD_CONTENT_LENGTH);

	message->framing = HTTP_NO_BODY;
	if (HTTP1_SEEN(message->seen, TRANSFER_ENCODING)) {
		if (length)
			return HTTP1_LENGTH_AND_CHUNKED;
		message->framing = HTTP_CHUNKED;
		return http1_check_transfer_encoding(message, repeated);
	}
	if (!length)
		return HTTP1_NONE;
	if (HTTP1_SEEN(repeated, CONTENT_LENGTH) ||
	    !bytes_parse_unsigned(length->value, INT64_MAX, &message->content_length))
		return HTTP1_BAD_CONTENT_LENGTH;
	message->framing = message->content_length ? HTTP_LENGTH : HTTP_NO_BODY;
	return HTTP1_NONE;
}

static enum http1_result
conclude_request(struct http1_input *in, struct http_message *message)
{
	enum http1_error error = check_host(message, in->repeated);

	if (!error)
		error = frame_request(message, in->repeated);
	if (!error)
		error = http1_read_connection(message);
	if (error)
		return http1_refuse(in, error);
	if (HTTP1_SEEN(message->seen, EXPECT)) {
		/* RFC 9110 section 10.1.1: not for HTTP/1.0; an expectation that is not known is ignored. */
		const struct http_field *expect = http_message_field(message, HTTP_FIELD_EXPECT);
		message->expect_continue = message->version_minor >= 1 && HTTP1_TEXT_IS(expect->value, "100-continue");
	}
	return HTTP1_DONE;
}

enum http1_result
http1_parse_request(struct http_message *message, const uint8_t *data, size_t len, size_t *scanned, size_t *head_len,
		    enum http1_error *error)
{
	struct http1_input in = { .at = data, .end = data + len };
	enum http1_result result;

	if (len == 0 || (*scanned && !http1_head_may_end(data, len, scanned)))
		return HTTP1_MORE;
	memset(message, 0, offsetof(struct http_message, fields));
	result = parse_request_line(&in, message);
	if (result == HTTP1_DONE)
		result = http1_parse_fields(&in, message, false);
	if (result == HTTP1_DONE)
		result = conclude_request(&in, message);

	*scanned = len;
	*head_len = (size_t)(in.at - data);
	*error = in.error;
	return result;
}
