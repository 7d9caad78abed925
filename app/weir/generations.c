#include "weir/generations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "filter/filters.h"
#include "run/qsbr.h"

/* ---- messages to workers ---- */

/* What all workers are told alike. */
struct news {
	struct proxy_generation *proxy; /* NULL: only weights or services are new */
	const struct proxy_plans *plans;
	const struct steering *steering;
	const struct l4_generation *l4;
	struct port *const *ports;
	uint32_t ports_from, ports_to;
	uint32_t pending; /* workers that have not yet adopted */
};

struct adoption {
	struct worker *worker;
	struct news *news;
};

static void
adopt(void *argument)
{
	struct adoption *a = argument;
	struct worker *worker = a->worker;
	struct news *news = a->news;
	const struct tcp_listener *listeners;
	uint32_t count;

	for (uint32_t i = 0; i < news->ports_from; i++)
		if (news->ports[i]->gone)
			worker_port_remove(worker, news->ports[i]);
	for (uint32_t i = news->ports_from; i < news->ports_to; i++)
		worker_port_add(worker, news->ports[i]);
	worker_l4_start(worker);
	if (worker->l4)
		l4_worker_adopt(worker->l4, news->l4);
	if (news->proxy) {
		listeners = proxy_generation_listeners(news->proxy, &count);
		worker->steering = news->steering;
		tcp_listen(worker->tcp, listeners, count);
		proxy_worker_adopt(worker->proxy, news->proxy);
	}
	proxy_worker_adopt_plans(worker->proxy, news->plans);
	free(a);
	/* The last word: control takes the news back. */
	__atomic_sub_fetch(&news->pending, 1, __ATOMIC_RELEASE);
}

static bool
tell_worker(struct worker *worker, struct news *news)
{
	struct adoption *a = calloc(1, sizeof(*a));

	if (!a)
		return false;
	*a = (struct adoption){ worker, news };
	__atomic_add_fetch(&news->pending, 1, __ATOMIC_ACQ_REL);
	if (!worker->running) {
		adopt(a);
		return true;
	}
	if (loop_post(worker->loop, adopt, a) == 0)
		return true;
	__atomic_sub_fetch(&news->pending, 1, __ATOMIC_ACQ_REL);
	free(a);
	return false;
}

/* Control waits for its workers: a round takes microseconds, a sleeping worker is woken. */
static void
tell_workers(struct generations *g, struct news *news)
{
	news->l4 = g->l4;
	news->plans = g->held[g->count - 1].plans;
	news->ports = g->topology->ports;
	news->ports_to = g->topology->port_count;
	for (unsigned int i = 0; i < g->shared->roles.count; i++)
		while (!tell_worker(&g->shared->workers[i], news))
			usleep(1000);
	while (__atomic_load_n(&news->pending, __ATOMIC_ACQUIRE))
		usleep(200);
}

void
generations_ports_look(struct generations *g)
{
	struct news news = { .ports_from = g->topology->port_count };

	if (!g->count || !topology_ports_lost(g->topology))
		return;
	tell_workers(g, &news);
	topology_ports_close(g->topology);
}

/* ---- packet-level services ---- */

static bool
source_of(void *context, const struct ip_address *server, struct ip_address *source)
{
	struct generations *g = context;
	uint16_t mtu;

	return net_route_source(g->shared->mirror, server, source, &mtu);
}

static int
services_workers(struct generations *g, const struct l4_settings *settings)
{
	const struct worker_l4_config wanted = { .targets = l4_registry_targets(g->registry),
						 .settings = settings,
						 .local_port_first = g->forward_port_first,
						 .local_port_last = g->forward_port_last,
						 .program = g->topology->program,
						 .start_ns = g->topology->start_ns };
	int result = 0;

	for (unsigned int i = 0; i < g->shared->roles.io && result == 0; i++)
		if (!g->shared->workers[i].l4_owned)
			result = worker_l4_new(&g->shared->workers[i], &wanted);
	return result;
}

/* Flow tables have their size from the configuration that first has services. */
static int
services_prepare(struct generations *g, struct config *config)
{
	const struct l4_settings *settings = l4_settings(config);
	int result;

	if (!g->forward_port_first)
		log_error(LOG_WARN,
			  "no local ports were set aside for \"forward full_nat\", as there was no \"stream\" at "
			  "the start: it needs a restart");
	if (!g->registry)
		g->registry = l4_registry_new();
	if (!g->registry)
		return -ENOMEM;
	if (g->shared->workers[0].l4_owned)
		return 0;
	result = topology_forward(g->topology, config, settings);
	if (result < 0)
		return result;
	topology_targets_restore(g->topology, g->registry);
	return services_workers(g, settings);
}

