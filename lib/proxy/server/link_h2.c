#include <errno.h>

#include "proxy/server/call_h2.h"
#include "proxy/worker.h"

static struct proxy_call_http2 *
first_call(const struct list *head)
{
	struct list *node = list_first(head);

	return node ? container_of(node, struct proxy_call_http2, node) : NULL;
}

static bool
is_retired(const struct proxy_link_http2 *h)
{
	return list_empty(&h->shared);
}

void
proxy_link_http2_retire(struct proxy_link_http2 *h)
{
	list_remove(&h->shared);
}

/* ---- who shares it ---- */

/* At least one: a server that takes none now will say when it does. */
static uint32_t
calls_max(const struct proxy_link_http2 *h)
{
	uint32_t max = h->server->calls_max;

	return max < 1 ? 1 : max < PROXY_CALLS_MAX ? max : PROXY_CALLS_MAX;
}

struct bytes
proxy_link_http2_name(const struct proxy_link_http2 *h)
{
	return bytes_of(h->name, h->name_len);
}

static bool
serves(const struct proxy_link_http2 *h, const struct tls_client *client, struct bytes name)
{
	return h->link->client == client && bytes_equal(proxy_link_http2_name(h), name);
}

static bool
is_worn(const struct proxy_link *link)
{
	uint64_t age_ms = (link->worker->now_ns - link->started_ns) / NS_PER_MS;

	return link->requests >= link->group->keepalive_requests || age_ms >= (uint64_t)link->group->keepalive_time_ms;
}

static struct proxy_link_http2 *
find(struct proxy_servers *server, const struct tls_client *client, struct bytes name)
{
	struct list *node = server->links.next, *next;

	for (; node != &server->links; node = next) {
		struct proxy_link_http2 *h = container_of(node, struct proxy_link_http2, shared);

		next = node->next;
		if (h->base.codec && (is_worn(h->link) || !http2_may_request(h->base.codec)))
			proxy_link_http2_retire(h);
		else if (h->call_count < calls_max(h) && serves(h, client, name))
			return h;
	}
	return NULL;
}

static struct proxy_link_http2 *
make(struct proxy_worker *worker, struct proxy_share *share, const struct upstream_group *group, uint32_t server_index,
     const struct tls_client *client, struct bytes name, int *error)
{
	struct proxy_link_http2 *h = slab_get(worker->links_http2);

	if (!h) {
		*error = -ENOMEM;
		return NULL;
	}
	*h = (struct proxy_link_http2){ .server = &share->pools[group->index].servers[server_index],
					.name_len = (uint8_t)name.len };
	if (name.len)
		memcpy(h->name, name.data, name.len);
	list_init(&h->shared);
	list_init(&h->calls);
	list_init(&h->waiting);
	h->link = proxy_link_new(worker, share, group, server_index, error);
	if (!h->link) {
		slab_put(worker->links_http2, h);
		return NULL;
	}
	proxy_http2_init(&h->base, worker, &h->link->transport, &worker->links_writing);
	h->link->http2 = h;
	h->link->client = client;
	list_append(&h->server->links, &h->shared);
	return h;
}

/* Before the server has said how many, one may go: whoever takes requests at all takes that. */
static bool
may_begin(const struct proxy_link_http2 *h)
{
	return h->base.codec && !h->base.failed && h->open_count < (h->settled ? http2_requests_max(h->base.codec) : 1);
}

bool
proxy_link_http2_join(struct proxy_call_http2 *call, struct proxy_share *share, const struct upstream_group *group,
		      uint32_t server_index, const struct tls_client *client, struct bytes name, int *error)
{
	struct proxy_worker *worker = call->call.worker;
	struct proxy_link_http2 *h = find(&share->pools[group->index].servers[server_index], client, name);

	if (h && h->base.codec) {
		PROXY_COUNT(worker, UPSTREAM_REUSED);
		call->call.reused = !h->call_count;
		call->call.shared = h->call_count;
	} else if (!h) {
		h = make(worker, share, group, server_index, client, name, error);
		if (!h)
			return false;
	}
	proxy_link_unpark(h->link);
	h->link->requests++;
	h->call_count++;
	proxy_http2_stream_init(&call->base, &h->base, 0);
	list_append(&h->calls, &call->node);
	call->call.connected = may_begin(h) && list_empty(&h->waiting);
	if (call->call.connected)
		h->open_count++;
	else
		list_append(&h->waiting, &call->waiting);
	return true;
}

void
proxy_link_http2_leave(struct proxy_call_http2 *call)
{
	struct proxy_link_http2 *h = proxy_call_http2_link(call);

	list_remove(&call->node);
	list_remove(&call->waiting);
	list_remove(&call->base.output_wanted);
	call->base.connection = NULL;
	h->call_count--;
	proxy_http2_wake(&h->base);
}

/* ---- beginning ---- */

static void
admit(struct proxy_link_http2 *h)
{
	while (!list_empty(&h->waiting) && may_begin(h)) {
		struct proxy_call_http2 *call = container_of(h->waiting.next, struct proxy_call_http2, waiting);

		list_remove(&call->waiting);
		h->open_count++;
		proxy_upstream_connected(call->call.exchange);
	}
}

void
proxy_link_http2_closed(struct proxy_link_http2 *h)
{
	h->open_count--;
	proxy_http2_wake(&h->base); /* and admits the next */
}

