#include "weir/topology.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "weir/core.h"
#include "xdp/xdp.h"

/* In every network namespace. */
#define LOOPBACK_IFINDEX 1

/* Several of DPDK's drivers refuse packet buffers with less than 2 KB of room, whatever the MTU. */
#define DPDK_DATA_ROOM 2048

static int __attribute__((format(printf, 3, 4))) fail(struct topology *t, int code, const char *format, ...)
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

/* Names as the L4 room has them for the same, so that sums are of both. */
static const char *const forwarded_names[] = { "forwarded", "answered", "started", "stateless" };

static_assert(XDP_COUNT_ANSWERED == XDP_COUNT_FORWARDED + 1 && XDP_COUNT_STARTED == XDP_COUNT_FORWARDED + 2 &&
		      XDP_COUNT_STATELESS == XDP_COUNT_FORWARDED + 3,
	      "forwarded_names");

static void
register_counters(const struct xdp_program *program)
{
	for (uint32_t cpu = 0; cpu < xdp_program_cpus(program); cpu++) {
		const uint64_t *values = xdp_program_cpu_counters(program, cpu);
		struct counter_block all = { "xdp", cpu, xdp_counter_names, values, XDP_COUNTER_COUNT };
		struct counter_block forwarded = { "l4", cpu, forwarded_names, values + XDP_COUNT_FORWARDED, 4 };

		if (counter_register(&all) < 0 || (xdp_program_forwards(program) && counter_register(&forwarded) < 0)) {
			log_error(LOG_WARN, "no room to register the XDP program's counters of CPU %u", cpu);
			return;
		}
	}
}

static void
unregister_counters(const struct xdp_program *program)
{
	for (uint32_t cpu = 0; cpu < xdp_program_cpus(program); cpu++) {
		counter_unregister(xdp_program_cpu_counters(program, cpu));
		counter_unregister(xdp_program_cpu_counters(program, cpu) + XDP_COUNT_FORWARDED);
	}
}

static int
program_load(struct topology *t, struct xdp_forwarding *forwarding)
{
	int result = xdp_program_load(&t->program, forwarding, t->error, sizeof(t->error));

	if (result < 0)
		return result;
	register_counters(t->program);
	if (t->forwarding_first)
		xdp_program_forwarding_ports(t->program, t->forwarding_first, t->forwarding_last);
	return 0;
}

int
topology_forward(struct topology *t, struct config *config, const struct l4_settings *settings)
{
	uint64_t pairs = l4_flows_pairs(worker_l4_flows(settings, t->workers));
	struct xdp_forwarding forwarding = { .workers = t->workers,
					     .pairs = (uint32_t)pairs,
					     .hash_seed = settings->hash_seed,
					     .start_ns = clock_monotonic_ns(),
					     .pinned = core_settings(config)->xdp_pin };
	int result;

	t->error[0] = '\0';
	if (!topology_may_have_xdp(config))
		return 0;
	if (t->program || t->workers > XDP_WORKERS_MAX || pairs * t->workers > UINT32_MAX) {
		log_error(LOG_WARN, "packet-level services are forwarded in user space alone%s",
			  t->program ? ", as there was no \"stream\" at the start: in XDP after a restart"
				     : ": too many flows for XDP");
		return 0;
	}
	l4_flows_strides(forwarding.pairs, forwarding.strides);
	result = program_load(t, &forwarding);
	t->start_ns = forwarding.start_ns;
	t->takes_over = forwarding.found;
	if (forwarding.found)
		log_error(LOG_NOTICE, "the flows of a Weir before this one go on");
	return result;
}

