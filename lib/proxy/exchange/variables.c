#include <arpa/inet.h>
#include <openssl/evp.h>

#include "http/error_page.h"
#include "proxy/print.h"
#include "proxy/worker.h"

#define GETTER(name) static PROXY_GETTER(name)
#define EXCHANGE const struct proxy_exchange *x = subject

/* ---- request ---- */

/* Slices that lie at a fixed place of the exchange: `data` is the offset. */
GETTER(get_slice)
{
	EXCHANGE;

	*value = *(const struct bytes *)(const void *)((const char *)x + (size_t)variable->data);
	return value->data != NULL;
}

GETTER(get_known_field)
{
	EXCHANGE;
	const struct http_field *field =
		x->head_parsed ? http_message_field(&x->request, (enum http_field_id)(size_t)variable->data) : NULL;

	if (field)
		*value = field->value;
	return field != NULL;
}

/* "http_x_api_key" names the field X-Api-Key: '_' stands for '-'. */
static const struct http_field *
field_by_suffix(const struct http_message *message, struct bytes suffix)
{
	for (uint16_t i = 0; i < message->field_count; i++) {
		struct bytes name = message->fields[i].name;
		size_t at = 0;

		while (name.len == suffix.len && at < name.len &&
		       (byte_lower(name.data[at]) == suffix.data[at] ||
			(name.data[at] == '-' && suffix.data[at] == '_')))
			at++;
		if (name.len == suffix.len && at == name.len)
			return &message->fields[i];
	}
	return NULL;
}

GETTER(get_http)
{
	EXCHANGE;
	const struct http_field *field = x->head_parsed ? field_by_suffix(&x->request, suffix) : NULL;

	if (field)
		*value = field->value;
	return field != NULL;
}

GETTER(get_upstream_http)
{
	EXCHANGE;
	const struct http_field *field = x->has_response_head ? field_by_suffix(&x->response, suffix) : NULL;

	if (field)
		*value = field->value;
	return field != NULL;
}

/* "a=1&b=2" or "a=1; b=2": the value behind NAME=. */
static bool
find_pair(struct bytes text, struct bytes name, uint8_t separator, bool ignore_case, struct bytes *value)
{
	while (text.len) {
		ptrdiff_t end = bytes_index(text, separator);
		struct bytes pair = end < 0 ? text : bytes_of(text.data, (size_t)end);
		struct bytes key;

		while (pair.len && pair.data[0] == ' ')
			pair = bytes_from(pair, 1);
		key = bytes_of(pair.data, pair.len < name.len ? pair.len : name.len);
		if (pair.len > name.len && pair.data[name.len] == '=' &&
		    (ignore_case ? bytes_equal_ignoring_case(key, name) : bytes_equal(key, name))) {
			*value = bytes_from(pair, name.len + 1);
			return true;
		}
		text = end < 0 ? (struct bytes){ 0 } : bytes_from(text, (size_t)end + 1);
	}
	return false;
}

GETTER(get_argument)
{
	EXCHANGE;

	return x->head_parsed && find_pair(x->request.query, suffix, '&', true, value);
}

GETTER(get_cookie)
{
	EXCHANGE;
	const struct http_field *field = x->head_parsed ? http_message_field(&x->request, HTTP_FIELD_COOKIE) : NULL;

	return field && find_pair(field->value, suffix, ';', true, value);
}

GETTER(get_args)
{
	EXCHANGE;

	*value = x->request.query;
	return x->head_parsed && x->request.has_query;
}

GETTER(get_is_args)
{
	EXCHANGE;

	*value = bytes_of("?", x->head_parsed && x->request.query.len ? 1 : 0);
	return true;
}

GETTER(get_host)
{
	EXCHANGE;

	*value = x->host.len ? x->host : x->server->name;
	return true;
}

GETTER(get_protocol)
{
	EXCHANGE;

	if (!x->head_parsed)
		return false;
	return proxy_print(scratch, scratch_size, value, "HTTP/%u.%u", x->request.version_major,
			   x->request.version_minor);
}

GETTER(get_http2)
{
	EXCHANGE;

	*value = bytes_of_string(x->session->state != PROXY_SESSION_HTTP2 ? ""
				 : x->session->transport.tls              ? "h2"
									  : "h2c");
	return true;
}

GETTER(get_request_length)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%lu",
			   (unsigned long)((x->head_parsed ? x->head_len : x->head_copied) + x->request_content));
}

