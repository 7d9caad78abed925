#include "proxy/worker.h"

/* The request cannot go on: an answer, where none has begun. */
static void
give_up(struct proxy_exchange *x, unsigned int status)
{
	if (x->call)
		proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
	x->keep_alive = false;
	x->body_broken = true;
	if (x->response_started) {
		x->failed_under_way = !x->response_done;
		proxy_exchange_end(x);
	} else {
		proxy_exchange_answer(x, status);
	}
}

static void
body_bad(struct proxy_exchange *x, unsigned int status, enum http1_error error)
{
	if (status == 413) {
		PROXY_COUNT(x->worker, BODY_TOO_LARGE);
		proxy_exchange_log(x, LOG_ERR, "client intended to send too large chunked body: %lu bytes",
				   (unsigned long)x->request_content);
	} else {
		PROXY_COUNT(x->worker, BAD_REQUEST);
		proxy_exchange_log(x, LOG_INFO, "client sent invalid body (%s)", http1_error_names[error]);
	}
	give_up(x, status);
}

/* What frames, routes or authenticates has no place in trailers (RFC 9110 section 6.5.1). */
void
proxy_trailer_add(struct proxy_exchange *x, struct bytes *lines, struct bytes name, struct bytes value)
{
	size_t len = name.len + value.len + 4;
	uint8_t *line;

	if (name.len && name.data[0] == ':')
		return;
	if (http_field_identify(name) != HTTP_FIELD_OTHER || lines->len + len > PROXY_TRAILERS_MAX)
		return;
	if (!lines->data)
		lines->data = proxy_exchange_alloc(x, PROXY_TRAILERS_MAX);
	if (!lines->data)
		return;
	line = (uint8_t *)(uintptr_t)lines->data + lines->len;
	memcpy(line, name.data, name.len);
	memcpy(line + name.len, ": ", 2);
	if (value.len)
		memcpy(line + name.len + 2, value.data, value.len);
	memcpy(line + len - 2, "\r\n", 2);
	lines->len += len;
}

/* ---- what may have to go again ---- */

void
proxy_body_keep(struct proxy_exchange *x, const struct tcp_queue *queue, uint32_t offset, uint32_t len)
{
	if (!x->kept || x->response_started || len > PROXY_KEPT_MAX - x->kept_len) {
		x->kept = NULL;
		return;
	}
	x->kept_len += tcp_queue_copy(queue->head, offset, x->kept + x->kept_len, len);
	x->kept_sent = x->kept_len;
}

/* To a further server. False: it has no room for all of it now. */
static bool
send_kept(struct proxy_exchange *x)
{
	struct proxy_call *to = x->call;

	if (!x->kept || x->kept_sent == x->kept_len)
		return true;
	x->kept_sent += proxy_call_write(to, x->kept + x->kept_sent, x->kept_len - x->kept_sent);
	if (x->kept_sent < x->kept_len)
		to->ops->want_writable(to);
	return x->kept_sent == x->kept_len;
}

/* ---- on to the server ---- */

static void
tunnel_to_server(struct proxy_exchange *x)
{
	struct proxy_client *from = x->client;
	struct proxy_call *to = x->call;

	if (proxy_client_readable(from)) {
		to->ops->give(to, from, proxy_client_readable(from));
		proxy_call_arm(to, x->location->pass->read_timeout_ms);
	}
	if (proxy_client_readable(from))
		to->ops->want_writable(to);
	else if (from->input_ended)
		to->ops->shutdown(to);
}

enum step { STEP_MORE, STEP_WAIT, STEP_END };

/* Content of a client that frames itself goes to the server in chunks, as its length is not known. */
static enum step
chunk_step(struct proxy_exchange *x, uint32_t size)
{
	struct proxy_client *from = x->client;
	struct proxy_call *to = x->call;
	uint32_t room = proxy_call_writable(to);
	uint8_t line[HTTP1_CHUNK_HEAD_MAX];
	size_t line_len;

	if (room <= HTTP1_CHUNK_FRAMING) {
		to->ops->want_writable(to);
		return STEP_WAIT;
	}
	size = size < room - HTTP1_CHUNK_FRAMING ? size : room - HTTP1_CHUNK_FRAMING;
	line_len = http1_chunk_head(line, size);
	x->request_content += size;
	x->body_sent = true;
	if (proxy_call_write(to, line, (uint32_t)line_len) < line_len ||
	    !proxy_moved_all(x, to->ops->give(to, from, size), size) || proxy_call_write(to, "\r\n", 2) < 2) {
		give_up(x, 500);
		return STEP_END;
	}
	return STEP_MORE;
}

/* The last chunk, with the trailers that have come. */
static enum step
last_chunk(struct proxy_exchange *x)
{
	struct proxy_call *to = x->call;
	uint32_t len = (uint32_t)x->request_trailers.len;

	if (proxy_call_writable(to) < len + 5) {
		to->ops->want_writable(to);
		return STEP_WAIT;
	}
	x->body_sent = x->request_done = true;
	if (proxy_call_write(to, "0\r\n", 3) < 3 ||
	    (len && proxy_call_write(to, x->request_trailers.data, len) < len) || proxy_call_write(to, "\r\n", 2) < 2) {
		give_up(x, 500);
		return STEP_END;
	}
	return STEP_MORE;
}

