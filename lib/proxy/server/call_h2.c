#include "proxy/server/call_h2.h"

#include <errno.h>
#include <stdio.h>

#include "proxy/worker.h"

/* ---- life ---- */

struct proxy_call *
proxy_call_open_http2(struct proxy_exchange *x, const struct upstream_group *group, uint32_t server_index, int *error)
{
	struct proxy_worker *worker = x->worker;
	const struct tls_client *client = x->location->client;
	struct proxy_call_http2 *c;
	uint8_t buffer[TLS_NAME_MAX];
	struct bytes name = { 0 };

	if (client && !proxy_link_name(x, buffer, &name)) {
		*error = -ENAMETOOLONG;
		return NULL;
	}
	c = slab_get(worker->calls);
	if (!c) {
		*error = -ENOMEM;
		return NULL;
	}
	*c = (struct proxy_call_http2){ .call = { .ops = &proxy_call_http2, .worker = worker, .exchange = x } };
	timer_deadline_init(&c->call.timeout);
	list_init(&c->node);
	list_init(&c->waiting);
	memset(&x->response, 0, offsetof(struct http_message, fields));
	if (proxy_link_http2_join(c, x->share, group, server_index, client, name, error))
		return &c->call;
	slab_put(worker->calls, c);
	return NULL;
}

/* RFC 9113 section 8.1: behind a whole answer NO_ERROR says that the rest of the request is not needed. */
static void
stop(struct proxy_call_http2 *c)
{
	struct http2_session *codec = c->base.connection->codec;
	int32_t id = c->base.id;

	if (c->base.closed || !c->call.connected)
		return;
	if (id) {
		http2_forget(codec, id);
		if (!c->ended || !http2_request_went(codec, id))
			http2_reset(codec, id, c->ended ? HTTP2_NO_ERROR : HTTP2_CANCEL);
	}
	proxy_link_http2_closed(proxy_call_http2_link(c));
}

static void
release(struct proxy_call *call, enum proxy_call_end end)
{
	struct proxy_call_http2 *c = proxy_call_http2_of(call);

	proxy_http2_drop_input(&c->base);
	tcp_queue_free(&c->base.out);
	if (c->base.connection) {
		stop(c);
		proxy_link_http2_leave(c);
	}
	timer_deadline_cancel(call->worker->call_timers, &call->timeout);
	call->exchange = NULL;
	list_append(&call->worker->calls_gone, &c->node);
}

void
proxy_calls_reap(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_take_first(&worker->calls_gone)) != NULL)
		slab_put(worker->calls, container_of(node, struct proxy_call_http2, node));
}

void
proxy_call_lost(struct proxy_call_http2 *c)
{
	c->call.unprocessed = !c->base.id;
	c->base.closed = true;
	if (!c->ended)
		proxy_exchange_call_events(c->call.exchange, TCP_CLOSED);
}

static void
closed(void *stream, uint32_t code)
{
	struct proxy_call_http2 *c = stream;

	c->base.closed = true;
	proxy_link_http2_closed(proxy_call_http2_link(c));
	if (c->ended)
		return;
	c->code = code;
	c->call.unprocessed = code == HTTP2_REFUSED_STREAM;
	proxy_exchange_call_events(c->call.exchange, TCP_CLOSED);
}

static void
timed_out(struct proxy_call *call)
{
	struct proxy_call_http2 *c = proxy_call_http2_of(call);

	if (c->base.connection && c->base.id)
		proxy_link_http2_retire(proxy_call_http2_link(c));
	proxy_exchange_call_timeout(call->exchange);
}

/* ---- the request ---- */

static bool
has_body(const struct proxy_exchange *x)
{
	return x->location->pass->request_body && x->request.framing != HTTP_NO_BODY &&
	       !(x->request.framing == HTTP_LENGTH && x->request.content_length == 0);
}

static bool
head(struct proxy_call *call, struct proxy_exchange *x)
{
	struct proxy_call_http2 *c = proxy_call_http2_of(call);
	struct bytes scheme = bytes_of_string(x->location->pass_secure ? "https" : "http");
	int32_t id = http2_request(c->base.connection->codec, c, scheme, x->request_pending, has_body(x));

	if (id <= 0)
		return false;
	c->base.id = id;
	proxy_attempt_now(x)->bytes_sent += x->request_pending.len;
	x->request_pending = (struct bytes){ 0 };
	proxy_http2_wake(c->base.connection);
	return true;
}

static uint32_t
writable(const struct proxy_call *call)
{
	return proxy_http2_writable(&proxy_call_http2_of(call)->base);
}

static void
want_writable(struct proxy_call *call)
{
	proxy_http2_want_writable(&proxy_call_http2_of(call)->base);
}

static uint32_t
write_bytes(struct proxy_call *call, const void *data, uint32_t len)
{
	return proxy_http2_stream_write(&proxy_call_http2_of(call)->base, data, len);
}

static uint32_t
give(struct proxy_call *call, struct proxy_client *client, uint32_t len)
{
	struct proxy_http2_stream *stream = &proxy_call_http2_of(call)->base;
	uint32_t room = proxy_http2_writable(stream), before = stream->out.bytes;
	uint32_t moved = client->ops->give(client, proxy_http2_place(stream, &stream->out), len < room ? len : room);

	proxy_body_keep(call->exchange, &stream->out, before, moved);
	proxy_http2_body_ready(stream);
	return moved;
}

static void
finish(struct proxy_call *call, struct bytes trailers)
{
	proxy_http2_finish(&proxy_call_http2_of(call)->base, trailers);
}

/* ---- the answer's head ---- */

