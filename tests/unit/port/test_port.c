#include <arpa/inet.h>
#include <errno.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <string.h>

#include "port/driver.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

/* A port that keeps what it is given; forget() before each use. */
static struct rte_mbuf *kept[512];
static uint16_t kept_count;

static void
keep(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	assert_true(count > 0 && count <= PORT_BURST && kept_count + count <= 512);
	memcpy(kept + kept_count, m, count * sizeof(*m));
	kept_count += count;
}

static uint16_t
give_back(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	memcpy(out, kept, kept_count * sizeof(*out));
	return kept_count;
}

static const struct port_ops ops = { .kind = "test", .tx_burst = keep, .rx_burst = give_back };
static struct port_queue_counters counters;
static struct port port = { .ops = &ops, .queues = 1, .counters = &counters };

static int
forget(void **state)
{
	kept_count = 0;
	counters = (struct port_queue_counters){ 0 };
	port.features = 0;
	port.tx_segments_max = 0;
	return 0;
}

static struct rte_mbuf *
udp_packet(uint16_t payload)
{
	uint8_t frame[1514] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(frame + 14);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(void *)(ip + 1);
	struct rte_mbuf *m;

	*ip = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
				     .total_length = htons((uint16_t)(28 + payload)),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_UDP,
				     .src_addr = htonl(0x0a000001),
				     .dst_addr = htonl(0x0a000002) };
	*udp = (struct rte_udp_hdr){ .src_port = htons(80),
				     .dst_port = htons(81),
				     .dgram_len = htons((uint16_t)(8 + payload)) };
	for (uint16_t i = 0; i < payload; i++)
		frame[42 + i] = (uint8_t)(i * 7);
	m = support_mbuf_from(frame, 42u + payload);
	m->l2_len = 14;
	m->l3_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	return m;
}

static void
assert_checksums_right(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);

	assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, ip + 1), 0);
}

static void
checksums_are_filled_where_the_device_cannot(void **state)
{
	struct rte_mbuf *m[] = { udp_packet(100), udp_packet(1) };

	port.features = 0;
	port_tx_burst(&port, 0, m, 2);
	assert_int_equal(kept_count, 2);
	for (int i = 0; i < 2; i++) {
		assert_checksums_right(kept[i]);
		assert_int_equal(kept[i]->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK), 0);
		rte_pktmbuf_free(kept[i]);
	}
}

static void
checksums_are_left_to_a_device_that_can(void **state)
{
	struct rte_mbuf *m = udp_packet(100);
	uint64_t flags = m->ol_flags;

	port.features = PORT_TX_CHECKSUM;
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(kept[0]->ol_flags, flags);
	assert_int_equal(rte_pktmbuf_mtod_offset(kept[0], const struct rte_ipv4_hdr *, 14)->hdr_checksum, 0);
	rte_pktmbuf_free(kept[0]);
}

static void
segments_become_one_where_the_device_takes_one(void **state)
{
	struct rte_mbuf *m = udp_packet(300), *tail = rte_pktmbuf_alloc(support_pool());
	unsigned int available;
	uint8_t expected[342];

	memcpy(expected, rte_pktmbuf_mtod(m, void *), sizeof(expected));
	memcpy(rte_pktmbuf_append(tail, 200), expected + 142, 200);
	rte_pktmbuf_trim(m, 200);
	rte_pktmbuf_chain(m, tail);
	available = support_pool_available();
	m->ol_flags = 0;
	port.features = PORT_TX_CHECKSUM;
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(kept_count, 1);
	assert_int_equal(kept[0]->nb_segs, 1);
	assert_int_equal(kept[0]->pkt_len, sizeof(expected));
	assert_memory_equal(rte_pktmbuf_mtod(kept[0], void *), expected, sizeof(expected));
	rte_pktmbuf_free(kept[0]);
	assert_int_equal(support_pool_available(), available + 2);
}

