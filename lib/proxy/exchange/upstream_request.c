#include <errno.h>

#include "http/uri.h"
#include "proxy/worker.h"

/* ---- the head for the server ---- */

/* Fields of the request that never go on as they came: they speak of this connection, or are written anew. */
#define NOT_FORWARDED                                                                                                  \
	(1ull << HTTP_FIELD_HOST | 1ull << HTTP_FIELD_CONNECTION | 1ull << HTTP_FIELD_KEEP_ALIVE |                     \
	 1ull << HTTP_FIELD_PROXY_CONNECTION | 1ull << HTTP_FIELD_TRANSFER_ENCODING |                                  \
	 1ull << HTTP_FIELD_CONTENT_LENGTH | 1ull << HTTP_FIELD_EXPECT | 1ull << HTTP_FIELD_UPGRADE |                  \
	 1ull << HTTP_FIELD_TE)

static bool
replaced(const struct proxy_location *location, const struct http_field *field)
{
	if (field->id != HTTP_FIELD_OTHER)
		return location->pass->header_ids >> field->id & 1;
	for (size_t i = 0; i < location->pass->header_count; i++)
		if (location->pass->headers[i].id == HTTP_FIELD_OTHER &&
		    bytes_equal_ignoring_case(location->pass->headers[i].name, field->name))
			return true;
	return false;
}

static bool
name_allowed(const struct proxy_server *server, struct bytes name)
{
	if (server->underscores_in_headers || !server->ignore_invalid_headers)
		return true;
	return bytes_index(name, '_') < 0;
}

void
proxy_upstream_target(struct proxy_exchange *x, struct proxy_head_writer *head)
{
	const struct proxy_location *location = x->location;
	const struct http_message *request = &x->request;
	size_t cut;

	if (location->pass_value) {
		proxy_head_value(head, location->pass_value, x, proxy_escape_target);
		return;
	}
	if (!location->pass_uri.data) {
		if (!request->authority.len) {
			proxy_head_put(head, request->target);
			return;
		}
		if (!request->path.len)
			proxy_head_literal(head, "/");
		proxy_head_put(head, request->path);
	} else {
		cut = location->kind == PROXY_LOCATION_REGEX ? 0 : location->name.len;
		proxy_head_put(head, location->pass_uri);
		if (cut < x->uri.len) {
			struct bytes rest = bytes_from(x->uri, cut);
			size_t room = head->capacity - head->len;
			size_t len = http_uri_escape(head->data + head->len, room, rest);

			if (len > room)
				head->overflow = true;
			else
				head->len += len;
		}
	}
	if (request->has_query) {
		proxy_head_literal(head, "?");
		proxy_head_put(head, request->query);
	}
}

/* RFC 9110 section 10.1.4; gRPC's servers insist on it. */
static bool
wants_trailers(const struct proxy_exchange *x)
{
	const struct http_field *te = http_message_field(&x->request, HTTP_FIELD_TE);
	struct bytes list, element;

	if (!te)
		return false;
	list = te->value;
	while (http_list_next(&list, &element))
		if (bytes_equal_ignoring_case(element, (struct bytes)BYTES("trailers")))
			return true;
	return false;
}

static void
write_set_headers(struct proxy_exchange *x, struct proxy_head_writer *head)
{
	const struct proxy_location *location = x->location;

	for (size_t i = 0; i < location->pass->header_count; i++) {
		const struct proxy_header *h = &location->pass->headers[i];
		size_t start = head->len;

		proxy_head_put(head, h->name);
		proxy_head_literal(head, ": ");
		if (proxy_head_value(head, h->value, x, proxy_escape_field) == 0) {
			head->len = start; /* an empty string removes the field */
			continue;
		}
		/* RFC 9113 section 8.6: nobody switches from HTTP/2. */
		x->upgrade_asked |= h->id == HTTP_FIELD_UPGRADE && !x->client->ops->is_framed;
		proxy_head_literal(head, "\r\n");
	}
	if (!(location->pass->header_ids >> HTTP_FIELD_HOST & 1))
		proxy_head_field(head, (struct bytes)BYTES("Host"), location->pass_authority);
	if (!(location->pass->header_ids >> HTTP_FIELD_CONNECTION & 1))
		proxy_head_literal(head, "Connection: close\r\n");
	if (!(location->pass->header_ids >> HTTP_FIELD_TE & 1) && x->call->ops->is_framed && wants_trailers(x))
		proxy_head_literal(head, "TE: trailers\r\n");
}

