#include <arpa/inet.h>

#include "http/error_page.h"
#include "http/uri.h"
#include "proxy/settings/location.h"
#include "proxy/settings/real_ip.h"
#include "proxy/settings/types.h"
#include "proxy/worker.h"

/* ---- the head ---- */

static void
head_too_large(struct proxy_exchange *x)
{
	bool line = http1_start_line_len(x->head, x->head_copied) == 0;

	PROXY_COUNT(x->worker, HEAD_TOO_LARGE);
	proxy_exchange_log(x, LOG_INFO,
			   line ? "client sent too long URI while reading client request line"
				: "client sent too long header line while reading client request headers");
	proxy_exchange_answer(x, line ? 414 : HTTP_HEAD_TOO_LARGE);
}

/* The inline buffer first; then one block for everything up to nginx's number and size of large buffers. False: it was
 * answered. */
static bool
head_room(struct proxy_exchange *x)
{
	const struct proxy_server *server = x->server;
	size_t capacity = server->client_header_buffer_size;
	size_t large = (size_t)server->large_header_buffers * server->large_header_buffer_size;
	uint8_t *head;

	if (x->head_copied < x->head_capacity)
		return true;
	if (capacity > PROXY_MEMORY_INLINE / 2)
		capacity = PROXY_MEMORY_INLINE / 2;
	if (x->head)
		capacity = large > PROXY_LARGE_SIZE / 2 ? PROXY_LARGE_SIZE / 2 : large;
	if (capacity <= x->head_capacity) {
		head_too_large(x);
		return false;
	}
	head = proxy_exchange_alloc(x, capacity);
	if (!head) {
		PROXY_COUNT(x->worker, OUT_OF_MEMORY);
		proxy_exchange_log(x, LOG_CRIT, "no memory for a large request head");
		proxy_exchange_answer(x, 500);
		return false;
	}
	if (x->head_copied)
		memcpy(head, x->head, x->head_copied);
	x->head = head;
	x->head_capacity = capacity;
	return true;
}

/* Where HTTP/2 is spoken, too, it is a preface that is none: no page in the one protocol for a client of the other (RFC 9113
 * section 3.4). */
static bool
is_of_no_protocol(const struct proxy_exchange *x)
{
	const struct proxy_session *session = x->session;
	const struct proxy_address *address = proxy_session_address(session);
	struct bytes line = x->request.start_line;

	return address && address->http2 && !address->ssl && session->requests == 1 &&
	       (!line.len || !memmem(line.data, line.len, " HTTP/", 6));
}

static void
head_bad(struct proxy_exchange *x)
{
	ptrdiff_t end = bytes_index(bytes_of(x->head, x->head_copied), '\n');

	/* What it sent for a request line, for the log. */
	x->request.start_line = bytes_of(x->head, end < 0 ? x->head_copied : (size_t)end);
	if (x->request.start_line.len && x->head[x->request.start_line.len - 1] == '\r')
		x->request.start_line.len--;
	PROXY_COUNT(x->worker, BAD_REQUEST);
	proxy_exchange_log(x, LOG_INFO, "client sent invalid request (%s) while reading client request",
			   http1_error_names[x->bad]);
	proxy_exchange_answer(x, is_of_no_protocol(x) ? 444 : http1_error_status[x->bad]);
}

static bool
line_too_long(const struct proxy_exchange *x)
{
	size_t limit = x->server->large_header_buffer_size;

	if (x->head_len <= limit)
		return false;
	for (uint16_t i = 0; i < x->request.field_count; i++)
		if (x->request.fields[i].name.len + x->request.fields[i].value.len + 4 > limit)
			return true;
	return false;
}

