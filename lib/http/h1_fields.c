#include "http/h1_scan.h"

#define ROW(name, status, text) [HTTP1_##name] = text,
const char *const http1_error_names[HTTP1_ERROR_COUNT] = { HTTP1_ERRORS(ROW) };
#undef ROW
#define ROW(name, status, text) [HTTP1_##name] = status,
const uint16_t http1_error_status[HTTP1_ERROR_COUNT] = { HTTP1_ERRORS(ROW) };
#undef ROW

#define T HTTP1_IS_TOKEN
#define TH (HTTP1_IS_TOKEN | HTTP1_IS_HOST)
#define TMH (HTTP1_IS_TOKEN | HTTP1_IS_METHOD | HTTP1_IS_HOST)
#define H HTTP1_IS_HOST
#define P HTTP1_BREAKS_PATH

const uint8_t http1_classes[256] = {
	[0] = P,     ['!'] = TH,          ['#'] = T | P, ['$'] = TH,         ['%'] = T | P, ['&'] = TH,
	['\''] = TH, ['('] = H,           [')'] = H,     ['*'] = TH,         ['+'] = TH,    [','] = H,
	['-'] = TMH, ['.'] = TH,          ['/'] = P,     ['0' ... '9'] = TH, [';'] = H,     ['='] = H,
	['?'] = P,   ['A' ... 'Z'] = TMH, ['^'] = T,     ['_'] = TMH,        ['`'] = T,     ['a' ... 'z'] = TH,
	['|'] = T,   ['~'] = TH,
};

/* An empty line before a request (RFC 9112 section 2.2) is none of its lines. */
static size_t
skipped_len(const uint8_t *data, size_t len)
{
	return len >= 2 && data[0] == '\r' && data[1] == '\n' ? 2 : 0;
}

bool
http1_head_may_end(const uint8_t *data, size_t len, size_t *scanned)
{
	const uint8_t *at = data + *scanned, *end = data + len, *start = data + skipped_len(data, len);

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		if (at == data || at[-1] != '\r')
			return true;
		if (at - data >= 3 && at[-2] == '\n' && at[-3] == '\r')
			return true;
		/* A start line is judged when it is complete: what comes from another protocol may send no more. */
		if (at > start && !memchr(start, '\n', (size_t)(at - start)))
			return true;
		at++;
	}
	*scanned = len;
	return false;
}

size_t
http1_start_line_len(const uint8_t *data, size_t len)
{
	size_t skip = skipped_len(data, len);
	const uint8_t *end = len > skip ? memchr(data + skip, '\n', len - skip) : NULL;

	return end ? (size_t)(end + 1 - data) : 0;
}

static enum http1_result
parse_name(struct http1_input *in, struct http_field *field, bool blanks_before_colon)
{
	const uint8_t *start = in->at, *at = http1_skip_token(start, in->end);

	field->name = bytes_of(start, (size_t)(at - start));
	if (blanks_before_colon)
		at = http1_skip_blanks(at, in->end);
	if (at == in->end)
		return HTTP1_MORE;
	if (*at != ':' || field->name.len == 0)
		return http1_refuse(in, HTTP1_BAD_FIELD_NAME);
	in->at = at + 1;
	return HTTP1_DONE;
}

static enum http1_result
parse_value(struct http1_input *in, struct http_field *field)
{
	const uint8_t *start = http1_skip_blanks(in->at, in->end), *end;

	in->at = start;
	for (;;) {
		in->at = http1_skip_text(in->at, in->end, 0x1f, 0x7f, 0x7f);
		if (in->at == in->end || *in->at != '\t')
			break;
		in->at++;
	}
	end = in->at;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	field->value = bytes_of(start, (size_t)(end - start));
	return http1_line_end(in, HTTP1_BAD_FIELD_VALUE);
}

enum http1_result
http1_parse_fields(struct http1_input *in, struct http_message *message, bool blanks_before_colon)
{
	for (;;) {
		if (in->at == in->end)
			return HTTP1_MORE;
		if (*in->at == '\r' || *in->at == '\n')
			return http1_line_end(in, HTTP1_BAD_FIELD_NAME);
		if (*in->at == ' ' || *in->at == '\t')
			return http1_refuse(in, HTTP1_OBSOLETE_FOLD);
		if (message->field_count == HTTP_FIELDS_MAX)
			return http1_refuse(in, HTTP1_TOO_MANY_FIELDS);

		struct http_field *field = &message->fields[message->field_count];
		enum http1_result result = parse_name(in, field, blanks_before_colon);
		if (result == HTTP1_DONE)
			result = parse_value(in, field);
		if (result != HTTP1_DONE)
			return result;

		field->id = (uint8_t)http_field_identify(field->name);
		uint64_t bit = 1ull << field->id;
		in->repeated |= message->seen & bit;
		message->seen |= bit;
		message->field_count++;
	}
}

enum http1_error
http1_read_connection(struct http_message *message)
{
	bool close = false, keep_alive = false, upgrade = false;
	size_t len = 0;

	for (uint16_t i = 0; HTTP1_SEEN(message->seen, CONNECTION) && i < message->field_count; i++) {
		if (message->fields[i].id != HTTP_FIELD_CONNECTION)
			continue;
		struct bytes list = message->fields[i].value, option;
		len += list.len;
		if (len > HTTP1_CONNECTION_MAX)
			return HTTP1_BAD_FIELD_VALUE;
		while (http_list_next(&list, &option)) {
			if (HTTP1_TEXT_IS(option, "close"))
				close = true;
			else if (HTTP1_TEXT_IS(option, "keep-alive"))
				keep_alive = true;
			else if (HTTP1_TEXT_IS(option, "upgrade"))
				upgrade = true;
			else
				message->connection_has_options = true;
		}
	}
	message->keep_alive = !close && (message->version_minor >= 1 || keep_alive);
	/* RFC 9110 section 7.8: an Upgrade in an HTTP/1.0 request is ignored. */
	message->upgrade = upgrade && message->version_minor >= 1 && HTTP1_SEEN(message->seen, UPGRADE);
	return HTTP1_NONE;
}

enum http1_error
http1_check_transfer_encoding(const struct http_message *message, uint64_t repeated)
{
	struct bytes list = http_message_field(message, HTTP_FIELD_TRANSFER_ENCODING)->value, coding;
	unsigned int codings = 0, chunked = 0;

	/* RFC 9112 section 6.1: framing in a message of HTTP/1.0 is faulty. A second field is a second coding, and
	 * nothing that Weir could forward has two. */
	if (message->version_minor == 0 || HTTP1_SEEN(repeated, TRANSFER_ENCODING) || list.len == 0)
		return HTTP1_BAD_TRANSFER_ENCODING;
	if (HTTP1_TEXT_IS(list, "chunked"))
		return HTTP1_NONE;
	while (http_list_next(&list, &coding)) {
		codings++;
		if (HTTP1_TEXT_IS(coding, "chunked")) {
			chunked++;
			/* Section 7.1: chunked is applied once, and last. */
			if (chunked > 1 || list.len)
				return HTTP1_BAD_TRANSFER_ENCODING;
		}
	}
	/* What is left of "chunked" alone came with stray commas. */
	return codings > chunked ? HTTP1_UNKNOWN_TRANSFER_ENCODING : HTTP1_BAD_TRANSFER_ENCODING;
}