/* The user of "Authorization: Basic BASE64(user:password)". */
GETTER(get_remote_user)
{
	EXCHANGE;
	const struct http_field *field =
		x->head_parsed ? http_message_field(&x->request, HTTP_FIELD_AUTHORIZATION) : NULL;
	struct bytes text;
	ptrdiff_t colon;
	int len;

	if (!field || field->value.len < 6 ||
	    !bytes_equal_ignoring_case(bytes_of(field->value.data, 6), (struct bytes)BYTES("basic ")))
		return false;
	text = bytes_from(field->value, 6);
	/* Four characters become three bytes; what would not fit is no name to log. */
	if (text.len % 4 || text.len / 4 * 3 > scratch_size)
		return false;
	len = EVP_DecodeBlock(scratch, text.data, (int)text.len);
	colon = len > 0 ? bytes_index(bytes_of(scratch, (size_t)len), ':') : -1;
	if (colon <= 0)
		return false;
	*value = bytes_of(scratch, (size_t)colon);
	return true;
}

/* ---- connection ---- */

/* What a session says of itself, whatever it is for. */
GETTER(get_of_session)
{
	EXCHANGE;

	return proxy_print_session(x->session, (enum proxy_session_fact)(size_t)variable->data, scratch, scratch_size,
				   value);
}

GETTER(get_remote_addr)
{
	EXCHANGE;

	return proxy_print_address(&x->remote.ip, scratch, scratch_size, value);
}

GETTER(get_binary_remote_addr)
{
	EXCHANGE;

	*value = proxy_address_bytes(&x->remote.ip);
	return true;
}

/* Empty where the real client's is not known, as nginx has it. */
GETTER(get_remote_port)
{
	EXCHANGE;
	unsigned int port = ntohs(x->remote.port_be);

	return port ? proxy_print(scratch, scratch_size, value, "%u", port)
		    : proxy_print(scratch, scratch_size, value, "%s", "");
}

GETTER(get_server_name)
{
	EXCHANGE;

	*value = x->server->name;
	return true;
}

GETTER(get_connection_requests)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%u", x->session->requests);
}

GETTER(get_rtt)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%u", tcp_srtt_us(x->session->transport.tcp));
}

GETTER(get_forwarded_for)
{
	struct proxy_exchange *x = subject;
	const struct http_field *field =
		x->head_parsed ? http_message_field(&x->request, HTTP_FIELD_X_FORWARDED_FOR) : NULL;
	uint8_t *text;
	size_t len;

	if (!field)
		return get_remote_addr(subject, variable, suffix, scratch, scratch_size, value);
	text = proxy_exchange_alloc(x, field->value.len + 2 + ENDPOINT_TEXT_MAX);
	if (!text)
		return false;
	memcpy(text, field->value.data, field->value.len);
	memcpy(text + field->value.len, ", ", 2);
	len = field->value.len + 2;
	len += ip_address_format(&x->remote.ip, (char *)text + len, ENDPOINT_TEXT_MAX);
	*value = bytes_of(text, len);
	return true;
}

/* ---- TLS ---- */

GETTER(get_scheme)
{
	EXCHANGE;

	*value = bytes_of_string(x->session->transport.tls ? "https" : "http");
	return true;
}

GETTER(get_https)
{
	EXCHANGE;

	*value = bytes_of_string(x->session->transport.tls ? "on" : "");
	return true;
}

/* A certificate is longer than `scratch`. */
GETTER(get_tls)
{
	struct proxy_exchange *x = subject;
	const struct proxy_tls *tls = x->session->transport.tls;
	enum tls_fact fact = (enum tls_fact)(size_t)variable->data;
	uint8_t *out = scratch;
	size_t len;

	if (!tls)
		return false;
	len = tls_fact_write(tls->session, fact, (char *)out, scratch_size);
	for (size_t size = 4 * scratch_size; len == SIZE_MAX && size <= PROXY_LARGE_SIZE / 4; size *= 4) {
		out = proxy_exchange_alloc(x, size);
		if (!out)
			return false;
		len = tls_fact_write(tls->session, fact, (char *)out, size);
	}
	if (len == SIZE_MAX || len == 0)
		return false;
	*value = bytes_of(out, len);
	return true;
}

/* ---- response and time ---- */

GETTER(get_status)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%03u", http_status_on_wire(x->status));
}

/* What the client was sent; what is still queued when it leaves counts, as bytes in a socket's buffer do with nginx. */
GETTER(get_body_bytes_sent)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%lu", (unsigned long)x->body_bytes);
}

GETTER(get_bytes_sent)
{
	EXCHANGE;

	return proxy_print(scratch, scratch_size, value, "%lu", (unsigned long)(x->body_bytes + x->head_bytes));
}

GETTER(get_request_time)
{
	EXCHANGE;
	uint64_t ms = (x->worker->now_ns - x->started_ns) / NS_PER_MS;

	return proxy_print_seconds(ms, scratch, scratch_size, value);
}

/* ---- upstream ---- */

