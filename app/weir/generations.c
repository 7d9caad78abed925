#include "weir/generations.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "filter/filters.h"
#include "run/qsbr.h"

/* ---- messages to workers ---- */

struct adoption {
	struct worker *worker;
	struct proxy_generation *proxy;
	const struct steering *steering;
	struct port *const *ports;
	uint32_t ports_from, ports_to;
	uint32_t *pending; /* workers that have not yet adopted */
};

static void
adopt(void *argument)
{
	struct adoption *a = argument;
	const struct tcp_listener *listeners;
	uint32_t count;

	for (uint32_t i = a->ports_from; i < a->ports_to; i++)
		worker_port_add(a->worker, a->ports[i]);
	listeners = proxy_generation_listeners(a->proxy, &count);
	a->worker->steering = a->steering;
	tcp_listen(a->worker->tcp, listeners, count);
	proxy_worker_adopt(a->worker->proxy, a->proxy);
	__atomic_sub_fetch(a->pending, 1, __ATOMIC_RELEASE);
	free(a);
}

static bool
tell_worker(struct generations *g, struct worker *worker, struct proxy_generation *proxy,
	    const struct steering *steering, uint32_t ports_from, uint32_t *pending)
{
	struct adoption *a = calloc(1, sizeof(*a));

	if (!a)
		return false;
	*a = (struct adoption){
		.worker = worker,
		.proxy = proxy,
		.steering = steering,
		.ports = g->topology->ports,
		.ports_from = ports_from,
		.ports_to = g->topology->port_count,
		.pending = pending,
	};
	__atomic_add_fetch(pending, 1, __ATOMIC_ACQ_REL);
	if (!worker->running) {
		adopt(a);
		return true;
	}
	if (loop_post(worker->loop, adopt, a) == 0)
		return true;
	__atomic_sub_fetch(pending, 1, __ATOMIC_ACQ_REL);
	free(a);
	return false;
}

/* Control waits for its workers: a round takes microseconds, a sleeping worker is woken. */
static void
tell_workers(struct generations *g, struct proxy_generation *proxy, const struct steering *steering,
	     uint32_t ports_from)
{
	uint32_t pending = 0;

	for (unsigned int i = 0; i < g->shared->worker_count; i++)
		while (!tell_worker(g, &g->shared->workers[i], proxy, steering, ports_from, &pending))
			usleep(1000);
	while (__atomic_load_n(&pending, __ATOMIC_ACQUIRE))
		usleep(200);
}

/* ---- publishing ---- */

static void
add_server(void *context, const struct endpoint *server)
{
	steering_add_server(context, server);
}

static struct steering *
steering_for(struct generations *g, const struct proxy_generation *proxy)
{
	const struct tcp_listener *listeners;
	struct steering *steering;
	uint32_t count;

	listeners = proxy_generation_listeners(proxy, &count);
	steering = steering_new(g->shared->worker_count, g->shared->hash_seed, g->local_port_first, g->local_port_last,
				listeners, count);
	if (!steering)
		return NULL;
	proxy_generation_each_server(proxy, add_server, steering);
	for (uint32_t i = 0; i < g->count; i++)
		if (g->held[i].proxy != proxy)
			proxy_generation_each_server(g->held[i].proxy, add_server, steering);
	return steering;
}

int
generations_publish(struct generations *g, struct config *config)
{
	struct topology *t = g->topology;
	struct proxy_generation *proxy = NULL;
	struct steering *steering = NULL;
	uint32_t ports_from = t->port_count;
	int result = -ENOMEM;

	generations_reclaim(g);
	if (g->count == GENERATIONS_MAX) {
		log_error(LOG_EMERG, "%d older configurations still have requests under way: reload later",
			  GENERATIONS_MAX);
		return -EBUSY;
	}
	proxy = proxy_generation_new(config, g->shared->worker_count, filters);
	steering = proxy ? steering_for(g, proxy) : NULL;
	if (!steering) {
		log_error(LOG_EMERG, "out of memory");
		goto fail;
	}
	result = topology_ports_add(t, config, proxy, true);
	/* Ports that came before one that failed stay, started: the next reload may want them. */
	if (result == 0)
		result = topology_serve(t, steering);
	if (result < 0) {
		log_error(LOG_EMERG, "%s", t->error);
		goto fail;
	}
	g->held[g->count].proxy = proxy;
	g->held[g->count].steering = steering;
	g->count++;
	tell_workers(g, proxy, steering, ports_from);
	result = topology_ports_start(t, ports_from);
	if (result < 0)
		log_error(LOG_EMERG, "%s", t->error);
	return result;
fail:
	steering_free(steering);
	proxy_generation_release(proxy);
	return result;
}

uint32_t
generations_reclaim(struct generations *g)
{
	uint32_t kept = 0;
	bool changed = false;

	for (uint32_t i = 0; i < g->count; i++) {
		if (i + 1 < g->count && proxy_generation_unused(g->held[i].proxy)) {
			qsbr_synchronize();
			proxy_generation_free(g->held[i].proxy);
			steering_free(g->held[i].steering);
			changed = true;
		} else {
			g->held[kept++] = g->held[i];
		}
	}
	g->count = kept;
	if (changed)
		log_error(LOG_INFO, "%u configuration%s in use", kept, kept == 1 ? "" : "s");
	return kept;
}

void
generations_serve(struct generations *g)
{
	struct topology *t = g->topology;
	uint32_t last = g->count - 1, ports_from = t->port_count;
	int result;

	if (!g->count)
		return;
	result = topology_ports_add(t, proxy_generation_config(g->held[last].proxy), g->held[last].proxy, false);
	if (result == 0)
		result = topology_serve(t, g->held[last].steering);
	if (result == 0 && t->port_count > ports_from) {
		tell_workers(g, g->held[last].proxy, g->held[last].steering, ports_from);
		result = topology_ports_start(t, ports_from);
	}
	if (result < 0)
		log_error(LOG_ALERT, "%s", t->error);
}

struct config *
generations_config(const struct generations *g)
{
	return proxy_generation_config(g->held[g->count - 1].proxy);
}

void
generations_free(struct generations *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		proxy_generation_free(g->held[i].proxy);
		steering_free(g->held[i].steering);
	}
	g->count = 0;
}
