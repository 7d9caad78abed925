#include <stdlib.h>

#include "control/sample.h"
#include "control/status.h"

/* ---- values ---- */

json_t *
control_text(struct bytes text)
{
	json_t *value = json_stringn((const char *)text.data, text.len);
	char *plain;

	if (value)
		return value;
	plain = malloc(text.len + 1);
	if (!plain)
		return json_null();
	for (size_t i = 0; i < text.len; i++)
		plain[i] = text.data[i] < 0x80 ? (char)text.data[i] : '?';
	value = json_stringn(plain, text.len);
	free(plain);
	return value;
}

json_t *
control_ip(const struct ip_address *ip)
{
	char text[ENDPOINT_TEXT_MAX];

	ip_address_format(ip, text, sizeof(text));
	return json_string(text);
}

json_t *
control_endpoint(const struct endpoint *endpoint)
{
	char text[ENDPOINT_TEXT_MAX];

	if (!endpoint->port_be)
		return control_ip(&endpoint->ip);
	endpoint_format(endpoint, text, sizeof(text));
	return json_string(text);
}

void
control_ports_format(uint16_t first, uint16_t last, char *out, size_t size)
{
	if (first == last)
		snprintf(out, size, "%u", first);
	else if (first == 1 && last == UINT16_MAX)
		snprintf(out, size, "*");
	else
		snprintf(out, size, "%u-%u", first, last);
}

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* ---- services ---- */

struct totals {
	uint64_t flows, packets, bytes, packets_per_second, bits_per_second;
};

static void
add_totals(json_t *row, const struct totals *totals)
{
	json_object_set_new(row, "flows", number(totals->flows));
	json_object_set_new(row, "packets", number(totals->packets));
	json_object_set_new(row, "bytes", number(totals->bytes));
	json_object_set_new(row, "packets_per_second", number(totals->packets_per_second));
	json_object_set_new(row, "bits_per_second", number(totals->bits_per_second));
}

static struct totals
target_totals(const struct control_call *call, uint32_t target)
{
	struct l4_target_use use = control_target_use(call->facts, target);
	struct totals totals = { .flows = use.flows, .packets = use.packets, .bytes = use.bytes };

	if (call->sample->targets) {
		totals.packets_per_second = call->sample->targets[target].packets.per_second;
		totals.bits_per_second = call->sample->targets[target].bytes.per_second * 8;
	}
	return totals;
}

static const char *
server_state(const struct l4_service *service, uint32_t index)
{
	if (service->group->servers[index].down)
		return "down";
	if (service->weights[index] == 0)
		return "drained";
	/* A backup that takes flows is up like any other. */
	if (balance_usable(service->usable, index))
		return "up";
	return service->group->servers[index].backup ? "backup" : "unused";
}

/* Entries of the Maglev table per server; services of one group share their table. */
struct shares {
	const struct balance_maglev *table;
	uint32_t entries[UPSTREAM_SERVERS_MAX];
};

static void
count_shares(struct shares *shares, const struct balance_maglev *table)
{
	if (shares->table == table)
		return;
	shares->table = table;
	memset(shares->entries, 0, sizeof(shares->entries));
	for (uint32_t i = 0; i < table->size; i++)
		shares->entries[table->entries[i]]++;
}

static json_t *
server_row(const struct l4_service *service, uint32_t index, const struct shares *shares, const struct totals *totals)
{
	const struct upstream_server *server = &service->group->servers[index];
	json_t *row = json_pack("{s:o,s:o,s:o,s:o,s:s,s:b}", "name", control_text(server->name), "address",
				control_text(server->address_text), "weight", number(server->weight), "weight_in_force",
				number(service->weights[index]), "state", server_state(service, index), "backup",
				(int)server->backup);

	json_object_set_new(row, "share",
			    json_real(service->maglev ? (double)shares->entries[index] / service->maglev->size : 0));
	add_totals(row, totals);
	return row;
}

static json_t *
service_row(const struct control_call *call, const struct l4_service *service, struct shares *shares)
{
	char ports[CONTROL_PORTS_TEXT_MAX];
	struct totals sum = { 0 };
	json_t *servers = json_array(), *row;

	if (service->maglev)
		count_shares(shares, service->maglev);
	for (uint32_t i = 0; i < service->server_count; i++) {
		struct totals totals = target_totals(call, service->targets[i]);

		json_array_append_new(servers, server_row(service, i, shares, &totals));
		sum.flows += totals.flows;
		sum.packets += totals.packets;
		sum.bytes += totals.bytes;
		sum.packets_per_second += totals.packets_per_second;
		sum.bits_per_second += totals.bits_per_second;
	}
	control_ports_format(service->port_first, service->port_last, ports, sizeof(ports));
	row = json_pack("{s:o,s:s,s:s,s:s,s:o,s:s,s:b}", "address", control_ip(&service->ip), "ports", ports,
			"protocol", service->ip_protocol == IPPROTO_UDP ? "udp" : "tcp", "forward",
			service->forwarder->name, "group", control_text(service->group->name), "method",
			service->method ? service->method->name : "maglev", "by_address", (int)service->by_address);
	add_totals(row, &sum);
	json_object_set_new(row, "servers", servers);
	return row;
}

json_t *
control_status_services(const struct control_call *call)
{
	const struct l4_generation *generation = call->facts->l4;
	json_t *list = json_array();
	struct shares *shares = calloc(1, sizeof(*shares));

	for (uint32_t i = 0; shares && generation && i < l4_generation_service_count(generation); i++)
		json_array_append_new(list, service_row(call, l4_generation_service(generation, i), shares));
	free(shares);
	return list;
}

/* ---- what old flows still use ---- */

static void
mark_current(const struct l4_generation *generation, uint64_t *current)
{
	for (uint32_t s = 0; s < l4_generation_service_count(generation); s++) {
		const struct l4_service *service = l4_generation_service(generation, s);

		for (uint32_t i = 0; i < service->server_count; i++)
			current[service->targets[i] / 64] |= 1ull << (service->targets[i] % 64);
	}
}

json_t *
control_status_leaving(const struct control_call *call)
{
	const struct control_facts *facts = call->facts;
	uint64_t *current = calloc(L4_TARGETS_MAX / 64, sizeof(*current));
	json_t *list = json_array();
	const struct l4_target *targets;

	if (!facts->registry || !current) {
		free(current);
		return list;
	}
	targets = l4_registry_targets(facts->registry);
	if (facts->l4)
		mark_current(facts->l4, current);
	for (uint32_t i = 1; i < L4_TARGETS_MAX; i++) {
		struct totals totals;

		if (!targets[i].forwarder || balance_usable(current, i))
			continue;
		totals = target_totals(call, i);
		if (totals.flows)
			json_array_append_new(
				list, json_pack("{s:o,s:o,s:s,s:s,s:o}", "service", control_endpoint(&targets[i].vip),
						"server", control_endpoint(&targets[i].server), "protocol",
						targets[i].ip_protocol == IPPROTO_UDP ? "udp" : "tcp", "forward",
						targets[i].forwarder->name, "flows", number(totals.flows)));
	}
	free(current);
	return list;
}
