#include "packet/segment.h"

#include <rte_ip.h>
#include <rte_tcp.h>
#include <string.h>

#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define SEQUENCE 0xfffff000u
#define OPTIONS 12
#define PAYLOAD_MAX 60000

static uint8_t
pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* A TCP packet over Ethernet whose payload lies in pieces of `piece` bytes; the first `beside` are with the headers. */
static struct rte_mbuf *
packet(bool v4, uint32_t payload, uint16_t segment_size, uint32_t beside, uint32_t piece, uint8_t flags)
{
	static const uint8_t mac_to[6] = { 2, 0, 0, 0, 0, 2 }, mac_from[6] = { 2, 0, 0, 0, 0, 1 };
	uint8_t l4[sizeof(struct rte_tcp_hdr) + OPTIONS + 512] = { 0 };
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(void *)l4;
	static uint8_t data[PAYLOAD_MAX];
	struct ip_address from, to;
	struct rte_mbuf *m;

	for (uint32_t i = 0; i < payload; i++)
		data[i] = pattern(i);
	*tcp = (struct rte_tcp_hdr){ .src_port = htons(80),
				     .dst_port = htons(4000),
				     .sent_seq = htonl(SEQUENCE),
				     .recv_ack = htonl(77),
				     .data_off = (sizeof(*tcp) + OPTIONS) << 2,
				     .tcp_flags = flags,
				     .rx_win = htons(1234) };
	memset(tcp + 1, 1, OPTIONS);
	memcpy(l4 + sizeof(*tcp) + OPTIONS, data, beside);
	m = support_mbuf_from(l4, sizeof(*tcp) + OPTIONS + beside);
	for (uint32_t at = beside; at < payload; at += piece)
		support_mbuf_append(m, data + at, RTE_MIN(piece, payload - at));
	ip_address_parse(bytes_of_string(v4 ? "10.0.0.1" : "2001:db8::1"), &from);
	ip_address_parse(bytes_of_string(v4 ? "10.0.0.2" : "2001:db8::2"), &to);
	assert_true(packet_build_ip(m, &from, &to, IPPROTO_TCP, 0, 64));
	assert_true(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
	m->l4_len = sizeof(*tcp) + OPTIONS;
	m->tso_segsz = segment_size;
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= v4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV6;
	return m;
}

/* One segment, as it will be on the wire, holds what the packet has from `at` on. */
static void
assert_segment(struct rte_mbuf *segment, bool v4, uint32_t number, uint32_t at, uint32_t len, uint8_t flags)
{
	const struct packet_view *view = packet_view(segment);
	const struct rte_tcp_hdr *tcp;
	const uint8_t *payload;

	assert_int_equal(segment->nb_segs, 1);
	assert_int_equal(segment->ol_flags, RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM
									  : RTE_MBUF_F_TX_IPV6));
	assert_int_equal(segment->l2_len, 14);
	packet_checksum_fill(segment, (uint16_t)segment->l2_len);
	segment->ol_flags = 0;
	/* With its checksums and lengths. */
	assert_int_equal(packet_parse(segment), PACKET_OK);
	assert_int_equal(view->payload_len, len);
	tcp = rte_pktmbuf_mtod_offset(segment, const struct rte_tcp_hdr *, view->l4_offset);
	assert_int_equal(ntohl(tcp->sent_seq), (uint32_t)(SEQUENCE + at));
	assert_int_equal(ntohl(tcp->recv_ack), 77);
	assert_int_equal(tcp->tcp_flags, flags);
	if (v4)
		assert_int_equal(ntohs(rte_pktmbuf_mtod_offset(segment, const struct rte_ipv4_hdr *, 14)->packet_id),
				 number);
	payload = rte_pktmbuf_mtod_offset(segment, const uint8_t *, view->payload_offset);
	for (uint32_t i = 0; i < len; i++)
		if (payload[i] != pattern(at + i))
			fail_msg("segment %u: wrong byte at %u", number, at + i);
}

