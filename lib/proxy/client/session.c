#include <stdarg.h>
#include <stdio.h>

#include "http/h2.h"
#include "proxy/client/stream.h"
#include "proxy/worker.h"

static const struct proxy_client_ops http1;

void
proxy_client_arm(struct proxy_client *client, int64_t ms)
{
	struct proxy_worker *worker = proxy_client_session(client)->worker;

	timer_deadline_set(worker->client_timers, &client->timeout, worker->now_ns + (uint64_t)ms * NS_PER_MS);
}

const struct proxy_server *
proxy_session_server(const struct proxy_session *session)
{
	const struct proxy_address *address = proxy_session_address(session);

	return address ? address->fallback : NULL;
}

/* Callers up the stack still ask a session whether its exchange is the same: its memory goes back when they are done. */
static void
session_bury(struct proxy_session *session)
{
	timer_deadline_cancel(session->worker->client_timers, &session->client.timeout);
	list_remove(&session->node);
	list_append(&session->worker->gone, &session->node);
}

void
proxy_sessions_reap(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_take_first(&worker->gone)) != NULL) {
		struct proxy_session *session = container_of(node, struct proxy_session, node);

		if (session->origin)
			slab_put(worker->origins, session->origin);
		slab_put(worker->sessions, session);
	}
	proxy_streams_reap(worker);
	proxy_calls_reap(worker);
}

void
proxy_session_free(struct proxy_session *session)
{
	if (session->is_relay)
		proxy_relay_gone(session->relay);
	proxy_transport_close(&session->transport);
	session_bury(session);
}

void
proxy_session_abort(struct proxy_session *session)
{
	if (session->is_relay)
		proxy_relay_gone(session->relay);
	proxy_transport_abort(&session->transport);
	session_bury(session);
}

/* Where it belongs, for the log: the error logs, and in text what it is connected to. */
static const struct log_target *
place(const struct proxy_session *session, char *text, size_t size)
{
	const struct proxy_relay *relay = session->is_relay ? session->relay : NULL;
	const struct proxy_address *address = relay ? NULL : proxy_session_address(session);

	text[0] = '\0';
	if (relay || address)
		endpoint_format(relay ? &relay->address->endpoint : &address->endpoint, text, size);
	return relay ? relay->server->error_targets : address ? address->fallback->root->error_targets : NULL;
}

/* Where a relay listens on this very endpoint, or on all addresses and HTTP not on this one. */
static const struct proxy_relay_address *
stream_address(const struct proxy_session *session, const struct proxy_address *http)
{
	const struct proxy_relay_address *relay =
		proxy_relay_address_find(session->worker->share->generation->relays, tcp_local(session->transport.tcp));

	return relay && http && ip_address_is_any(&relay->endpoint.ip) && !ip_address_is_any(&http->endpoint.ip)
		       ? NULL
		       : relay;
}

void
proxy_session_accept(struct proxy_worker *worker, struct tcp_connection *tcp, uint32_t events)
{
	struct proxy_session *session;
	const struct proxy_address *address;
	const struct proxy_relay_address *relay;

	if (worker->draining || slab_in_use(worker->sessions) + slab_in_use(worker->links) >= worker->connections_max ||
	    !(session = slab_get(worker->sessions))) {
		if (!worker->draining && worker->counters[PROXY_COUNT_REFUSED_LIMIT]++ % 1024 == 0)
			log_error(LOG_ALERT, "%u worker_connections are not enough", worker->connections_max);
		tcp_abort(tcp);
		return;
	}
	PROXY_COUNT(worker, ACCEPTED);
	*session = (struct proxy_session){
		.end = PROXY_END_SESSION,
		.state = PROXY_SESSION_IDLE,
		.worker = worker,
		.transport.tcp = tcp,
		.client = { .ops = &http1, .came_ms = (uint32_t)(worker->now_ns / NS_PER_MS) },
		.number = ++worker->sessions_made,
	};
	timer_deadline_init(&session->client.timeout);
	list_init(&session->node);
	list_append(&worker->idle, &session->node);
	tcp_set_user(tcp, session);
	events &= ~(uint32_t)TCP_ACCEPTED;
	address = proxy_session_address(session);
	relay = stream_address(session, address);
	if (relay) {
		proxy_relay_accept(session, relay, events);
		return;
	}
	if (!address) {
		/* Accepted under a configuration that has gone. */
		proxy_session_free(session);
		return;
	}
	session->expects_origin = address->proxy_protocol;
	session->expects_tls = address->ssl;
	proxy_client_arm(&session->client, address->fallback->client_header_timeout_ms);
	if (events)
		proxy_session_events(session, events);
}

