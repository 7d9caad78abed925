#include "l4/registry.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static_assert(L4_SERVICES_MAX < XDP_CHOICES && L4_TARGET_NONE == 0, "numbers are the program's, too");

/* The program's ways, by what forwarders say of themselves. */
static enum xdp_forward
way_of(uint32_t properties)
{
	if (properties & L4_ON_LINK)
		return XDP_FORWARD_AS_IS;
	if (properties & L4_TUNNELS)
		return properties & L4_TUNNEL_PORT ? XDP_FORWARD_IN_UDP : XDP_FORWARD_IN_IP;
	return properties & L4_NEEDS_LOCAL_PORT ? XDP_FORWARD_FULL_NAT : XDP_FORWARD_NAT;
}

void
l4_target_facts(const struct l4_target *target, struct xdp_target *out)
{
	*out = (struct xdp_target){
		.server = target->server.ip,
		.server_port_be = target->server.port_be,
		.local = target->local,
		.vip = target->vip.ip,
		.gue_port_be = target->gue_port_be,
		.timeout_s = target->timeout_s,
		.ip_protocol = target->ip_protocol,
		.forward = (uint8_t)way_of(target->forwarder->properties),
		.changes_content = (target->options & (L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL)) != 0,
		.service_id = target->service_id,
		.mss_max = target->mss_max,
		.options = target->options,
		.clamps_mss = (target->options & L4_OPTION_MSS_CLAMP) != 0,
	};
	for (int v6 = 0; v6 < 2; v6++)
		out->growth[v6] = target->forwarder->growth(target, v6);
}

void
l4_target_share(const struct l4_registry *registry, const struct l4_target *target,
		const struct l4_generation *generation, struct xdp_target *out)
{
	const struct l4_service_key *key = l4_registry_service_key(registry, target->service_id);

	l4_target_facts(target, out);
	out->serves = generation && l4_service_by_id(generation, target->service_id);
	out->service_port_first = key->port_first;
	out->service_port_last = key->port_last;
}

/* ---- new flows ---- */

static uint32_t
choice_flags(const struct l4_service *service)
{
	bool limits = service->syn_rate && service->ip_protocol == IPPROTO_TCP;

	return (service->by_address ? XDP_CHOICE_BY_ADDRESS : 0) |
	       (service->method || limits ? XDP_CHOICE_OPENS_UP : 0) | (service->quic ? XDP_CHOICE_ALL_UP : 0) |
	       (limits ? XDP_CHOICE_LIMITS : 0);
}

bool
l4_service_share(const struct l4_registry *registry, const struct l4_service *service, struct xdp_choice *out)
{
	const struct l4_target *targets = l4_registry_targets(registry);

	if (!service->maglev || service->forwarder->properties & L4_SEES_ANSWERS)
		return false;
	assert(service->maglev->size == XDP_CHOICE_ENTRIES);
	*out = (struct xdp_choice){ .flags = choice_flags(service) };
	for (uint32_t i = 0; i < XDP_CHOICE_ENTRIES; i++) {
		uint32_t number = service->targets[service->maglev->entries[i]];

		out->targets[i] = l4_target_lacks_source(&targets[number]) ? L4_TARGET_NONE : (uint16_t)number;
	}
	return true;
}

/* ---- and back ---- */

static const struct l4_forwarder *
forwarder_of(enum xdp_forward way)
{
	for (const struct l4_forwarder *const *at = l4_forwarders; *at; at++)
		if (way_of((*at)->properties) == way)
			return *at;
	return NULL;
}

void
l4_target_restore(struct l4_registry *registry, uint32_t number, const struct xdp_target *shared)
{
	const struct l4_service_key key = { .ip = shared->vip,
					    .port_first = shared->service_port_first,
					    .port_last = shared->service_port_last,
					    .ip_protocol = shared->ip_protocol };
	struct l4_target target = { .forwarder = forwarder_of((enum xdp_forward)shared->forward),
				    .server = { shared->server, shared->server_port_be },
				    .local = shared->local,
				    .service_id = shared->service_id,
				    .ip_protocol = shared->ip_protocol,
				    .options = shared->options,
				    .timeout_s = shared->timeout_s,
				    .vip.ip = shared->vip,
				    .gue_port_be = shared->gue_port_be,
				    .mss_max = shared->mss_max };

	if (!target.forwarder || number == L4_TARGET_NONE || !target.service_id || target.service_id > L4_SERVICES_MAX)
		return;
	if (key.port_first == key.port_last)
		target.vip.port_be = htons(key.port_first);
	l4_registry_restore(registry, number, &target, &key);
}
