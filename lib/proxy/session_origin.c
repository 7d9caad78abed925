/* The PROXY protocol's header, where the address is one with `proxy_protocol`: before TLS, and before the first request. */
#include <stdio.h>

#include "proxy/worker.h"

static void
refuse(struct proxy_session *session, enum log_level level, const char *why, struct bytes quoted)
{
	const struct proxy_address *address = proxy_session_address(session);
	const struct log_target *targets = address ? address->fallback->root->error_targets : NULL;
	char client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX] = "", quote[PACKET_PROXY_V1_MAX + 5] = "";

	if (quoted.data)
		snprintf(quote, sizeof(quote), ": \"%.*s\"", (int)quoted.len, (const char *)quoted.data);
	ip_address_format(&tcp_remote(session->transport.tcp)->ip, client, sizeof(client));
	if (address)
		endpoint_format(&address->endpoint, server, sizeof(server));
	if ((targets ? log_target_level(targets) : log_error_level()) >= level)
		log_error_write(targets, level, "*%lu %s%s while reading PROXY protocol, client: %s, server: %s",
				(unsigned long)session->number, why, quote, client, server);
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
	proxy_session_events(session, events);
}
