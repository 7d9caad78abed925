/* The call of HTTP/1: bytes of a link as they come and go. */
#include <stdio.h>

#include "proxy/worker.h"

static struct proxy_link *
link_of(const struct proxy_call *call)
{
	return container_of(call, struct proxy_link, call);
}

static struct proxy_transport *
transport_of(const struct proxy_call *call)
{
	return &link_of(call)->transport;
}

static struct proxy_place
place_of(const struct proxy_call *call)
{
	return (struct proxy_place){ .transport = transport_of(call) };
}

/* ---- the request ---- */

static bool
head(struct proxy_call *call, struct proxy_exchange *x)
{
	uint32_t taken =
		proxy_transport_write(transport_of(call), x->request_pending.data, (uint32_t)x->request_pending.len);

	x->request_pending = bytes_from(x->request_pending, taken);
	proxy_attempt_now(x)->bytes_sent += taken;
	return true;
}

static uint32_t
writable(const struct proxy_call *call)
{
	return proxy_transport_writable(transport_of(call));
}

static void
want_writable(struct proxy_call *call)
{
	proxy_transport_want_writable(transport_of(call));
}

static uint32_t
write_bytes(struct proxy_call *call, const void *data, uint32_t len)
{
	return proxy_transport_write(transport_of(call), data, len);
}

static uint32_t
give(struct proxy_call *call, struct proxy_client *client, uint32_t len)
{
	return client->ops->give(client, place_of(call), len);
}

static void
shut(struct proxy_call *call)
{
	proxy_transport_shutdown(transport_of(call));
}

/* ---- the answer ---- */

static enum http1_result
read_head(struct proxy_call *call, struct proxy_exchange *x, const char **problem)
{
	static _Thread_local char text[96];
	struct proxy_transport *server = transport_of(call);
	size_t limit = x->location->pass->buffer_size, head_len;
	enum http1_error error;
	enum http1_result result;

	for (;;) {
		x->response_copied += proxy_transport_peek_copy(server, (uint32_t)x->response_copied,
								x->response_head + x->response_copied,
								(uint32_t)(limit - x->response_copied));
		result = http1_parse_response(&x->response, x->response_head, x->response_copied, &x->response_scanned,
					      &head_len, x->request.method == HTTP_HEAD, &error);
		if (result != HTTP1_DONE || x->response.status >= 200 || x->response.status == 101)
			break;
		/* 100 and 103 speak to us alone. */
		proxy_transport_consume(server, (uint32_t)head_len);
		x->response_copied = x->response_scanned = 0;
	}
	if (result == HTTP1_DONE) {
		proxy_transport_consume(server, (uint32_t)head_len);
		proxy_attempt_now(x)->bytes_received += head_len;
	} else if (result == HTTP1_BAD) {
		snprintf(text, sizeof(text), "invalid header (%s)", http1_error_names[error]);
		*problem = text;
	} else if (x->response_copied == limit) {
		*problem = "too big header";
		return HTTP1_BAD;
	}
	return result;
}

static uint32_t
readable(const struct proxy_call *call)
{
	return proxy_transport_readable(transport_of(call));
}

static struct bytes
peek(const struct proxy_call *call)
{
	return proxy_transport_peek(transport_of(call));
}

static void
consume(struct proxy_call *call, uint32_t len)
{
	proxy_transport_consume(transport_of(call), len);
}

static uint32_t
take(struct proxy_call *call, struct proxy_client *client, uint32_t len)
{
	return client->ops->take(client, place_of(call), len);
}

/* Only a FIN ends a message: not a reset, nor retransmissions that nobody answered. */
static const char *
ending(const struct proxy_call *call)
{
	const struct proxy_transport *server = transport_of(call);
	enum tcp_close_reason reason = proxy_transport_close_reason(server);

	if (server->tls && server->tls->failed)
		return tls_problem();
	return reason == TCP_OPEN || reason == TCP_FINISHED ? NULL : proxy_receive_error(reason);
}

/* ---- the end ---- */

static void
release(struct proxy_call *call, enum proxy_call_end end)
{
	if (end == PROXY_CALL_REUSABLE)
		proxy_link_park(link_of(call));
	else if (end == PROXY_CALL_DONE)
		proxy_link_await_end(link_of(call));
	else
		proxy_link_close(link_of(call));
}

static void
timed_out(struct proxy_call *call)
{
	proxy_link_timeout(link_of(call));
}

const struct proxy_call_ops proxy_call_http1 = {
	.head = head,
	.writable = writable,
	.want_writable = want_writable,
	.write = write_bytes,
	.give = give,
	.shutdown = shut,
	.read_head = read_head,
	.readable = readable,
	.peek = peek,
	.consume = consume,
	.take = take,
	.ending = ending,
	.release = release,
	.timed_out = timed_out,
};
