/* Fragmentation of IPv4 (RFC 791 section 3.2), by copying. */
#include <rte_ip.h>

#include "l4/rewrite_inline.h"
#include "l4/worker.h"
#include "packet/checksum.h"

/* `offset` is from the packet's first byte behind its header; what it was itself a fragment of goes on to be counted. */
static void
header_adjust(struct rte_ipv4_hdr *ip, uint16_t offset, uint16_t len, bool last)
{
	uint16_t was = ntohs(ip->fragment_offset);
	uint16_t more = last ? was & RTE_IPV4_HDR_MF_FLAG : RTE_IPV4_HDR_MF_FLAG;

	ip->fragment_offset = htons((uint16_t)((was & RTE_IPV4_HDR_OFFSET_MASK) + offset / 8) | more);
	ip->total_length = htons((uint16_t)(len + sizeof(*ip)));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

/* `len` bytes of the payload in a packet of their own; NULL when there is no mbuf. */
static struct rte_mbuf *
piece_new(struct rte_mempool *pool, const struct rte_mbuf *whole, uint16_t offset, uint16_t len, bool last)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ipv4_hdr *ip;
	const void *from;
	char *to;

	if (!m)
		return NULL;
	ip = (struct rte_ipv4_hdr *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + len));
	if (!ip) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(ip, rte_pktmbuf_mtod(whole, const void *), sizeof(*ip));
	to = (char *)(ip + 1);
	from = rte_pktmbuf_read(whole, sizeof(*ip) + offset, len, to);
	if (from != to)
		memcpy(to, from, len);
	header_adjust(ip, offset, len, last);
	return m;
}

static struct l4_packet
piece_of(const struct l4_packet *p, struct rte_mbuf *m, bool later)
{
	struct l4_packet piece = *p;

	piece.m = m;
	piece.l3 = rte_pktmbuf_mtod(m, uint8_t *);
	piece.l3_len = sizeof(struct rte_ipv4_hdr);
	piece.ip_len = (uint16_t)m->pkt_len;
	piece.flags &= (uint8_t)~L4_PACKET_PARTIAL;
	piece.flags |= L4_PACKET_FRAGMENT | (later ? L4_PACKET_LATER_FRAGMENT : 0);
	m->tx_offload = rte_mbuf_tx_offload(0, piece.l3_len, 0, 0, 0, 0, 0);
	return piece;
}

void
l4_pieces_free(struct l4_packet *pieces, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		rte_pktmbuf_free(pieces[i].m);
}

/* No port fills a sum that covers more than the packet that it is in. */
static void
sum_complete(struct rte_mbuf *m)
{
	if (!(m->ol_flags & RTE_MBUF_F_TX_L4_MASK))
		return;
	packet_checksum_fill(m, 0);
	m->ol_flags &= ~(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
}

enum l4_verdict
l4_cut(struct rte_mempool *pool, const struct l4_packet *p, uint16_t mtu, struct l4_packet pieces[L4_PIECES_MAX],
       uint16_t *count)
{
	const uint32_t header_len = sizeof(struct rte_ipv4_hdr), len = p->m->pkt_len - header_len;
	uint32_t room = RTE_MIN((uint32_t)mtu, (uint32_t)rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM);
	uint32_t most = room < header_len + 8 ? 0 : RTE_ALIGN_FLOOR(room - header_len, 8);

	*count = 0;
	/* Options that are not for every fragment would have to be told from the others. */
	if (p->l3_len != header_len || most == 0 || (len + most - 1) / most > L4_PIECES_MAX)
		return L4_DROP_TOO_BIG;
	sum_complete(p->m);
	for (uint32_t offset = 0; offset < len; offset += most) {
		uint16_t piece = (uint16_t)RTE_MIN(most, len - offset);
		struct rte_mbuf *m = piece_new(pool, p->m, (uint16_t)offset, piece, offset + piece == len);

		if (!m) {
			l4_pieces_free(pieces, *count);
			*count = 0;
			return L4_DROP_NO_MBUF;
		}
		pieces[(*count)++] = piece_of(p, m, offset > 0 || p->flags & L4_PACKET_LATER_FRAGMENT);
	}
	return L4_FORWARDED;
}
