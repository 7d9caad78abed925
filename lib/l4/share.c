#include "l4/registry.h"

#include <arpa/inet.h>

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
