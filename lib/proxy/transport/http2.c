#include "proxy/transport/http2.h"

#include "proxy/worker.h"

/* ---- a connection ---- */

void
proxy_http2_init(struct proxy_http2 *h, struct proxy_worker *worker, struct proxy_transport *transport,
		 struct list *woken)
{
	*h = (struct proxy_http2){ .worker = worker, .transport = transport, .woken = woken };
	list_init(&h->output_wanted);
	list_init(&h->writing);
}

void
proxy_http2_wake(struct proxy_http2 *h)
{
	if (list_empty(&h->writing))
		list_append(h->woken, &h->writing);
}

bool
proxy_http2_receive(struct proxy_http2 *h)
{
	struct bytes run = proxy_transport_peek(h->transport);

	if (!run.len)
		return false;
	h->failed = !http2_receive(h->codec, run, h->worker->now_ns);
	proxy_transport_consume(h->transport, (uint32_t)run.len);
	return true;
}

uint32_t
proxy_http2_write(void *user, struct bytes data)
{
	struct proxy_http2 *h = user;
	uint32_t taken = h->broken ? 0 : proxy_transport_write(h->transport, data.data, (uint32_t)data.len);

	h->moved |= taken > 0;
	return taken;
}

void
proxy_http2_send(struct proxy_http2 *h)
{
	if (!http2_send(h->codec))
		h->broken = true;
}

bool
proxy_http2_output(struct proxy_http2 *h, void (*output)(struct proxy_http2_stream *stream))
{
	struct list ready;
	struct list *node;
	bool progress = false;

	/* Who waits again goes behind the others. */
	list_take_all(&ready, &h->output_wanted);
	while ((node = list_take_first(&ready)) != NULL) {
		struct proxy_http2_stream *s = container_of(node, struct proxy_http2_stream, output_wanted);
		uint32_t before = s->out.bytes;

		if (!proxy_http2_writable(s)) {
			list_append(&h->output_wanted, node);
			continue;
		}
		output(s);
		/* Without packet buffers it waits again, and nothing has changed. */
		progress |= list_empty(&s->output_wanted) || s->out.bytes != before;
	}
	return progress;
}

/* nghttp2 says GOAWAY to most that it does not understand, and then wants nothing more. */
bool
proxy_http2_is_over(const struct proxy_http2 *h)
{
	return http2_is_over(h->codec) || (h->failed && !http2_wants_to_send(h->codec));
}

/* ---- a stream ---- */

void
proxy_http2_stream_init(struct proxy_http2_stream *s, struct proxy_http2 *connection, int32_t id)
{
	*s = (struct proxy_http2_stream){
		.connection = connection,
		.pool = tcp_pool(connection->transport->tcp),
		.id = id,
	};
	list_init(&s->output_wanted);
}

void
proxy_http2_consumed(struct proxy_http2_stream *s, uint32_t len)
{
	if (!s->connection)
		return;
	http2_consumed(s->connection->codec, s->id, len);
	proxy_http2_wake(s->connection);
}

void
proxy_http2_drop_input(struct proxy_http2_stream *s)
{
	uint32_t len = s->in.bytes;

	tcp_queue_free(&s->in);
	if (len)
		proxy_http2_consumed(s, len);
}

static bool
is_done(const struct proxy_http2_stream *s)
{
	return s->closed || !s->connection;
}

uint32_t
proxy_http2_writable(const struct proxy_http2_stream *s)
{
	uint32_t room;

	if (is_done(s))
		return 0;
	room = http2_window(s->connection->codec, s->id);
	room = room < PROXY_HTTP2_OUTPUT ? room : PROXY_HTTP2_OUTPUT;
	return room > s->out.bytes ? room - s->out.bytes : 0;
}

void
proxy_http2_want_writable(struct proxy_http2_stream *s)
{
	if (is_done(s))
		return;
	if (list_empty(&s->output_wanted))
		list_append(&s->connection->output_wanted, &s->output_wanted);
	proxy_http2_wake(s->connection);
}

void
proxy_http2_body_ready(struct proxy_http2_stream *s)
{
	if (is_done(s))
		return;
	http2_body_ready(s->connection->codec, s->id);
	proxy_http2_wake(s->connection);
}

uint32_t
proxy_http2_stream_write(struct proxy_http2_stream *s, const void *data, uint32_t len)
{
	uint32_t room = proxy_http2_writable(s);
	uint32_t moved = tcp_queue_write(&s->out, s->pool, data, len < room ? len : room);

	proxy_http2_body_ready(s);
	return moved;
}

void
proxy_http2_finish(struct proxy_http2_stream *s, struct bytes trailers)
{
	s->trailers = trailers;
	s->finished = true;
	proxy_http2_body_ready(s);
}

uint32_t
proxy_http2_body(void *stream, uint32_t len, bool *last)
{
	struct proxy_http2_stream *s = stream;

	len = len < s->out.bytes ? len : s->out.bytes;
	*last = s->finished && len == s->out.bytes;
	if (*last && s->trailers.len)
		http2_trailers(s->connection->codec, s->id, s->trailers);
	return len;
}

bool
proxy_http2_body_send(void *stream, struct bytes header, uint32_t len)
{
	struct proxy_http2_stream *s = stream;
	struct proxy_http2 *h = s->connection;

	if (h->broken || proxy_transport_writable(h->transport) < header.len + len)
		return false;
	if (!proxy_transport_write_frame(h->transport, header, &s->out, len)) {
		PROXY_COUNT(h->worker, OUT_OF_MEMORY);
		h->broken = true;
	}
	h->moved = true;
	return true;
}
