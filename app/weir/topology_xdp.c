/* What the XDP program is told: that it is to forward, what is served, which servers answer, who gets new flows. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "weir/core.h"
#include "weir/topology_internal.h"
#include "xdp/xdp.h"

/* ---- the program ---- */

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

int
topology_program_load(struct topology *t, struct xdp_forwarding *forwarding)
{
	int result = xdp_program_load(&t->program, forwarding, t->error, sizeof(t->error));

	if (result < 0)
		return result;
	register_counters(t->program);
	if (t->forwarding_first)
		xdp_program_forwarding_ports(t->program, t->forwarding_first, t->forwarding_last);
	return 0;
}

void
topology_program_free(struct topology *t)
{
	if (!t->program)
		return;
	unregister_counters(t->program);
	xdp_program_unpin(t->program);
	xdp_program_free(t->program);
	t->program = NULL;
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
	result = topology_program_load(t, &forwarding);
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

/* ---- what is served ---- */

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
	return result < 0 ? topology_fail(t, result, "the XDP program's tables cannot be filled (%d: %s)", -result,
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
