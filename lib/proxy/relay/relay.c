#include "proxy/relay/relay.h"

#include <stdarg.h>
#include <stdio.h>

#include "proxy/settings/real_ip.h"
#include "proxy/settings/settings.h"
#include "proxy/worker.h"

static void timed_out(struct proxy_client *client);

/* A session's timer is all that a relay has of a client. */
static const struct proxy_client_ops stream_client = { .timed_out = timed_out };

/* ---- life ---- */

static void
arm(struct proxy_relay *s, int64_t ms)
{
	proxy_client_arm(&s->session->client, ms);
}

void
proxy_relay_accept(struct proxy_session *session, const struct proxy_relay_address *address, uint32_t events)
{
	struct proxy_worker *worker = session->worker;
	struct proxy_relay *s = slab_get(worker->relays);

	if (!s) {
		PROXY_COUNT(worker, OUT_OF_MEMORY);
		proxy_session_abort(session);
		return;
	}
	*s = (struct proxy_relay){
		.session = session,
		.worker = worker,
		.share = worker->share,
		.server = address->server,
		.address = address,
		.remote = *tcp_remote(session->transport.tcp),
		.server_index = -1,
		.started_ns = worker->now_ns,
	};
	s->share->references++;
	PROXY_COUNT(worker, STREAMS);
	session->relay = s;
	session->is_relay = true;
	session->client.ops = &stream_client;
	session->expects_origin = address->listen->proxy_protocol;
	session->expects_tls = address->listen->ssl;
	if (session->expects_origin)
		arm(s, s->server->origin_timeout_ms);
	else if (session->expects_tls)
		arm(s, s->server->handshake_timeout_ms);
	proxy_session_events(session, events);
}

static void
write_log(struct proxy_relay *s)
{
	for (const struct proxy_filter *const *f = s->share->generation->filters; *f; f++)
		if ((*f)->stream_log)
			(*f)->stream_log(s);
}

/* Of a session that the client has ended, or its silence: by what is missing. */
static unsigned int
status_of(const struct proxy_session *session)
{
	return session->expects_origin ? 400 : session->expects_tls ? 500 : 200;
}

void
proxy_relay_gone(struct proxy_relay *s)
{
	struct proxy_worker *worker = s->worker;

	if (!s->status)
		s->status = status_of(s->session);
	proxy_relay_release(s, UPSTREAM_ABANDONED, false);
	write_log(s);
	if (s->hello)
		slab_put(worker->hellos, s->hello);
	s->session->is_relay = false;
	__atomic_store_n(&s->share->references, s->share->references - 1, __ATOMIC_RELEASE);
	slab_put(worker->relays, s);
}

static void
leave_server(struct proxy_relay *s, unsigned int status, bool reset)
{
	s->status = (uint16_t)status;
	proxy_relay_release(s, s->state == PROXY_RELAY_TUNNEL ? UPSTREAM_OK : UPSTREAM_ABANDONED, reset);
}

/* What the client says to nobody any more is thrown away, or it would make a reset of the close, which would take what the client
 * has not received yet. */
void
proxy_relay_end(struct proxy_relay *s, unsigned int status)
{
	struct proxy_transport *client = &s->session->transport;

	leave_server(s, status, false);
	if (s->bytes_sent) {
		proxy_session_linger(s->session, PROXY_LINGERING_TIMEOUT_MS, PROXY_LINGERING_TIME_MS);
		return;
	}
	if (s->state != PROXY_RELAY_TUNNEL)
		proxy_transport_consume(client, proxy_transport_readable(client));
	proxy_session_free(s->session);
}

void
proxy_relay_abort(struct proxy_relay *s, unsigned int status)
{
	leave_server(s, status, true);
	proxy_session_abort(s->session);
}

/* ---- before there is a server ---- */

static void
take_real_address(struct proxy_relay *s)
{
	const struct proxy_real_ip *settings = config_settings(s->server->scope, &proxy_real_ip_module);

	if (s->session->origin && proxy_real_ip_trusts(settings, &s->remote.ip))
		s->remote = s->session->origin->source;
}