void
proxy_request_head(struct proxy_exchange *x)
{
	struct proxy_session *session = x->session;
	size_t line_limit = x->server->large_header_buffer_size;
	enum http1_result result;

	if (x->head_copied == 0 && session->requests > 1)
		proxy_client_arm(x->client, x->server->client_header_timeout_ms);
	for (;;) {
		if (!head_room(x))
			return;
		x->head_copied += proxy_transport_peek_copy(&session->transport, (uint32_t)x->head_copied,
							    x->head + x->head_copied,
							    (uint32_t)(x->head_capacity - x->head_copied));
		result = http1_parse_request(&x->request, x->head, x->head_copied, &x->head_scanned, &x->head_len,
					     &x->bad);
		if (result != HTTP1_MORE || x->head_copied < x->head_capacity)
			break;
	}
	if (result == HTTP1_MORE) {
		if (x->head_copied > line_limit && http1_start_line_len(x->head, x->head_copied) == 0)
			head_too_large(x);
		else if (x->client->input_ended)
			proxy_exchange_client_gone(x);
		return;
	}
	proxy_client_disarm(x->client);
	if (result == HTTP1_BAD) {
		head_bad(x);
		return;
	}
	proxy_transport_consume(&session->transport, (uint32_t)x->head_len);
	proxy_request_begin(x);
}

void
proxy_request_begin(struct proxy_exchange *x)
{
	x->head_parsed = true;
	http1_body_init(&x->request_body, &x->request);
	x->request_done = x->request.framing == HTTP_NO_BODY ||
			  (x->request.framing == HTTP_LENGTH && x->request.content_length == 0);
	if (x->request.start_line.len > x->server->large_header_buffer_size)
		proxy_exchange_answer(x, 414);
	else if (line_too_long(x))
		proxy_exchange_answer(x, HTTP_HEAD_TOO_LARGE);
	else
		proxy_request_handle(x);
}

/* ---- what is asked of whom ---- */

/* Lower case, without port and without the dot of a full name. */
static bool
find_host(struct proxy_exchange *x)
{
	const struct http_field *field = http_message_field(&x->request, HTTP_FIELD_HOST);
	struct bytes text = x->request.authority.len ? x->request.authority
			    : field                  ? field->value
						     : (struct bytes){ 0 };
	uint8_t *host = proxy_exchange_alloc(x, text.len + 1);
	size_t len = 0;

	if (!host)
		return false;
	while (len < text.len && (text.data[len] != ':' || text.data[0] == '[')) {
		host[len] = byte_lower(text.data[len]);
		len++;
		if (text.data[0] == '[' && text.data[len - 1] == ']')
			break;
	}
	if (len && host[len - 1] == '.')
		len--;
	x->host = bytes_of(host, len);
	return true;
}

static void
keep_named(struct proxy_exchange *x, const struct config_regex *regex)
{
	size_t count, size = CONFIG_NAMED_CAPTURES_MAX * sizeof(*x->named);
	const struct config_regex_name *names = config_regex_names(regex, &count);

	if (count && !x->named) {
		x->named = proxy_exchange_alloc(x, size);
		if (!x->named)
			return;
		memset(x->named, 0, size);
	}
	for (size_t i = 0; i < count; i++) {
		unsigned int group = names[i].group;

		if (group < (unsigned int)x->capture_groups && x->captures[2 * group] != SIZE_MAX)
			x->named[names[i].slot] = bytes_of(x->capture_text.data + x->captures[2 * group],
							   x->captures[2 * group + 1] - x->captures[2 * group]);
	}
}

static void
keep_captures(struct proxy_exchange *x, const struct config_regex *regex, struct bytes text, int groups)
{
	if (groups <= 0)
		return;
	x->capture_text = text;
	x->capture_groups = groups < PROXY_CAPTURES_MAX ? groups : PROXY_CAPTURES_MAX;
	keep_named(x, regex);
}

static bool
find_server(struct proxy_exchange *x)
{
	const struct config_regex *regex = NULL;
	int groups;

	if (!find_host(x))
		return false;
	x->server = proxy_server_find(x->address, x->host, x->captures, PROXY_CAPTURES_MAX, &groups, &regex);
	x->location = x->server->root;
	keep_captures(x, regex, x->host, groups);
	return true;
}

