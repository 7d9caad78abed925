#include <arpa/inet.h>

#include "http/error_page.h"
#include "proxy/worker.h"

/* ---- pieces ---- */

static void
write_status_line(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	uint16_t status = http_status_on_wire(x->status);
	const char *reason = http_reason(status);

	proxy_head_literal(head, "HTTP/1.1 ");
	if (status < 100)
		proxy_head_literal(head, "0"); /* `return 99` is nginx's business to allow and ours to frame */
	if (status < 10)
		proxy_head_literal(head, "0");
	proxy_head_number(head, status);
	proxy_head_literal(head, " ");
	if (x->has_response_head && x->response.reason.len)
		proxy_head_put(head, x->response.reason);
	else if (reason)
		proxy_head_put(head, bytes_of_string(reason));
	proxy_head_literal(head, "\r\n");
}

static void
write_server_and_date(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	char date[LOG_TIME_MAX];

	proxy_head_field(head, (struct bytes)BYTES("Server"), http_server_name(x->location->server_tokens));
	proxy_head_field(head, (struct bytes)BYTES("Date"), bytes_of(date, log_time_http(x->worker->real_ns, date)));
}

static void
write_connection(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	if (x->client->ops->is_framed)
		return;
	if (x->tunnel) {
		proxy_head_literal(head, "Connection: upgrade\r\n");
		return;
	}
	if (!x->keep_alive) {
		proxy_head_literal(head, "Connection: close\r\n");
		return;
	}
	proxy_head_literal(head, "Connection: keep-alive\r\n");
	if (x->location->keepalive_header_s > 0) {
		proxy_head_literal(head, "Keep-Alive: timeout=");
		proxy_head_number(head, (uint64_t)x->location->keepalive_header_s);
		proxy_head_literal(head, "\r\n");
	}
}

/* ---- Location ---- */

/* "http://host[:port]" in front of a path, as absolute_redirect asks. */
static void
write_origin(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	const struct endpoint *local = tcp_local(x->session->transport.tcp);
	uint16_t port = ntohs(local->port_be);
	char address[ENDPOINT_TEXT_MAX];

	if (x->session->transport.tls)
		proxy_head_literal(head, "https://");
	else
		proxy_head_literal(head, "http://");
	if (x->location->server_name_in_redirect && x->server->name.len)
		proxy_head_put(head, x->server->name);
	else if (x->host.len)
		proxy_head_put(head, x->host);
	else
		proxy_head_put(head, bytes_of(address, ip_address_format(&local->ip, address, sizeof(address))));
	if (x->location->port_in_redirect && port != (x->session->transport.tls ? 443 : 80)) {
		proxy_head_literal(head, ":");
		proxy_head_number(head, port);
	}
}

static void
write_location(const struct proxy_exchange *x, struct proxy_head_writer *head, struct bytes prefix, struct bytes value)
{
	bool path = prefix.len ? prefix.data[0] == '/' : value.len && value.data[0] == '/';

	proxy_head_literal(head, "Location: ");
	if (path && x->location->absolute_redirect)
		write_origin(x, head);
	proxy_head_put(head, prefix);
	proxy_head_put(head, value);
	proxy_head_literal(head, "\r\n");
}

/* `proxy_redirect default`: what the server calls "http://group/uri", or https, is what clients call the location's name. */
static bool
redirect_default(const struct proxy_location *location, struct bytes *value, struct bytes *prefix)
{
	struct bytes scheme = bytes_of_string(location->pass_secure ? "https://" : "http://"), slash = BYTES("/");
	struct bytes uri = location->pass_uri.data ? location->pass_uri : slash;
	struct bytes rest = *value;

	if (location->kind == PROXY_LOCATION_REGEX || !bytes_start_with(rest, scheme))
		return false;
	rest = bytes_from(rest, scheme.len);
	if (!bytes_start_with(rest, location->pass_host))
		return false;
	rest = bytes_from(rest, location->pass_host.len);
	if (!bytes_start_with(rest, uri))
		return false;
	*value = bytes_from(rest, uri.len);
	*prefix = location->pass_uri.data ? location->name : slash;
	return true;
}