/* A certificate that was asked for and is not there, or is not good. */
static bool
tls_objects(struct proxy_relay *s)
{
	const struct tls_settings *settings = config_settings(s->server->scope, &tls_module);
	const struct proxy_tls *tls = s->session->transport.tls;
	const char *why;
	long result;

	if (!tls || settings->verify == TLS_VERIFY_OFF)
		return false;
	result = tls_client_verify_result(tls->session, (enum tls_verify)settings->verify, &why);
	if (result != 0)
		proxy_session_log(s->session, LOG_INFO,
				  "client SSL certificate verify error: (%ld:%s) while SSL handshaking", result, why);
	else if (settings->verify == TLS_VERIFY_ON && !tls_client_has_certificate(tls->session))
		proxy_session_log(s->session, LOG_INFO,
				  "client sent no required SSL certificate while SSL handshaking");
	else
		return false;
	return true;
}

static void
begin(struct proxy_relay *s)
{
	/* From now on it is not among those that wait: a graceful stop lets it go on. */
	list_remove(&s->session->node);
	timer_deadline_clear(&s->session->client.timeout);
	take_real_address(s);
	if (tls_objects(s) || (s->server->ssl_preread && !proxy_relay_preread_begin(s)))
		proxy_relay_end(s, 500);
	else if (s->server->ssl_preread)
		proxy_relay_preread(s);
	else
		proxy_relay_connect(s);
}

/* ---- the tunnel ---- */

/* What the server is told first. True when all of it is on its way. */
static bool
header_written(struct proxy_relay *s)
{
	uint32_t left = (uint32_t)(s->header_len - s->header_sent), sent;

	if (!left)
		return true;
	sent = proxy_transport_write(&s->link->transport, s->header + s->header_sent, left);
	s->header_sent = (uint16_t)(s->header_sent + sent);
	proxy_relay_attempt(s)->bytes_sent += sent;
	if (s->header_sent == s->header_len)
		return true;
	proxy_transport_want_writable(&s->link->transport);
	return false;
}

/* What has come and fits; where something is left, `to` tells when it has room. Returns how much went. */
static uint32_t
pass_on(struct proxy_transport *to, struct proxy_transport *from)
{
	uint32_t there = proxy_transport_readable(from), moved = there ? proxy_transport_move(to, from, there) : 0;

	if (moved < there)
		proxy_transport_want_writable(to);
	return moved;
}

static void
first_byte(struct proxy_relay *s)
{
	struct proxy_attempt *attempt = proxy_relay_attempt(s);

	s->got_first = true;
	attempt->header_ms = (int32_t)((s->worker->now_ns - attempt->started_ns) / NS_PER_MS);
}

static bool
move(struct proxy_relay *s)
{
	struct proxy_transport *client = &s->session->transport, *server = &s->link->transport;
	struct proxy_attempt *attempt = proxy_relay_attempt(s);
	uint32_t up = header_written(s) ? pass_on(server, client) : 0, down;

	if (!s->got_first && proxy_transport_readable(server))
		first_byte(s);
	down = pass_on(client, server);
	s->bytes_received += up;
	s->bytes_sent += down;
	attempt->bytes_sent += up;
	attempt->bytes_received += down;
	return up || down;
}

/* A reset, or silence of the other kernel: nothing that came can be the whole, and the other end sees that, too. */
static bool
is_broken(const struct proxy_transport *transport)
{
	enum tcp_close_reason reason = proxy_transport_close_reason(transport);

	return reason != TCP_OPEN && reason != TCP_FINISHED;
}

static bool
break_off(struct proxy_relay *s)
{
	bool client = is_broken(&s->session->transport), server = is_broken(&s->link->transport);
	const struct proxy_transport *broken = client ? &s->session->transport : &s->link->transport;

	if (!client && !server)
		return false;
	proxy_relay_log(s, client ? LOG_INFO : LOG_ERR, "%s while proxying and reading from %s",
			proxy_receive_error(proxy_transport_close_reason(broken)), client ? "client" : "upstream");
	proxy_relay_abort(s, 200);
	return true;
}

/* With `proxy_half_close` one end's FIN is passed on, and the other's is waited for. */
static bool
is_over(struct proxy_relay *s)
{
	bool client_ended = proxy_transport_at_end(&s->session->transport) && s->header_sent == s->header_len;
	bool server_ended = proxy_transport_at_end(&s->link->transport);

	if (!s->server->half_close || (client_ended && server_ended))
		return client_ended || server_ended;
	if (client_ended && !s->server_shut) {
		s->server_shut = true;
		proxy_transport_shutdown(&s->link->transport);
	}
	if (server_ended && !s->client_shut) {
		s->client_shut = true;
		proxy_transport_shutdown(&s->session->transport);
	}
	return false;
}