GETTER(get_upstream)
{
	struct proxy_exchange *x = subject;
	uint32_t count = x->tried_count < PROXY_ATTEMPTS_MAX ? x->tried_count : PROXY_ATTEMPTS_MAX;
	uint8_t *out = scratch, *larger;
	size_t room = scratch_size;

	if (count > 3) {
		larger = proxy_exchange_alloc(x, count * (ENDPOINT_TEXT_MAX + 2));
		if (larger) {
			out = larger;
			room = count * (ENDPOINT_TEXT_MAX + 2);
		}
	}
	return proxy_print_attempts(x->tried, x->tried_count, PROXY_ATTEMPTS_MAX,
				    (enum proxy_attempt_part)(size_t)variable->data, out, room, value);
}

GETTER(get_proxy_host)
{
	EXCHANGE;

	*value = x->location->pass_authority;
	return value->data != NULL;
}

GETTER(get_proxy_port)
{
	EXCHANGE;

	*value = x->location->pass_port;
	return value->data != NULL;
}

/* ---- captures ---- */

static bool
capture(void *subject, unsigned int number, struct bytes *value)
{
	EXCHANGE;

	if (number >= CONFIG_CAPTURE_NAMED) {
		if (!x->named)
			return false;
		*value = x->named[number - CONFIG_CAPTURE_NAMED];
		return value->data != NULL;
	}
	if ((int)number >= x->capture_groups || number >= PROXY_CAPTURES_MAX || x->captures[2 * number] == SIZE_MAX)
		return false;
	*value = bytes_of(x->capture_text.data + x->captures[2 * number],
			  x->captures[2 * number + 1] - x->captures[2 * number]);
	return true;
}

static const struct config_variable variables[] = {
	PROXY_SESSION_VARIABLES(get_of_session),
	PROXY_TLS_VARIABLES(get_tls),
	PROXY_ATTEMPT_VARIABLES(get_upstream),
	{ "arg_", get_argument },
	{ "args", get_args },
	{ "binary_remote_addr", get_binary_remote_addr },
	{ "body_bytes_sent", get_body_bytes_sent },
	{ "bytes_sent", get_bytes_sent },
	{ "connection_requests", get_connection_requests },
	PROXY_ROW("content_length", get_known_field, HTTP_FIELD_CONTENT_LENGTH),
	PROXY_ROW("content_type", get_known_field, HTTP_FIELD_CONTENT_TYPE),
	{ "cookie_", get_cookie },
	PROXY_ROW("document_uri", get_slice, offsetof(struct proxy_exchange, uri)),
	{ "host", get_host },
	{ "http2", get_http2 },
	{ "http_", get_http },
	{ "https", get_https },
	{ "is_args", get_is_args },
	{ "pipe", proxy_get_constant, "." },
	{ "proxy_add_x_forwarded_for", get_forwarded_for },
	{ "proxy_host", get_proxy_host },
	{ "proxy_port", get_proxy_port },
	{ "query_string", get_args },
	{ "remote_addr", get_remote_addr },
	{ "remote_port", get_remote_port },
	{ "remote_user", get_remote_user },
	PROXY_ROW("request", get_slice, offsetof(struct proxy_exchange, request.start_line)),
	{ "request_length", get_request_length },
	PROXY_ROW("request_method", get_slice, offsetof(struct proxy_exchange, request.method_text)),
	{ "request_time", get_request_time },
	PROXY_ROW("request_uri", get_slice, offsetof(struct proxy_exchange, request.target)),
	{ "scheme", get_scheme },
	{ "server_name", get_server_name },
	{ "server_protocol", get_protocol },
	PROXY_ROW("ssl_client_cert", get_tls, TLS_FACT_CLIENT_CERTIFICATE),
	PROXY_ROW("ssl_client_escaped_cert", get_tls, TLS_FACT_CLIENT_CERTIFICATE_ESCAPED),
	PROXY_ROW("ssl_client_raw_cert", get_tls, TLS_FACT_CLIENT_CERTIFICATE_RAW),
	PROXY_ROW("ssl_early_data", get_tls, TLS_FACT_EARLY_DATA),
	{ "status", get_status },
	{ "tcpinfo_rtt", get_rtt },
	PROXY_ROW("upstream_header_time", get_upstream, ATTEMPT_HEADER),
	{ "upstream_http_", get_upstream_http },
	PROXY_ROW("upstream_response_time", get_upstream, ATTEMPT_RESPONSE),
	PROXY_ROW("upstream_status", get_upstream, ATTEMPT_STATUS),
	PROXY_ROW("uri", get_slice, offsetof(struct proxy_exchange, uri)),
	{ 0 },
};

void
proxy_variables_define(void)
{
	config_variables_define(CONFIG_HTTP, variables);
	proxy_relay_variables_define();
	config_captures_bind(CONFIG_HTTP, capture);
}
