#include "weir/worker_proxy.h"

#include <errno.h>

#include "base/counter.h"
#include "base/random.h"
#include "proxy/proxy.h"

static unsigned int
proxy_run(void *context, uint64_t now_ns, uint64_t real_ns, bool packets_wait)
{
	return proxy_worker_run(context, now_ns, real_ns, packets_wait);
}

static uint64_t
proxy_next_ns(const void *context)
{
	return proxy_worker_next_ns(context);
}

static void
proxy_free(void *context)
{
	counter_unregister(proxy_worker_counters(context));
	proxy_worker_free(context);
}

static const struct worker_user proxy_user = { proxy_run, proxy_next_ns, proxy_free };

int
worker_proxy_new(struct worker *worker, uint64_t now_ns)
{
	struct proxy_worker_config config = {
		.index = worker->index,
		.connections_max = worker->config.connections_max,
		.tcp = worker->tcp,
	};
	struct counter_block block = { "proxy", worker->index, proxy_counter_names, NULL, PROXY_COUNTER_COUNT };

	random_fill(&config.random_seed, sizeof(config.random_seed));
	worker->proxy = proxy_worker_new(&config, now_ns);
	if (!worker->proxy)
		return -ENOMEM;
	worker->user = &proxy_user;
	worker->user_context = worker->proxy;
	block.values = proxy_worker_counters(worker->proxy);
	counter_register(&block);
	return 0;
}
