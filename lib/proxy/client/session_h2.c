#include "proxy/client/stream.h"
#include "proxy/worker.h"

static void timed_out(struct proxy_client *client);

/* It answers nobody: what it has is the time of the connection. */
static const struct proxy_client_ops connection = { .timed_out = timed_out };

/* ---- life ---- */

bool
proxy_session_http2_begin(struct proxy_session *session)
{
	struct proxy_worker *worker = session->worker;
	const struct proxy_server *server = proxy_session_server(session);
	struct proxy_session_http2 *h = server ? slab_get(worker->sessions_http2) : NULL;
	struct http2_config config;

	if (!h)
		return false;
	config = (struct http2_config){
		.streams_max = (uint32_t)server->http2_streams_max,
		.stream_window = (uint32_t)server->http2_preread_size,
		.connection_window = PROXY_SESSION_WINDOW > server->http2_preread_size
					     ? PROXY_SESSION_WINDOW
					     : (uint32_t)server->http2_preread_size,
	};
	*h = (struct proxy_session_http2){ .session = session };
	list_init(&h->streams);
	proxy_http2_init(&h->base, worker, &session->transport, &worker->sessions_writing);
	h->base.codec = http2_session_new(&config, &proxy_stream_events, h, worker->now_ns);
	if (!h->base.codec) {
		slab_put(worker->sessions_http2, h);
		return false;
	}
	session->http2 = h;
	session->state = PROXY_SESSION_HTTP2;
	session->client.ops = &connection;
	list_remove(&session->node);
	list_append(&worker->http2_sessions, &session->node);
	PROXY_COUNT(worker, HTTP2_SESSIONS);
	proxy_client_arm(&session->client, server->client_header_timeout_ms); /* for the first request */
	proxy_http2_wake(&h->base);
	if (worker->draining)
		proxy_session_http2_go_away(h);
	return true;
}

/* Whatever it still has to do is not done. */
static void
http2_end(struct proxy_session_http2 *h)
{
	struct proxy_worker *worker = h->session->worker;
	struct list *node;

	while ((node = list_first(&h->streams)) != NULL)
		proxy_stream_end(container_of(node, struct proxy_stream, node));
	list_remove(&h->base.writing);
	list_remove(&h->session->node); /* it may linger, and has nothing to say GOAWAY with */
	http2_session_free(h->base.codec);
	slab_put(worker->sessions_http2, h);
}

static void
close_session(struct proxy_session_http2 *h, bool abort)
{
	struct proxy_session *session = h->session;

	http2_end(h);
	proxy_session_close(session, abort, true);
}

void
proxy_session_http2_go_away(struct proxy_session_http2 *h)
{
	if (h->going_away)
		return;
	h->going_away = true;
	http2_go_away(h->base.codec);
	proxy_http2_wake(&h->base);
}

/* ---- what comes ---- */

_Static_assert(PROXY_COUNT_HTTP2_CONTINUATION_FLOODS - PROXY_COUNT_HTTP2_RESET_FLOODS == HTTP2_FLOOD_COUNT - 1,
	       "a counter for each flood, in the same order");

static void
report_failure(const struct proxy_session_http2 *h)
{
	struct proxy_worker *worker = h->session->worker;
	enum http2_flood flood = http2_flooded(h->base.codec);

	if (flood < HTTP2_FLOOD_COUNT)
		worker->counters[PROXY_COUNT_HTTP2_RESET_FLOODS + flood]++;
	else
		PROXY_COUNT(worker, HTTP2_PROTOCOL_ERRORS);
	proxy_session_log(h->session, LOG_INFO, "client sent %s (%s) while processing HTTP/2 connection",
			  flood < HTTP2_FLOOD_COUNT ? "a flood of frames" : "invalid frames",
			  http2_problem(h->base.codec));
}

/* Who takes no frames is not listened to: TCP's window closes, and answers to more requests cannot pile up. */
static bool
takes_frames(const struct proxy_http2 *h)
{
	return proxy_transport_writable(h->transport) || !http2_wants_to_send(h->codec);
}

static void
receive(struct proxy_session_http2 *h)
{
	while (!h->base.failed && takes_frames(&h->base) && proxy_http2_receive(&h->base)) {
		if (h->base.failed)
			report_failure(h);
	}
	proxy_http2_wake(&h->base);
}

/* ---- what goes ---- */

/* The connection's own time: idle, or for a client that takes nothing. Streams have theirs. */
static void
watch(struct proxy_session_http2 *h)
{
	const struct proxy_server *server = proxy_session_server(h->session);
	struct proxy_client *client = &h->session->client;

	if (http2_wants_to_send(h->base.codec)) {
		proxy_transport_want_writable(&h->session->transport);
		if (h->base.moved || !timer_deadline_pending(&client->timeout))
			proxy_client_arm(client, server ? server->root->send_timeout_ms : 0);
	} else if (h->stream_count) {
		proxy_client_disarm(client);
	} else if (h->session->requests) {
		proxy_client_arm(client, server ? server->root->keepalive_timeout_ms : 0);
	}
	h->base.moved = false;
}

static void
output(struct proxy_http2_stream *stream)
{
	proxy_exchange_client_output(container_of(stream, struct proxy_stream, base)->client.exchange);
}

/* True: the session is gone. */
static bool
flush(struct proxy_session_http2 *h)
{
	do {
		proxy_http2_send(&h->base);
		if (h->base.broken) {
			close_session(h, true);
			return true;
		}
	} while (proxy_http2_output(&h->base, output));
	list_remove(&h->base.writing);
	if (proxy_http2_is_over(&h->base)) {
		close_session(h, false);
		return true;
	}
	watch(h);
	return false;
}

void
proxy_sessions_flush(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_first(&worker->sessions_writing)) != NULL) {
		flush(container_of(node, struct proxy_session_http2, base.writing));
		proxy_sessions_reap(worker);
	}
}

/* ---- events ---- */

void
proxy_session_http2_events(struct proxy_session *session, uint32_t events)
{
	struct proxy_session_http2 *h = session->http2;

	if (events & TCP_CLOSED) {
		close_session(h, false);
		return;
	}
	if ((events & TCP_WRITABLE) && flush(h))
		return;
	receive(h);
	/* A client that closes its direction can give no window any more: as nginx, that is the end. */
	if (proxy_transport_at_end(&session->transport))
		close_session(h, false);
}

static void
timed_out(struct proxy_client *client)
{
	struct proxy_session_http2 *h = proxy_session_of(client)->http2;

	if (http2_wants_to_send(h->base.codec)) {
		PROXY_COUNT(h->session->worker, CLIENT_TIMEOUT);
		close_session(h, true);
	} else {
		proxy_session_http2_go_away(h);
	}
}

void
proxy_sessions_go_away(struct proxy_worker *worker)
{
	for (struct list *node = worker->http2_sessions.next; node != &worker->http2_sessions; node = node->next)
		proxy_session_http2_go_away(container_of(node, struct proxy_session, node)->http2);
	proxy_sessions_flush(worker);
}