void
proxy_session_log(const struct proxy_session *session, enum log_level level, const char *format, ...)
{
	char text[512], client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX];
	const struct log_target *targets = place(session, server, sizeof(server));
	va_list arguments;

	if ((targets ? log_target_level(targets) : log_error_level()) < level)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ip_address_format(&tcp_remote(session->transport.tcp)->ip, client, sizeof(client));
	log_error_write(targets, level, "*%lu %s, client: %s, server: %s", (unsigned long)session->number, text, client,
			server);
}

/* Throws away what comes, until the client is done or out of time. */
static void
session_discard(struct proxy_session *session, uint32_t events)
{
	proxy_transport_discard(&session->transport);
	if (!(events & TCP_CLOSED) && !proxy_transport_at_end(&session->transport)) {
		int32_t left_ms = (int32_t)(session->linger.until_ms - (uint32_t)(session->worker->now_ns / NS_PER_MS));

		if (left_ms > 0) {
			proxy_client_arm(&session->client, session->linger.silence_ms < (uint32_t)left_ms
								   ? (int64_t)session->linger.silence_ms
								   : left_ms);
			return;
		}
	}
	proxy_session_free(session);
}

/* 24 days are for ever. */
static uint32_t
linger_ms(int64_t ms)
{
	return ms < INT32_MAX ? (uint32_t)ms : INT32_MAX;
}

void
proxy_session_linger(struct proxy_session *session, int64_t silence_ms, int64_t in_all_ms)
{
	if (session->is_relay)
		proxy_relay_gone(session->relay);
	if (proxy_transport_close_reason(&session->transport) != TCP_OPEN ||
	    proxy_transport_at_end(&session->transport)) {
		proxy_session_free(session);
		return;
	}
	proxy_transport_shutdown(&session->transport);
	session->state = PROXY_SESSION_LINGER;
	session->client.ops = &http1;
	session->linger.silence_ms = linger_ms(silence_ms);
	session->linger.until_ms = (uint32_t)(session->worker->now_ns / NS_PER_MS) + linger_ms(in_all_ms);
	session_discard(session, 0);
}

void
proxy_session_close(struct proxy_session *session, bool abort, bool linger)
{
	const struct proxy_server *server = proxy_session_server(session);

	if (abort)
		proxy_session_abort(session);
	else if (linger && server)
		proxy_session_linger(session, server->root->lingering_timeout_ms, server->root->lingering_time_ms);
	else
		proxy_session_free(session);
}

static void
exchange_input(struct proxy_session *session, struct proxy_exchange *x)
{
	bool was_waiting = x->head_parsed; /* a FIN that comes with the request is no word against the answer */

	proxy_exchange_client_input(x);
	/* Nor is close_notify alone: its sender has said all, and may still read (RFC 8446 section 6.1). */
	if (was_waiting && session->client.exchange == x && proxy_transport_at_end(&session->transport) &&
	    tcp_at_end(session->transport.tcp))
		proxy_exchange_client_closed(x);
}

static void
session_begin(struct proxy_session *session)
{
	struct proxy_exchange *x;

	if (!session->worker->share) {
		proxy_session_close(session, true, false);
		return;
	}
	x = proxy_exchange_new(&session->client);
	if (!x) {
		/* Nothing to answer with: the client sees a reset, the counter says why. */
		PROXY_COUNT(session->worker, OUT_OF_MEMORY);
		proxy_session_close(session, true, false);
		return;
	}
	list_remove(&session->node);
	session->state = PROXY_SESSION_EXCHANGE;
	exchange_input(session, x);
}

