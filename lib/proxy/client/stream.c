#include "proxy/client/stream.h"

#include <stdlib.h>

#include "http/error_page.h"
#include "proxy/worker.h"

static const struct proxy_client_ops http2;

static struct proxy_stream *
stream_of(const struct proxy_client *client)
{
	return container_of(client, struct proxy_stream, client);
}

/* ---- life ---- */

static void *
begin(void *user, int32_t id)
{
	struct proxy_session_http2 *h = user;
	struct proxy_worker *worker = h->session->worker;
	struct proxy_stream *stream = h->going_away ? NULL : slab_get(worker->streams);
	struct proxy_exchange *x;

	if (!stream) {
		PROXY_COUNT(worker, HTTP2_REFUSED);
		return NULL;
	}
	*stream = (struct proxy_stream){ .client = { .ops = &http2 }, .session = h->session };
	proxy_http2_stream_init(&stream->base, &h->base, id);
	x = proxy_exchange_new(&stream->client);
	if (!x) {
		slab_put(worker->streams, stream);
		PROXY_COUNT(worker, HTTP2_REFUSED);
		if (!proxy_session_address(h->session))
			proxy_session_http2_go_away(h); /* nothing listens there any more */
		return NULL;
	}
	memset(&x->request, 0, offsetof(struct http_message, fields));
	timer_deadline_init(&stream->client.timeout);
	list_init(&stream->node);
	list_append(&h->streams, &stream->node);
	if (h->stream_count++ == 0)
		proxy_client_disarm(&h->session->client);
	proxy_client_arm(&stream->client, x->server->client_header_timeout_ms);
	return stream;
}

void
proxy_stream_end(struct proxy_stream *stream)
{
	struct proxy_session *session = stream->session;
	struct proxy_worker *worker = session->worker;

	stream->base.closed = true;
	if (stream->client.exchange)
		proxy_exchange_client_gone(stream->client.exchange);
	proxy_http2_drop_input(&stream->base);
	tcp_queue_free(&stream->base.out);
	free((void *)(uintptr_t)stream->base.trailers.data);
	timer_deadline_cancel(worker->client_timers, &stream->client.timeout);
	list_remove(&stream->base.output_wanted);
	list_remove(&stream->node);
	list_append(&worker->streams_gone, &stream->node);
	if (--session->http2->stream_count == 0)
		proxy_http2_wake(&session->http2->base); /* to see what becomes of the connection */
}

static void
closed(void *user, uint32_t code)
{
	proxy_stream_end(user);
}

void
proxy_streams_reap(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_take_first(&worker->streams_gone)) != NULL)
		slab_put(worker->streams, container_of(node, struct proxy_stream, node));
}

static void
reset(struct proxy_stream *stream, enum http2_code code)
{
	http2_reset(stream->base.connection->codec, stream->base.id, code);
	proxy_http2_wake(stream->base.connection);
}

/* ---- the request's head ---- */

/* nginx's bounds: large_client_header_buffers, each for a field, all of them for a head. */
static bool
fits(struct proxy_exchange *x, size_t len)
{
	size_t one = x->server->large_header_buffer_size;
	size_t all = one * (size_t)x->server->large_header_buffers;

	x->head_copied += len;
	return len <= one && x->head_copied <= all && x->head_copied <= PROXY_LARGE_SIZE / 2;
}

static void
field(void *user, struct bytes name, struct bytes value, bool is_trailer)
{
	struct proxy_stream *stream = user;
	struct proxy_exchange *x = stream->client.exchange;
	uint8_t *copy;

	if (!x || x->bad || stream->head_too_large)
		return;
	if (is_trailer) {
		proxy_trailer_add(x, &x->request_trailers, name, value);
		return;
	}
	copy = fits(x, name.len + value.len + 4) ? proxy_exchange_alloc(x, name.len + value.len) : NULL;
	if (!copy) {
		stream->head_too_large = true;
		return;
	}
	memcpy(copy, name.data, name.len);
	if (value.len)
		memcpy(copy + name.len, value.data, value.len);
	x->bad = http2_request_field(&x->request, bytes_of(copy, name.len), bytes_of(copy + name.len, value.len));
}

