#include <errno.h>

#include "proxy/worker.h"

/* A server that says it closes does so at once, or has other ideas. */
#define END_AWAITED_MS 100

void
proxy_call_arm(struct proxy_call *call, int64_t ms)
{
	timer_deadline_set(call->worker->call_timers, &call->timeout, call->worker->now_ns + (uint64_t)ms * NS_PER_MS);
}

/* With TLS, a connection is as good as what was asked of the server when it was made: another location may trust others, or
 * want another name. */
static bool
serves(const struct proxy_link *link, const struct tls_client *client, struct bytes name)
{
	if (link->client != client)
		return false;
	return !client || tls_serves(link->transport.tls->session, client, name);
}

void
proxy_link_unpark(struct proxy_link *link)
{
	if (!link->idle)
		return;
	link->idle = false;
	list_remove(&link->node);
	link->share->pools[link->group->index].count--;
	proxy_call_disarm(&link->call);
}

/* An idle connection to that very server, the warmest first. */
static struct proxy_link *
pool_take(struct proxy_pool *pool, uint32_t server_index, const struct tls_client *client, struct bytes name)
{
	for (struct list *node = pool->idle.prev; node != &pool->idle; node = node->prev) {
		struct proxy_link *link = container_of(node, struct proxy_link, node);

		if (link->http2 || link->server_index != server_index || !serves(link, client, name))
			continue;
		proxy_link_unpark(link);
		return link;
	}
	return NULL;
}

/* All links are taken: one that waits for no answer gives way to a request. True when there was one. */
static bool
links_evict(struct proxy_worker *worker, struct proxy_share *share)
{
	struct list *ending = list_first(&worker->links_ending);

	if (ending) {
		proxy_link_finish(container_of(ending, struct proxy_link, node));
		return true;
	}
	for (uint32_t i = 0; i < share->generation->group_count; i++) {
		struct list *node = list_first(&share->pools[i].idle);

		if (!node)
			continue;
		proxy_link_finish(container_of(node, struct proxy_link, node));
		return true;
	}
	return false;
}

struct proxy_link *
proxy_link_new(struct proxy_worker *worker, struct proxy_share *share, const struct upstream_group *group,
	       uint32_t server_index, int *error)
{
	struct proxy_link *link = slab_get(worker->links);

	if (!link && links_evict(worker, share))
		link = slab_get(worker->links);
	if (!link) {
		*error = -ENOMEM;
		return NULL;
	}
	*link = (struct proxy_link){
		.end = PROXY_END_LINK,
		.worker = worker,
		.call = { .ops = &proxy_call_http1, .worker = worker },
		.share = share,
		.group = group,
		.server_index = server_index,
		.started_ns = worker->now_ns,
	};
	timer_deadline_init(&link->call.timeout);
	list_init(&link->node);
	link->transport.tcp = tcp_connect(worker->tcp, &group->servers[server_index].address, link, error);
	if (!link->transport.tcp) {
		slab_put(worker->links, link);
		return NULL;
	}
	share->references++;
	return link;
}

struct proxy_call *
proxy_link_open(struct proxy_exchange *x, const struct upstream_group *group, uint32_t server_index, int *error)
{
	struct proxy_worker *worker = x->worker;
	const struct tls_client *client = x->location->client;
	uint8_t buffer[TLS_NAME_MAX];
	struct bytes name = { 0 };
	struct proxy_link *link;

	if (client && !proxy_link_name(x, buffer, &name)) {
		*error = -ENAMETOOLONG;
		return NULL;
	}
	link = pool_take(&x->share->pools[group->index], server_index, client, name);
	if (link) {
		link->requests++;
		link->call.reused = true;
		link->call.head_sent = false;
		link->call.exchange = x;
		PROXY_COUNT(worker, UPSTREAM_REUSED);
		return &link->call;
	}
	link = proxy_link_new(worker, x->share, group, server_index, error);
	if (!link)
		return NULL;
	link->requests++;
	link->call.exchange = x;
	link->client = client;
	return &link->call;
}

static void
link_free(struct proxy_link *link)
{
	__atomic_store_n(&link->share->references, link->share->references - 1, __ATOMIC_RELEASE);
	slab_put(link->worker->links, link);
}

static void
link_leave(struct proxy_link *link)
{
	proxy_link_unpark(link);
	list_remove(&link->node);
	if (link->http2)
		proxy_link_http2_free(link->http2);
	timer_deadline_cancel(link->worker->call_timers, &link->call.timeout);
}

