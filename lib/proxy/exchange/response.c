#include <errno.h>

#include "http/error_page.h"
#include "proxy/worker.h"

/* ---- answers of our own ---- */

/* After these the client's stream cannot be trusted, or is not worth reading on (nginx's list). */
static bool
ends_keep_alive(unsigned int status)
{
	switch (status) {
	case 400:
	case 413:
	case 414:
	case HTTP_HEAD_TOO_LARGE:
	case HTTP_CERTIFICATE_ERROR:
	case HTTP_NO_CERTIFICATE:
	case HTTP_PLAIN_ON_TLS_PORT:
	case 500:
	case 501:
	case 505:
		return true;
	default:
		return false;
	}
}

/* False: the exchange has ended. */
static bool
begin_response(struct proxy_exchange *x, struct bytes message, bool has_body)
{
	x->response_started = true;
	x->pending = message;
	if (x->client->ops->head(x->client, x, &x->pending, has_body))
		return true;
	PROXY_COUNT(x->worker, OUT_OF_MEMORY);
	x->closed_by_rule = true;
	proxy_exchange_end(x);
	return false;
}

/* Head and body, both in the exchange's memory; the last resort against memory that has run out is a reset. */
static void
answer(struct proxy_exchange *x, struct bytes type, struct bytes body, struct bytes location)
{
	size_t capacity = 512 + body.len;
	struct proxy_head_writer head = { 0 };

	x->local = x->discard_body = true;
	x->has_response_head = false;
	if (x->head_parsed && !x->request_done && !x->body_broken) {
		struct proxy_client *client = x->client;

		/* What has come of the body goes first: where it is broken, that is the answer. */
		proxy_request_body(x);
		if (client->exchange != x || x->response_started)
			return;
	}
	x->response_started = true;
	for (; !head.data || head.overflow; capacity *= 2) {
		head = (struct proxy_head_writer){ .capacity = capacity };
		head.data = proxy_exchange_alloc(x, capacity);
		if (!head.data) {
			PROXY_COUNT(x->worker, OUT_OF_MEMORY);
			x->closed_by_rule = true;
			proxy_exchange_end(x);
			return;
		}
		if (!proxy_response_head_of_ours(x, &head, type, body.len, location))
			continue;
		x->head_bytes = head.len;
		if (x->request.method != HTTP_HEAD)
			proxy_head_put(&head, body);
	}
	x->body_bytes = head.len - x->head_bytes;
	if (begin_response(x, bytes_of(head.data, head.len), x->body_bytes > 0))
		proxy_response_pump(x);
}

void
proxy_exchange_answer(struct proxy_exchange *x, unsigned int status)
{
	uint8_t page[HTTP_ERROR_PAGE_MAX];
	struct bytes body, type = BYTES("text/html");

	x->status = (uint16_t)status;
	if (status == 444) {
		x->closed_by_rule = true;
		proxy_exchange_end(x);
		return;
	}
	if (!x->head_parsed || ends_keep_alive(status))
		x->keep_alive = false;
	if (!x->head_parsed)
		x->request.method = HTTP_GET;
	body = http_error_page_write(page, sizeof(page), (uint16_t)status, x->location->server_tokens,
				     x->head_parsed && http_error_page_wants_padding(&x->request));
	answer(x, body.len ? type : (struct bytes){ 0 }, body, (struct bytes){ 0 });
}

void
proxy_exchange_answer_text(struct proxy_exchange *x, unsigned int status, struct bytes type, struct bytes text)
{
	uint8_t page[HTTP_ERROR_PAGE_MAX];
	struct bytes html = BYTES("text/html");

	x->status = (uint16_t)status;
	if (status == 444) {
		proxy_exchange_answer(x, status);
		return;
	}
	if (proxy_status_redirects(status))
		answer(x, html,
		       http_error_page_write(page, sizeof(page), (uint16_t)status, x->location->server_tokens, false),
		       text);
	else
		answer(x, type, text, (struct bytes){ 0 });
}

/* ---- the server's head ---- */

static void
bad_response(struct proxy_exchange *x, const char *what)
{
	PROXY_COUNT(x->worker, UPSTREAM_BAD_RESPONSE);
	proxy_exchange_log(x, LOG_ERR, "upstream sent %s while reading response header from upstream", what);
	proxy_upstream_failed(x, PROXY_NEXT_INVALID_HEADER, 502);
}

static const char *
ended_how(const struct proxy_exchange *x)
{
	const char *how = x->call->ops->ending(x->call);

	return how ? how : "upstream prematurely closed connection";
}

