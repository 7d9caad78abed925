#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "weir/core.h"
#include "weir/topology_internal.h"
#include "xdp/xdp.h"

/* In every network namespace. */
#define LOOPBACK_IFINDEX 1

/* Several of DPDK's drivers refuse packet buffers with less than 2 KB of room, whatever the MTU. */
#define DPDK_DATA_ROOM 2048

int
topology_fail(struct topology *t, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(t->error, sizeof(t->error), format, arguments);
	va_end(arguments);
	return code;
}

int
topology_init(struct topology *t, struct config *config, unsigned int workers)
{
	uint16_t mtu = 1500;
	int result;

	t->workers = workers;
	t->named = core_settings(config)->interfaces != NULL;
	/* Packet-level services forward what fits the next link. */
	t->long_packets = !l4_configured(config);
	for (const struct core_interface *i = core_settings(config)->interfaces; i; i = i->next) {
		uint16_t needed =
			port_name_is_dpdk(i->port.name) && i->port.mtu < DPDK_DATA_ROOM ? DPDK_DATA_ROOM : i->port.mtu;

		if (needed > mtu)
			mtu = needed;
	}
	result = net_mirror_new(&t->mirror, t->error, sizeof(t->error));
	if (result < 0)
		return result;
	t->memory = topology_needs_dpdk(config) ? PORT_MEMORY_EAL : PORT_MEMORY_PAGES;
	t->pool = port_pool_new(topology_packet_buffers(config), mtu, t->memory, t->error, sizeof(t->error));
	return t->pool ? 0 : -ENOMEM;
}

/* ---- ports ---- */

static bool
has_interface(const struct topology *t, int ifindex)
{
	for (uint32_t i = 0; i < t->port_count; i++)
		if (t->ports[i]->ifindex == ifindex)
			return true;
	return false;
}

/* A virtual device is known by what stands before its arguments. A gone interface is still a name's as long as there is no
 * other. */
static bool
has_name(const struct topology *t, const char *name)
{
	size_t len = strcspn(name, ",");
	bool gone = false;

	for (uint32_t i = 0; i < t->port_count; i++) {
		if (strlen(t->ports[i]->name) != len || memcmp(t->ports[i]->name, name, len) != 0)
			continue;
		if (!t->ports[i]->gone)
			return true;
		gone = true;
	}
	return gone && !if_nametoindex(name);
}

static int
add_port(struct topology *t, const struct port_config *config)
{
	struct port_environment environment = { .workers = t->workers,
						.pool = t->pool,
						.long_packets = t->long_packets };
	struct port *port;
	int result;

	if (t->port_count == PORTS_MAX)
		return topology_fail(t, -ENOSPC, "more than %d interfaces, those that have gone included", PORTS_MAX);
	if (!port_is_xdp(config) && t->memory != PORT_MEMORY_EAL)
		return topology_fail(t, -ENOTSUP, "interface %s: the first device of DPDK's needs a restart",
				     config->name);
	if (port_is_xdp(config) && !t->program) {
		result = topology_program_load(t, NULL);
		if (result < 0)
			return result;
	}
	environment.program = t->program;
	result = port_new(config, &environment, (uint16_t)t->port_count, &port, t->error, sizeof(t->error));
	if (result < 0)
		return result;
	t->ports[t->port_count++] = port;
	return 0;
}

static int
add_interface(struct topology *t, int ifindex)
{
	struct port_config config = { 0 };
	char name[IF_NAMESIZE];

	if (has_interface(t, ifindex))
		return 0;
	if (!if_indextoname((unsigned int)ifindex, name))
		return topology_fail(t, -ENODEV, "interface %d has gone", ifindex);
	config.name = name;
	return add_port(t, &config);
}

/* Only of news: the mirror answers with a new snapshot, of which control is told in turn. */
static void
tell_mirror(struct topology *t)
{
	if (t->ports_told == t->port_count)
		return;
	net_mirror_ports(t->mirror, t->ports, t->port_count);
	t->ports_told = t->port_count;
}

static int
add_named(struct topology *t, struct config *config)
{
	for (const struct core_interface *i = core_settings(config)->interfaces; i; i = i->next) {
		int result;

		if (has_name(t, i->port.name))
			continue;
		result = add_port(t, &i->port);
		if (result < 0)
			return result;
	}
	tell_mirror(t);
	return 0;
}

