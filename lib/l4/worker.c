#include "l4/worker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "l4/generation.h"

/* So often it is looked at whether the XDP program has made flows. */
#define SHARED_LOOK_NS NS_PER_SECOND
/* The table is gone through once in this long, in steps; far below the wrap of its clock. */
#define SWEEP_ROUND_NS (60 * NS_PER_SECOND)
#define SWEEP_STEP_NS (10 * NS_PER_MS)
#define FLOWS_PER_BUCKET 2

static void
memory_take(struct l4_worker *worker)
{
	const struct l4_worker_config *config = &worker->config;

	worker->shares = config->flow_memory;
	if (worker->shares) {
		worker->start_ns = config->start_ns;
		worker->use = config->use_memory;
		worker->flows =
			l4_flows_new_in(config->flow_memory, config->lane, config->flows, config->targets, worker->use);
		return;
	}
	worker->use = calloc(L4_TARGETS_MAX, sizeof(*worker->use));
	if (worker->use)
		worker->flows = l4_flows_new(config->flows, config->targets, worker->use);
}

struct l4_worker *
l4_worker_new(const struct l4_worker_config *config, uint64_t now_ns)
{
	struct l4_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->config = *config;
	flow_hash_key_init(&worker->hash_key, config->hash_seed);
	worker->generation = &l4_generation_none;
	l4_arrive_anew(worker);
	worker->now_ns = worker->start_ns = worker->sweep_ns = now_ns;
	worker->random.state = config->random_seed ^ (0x9e3779b97f4a7c15ull * (config->index + 1));
	worker->icmp_second = UINT16_MAX;
	l4_path_mtus_init(&worker->path_mtus);
	worker->services = calloc(L4_SERVICES_MAX + 1, sizeof(*worker->services));
	memory_take(worker);
	worker->fragments = l4_fragments_new();
	for (uint32_t i = 0; worker->services && i <= L4_SERVICES_MAX; i++)
		worker->services[i].syn_second = UINT16_MAX;
	if (worker->use && worker->services && worker->flows && worker->fragments)
		return worker;
	l4_worker_free(worker);
	return NULL;
}

void
l4_worker_free(struct l4_worker *worker)
{
	if (!worker)
		return;
	for (uint32_t i = 0; worker->services && i <= L4_SERVICES_MAX; i++)
		free(worker->services[i].peers);
	l4_fragments_free(worker->fragments);
	l4_flows_free(worker->flows);
	free(worker->services);
	if (!worker->shares)
		free(worker->use);
	free(worker);
}

void
l4_worker_take_over(struct l4_worker *worker)
{
	l4_flows_forget_hops(worker->flows);
}

/* State of the methods that have some begins anew: weights may be others, and so may servers. */
static void
peers_renew(struct l4_worker *worker, const struct l4_service *service)
{
	struct l4_service_use *use = &worker->services[service->id];

	free(use->peers);
	use->peers = NULL;
	if (!service->method || service->method->properties & BALANCE_PER_PACKET)
		return;
	/* In a message of control, not on the packet path. Without memory the method has no peers, and picks nobody. */
	use->peers = calloc(service->server_count, sizeof(*use->peers));
	for (uint32_t i = 0; use->peers && i < service->server_count; i++)
		use->peers[i].weight = use->peers[i].effective_weight = (int32_t)service->weights[i];
}

/* The number may have been another target's. The program may be making the first flow of it right now. */
static void
use_begin(struct l4_worker *worker, uint32_t target)
{
	struct l4_target_use *use = &worker->use[target];

	/* One that flows have held meanwhile is still what it was. */
	if (__atomic_load_n(&use->flows, __ATOMIC_RELAXED))
		return;
	use->hop = use->hop_generation = 0;
	use->packets = use->bytes = 0;
	l4_path_mtu_forget(&worker->path_mtus, target);
}

/* The program forwards to a server only when its worker knows the way there, and it may be alone before the worker has had a
 * packet for that server. */
static void
hops_find(struct l4_worker *worker, const struct l4_service *service)
{
	if (!worker->shares || service->forwarder->properties & L4_SEES_ANSWERS)
		return;
	for (uint32_t i = 0; i < service->server_count; i++)
		if (balance_usable(service->usable, i))
			l4_hop_to_server(worker, service->targets[i]);
}

void
l4_worker_adopt(struct l4_worker *worker, const struct l4_generation *generation)
{
	const uint32_t *fresh;
	uint32_t fresh_count;

	if (!generation)
		generation = &l4_generation_none;
	worker->generation = generation;
	l4_arrive_anew(worker);
	fresh = l4_generation_fresh_targets(generation, &fresh_count);
	for (uint32_t i = 0; i < fresh_count; i++)
		use_begin(worker, fresh[i]);
	for (uint32_t i = 0; i < l4_generation_service_count(generation); i++) {
		peers_renew(worker, l4_generation_service(generation, i));
		hops_find(worker, l4_generation_service(generation, i));
	}
}

void
l4_worker_go_by_rss(struct l4_worker *worker, const struct port_rss *rss)
{
	worker->rss = rss;
}

void
l4_worker_time(struct l4_worker *worker, uint64_t now_ns)
{
	worker->now_ns = now_ns;
	worker->now_s = (uint16_t)((now_ns - worker->start_ns) / NS_PER_SECOND);
}

void
l4_worker_maintain(struct l4_worker *worker, uint64_t now_ns)
{
	struct l4_flows_usage usage;
	uint32_t dropped;

	l4_worker_time(worker, now_ns);
	if (worker->config.lane)
		worker->config.lane->path_mtu_least = worker->path_mtus.least;
	if (now_ns < worker->sweep_ns)
		return;
	worker->sweep_ns = now_ns + SWEEP_STEP_NS;
	l4_flows_usage(worker->flows, &usage);
	l4_flows_sweep(worker->flows, (uint32_t)(usage.places / FLOWS_PER_BUCKET * SWEEP_STEP_NS / SWEEP_ROUND_NS) + 1,
		       worker->now_s);
	l4_path_mtus_expire(&worker->path_mtus, now_ns);
	dropped = l4_fragments_expire(worker->fragments, now_ns);
	worker->counters[L4_DROP_FRAGMENT_TIMEOUT] += dropped;
}

uint64_t
l4_worker_next_ns(const struct l4_worker *worker)
{
	struct l4_flows_usage usage;

	l4_flows_usage(worker->flows, &usage);
	/* What waits is expired with the sweep. */
	if (usage.used || l4_fragments_waiting(worker->fragments))
		return worker->sweep_ns;
	return worker->shares ? worker->sweep_ns + SHARED_LOOK_NS : UINT64_MAX;
}

const uint64_t *
l4_worker_counters(const struct l4_worker *worker)
{
	return worker->counters;
}

const struct l4_target_use *
l4_worker_use(const struct l4_worker *worker)
{
	return worker->use;
}

void
l4_worker_flows_usage(const struct l4_worker *worker, struct l4_flows_usage *out)
{
	l4_flows_usage(worker->flows, out);
}