void
topology_targets_restore(const struct topology *t, struct l4_registry *registry)
{
	struct xdp_target shared;

	for (uint32_t number = 1; t->takes_over && number < XDP_TARGETS; number++)
		if (xdp_program_target_get(t->program, number, &shared))
			l4_target_restore(registry, number, &shared);
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
		return fail(t, -ENOSPC, "more than %d interfaces, those that have gone included", PORTS_MAX);
	if (!port_is_xdp(config) && t->memory != PORT_MEMORY_EAL)
		return fail(t, -ENOTSUP, "interface %s: the first device of DPDK's needs a restart", config->name);
	if (port_is_xdp(config) && !t->program) {
		result = program_load(t, NULL);
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
		return fail(t, -ENODEV, "interface %d has gone", ifindex);
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
		return fail(t, -EADDRNOTAVAIL, "bind() to %s failed (99: Cannot assign requested address)", text);
	if (!t->named) {
		char reason[sizeof(t->error)];

		result = add_interface(t, ifindex);
		/* What this host itself sends to its own address comes in on lo. */
		if (result == 0)
			result = add_interface(t, LOOPBACK_IFINDEX);
		if (result == 0)
			return 0;
		snprintf(reason, sizeof(reason), "%s", t->error);
		return fail(t, result, "cannot listen on %s: %s", text, reason);
	}
	if (!has_interface(t, ifindex))
		return fail(t, -EADDRNOTAVAIL, "%s is on interface %s, which no \"interface\" directive names", text,
			    net_interface_name(t->mirror, ifindex));
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
		return fail(
			t, -EADDRNOTAVAIL,
			"%s is no address of this host: an \"interface\" directive must say where its packets come in",
			text);
	if (!ifindex || has_interface(t, ifindex))
		return 0;
	if (t->named)
		return fail(t, -EADDRNOTAVAIL, "%s is on interface %s, which no \"interface\" directive names", text,
			    net_interface_name(t->mirror, ifindex));
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
		return fail(t, -ENETUNREACH, "there is no route to server %s", text);
	if (t->named && !has_interface(t, ifindex))
		return fail(t, -ENETUNREACH, "server %s is reached through interface %s, which is not named", text,
			    net_interface_name(t->mirror, ifindex));
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

/* ---- XDP ---- */

struct locals {
	struct ip_address *addresses;
	uint32_t count, capacity;
};

static void
note_local(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	struct locals *locals = context;

	if (locals->count == locals->capacity) {
		uint32_t capacity = locals->capacity ? locals->capacity * 2 : 64;
		struct ip_address *larger = realloc(locals->addresses, capacity * sizeof(*larger));

		if (!larger)
			return;
		locals->addresses = larger;
		locals->capacity = capacity;
	}
	locals->addresses[locals->count++] = *address;
}

/* What the XDP program is to take, growing. */
struct served {
	struct xdp_service *services;
	struct xdp_server *servers;
	uint32_t service_count, service_space, server_count, server_space;
	bool failed; /* out of memory */
};

static void *
grown(void *array, uint32_t count, uint32_t *space, size_t size, struct served *served)
{
	uint32_t more = *space ? *space * 2 : 256;
	void *larger;

	if (count < *space)
		return array;
	larger = realloc(array, more * size);
	if (!larger) {
		served->failed = true;
		return array;
	}
	*space = more;
	return larger;
}

static void
serve_service(struct served *s, const struct xdp_service *service)
{
	s->services = grown(s->services, s->service_count, &s->service_space, sizeof(*service), s);
	if (!s->failed)
		s->services[s->service_count++] = *service;
}

static void
serve_server(struct served *s, const struct xdp_server *server)
{
	s->servers = grown(s->servers, s->server_count, &s->server_space, sizeof(*server), s);
	if (!s->failed)
		s->servers[s->server_count++] = *server;
}

static void
serve_ports(struct served *s, const struct l4_service *service)
{
	struct xdp_service one = { .endpoint.ip = service->ip,
				   .ip_protocol = service->ip_protocol,
				   .forwarded = true,
				   .number = service->id };

	if (service->port_first == 1 && service->port_last == UINT16_MAX) {
		serve_service(s, &one);
		return;
	}
	for (uint32_t port = service->port_first; port <= service->port_last; port++) {
		one.endpoint.port_be = htons((uint16_t)port);
		serve_service(s, &one);
	}
}

static void
serve_tunnel(struct served *s, const struct l4_target *target)
{
	struct xdp_server end = { .endpoint.ip = target->server.ip, .answers = XDP_ANSWERS_BY_ERRORS };

	if (target->forwarder->properties & L4_TUNNEL_PORT) {
		end.endpoint.port_be = target->gue_port_be;
		end.ip_protocol = IPPROTO_UDP;
	} else {
		end.ip_protocol = ip_address_is_v4(&target->vip.ip) ? IPPROTO_IPIP : IPPROTO_IPV6;
	}
	serve_server(s, &end);
}

static void
serve_target(void *context, const struct l4_target *target)
{
	bool port_of_ours = target->forwarder->properties & L4_NEEDS_LOCAL_PORT;

	if (target->forwarder->properties & L4_TUNNELS)
		serve_tunnel(context, target);
	if (target->forwarder->properties & L4_SEES_ANSWERS)
		serve_server(context,
			     &(struct xdp_server){ target->server, target->ip_protocol,
						   port_of_ours ? XDP_ANSWERS_TO_FORWARD : XDP_ANSWERS_TO_CLIENTS });
}

static void
serve_steering(struct served *s, const struct steering *steering)
{
	for (uint32_t i = 0; i < steering->listener_count; i++)
		serve_service(s, &(struct xdp_service){ .endpoint = steering->listeners[i].local,
							.ip_protocol = IPPROTO_TCP });
	for (uint32_t i = 0; i < steering->former_count; i++)
		serve_service(s, &(struct xdp_service){ .endpoint = steering->former[i], .ip_protocol = IPPROTO_TCP });
	for (uint32_t i = 0; i < steering->server_count; i++)
		serve_server(s, &(struct xdp_server){ steering->servers[i], IPPROTO_TCP, XDP_ANSWERS_TO_STACK });
}

/* Before any worker gives flows to a new one. */
struct sharing {
	struct xdp_program *program;
	const struct l4_registry *registry;
	const struct l4_generation *l4;
};

static void
share_target(void *context, const struct l4_target *target)
{
	struct sharing *sharing = context;
	struct xdp_target shared;

	l4_target_share(sharing->registry, target, sharing->l4, &shared);
	xdp_program_target_set(sharing->program, (uint32_t)(target - l4_registry_targets(sharing->registry)), &shared);
}

static void
share_targets(struct topology *t, const struct l4_generation *l4, const struct l4_registry *registry)
{
	struct sharing sharing = { t->program, registry, l4 };

	if (registry)
		l4_registry_each_target(registry, share_target, &sharing);
	xdp_program_targets_end(t->program);
}

int
topology_serve(struct topology *t, const struct steering *steering, const struct l4_generation *l4,
	       const struct l4_registry *registry)
{
	struct locals locals = { 0 };
	struct served served = { 0 };
	int result = -ENOMEM;

	if (!t->program)
		return 0;
	serve_steering(&served, steering);
	for (uint32_t i = 0; l4 && i < l4_generation_service_count(l4); i++)
		serve_ports(&served, l4_generation_service(l4, i));
	if (registry)
		l4_registry_each_target(registry, serve_target, &served);
	net_each_address(t->mirror, note_local, &locals);
	if (!served.failed)
		result = xdp_program_serve(t->program, served.services, served.service_count, served.servers,
					   served.server_count, locals.addresses, locals.count);
	if (result == 0)
		share_targets(t, l4, registry);
	free(served.services);
	free(served.servers);
	free(locals.addresses);
	return result < 0 ? fail(t, result, "the XDP program's tables cannot be filled (%d: %s)", -result,
				 strerror(-result))
			  : 0;
}

void
topology_choices_publish(struct topology *t, const struct l4_generation *l4, const struct l4_registry *registry)
{
	struct xdp_choice *choice;
	int result = 0;

	if (!t->program || !xdp_program_forwards(t->program))
		return;
	choice = malloc(sizeof(*choice));
	for (uint32_t i = 0; choice && l4 && i < l4_generation_service_count(l4); i++) {
		const struct l4_service *service = l4_generation_service(l4, i);
		int rc = l4_service_share(registry, service, choice)
				 ? xdp_program_choice_set(t->program, service->id, choice)
				 : 0;

		result = rc < 0 ? rc : result;
	}
	/* Without memory no service is set, and new flows go up. */
	if (xdp_program_choices_end(t->program) < 0 || result < 0 || !choice)
		log_error(LOG_WARN, "no memory for tables of the XDP program: new flows are placed in user space");
	free(choice);
}

void
topology_forwarding_ports(struct topology *t, uint16_t first, uint16_t last)
{
	t->forwarding_first = first;
	t->forwarding_last = last;
}

void
topology_port_used(void *context, uint16_t port_be, bool used)
{
	struct topology *t = context;

	if (t->program)
		xdp_port_used(t->program, port_be, used);
}

/* ---- the rest ---- */

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
	if (t->program) {
		unregister_counters(t->program);
		xdp_program_unpin(t->program);
		xdp_program_free(t->program);
	}
	net_mirror_free(t->mirror);
	rte_mempool_free(t->pool);
	t->program = NULL;
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
