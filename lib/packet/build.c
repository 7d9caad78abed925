#include "packet/build.h"

#include <assert.h>
#include <rte_ether.h>
#include <rte_ip.h>

static bool
build_ipv4(struct rte_mbuf *m, const struct ip_address *source, const struct ip_address *destination, uint8_t protocol,
	   uint8_t tos, uint8_t ttl)
{
	uint32_t total_len = rte_pktmbuf_pkt_len(m) + sizeof(struct rte_ipv4_hdr);
	struct rte_ipv4_hdr *ip;

	if (total_len > UINT16_MAX)
		return false;
	ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip));
	if (!ip)
		return false;
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = tos,
		.total_length = htons((uint16_t)total_len),
		.fragment_offset = htons(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = ttl,
		.next_proto_id = protocol,
		.src_addr = ip_address_v4_be(source),
		.dst_addr = ip_address_v4_be(destination),
	};
	m->l3_len = sizeof(*ip);
	return true;
}

static bool
build_ipv6(struct rte_mbuf *m, const struct ip_address *source, const struct ip_address *destination, uint8_t protocol,
	   uint8_t tos, uint8_t ttl)
{
	uint32_t payload_len = rte_pktmbuf_pkt_len(m);
	struct rte_ipv6_hdr *ip;

	if (payload_len > UINT16_MAX)
		return false;
	ip = (struct rte_ipv6_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip));
	if (!ip)
		return false;
	ip->vtc_flow = htonl(6u << 28 | (uint32_t)tos << 20);
	ip->payload_len = htons((uint16_t)payload_len);
	ip->proto = protocol;
	ip->hop_limits = ttl;
	memcpy(ip->src_addr, source->bytes, 16);
	memcpy(ip->dst_addr, destination->bytes, 16);
	m->l3_len = sizeof(*ip);
	return true;
}

bool
packet_build_ip(struct rte_mbuf *m, const struct ip_address *source, const struct ip_address *destination,
		uint8_t protocol, uint8_t tos, uint8_t ttl)
{
	bool v4 = ip_address_is_v4(source);

	assert(v4 == ip_address_is_v4(destination));
	m->l2_len = 0;
	return v4 ? build_ipv4(m, source, destination, protocol, tos, ttl)
		  : build_ipv6(m, source, destination, protocol, tos, ttl);
}

bool
packet_build_ethernet(struct rte_mbuf *m, const uint8_t destination[6], const uint8_t source[6], uint16_t vlan_id)
{
	bool v4 = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 4;
	uint16_t ip_type_be = htons(v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	uint16_t len = RTE_ETHER_HDR_LEN + (vlan_id == PACKET_VLAN_NONE ? 0 : sizeof(struct rte_vlan_hdr));
	struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, len);

	if (!ethernet)
		return false;
	memcpy(&ethernet->dst_addr, destination, 6);
	memcpy(&ethernet->src_addr, source, 6);
	ethernet->ether_type = ip_type_be;
	if (vlan_id != PACKET_VLAN_NONE) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(ethernet + 1);

		ethernet->ether_type = htons(RTE_ETHER_TYPE_VLAN);
		vlan->vlan_tci = htons(vlan_id & 0xfff);
		vlan->eth_proto = ip_type_be;
	}
	m->l2_len = len & 0x7f;
	return true;
}
