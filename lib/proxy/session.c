#include "proxy/worker.h"

void
proxy_session_arm(struct proxy_session *session, int64_t ms)
{
	timer_deadline_set(session->worker->session_timers, &session->timeout,
			   session->worker->now_ns + (uint64_t)ms * NS_PER_MS);
}

/* The settings that hold before a request names its server: those of the endpoint's default server. */
static const struct proxy_server *
session_server(const struct proxy_session *session)
{
	const struct proxy_address *address = proxy_session_address(session);

	return address ? address->fallback : NULL;
}

/* Callers up the stack still ask a session whether its exchange is the same: its memory goes back when they are done. */
static void
session_bury(struct proxy_session *session)
{
	timer_deadline_cancel(session->worker->session_timers, &session->timeout);
	list_remove(&session->node);
	list_append(&session->worker->gone, &session->node);
}

void
proxy_sessions_reap(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_take_first(&worker->gone)) != NULL)
		slab_put(worker->sessions, container_of(node, struct proxy_session, node));
}

void
proxy_session_free(struct proxy_session *session)
{
	proxy_transport_close(&session->transport);
	session_bury(session);
}

void
proxy_session_accept(struct proxy_worker *worker, struct tcp_connection *tcp, uint32_t events)
{
	struct proxy_session *session;
	const struct proxy_address *address;

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
		.number = ++worker->sessions_made,
		.started_ns = worker->now_ns,
	};
	timer_deadline_init(&session->timeout);
	list_init(&session->node);
	list_append(&worker->idle, &session->node);
	tcp_set_user(tcp, session);
	address = proxy_session_address(session);
	if (!address) {
		/* Accepted under a configuration that has gone. */
		proxy_session_free(session);
		return;
	}
	session->expects_tls = address->ssl;
	proxy_session_arm(session, address->fallback->client_header_timeout_ms);
	events &= ~(uint32_t)TCP_ACCEPTED;
	if (events)
		proxy_session_events(session, events);
}

/* Throws away what comes. True when the session is gone. */
static bool
session_discard(struct proxy_session *session, uint32_t events)
{
	const struct proxy_server *server = session_server(session);

	proxy_transport_discard(&session->transport);
	if (!(events & TCP_CLOSED) && !proxy_transport_at_end(&session->transport)) {
		int64_t ms = server ? server->root->lingering_timeout_ms : 0;
		int64_t left_ms =
			((int64_t)session->linger_until_ns - (int64_t)session->worker->now_ns) / (int64_t)NS_PER_MS;

		if (left_ms > 0) {
			proxy_session_arm(session, ms < left_ms ? ms : left_ms);
			return false;
		}
	}
	proxy_session_free(session);
	return true;
}

/* Closes; where the client is still sending, after listening for a while, lest a reset overtake the answer (RFC 9112
 * section 9.6). */
static void
session_close(struct proxy_session *session, bool abort, bool linger)
{
	const struct proxy_server *server = session_server(session);

	if (abort) {
		proxy_transport_abort(&session->transport);
		session_bury(session);
		return;
	}
	if (proxy_transport_close_reason(&session->transport) != TCP_OPEN ||
	    proxy_transport_at_end(&session->transport) || !linger || !server) {
		proxy_session_free(session);
		return;
	}
	proxy_transport_shutdown(&session->transport);
	session->state = PROXY_SESSION_LINGER;
	session->linger_until_ns = session->worker->now_ns + (uint64_t)server->root->lingering_time_ms * NS_PER_MS;
	session_discard(session, 0);
}

static void
session_begin(struct proxy_session *session)
{
	struct proxy_exchange *x;

	if (!session->worker->share) {
		session_close(session, true, false);
		return;
	}
	x = proxy_exchange_new(session);
	if (!x) {
		/* Nothing to answer with: the client sees a reset, the counter says why. */
		PROXY_COUNT(session->worker, OUT_OF_MEMORY);
		session_close(session, true, false);
		return;
	}
	list_remove(&session->node);
	session->state = PROXY_SESSION_EXCHANGE;
	proxy_exchange_client_input(x);
}

void
proxy_session_events(struct proxy_session *session, uint32_t events)
{
	struct proxy_exchange *x = session->exchange;

	if (session->expects_tls) {
		proxy_session_secure(session);
		return;
	}
	events = proxy_transport_events(&session->transport, events);
	if (events & TCP_END_OF_STREAM)
		session->input_ended = true;
	switch ((enum proxy_session_state)session->state) {
	case PROXY_SESSION_LINGER:
		session_discard(session, events);
		return;
	case PROXY_SESSION_IDLE:
		if (!(events & TCP_CLOSED) && proxy_transport_readable(&session->transport))
			session_begin(session);
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
		if (session->exchange != x)
			return;
	}
	if (events & (TCP_READABLE | TCP_END_OF_STREAM))
		proxy_exchange_client_input(x);
}

void
proxy_session_timeout(struct proxy_session *session)
{
	if (session->state == PROXY_SESSION_EXCHANGE) {
		proxy_exchange_client_timeout(session->exchange);
		return;
	}
	if (session->expects_tls)
		proxy_session_unsecured(session, "client timed out (110: Connection timed out)");
	/* Idle too long, or lingered long enough: no answer, as there is no request. */
	if (session->state == PROXY_SESSION_LINGER)
		proxy_transport_discard(&session->transport);
	proxy_session_free(session);
}

void
proxy_session_exchange_ended(struct proxy_session *session, bool keep_alive, bool abort, bool linger)
{
	struct proxy_worker *worker = session->worker;
	const struct proxy_server *server = session_server(session);

	session->exchange = NULL;
	timer_deadline_clear(&session->timeout);
	if (abort || !keep_alive || worker->draining || !server ||
	    proxy_transport_close_reason(&session->transport) != TCP_OPEN) {
		session_close(session, abort, linger);
		return;
	}
	session->state = PROXY_SESSION_IDLE;
	if (proxy_transport_readable(&session->transport)) {
		/* Pipelined: in a later step, so that a thousand small requests do not nest a thousand calls. */
		proxy_session_arm(session, server->client_header_timeout_ms);
		list_append(&worker->pipelined, &session->node);
		return;
	}
	list_append(&worker->idle, &session->node);
	if (proxy_transport_at_end(&session->transport))
		proxy_session_free(session);
	else
		proxy_session_arm(session, server->root->keepalive_timeout_ms);
}

void
proxy_session_next(struct proxy_session *session)
{
	list_remove(&session->node);
	list_append(&session->worker->idle, &session->node);
	proxy_session_events(session, TCP_READABLE);
}
