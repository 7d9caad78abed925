#include "packet/checksum.h"

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "packet/chain.h"
#include "packet/sum.h"

uint64_t
packet_sum_segments(uint64_t sum, const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	bool odd = false;

	if (likely(offset + len <= m->data_len))
		return packet_sum_long(sum, rte_pktmbuf_mtod_offset(m, const void *, offset), len);
	for (; m && len > 0; m = m->next) {
		uint32_t here, part;

		if (offset >= m->data_len) {
			offset -= m->data_len;
			continue;
		}
		here = RTE_MIN(m->data_len - offset, len);
		part = packet_sum_fold(packet_sum_long(0, rte_pktmbuf_mtod_offset(m, const void *, offset), here));
		/* Behind an odd number of bytes, the halves of every word are swapped (RFC 1071 section 2(B)). */
		sum += odd ? __builtin_bswap16((uint16_t)part) : part;
		odd ^= here & 1;
		len -= here;
		offset = 0;
	}
	return sum;
}

/* Where the L4 header of an outgoing packet is, and over what its checksum goes. */
struct l4_part {
	uint64_t addresses_sum;
	uint32_t offset, len;
	uint8_t protocol;
};

static bool
l4_locate_v4(const struct rte_mbuf *m, uint32_t l3_offset, struct l4_part *l4)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, l3_offset);
	uint32_t header_len = rte_ipv4_hdr_len(ip), total_len = ntohs(ip->total_length);

	if (l3_offset + header_len > m->data_len || header_len < sizeof(*ip) || total_len < header_len)
		return false;
	*l4 = (struct l4_part){ packet_sum(0, &ip->src_addr, 8), l3_offset + header_len, total_len - header_len,
				ip->next_proto_id };
	return (ip->fragment_offset & htons(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) == 0;
}

static bool
l4_locate_v6(const struct rte_mbuf *m, uint32_t l3_offset, struct l4_part *l4)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, l3_offset);
	uint32_t end = l3_offset + sizeof(*ip) + ntohs(ip->payload_len);
	struct packet_chain chain;

	if (l3_offset + sizeof(*ip) > m->data_len ||
	    packet_chain_walk(rte_pktmbuf_mtod(m, const uint8_t *), l3_offset + sizeof(*ip), RTE_MIN(end, m->data_len),
			      ip->proto, &chain) != PACKET_OK)
		return false;
	*l4 = (struct l4_part){ packet_sum(0, ip->src_addr, 32), chain.l4_offset, end - chain.l4_offset,
				chain.protocol };
	return !chain.fragment;
}

/* UDP has a length of its own, which may leave bytes behind it uncovered (RFC 768). */
static void
udp_len_apply(const struct rte_mbuf *m, struct l4_part *l4)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, l4->offset);

	if (l4->offset + sizeof(*udp) <= m->data_len && ntohs(udp->dgram_len) >= sizeof(*udp))
		l4->len = RTE_MIN(l4->len, (uint32_t)ntohs(udp->dgram_len));
}

/* False for what carries no L4 checksum: fragments, and what is no packet at all. */
static bool
l4_locate(const struct rte_mbuf *m, uint32_t l3_offset, struct l4_part *l4)
{
	bool v4, found;

	if (l3_offset + sizeof(struct rte_ipv4_hdr) > m->data_len)
		return false;
	v4 = *rte_pktmbuf_mtod_offset(m, const uint8_t *, l3_offset) >> 4 == 4;
	found = v4 ? l4_locate_v4(m, l3_offset, l4) : l4_locate_v6(m, l3_offset, l4);
	if (!found || l4->offset + l4->len > m->pkt_len)
		return false;
	if (l4->protocol == IPPROTO_UDP)
		udp_len_apply(m, l4);
	return true;
}

/* Offset of the checksum in the L4 header, and the header's least length; 0 for other protocols. */
static uint32_t
checksum_offset(uint8_t protocol, uint32_t *header_len)
{
	switch (protocol) {
	case IPPROTO_TCP:
		*header_len = 20;
		return 16;
	case IPPROTO_UDP:
		*header_len = 8;
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		*header_len = 8;
		return 2;
	default:
		return 0;
	}
}

/* Takes the checksum field out of a sum that is going to include it. To write zero there first would cost more: the
 * words that are then read back are not those that were stored, which stalls. */
static uint64_t
sum_without(uint16_t field)
{
	return (uint16_t)~field;
}

void
packet_checksum_fill_ipv4(struct rte_mbuf *m, uint16_t l3_offset)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, l3_offset);
	uint32_t len;

	if (l3_offset + sizeof(*ip) > m->data_len || ip->version_ihl >> 4 != 4)
		return;
	len = rte_ipv4_hdr_len(ip);
	if (len < sizeof(*ip) || l3_offset + len > m->data_len)
		return;
	ip->hdr_checksum = (uint16_t)~packet_sum_fold(packet_sum(sum_without(ip->hdr_checksum), ip, len));
}

void
packet_checksum_fill(struct rte_mbuf *m, uint16_t l3_offset)
{
	uint32_t header_len, offset;
	struct l4_part l4;
	uint16_t *field, checksum;
	uint64_t sum;

	packet_checksum_fill_ipv4(m, l3_offset);
	if (!l4_locate(m, l3_offset, &l4))
		return;
	offset = checksum_offset(l4.protocol, &header_len);
	if (offset == 0 || l4.len < header_len || l4.offset + header_len > m->data_len)
		return;
	field = rte_pktmbuf_mtod_offset(m, uint16_t *, l4.offset + offset);
	sum = sum_without(*field);
	/* ICMP alone has no pseudo-header (RFC 792); ICMPv6 does (RFC 4443 section 2.3). */
	if (l4.protocol != IPPROTO_ICMP)
		sum += packet_sum_pseudo(l4.addresses_sum, l4.protocol, l4.len);
	checksum = (uint16_t)~packet_sum_fold(packet_sum_segments(sum, m, l4.offset, l4.len));
	/* Zero may be sent as all ones, and must be by UDP, where it says that there is no sum (RFC 768), and for an echo
	 * reply of nothing but zeros, which has no pseudo-header to tell the two apart. */
	if (checksum == 0 && (l4.protocol == IPPROTO_UDP || l4.protocol == IPPROTO_ICMP))
		checksum = UINT16_MAX;
	*field = checksum;
}

static uint16_t
pseudo_sum(const struct rte_mbuf *m, uint16_t l3_offset, bool with_length)
{
	struct l4_part l4;

	if (!l4_locate(m, l3_offset, &l4))
		return 0;
	return packet_sum_fold(packet_sum_pseudo(l4.addresses_sum, l4.protocol, with_length ? l4.len : 0));
}

uint16_t
packet_checksum_pseudo(const struct rte_mbuf *m, uint16_t l3_offset)
{
	return pseudo_sum(m, l3_offset, !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG));
}

uint16_t
packet_checksum_pseudo_whole(const struct rte_mbuf *m, uint16_t l3_offset)
{
	return pseudo_sum(m, l3_offset, true);
}

uint16_t
packet_checksum_update16(uint16_t checksum, uint16_t from, uint16_t to)
{
	return (uint16_t)~packet_sum_fold((uint64_t)(uint16_t)~checksum + (uint16_t)~from + to);
}

uint16_t
packet_checksum_update32(uint16_t checksum, uint32_t from, uint32_t to)
{
	return (uint16_t)~packet_sum_fold((uint64_t)(uint16_t)~checksum + (uint32_t)~from + to);
}