/* A first segment that somebody else still refers to must not change under him. */
static void
a_shared_segment_is_copied(void **state)
{
	struct rte_mbuf *data = udp_packet(300), *head = rte_pktmbuf_alloc(support_pool()), *clone;
	unsigned int available = support_pool_available() + 2;

	clone = rte_pktmbuf_clone(data, support_pool());
	memset(rte_pktmbuf_append(head, 14), 0, 14);
	rte_pktmbuf_chain(head, clone);
	port.features = 0;
	port_tx_burst(&port, 0, &head, 1);
	assert_int_equal(kept_count, 1);
	assert_int_equal(kept[0]->nb_segs, 1);
	assert_int_equal(kept[0]->pkt_len, 14 + 342);
	assert_int_equal(rte_mbuf_refcnt_read(data), 1);
	assert_memory_equal(rte_pktmbuf_mtod_offset(kept[0], void *, 14), rte_pktmbuf_mtod(data, void *), 342);
	rte_pktmbuf_free(kept[0]);
	rte_pktmbuf_free(data);
	assert_int_equal(support_pool_available(), available);
}

static void
a_chain_longer_than_a_buffer_is_dropped_and_counted(void **state)
{
	struct rte_mbuf *m = udp_packet(1400);
	uint64_t before = counters.values[PORT_TX_FULL];
	static uint8_t more[1500];

	support_mbuf_append(m, more, sizeof(more));
	port.features = 0;
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(kept_count, 0);
	assert_int_equal(counters.values[PORT_TX_FULL], before + 1);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

/* As a stack sends it: `payload` bytes of TCP in segments of 1000, in mbufs of 1000 behind that of the headers. */
static struct rte_mbuf *
large_packet(uint32_t payload)
{
	uint8_t frame[54] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 }, data[1000];
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(frame + 14);
	struct rte_mbuf *m;

	*ip = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
				     .total_length = htons((uint16_t)(40 + payload)),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_TCP,
				     .src_addr = htonl(0x0a000001),
				     .dst_addr = htonl(0x0a000002) };
	*(struct rte_tcp_hdr *)(void *)(ip + 1) =
		(struct rte_tcp_hdr){ .data_off = 5 << 4, .tcp_flags = RTE_TCP_ACK_FLAG };
	m = support_mbuf_from(frame, sizeof(frame));
	for (uint32_t at = 0; at < payload; at += 1000) {
		memset(data, (int)(at / 1000), sizeof(data));
		support_mbuf_append(m, data, RTE_MIN(payload - at, 1000u));
	}
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = 1000;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
	return m;
}

static void
assert_segment_of_large(const struct rte_mbuf *m, uint32_t number, uint32_t len)
{
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, 34);

	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->pkt_len, 54 + len);
	assert_int_equal(ntohl(tcp->sent_seq), number * 1000);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[54 + i], (uint8_t)number);
}

