/*
 * packet_parse(), packet_parse_icmp_error(), packet_parse_icmp_tunnel(), packet_cut_received() and packet_checksum_fill() over any
 * bytes. The first byte chooses what the device claims and in which steps the packet is cut into a chain; the rest is the
 * frame, each part of it in memory of its own, so that the sanitizer sees a read behind it.
 */
#include <assert.h>
#include <stdlib.h>

#include "packet/checksum.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "support/dpdk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	support_dpdk_init();
	return 0;
}

#define SIZE_MAX_FUZZED 9000
#define PARTS_MAX 64
#define MTU 1500

/* An mbuf over memory of its own, exactly as long as its data. */
static struct rte_mbuf *
segment_over(const uint8_t *data, size_t size)
{
	struct rte_mbuf *m = support_mbuf_from(NULL, 0);
	uint8_t *copy = malloc(size);

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
	free(m->buf_addr);
	/* Where rte_pktmbuf_init() had it, behind the header and the private area. */
	m->buf_addr = (char *)m + sizeof(*m) + m->priv_size;
	m->buf_len = rte_pktmbuf_data_room_size(m->pool);
	m->next = NULL;
	m->nb_segs = 1;
	rte_pktmbuf_free(m);
}

/* All of it in parts of `step`; 0: in one and an empty one. What is left after so many parts is one more. */
static struct rte_mbuf *
chain_over(const uint8_t *data, size_t size, size_t step)
{
	size_t first = step && step < size ? step : size;
	struct rte_mbuf *m = segment_over(data, first), *last = m;

	do {
		size_t left = size - first;
		size_t len = m->nb_segs < PARTS_MAX && step && step < left ? step : left;

		last->next = segment_over(data + first, len);
		last = last->next;
		m->nb_segs++;
		m->pkt_len += (uint32_t)len;
		first += len;
	} while (first < size);
	return m;
}

static void
chain_free(struct rte_mbuf *m)
{
	while (m) {
		struct rte_mbuf *next = m->next;

		segment_free(m);
		m = next;
	}
}

/* As many bytes as before, none of them too long, all of them good. A copy is cut, as the pieces' own memory is the pool's. */
static void
check_cut(struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX), *out[PACKET_CUT_MAX];
	uint32_t payload = packet_view(m)->payload_len, cut = 0;
	uint16_t count;

	assert(copy);
	assert(packet_parse(copy) == PACKET_OK);
	count = packet_cut_received(copy, MTU, m->pool, out);
	if (!count) {
		rte_pktmbuf_free(copy);
		return;
	}
	for (uint16_t i = 0; i < count; i++) {
		assert(packet_parse(out[i]) == PACKET_OK);
		assert(packet_view(out[i])->l3_total_len <= MTU);
		cut += packet_view(out[i])->payload_len;
		rte_pktmbuf_free(out[i]);
	}
	assert(cut == payload);
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
	struct rte_mbuf *m;
	size_t cut;

	if (size < 1 || size > SIZE_MAX_FUZZED)
		return 0;
	cut = (size_t)(data[0] >> 2) * 4;
	m = chain_over(data + 1, size - 1, cut);
	m->ol_flags = claims[data[0] & 3];

	packet_parse(m);
	check_view(m);
	if (packet_parse_icmp_error(m, &quote))
		assert(packet_view(m)->verdict == PACKET_OK && (quote.ip_protocol == 6 || quote.ip_protocol == 17));
	if (packet_parse_icmp_tunnel(m, &tunnel))
		assert(packet_view(m)->verdict == PACKET_OK && tunnel.inner_l4_offset + 4 <= tunnel.inner_len &&
		       tunnel.inner_offset + tunnel.inner_len <= m->data_len);
	if (packet_view(m)->verdict == PACKET_OK && packet_view(m)->payload_offset <= 256)
		check_cut(m);
	if (packet_view(m)->verdict == PACKET_OK) {
		/* What parsed once parses with the sums that Weir writes, whatever the device said. */
		packet_checksum_fill(m, packet_view(m)->l3_offset);
		m->ol_flags &= RTE_MBUF_F_RX_VLAN_STRIPPED;
		assert(packet_parse(m) == PACKET_OK);
	} else if (m->data_len > 14) {
		packet_checksum_fill(m, 14);
	}
	chain_free(m);
	return 0;
}