/* As it came, or as a client that frames itself did not say how long it is. */
static bool
goes_in_chunks(const struct proxy_exchange *x)
{
	return x->request.framing == HTTP_CHUNKED || x->request.framing == HTTP_TO_CLOSE;
}

static void
write_framing(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	if (!x->location->pass->request_body)
		return;
	if (x->request.framing == HTTP_LENGTH || http_message_field(&x->request, HTTP_FIELD_CONTENT_LENGTH)) {
		proxy_head_literal(head, "Content-Length: ");
		proxy_head_number(head, x->request.content_length);
		proxy_head_literal(head, "\r\n");
	} else if (goes_in_chunks(x)) {
		proxy_head_literal(head, "Transfer-Encoding: chunked\r\n");
	}
}

static void
write_own_fields(const struct proxy_exchange *x, struct proxy_head_writer *head)
{
	const struct http_message *request = &x->request;

	for (uint16_t i = 0; i < request->field_count; i++) {
		const struct http_field *field = &request->fields[i];

		if (field->id != HTTP_FIELD_OTHER && (NOT_FORWARDED >> field->id & 1))
			continue;
		if (replaced(x->location, field) || !name_allowed(x->server, field->name))
			continue;
		if (request->connection_has_options && http_field_is_hop_by_hop(request, field))
			continue;
		proxy_head_field(head, field->name, field->value);
	}
}

bool
proxy_upstream_head(struct proxy_exchange *x)
{
	/* Escaping can triple the path; the fields that are set are bounded by what remains. */
	size_t capacity = x->head_len + (x->location->pass_uri.data ? 3 * x->uri.len : 0) + 1024;
	struct proxy_head_writer head = { 0 };
	bool chunked = goes_in_chunks(x) && x->location->pass->request_body;

	for (; !head.data || head.overflow; capacity *= 4) {
		head = (struct proxy_head_writer){ .capacity = capacity };
		head.data = proxy_exchange_alloc(x, capacity);
		if (!head.data)
			return false;
		proxy_head_put(&head, x->request.method_text);
		proxy_head_literal(&head, " ");
		proxy_upstream_target(x, &head);
		/* A chunked body needs 1.1, whatever proxy_http_version says: it is not stored to be measured. */
		proxy_head_put(&head, x->location->pass->http_minor || chunked ? (struct bytes)BYTES(" HTTP/1.1\r\n")
									       : (struct bytes)BYTES(" HTTP/1.0\r\n"));
		write_set_headers(x, &head);
		write_framing(x, &head);
		if (x->location->pass->request_headers)
			write_own_fields(x, &head);
		proxy_head_literal(&head, "\r\n");
	}
	x->request_pending = bytes_of(head.data, head.len);
	return true;
}

/* ---- attempts ---- */

struct bytes
proxy_balance_key(const struct upstream_group *group, void *subject, const struct endpoint *remote, uint8_t *buffer,
		  size_t size)
{
	size_t len;

	switch (upstream_group_key(group)) {
	case UPSTREAM_KEY_ADDRESS:
		return upstream_key_of_address(&remote->ip);
	case UPSTREAM_KEY_VALUE:
		len = config_value_write(group->key, subject, buffer, size, CONFIG_MISSING_EMPTY, NULL);
		return bytes_of(buffer, len == SIZE_MAX ? 0 : len);
	case UPSTREAM_KEY_NONE:
		break;
	}
	return (struct bytes){ 0 };
}