/* *out is NULL where there are no services. */
static int
services_of(struct generations *g, struct config *config, struct l4_generation **out)
{
	struct l4_generation_config wanted = {
		.config = config, .previous = g->l4, .source_of = source_of, .context = g
	};
	char error[512] = "out of memory";
	int result;

	*out = NULL;
	if (!l4_configured(config))
		return 0;
	result = services_prepare(g, config);
	wanted.registry = g->registry;
	if (result < 0 && g->topology->error[0])
		snprintf(error, sizeof(error), "%s", g->topology->error);
	if (result == 0)
		result = l4_generation_new(&wanted, out, error, sizeof(error));
	if (result < 0)
		log_error(LOG_EMERG, "%s", error);
	return result;
}

/* New ports lead to servers that were out of reach, and only then is it known which address of ours they are spoken to from:
 * the services are made once more. */
static int
services_with_ways(struct generations *g, struct config *config, uint32_t ports_before, struct l4_generation **l4)
{
	struct l4_generation *made;
	int result;

	if (!*l4 || g->topology->port_count == ports_before)
		return 0;
	result = services_of(g, config, &made);
	if (result < 0)
		return result;
	l4_generation_free(*l4);
	*l4 = made;
	return 0;
}

/* In the place of the old one, once every worker has the new, and the XDP program: nobody looks at the old one then. */
static void
services_replace(struct generations *g, struct l4_generation *l4, struct news *news)
{
	struct l4_generation *old = g->l4;

	g->l4 = l4;
	tell_workers(g, news);
	topology_choices_publish(g->topology, l4, g->registry);
	l4_generation_free(old);
}

static void
services_collect(struct generations *g)
{
	struct l4_worker *workers[PORT_QUEUES_MAX];

	if (!g->registry)
		return;
	for (unsigned int i = 0; i < g->shared->roles.io; i++)
		workers[i] = g->shared->workers[i].l4_owned;
	l4_registry_collect(g->registry, workers, g->shared->roles.io);
}

/* ---- publishing ---- */

/* From the first `stream` on there is a place for what the operator says of its groups, packet-level or not. False: no memory. */
static bool
weights_prepare(struct generations *g, struct config *config)
{
	if (!config_child(config_root(config), CONFIG_STREAM))
		return true;
	if (!g->registry)
		g->registry = l4_registry_new();
	return g->registry;
}

static const struct upstream_weights *
stream_weights(const struct generations *g)
{
	return g->registry ? l4_registry_weights(g->registry) : NULL;
}

static void
add_server(void *context, const struct endpoint *server)
{
	steering_add_server(context, server);
}

/* Sessions of streams go on where nobody listens any more. */
static void
add_former(struct steering *steering, const struct proxy_generation *proxy)
{
	uint32_t count;
	const struct tcp_listener *listeners = proxy_generation_listeners(proxy, &count);

	for (uint32_t i = 0; i < count; i++)
		steering_add_former(steering, &listeners[i].local);
}

static struct steering *
steering_for(struct generations *g, const struct proxy_generation *proxy)
{
	const struct tcp_listener *listeners;
	struct steering *steering;
	uint32_t count;

	listeners = proxy_generation_listeners(proxy, &count);
	steering = steering_new(g->shared->roles, g->shared->hash_seed, g->local_port_first, g->local_port_last,
				listeners, count);
	if (!steering)
		return NULL;
	proxy_generation_each_server(proxy, add_server, steering);
	for (uint32_t i = 0; i < g->count; i++)
		if (g->held[i].proxy != proxy) {
			proxy_generation_each_server(g->held[i].proxy, add_server, steering);
			add_former(steering, g->held[i].proxy);
		}
	return steering;
}

int
generations_publish(struct generations *g, struct config *config)
{
	struct topology *t = g->topology;
	struct proxy_generation *proxy = NULL;
	struct proxy_plans *plans = NULL;
	struct steering *steering = NULL;
	struct l4_generation *l4 = NULL;
	struct news news = { .ports_from = t->port_count };
	int result = -ENOMEM;

	generations_ports_look(g);
	generations_reclaim(g);
	if (g->count == GENERATIONS_MAX) {
		log_error(LOG_EMERG, "%d older configurations still have requests under way: reload later",
			  GENERATIONS_MAX);
		return -EBUSY;
	}
	if (weights_prepare(g, config))
		proxy = proxy_generation_new(config, g->shared->roles.count, filters);
	plans = proxy ? proxy_plans_new(proxy, &g->http_weights, stream_weights(g)) : NULL;
	steering = plans ? steering_for(g, proxy) : NULL;
	if (!steering) {
		log_error(LOG_EMERG, "out of memory");
		goto fail;
	}
	result = services_of(g, config, &l4);
	if (result < 0)
		goto fail;
	result = topology_ports_add(t, config, proxy, l4, true);
	if (result == 0)
		result = services_with_ways(g, config, news.ports_from, &l4);
	if (result == 0)
		result = topology_serve(t, steering, l4, g->registry);
	/* What workers sleep on is known once a port has started; what it receives until they poll it waits in its queues. */
	if (result == 0)
		result = topology_ports_start(t, news.ports_from);
	if (result < 0) {
		log_error(LOG_EMERG, "%s", t->error);
		topology_ports_drop(t, news.ports_from);
		goto fail;
	}
	g->held[g->count].proxy = proxy;
	g->held[g->count].plans = plans;
	g->held[g->count].steering = steering;
	g->count++;
	news.proxy = proxy;
	news.steering = steering;
	services_replace(g, l4, &news);
	return 0;
fail:
	l4_generation_free(l4);
	steering_free(steering);
	proxy_plans_free(plans);
	proxy_generation_release(proxy);
	return result;
}

