/* Full NAT: the server sees a local address and port of Weir, so that its answers come back whatever its routes are. */
#include "l4/forward/forwarders.h"
#include "l4/forward/origin.h"
#include "l4/rewrite_inline.h"

static bool
tells_origin(const struct l4_target *target)
{
	return target->options & (L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL) && target->ip_protocol == IPPROTO_TCP;
}

static uint16_t
full_nat_growth(const struct l4_target *target, bool ipv6_client)
{
	return tells_origin(target) ? l4_origin_len(target->options, ipv6_client) : 0;
}

static __rte_always_inline enum l4_verdict
readdress_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_rewrite_ends(packet, &target->local, flow->local_port_be, &target->server.ip, target->server.port_be);
	return L4_FORWARDED;
}

static __rte_always_inline enum l4_verdict
readdress_to_client(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_rewrite_ends(packet, &target->vip.ip, flow->service_port_be, &flow->client, flow->client_port_be);
	return L4_FORWARDED;
}

L4_PLAIN_FUNCTIONS(full_nat_plain_to_server, readdress_to_server)
L4_PLAIN_FUNCTIONS(full_nat_plain_to_client, readdress_to_client)

static enum l4_verdict
full_nat_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	if (unlikely(tells_origin(target))) {
		enum l4_verdict verdict = l4_origin_to_server(packet, target, flow);

		if (verdict != L4_FORWARDED)
			return verdict;
	}
	return readdress_to_server(packet, target, flow);
}

static enum l4_verdict
full_nat_to_client(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	if (unlikely(tells_origin(target)))
		l4_origin_to_client(packet, target, flow);
	return readdress_to_client(packet, target, flow);
}

const struct l4_forwarder l4_full_nat = {
	.name = "full_nat",
	.properties = L4_NEEDS_LOCAL_PORT | L4_SEES_ANSWERS,
	.growth = full_nat_growth,
	.to_server = full_nat_to_server,
	.to_client = full_nat_to_client,
	.plain_to_server = { full_nat_plain_to_server_v4, full_nat_plain_to_server_v6 },
	.plain_to_client = { full_nat_plain_to_client_v4, full_nat_plain_to_client_v6 },
};