static uint32_t
next_bit(uint16_t status)
{
	switch (status) {
	case 500:
		return PROXY_NEXT_500;
	case 502:
		return PROXY_NEXT_502;
	case 503:
		return PROXY_NEXT_503;
	case 504:
		return PROXY_NEXT_504;
	case 403:
		return PROXY_NEXT_403;
	case 404:
		return PROXY_NEXT_404;
	case 429:
		return PROXY_NEXT_429;
	default:
		return 0;
	}
}

/* Servers left to try: the status of the last one goes to the client as it came. */
static bool
wants_next(const struct proxy_exchange *x)
{
	uint32_t why = next_bit(x->response.status);

	return why && proxy_upstream_may_retry(x, why);
}

bool
proxy_response_memory(struct proxy_exchange *x)
{
	if (!x->response_head)
		x->response_head = proxy_exchange_alloc(x, x->location->pass->buffer_size);
	return x->response_head;
}

/* True when a head is complete and x->response holds it. */
static bool
read_head(struct proxy_exchange *x, uint32_t events)
{
	const char *problem;
	enum http1_result result;

	if (!proxy_response_memory(x)) {
		PROXY_COUNT(x->worker, OUT_OF_MEMORY);
		proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
		proxy_exchange_answer(x, 500);
		return false;
	}
	result = x->call->ops->read_head(x->call, x, &problem);
	if (result == HTTP1_DONE) {
		proxy_attempt_now(x)->status = x->response.status;
		return true;
	}
	if (result == HTTP1_BAD) {
		bad_response(x, problem);
	} else if ((events & TCP_CLOSED) || x->call_ended) {
		PROXY_COUNT(x->worker, UPSTREAM_CLOSED_EARLY);
		proxy_exchange_log(x, LOG_ERR, "%s while reading response header from upstream", ended_how(x));
		proxy_upstream_failed(x, PROXY_NEXT_ERROR, 502);
	} else if (x->request_done) {
		proxy_call_arm(x->call, x->location->pass->read_timeout_ms);
	}
	return false;
}

static bool
no_body(const struct proxy_exchange *x)
{
	return !x->tunnel && (x->response.framing == HTTP_NO_BODY ||
			      (x->response.framing == HTTP_LENGTH && x->response_body.left == 0));
}

static void
choose_framing(struct proxy_exchange *x)
{
	bool old_client = x->request.version_major == 1 && x->request.version_minor == 0;

	x->response_mode = PROXY_RESPONSE_AS_IS;
	http1_body_init(&x->response_body, &x->response);
	if (x->client->ops->is_framed) {
		if (x->response.framing == HTTP_TO_CLOSE || x->response.framing == HTTP_CHUNKED)
			x->response_mode = PROXY_RESPONSE_PLAIN;
	} else if (x->response.framing == HTTP_TO_CLOSE) {
		if (old_client)
			x->keep_alive = false;
		else
			x->response_mode = PROXY_RESPONSE_CHUNKED;
	} else if (x->response.framing == HTTP_CHUNKED && old_client) {
		x->response_mode = PROXY_RESPONSE_PLAIN;
		x->keep_alive = false;
	}
}

void
proxy_response_start(struct proxy_exchange *x)
{
	/* Room for the server's head, ours, and what filters add; doubled until it fits. */
	size_t capacity = x->response_copied + 512;
	struct proxy_head_writer head = { 0 };

	x->has_response_head = true;
	x->status = x->response.status;
	x->tunnel = x->status == 101;
	proxy_attempt_now(x)->header_ms = (int32_t)((x->worker->now_ns - proxy_attempt_now(x)->started_ns) / NS_PER_MS);
	choose_framing(x);
	for (; !head.data || head.overflow; capacity *= 2) {
		head = (struct proxy_head_writer){ .capacity = capacity };
		head.data = proxy_exchange_alloc(x, capacity);
		if (!head.data) {
			PROXY_COUNT(x->worker, OUT_OF_MEMORY);
			x->tunnel = false;
			proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
			proxy_exchange_answer(x, 500);
			return;
		}
		proxy_response_head_of_server(x, &head);
	}
	x->head_bytes = head.len;
	begin_response(x, bytes_of(head.data, head.len), !no_body(x));
}