static void
head_bad(struct proxy_exchange *x)
{
	PROXY_COUNT(x->worker, BAD_REQUEST);
	proxy_exchange_log(x, LOG_INFO, "client sent invalid request (%s) while processing HTTP/2 connection",
			   http1_error_names[x->bad]);
	proxy_exchange_answer(x, http1_error_status[x->bad]);
}

static void
head_complete(void *user, bool ended)
{
	struct proxy_stream *stream = user;
	struct proxy_exchange *x = stream->client.exchange;
	uint8_t *memory;

	stream->client.input_ended = ended;
	if (!x)
		return;
	proxy_client_disarm(&stream->client);
	x->head_len = x->head_copied;
	memory = stream->head_too_large ? NULL : proxy_exchange_alloc(x, http2_request_memory(&x->request));
	if (!memory) {
		PROXY_COUNT(x->worker, HEAD_TOO_LARGE);
		proxy_exchange_log(x, LOG_INFO, "client sent too large header while processing HTTP/2 connection");
		proxy_exchange_answer(x, HTTP_HEAD_TOO_LARGE);
		return;
	}
	if (!x->bad)
		x->bad = http2_request_conclude(&x->request, memory, ended);
	if (x->bad)
		head_bad(x);
	else
		proxy_request_begin(x);
}

static void
malformed(void *user, void *stream)
{
	struct proxy_http2 *h = user;
	struct proxy_exchange *x = stream ? ((struct proxy_stream *)stream)->client.exchange : NULL;

	PROXY_COUNT(h->worker, BAD_REQUEST);
	if (x)
		proxy_exchange_log(x, LOG_INFO, "client sent invalid request (%s) while processing HTTP/2 connection",
				   "malformed");
}

/* ---- its content ---- */

static void
content(void *user, struct bytes data)
{
	struct proxy_stream *stream = user;
	struct proxy_exchange *x = stream->client.exchange;

	if (!x) {
		proxy_http2_consumed(&stream->base, (uint32_t)data.len);
		return;
	}
	if (tcp_queue_write(&stream->base.in, stream->base.pool, data.data, (uint32_t)data.len) < data.len) {
		PROXY_COUNT(x->worker, OUT_OF_MEMORY);
		x->closed_by_rule = true;
		proxy_exchange_end(x);
		return;
	}
	proxy_exchange_client_input(x);
}

static void
end(void *user)
{
	struct proxy_stream *stream = user;

	stream->client.input_ended = true;
	if (stream->client.exchange)
		proxy_exchange_client_input(stream->client.exchange);
}

static uint32_t
readable(const struct proxy_client *client)
{
	return stream_of(client)->base.in.bytes;
}

static struct bytes
peek(const struct proxy_client *client)
{
	return tcp_queue_peek(&stream_of(client)->base.in);
}

static void
consume(struct proxy_client *client, uint32_t len)
{
	struct proxy_stream *stream = stream_of(client);

	tcp_queue_drop(&stream->base.in, len);
	proxy_http2_consumed(&stream->base, len);
}

static uint32_t
give(struct proxy_client *client, struct proxy_place to, uint32_t len)
{
	struct proxy_stream *stream = stream_of(client);
	uint32_t moved = proxy_place_move(to, proxy_http2_place(&stream->base, &stream->base.in), len);

	proxy_http2_consumed(&stream->base, moved);
	return moved;
}

static void
go_on(struct proxy_client *client)
{
	struct proxy_http2_stream *stream = &stream_of(client)->base;

	http2_answer(stream->connection->codec, stream->id, 100, (struct bytes){ 0 }, false);
	proxy_http2_wake(stream->connection);
}

/* ---- the answer ---- */

static uint32_t
writable(const struct proxy_client *client)
{
	return proxy_http2_writable(&stream_of(client)->base);
}

static void
want_writable(struct proxy_client *client)
{
	proxy_http2_want_writable(&stream_of(client)->base);
}

static uint32_t
write_bytes(struct proxy_client *client, const void *data, uint32_t len)
{
	return proxy_http2_stream_write(&stream_of(client)->base, data, len);
}

