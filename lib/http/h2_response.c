#include "http/h1_scan.h"
#include "http/h2_client.h"
#include "http/h2_internal.h"

/* nghttp2 takes any three digits for one, and those below 100 for the last head. */
static enum http1_error
set_status(struct http_message *message, struct bytes value)
{
	uint64_t status;

	if (!bytes_parse_unsigned(value, 999, &status) || value.len != 3 || status < 100)
		return HTTP1_BAD_STATUS;
	message->status = (uint16_t)status;
	return HTTP1_NONE;
}

enum http1_error
http2_response_field(struct http_message *message, struct bytes name, struct bytes value)
{
	enum http1_error error = http2_check_field(name, &value);

	if (error)
		return error;
	if (http2_is_pseudo(name))
		return set_status(message, value);
	if (http_field_identify(name) == HTTP_FIELD_CONTENT_LENGTH &&
	    !bytes_parse_unsigned(value, INT64_MAX, &message->content_length))
		return HTTP1_BAD_CONTENT_LENGTH;
	return http2_field_add(message, name, value) ? HTTP1_NONE : HTTP1_TOO_MANY_FIELDS;
}

void
http2_response_conclude(struct http_message *message, bool to_head, bool ended)
{
	bool is_empty = to_head || message->status < 200 || message->status == 204 || message->status == 304;

	message->version_major = 2;
	message->version_minor = 0;
	message->keep_alive = true;
	message->framing = ended || is_empty ? HTTP_NO_BODY : HTTP_TO_CLOSE;
}