int
generations_renew(struct generations *g)
{
	const struct steering *steering = g->held[g->count - 1].steering;
	struct proxy_plans **plans = &g->held[g->count - 1].plans, *old = *plans;
	struct proxy_plans *new = proxy_plans_new(g->held[g->count - 1].proxy, &g->http_weights, stream_weights(g));
	struct news news = { .ports_from = g->topology->port_count };
	struct l4_generation *l4 = NULL;
	int result = new ? services_of(g, generations_config(g), &l4) : -ENOMEM;

	if (result == 0) {
		result = topology_serve(g->topology, steering, l4, g->registry);
		if (result < 0)
			log_error(LOG_ALERT, "%s", g->topology->error);
	}
	if (result < 0) {
		l4_generation_free(l4);
		proxy_plans_free(new);
		return result;
	}
	*plans = new;
	services_replace(g, l4, &news);
	proxy_plans_free(old);
	return 0;
}

static void
held_free(struct generations *g, uint32_t index)
{
	proxy_plans_free(g->held[index].plans);
	proxy_generation_free(g->held[index].proxy);
	steering_free(g->held[index].steering);
}

/* What only configurations that have gone needed goes back to the kernel. */
static void
settle(struct generations *g)
{
	struct proxy_generation *proxy = g->held[g->count - 1].proxy;
	struct steering **steering = &g->held[g->count - 1].steering, *old = *steering, *new = steering_for(g, proxy);
	struct news news = { .proxy = proxy, .steering = new, .ports_from = g->topology->port_count };

	if (!new)
		return;
	if (topology_serve(g->topology, new, g->l4, g->registry) < 0) {
		log_error(LOG_ALERT, "%s", g->topology->error);
		steering_free(new);
		return;
	}
	*steering = new;
	tell_workers(g, &news);
	steering_free(old);
}

uint32_t
generations_reclaim(struct generations *g)
{
	uint32_t kept = 0;
	bool changed = false;

	services_collect(g);
	for (uint32_t i = 0; i < g->count; i++) {
		if (i + 1 < g->count && proxy_generation_unused(g->held[i].proxy)) {
			qsbr_synchronize();
			held_free(g, i);
			changed = true;
		} else {
			g->held[kept++] = g->held[i];
		}
	}
	g->count = kept;
	if (changed && g->held[kept - 1].steering->former_count)
		settle(g);
	if (changed)
		log_error(LOG_INFO, "%u configuration%s in use", kept, kept == 1 ? "" : "s");
	return kept;
}

void
generations_serve(struct generations *g)
{
	struct topology *t = g->topology;
	uint32_t last = g->count - 1;
	struct news news = { .ports_from = t->port_count };
	struct l4_generation *l4 = NULL;
	int result;

	if (!g->count)
		return;
	generations_ports_look(g);
	/* Addresses towards servers may be others now. */
	result = services_of(g, generations_config(g), &l4);
	if (result < 0)
		return;
	result = topology_ports_add(t, generations_config(g), g->held[last].proxy, l4, false);
	if (result == 0)
		result = services_with_ways(g, generations_config(g), news.ports_from, &l4);
	if (result == 0)
		result = topology_serve(t, g->held[last].steering, l4, g->registry);
	if (result == 0)
		result = topology_ports_start(t, news.ports_from);
	if (result == 0) {
		services_replace(g, l4, &news);
	} else {
		log_error(LOG_ALERT, "%s", t->error);
		topology_ports_drop(t, news.ports_from);
		l4_generation_free(l4);
	}
}

struct config *
generations_config(const struct generations *g)
{
	return proxy_generation_config(g->held[g->count - 1].proxy);
}

void
generations_free(struct generations *g)
{
	l4_generation_free(g->l4);
	l4_registry_free(g->registry);
	g->l4 = NULL;
	g->registry = NULL;
	for (uint32_t i = 0; i < g->count; i++)
		held_free(g, i);
	upstream_weights_clear(&g->http_weights);
	g->count = 0;
}
