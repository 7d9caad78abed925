#include "http/h1_scan.h"
#include "http/h2_internal.h"

static enum http1_error
set_method(struct http_message *message, struct bytes value)
{
	const uint8_t *end = value.data + value.len;

	if (!value.len || http1_skip_class(value.data, end, HTTP1_IS_METHOD) != end)
		return HTTP1_BAD_METHOD;
	message->method_text = value;
	message->method = http_method_identify(value);
	return HTTP1_NONE;
}

static enum http1_error
pseudo_field(struct http_message *message, struct bytes name, struct bytes value)
{
	if (bytes_equal_string(name, ":method"))
		return set_method(message, value);
	if (bytes_equal_string(name, ":path"))
		message->target = value;
	else if (bytes_equal_string(name, ":authority"))
		message->authority = value;
	return HTTP1_NONE; /* :scheme says what the connection says */
}

/* RFC 9113 section 8.2.1: no white space around a value. It is taken off, as by nginx; all else in it is checked here, as a
 * value that a server reads in HTTP/1 must be one line. */
static enum http1_error
check_value(struct bytes *value)
{
	const uint8_t *at, *end;

	while (value->len && (value->data[0] == ' ' || value->data[0] == '\t'))
		*value = bytes_from(*value, 1);
	while (value->len && (value->data[value->len - 1] == ' ' || value->data[value->len - 1] == '\t'))
		value->len--;
	at = value->data;
	end = at + value->len;
	for (;;) {
		at = http1_skip_text(at, end, 0x1f, 0x7f, 0x7f);
		if (at == end)
			return HTTP1_NONE;
		if (*at++ != '\t')
			return HTTP1_BAD_FIELD_VALUE;
	}
}

struct http_field *
http2_field_add(struct http_message *message, struct bytes name, struct bytes value)
{
	struct http_field *field;

	if (message->field_count == HTTP_FIELDS_MAX)
		return NULL;
	field = &message->fields[message->field_count++];
	*field = (struct http_field){ name, value, (uint8_t)http_field_identify(name) };
	message->seen |= 1ull << field->id;
	return field;
}

enum http1_error
http2_check_field(struct bytes name, struct bytes *value)
{
	enum http1_error error = check_value(value);

	if (error || http2_is_pseudo(name))
		return error;
	return name.len && http1_skip_token(name.data, name.data + name.len) == name.data + name.len
		       ? HTTP1_NONE
		       : HTTP1_BAD_FIELD_NAME;
}

enum http1_error
http2_request_field(struct http_message *message, struct bytes name, struct bytes value)
{
	enum http1_error error = http2_check_field(name, &value);
	enum http_field_id id = http_field_identify(name);

	if (error)
		return error;
	if (http2_is_pseudo(name))
		return pseudo_field(message, name, value);
	if (id == HTTP_FIELD_CONTENT_LENGTH && http_message_field(message, id))
		return HTTP1_BAD_CONTENT_LENGTH;
	if (id == HTTP_FIELD_HOST && http_message_field(message, id))
		return HTTP1_BAD_HOST;
	return http2_field_add(message, name, value) ? HTTP1_NONE : HTTP1_TOO_MANY_FIELDS;
}

/* ---- the whole ---- */

static const char version[] = " HTTP/2.0";

size_t
http2_request_memory(const struct http_message *message)
{
	/* The start line has the authority of CONNECT. */
	size_t size = message->method_text.len + 1 + message->target.len + message->authority.len + sizeof(version);

	for (uint16_t i = 0; i < message->field_count; i++)
		if (message->fields[i].id == HTTP_FIELD_COOKIE)
			size += message->fields[i].value.len + 2;
	return size;
}

static uint8_t *
put(uint8_t *at, struct bytes text)
{
	if (text.len)
		memcpy(at, text.data, text.len);
	return at + text.len;
}