void
proxy_response_input(struct proxy_exchange *x, uint32_t events)
{
	struct proxy_client *client = x->client;

	if (events & (TCP_END_OF_STREAM | TCP_CLOSED))
		x->call_ended = true;
	if (!x->response_started) {
		if (!read_head(x, events))
			return;
		if (x->response.status == 101 && !x->upgrade_asked) {
			bad_response(x, "unexpected 101 response");
			return;
		}
		if (wants_next(x)) {
			proxy_upstream_failed(x, next_bit(x->response.status), x->response.status);
			return;
		}
		proxy_response_start(x);
		if (client->exchange != x || !x->call)
			return;
		if (x->tunnel) {
			x->request_done = true;
			proxy_request_body(x); /* what the client said before it was asked to switch */
		}
	}
	proxy_call_arm(x->call, x->location->pass->read_timeout_ms);
	proxy_response_pump(x);
}

/* ---- moving the body ---- */

/* The body's decoder has moved on already: bytes that find no memory cannot wait. Relinked mbufs need none, so this is
 * rare; the exchange breaks off. */
bool
proxy_moved_all(struct proxy_exchange *x, uint32_t moved, uint32_t len)
{
	if (moved == len)
		return true;
	PROXY_COUNT(x->worker, OUT_OF_MEMORY);
	return false;
}

enum pump { PUMP_MORE, PUMP_WAIT_SERVER, PUMP_WAIT_CLIENT, PUMP_DONE, PUMP_BROKEN };

static enum pump
server_silent(struct proxy_exchange *x)
{
	if (!x->call_ended)
		return PUMP_WAIT_SERVER;
	if (!x->call->ops->ending(x->call) && http1_body_may_end(&x->response_body))
		return PUMP_DONE;
	PROXY_COUNT(x->worker, UPSTREAM_CLOSED_EARLY);
	proxy_exchange_log(x, LOG_ERR, "%s while reading upstream", ended_how(x));
	return PUMP_BROKEN;
}

static enum pump
bad_chunk(struct proxy_exchange *x)
{
	PROXY_COUNT(x->worker, UPSTREAM_BAD_RESPONSE);
	proxy_exchange_log(x, LOG_ERR, "upstream sent invalid chunked response while reading upstream");
	return PUMP_BROKEN;
}

/* More of the lines behind the last chunk; if they are too many, none. */
static void
keep_trailers(struct proxy_exchange *x, struct bytes more)
{
	struct bytes *kept = &x->response_trailers;

	if (!kept->data)
		kept->data = proxy_exchange_alloc(x, PROXY_TRAILERS_MAX);
	if (!kept->data || x->response_body.trailer_len > PROXY_TRAILERS_MAX) {
		kept->len = 0;
		return;
	}
	memcpy((uint8_t *)(uintptr_t)kept->data + kept->len, more.data, more.len);
	kept->len += more.len;
}

/* A body that is framed by itself: as it is, or, for a client that speaks HTTP/1.0 or frames itself, its content alone. */
static enum pump
pump_framed(struct proxy_exchange *x)
{
	struct proxy_client *client = x->client;
	struct proxy_call *server = x->call;
	struct bytes run = server->ops->peek(server);
	size_t consumed, offset, size;
	enum http1_error error;
	enum http1_result result;
	uint32_t room = proxy_client_writable(client), trailer_len;

	if (!run.len)
		return server_silent(x);
	if (!room)
		return PUMP_WAIT_CLIENT;
	run.len = run.len < room ? run.len : room;
	trailer_len = x->response_body.trailer_len;
	result = http1_body_decode(&x->response_body, run.data, run.len, &consumed, &offset, &size, &error);
	if (result == HTTP1_BAD)
		return bad_chunk(x);
	trailer_len = x->response_body.trailer_len - trailer_len;
	if (trailer_len && x->client->ops->is_framed)
		keep_trailers(x, bytes_from(bytes_of(run.data, consumed), consumed - trailer_len));
	if (x->response_mode == PROXY_RESPONSE_AS_IS) {
		offset = 0;
		size = consumed;
	}
	if (offset)
		server->ops->consume(server, (uint32_t)offset);
	if (!proxy_moved_all(x, server->ops->take(server, client, (uint32_t)size), (uint32_t)size))
		return PUMP_BROKEN;
	if (consumed > offset + size)
		server->ops->consume(server, (uint32_t)(consumed - offset - size));
	x->body_bytes += size;
	return result == HTTP1_DONE ? PUMP_DONE : PUMP_MORE;
}

/* With the trailers of a server that frames itself. */
static enum pump
last_chunk(struct proxy_exchange *x, uint32_t room)
{
	struct proxy_client *client = x->client;
	uint32_t len = (uint32_t)x->response_trailers.len;

	if (room < len + 5)
		return PUMP_WAIT_CLIENT;
	if (proxy_client_write(client, "0\r\n", 3) < 3 ||
	    (len && proxy_client_write(client, x->response_trailers.data, len) < len) ||
	    proxy_client_write(client, "\r\n", 2) < 2)
		return PUMP_BROKEN;
	x->body_bytes += len + 5;
	return PUMP_DONE;
}

