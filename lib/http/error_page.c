#include "http/error_page.h"

#include <stdio.h>

static const char padding_line[] = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";
#define PADDING_LINES 6

uint16_t
http_status_on_wire(uint16_t status)
{
	return status >= HTTP_HEAD_TOO_LARGE && status <= HTTP_PLAIN_ON_TLS_PORT ? 400 : status;
}

struct bytes
http_server_name(bool server_tokens)
{
	static const struct bytes with_version = BYTES("weir/" WEIR_VERSION), bare = BYTES("weir");

	return server_tokens ? with_version : bare;
}

/* What stands behind the number where that is not the phrase of the status line. */
static const char *
page_note(uint16_t status)
{
	switch (status) {
	case HTTP_HEAD_TOO_LARGE:
		return "Request Header Or Cookie Too Large";
	case HTTP_CERTIFICATE_ERROR:
		return "The SSL certificate error";
	case HTTP_NO_CERTIFICATE:
		return "No required SSL certificate was sent";
	case HTTP_PLAIN_ON_TLS_PORT:
		return "The plain HTTP request was sent to HTTPS port";
	default:
		return NULL;
	}
}

static const char *
page_heading(uint16_t status)
{
	switch (status) {
	case 302:
		return "Found";
	case 401:
		return "Authorization Required";
	case 304:
		return NULL;
	default:
		return status > 300 ? http_reason(http_status_on_wire(status)) : NULL;
	}
}

struct bytes
http_error_page_write(uint8_t *out, size_t size, uint16_t status, bool server_tokens, bool padding)
{
	const char *heading = page_heading(status), *note = page_note(status);
	struct bytes server = http_server_name(server_tokens);
	unsigned int code = http_status_on_wire(status);
	size_t len, padding_len = padding && status >= 400 ? PADDING_LINES * (sizeof(padding_line) - 1) : 0;

	if (!heading)
		return bytes_of(out, 0);
	int written = snprintf((char *)out, size,
			       "<html>\r\n<head><title>%u %s</title></head>\r\n<body>\r\n"
			       "<center><h1>%u %s</h1></center>\r\n%s%s%s"
			       "<hr><center>%.*s</center>\r\n</body>\r\n</html>\r\n",
			       code, note ? note : heading, code, heading, note ? "<center>" : "", note ? note : "",
			       note ? "</center>\r\n" : "", (int)server.len, (const char *)server.data);
	len = (size_t)written;
	if (written < 0 || len + padding_len >= size)
		return bytes_of(out, 0);
	for (size_t end = len + padding_len; len < end; len += sizeof(padding_line) - 1)
		memcpy(out + len, padding_line, sizeof(padding_line) - 1);
	return bytes_of(out, len);
}

static const uint8_t *
find(struct bytes text, const char *word)
{
	return memmem(text.data, text.len, word, strlen(word));
}

bool
http_error_page_wants_padding(const struct http_message *request)
{
	const struct http_field *agent = http_message_field(request, HTTP_FIELD_USER_AGENT);
	const uint8_t *msie;

	if (!agent || find(agent->value, "Opera"))
		return false;
	msie = find(agent->value, "MSIE ");
	/* nginx wants something behind "MSIE 6." */
	if (msie && agent->value.data + agent->value.len - msie > 7)
		return true;
	return find(agent->value, "Chrome/") && !find(agent->value, "Gecko/");
}