/* It is kept where the head of HTTP/1 is, and has the same bound. */
static bool
keep_field(struct proxy_exchange *x, struct bytes *name, struct bytes *value)
{
	uint8_t *copy;

	if (!proxy_response_memory(x) ||
	    name->len + value->len + 4 > x->location->pass->buffer_size - x->response_copied)
		return false;
	copy = x->response_head + x->response_copied;
	memcpy(copy, name->data, name->len);
	if (value->len)
		memcpy(copy + name->len, value->data, value->len);
	x->response_copied += name->len + value->len + 4;
	*name = bytes_of(copy, name->len);
	*value = bytes_of(copy + name->len, value->len);
	return true;
}

static void
field(void *stream, struct bytes name, struct bytes value, bool is_trailer)
{
	static _Thread_local char text[96];
	struct proxy_call_http2 *c = stream;
	struct proxy_exchange *x = c->call.exchange;
	enum http1_error error;

	if (c->problem)
		return;
	if (is_trailer) {
		/* Behind a head below 200 they are none, which nghttp2 sees at their end; another server may be asked then. */
		if (c->head_done)
			proxy_trailer_add(x, &x->response_trailers, name, value);
		return;
	}
	if (!keep_field(x, &name, &value)) {
		c->problem = "too big header";
		return;
	}
	error = http2_response_field(&x->response, name, value);
	if (error) {
		snprintf(text, sizeof(text), "invalid header (%s)", http1_error_names[error]);
		c->problem = text;
	}
}

static void
head_complete(void *stream, bool ended)
{
	struct proxy_call_http2 *c = stream;
	struct proxy_exchange *x = c->call.exchange;

	http2_response_conclude(&x->response, x->request.method == HTTP_HEAD, ended);
	if (x->response.status < 200 && !c->problem) {
		/* 100 and 103 speak to us alone. */
		memset(&x->response, 0, offsetof(struct http_message, fields));
		x->response_copied = 0;
		return;
	}
	proxy_attempt_now(x)->bytes_received += x->response_copied;
	c->head_done = true;
	c->ended = ended;
	proxy_exchange_call_events(x, ended ? TCP_END_OF_STREAM : TCP_READABLE);
}

static enum http1_result
read_head(struct proxy_call *call, struct proxy_exchange *x, const char **problem)
{
	const struct proxy_call_http2 *c = proxy_call_http2_of(call);

	*problem = c->problem;
	if (c->problem && c->head_done)
		return HTTP1_BAD;
	return c->head_done ? HTTP1_DONE : HTTP1_MORE;
}

/* The stream is reset, and that ends the call. */
static void
malformed(void *user, void *stream)
{
	struct proxy_call_http2 *c = stream;

	if (c && !c->problem)
		c->problem = "upstream sent invalid header";
}

/* ---- its body ---- */

static void
content(void *stream, struct bytes data)
{
	struct proxy_call_http2 *c = stream;

	if (tcp_queue_write(&c->base.in, c->base.pool, data.data, (uint32_t)data.len) < data.len) {
		PROXY_COUNT(c->call.worker, OUT_OF_MEMORY);
		c->problem = "no memory for what upstream sent";
		stop(c);
		c->base.closed = true;
		proxy_exchange_call_events(c->call.exchange, TCP_CLOSED);
		return;
	}
	proxy_exchange_call_events(c->call.exchange, TCP_READABLE);
}

static void
end(void *stream)
{
	struct proxy_call_http2 *c = stream;

	c->ended = true;
	proxy_exchange_call_events(c->call.exchange, TCP_END_OF_STREAM);
}

static uint32_t
readable(const struct proxy_call *call)
{
	return proxy_call_http2_of(call)->base.in.bytes;
}

static struct bytes
peek(const struct proxy_call *call)
{
	return tcp_queue_peek(&proxy_call_http2_of(call)->base.in);
}

static void
consume(struct proxy_call *call, uint32_t len)
{
	struct proxy_http2_stream *stream = &proxy_call_http2_of(call)->base;

	tcp_queue_drop(&stream->in, len);
	proxy_http2_consumed(stream, len);
}

static uint32_t
take(struct proxy_call *call, struct proxy_client *client, uint32_t len)
{
	struct proxy_http2_stream *stream = &proxy_call_http2_of(call)->base;
	uint32_t moved = client->ops->take(client, proxy_http2_place(stream, &stream->in), len);

	proxy_http2_consumed(stream, moved);
	return moved;
}

static const char *
ending(const struct proxy_call *call)
{
	static _Thread_local char text[64];
	const struct proxy_call_http2 *c = proxy_call_http2_of(call);

	if (c->ended)
		return NULL;
	if (c->problem)
		return c->problem;
	if (!c->base.connection)
		return "upstream prematurely closed connection";
	snprintf(text, sizeof(text), "upstream rejected request with error %u", c->code);
	return text;
}

const struct http2_events proxy_call_events = {
	.field = field,
	.head = head_complete,
	.content = content,
	.end = end,
	.malformed = malformed,
	.write = proxy_http2_write,
	.body = proxy_http2_body,
	.body_send = proxy_http2_body_send,
	.closed = closed,
	.settings = proxy_link_http2_settings,
};

const struct proxy_call_ops proxy_call_http2 = {
	.is_framed = true,
	.head = head,
	.writable = writable,
	.want_writable = want_writable,
	.write = write_bytes,
	.give = give,
	.finish = finish,
	.read_head = read_head,
	.readable = readable,
	.peek = peek,
	.consume = consume,
	.take = take,
	.ending = ending,
	.release = release,
	.timed_out = timed_out,
};
