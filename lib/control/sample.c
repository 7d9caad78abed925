#include "control/sample.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "xdp/xdp.h"

struct l4_target_use
control_target_use(const struct control_facts *facts, uint32_t target)
{
	struct l4_target_use sum = { 0 };

	for (unsigned int i = 0; i < facts->worker_count; i++) {
		const struct l4_target_use *use;

		if (!facts->workers[i].l4)
			continue;
		use = &l4_worker_use(facts->workers[i].l4)[target];
		sum.flows += __atomic_load_n(&use->flows, __ATOMIC_RELAXED);
		sum.packets += __atomic_load_n(&use->packets, __ATOMIC_RELAXED);
		sum.bytes += __atomic_load_n(&use->bytes, __ATOMIC_RELAXED);
	}
	if (facts->program) {
		struct xdp_traffic traffic = xdp_program_traffic(facts->program, target);

		sum.packets += traffic.packets;
		sum.bytes += traffic.bytes;
	}
	return sum;
}

uint64_t
control_port_counter(const struct port *port, enum port_counter counter)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < port->queues; i++)
		sum += __atomic_load_n(&port->counters[i].values[counter], __ATOMIC_RELAXED);
	return sum;
}

/* A number that went back was begun anew. */
static void
rate_set(struct control_rate *rate, uint64_t value, uint64_t span_ns)
{
	uint64_t added = value >= rate->value ? value - rate->value : value;

	rate->per_second = span_ns ? (uint64_t)((double)added * NS_PER_SECOND / (double)span_ns + 0.5) : 0;
	rate->value = value;
}

struct counting {
	struct control_sample *sample;
	uint64_t span_ns;
	uint32_t index;
};

/* In the order of registration, which changes when something is added or goes. */
static void
sample_counter(void *context, const char *room, const char *name, uint64_t value)
{
	struct counting *counting = context;
	struct control_sample *sample = counting->sample;
	uint32_t index = counting->index++;

	if (index >= CONTROL_COUNTERS_MAX)
		return;
	if (index >= sample->counter_count || strcmp(sample->counters[index].room, room) != 0 ||
	    strcmp(sample->counters[index].name, name) != 0) {
		sample->counters[index].room = room;
		sample->counters[index].name = name;
		sample->counters[index].rate = (struct control_rate){ value, 0 };
	} else {
		rate_set(&sample->counters[index].rate, value, counting->span_ns);
	}
}

static void
sample_workers(struct control_sample *sample, const struct control_facts *facts, uint64_t span_ns)
{
	for (unsigned int i = 0; i < facts->worker_count; i++) {
		struct loop_usage usage;
		double share;

		loop_usage(facts->workers[i].loop, &usage);
		share = span_ns ? (double)(usage.busy_ns - sample->workers[i].busy_ns) / (double)span_ns : 0;
		sample->workers[i].share = share > 1 ? 1 : share;
		sample->workers[i].busy_ns = usage.busy_ns;
	}
}

static void
sample_ports(struct control_sample *sample, const struct control_facts *facts, uint64_t span_ns)
{
	static const enum port_counter counters[CONTROL_PORT_RATES] = { PORT_RX_PACKETS, PORT_RX_BYTES, PORT_TX_PACKETS,
									PORT_TX_BYTES };

	for (uint32_t i = 0; i < facts->port_count; i++)
		for (unsigned int k = 0; k < CONTROL_PORT_RATES; k++)
			rate_set(&sample->ports[i][k], control_port_counter(facts->ports[i], counters[k]), span_ns);
}

static void
sample_targets(struct control_sample *sample, const struct control_facts *facts, uint64_t span_ns)
{
	if (!facts->l4)
		return;
	if (!sample->targets)
		sample->targets = calloc(L4_TARGETS_MAX, sizeof(*sample->targets));
	if (!sample->targets)
		return;
	for (uint32_t s = 0; s < l4_generation_service_count(facts->l4); s++) {
		const struct l4_service *service = l4_generation_service(facts->l4, s);

		for (uint32_t i = 0; i < service->server_count; i++) {
			struct l4_target_use use = control_target_use(facts, service->targets[i]);
			struct control_target_sample *target = &sample->targets[service->targets[i]];

			rate_set(&target->packets, use.packets, span_ns);
			rate_set(&target->bytes, use.bytes, span_ns);
		}
	}
}

void
control_sample_take(struct control_sample *sample, const struct control_host *host, uint64_t now_ns)
{
	uint64_t span_ns = sample->time_ns ? now_ns - sample->time_ns : 0;
	struct counting counting = { sample, span_ns, 0 };
	struct control_facts facts = { 0 };

	host->facts(host->context, &facts);
	counter_sum(sample_counter, &counting);
	sample->counter_count = counting.index < CONTROL_COUNTERS_MAX ? counting.index : CONTROL_COUNTERS_MAX;
	sample_workers(sample, &facts, span_ns);
	sample_ports(sample, &facts, span_ns);
	sample_targets(sample, &facts, span_ns);
	sample->time_ns = now_ns;
}

void
control_sample_free(struct control_sample *sample)
{
	free(sample->targets);
	sample->targets = NULL;
}
