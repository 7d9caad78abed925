#include <arpa/inet.h>
#include <errno.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#include "port/driver.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

/* A port that keeps what it is given. */
static struct rte_mbuf *kept[PORT_BURST];
static uint16_t kept_count;

static void
keep(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	memcpy(kept, m, count * sizeof(*m));
	kept_count = count;
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_filled_where_the_device_cannot),
		cmocka_unit_test(checksums_are_left_to_a_device_that_can),
		cmocka_unit_test(segments_become_one_where_the_device_takes_one),
		cmocka_unit_test(a_shared_segment_is_copied),
		cmocka_unit_test(a_chain_longer_than_a_buffer_is_dropped_and_counted),
		cmocka_unit_test(received_packets_and_bytes_are_counted),
		cmocka_unit_test(without_a_twin_packets_for_the_kernel_end),
		cmocka_unit_test(names_tell_the_driver),
		cmocka_unit_test(contradictory_drivers_are_refused),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