static void
check(bool v4, uint32_t payload, uint16_t segment_size, uint32_t beside, uint32_t piece)
{
	const uint8_t all =
		RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_CWR_FLAG | RTE_TCP_ECE_FLAG;
	struct rte_mbuf *m = packet(v4, payload, segment_size, beside, piece, all);
	uint32_t count = (payload + segment_size - 1) / segment_size, at = 0;
	struct packet_segmenter segmenter;

	assert_int_equal(packet_segment_count(m), count);
	assert_true(packet_segmenter_start(&segmenter, m));
	for (uint32_t number = 0; number < count; number++) {
		uint32_t len = RTE_MIN(payload - at, (uint32_t)segment_size);
		struct rte_mbuf *segment = packet_segmenter_next(&segmenter, support_pool());
		uint8_t flags = RTE_TCP_ACK_FLAG | RTE_TCP_ECE_FLAG;

		assert_non_null(segment);
		if (number == 0)
			flags |= RTE_TCP_CWR_FLAG;
		if (number == count - 1)
			flags |= RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG;
		assert_segment(segment, v4, number, at, len, flags);
		rte_pktmbuf_free(segment);
		at += len;
	}
	assert_int_equal(segmenter.left, 0);
	assert_int_equal(segmenter.count, count);
	rte_pktmbuf_free(m);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
segments_have_all_bytes_once(void **state)
{
	for (int v4 = 0; v4 < 2; v4++) {
		check(v4, 60000, 1448, 0, 1448);
		check(v4, 2897, 1448, 0, 2000);
		check(v4, 2896, 1448, 500, 700);
		check(v4, 1448, 1448, 0, 1448);
		check(v4, 1, 1448, 0, 1);
	}
}

static void
pieces_may_end_anywhere(void **state)
{
	for (uint32_t piece = 1; piece < 40; piece++)
		check(piece % 2, 500, (uint16_t)(piece % 7 * 13 + 11), piece % 5, piece);
	for (uint32_t piece = 997; piece < 1003; piece++)
		check(piece % 2, 10007, 1000, piece % 3, piece);
}

static void
what_is_no_such_packet_is_refused(void **state)
{
	struct rte_mbuf *m = packet(true, 3000, 1000, 0, 1500, RTE_TCP_ACK_FLAG);
	struct packet_segmenter segmenter;

	m->tso_segsz = 0;
	assert_false(packet_segmenter_start(&segmenter, m));
	m->tso_segsz = 1000;
	m->l4_len = 16;
	assert_false(packet_segmenter_start(&segmenter, m));
	/* Headers beyond the first segment. */
	m->l4_len = 60;
	assert_false(packet_segmenter_start(&segmenter, m));
	m->l4_len = 32;
	m->l3_len = 16;
	assert_false(packet_segmenter_start(&segmenter, m));
	m->l3_len = 20;
	m->ol_flags &= ~RTE_MBUF_F_TX_IPV4;
	assert_false(packet_segmenter_start(&segmenter, m));
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	assert_true(packet_segmenter_start(&segmenter, m));
	rte_pktmbuf_free(m);
}

static void
a_segment_longer_than_an_mbuf_is_none(void **state)
{
	struct rte_mbuf *m = packet(true, 6000, 3000, 0, 1500, RTE_TCP_ACK_FLAG);
	unsigned int available = support_pool_available();
	struct packet_segmenter segmenter;

	assert_true(packet_segmenter_start(&segmenter, m));
	assert_null(packet_segmenter_next(&segmenter, support_pool()));
	assert_int_equal(segmenter.left, 6000);
	assert_int_equal(support_pool_available(), available);
	rte_pktmbuf_free(m);
}

static void
the_whole_pseudo_sum_has_the_length(void **state)
{
	for (int v4 = 0; v4 < 2; v4++) {
		struct rte_mbuf *m = packet(v4, 3000, 1000, 0, 1500, RTE_TCP_ACK_FLAG);
		const void *ip = rte_pktmbuf_mtod_offset(m, const void *, 14);
		uint16_t whole, without;

		whole = v4 ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv6_phdr_cksum(ip, 0);
		without = v4 ? rte_ipv4_phdr_cksum(ip, RTE_MBUF_F_TX_TCP_SEG)
			     : rte_ipv6_phdr_cksum(ip, RTE_MBUF_F_TX_TCP_SEG);
		assert_int_not_equal(whole, without);
		assert_int_equal(packet_checksum_pseudo_whole(m, 14), whole);
		assert_int_equal(packet_checksum_pseudo(m, 14), without);
		rte_pktmbuf_free(m);
	}
}

/* A packet as a kernel hands it on: the sum is the pseudo-header's, of the whole. */
static struct rte_mbuf *
received_packet(bool v4, uint32_t payload)
{
	struct rte_mbuf *m = packet(v4, payload, 1000, 100, 1500, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 14 + (v4 ? 20 : 40));

	packet_checksum_fill_ipv4(m, 14);
	tcp->cksum = packet_checksum_pseudo_whole(m, 14);
	m->ol_flags = 0;
	m->tx_offload = 0;
	packet_view(m)->port_index = 3;
	packet_view(m)->queue = 2;
	assert_int_equal(packet_parse(m), PACKET_OK);
	return m;
}

static void
a_received_packet_becomes_what_would_have_come_in_its_place(void **state)
{
	for (int v4 = 0; v4 < 2; v4++) {
		uint32_t headers = (v4 ? 20 : 40) + 32, full = 1500 - headers, payload = 40001, at = 0;
		struct rte_mbuf *m = received_packet(v4, payload), *out[PACKET_CUT_MAX];
		uint16_t count = packet_cut_received(m, 1500, support_pool(), out);

		assert_int_equal(count, (payload + full - 1) / full);
		for (uint16_t i = 0; i < count; i++) {
			uint32_t len = RTE_MIN(payload - at, full);
			const struct packet_view *view = packet_view(out[i]);
			const uint8_t *data = rte_pktmbuf_mtod_offset(out[i], uint8_t *, 14 + headers);

			assert_int_equal(out[i]->ol_flags, 0);
			assert_int_equal(packet_parse(out[i]), PACKET_OK);
			assert_true(view->flags & PACKET_L4_CHECKSUM_PARTIAL);
			assert_int_equal(view->port_index, 3);
			assert_int_equal(view->queue, 2);
			assert_int_equal(view->payload_len, len);
			assert_int_equal(view->tcp_flags & RTE_TCP_PSH_FLAG, i == count - 1 ? RTE_TCP_PSH_FLAG : 0);
			for (uint32_t byte = 0; byte < len; byte++)
				assert_int_equal(data[byte], pattern(at + byte));
			at += len;
			rte_pktmbuf_free(out[i]);
		}
		assert_int_equal(at, payload);
	}
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
other_received_packets_stay_as_they_are(void **state)
{
	struct rte_mbuf *m = received_packet(true, 3000), *out[PACKET_CUT_MAX];

	/* Short enough; more pieces than there may be; headers that leave no room; a sum that is whole. */
	assert_int_equal(packet_cut_received(m, 3100, support_pool(), out), 0);
	assert_int_equal(packet_cut_received(m, 90, support_pool(), out), 0);
	assert_int_equal(packet_cut_received(m, 52, support_pool(), out), 0);
	packet_checksum_fill(m, 14);
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_cut_received(m, 1500, support_pool(), out), 0);
	assert_int_equal(m->ol_flags, 0);
	rte_pktmbuf_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_have_all_bytes_once),
		cmocka_unit_test(pieces_may_end_anywhere),
		cmocka_unit_test(what_is_no_such_packet_is_refused),
		cmocka_unit_test(a_segment_longer_than_an_mbuf_is_none),
		cmocka_unit_test(the_whole_pseudo_sum_has_the_length),
		cmocka_unit_test(a_received_packet_becomes_what_would_have_come_in_its_place),
		cmocka_unit_test(other_received_packets_stay_as_they_are),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