static bool
sent_something_unsafe(const struct proxy_exchange *x)
{
	enum http_method method = x->request.method;
	bool idempotent =
		method != HTTP_POST && method != HTTP_PATCH && !bytes_equal_string(x->request.method_text, "LOCK");

	if (x->body_sent && !x->kept)
		return true; /* it is gone: bodies are not stored */
	return x->call && x->call->head_sent && !x->call->unprocessed && !idempotent &&
	       !(x->location->pass->next & PROXY_NEXT_NON_IDEMPOTENT);
}

bool
proxy_upstream_may_retry(const struct proxy_exchange *x, uint32_t why)
{
	const struct proxy_location *location = x->location;
	uint64_t spent_ms = (x->worker->now_ns - x->first_attempt_ns) / NS_PER_MS;

	if (x->response_started || (x->body_sent && !x->kept) || !(location->pass->next & why) ||
	    (location->pass->next & PROXY_NEXT_OFF))
		return false;
	if (x->attempts.count >= upstream_tries(x->share->states[location->group->index]) ||
	    (location->pass->next_tries && x->tried_count >= (uint64_t)location->pass->next_tries))
		return false;
	return !location->pass->next_timeout_ms || spent_ms < (uint64_t)location->pass->next_timeout_ms;
}

static void
attempt_record(struct proxy_exchange *x, struct bytes address)
{
	x->tried_count++;
	proxy_attempt_start(proxy_attempt_now(x), address, x->worker->now_ns);
}

/* Picks and opens until a call is there or nothing is left. */
static void
next_attempt(struct proxy_exchange *x)
{
	const struct upstream_group *group = x->location->group;
	struct upstream_state *state = x->share->states[group->index];
	uint8_t buffer[1024];
	struct bytes key = proxy_balance_key(group, x, &x->remote, buffer, sizeof(buffer));

	for (;;) {
		int index = upstream_pick(state, &x->attempts, key, x->worker->now_ns), error = 0;

		if (index < 0) {
			PROXY_COUNT(x->worker, UPSTREAM_NO_LIVE);
			attempt_record(x, group->name);
			proxy_attempt_now(x)->status = 502;
			proxy_attempt_now(x)->response_ms = 0;
			proxy_exchange_log(x, LOG_ERR, "no live upstreams while connecting to upstream");
			proxy_exchange_answer(x, 502);
			return;
		}
		attempt_record(x, group->servers[index].address_text);
		x->server_index = index;
		x->call = x->location->open(x, group, (uint32_t)index, &error);
		if (x->call)
			break;
		PROXY_COUNT(x->worker, UPSTREAM_CONNECT_FAILED);
		proxy_exchange_log(x, LOG_CRIT, "connect() failed (%d: %s) while connecting to upstream", -error,
				   strerror(-error));
		proxy_attempt_now(x)->status = 502;
		proxy_upstream_release(x, UPSTREAM_FAILED, PROXY_CALL_BROKEN);
		if (!proxy_upstream_may_retry(x, PROXY_NEXT_ERROR)) {
			proxy_exchange_answer(x, 502);
			return;
		}
	}
	if (x->call->connected)
		proxy_upstream_connected(x);
	else
		proxy_call_arm(x->call, x->location->pass->connect_timeout_ms);
}

/* What is kept of the body lives longer than an attempt: it comes before what each of them starts from. */
static void
body_keep_begin(struct proxy_exchange *x)
{
	bool may_go_again = x->location->pass_http2 && !x->request_done && !(x->location->pass->next & PROXY_NEXT_OFF);

	x->kept = may_go_again ? proxy_exchange_alloc(x, PROXY_KEPT_MAX) : NULL;
}

