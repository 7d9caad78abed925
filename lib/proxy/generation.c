#include <stdlib.h>

#include "base/random.h"
#include "proxy/server/call_h2.h"
#include "proxy/settings/virtual_host.h"
#include "proxy/worker.h"
#include "tls/sessions.h"

/* To any server. */
static bool
speaks_tls(const struct proxy_generation *g)
{
	struct config_scope *http = config_child(config_root(g->config), CONFIG_HTTP);

	return http && (((struct tls_client_settings *)config_settings(http, &tls_client_module))->clients ||
			((struct tls_client_settings *)config_settings(http, &tls_grpc_module))->clients);
}

static int
pool_init(struct proxy_pool *pool, const struct upstream_group *group)
{
	uint32_t count = upstream_server_count(group);

	list_init(&pool->idle);
	pool->servers = calloc(count, sizeof(*pool->servers));
	if (!pool->servers)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		list_init(&pool->servers[i].links);
		pool->servers[i].calls_max = PROXY_CALLS_MAX;
	}
	return 0;
}

static int
share_init(struct proxy_generation *g, struct proxy_share *share)
{
	uint32_t servers = 0;

	share->generation = g;
	share->states = calloc(g->group_count + 1, sizeof(*share->states));
	share->pools = calloc(g->group_count + 1, sizeof(*share->pools));
	if (!share->states || !share->pools)
		return -1;
	for (uint32_t i = 0; i < g->group_count; i++) {
		uint64_t seed;

		random_fill(&seed, sizeof(seed));
		if (pool_init(&share->pools[i], g->groups[i]) < 0)
			return -1;
		share->states[i] = upstream_state_new(g->groups[i], seed);
		if (!share->states[i])
			return -1;
		servers += upstream_server_count(g->groups[i]);
	}
	share->sessions = speaks_tls(g) ? tls_sessions_new(servers) : NULL;
	return share->sessions || !speaks_tls(g) ? 0 : -1;
}

static void
share_fini(struct proxy_generation *g, struct proxy_share *share)
{
	for (uint32_t i = 0; share->states && i < g->group_count; i++)
		upstream_state_free(share->states[i]);
	for (uint32_t i = 0; share->pools && i < g->group_count; i++)
		free(share->pools[i].servers);
	free(share->states);
	free(share->pools);
	tls_sessions_free(share->sessions);
}

/* Of http and of streams in one array, so that what is kept of servers per lcore is, too. */
static void
groups_take(struct proxy_generation *g)
{
	uint32_t stream_count;
	struct upstream_group **http = upstream_groups(g->config, &g->http_group_count);
	struct upstream_group **stream = upstream_session_groups(g->config, &stream_count);

	g->group_count = g->http_group_count + stream_count;
	g->groups = arena_alloc(config_arena(g->config), (g->group_count + 1) * sizeof(*g->groups));
	for (uint32_t i = 0; i < g->group_count; i++) {
		g->groups[i] = i < g->http_group_count ? http[i] : stream[i - g->http_group_count];
		g->groups[i]->index = i;
	}
}

static void
listeners_take(struct proxy_generation *g)
{
	for (uint32_t i = 0; i < g->addresses->count; i++)
		g->listeners[i].local = g->addresses->all[i].endpoint;
	for (uint32_t i = g->addresses->count; i < g->listener_count; i++)
		g->listeners[i].local = g->relays->addresses[i - g->addresses->count].endpoint;
}

struct proxy_generation *
proxy_generation_new(struct config *config, unsigned int workers, const struct proxy_filter *const *filters)
{
	static const struct proxy_addresses none;
	struct proxy_generation *g = calloc(1, sizeof(*g));
	struct config_scope *http = config_child(config_root(config), CONFIG_HTTP);

	if (!g)
		return NULL;
	g->config = config;
	g->filters = filters;
	g->workers = workers;
	g->addresses = http ? ((struct proxy_server *)config_settings(http, &proxy_server_module))->addresses : &none;
	g->relays = proxy_relays(config);
	groups_take(g);
	g->listener_count = g->addresses->count + (g->relays ? g->relays->address_count : 0);
	g->listeners = calloc(g->listener_count + 1, sizeof(*g->listeners));
	g->shares = calloc(workers, sizeof(*g->shares));
	if (!g->listeners || !g->shares)
		goto fail;
	listeners_take(g);
	for (unsigned int i = 0; i < workers; i++)
		if (share_init(g, &g->shares[i]) < 0)
			goto fail;
	return g;
fail:
	proxy_generation_release(g);
	return NULL;
}

void
proxy_generation_release(struct proxy_generation *g)
{
	if (g)
		g->config = NULL;
	proxy_generation_free(g);
}

void
proxy_generation_free(struct proxy_generation *g)
{
	if (!g)
		return;
	for (unsigned int i = 0; g->shares && i < g->workers; i++)
		share_fini(g, &g->shares[i]);
	free(g->shares);
	free(g->listeners);
	if (g->config)
		config_free(g->config);
	free(g);
}

struct config *
proxy_generation_config(const struct proxy_generation *g)
{
	return g->config;
}

const struct tcp_listener *
proxy_generation_listeners(const struct proxy_generation *g, uint32_t *count)
{
	*count = g->listener_count;
	return g->listeners;
}

void
proxy_generation_each_server(const struct proxy_generation *g,
			     void (*each)(void *context, const struct endpoint *server), void *context)
{
	for (uint32_t i = 0; i < g->group_count; i++)
		for (uint32_t s = 0; s < g->groups[i]->primary_count + g->groups[i]->backup_count; s++)
			each(context, &g->groups[i]->servers[s].address);
}

bool
proxy_generation_unused(const struct proxy_generation *g)
{
	for (unsigned int i = 0; i < g->workers; i++)
		if (__atomic_load_n(&g->shares[i].current, __ATOMIC_ACQUIRE) ||
		    __atomic_load_n(&g->shares[i].references, __ATOMIC_ACQUIRE))
			return false;
	return true;
}