/* Interfaces that carry addresses of one IP version, for a wildcard listener. */
struct carriers {
	bool v4;
	int ifindexes[PORTS_MAX];
	uint32_t count;
};

static void
note_carrier(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	struct carriers *carriers = context;

	if (ip_address_is_v4(address) != carriers->v4 || carriers->count == PORTS_MAX)
		return;
	for (uint32_t i = 0; i < carriers->count; i++)
		if (carriers->ifindexes[i] == ifindex)
			return;
	carriers->ifindexes[carriers->count++] = ifindex;
}

static int
add_for_listener(struct topology *t, const struct endpoint *local)
{
	struct carriers carriers = { .v4 = ip_address_is_v4(&local->ip) };
	char text[ENDPOINT_TEXT_MAX];
	int ifindex, result = 0;

	endpoint_format(local, text, sizeof(text));
	if (ip_address_is_any(&local->ip)) {
		if (t->named)
			return 0;
		net_each_address(t->mirror, note_carrier, &carriers);
		for (uint32_t i = 0; i < carriers.count && result == 0; i++)
			result = add_interface(t, carriers.ifindexes[i]);
		return result;
	}
	ifindex = net_interface_of(t->mirror, &local->ip);
	if (!ifindex)
		return topology_fail(t, -EADDRNOTAVAIL, "bind() to %s failed (99: Cannot assign requested address)",
				     text);
	if (!t->named) {
		char reason[sizeof(t->error)];

		result = add_interface(t, ifindex);
		/* What this host itself sends to its own address comes in on lo. */
		if (result == 0)
			result = add_interface(t, LOOPBACK_IFINDEX);
		if (result == 0)
			return 0;
		snprintf(reason, sizeof(reason), "%s", t->error);
		return topology_fail(t, result, "cannot listen on %s: %s", text, reason);
	}
	if (!has_interface(t, ifindex))
		return topology_fail(t, -EADDRNOTAVAIL, "%s is on interface %s, which no \"interface\" directive names",
				     text, net_interface_name(t->mirror, ifindex));
	return 0;
}

/* A service may be on an address that this host has not: then it comes in on the interfaces that are named. */
static int
add_for_service(struct topology *t, const struct l4_service *service)
{
	int ifindex = net_interface_of(t->mirror, &service->ip);
	char text[ENDPOINT_TEXT_MAX];

	ip_address_format(&service->ip, text, sizeof(text));
	if (!ifindex && !t->named)
		return topology_fail(
			t, -EADDRNOTAVAIL,
			"%s is no address of this host: an \"interface\" directive must say where its packets come in",
			text);
	if (!ifindex || has_interface(t, ifindex))
		return 0;
	if (t->named)
		return topology_fail(t, -EADDRNOTAVAIL, "%s is on interface %s, which no \"interface\" directive names",
				     text, net_interface_name(t->mirror, ifindex));
	return add_interface(t, ifindex);
}

struct reach {
	struct topology *topology;
	bool warn; /* of servers that cannot be reached */
	int result;
};

static void
add_for_server(void *context, const struct endpoint *server)
{
	struct reach *reach = context;
	struct topology *t = reach->topology;
	int ifindex = net_interface_towards(t->mirror, &server->ip);
	char text[ENDPOINT_TEXT_MAX];

	if (reach->result < 0 || has_interface(t, ifindex))
		return;
	endpoint_format(server, text, sizeof(text));
	if (ifindex && !t->named)
		reach->result = add_interface(t, ifindex);
	else if (reach->warn && !ifindex)
		log_error(LOG_WARN, "there is no route to server %s", text);
	else if (reach->warn)
		log_error(LOG_WARN, "server %s is reached through interface %s, which no \"interface\" directive names",
			  text, net_interface_name(t->mirror, ifindex));
}

static void
add_for_target(void *context, const struct l4_target *target, bool answers)
{
	add_for_server(context, &target->server);
}

