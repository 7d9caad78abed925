/* IP in IP: RFC 2003 (4 in 4), RFC 2473 (in 6), RFC 4213 (6 in 4). The server decapsulates and answers the client. */
#include "l4/forward/forwarders.h"
#include "l4/forward/tunnel.h"

static uint16_t
ipip_growth(const struct l4_target *target, bool ipv6_client)
{
	return l4_tunnel_ip_len(target);
}

/* An outer IPv4 header needs the hash only where it may be fragmented. */
static uint64_t
entropy_where_needed(const struct l4_packet *packet, bool v4)
{
	if (v4 && (packet->flags & L4_PACKET_IPV6 || packet->l3[6] & RTE_IPV4_HDR_DF_FLAG >> 8))
		return 0;
	return l4_packet_entropy(packet);
}

static enum l4_verdict
ipip_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	bool v4 = ip_address_is_v4(&target->server.ip);
	uint16_t len = l4_tunnel_ip_len(target);
	struct l4_tunnel_inner inner;
	enum l4_verdict verdict;
	uint64_t entropy;
	uint8_t *at;

	l4_tunnel_inner_finish(packet);
	if (!l4_tunnel_fits(packet, len, &verdict))
		return verdict;
	entropy = entropy_where_needed(packet, v4);
	l4_tunnel_inner_read(packet, entropy, &inner);
	at = l4_tunnel_prepend(packet, len);
	packet->m->tx_offload = rte_mbuf_tx_offload(0, len, 0, 0, 0, 0, 0);
	if (v4)
		l4_tunnel_write_v4(at, target, &inner, inner.ip_protocol, packet->ip_len);
	else
		l4_tunnel_write_v6(at, target, &inner, inner.ip_protocol, packet->ip_len, entropy);
	return L4_FORWARDED;
}

const struct l4_forwarder l4_ipip = {
	.name = "ipip",
	.properties = L4_TUNNELS | L4_KEEPS_PORT,
	.growth = ipip_growth,
	.to_server = ipip_to_server,
};
