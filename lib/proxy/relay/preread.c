/* `ssl_preread`: the client's hello is looked at, and left where it is. */
#include "proxy/relay/relay.h"
#include "proxy/worker.h"

void
proxy_relay_preread(struct proxy_relay *s)
{
	static _Thread_local uint8_t buffer[PROXY_PREREAD_MAX];
	struct proxy_transport *client = &s->session->transport;
	uint32_t size = (uint32_t)s->server->preread_buffer_size;
	uint32_t there = proxy_transport_readable(client);
	bool ended = s->session->client.input_ended;

	/* Read again from its beginning each time: so not for each byte. */
	if (there < s->hello->need && there < size && !ended)
		return;
	there = proxy_transport_peek_copy(client, 0, buffer, size);
	if (tls_hello_parse(bytes_of(buffer, there), s->hello) != TLS_HELLO_MORE || ended) {
		timer_deadline_clear(&s->session->client.timeout);
		proxy_relay_connect(s);
	} else if (there == size || s->hello->need > size) {
		proxy_relay_log(s, LOG_ERR, "preread buffer full while prereading client data");
		proxy_relay_end(s, 400);
	}
}

bool
proxy_relay_preread_begin(struct proxy_relay *s)
{
	s->hello = slab_get(s->worker->hellos);
	if (!s->hello) {
		PROXY_COUNT(s->worker, OUT_OF_MEMORY);
		return false;
	}
	memset(s->hello, 0, sizeof(*s->hello));
	s->state = PROXY_RELAY_PREREAD;
	proxy_client_arm(&s->session->client, s->server->preread_timeout_ms);
	return true;
}