int
topology_ports_add(struct topology *t, struct config *config, const struct proxy_generation *generation,
		   const struct l4_generation *l4, bool warn)
{
	struct reach reach = { .topology = t, .warn = warn };
	const struct tcp_listener *listeners;
	uint32_t count, services = l4 ? l4_generation_service_count(l4) : 0;
	int result = add_named(t, config);

	listeners = proxy_generation_listeners(generation, &count);
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = add_for_listener(t, &listeners[i].local);
	for (uint32_t i = 0; i < services && result == 0; i++)
		result = add_for_service(t, l4_generation_service(l4, i));
	if (result < 0)
		return result;
	if (count)
		proxy_generation_each_server(generation, add_for_server, &reach);
	if (l4)
		l4_generation_each_server(l4, add_for_target, &reach);
	tell_mirror(t);
	return reach.result;
}

int
topology_ports_towards(struct topology *t, struct config *config, const struct endpoint *server)
{
	int ifindex, result = add_named(t, config);
	char text[ENDPOINT_TEXT_MAX];

	if (result < 0)
		return result;
	ifindex = net_interface_towards(t->mirror, &server->ip);
	endpoint_format(server, text, sizeof(text));
	if (!ifindex)
		return topology_fail(t, -ENETUNREACH, "there is no route to server %s", text);
	if (t->named && !has_interface(t, ifindex))
		return topology_fail(t, -ENETUNREACH, "server %s is reached through interface %s, which is not named",
				     text, net_interface_name(t->mirror, ifindex));
	result = add_interface(t, ifindex);
	tell_mirror(t);
	return result;
}

int
topology_ports_start(struct topology *t, uint32_t from)
{
	for (uint32_t i = from; i < t->port_count; i++) {
		int result = port_start(t->ports[i], t->error, sizeof(t->error));

		if (result < 0)
			return result;
	}
	return 0;
}

void
topology_ports_drop(struct topology *t, uint32_t from)
{
	if (from == t->port_count)
		return;
	net_mirror_ports(t->mirror, t->ports, from);
	t->ports_told = from;
	while (t->port_count > from)
		port_free(t->ports[--t->port_count]);
}

bool
topology_ports_lost(struct topology *t)
{
	bool lost = false;

	for (uint32_t i = 0; i < t->port_count; i++)
		lost |= !t->ports[i]->gone && port_is_gone(t->ports[i]);
	/* No link is any of theirs from now on. */
	if (lost)
		net_mirror_ports(t->mirror, t->ports, t->port_count);
	return lost;
}

void
topology_ports_close(struct topology *t)
{
	for (uint32_t i = 0; i < t->port_count; i++)
		if (t->ports[i]->gone)
			port_close(t->ports[i]);
}

/* ---- all of it ---- */

void
topology_refresh(struct topology *t)
{
	uint64_t senders = 0;

	for (uint32_t i = 0; i < t->port_count; i++) {
		port_refresh(t->ports[i]);
		if (t->ports[i]->features & PORT_XDP_SEND)
			senders |= 1ull << i;
	}
	/* The workers' hops are written anew with each snapshot of links. */
	if (senders != t->senders && t->port_count)
		net_mirror_ports(t->mirror, t->ports, t->port_count);
	t->senders = senders;
}

void
topology_fini(struct topology *t)
{
	if (t->mirror)
		net_mirror_ports(t->mirror, t->ports, 0);
	for (uint32_t i = 0; i < t->port_count; i++)
		port_free(t->ports[i]);
	t->port_count = 0;
	topology_program_free(t);
	net_mirror_free(t->mirror);
	rte_mempool_free(t->pool);
	t->mirror = NULL;
	t->pool = NULL;
}

void
topology_local_ports(uint16_t *first, uint16_t *last)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int low = 32768, high = 60999;

	if (file) {
		if (fscanf(file, "%d %d", &low, &high) != 2) {
			low = 32768;
			high = 60999;
		}
		fclose(file);
	}
	if (low - TOPOLOGY_LOWEST_PORT >= 65535 - high) {
		*first = TOPOLOGY_LOWEST_PORT;
		*last = (uint16_t)(low - 1);
	} else {
		*first = (uint16_t)(high + 1);
		*last = 65535;
	}
	if (*last - *first < 1024) {
		/* Linux was given nearly everything: share, as there is nothing better. */
		*first = TOPOLOGY_LOWEST_PORT;
		*last = 65535;
		log_error(LOG_WARN,
			  "net.ipv4.ip_local_port_range leaves no ports: weir's connections to servers use the "
			  "host's range");
	}
}
