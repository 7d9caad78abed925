/* The PROXY protocol's header, where the address is one with `proxy_protocol`: before TLS, and before the first request. */
#include <stdio.h>

#include "proxy/worker.h"

static void
refuse(struct proxy_session *session, enum log_level level, const char *why, struct bytes quoted)
{
	char quote[PACKET_PROXY_V1_MAX + 5] = "";

	if (quoted.len)
		snprintf(quote, sizeof(quote), ": \"%.*s\"", (int)quoted.len, (const char *)quoted.data);
	proxy_session_log(session, level, "%s%s while reading PROXY protocol", why, quote);
	proxy_session_free(session);
}

/* What was sent in place of a header, up to the end of its line. */
static struct bytes
first_line(struct bytes in)
{
	size_t len = 0;

	while (len < in.len && len < PACKET_PROXY_V1_MAX && in.data[len] != '\r' && in.data[len] != '\n')
		len++;
	return bytes_of(in.data, len);
}

static bool
keep(struct proxy_session *session, const struct packet_proxy *said)
{
	if (!said->known)
		return true;
	session->origin = slab_get(session->worker->origins);
	if (!session->origin)
		return false;
	*session->origin = *said;
	return true;
}

void
proxy_session_introduce(struct proxy_session *session, uint32_t events)
{
	struct tcp_connection *tcp = session->transport.tcp;
	uint8_t head[PACKET_PROXY_MAX];
	struct bytes in = bytes_of(head, tcp_peek_copy(tcp, 0, head, sizeof(head)));
	struct packet_proxy said;

	switch (packet_proxy_parse(in, &said)) {
	case PACKET_PROXY_MORE:
		session->client.input_ended |= (events & TCP_END_OF_STREAM) != 0;
		if (session->client.input_ended || (events & TCP_CLOSED))
			refuse(session, LOG_INFO, "client closed connection", (struct bytes){ 0 });
		return;
	case PACKET_PROXY_BAD:
		PROXY_COUNT(session->worker, BAD_PROXY_HEADER);
		refuse(session, LOG_ERR, said.problem, first_line(in));
		return;
	case PACKET_PROXY_DONE:
		break;
	}
	tcp_consume(tcp, said.len);
	session->expects_origin = false;
	if (!keep(session, &said)) {
		PROXY_COUNT(session->worker, OUT_OF_MEMORY);
		proxy_session_free(session);
		return;
	}
	if (session->is_relay && session->expects_tls)
		proxy_client_arm(&session->client, session->relay->server->handshake_timeout_ms);
	proxy_session_events(session, events);
}