enum preface { PREFACE_NONE, PREFACE_PART, PREFACE_WHOLE };

static enum preface
find_preface(const struct proxy_session *session)
{
	static const char preface[] = HTTP2_PREFACE;
	char begun[sizeof(preface) - 1];
	uint32_t len = proxy_transport_peek_copy(&session->transport, 0, begun, sizeof(begun));

	if (memcmp(begun, preface, len) != 0)
		return PREFACE_NONE;
	return len == sizeof(begun) ? PREFACE_WHOLE : PREFACE_PART;
}

/* With its first bytes a client says what it speaks, where there is a choice. No request of HTTP/1 begins as HTTP/2 does; so
 * both are served, as by nginx since 1.25.1. */
static void
session_speak(struct proxy_session *session)
{
	const struct proxy_address *address =
		session->requests || session->transport.tls ? NULL : proxy_session_address(session);
	enum preface preface = address && address->http2 ? find_preface(session) : PREFACE_NONE;

	if (preface == PREFACE_NONE || (preface == PREFACE_PART && session->client.input_ended))
		session_begin(session);
	else if (preface == PREFACE_WHOLE && proxy_session_begin_http2(session))
		proxy_session_http2_events(session, 0);
}

bool
proxy_session_begin_http2(struct proxy_session *session)
{
	if (proxy_session_http2_begin(session))
		return true;
	PROXY_COUNT(session->worker, OUT_OF_MEMORY);
	proxy_session_close(session, true, false);
	return false;
}

void
proxy_session_events(struct proxy_session *session, uint32_t events)
{
	struct proxy_exchange *x = session->client.exchange;
	uint32_t fin = events & TCP_END_OF_STREAM; /* behind a close_notify the transport does not tell it */

	if (session->expects_origin) {
		proxy_session_introduce(session, events);
		return;
	}
	if (session->expects_tls) {
		proxy_session_secure(session);
		return;
	}
	events = proxy_transport_events(&session->transport, events);
	if (session->is_relay) {
		proxy_relay_client_events(session->relay, events);
		return;
	}
	if (events & TCP_END_OF_STREAM)
		session->client.input_ended = true;
	switch ((enum proxy_session_state)session->state) {
	case PROXY_SESSION_LINGER:
		session_discard(session, events);
		return;
	case PROXY_SESSION_HTTP2:
		proxy_session_http2_events(session, events);
		return;
	case PROXY_SESSION_IDLE:
		if (!(events & TCP_CLOSED) && proxy_transport_readable(&session->transport))
			session_speak(session);
		else if ((events & TCP_CLOSED) || proxy_transport_at_end(&session->transport))
			proxy_session_free(session);
		return;
	case PROXY_SESSION_EXCHANGE:
		break;
	}
	/* Each step may end the exchange, so the next one asks anew. */
	if (events & TCP_CLOSED) {
		proxy_exchange_client_gone(x);
		return;
	}
	if (events & TCP_WRITABLE) {
		proxy_exchange_client_output(x);
		if (session->client.exchange != x)
			return;
	}
	if (fin || events & (TCP_READABLE | TCP_END_OF_STREAM))
		exchange_input(session, x);
}

static void
timed_out(struct proxy_client *client)
{
	struct proxy_session *session = proxy_session_of(client);

	if (session->state == PROXY_SESSION_EXCHANGE) {
		proxy_exchange_client_timeout(client->exchange);
		return;
	}
	if (session->expects_origin)
		proxy_session_log(session, LOG_INFO,
				  "client timed out (110: Connection timed out) while reading PROXY protocol");
	else if (session->expects_tls)
		proxy_session_unsecured(session, "client timed out (110: Connection timed out)");
	/* Idle too long, or lingered long enough: no answer, as there is no request. */
	if (session->state == PROXY_SESSION_LINGER)
		proxy_transport_discard(&session->transport);
	proxy_session_free(session);
}