void
proxy_link_close(struct proxy_link *link)
{
	link_leave(link);
	/* Nobody waits for what the server may still send: a reset spares it the work, and us a FIN-WAIT. With TLS there is
	 * a last word to be said, an alert or close_notify (RFC 8446 section 6). */
	if (proxy_transport_readable(&link->transport) ||
	    (!link->transport.tls && (!link->call.connected || !proxy_transport_at_end(&link->transport))))
		proxy_transport_abort(&link->transport);
	else
		proxy_transport_close(&link->transport);
	link_free(link);
}

void
proxy_link_finish(struct proxy_link *link)
{
	link_leave(link);
	proxy_transport_close(&link->transport);
	link_free(link);
}

void
proxy_link_park(struct proxy_link *link)
{
	const struct upstream_group *group = link->group;
	struct proxy_pool *pool = &link->share->pools[group->index];
	uint64_t age_ms = (link->worker->now_ns - link->started_ns) / NS_PER_MS;

	link->call.exchange = NULL;
	if (link->worker->draining || link->share != link->worker->share || !group->keepalive ||
	    link->requests >= group->keepalive_requests || age_ms >= (uint64_t)group->keepalive_time_ms) {
		proxy_link_finish(link);
		return;
	}
	if (pool->count >= group->keepalive)
		proxy_link_finish(container_of(pool->idle.next, struct proxy_link, node));
	list_append(&pool->idle, &link->node);
	link->idle = true;
	pool->count++;
	proxy_call_arm(&link->call, group->keepalive_timeout_ms);
}

void
proxy_link_await_end(struct proxy_link *link)
{
	/* Who says FIN first has the TIME-WAIT, and it is the server that wants to close. Its FIN comes with the answer, or right
	 * behind it; where it does not, ours need not wait. */
	link->call.exchange = NULL;
	list_append(&link->worker->links_ending, &link->node);
	proxy_call_arm(&link->call, END_AWAITED_MS);
}

bool
proxy_link_connected(struct proxy_link *link)
{
	struct proxy_exchange *x = link->call.exchange;
	struct proxy_client *client;

	PROXY_COUNT(link->worker, UPSTREAM_CONNECTED);
	if (link->http2)
		return proxy_link_http2_connected(link->http2);
	client = x->client;
	proxy_upstream_connected(x);
	return client->exchange == x && x->call == &link->call;
}

void
proxy_link_unconnected(struct proxy_link *link, proxy_link_tell_fn *tell, const void *why)
{
	if (link->http2)
		proxy_link_http2_unconnected(link->http2, tell, why);
	else
		tell(link->call.exchange, why);
}

static void
tell_unconnected(struct proxy_exchange *x, const void *reason)
{
	proxy_exchange_unconnected(x, *(const enum tcp_close_reason *)reason);
}

void
proxy_link_closed_early(struct proxy_link *link)
{
	enum tcp_close_reason reason = proxy_transport_close_reason(&link->transport);

	proxy_link_unconnected(link, tell_unconnected, &reason);
}

/* Told to the one that waits for it, or to all. */
static void
connecting(struct proxy_link *link, uint32_t events)
{
	uint32_t more = events & ~(uint32_t)TCP_CONNECTED;

	if (events & TCP_CLOSED)
		proxy_link_closed_early(link);
	else if ((events & TCP_CONNECTED) && proxy_link_connected(link) && more)
		proxy_link_events(link, more);
}

void
proxy_link_events(struct proxy_link *link, uint32_t events)
{
	struct proxy_exchange *x = link->call.exchange;

	if (link->client && !link->call.connected) {
		proxy_link_secure(link, events);
		return;
	}
	events = proxy_transport_events(&link->transport, events);
	if (!events)
		return; /* the server spoke of TLS alone */
	if (link->relay)
		proxy_relay_link_events(link->relay, events);
	else if (!link->call.connected)
		connecting(link, events);
	else if (link->http2)
		proxy_link_http2_events(link->http2, events);
	else if (x)
		proxy_exchange_call_events(x, events);
	else
		/* Idle, or awaiting its end: bytes nobody asked for, FIN and reset all mean that it is of no use any more. */
		proxy_link_close(link);
}

void
proxy_link_timeout(struct proxy_link *link)
{
	if (link->relay)
		proxy_relay_link_timeout(link->relay);
	else if (link->call.exchange)
		proxy_exchange_call_timeout(link->call.exchange);
	else
		proxy_link_finish(link);
}

void
proxy_pools_close(struct proxy_share *share)
{
	for (uint32_t i = 0; i < share->generation->group_count; i++) {
		struct list *node;

		while ((node = list_first(&share->pools[i].idle)) != NULL)
			proxy_link_finish(container_of(node, struct proxy_link, node));
	}
}