/* From bytes that end with the connection, or are framed below, to chunks. */
static enum pump
pump_chunked(struct proxy_exchange *x)
{
	struct proxy_client *client = x->client;
	struct proxy_call *server = x->call;
	uint32_t room = proxy_client_writable(client), size = proxy_call_readable(server);
	uint8_t line[HTTP1_CHUNK_HEAD_MAX];
	size_t line_len;
	enum pump silent;

	if (room <= HTTP1_CHUNK_FRAMING)
		return PUMP_WAIT_CLIENT;
	if (!size) {
		silent = server_silent(x);
		return silent == PUMP_DONE ? last_chunk(x, room) : silent;
	}
	size = size < room - HTTP1_CHUNK_FRAMING ? size : room - HTTP1_CHUNK_FRAMING;
	line_len = http1_chunk_head(line, size);
	if (proxy_client_write(client, line, (uint32_t)line_len) < line_len ||
	    !proxy_moved_all(x, server->ops->take(server, client, size), size) ||
	    proxy_client_write(client, "\r\n", 2) < 2)
		return PUMP_BROKEN;
	x->body_bytes += line_len + size + 2;
	return PUMP_MORE;
}

static enum pump
pump_tunnel(struct proxy_exchange *x)
{
	struct proxy_client *client = x->client;
	struct proxy_call *server = x->call;
	uint32_t moved = server->ops->take(server, client, proxy_call_readable(server));

	x->body_bytes += moved;
	if (proxy_call_readable(server))
		return PUMP_WAIT_CLIENT;
	if (x->call_ended)
		return PUMP_DONE;
	return PUMP_WAIT_SERVER;
}

static enum pump
pump_body(struct proxy_exchange *x)
{
	if (x->tunnel)
		return pump_tunnel(x);
	if (no_body(x))
		return PUMP_DONE;
	return x->response_mode == PROXY_RESPONSE_CHUNKED ? pump_chunked(x) : pump_framed(x);
}

static void
response_complete(struct proxy_exchange *x)
{
	x->response_done = true;
	if (!x->failed_under_way)
		x->client->ops->finish(x->client, x->response_trailers);
	if (x->request_done || !x->local || !x->keep_alive || x->client->ops->is_framed) {
		proxy_exchange_end(x);
		return;
	}
	/* The rest of a body that nobody wants comes first; then the connection can serve the next request. */
	proxy_client_arm(x->client, x->location->lingering_timeout_ms);
}

static void
wait_for_client(struct proxy_exchange *x)
{
	x->client->ops->want_writable(x->client);
	x->client_blocked = true;
	proxy_client_arm(x->client, x->location->send_timeout_ms);
	if (x->call)
		proxy_call_disarm(x->call);
}

void
proxy_response_pump(struct proxy_exchange *x)
{
	enum pump result = PUMP_MORE;
	bool whole;

	if (x->response_done)
		return;
	if (x->pending.len) {
		uint32_t taken = proxy_client_write(x->client, x->pending.data, (uint32_t)x->pending.len);

		x->pending = bytes_from(x->pending, taken);
		if (x->pending.len) {
			wait_for_client(x);
			return;
		}
	}
	if (x->local) {
		x->client_blocked = false;
		response_complete(x);
		return;
	}
	while (result == PUMP_MORE)
		result = pump_body(x);
	if (result == PUMP_WAIT_CLIENT) {
		wait_for_client(x);
		return;
	}
	if (x->client_blocked) {
		x->client_blocked = false;
		if (x->request_done)
			proxy_client_disarm(x->client);
		else
			proxy_client_arm(x->client, x->location->client_body_timeout_ms);
		if (result == PUMP_WAIT_SERVER)
			proxy_call_arm(x->call, x->location->pass->read_timeout_ms);
	}
	if (result == PUMP_WAIT_SERVER)
		return;
	proxy_attempt_now(x)->bytes_received += x->body_bytes;
	whole = result == PUMP_DONE && !x->tunnel && x->request_done && x->call->head_sent &&
		x->response.framing != HTTP_TO_CLOSE && !x->call_ended && !proxy_call_readable(x->call);
	x->failed_under_way = result == PUMP_BROKEN;
	proxy_upstream_release(x, result == PUMP_BROKEN ? UPSTREAM_FAILED : UPSTREAM_OK,
			       !whole                   ? PROXY_CALL_BROKEN
			       : x->response.keep_alive ? PROXY_CALL_REUSABLE
							: PROXY_CALL_DONE);
	response_complete(x);
}
