#include "proxy/worker.h"

bool
proxy_link_name(struct proxy_exchange *x, uint8_t out[TLS_NAME_MAX], struct bytes *name)
{
	const struct tls_client_settings *settings = x->location->client_settings;
	size_t len;

	*name = tls_name_of_authority(x->location->pass_host);
	if (settings->name) {
		len = config_value_write(settings->name, x, out, TLS_NAME_MAX, CONFIG_MISSING_EMPTY, NULL);
		if (len == SIZE_MAX)
			return false;
		*name = tls_name_of_authority(bytes_of(out, len));
	}
	return name->len <= TLS_NAME_MAX;
}

static bool
begin(struct proxy_link *link)
{
	uint64_t server = (uint64_t)link->group->index << 32 | link->server_index;
	uint8_t buffer[TLS_NAME_MAX];
	struct bytes name;

	if (link->http2)
		name = proxy_link_http2_name(link->http2);
	else if (!proxy_link_name(link->call.exchange, buffer, &name))
		return false;
	return proxy_transport_connect(&link->transport, link->worker, link->client, name, link->share->sessions,
				       server);
}

static void
tell_unsecured(struct proxy_exchange *x, const void *why)
{
	proxy_exchange_log(x, LOG_ERR, "%s while SSL handshaking to upstream", (const char *)why);
	proxy_upstream_failed(x, PROXY_NEXT_ERROR, 502);
}

static void
give_up(struct proxy_link *link, const char *why)
{
	PROXY_COUNT(link->worker, UPSTREAM_TLS_FAILED);
	proxy_link_unconnected(link, tell_unsecured, why);
}

static void
tell_no_memory(struct proxy_exchange *x, const void *unused)
{
	PROXY_COUNT(x->worker, OUT_OF_MEMORY);
	proxy_upstream_release(x, UPSTREAM_ABANDONED, PROXY_CALL_BROKEN);
	proxy_exchange_answer(x, 500);
}

/* The handshake is done: the request may go to a server that is who it should be. True when the link is still there. */
static bool
agreed(struct proxy_link *link)
{
	if (!tls_server_trusted(link->transport.tls->session)) {
		give_up(link, tls_problem());
		return false;
	}
	PROXY_COUNT(link->worker, UPSTREAM_TLS_HANDSHAKES);
	if (tls_resumed(link->transport.tls->session))
		PROXY_COUNT(link->worker, UPSTREAM_TLS_RESUMED);
	return proxy_link_connected(link);
}

void
proxy_link_secure(struct proxy_link *link, uint32_t events)
{
	if (!link->transport.tls) {
		if (!(events & TCP_CONNECTED)) {
			if (events & TCP_CLOSED) /* not even that */
				proxy_link_closed_early(link);
			return;
		}
		if (!begin(link)) {
			proxy_link_unconnected(link, tell_no_memory, NULL);
			return;
		}
		link->call.secures = true;
	}
	if (list_empty(&link->node))
		list_append(&link->worker->link_handshakes, &link->node);
}

static void
step(struct proxy_link *link, bool closed)
{
	enum tls_status status = proxy_transport_handshake(&link->transport);
	const char *problem = proxy_transport_handshake_problem(&link->transport, status, closed);

	if (problem)
		give_up(link, problem);
	else if (status == TLS_OK && agreed(link))
		/* What the server said behind it is read now: nothing may follow that would bring it. */
		proxy_link_events(link, closed ? TCP_CLOSED : TCP_READABLE);
}

unsigned int
proxy_link_handshake(struct proxy_worker *worker)
{
	struct list *node = list_take_first(&worker->link_handshakes);
	struct proxy_link *link;

	if (!node)
		return 0;
	link = container_of(node, struct proxy_link, node);
	step(link, tcp_close_reason(link->transport.tcp) != TCP_OPEN);
	proxy_sessions_reap(worker);
	return 1;
}