/* False: refused, with 400; out of memory counts as refused. */
static bool
find_uri(struct proxy_exchange *x)
{
	struct bytes path = x->request.path;
	bool merge = x->server->merge_slashes;
	uint8_t *out;
	ssize_t len;

	/* "OPTIONS *" asks about the server as a whole; nginx takes the same view. */
	if (http_uri_is_normal(path, merge) || bytes_equal_string(path, "*")) {
		x->uri = path;
		return true;
	}
	out = proxy_exchange_alloc(x, path.len + 1);
	len = out ? http_uri_normalise(out, path.len, path, merge) : -1;
	if (len < 0)
		return false;
	x->uri = bytes_of(out, (size_t)len);
	return true;
}

/* A client certificate is asked for under one name only: nobody gets around it with another (nginx's rule for 421). */
static bool
is_misdirected(const struct proxy_exchange *x)
{
	const struct tls_settings *tls = config_settings(x->server->scope, &tls_module);
	struct bytes name = proxy_transport_server_name(&x->session->transport);

	return tls->verify && name.len && !bytes_equal(name, x->host);
}

/* The status that the connection's TLS, or the lack of it, asks for; 0: none. */
static unsigned int
tls_objects(struct proxy_exchange *x)
{
	const struct tls_settings *settings = config_settings(x->server->scope, &tls_module);
	const struct proxy_tls *tls = x->session->transport.tls;
	const char *why;
	long result;

	if (x->session->plain_on_tls) {
		PROXY_COUNT(x->worker, TLS_PLAIN);
		proxy_exchange_log(x, LOG_INFO,
				   "client sent plain HTTP request to HTTPS port while reading client request headers");
		return HTTP_PLAIN_ON_TLS_PORT;
	}
	if (!tls || settings->verify == TLS_VERIFY_OFF)
		return 0;
	result = tls_client_verify_result(tls->session, (enum tls_verify)settings->verify, &why);
	if (result != 0) {
		proxy_exchange_log(x, LOG_INFO,
				   "client SSL certificate verify error: (%ld:%s) while reading client request headers",
				   result, why);
		return HTTP_CERTIFICATE_ERROR;
	}
	if (settings->verify == TLS_VERIFY_ON && !tls_client_has_certificate(tls->session)) {
		proxy_exchange_log(x, LOG_INFO,
				   "client sent no required SSL certificate while reading client request headers");
		return HTTP_NO_CERTIFICATE;
	}
	return 0;
}

static void
decide_keep_alive(struct proxy_exchange *x)
{
	x->keep_alive =
		x->request.keep_alive && !proxy_session_is_spent(x->session, x->location) && !x->worker->draining;
}

/* ---- phases ---- */

static bool
answer_by_return(struct proxy_exchange *x)
{
	const struct proxy_location *location = x->location;
	size_t size = 2048, len;
	uint8_t *text;

	if (location->return_status == CONFIG_UNSET)
		return false;
	if (!location->return_text) {
		proxy_exchange_answer(x, (unsigned int)location->return_status);
		return true;
	}
	for (;; size *= 4) {
		text = proxy_exchange_alloc(x, size);
		if (!text) {
			proxy_exchange_answer(x, 500);
			return true;
		}
		len = config_value_write(
			location->return_text, x, text, size, CONFIG_MISSING_EMPTY,
			proxy_status_redirects((unsigned int)location->return_status) ? proxy_escape_field : NULL);
		if (len != SIZE_MAX)
			break;
	}
	proxy_exchange_answer_text(x, (unsigned int)location->return_status,
				   proxy_types_of(location->types, x->uri, location->default_type),
				   bytes_of(text, len));
	return true;
}

