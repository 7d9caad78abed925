#include "proxy/worker.h"

#define TLS_RECORD_HANDSHAKE 0x16 /* RFC 8446 section 5.1 */
#define SSL_2_HELLO 0x80          /* left to OpenSSL to refuse */

void
proxy_session_unsecured(struct proxy_session *session, const char *why)
{
	PROXY_COUNT(session->worker, TLS_FAILED);
	proxy_session_log(session, LOG_INFO, "%s while SSL handshaking", why);
}

static void
give_up(struct proxy_session *session, const char *why)
{
	proxy_session_unsecured(session, why);
	proxy_session_free(session);
}

/* From its first byte on it is TLS. */
static bool
accept_tls(struct proxy_session *session, const struct proxy_address *address)
{
	const struct proxy_relay *relay = session->is_relay ? session->relay : NULL;
	const struct config_scope *scope = relay ? relay->server->scope : address->fallback->scope;

	if (proxy_transport_accept(&session->transport, session->worker, session->worker->share, address,
				   config_settings(scope, &tls_module)))
		return true;
	PROXY_COUNT(session->worker, OUT_OF_MEMORY);
	proxy_session_free(session);
	return false;
}

/* With the first byte it is known whether the client speaks TLS, which HTTP has an answer to; until then it costs no more than
 * another. False: there is nothing to shake hands with (any more). */
static bool
begin(struct proxy_session *session, uint32_t events)
{
	struct tcp_connection *tcp = session->transport.tcp;
	struct bytes first = tcp_peek(tcp);
	const struct proxy_address *address = session->is_relay ? NULL : proxy_session_address(session);

	if (!first.len || (!address && !session->is_relay)) {
		if (first.len || (events & TCP_CLOSED) || tcp_at_end(tcp))
			proxy_session_free(session);
		return false;
	}
	if (address && first.data[0] != TLS_RECORD_HANDSHAKE && !(first.data[0] & SSL_2_HELLO)) {
		session->expects_tls = false;
		session->plain_on_tls = true;
		proxy_session_events(session, events);
		return false;
	}
	return accept_tls(session, address);
}

void
proxy_session_secure(struct proxy_session *session)
{
	if (session->handshake_due)
		return;
	session->handshake_due = true;
	list_remove(&session->node);
	list_append(&session->worker->handshakes, &session->node);
}

static void
step(struct proxy_session *session, uint32_t events)
{
	struct proxy_transport *transport = &session->transport;
	enum tls_status status;
	const char *problem;

	if (!transport->tls && !begin(session, events))
		return;
	status = proxy_transport_handshake(transport);
	problem = proxy_transport_handshake_problem(transport, status, events & TCP_CLOSED);
	if (problem)
		give_up(session, problem);
	if (status != TLS_OK && status != TLS_EARLY)
		return;
	if (status == TLS_EARLY)
		PROXY_COUNT(session->worker, TLS_EARLY);
	session->expects_tls = false;
	PROXY_COUNT(session->worker, TLS_HANDSHAKES);
	if (tls_resumed(transport->tls->session))
		PROXY_COUNT(session->worker, TLS_RESUMED);
	if (!bytes_equal_string(tls_protocol(transport->tls->session), "h2") || proxy_session_begin_http2(session))
		proxy_session_events(session, events);
}

unsigned int
proxy_session_handshake(struct proxy_worker *worker)
{
	struct list *node = list_first(&worker->handshakes);
	struct proxy_session *session;

	if (!node)
		return 0;
	session = container_of(node, struct proxy_session, node);
	session->handshake_due = false;
	list_remove(node);
	list_append(&worker->idle, node);
	step(session, tcp_close_reason(session->transport.tcp) == TCP_OPEN ? TCP_READABLE : TCP_CLOSED);
	proxy_sessions_reap(worker);
	return 1;
}
