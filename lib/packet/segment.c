#include "packet/segment.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_memcpy.h>
#include <rte_tcp.h>

#include "packet/checksum.h"
#include "packet/view.h"

#define FLAGS_OF_THE_LAST (RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG)
#define FLAGS_OF_THE_FIRST RTE_TCP_CWR_FLAG

bool
packet_segmenter_start(struct packet_segmenter *segmenter, const struct rte_mbuf *m)
{
	uint32_t header_len = (uint32_t)m->l2_len + m->l3_len + m->l4_len;
	bool v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;

	if (!v4 && !(m->ol_flags & RTE_MBUF_F_TX_IPV6))
		return false;
	if (m->l3_len < (v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr)))
		return false;
	if (m->tso_segsz == 0 || m->l4_len < sizeof(struct rte_tcp_hdr))
		return false;
	if (m->data_len < header_len || m->pkt_len <= header_len)
		return false;
	*segmenter = (struct packet_segmenter){
		.packet = m, .at = m, .at_offset = header_len, .left = m->pkt_len - header_len, .header_len = header_len
	};
	return true;
}

static void
payload_copy(struct packet_segmenter *segmenter, uint8_t *out, uint32_t len)
{
	segmenter->left -= len;
	while (len > 0) {
		uint32_t run = RTE_MIN(segmenter->at->data_len - segmenter->at_offset, len);

		rte_memcpy(out, rte_pktmbuf_mtod_offset(segmenter->at, const uint8_t *, segmenter->at_offset), run);
		out += run;
		len -= run;
		segmenter->at_offset += run;
		if (segmenter->at_offset == segmenter->at->data_len) {
			segmenter->at = segmenter->at->next;
			segmenter->at_offset = 0;
		}
	}
}

static void
ip_adjust(const struct packet_segmenter *segmenter, struct rte_mbuf *out)
{
	if (out->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(out, struct rte_ipv4_hdr *, out->l2_len);

		ip->total_length = htons((uint16_t)(out->pkt_len - out->l2_len));
		ip->packet_id = htons((uint16_t)(ntohs(ip->packet_id) + segmenter->count));
	} else {
		struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(out, struct rte_ipv6_hdr *, out->l2_len);

		ip->payload_len = htons((uint16_t)(out->pkt_len - out->l2_len - sizeof(*ip)));
	}
}

static void
tcp_adjust(const struct packet_segmenter *segmenter, struct rte_mbuf *out)
{
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(out, struct rte_tcp_hdr *, out->l2_len + out->l3_len);
	uint32_t before = segmenter->count * segmenter->packet->tso_segsz;

	tcp->sent_seq = htonl(ntohl(tcp->sent_seq) + before);
	if (segmenter->left > 0)
		tcp->tcp_flags &= (uint8_t)~FLAGS_OF_THE_LAST;
	if (segmenter->count > 0)
		tcp->tcp_flags &= (uint8_t)~FLAGS_OF_THE_FIRST;
}

struct rte_mbuf *
packet_segmenter_next(struct packet_segmenter *segmenter, struct rte_mempool *pool)
{
	const struct rte_mbuf *packet = segmenter->packet;
	uint32_t len = RTE_MIN(segmenter->left, (uint32_t)packet->tso_segsz);
	struct rte_mbuf *out = rte_pktmbuf_alloc(pool);
	uint8_t *data;

	if (!out)
		return NULL;
	data = (uint8_t *)rte_pktmbuf_append(out, (uint16_t)(segmenter->header_len + len));
	if (!data) {
		rte_pktmbuf_free(out);
		return NULL;
	}
	rte_memcpy(data, rte_pktmbuf_mtod(packet, const void *), segmenter->header_len);
	payload_copy(segmenter, data + segmenter->header_len, len);
	out->ol_flags = packet->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_IP_CKSUM);
	out->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	out->l2_len = packet->l2_len;
	out->l3_len = packet->l3_len;
	out->l4_len = packet->l4_len;
	ip_adjust(segmenter, out);
	tcp_adjust(segmenter, out);
	segmenter->count++;
	return out;
}

/* Its lengths as the segmenter wants them. False: it is not to be cut up. */
static bool
describe_received(struct rte_mbuf *m, uint16_t mtu)
{
	const struct packet_view *view = packet_view(m);
	uint32_t header_len = (uint32_t)view->payload_offset - view->l3_offset;

	if (view->ip_protocol != IPPROTO_TCP || view->l3_total_len <= mtu || header_len >= mtu ||
	    (view->flags & (PACKET_FRAGMENT | PACKET_L4_CHECKSUM_PARTIAL)) != PACKET_L4_CHECKSUM_PARTIAL)
		return false;
	m->l2_len = view->l3_offset & 0x7f;
	m->l3_len = (view->l4_offset - view->l3_offset) & 0x1ff;
	m->l4_len = (view->payload_offset - view->l4_offset) & 0xff;
	m->tso_segsz = (uint16_t)(mtu - header_len);
	m->ol_flags = view->flags & PACKET_IPV6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	/* Extension headers may be longer than the fields can say. */
	return (uint32_t)m->l3_len + m->l4_len == header_len && packet_segment_count(m) <= PACKET_CUT_MAX;
}

/* A segment as if it had come in. */
static void
make_received(struct rte_mbuf *segment, struct rte_mbuf *packet, uint64_t flags)
{
	struct rte_tcp_hdr *tcp =
		rte_pktmbuf_mtod_offset(segment, struct rte_tcp_hdr *, segment->l2_len + segment->l3_len);
	const struct packet_view *view = packet_view(packet);

	packet_checksum_fill_ipv4(segment, segment->l2_len);
	tcp->cksum = packet_checksum_pseudo_whole(segment, segment->l2_len);
	segment->ol_flags = flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	segment->vlan_tci = packet->vlan_tci;
	segment->tx_offload = 0;
	*packet_view(segment) =
		(struct packet_view){ .port_index = view->port_index, .queue = view->queue, .stage = view->stage };
}

uint16_t
packet_cut_received(struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool, struct rte_mbuf *out[PACKET_CUT_MAX])
{
	const uint64_t flags = m->ol_flags;
	struct packet_segmenter segmenter;
	uint16_t count = 0;

	if (!describe_received(m, mtu) || !packet_segmenter_start(&segmenter, m)) {
		m->ol_flags = flags;
		m->tx_offload = 0;
		return 0;
	}
	/* What lies behind the IP packet is padding. */
	segmenter.left = packet_view(m)->payload_len;
	while (segmenter.left > 0 && (out[count] = packet_segmenter_next(&segmenter, pool)))
		make_received(out[count++], m, flags);
	rte_pktmbuf_free(m);
	return count;
}
