/* Destination NAT: the server sees the client and routes its answers back through Weir. */
#include "l4/forward/forwarders.h"
#include "l4/rewrite_inline.h"

static uint16_t
nat_growth(const struct l4_target *target, bool ipv6_client)
{
	return 0;
}

static __rte_always_inline enum l4_verdict
readdress_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_rewrite_ends(packet, NULL, 0, &target->server.ip, target->server.port_be);
	return L4_FORWARDED;
}

static __rte_always_inline enum l4_verdict
readdress_to_client(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_rewrite_ends(packet, &target->vip.ip, flow->service_port_be, NULL, 0);
	return L4_FORWARDED;
}

L4_PLAIN_FUNCTIONS(nat_plain_to_server, readdress_to_server)
L4_PLAIN_FUNCTIONS(nat_plain_to_client, readdress_to_client)

static enum l4_verdict
nat_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	return readdress_to_server(packet, target, flow);
}

static enum l4_verdict
nat_to_client(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	l4_strip(packet);
	return readdress_to_client(packet, target, flow);
}

const struct l4_forwarder l4_nat = {
	.name = "nat",
	.properties = L4_SEES_ANSWERS,
	.growth = nat_growth,
	.to_server = nat_to_server,
	.to_client = nat_to_client,
	.plain_to_server = { nat_plain_to_server_v4, nat_plain_to_server_v6 },
	.plain_to_client = { nat_plain_to_client_v4, nat_plain_to_client_v6 },
};