void
proxy_upstream_start(struct proxy_exchange *x)
{
	x->first_attempt_ns = x->worker->now_ns;
	body_keep_begin(x);
	x->used_before = x->used;
	x->large_used_before = x->large_used;
	next_attempt(x);
}

/* nginx's words for what goes on with the server. */
static const char *
doing(const struct proxy_exchange *x)
{
	bool connected = x->call && x->call->connected;

	return x->call && !connected && x->call->secures  ? "SSL handshaking to upstream"
	       : !connected                               ? "connecting to upstream"
	       : !x->request_done && !x->response_started ? "sending request to upstream"
	       : x->tunnel                                ? "proxying upgraded connection"
	       : x->response_started                      ? "reading upstream"
							  : "reading response header from upstream";
}

void
proxy_upstream_release(struct proxy_exchange *x, enum upstream_result result, enum proxy_call_end end)
{
	struct proxy_call *call = x->call;

	if (x->server_index >= 0) {
		struct proxy_attempt *attempt = proxy_attempt_now(x);

		if (upstream_done(x->share->states[x->location->group->index], (uint32_t)x->server_index, result,
				  x->worker->now_ns))
			proxy_exchange_log(x, LOG_WARN, "upstream server temporarily disabled while %s", doing(x));
		attempt->response_ms = (int32_t)((x->worker->now_ns - attempt->started_ns) / NS_PER_MS);
	}
	x->server_index = -1;
	x->call = NULL;
	x->call_ended = false;
	if (!call)
		return;
	proxy_call_disarm(call);
	call->ops->release(call, end);
}

/* A pooled connection that the server had closed meanwhile says nothing about the server: that one may be tried again. Nor
 * does one of HTTP/2 that has come to its end, though there is an end to that, too. */
static bool
was_stale(struct proxy_exchange *x)
{
	const struct proxy_call *call = x->call;

	if (!call || x->response_copied)
		return false;
	if (call->unprocessed && (call->reused || call->shared))
		return x->renewals++ < PROXY_RENEWALS_MAX;
	return call->reused;
}

void
proxy_upstream_failed(struct proxy_exchange *x, uint32_t why, unsigned int status)
{
	uint32_t index = (uint32_t)x->server_index;
	bool stale = why == PROXY_NEXT_ERROR && was_stale(x);
	/* nginx counts neither a 403 nor a 404 against the server. */
	bool harmless = stale || (why & (PROXY_NEXT_403 | PROXY_NEXT_404));
	bool retry = (stale || proxy_upstream_may_retry(x, why)) && !x->response_started && !sent_something_unsafe(x);

	if (!proxy_attempt_now(x)->status)
		proxy_attempt_now(x)->status = (uint16_t)status;
	proxy_upstream_release(x, harmless ? UPSTREAM_ABANDONED : UPSTREAM_FAILED, PROXY_CALL_BROKEN);
	if (!retry) {
		proxy_exchange_answer(x, status);
		return;
	}
	PROXY_COUNT(x->worker, UPSTREAM_NEXT);
	if (stale) {
		x->attempts.tried[index / 64] &= ~(1ull << (index % 64));
		x->attempts.count--;
	}
	x->response_head = NULL;
	x->response_copied = x->response_scanned = 0;
	x->kept_sent = 0;
	x->used = x->used_before;
	x->large_used = x->large_used_before;
	next_attempt(x);
}

/* ---- sending ---- */

static void
head_unsendable(struct proxy_exchange *x)
{
	PROXY_COUNT(x->worker, OUT_OF_MEMORY);
	proxy_exchange_log(x, LOG_ERR, "request head is too large to be sent to the server");
	proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
	proxy_exchange_answer(x, 500);
}

void
proxy_upstream_connected(struct proxy_exchange *x)
{
	struct proxy_attempt *attempt = proxy_attempt_now(x);

	x->call->connected = true;
	attempt->connect_ms = (int32_t)((x->worker->now_ns - attempt->started_ns) / NS_PER_MS);
	if (!proxy_upstream_head(x)) {
		head_unsendable(x);
		return;
	}
	proxy_call_arm(x->call, x->location->pass->send_timeout_ms);
	proxy_upstream_send(x);
}