/* Content as it is, to a server that frames itself. */
static enum step
content_step(struct proxy_exchange *x, uint32_t size)
{
	struct proxy_call *to = x->call;
	uint32_t room = proxy_call_writable(to);

	if (room == 0) {
		to->ops->want_writable(to);
		return STEP_WAIT;
	}
	size = size < room ? size : room;
	x->request_content += size;
	x->body_sent = true;
	if (!proxy_moved_all(x, to->ops->give(to, x->client, size), size)) {
		give_up(x, 500);
		return STEP_END;
	}
	return STEP_MORE;
}

/* Until the client ends it, which is said below. */
static enum step
framed_step(struct proxy_exchange *x)
{
	uint32_t size = proxy_client_readable(x->client);
	size_t limit = x->location->client_max_body_size;

	if (limit && x->request_content + size > limit) {
		body_bad(x, 413, HTTP1_NONE);
		return STEP_END;
	}
	if (!size && !x->client->input_ended)
		return STEP_WAIT;
	if (!x->discard_body && !x->call->ops->is_framed)
		return size ? chunk_step(x, size) : last_chunk(x);
	if (!x->discard_body && size)
		return content_step(x, size);
	x->request_content += size;
	if (size)
		x->client->ops->consume(x->client, size);
	x->request_done = x->client->input_ended;
	return STEP_MORE;
}

/* As the client has framed it, or, where the server frames itself, its content alone. */
static bool
pass_on(struct proxy_exchange *x, uint32_t consumed, uint32_t offset, uint32_t size)
{
	struct proxy_client *from = x->client;
	struct proxy_call *to = x->call;

	x->body_sent = true;
	if (!to->ops->is_framed)
		return proxy_moved_all(x, to->ops->give(to, from, consumed), consumed);
	if (offset)
		from->ops->consume(from, offset);
	if (size && !proxy_moved_all(x, to->ops->give(to, from, size), size))
		return false;
	if (consumed > offset + size)
		from->ops->consume(from, consumed - offset - size);
	return true;
}

/* One run of contiguous bytes from the client to the server, or, for an answer of our own, to nowhere. */
static enum step
body_step(struct proxy_exchange *x)
{
	struct proxy_client *from = x->client;
	struct bytes run = from->ops->peek(from);
	size_t consumed, offset, size, limit = x->location->client_max_body_size;
	enum http1_error error = HTTP1_NONE;
	enum http1_result result;

	if (run.len && !x->discard_body) {
		uint32_t room = proxy_call_writable(x->call);

		if (room == 0) {
			x->call->ops->want_writable(x->call);
			return STEP_WAIT;
		}
		run.len = run.len < room ? run.len : room;
	}
	if (!run.len)
		return STEP_WAIT;
	result = http1_body_decode(&x->request_body, run.data, run.len, &consumed, &offset, &size, &error);
	x->request_content += size;
	if (result == HTTP1_BAD || (limit && x->request_content > limit)) {
		body_bad(x, result == HTTP1_BAD ? 400 : 413, error);
		return STEP_END;
	}
	if (x->discard_body) {
		from->ops->consume(from, (uint32_t)consumed);
	} else if (!pass_on(x, (uint32_t)consumed, (uint32_t)offset, (uint32_t)size)) {
		give_up(x, 500);
		return STEP_END;
	}
	if (result == HTTP1_DONE)
		x->request_done = true;
	return STEP_MORE;
}

/* Expect: 100-continue is answered when the server is ready for the body and none of it has come. */
static void
say_continue(struct proxy_exchange *x)
{
	if (!x->request.expect_continue || x->continued || x->discard_body)
		return;
	x->continued = true;
	if (!proxy_client_readable(x->client))
		x->client->ops->go_on(x->client);
}

/* More of the body is to come. The client's time runs while it is the client that is waited for. */
static void
await_body(struct proxy_exchange *x, bool moved)
{
	struct proxy_client *client = x->client;
	bool client_is_awaited = proxy_client_is_awaited(client);

	if (client_is_awaited && client->input_ended) {
		if (x->local && !x->response_done)
			x->keep_alive = false; /* it may still want the answer, which is on its way */
		else
			proxy_exchange_client_gone(x);
		return;
	}
	if (!x->client_blocked) { /* else send_timeout runs */
		if (client_is_awaited)
			proxy_client_arm(client, x->location->client_body_timeout_ms);
		else
			proxy_client_disarm(client);
	}
	proxy_upstream_watch(x, moved);
}

void
proxy_request_body(struct proxy_exchange *x)
{
	enum step step = STEP_MORE;
	bool moved = false;

	if (x->tunnel) {
		tunnel_to_server(x);
		return;
	}
	if (!x->discard_body && (!x->call || !x->call->head_sent))
		return; /* it waits in the receive queue */
	if (!x->discard_body && !send_kept(x)) {
		proxy_upstream_watch(x, false);
		return;
	}
	if (!x->request_done)
		say_continue(x);
	while (step == STEP_MORE && !x->request_done) {
		step = x->request.framing == HTTP_TO_CLOSE ? framed_step(x) : body_step(x);
		moved |= step == STEP_MORE;
	}
	if (step == STEP_END)
		return;
	if (!x->request_done) {
		await_body(x, moved);
		return;
	}
	if (x->response_done) {
		proxy_exchange_end(x);
		return;
	}
	if (!x->discard_body && x->call->ops->finish && !x->call->finished) {
		x->call->finished = true;
		x->call->ops->finish(x->call, x->request_trailers);
	}
	if (!x->client_blocked)
		proxy_client_disarm(x->client);
	proxy_upstream_watch(x, moved);
}
