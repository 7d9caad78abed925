#include <stdarg.h>
#include <stdio.h>

#include "proxy/worker.h"

/* ---- memory ---- */

void *
proxy_exchange_alloc(struct proxy_exchange *x, size_t size)
{
	void *out;

	size = (size + 15) & ~(size_t)15;
	if (size <= sizeof(x->memory) - x->used) {
		out = x->memory + x->used;
		x->used += size;
		return out;
	}
	if (!x->large) {
		x->large = slab_get(x->worker->large);
		if (!x->large)
			return NULL;
	}
	if (size > PROXY_LARGE_SIZE - x->large_used)
		return NULL;
	out = x->large + x->large_used;
	x->large_used += size;
	return out;
}

/* ---- life ---- */

struct proxy_exchange *
proxy_exchange_new(struct proxy_client *client)
{
	struct proxy_session *session = proxy_client_session(client);
	struct proxy_worker *worker = session->worker;
	struct proxy_exchange *x = slab_get(worker->exchanges);

	if (!x)
		return NULL;
	memset(x, 0, offsetof(struct proxy_exchange, request));
	x->client = client;
	x->session = session;
	x->worker = worker;
	x->share = worker->share;
	x->started_ns = worker->now_ns;
	x->remote = *tcp_remote(session->transport.tcp);
	x->server_index = -1;
	x->address = proxy_address_find(x->share->generation->addresses, tcp_local(session->transport.tcp));
	if (!x->address) {
		slab_put(worker->exchanges, x);
		return NULL;
	}
	x->server = proxy_server_of_hello(x->address, proxy_transport_server_name(&session->transport));
	x->location = x->server->root;
	x->request.field_count = 0;
	x->request.start_line = x->request.method_text = x->request.target = (struct bytes){ 0 };
	x->request.seen = 0;
	x->response.seen = 0;
	x->response.field_count = 0;
	x->share->references++;
	client->exchange = x;
	session->requests++;
	PROXY_COUNT(worker, REQUESTS);
	return x;
}

void
proxy_exchange_free(struct proxy_exchange *x)
{
	struct proxy_worker *worker = x->worker;

	if (x->large)
		slab_put(worker->large, x->large);
	__atomic_store_n(&x->share->references, x->share->references - 1, __ATOMIC_RELEASE);
	slab_put(worker->exchanges, x);
}

void
proxy_exchange_end(struct proxy_exchange *x)
{
	if (x->call)
		proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
	for (const struct proxy_filter *const *f = x->share->generation->filters; *f; f++)
		if ((*f)->log)
			(*f)->log(x);
	x->client->exchange = NULL;
	proxy_client_disarm(x->client);
	x->client->ops->ended(x->client, x);
	proxy_exchange_free(x);
}

/* ---- the client's side ---- */

void
proxy_exchange_client_input(struct proxy_exchange *x)
{
	if (!x->head_parsed)
		proxy_request_head(x);
	else if (x->tunnel || !x->request_done)
		proxy_request_body(x);
}

void
proxy_exchange_client_closed(struct proxy_exchange *x)
{
	/* A client that closes while it waits has lost interest: nginx calls that 499. */
	if (x->request_done && !x->local && !x->response_done && !x->location->pass->ignore_client_abort && !x->tunnel)
		proxy_exchange_client_gone(x);
}

void
proxy_exchange_client_output(struct proxy_exchange *x)
{
	if (x->response_started)
		proxy_response_pump(x);
}

void
proxy_exchange_client_gone(struct proxy_exchange *x)
{
	if (x->head_parsed && !x->response_done) {
		PROXY_COUNT(x->worker, CLIENT_ABORTED);
		proxy_exchange_log(x, LOG_INFO, "client prematurely closed connection%s",
				   x->call ? ", so upstream connection is closed too while sending request to upstream"
					   : "");
	} else if (!x->head_parsed) {
		proxy_exchange_log(x, LOG_INFO,
				   "client prematurely closed connection while reading client request line");
	}
	if (!x->status || !x->response_started)
		x->status = x->head_parsed ? 499 : 400;
	x->failed_under_way = true;
	proxy_exchange_end(x);
}

void
proxy_exchange_client_timeout(struct proxy_exchange *x)
{
	PROXY_COUNT(x->worker, CLIENT_TIMEOUT);
	proxy_exchange_log(x, LOG_INFO, "client timed out (110: Connection timed out) while %s",
			   !x->head_parsed       ? "reading client request headers"
			   : x->response_started ? "sending to client"
						 : "reading client request body");
	if (!x->response_started) {
		/* nginx closes without a word after a slow head or body, and logs 408. */
		x->status = 408;
	}
	/* What is queued for a client that does not take it would only hold memory. */
	x->closed_by_rule = x->response_started && !x->response_done;
	x->failed_under_way = true;
	proxy_exchange_end(x);
}

/* ---- log ---- */

/* Appends ", label: value", an empty value included, as nginx does. */
static size_t
trailer(char *out, size_t size, size_t len, const char *label, struct bytes value, bool quoted)
{
	int written;

	if (len >= size)
		return len;
	written = snprintf(out + len, size - len, quoted ? ", %s: \"%.*s\"" : ", %s: %.*s", label,
			   value.len > 1024 ? 1024 : (int)value.len, (const char *)value.data);
	return written < 0 ? len : len + (size_t)written;
}

/* The URL that the server is asked for: of a long one, what stands in front of its target. */
static size_t
trailer_upstream(struct proxy_exchange *x, char *out, size_t size, size_t len)
{
	uint8_t url[1024];
	struct proxy_head_writer writer = { .data = url, .capacity = sizeof(url) };

	proxy_head_put(&writer, x->location->pass_scheme);
	proxy_head_literal(&writer, "://");
	proxy_head_put(&writer, proxy_attempt_now(x)->address);
	proxy_upstream_target(x, &writer);
	return trailer(out, size, len, "upstream", bytes_of(url, writer.len), true);
}

void
proxy_exchange_log(struct proxy_exchange *x, enum log_level level, const char *format, ...)
{
	const struct proxy_location *location = x->location;
	enum log_level limit = location->error_targets ? log_target_level(location->error_targets) : log_error_level();
	const struct http_field *host;
	char text[2048], client[ENDPOINT_TEXT_MAX];
	size_t len;
	va_list arguments;
	int written;

	if (level > limit)
		return;
	va_start(arguments, format);
	written = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	len = written < 0 ? 0 : (size_t)written;
	len = trailer(text, sizeof(text), len, "client",
		      bytes_of(client, ip_address_format(&x->remote.ip, client, sizeof(client))), false);
	len = trailer(text, sizeof(text), len, "server", x->server->name, false);
	if (x->head_parsed) {
		host = http_message_field(&x->request, HTTP_FIELD_HOST);
		len = trailer(text, sizeof(text), len, "request", x->request.start_line, true);
		if (x->tried_count)
			len = trailer_upstream(x, text, sizeof(text), len);
		if (host)
			len = trailer(text, sizeof(text), len, "host", host->value, true);
	}
	log_error_write(location->error_targets, level, "*%lu %s", (unsigned long)x->session->number, text);
}