static bool
redirect_listed(struct proxy_exchange *x, struct bytes *value, struct bytes *prefix)
{
	const struct proxy_location *location = x->location;
	uint8_t *text;
	size_t len;

	for (size_t i = 0; i < location->redirect_count; i++) {
		if (!location->redirects[i].to) {
			if (redirect_default(location, value, prefix))
				return true;
			continue;
		}
		if (!bytes_start_with(*value, location->redirects[i].from))
			continue;
		text = proxy_exchange_alloc(x, 1024);
		len = text ? config_value_write(location->redirects[i].to, x, text, 1024, CONFIG_MISSING_EMPTY,
						proxy_escape_field)
			   : SIZE_MAX;
		if (len == SIZE_MAX)
			return false;
		*value = bytes_from(*value, location->redirects[i].from.len);
		*prefix = bytes_of(text, len);
		return true;
	}
	return false;
}

static void
write_server_location(struct proxy_exchange *x, struct proxy_head_writer *head, struct bytes value)
{
	struct bytes prefix = { 0 };
	bool changed = false;

	if (x->location->redirect_mode == PROXY_REDIRECT_DEFAULT)
		changed = redirect_default(x->location, &value, &prefix);
	else if (x->location->redirect_mode == PROXY_REDIRECT_LIST)
		changed = redirect_listed(x, &value, &prefix);
	if (changed)
		write_location(x, head, prefix, value);
	else
		proxy_head_field(head, (struct bytes)BYTES("Location"), value);
}

/* ---- the server's fields ---- */

/* Written in their own place, or never passed on (hop-by-hop, and what nginx hides). */
#define WRITTEN_ELSEWHERE                                                                                              \
	(1ull << HTTP_FIELD_CONTENT_TYPE | 1ull << HTTP_FIELD_CONTENT_LENGTH | 1ull << HTTP_FIELD_LAST_MODIFIED |      \
	 1ull << HTTP_FIELD_LOCATION)
#define NEVER_PASSED                                                                                                   \
	(1ull << HTTP_FIELD_CONNECTION | 1ull << HTTP_FIELD_KEEP_ALIVE | 1ull << HTTP_FIELD_PROXY_CONNECTION |         \
	 1ull << HTTP_FIELD_TRANSFER_ENCODING)
#define HIDDEN                                                                                                         \
	(1ull << HTTP_FIELD_DATE | 1ull << HTTP_FIELD_SERVER | 1ull << HTTP_FIELD_X_PAD |                              \
	 1ull << HTTP_FIELD_X_ACCEL_REDIRECT | 1ull << HTTP_FIELD_X_ACCEL_EXPIRES |                                    \
	 1ull << HTTP_FIELD_X_ACCEL_LIMIT_RATE | 1ull << HTTP_FIELD_X_ACCEL_BUFFERING |                                \
	 1ull << HTTP_FIELD_X_ACCEL_CHARSET)

static bool
listed(const struct proxy_name_list *list, struct bytes name)
{
	for (size_t i = 0; i < list->count; i++)
		if (bytes_equal_ignoring_case(list->names[i], name))
			return true;
	return false;
}

static bool
passes(const struct proxy_exchange *x, const struct http_field *field)
{
	uint64_t bit = field->id == HTTP_FIELD_OTHER ? 0 : 1ull << field->id;

	if (bit & (NEVER_PASSED | WRITTEN_ELSEWHERE))
		return false;
	if (field->id == HTTP_FIELD_UPGRADE && !x->tunnel)
		return false;
	if ((bit & HIDDEN) && !listed(&x->location->pass->passed, field->name))
		return false;
	if (listed(&x->location->pass->hidden, field->name))
		return false;
	return !x->response.connection_has_options || !http_field_is_hop_by_hop(&x->response, field) ||
	       field->id == HTTP_FIELD_UPGRADE;
}