/* The server takes fewer at once than have gathered here. */
static void
move_the_rest(struct proxy_link_http2 *h)
{
	const struct proxy_link *link = h->link;

	while (!list_empty(&h->waiting) && h->call_count > calls_max(h)) {
		struct proxy_call_http2 *call = container_of(h->waiting.prev, struct proxy_call_http2, waiting);
		int error;

		proxy_link_http2_leave(call);
		if (!proxy_link_http2_join(call, link->share, link->group, link->server_index, link->client,
					   proxy_link_http2_name(h), &error))
			proxy_call_lost(call);
		else if (call->call.connected)
			proxy_upstream_connected(call->call.exchange);
	}
}

void
proxy_link_http2_settings(void *user)
{
	struct proxy_link_http2 *h = user;

	h->settled = true;
	h->server->calls_max = http2_requests_max(h->base.codec);
	proxy_http2_wake(&h->base);
}

bool
proxy_link_http2_connected(struct proxy_link_http2 *h)
{
	static const struct http2_config config = {
		.stream_window = PROXY_CALL_WINDOW,
		.connection_window = PROXY_CALLS_MAX * PROXY_CALL_WINDOW,
	};
	struct proxy_worker *worker = h->link->worker;

	h->link->call.connected = true;
	h->base.codec = http2_client_new(&config, &proxy_call_events, h, worker->now_ns);
	if (!h->base.codec) {
		PROXY_COUNT(worker, OUT_OF_MEMORY);
		proxy_link_http2_end(h);
		return false;
	}
	proxy_http2_wake(&h->base);
	admit(h);
	return true;
}

/* ---- the end ---- */

void
proxy_link_http2_free(struct proxy_link_http2 *h)
{
	list_remove(&h->shared);
	list_remove(&h->base.writing);
	http2_session_free(h->base.codec);
	h->link->http2 = NULL;
	slab_put(h->link->worker->links_http2, h);
}

void
proxy_link_http2_unconnected(struct proxy_link_http2 *h, proxy_link_tell_fn *tell, const void *why)
{
	struct proxy_call_http2 *call;

	proxy_link_http2_retire(h);
	while ((call = first_call(&h->calls)) != NULL)
		tell(call->call.exchange, why);
	proxy_link_close(h->link);
}

void
proxy_link_http2_end(struct proxy_link_http2 *h)
{
	struct proxy_link *link = h->link;
	struct proxy_call_http2 *call;

	proxy_link_http2_retire(h);
	while ((call = first_call(&h->calls)) != NULL) {
		if (!call->problem)
			call->problem = h->problem;
		proxy_link_http2_leave(call);
		proxy_call_lost(call);
	}
	if (h->base.codec && !h->base.broken && proxy_http2_is_over(&h->base)) {
		/* The server is to know why. */
		proxy_transport_discard(&link->transport);
		proxy_link_finish(link);
	} else {
		proxy_link_close(link);
	}
}

/* ---- what comes ---- */

static void
report_failure(struct proxy_link_http2 *h)
{
	h->problem = "upstream sent invalid frames";
	if (http2_flooded(h->base.codec) < HTTP2_FLOOD_COUNT)
		h->problem = "upstream sent a flood of frames";
	PROXY_COUNT(h->link->worker, UPSTREAM_BAD_RESPONSE);
	proxy_link_http2_retire(h);
}

static void
receive(struct proxy_link_http2 *h)
{
	while (!h->base.failed && proxy_http2_receive(&h->base)) {
		if (h->base.failed)
			report_failure(h);
	}
	if (!h->problem && http2_problem(h->base.codec)[0])
		h->problem = "upstream sent invalid frames";
	if (!http2_may_request(h->base.codec))
		proxy_link_http2_retire(h);
	proxy_http2_wake(&h->base);
}

void
proxy_link_http2_events(struct proxy_link_http2 *h, uint32_t events)
{
	struct proxy_transport *transport = &h->link->transport;

	receive(h);
	if (h->settled)
		move_the_rest(h);
	if ((events & TCP_CLOSED) || proxy_transport_at_end(transport))
		proxy_link_http2_end(h);
}

/* ---- what goes ---- */

static void
output(struct proxy_http2_stream *stream)
{
	struct proxy_call_http2 *call = container_of(stream, struct proxy_call_http2, base);

	proxy_exchange_call_events(call->call.exchange, TCP_WRITABLE);
}

/* Into the pool, if it can be used again and there is one. */
static void
rest(struct proxy_link_http2 *h)
{
	if (is_retired(h) || !h->base.codec || http2_wants_to_send(h->base.codec))
		proxy_link_close(h->link);
	else if (!h->link->idle)
		proxy_link_park(h->link);
}

static void
flush(struct proxy_link_http2 *h)
{
	list_remove(&h->base.writing);
	if (!h->base.codec) {
		if (!h->call_count)
			rest(h); /* nobody waits for it any more */
		return;
	}
	do {
		admit(h);
		proxy_http2_send(&h->base);
	} while (!h->base.broken &&
		 (proxy_http2_output(&h->base, output) || (!list_empty(&h->waiting) && may_begin(h))));
	list_remove(&h->base.writing);
	if (h->base.broken || proxy_http2_is_over(&h->base)) {
		proxy_link_http2_end(h);
		return;
	}
	if (http2_wants_to_send(h->base.codec))
		proxy_transport_want_writable(&h->link->transport);
	if (!h->call_count)
		rest(h);
}

void
proxy_links_flush(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_first(&worker->links_writing)) != NULL) {
		flush(container_of(node, struct proxy_link_http2, base.writing));
		proxy_sessions_reap(worker);
	}
}