static uint32_t
take(struct proxy_client *client, struct proxy_place from, uint32_t len)
{
	struct proxy_http2_stream *stream = &stream_of(client)->base;
	uint32_t room = proxy_http2_writable(stream);
	uint32_t moved = proxy_place_move(proxy_http2_place(stream, &stream->out), from, len < room ? len : room);

	proxy_http2_body_ready(stream);
	return moved;
}

static bool
head(struct proxy_client *client, struct proxy_exchange *x, struct bytes *message, bool has_body)
{
	struct proxy_stream *stream = stream_of(client);
	struct bytes text = bytes_of(message->data, x->head_bytes);

	stream->chunk_size = (uint32_t)x->location->http2_chunk_size;
	stream->send_timeout_ms = x->location->send_timeout_ms;
	*message = bytes_from(*message, x->head_bytes);
	proxy_http2_wake(stream->base.connection);
	return http2_answer(stream->base.connection->codec, stream->base.id, http_status_on_wire(x->status), text,
			    has_body);
}

static void
finish(struct proxy_client *client, struct bytes trailers)
{
	uint8_t *copy = trailers.len ? malloc(trailers.len) : NULL;

	if (copy)
		memcpy(copy, trailers.data, trailers.len);
	proxy_http2_finish(&stream_of(client)->base, bytes_of(copy, copy ? trailers.len : 0));
}

/* The rest of the answer goes without it. */
static void
ended(struct proxy_client *client, const struct proxy_exchange *x)
{
	struct proxy_stream *stream = stream_of(client);
	bool whole = stream->base.finished && !x->failed_under_way && !x->closed_by_rule;

	list_remove(&stream->base.output_wanted);
	if (stream->base.closed)
		return;
	proxy_http2_drop_input(&stream->base);
	if (!whole && !x->closed_by_rule && stream->base.out.bytes)
		stream->reset_behind = HTTP2_INTERNAL_ERROR; /* what has come is the client's, as with HTTP/1 */
	else if (!whole)
		reset(stream, x->failed_under_way ? HTTP2_INTERNAL_ERROR : HTTP2_CANCEL);
	if (proxy_session_is_spent(stream->session, x->location))
		proxy_session_http2_go_away(stream->session->http2);
	proxy_client_arm(client, x->location->send_timeout_ms);
	proxy_http2_wake(stream->base.connection);
}

static void
timed_out(struct proxy_client *client)
{
	struct proxy_stream *stream = stream_of(client);

	if (client->exchange)
		proxy_exchange_client_timeout(client->exchange);
	else /* who has all of the answer is only told to stop */
		reset(stream, stream->base.finished && !stream->base.out.bytes ? HTTP2_NO_ERROR : HTTP2_CANCEL);
}

/* ---- frames of it ---- */

static uint32_t
body(void *user, uint32_t len, bool *last)
{
	struct proxy_stream *stream = user;

	return proxy_http2_body(&stream->base, len < stream->chunk_size ? len : stream->chunk_size, last);
}

static bool
body_send(void *user, struct bytes header, uint32_t len)
{
	struct proxy_stream *stream = user;

	if (!proxy_http2_body_send(&stream->base, header, len))
		return false;
	if (stream->reset_behind && !stream->base.out.bytes)
		reset(stream, stream->reset_behind);
	if (!stream->client.exchange)
		proxy_client_arm(&stream->client, stream->send_timeout_ms);
	return true;
}

const struct http2_events proxy_stream_events = {
	.begin = begin,
	.field = field,
	.head = head_complete,
	.content = content,
	.end = end,
	.malformed = malformed,
	.write = proxy_http2_write,
	.body = body,
	.body_send = body_send,
	.closed = closed,
};

static const struct proxy_client_ops http2 = {
	.is_framed = true,
	.is_stream = true,
	.readable = readable,
	.peek = peek,
	.consume = consume,
	.give = give,
	.go_on = go_on,
	.writable = writable,
	.want_writable = want_writable,
	.write = write_bytes,
	.take = take,
	.head = head,
	.finish = finish,
	.ended = ended,
	.timed_out = timed_out,
};