static void
write_known(struct proxy_exchange *x, struct proxy_head_writer *head, enum http_field_id id)
{
	const struct http_field *field = http_message_field(&x->response, id);

	if (!field || listed(&x->location->pass->hidden, field->name))
		return;
	if (id == HTTP_FIELD_LOCATION)
		write_server_location(x, head, field->value);
	else
		proxy_head_field(head, field->name, field->value);
}

/* Where HTTP/2 says below that nothing follows, HTTP/1 has to say it here. */
static bool
is_silently_empty(const struct proxy_exchange *x)
{
	return x->call->ops->is_framed && !x->client->ops->is_framed && x->response.framing == HTTP_NO_BODY &&
	       x->request.method != HTTP_HEAD && x->response.status != 204 && x->response.status != 304 &&
	       !http_message_field(&x->response, HTTP_FIELD_CONTENT_LENGTH);
}

/* ---- whole heads ---- */

bool
proxy_response_head_of_server(struct proxy_exchange *x, struct proxy_head_writer *head)
{
	bool server_passed = listed(&x->location->pass->passed, (struct bytes)BYTES("Server")) &&
			     http_message_field(&x->response, HTTP_FIELD_SERVER);
	bool date_passed = listed(&x->location->pass->passed, (struct bytes)BYTES("Date")) &&
			   http_message_field(&x->response, HTTP_FIELD_DATE);
	char date[LOG_TIME_MAX];

	write_status_line(x, head);
	if (!server_passed)
		proxy_head_field(head, (struct bytes)BYTES("Server"), http_server_name(x->location->server_tokens));
	if (!date_passed)
		proxy_head_field(head, (struct bytes)BYTES("Date"),
				 bytes_of(date, log_time_http(x->worker->real_ns, date)));
	write_known(x, head, HTTP_FIELD_CONTENT_TYPE);
	if (x->response_mode != PROXY_RESPONSE_CHUNKED && x->response.framing != HTTP_CHUNKED)
		write_known(x, head, HTTP_FIELD_CONTENT_LENGTH);
	if (is_silently_empty(x))
		proxy_head_literal(head, "Content-Length: 0\r\n");
	write_known(x, head, HTTP_FIELD_LAST_MODIFIED);
	write_known(x, head, HTTP_FIELD_LOCATION);
	if (x->response_mode == PROXY_RESPONSE_CHUNKED ||
	    (x->response_mode == PROXY_RESPONSE_AS_IS && x->response.framing == HTTP_CHUNKED))
		proxy_head_literal(head, "Transfer-Encoding: chunked\r\n");
	write_connection(x, head);
	for (uint16_t i = 0; i < x->response.field_count; i++)
		if (passes(x, &x->response.fields[i]))
			proxy_head_field(head, x->response.fields[i].name, x->response.fields[i].value);
	for (const struct proxy_filter *const *f = x->share->generation->filters; *f; f++)
		if ((*f)->response_head)
			(*f)->response_head(x, head);
	proxy_head_literal(head, "\r\n");
	return !head->overflow;
}

bool
proxy_response_head_of_ours(struct proxy_exchange *x, struct proxy_head_writer *head, struct bytes type,
			    uint64_t content_length, struct bytes location)
{
	write_status_line(x, head);
	write_server_and_date(x, head);
	if (type.len && x->status != 204 && x->status != 304)
		proxy_head_field(head, (struct bytes)BYTES("Content-Type"), type);
	if (x->status != 204 && x->status != 304) {
		proxy_head_literal(head, "Content-Length: ");
		proxy_head_number(head, content_length);
		proxy_head_literal(head, "\r\n");
	}
	if (location.len)
		write_location(x, head, (struct bytes){ 0 }, location);
	write_connection(x, head);
	for (const struct proxy_filter *const *f = x->share->generation->filters; *f; f++)
		if ((*f)->response_head)
			(*f)->response_head(x, head);
	proxy_head_literal(head, "\r\n");
	return !head->overflow;
}