/* Next request, lingering close (where more is to come that nobody wants) or close. */
static void
exchange_ended(struct proxy_client *client, const struct proxy_exchange *x)
{
	struct proxy_session *session = proxy_session_of(client);
	struct proxy_worker *worker = session->worker;
	struct proxy_transport *transport = &session->transport;
	const struct proxy_server *server = proxy_session_server(session);
	bool is_open = proxy_transport_close_reason(transport) == TCP_OPEN;
	bool keep_alive = x->keep_alive && x->request_done && !x->failed_under_way && !x->tunnel;
	bool abort = x->closed_by_rule || (x->failed_under_way && !is_open);
	/* The client's Finished is still to come, too: it must not meet a closed connection, whose reset would take the answer. */
	bool linger =
		(!x->request_done || proxy_transport_readable(transport) || proxy_transport_is_early(transport)) &&
		!x->failed_under_way;

	/* A head that never ended was read, but not taken: left there, it would make a reset of the close. */
	if (!x->head_parsed && proxy_transport_readable(transport))
		proxy_transport_consume(transport, x->head_copied < proxy_transport_readable(transport)
							   ? (uint32_t)x->head_copied
							   : proxy_transport_readable(transport));
	if (abort || !keep_alive || worker->draining || !server || !is_open) {
		proxy_session_close(session, abort, linger);
		return;
	}
	session->state = PROXY_SESSION_IDLE;
	if (proxy_transport_readable(&session->transport)) {
		/* Pipelined: in a later step, so that a thousand small requests do not nest a thousand calls. */
		proxy_client_arm(&session->client, server->client_header_timeout_ms);
		list_append(&worker->pipelined, &session->node);
		return;
	}
	list_append(&worker->idle, &session->node);
	if (proxy_transport_at_end(&session->transport))
		proxy_session_free(session);
	else
		proxy_client_arm(&session->client, server->root->keepalive_timeout_ms);
}

void
proxy_session_next(struct proxy_session *session)
{
	list_remove(&session->node);
	list_append(&session->worker->idle, &session->node);
	proxy_session_events(session, TCP_READABLE);
}

/* ---- the client of an exchange: bytes as they come and go ---- */

static uint32_t
readable(const struct proxy_client *client)
{
	return proxy_transport_readable(&proxy_session_of(client)->transport);
}

static struct bytes
peek(const struct proxy_client *client)
{
	return proxy_transport_peek(&proxy_session_of(client)->transport);
}

static void
consume(struct proxy_client *client, uint32_t len)
{
	proxy_transport_consume(&proxy_session_of(client)->transport, len);
}

static uint32_t
give(struct proxy_client *client, struct proxy_place to, uint32_t len)
{
	return proxy_place_move(to, (struct proxy_place){ .transport = &proxy_session_of(client)->transport }, len);
}

static void
go_on(struct proxy_client *client)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct proxy_transport *transport = &proxy_session_of(client)->transport;

	if (proxy_transport_writable(transport) >= sizeof(text) - 1)
		proxy_transport_write(transport, text, sizeof(text) - 1);
}

/* It goes as it is, with all else. */
static bool
head(struct proxy_client *client, struct proxy_exchange *x, struct bytes *message, bool has_body)
{
	return true;
}

static void
finish(struct proxy_client *client, struct bytes trailers)
{
}

static uint32_t
writable(const struct proxy_client *client)
{
	return proxy_transport_writable(&proxy_session_of(client)->transport);
}

static void
want_writable(struct proxy_client *client)
{
	proxy_transport_want_writable(&proxy_session_of(client)->transport);
}

static uint32_t
write_bytes(struct proxy_client *client, const void *data, uint32_t len)
{
	return proxy_transport_write(&proxy_session_of(client)->transport, data, len);
}

static uint32_t
take(struct proxy_client *client, struct proxy_place from, uint32_t len)
{
	return proxy_place_move((struct proxy_place){ .transport = &proxy_session_of(client)->transport }, from, len);
}

static const struct proxy_client_ops http1 = {
	.readable = readable,
	.peek = peek,
	.consume = consume,
	.give = give,
	.go_on = go_on,
	.head = head,
	.finish = finish,
	.writable = writable,
	.want_writable = want_writable,
	.write = write_bytes,
	.take = take,
	.ended = exchange_ended,
	.timed_out = timed_out,
};