static void
pump(struct proxy_relay *s)
{
	bool moved = move(s);

	if (break_off(s))
		return;
	if (is_over(s)) {
		proxy_relay_log(s, LOG_INFO, "%s disconnected",
				proxy_transport_at_end(&s->link->transport) ? "upstream" : "client");
		proxy_relay_end(s, 200);
		return;
	}
	if (moved)
		arm(s, s->server->words->timeout_ms);
}

void
proxy_relay_connected(struct proxy_relay *s)
{
	struct proxy_attempt *attempt = proxy_relay_attempt(s);

	PROXY_COUNT(s->worker, UPSTREAM_CONNECTED);
	s->link->call.connected = true;
	proxy_call_disarm(&s->link->call);
	attempt->connect_ms = (int32_t)((s->worker->now_ns - attempt->started_ns) / NS_PER_MS);
	s->state = PROXY_RELAY_TUNNEL;
	if (s->server->words->proxy_protocol)
		s->header_len =
			(uint16_t)packet_proxy_write_v1(s->header, &s->remote, tcp_local(s->session->transport.tcp));
	arm(s, s->server->words->timeout_ms);
	pump(s);
}

/* ---- events ---- */

void
proxy_relay_client_events(struct proxy_relay *s, uint32_t events)
{
	s->session->client.input_ended |= (events & TCP_END_OF_STREAM) != 0;
	switch ((enum proxy_relay_state)s->state) {
	case PROXY_RELAY_EARLY:
		begin(s);
		break;
	case PROXY_RELAY_PREREAD:
		if (events & TCP_CLOSED)
			proxy_relay_abort(s, 200);
		else
			proxy_relay_preread(s);
		break;
	case PROXY_RELAY_CONNECTING:
		if (events & TCP_CLOSED)
			proxy_relay_abort(s, 200);
		break;
	case PROXY_RELAY_TUNNEL:
		pump(s);
		break;
	}
}

void
proxy_relay_link_events(struct proxy_relay *s, uint32_t events)
{
	if (s->state == PROXY_RELAY_TUNNEL)
		pump(s);
	else if (events & TCP_CLOSED)
		proxy_relay_connect_failed(s);
	else if (events & TCP_CONNECTED)
		proxy_relay_connected(s);
}

static void
timed_out(struct proxy_client *client)
{
	struct proxy_session *session = proxy_session_of(client);
	struct proxy_relay *s = session->relay;

	if (session->expects_tls && !session->expects_origin)
		proxy_session_unsecured(session, "client timed out (110: Connection timed out)");
	else
		proxy_relay_log(s, LOG_INFO, "connection timed out (110: Connection timed out) while %s",
				session->expects_origin           ? "reading PROXY protocol"
				: s->state == PROXY_RELAY_PREREAD ? "prereading client data"
								  : "proxying connection");
	PROXY_COUNT(s->worker, CLIENT_TIMEOUT);
	proxy_relay_end(s, status_of(session));
}

/* ---- log ---- */

void
proxy_relay_log(const struct proxy_relay *s, enum log_level level, const char *format, ...)
{
	const struct log_target *targets = s->server->error_targets;
	char text[1024], client[ENDPOINT_TEXT_MAX], local[ENDPOINT_TEXT_MAX], upstream[ENDPOINT_TEXT_MAX + 16] = "";
	uint64_t up = 0, down = 0;
	va_list arguments;

	if (level > (targets ? log_target_level(targets) : log_error_level()))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ip_address_format(&s->remote.ip, client, sizeof(client));
	endpoint_format(&s->address->endpoint, local, sizeof(local));
	if (s->tried_count) {
		const struct proxy_attempt *attempt = &s->tried[(s->tried_count - 1) % PROXY_RELAY_ATTEMPTS];

		snprintf(upstream, sizeof(upstream), ", upstream: \"%.*s\"", (int)attempt->address.len,
			 (const char *)attempt->address.data);
		up = attempt->bytes_received;
		down = attempt->bytes_sent;
	}
	log_error_write(targets, level,
			"*%lu %s, client: %s, server: %s%s, bytes from/to client:%lu/%lu, bytes from/to "
			"upstream:%lu/%lu",
			(unsigned long)s->session->number, text, client, local, upstream,
			(unsigned long)s->bytes_received, (unsigned long)s->bytes_sent, (unsigned long)up,
			(unsigned long)down);
}
