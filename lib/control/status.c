#include "control/status.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "control/sample.h"
#include "upstream/weights.h"

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* ---- workers ---- */

static json_t *
flows_of(const struct l4_worker *worker)
{
	struct l4_flows_usage usage;

	l4_worker_flows_usage(worker, &usage);
	return json_pack("{s:o,s:o,s:o,s:o}", "entries", number(usage.used), "places", number(usage.places), "spilled",
			 number(usage.spilled), "bytes", number(usage.bytes));
}

static json_t *
workers(const struct control_call *call)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < call->facts->worker_count; i++) {
		const struct control_worker *worker = &call->facts->workers[i];
		struct loop_usage usage;
		json_t *row;

		loop_usage(worker->loop, &usage);
		row = json_pack("{s:o,s:f,s:o,s:o,s:o}", "worker", number(i), "busy", call->sample->workers[i].share,
				"rounds", number(usage.rounds), "working_rounds", number(usage.working_rounds),
				"sleeps", number(usage.sleeps));
		if (worker->l4)
			json_object_set_new(row, "flows", flows_of(worker->l4));
		json_array_append_new(list, row);
	}
	return list;
}

/* ---- http ---- */

/* Failures are each worker's own knowledge and not asked for. */
static const char *
server_state(const struct upstream_server *server, uint32_t weight)
{
	return server->down ? "down" : !weight ? "drained" : server->backup ? "backup" : "up";
}

static json_t *
http_group(const struct upstream_group *group, const struct upstream_weights *weights)
{
	json_t *servers = json_array();

	for (uint32_t i = 0; i < upstream_server_count(group); i++) {
		const struct upstream_server *server = &group->servers[i];
		uint32_t weight = upstream_weight_in_force(weights, group, server);

		json_array_append_new(servers,
				      json_pack("{s:o,s:o,s:o,s:o,s:s,s:b}", "name", control_text(server->name),
						"address", control_text(server->address_text), "weight",
						number(server->weight), "weight_in_force", number(weight), "state",
						server_state(server, weight), "backup", (int)server->backup));
	}
	return json_pack("{s:o,s:s,s:b,s:o}", "name", control_text(group->name), "method", group->method->name,
			 "implicit", (int)group->implicit, "servers", servers);
}

/* Of the last sample: as old as the rate. */
static void
add_rate(json_t *object, const struct control_sample *sample, const char *room, const char *name, const char *key)
{
	uint64_t per_second = 0;

	for (uint32_t i = 0; i < sample->counter_count; i++)
		if (strcmp(sample->counters[i].room, room) == 0 && strcmp(sample->counters[i].name, name) == 0)
			per_second = sample->counters[i].rate.per_second;
	json_object_set_new(object, key, number(per_second));
}

static json_t *
http(const struct control_call *call)
{
	json_t *listeners = json_array(), *groups = json_array(), *object = json_object();
	struct upstream_group **all;
	uint32_t count = 0;

	if (call->facts->proxy) {
		const struct tcp_listener *list = proxy_generation_listeners(call->facts->proxy, &count);

		for (uint32_t i = 0; i < count; i++)
			json_array_append_new(listeners, control_endpoint(&list[i].local));
	}
	count = 0;
	all = call->facts->config ? upstream_groups(call->facts->config, &count) : NULL;
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(groups, http_group(all[i], call->facts->http_weights));
	add_rate(object, call->sample, "proxy", "accepted", "accepted_per_second");
	add_rate(object, call->sample, "proxy", "requests", "requests_per_second");
	json_object_set_new(object, "listeners", listeners);
	json_object_set_new(object, "groups", groups);
	return object;
}

/* ---- ports ---- */

static json_t *
port_row(const struct port *port, const struct control_rate *rates)
{
	json_t *counters = json_object();
	char mac[RTE_ETHER_ADDR_FMT_SIZE];

	for (int i = 0; i < PORT_COUNTER_COUNT; i++)
		json_object_set_new(counters, port_counter_names[i], number(control_port_counter(port, i)));
	rte_ether_format_addr(mac, sizeof(mac), &port->mac);
	return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:b,s:o,s:o,s:o,s:o,s:o}", "name", port->name, "kind",
			 port->ops->kind, "interface", port->interface_name, "mac", mac, "mtu", (int)port->mtu,
			 "queues", (int)port->queues, "link",
			 port->ops->link_up ? (int)port->ops->link_up((struct port *)port) : 1, "rx_packets_per_second",
			 number(rates[CONTROL_RX_PACKETS].per_second), "rx_bits_per_second",
			 number(rates[CONTROL_RX_BYTES].per_second * 8), "tx_packets_per_second",
			 number(rates[CONTROL_TX_PACKETS].per_second), "tx_bits_per_second",
			 number(rates[CONTROL_TX_BYTES].per_second * 8), "counters", counters);
}

int
control_status(struct control_call *call)
{
	const struct control_facts *facts = call->facts;
	uint64_t up_ms = (clock_monotonic_ns() - call->sample->start_ns) / NS_PER_MS;
	json_t *ports = json_array(), *answer = call->answer;

	json_object_set_new(answer, "version", json_string(WEIR_VERSION));
	json_object_set_new(answer, "pid", number((uint64_t)getpid()));
	json_object_set_new(answer, "uptime_seconds", json_real((double)up_ms / 1000));
	json_object_set_new(answer, "configurations", number(facts->generations));
	json_object_set_new(answer, "workers", workers(call));
	json_object_set_new(answer, "services", control_status_services(call));
	json_object_set_new(answer, "leaving", control_status_leaving(call));
	json_object_set_new(answer, "http", http(call));
	for (uint32_t i = 0; i < facts->port_count; i++)
		json_array_append_new(ports, port_row(facts->ports[i], call->sample->ports[i]));
	json_object_set_new(answer, "ports", ports);
	return 0;
}

/* ---- counters ---- */

struct listing {
	const struct control_sample *sample;
	json_t *counters, *rates;
	uint32_t index;
};

static void
put(json_t *rooms, const char *room, const char *name, uint64_t value)
{
	json_t *object = json_object_get(rooms, room);

	if (!object) {
		object = json_object();
		json_object_set_new(rooms, room, object);
	}
	json_object_set_new(object, name, number(value));
}

static void
list_counter(void *context, const char *room, const char *name, uint64_t value)
{
	struct listing *listing = context;
	const struct control_sample *sample = listing->sample;
	uint32_t index = listing->index++;

	put(listing->counters, room, name, value);
	if (index < sample->counter_count && strcmp(sample->counters[index].room, room) == 0 &&
	    strcmp(sample->counters[index].name, name) == 0)
		put(listing->rates, room, name, sample->counters[index].rate.per_second);
}

int
control_counters(struct control_call *call)
{
	struct listing listing = { call->sample, json_object(), json_object(), 0 };

	counter_sum(list_counter, &listing);
	json_object_set_new(call->answer, "counters", listing.counters);
	json_object_set_new(call->answer, "per_second", listing.rates);
	return 0;
}
