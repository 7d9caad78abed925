/* Destination NAT: the server sees the client and routes its answers back through Weir. */
#include "l4/forward/forwarders.h"
#include "l4/rewrite_inline.h"

static uint16_t
nat_growth(const struct l4_target *target, bool ipv6_client)
{
	return 0;
}

static enum l4_verdict
nat_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	l4_rewrite_ends(packet, NULL, 0, &target->server.ip, target->server.port_be);
	return L4_FORWARDED;
}

static enum l4_verdict
nat_to_client(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	l4_rewrite_ends(packet, &target->vip.ip, flow->service_port_be, NULL, 0);
	return L4_FORWARDED;
}

const struct l4_forwarder l4_nat = {
	.name = "nat",
	.properties = L4_SEES_ANSWERS,
	.growth = nat_growth,
	.to_server = nat_to_server,
	.to_client = nat_to_client,
};
