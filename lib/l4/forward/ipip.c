/* IP in IP: RFC 2003 (4 in 4), RFC 2473 (in 6), RFC 4213 (6 in 4). The server decapsulates and answers the client. */
#include "l4/forward/forwarders.h"
#include "l4/forward/tunnel.h"

static uint16_t
ipip_growth(const struct l4_target *target, bool ipv6_client)
{
	return l4_tunnel_ip_len(target);
}

/* An outer IPv4 header needs the hash only where it may be fragmented. */
static __rte_always_inline uint64_t
entropy_where_needed(const struct l4_packet *packet, bool v4)
{
	if (v4 && (packet->flags & L4_PACKET_IPV6 || packet->l3[6] & RTE_IPV4_HDR_DF_FLAG >> 8))
		return 0;
	return l4_packet_entropy(packet);
}

/* `v4`: the outer header. */
static __rte_always_inline enum l4_verdict
put_in(struct l4_packet *packet, const struct l4_target *target, bool v4)
{
	uint16_t len = v4 ? L4_IPV4_HEADER_LEN : L4_IPV6_HEADER_LEN, inner_len = packet->ip_len;
	uint64_t entropy = entropy_where_needed(packet, v4);
	struct l4_tunnel_inner inner;
	enum l4_verdict verdict;
	uint8_t *at;

	if (!l4_tunnel_fits(packet, len, &verdict))
		return verdict;
	l4_tunnel_inner_read(packet, entropy, &inner);
	at = l4_tunnel_extend(packet, len);
	packet->m->tx_offload = rte_mbuf_tx_offload(0, len, 0, 0, 0, 0, 0);
	if (v4)
		l4_tunnel_write_v4(at, target, &inner, inner.ip_protocol, inner_len);
	else
		l4_tunnel_write_v6(at, target, &inner, inner.ip_protocol, inner_len, entropy);
	return L4_FORWARDED;
}

static __rte_always_inline enum l4_verdict
put_in_ip(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	return ip_address_is_v4(&target->server.ip) ? put_in(packet, target, true) : put_in(packet, target, false);
}

L4_PLAIN_FUNCTIONS(ipip_plain, put_in_ip)

static enum l4_verdict
ipip_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow)
{
	return l4_tunnel_any(packet, target, flow, put_in_ip);
}

const struct l4_forwarder l4_ipip = {
	.name = "ipip",
	.properties = L4_TUNNELS | L4_KEEPS_PORT,
	.growth = ipip_growth,
	.to_server = ipip_to_server,
	.plain_to_server = { ipip_plain_v4, ipip_plain_v6 },
};