void
proxy_upstream_send(struct proxy_exchange *x)
{
	if (x->tunnel) {
		proxy_request_body(x);
		return;
	}
	if (x->request_pending.len) {
		if (!x->call->ops->head(x->call, x)) {
			head_unsendable(x);
			return;
		}
		if (x->request_pending.len)
			return; /* goes on when there is space */
		x->call->head_sent = true;
		proxy_call_arm(x->call, x->location->pass->read_timeout_ms);
	}
	if (!x->location->pass->request_body && !x->request_done)
		x->discard_body = true;
	proxy_request_body(x);
}

void
proxy_upstream_watch(struct proxy_exchange *x, bool moved)
{
	struct proxy_call *call = x->call;

	if (!call || x->client_blocked)
		return;
	if (x->request_done) {
		if (moved)
			proxy_call_arm(call, x->location->pass->read_timeout_ms);
	} else if (x->response_started || x->discard_body) {
		if (!timer_deadline_pending(&call->timeout))
			proxy_call_arm(call, x->location->pass->read_timeout_ms);
	} else if (!proxy_client_is_awaited(x->client)) {
		if (moved || !timer_deadline_pending(&call->timeout))
			proxy_call_arm(call, x->location->pass->send_timeout_ms);
	} else {
		proxy_call_disarm(call);
	}
}

/* ---- events of the call ---- */

const char *
proxy_connect_error(enum tcp_close_reason reason)
{
	return reason == TCP_REFUSED       ? "connect() failed (111: Connection refused)"
	       : reason == TCP_TIMED_OUT   ? "upstream timed out (110: Connection timed out)"
	       : reason == TCP_UNREACHABLE ? "connect() failed (113: No route to host)"
					   : "connect() failed (104: Connection reset by peer)";
}

const char *
proxy_receive_error(enum tcp_close_reason reason)
{
	return reason == TCP_TIMED_OUT     ? "recv() failed (110: Connection timed out)"
	       : reason == TCP_UNREACHABLE ? "recv() failed (113: No route to host)"
					   : "recv() failed (104: Connection reset by peer)";
}

void
proxy_exchange_unconnected(struct proxy_exchange *x, enum tcp_close_reason reason)
{
	bool timed_out = reason == TCP_TIMED_OUT;

	PROXY_COUNT(x->worker, UPSTREAM_CONNECT_FAILED);
	proxy_exchange_log(x, LOG_ERR, "%s while connecting to upstream", proxy_connect_error(reason));
	proxy_upstream_failed(x, timed_out ? PROXY_NEXT_TIMEOUT : PROXY_NEXT_ERROR, timed_out ? 504 : 502);
}

void
proxy_exchange_call_events(struct proxy_exchange *x, uint32_t events)
{
	struct proxy_client *client = x->client;
	struct proxy_call *call = x->call;

	if (events & TCP_WRITABLE)
		proxy_upstream_send(x);
	if (client->exchange != x || x->call != call)
		return;
	if (events & (TCP_READABLE | TCP_END_OF_STREAM | TCP_CLOSED))
		proxy_response_input(x, events);
}

void
proxy_exchange_call_timeout(struct proxy_exchange *x)
{
	PROXY_COUNT(x->worker, UPSTREAM_TIMEOUT);
	proxy_exchange_log(x, LOG_ERR, "upstream timed out (110: Connection timed out) while %s", doing(x));
	if (!x->response_started) {
		proxy_upstream_failed(x, PROXY_NEXT_TIMEOUT, 504);
		return;
	}
	proxy_upstream_release(x, UPSTREAM_FAILED, PROXY_CALL_BROKEN);
	x->failed_under_way = !x->tunnel;
	proxy_exchange_end(x);
}