static void
large_packets_are_cut_up_in_their_place(void **state)
{
	struct rte_mbuf *m[] = { udp_packet(10),     large_packet(60500), udp_packet(11), udp_packet(12),
				 large_packet(7000), large_packet(3001),  udp_packet(13) };

	port_tx_burst(&port, 0, m, RTE_DIM(m));
	assert_int_equal(kept_count, 1 + 61 + 2 + 7 + 4 + 1);
	assert_int_equal(kept[0]->pkt_len, 52);
	for (uint32_t i = 0; i < 61; i++)
		assert_segment_of_large(kept[1 + i], i, i < 60 ? 1000 : 500);
	assert_int_equal(kept[62]->pkt_len, 53);
	assert_int_equal(kept[63]->pkt_len, 54);
	for (uint32_t i = 0; i < 7; i++)
		assert_segment_of_large(kept[64 + i], i, 1000);
	for (uint32_t i = 0; i < 4; i++)
		assert_segment_of_large(kept[71 + i], i, i < 3 ? 1000 : 1);
	assert_int_equal(kept[75]->pkt_len, 55);
	for (uint32_t i = 0; i < kept_count; i++)
		assert_checksums_right(kept[i]);
	rte_pktmbuf_free_bulk(kept, kept_count);
	assert_int_equal(counters.values[PORT_TX_FULL], 0);
	assert_int_equal(counters.values[PORT_TX_SEGMENTED], 0);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
more_segments_than_a_burst_leave_too(void **state)
{
	struct rte_mbuf *m = large_packet(60500);

	m->tso_segsz = 300;
	port.features = PORT_TX_CHECKSUM | PORT_TX_SEGMENTS;
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(kept_count, 202);
	assert_int_equal(kept[0]->ol_flags & RTE_MBUF_F_TX_TCP_SEG, 0);
	assert_true(kept[0]->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
	rte_pktmbuf_free_bulk(kept, kept_count);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
a_device_that_cuts_up_gets_large_packets_whole(void **state)
{
	struct rte_mbuf *m[] = { large_packet(5000), large_packet(9000) };

	port.features = PORT_TX_CHECKSUM | PORT_TX_SEGMENTS | PORT_TX_TSO;
	port.tx_segments_max = 6;
	port_tx_burst(&port, 0, m, 2);
	/* The second has more mbufs than it takes. */
	assert_int_equal(kept_count, 1 + 9);
	assert_int_equal(kept[0]->nb_segs, 6);
	assert_true(kept[0]->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	assert_int_equal(counters.values[PORT_TX_SEGMENTED], 1);
	rte_pktmbuf_free_bulk(kept, kept_count);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
segments_that_find_no_mbuf_are_dropped_and_counted(void **state)
{
	struct rte_mbuf *m = large_packet(60500), *hoard[SUPPORT_POOL_SIZE];
	unsigned int available = support_pool_available();

	assert_int_equal(rte_pktmbuf_alloc_bulk(support_pool(), hoard, available - 10), 0);
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(kept_count, 10);
	assert_int_equal(counters.values[PORT_TX_FULL], 51);
	rte_pktmbuf_free_bulk(kept, kept_count);
	rte_pktmbuf_free_bulk(hoard, available - 10);
	/* Not as it must be: all of it. */
	m = large_packet(60500);
	m->tso_segsz = 0;
	port_tx_burst(&port, 0, &m, 1);
	assert_int_equal(counters.values[PORT_TX_FULL], 52);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
received_packets_and_bytes_are_counted(void **state)
{
	struct rte_mbuf *out[2], *m[] = { udp_packet(100), udp_packet(10) };

	port.features = PORT_TX_CHECKSUM;
	port_tx_burst(&port, 0, m, 2);
	assert_int_equal(port_rx_burst(&port, 0, out, 2), 2);
	assert_int_equal(counters.values[PORT_RX_PACKETS], 2);
	assert_int_equal(counters.values[PORT_RX_BYTES], 142 + 52);
	rte_pktmbuf_free_bulk(out, 2);
}

static void
without_a_twin_packets_for_the_kernel_end(void **state)
{
	port_to_kernel(&port, 0, udp_packet(10));
	assert_int_equal(port_from_kernel(&port, 0), 0);
	assert_int_equal(port_kernel_fd(&port), -1);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

static void
names_tell_the_driver(void **state)
{
	assert_true(port_name_is_dpdk("vdev:net_memif0,role=server"));
	assert_true(port_name_is_dpdk("0000:01:00.0"));
	assert_true(port_name_is_dpdk("af:00.1"));
	assert_false(port_name_is_dpdk("eth0"));
	assert_false(port_name_is_dpdk("lo"));
	assert_false(port_name_is_dpdk("0000:01:00"));
	assert_false(port_name_is_dpdk(""));
}

static void
contradictory_drivers_are_refused(void **state)
{
	struct port_environment environment = { .workers = 1, .pool = support_pool() };
	struct port_config config = { .name = "vdev:net_null0", .driver = PORT_DRIVER_XDP };
	struct port *out;
	char error[256] = "";

	assert_int_equal(port_new(&config, &environment, 0, &out, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "vdev:net_null0"));
	config = (struct port_config){ .name = "vdev:net_null0", .xdp_mode = PORT_XDP_NATIVE };
	assert_int_equal(port_new(&config, &environment, 0, &out, error, sizeof(error)), -EINVAL);
	config = (struct port_config){ .name = "no_such_interface" };
	assert_int_equal(port_new(&config, &environment, 0, &out, error, sizeof(error)), -ENODEV);
	assert_non_null(strstr(error, "there is no such interface"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, forget)
	const struct CMUnitTest tests[] = {
		TEST(checksums_are_filled_where_the_device_cannot),
		TEST(checksums_are_left_to_a_device_that_can),
		TEST(segments_become_one_where_the_device_takes_one),
		TEST(a_shared_segment_is_copied),
		TEST(a_chain_longer_than_a_buffer_is_dropped_and_counted),
		TEST(large_packets_are_cut_up_in_their_place),
		TEST(more_segments_than_a_burst_leave_too),
		TEST(a_device_that_cuts_up_gets_large_packets_whole),
		TEST(segments_that_find_no_mbuf_are_dropped_and_counted),
		TEST(received_packets_and_bytes_are_counted),
		TEST(without_a_twin_packets_for_the_kernel_end),
		TEST(names_tell_the_driver),
		TEST(contradictory_drivers_are_refused),
	};
#undef TEST

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