/* Section 8.2.3: crumbs are joined before they go where HTTP/1 is spoken. */
static uint8_t *
join_cookies(struct http_message *message, uint8_t *memory)
{
	struct http_field *first = NULL;
	uint16_t kept = 0;
	uint8_t *at = memory;

	for (uint16_t i = 0; i < message->field_count; i++) {
		struct http_field *field = &message->fields[i];

		if (field->id == HTTP_FIELD_COOKIE) {
			if (first)
				at = put(at, (struct bytes)BYTES("; "));
			at = put(at, field->value);
			if (first)
				continue;
			first = &message->fields[kept];
		}
		message->fields[kept++] = *field;
	}
	if (first)
		first->value = bytes_of(memory, (size_t)(at - memory));
	message->field_count = kept;
	return at;
}

/* Of :path, or of :authority for CONNECT (section 8.5). */
static enum http1_error
read_target(struct http_message *message)
{
	struct bytes target = message->target;
	const uint8_t *end, *at;

	if (message->method == HTTP_CONNECT) {
		message->target = message->authority;
		return bytes_index(message->authority, ':') < 0 ? HTTP1_BAD_TARGET : HTTP1_NONE;
	}
	if (!target.len)
		return HTTP1_BAD_TARGET;
	end = target.data + target.len;
	if (http1_skip_text(target.data, end, ' ', ' ', ' ') != end)
		return HTTP1_BAD_TARGET;
	if (message->method == HTTP_OPTIONS && bytes_equal_string(target, "*")) {
		message->path = target;
		return HTTP1_NONE;
	}
	if (target.data[0] != '/')
		return HTTP1_BAD_TARGET;
	at = http1_skip_text(target.data, end, ' ', '?', '#');
	message->path = bytes_of(target.data, (size_t)(at - target.data));
	if (at < end && *at == '?') {
		const uint8_t *start = ++at;

		at = http1_skip_text(start, end, ' ', '#', '#');
		message->query = bytes_of(start, (size_t)(at - start));
		message->has_query = true;
	}
	return HTTP1_NONE;
}

/* :authority and Host must not disagree (section 8.3.1): which of them counts would depend on who reads. */
static enum http1_error
read_host(struct http_message *message)
{
	const struct http_field *host = http_message_field(message, HTTP_FIELD_HOST);
	struct bytes authority = message->authority;

	message->authority = (struct bytes){ 0 };
	if (!authority.len && !host)
		return HTTP1_NO_HOST;
	if (!http_authority_is_valid(authority.len ? authority : host->value))
		return HTTP1_BAD_HOST;
	if (!authority.len)
		return HTTP1_NONE;
	if (host)
		return bytes_equal_ignoring_case(host->value, authority) ? HTTP1_NONE : HTTP1_BAD_HOST;
	return http2_field_add(message, (struct bytes)BYTES("host"), authority) ? HTTP1_NONE : HTTP1_TOO_MANY_FIELDS;
}

static enum http1_error
frame(struct http_message *message, bool ended)
{
	const struct http_field *length = http_message_field(message, HTTP_FIELD_CONTENT_LENGTH);

	message->framing = ended ? HTTP_NO_BODY : HTTP_TO_CLOSE;
	if (!length)
		return HTTP1_NONE;
	if (!bytes_parse_unsigned(length->value, INT64_MAX, &message->content_length))
		return HTTP1_BAD_CONTENT_LENGTH;
	message->framing = message->content_length ? HTTP_LENGTH : HTTP_NO_BODY;
	return HTTP1_NONE;
}

enum http1_error
http2_request_conclude(struct http_message *message, uint8_t *memory, bool ended)
{
	const struct http_field *expect = http_message_field(message, HTTP_FIELD_EXPECT);
	uint8_t *at = join_cookies(message, memory), *line = at;
	enum http1_error error = read_target(message);

	at = put(at, message->method_text);
	at = put(at, (struct bytes)BYTES(" "));
	at = put(at, message->target);
	at = put(at, (struct bytes)BYTES(version));
	message->start_line = bytes_of(line, (size_t)(at - line));
	message->version_major = 2;
	message->version_minor = 0;
	message->keep_alive = true;
	message->expect_continue = expect && HTTP1_TEXT_IS(expect->value, "100-continue");
	if (!error)
		error = read_host(message);
	return error ? error : frame(message, ended);
}
