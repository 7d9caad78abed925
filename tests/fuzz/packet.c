/*
 * packet_parse(), packet_parse_icmp_error(), packet_parse_icmp_tunnel() and packet_checksum_fill() over any bytes. The first byte chooses what the
 * device claims and where the packet is cut into two segments; the rest is the frame, put at the end of its memory so
 * that the sanitizer sees a read behind it.
 */
#include <assert.h>
#include <stdlib.h>

#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/dpdk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	support_dpdk_init();
	return 0;
}

/* An mbuf over memory of its own, exactly as long as its data. */
static struct rte_mbuf *
segment_over(const uint8_t *data, size_t size, uint8_t *copy)
{
	struct rte_mbuf *m = support_mbuf_from(NULL, 0);

	if (size)
		memcpy(copy, data, size);
	m->buf_addr = copy;
	m->data_off = 0;
	m->buf_len = m->data_len = (uint16_t)size;
	m->pkt_len = (uint32_t)size;
	return m;
}

static void
segment_free(struct rte_mbuf *m)
{
	/* Where rte_pktmbuf_init() had it, behind the header and the private area. */
	m->buf_addr = (char *)m + sizeof(*m) + m->priv_size;
	m->buf_len = rte_pktmbuf_data_room_size(m->pool);
	m->next = NULL;
	m->nb_segs = 1;
	rte_pktmbuf_free(m);
}

static void
check_view(const struct rte_mbuf *m)
{
	const struct packet_view *view = packet_view((struct rte_mbuf *)(uintptr_t)m);

	assert(view->verdict < PACKET_VERDICT_COUNT && view->port_index == 0 && view->queue == 0);
	if (view->verdict != PACKET_OK)
		return;
	assert(view->l3_offset >= 14 && view->l4_offset > view->l3_offset);
	assert(view->l4_offset <= m->data_len && view->payload_offset >= view->l4_offset);
	assert((uint32_t)view->l3_offset + view->l3_total_len <= m->pkt_len);
	assert((uint32_t)view->payload_offset + view->payload_len <= (uint32_t)view->l3_offset + view->l3_total_len);
	if (view->ip_protocol == 6 && !(view->flags & PACKET_LATER_FRAGMENT))
		assert(view->payload_offset >= view->l4_offset + 20 && view->payload_offset <= m->data_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t claims[] = { 0, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
					   RTE_MBUF_F_RX_L4_CKSUM_BAD,
					   RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD |
						   RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED };
	struct packet_quote quote;
	struct packet_tunnel_quote tunnel;
	struct rte_mbuf *m, *second;
	uint8_t *first_copy, *second_copy;
	size_t cut;

	if (size < 1 || size > 2000)
		return 0;
	cut = data[0] >> 2 ? (size_t)(data[0] >> 2) * 4 : size - 1;
	if (cut > size - 1)
		cut = size - 1;
	first_copy = malloc(cut);
	second_copy = malloc(size - 1 - cut);
	m = segment_over(data + 1, cut, first_copy);
	second = segment_over(data + 1 + cut, size - 1 - cut, second_copy);
	m->ol_flags = claims[data[0] & 3];
	m->next = second;
	m->nb_segs = 2;
	m->pkt_len += second->data_len;

	packet_parse(m);
	check_view(m);
	if (packet_parse_icmp_error(m, &quote))
		assert(packet_view(m)->verdict == PACKET_OK && (quote.ip_protocol == 6 || quote.ip_protocol == 17));
	if (packet_parse_icmp_tunnel(m, &tunnel))
		assert(packet_view(m)->verdict == PACKET_OK && tunnel.inner_l4_offset + 4 <= tunnel.inner_len &&
		       tunnel.inner_offset + tunnel.inner_len <= m->data_len);
	if (packet_view(m)->verdict == PACKET_OK) {
		/* What parsed once parses with the sums that Weir writes, whatever the device said. */
		packet_checksum_fill(m, packet_view(m)->l3_offset);
		m->ol_flags &= RTE_MBUF_F_RX_VLAN_STRIPPED;
		assert(packet_parse(m) == PACKET_OK);
	} else if (cut > 14) {
		packet_checksum_fill(m, 14);
	}
	segment_free(m);
	segment_free(second);
	free(first_copy);
	free(second_copy);
	return 0;
}