static void
redirect_to_slash(struct proxy_exchange *x)
{
	size_t size = 3 * x->uri.len + x->request.query.len + 3, len;
	uint8_t *text = proxy_exchange_alloc(x, size);

	if (!text) {
		proxy_exchange_answer(x, 500);
		return;
	}
	len = http_uri_escape(text, size, x->uri);
	text[len++] = '/';
	if (x->request.has_query) {
		text[len++] = '?';
		memcpy(text + len, x->request.query.data, x->request.query.len);
		len += x->request.query.len;
	}
	proxy_exchange_answer_text(x, 301, (struct bytes){ 0 }, bytes_of(text, len));
}

static bool
find_location(struct proxy_exchange *x)
{
	struct proxy_match match;
	size_t captures[2 * PROXY_CAPTURES_MAX];

	proxy_location_find(x->server->locations, x->uri, captures, PROXY_CAPTURES_MAX, &match);
	if (match.location)
		x->location = match.location;
	if (match.groups > 0) {
		memcpy(x->captures, captures, sizeof(captures));
		keep_captures(x, match.regex, x->uri, match.groups);
	}
	decide_keep_alive(x);
	if (!match.add_slash)
		return true;
	redirect_to_slash(x);
	return false;
}

/* What a location without a handler says: Weir serves no files. */
static unsigned int
nothing_here(const struct proxy_exchange *x)
{
	enum http_method method = x->request.method;

	return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_POST ? 404 : 405;
}

static void
run_content(struct proxy_exchange *x)
{
	size_t limit = x->location->client_max_body_size;

	if (limit && x->request.framing == HTTP_LENGTH && x->request.content_length > limit) {
		PROXY_COUNT(x->worker, BODY_TOO_LARGE);
		proxy_exchange_log(x, LOG_ERR, "client intended to send too large body: %lu bytes",
				   (unsigned long)x->request.content_length);
		x->body_broken = true;
		proxy_exchange_answer(x, 413);
		return;
	}
	if (answer_by_return(x))
		return;
	proxy_real_ip_apply(x); /* where the location trusts others than its server */
	for (const struct proxy_filter *const *f = x->share->generation->filters; *f; f++) {
		int status = (*f)->access ? (*f)->access(x) : 0;

		if (status) {
			proxy_exchange_answer(x, (unsigned int)status);
			return;
		}
	}
	if (x->location->group)
		proxy_upstream_start(x);
	else
		proxy_exchange_answer(x, nothing_here(x));
}

void
proxy_request_handle(struct proxy_exchange *x)
{
	const struct proxy_server *negotiated = x->server;
	unsigned int objection;

	if (!find_server(x)) {
		proxy_exchange_answer(x, 500);
		return;
	}
	proxy_real_ip_apply(x);
	decide_keep_alive(x);
	if (is_misdirected(x)) {
		x->server = negotiated;
		x->location = negotiated->root;
		proxy_exchange_log(x, LOG_INFO,
				   "client attempted to request the server name different from the one that was "
				   "negotiated while reading client request headers");
		proxy_exchange_answer(x, 421);
		return;
	}
	if (x->request.method == HTTP_TRACE || x->request.method == HTTP_CONNECT) {
		proxy_exchange_log(x, LOG_INFO, "client sent %s method while reading client request line",
				   x->request.method == HTTP_TRACE ? "TRACE" : "CONNECT");
		x->keep_alive = false;
		proxy_exchange_answer(x, 405);
		return;
	}
	if (!find_uri(x)) {
		PROXY_COUNT(x->worker, BAD_REQUEST);
		proxy_exchange_log(x, LOG_INFO, "client sent invalid request (invalid_path)");
		proxy_exchange_answer(x, 400);
		return;
	}
	objection = tls_objects(x);
	if (objection) {
		proxy_exchange_answer(x, objection);
		return;
	}
	if (answer_by_return(x)) /* of the server, before any location */
		return;
	if (find_location(x))
		run_content(x);
}
