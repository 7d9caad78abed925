/*
 * TCP packets longer than the MTU through an AF_XDP port, between two kernels: w0 is Weir's, w1 the peer's, in a
 * namespace beside it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "packet/parse.h"
#include "port/driver.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"
#include "xdp/xdp.h"

#define MBUFS 8192
#define HEADERS_V4 (14 + 20 + 20)
#define HEADERS_V6 (14 + 40 + 20)
#define MSS 1400
#define SEQUENCE 0x12345678u

static struct rte_mempool *pool;
static struct xdp_program *program;
static struct port *port;
static pid_t peer;
static int own_namespace, peer_socket = -1;
static char error[512];

static void
open_peer_socket(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval patience = { .tv_usec = 50000 };
	int ignore = 1, buffer = 64 << 20, fd;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)peer);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	close(fd);
	peer_socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	address.sll_ifindex = (int)if_nametoindex("w1");
	assert_int_equal(setsockopt(peer_socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore)), 0);
	assert_int_equal(setsockopt(peer_socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)), 0);
	assert_int_equal(setsockopt(peer_socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(bind(peer_socket, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setns(own_namespace, CLONE_NEWNET), 0);
}

static int
set_up(void **state)
{
	const struct port_config config = { .name = "w0" };
	struct port_environment environment = { .workers = 1, .pool = pool };

	assert_int_equal(xdp_program_load(&program, NULL, error, sizeof(error)), 0);
	environment.program = program;
	peer = namespace_new();
	namespace_run("ip link add w0 type veth peer name w1 && ip link set w1 netns %d", (int)peer);
	namespace_run("sysctl -qw net.ipv6.conf.w0.disable_ipv6=1 && ip link set w0 up");
	namespace_run_in(peer, "sysctl -qw net.ipv6.conf.w1.disable_ipv6=1 && ip link set w1 up");
	open_peer_socket();
	if (port_new(&config, &environment, 0, &port, error, sizeof(error)) < 0 ||
	    port_start(port, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return 0;
}

static int
tear_down(void **state)
{
	port_free(port);
	port = NULL;
	xdp_program_free(program);
	close(peer_socket);
	namespace_try(0, NULL, 0, "ip link del w0 2>/dev/null");
	namespace_free(peer);
	return rte_mempool_avail_count(pool) == MBUFS && support_pool_available() == SUPPORT_POOL_SIZE ? 0 : -1;
}

static uint8_t
pattern(uint32_t i)
{
	return (uint8_t)(i * 13 + i / 509);
}

static void
headers_write(uint8_t *at, bool v4, uint32_t payload, uint32_t before)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(void *)(at + (v4 ? HEADERS_V4 : HEADERS_V6) - 20);

	memcpy(at, "\x02\x11\x11\x11\x11\x11\x02\x22\x22\x22\x22\x22", 12);
	memcpy(at + 12, v4 ? "\x08\x00" : "\x86\xdd", 2);
	if (v4)
		*(struct rte_ipv4_hdr *)(void *)(at + 14) =
			(struct rte_ipv4_hdr){ .version_ihl = 0x45,
					       .total_length = htons((uint16_t)(40 + payload)),
					       .time_to_live = 64,
					       .next_proto_id = IPPROTO_TCP,
					       .src_addr = htonl(0x0a000001),
					       .dst_addr = htonl(0x0a000002) };
	else
		*(struct rte_ipv6_hdr *)(void *)(at + 14) =
			(struct rte_ipv6_hdr){ .vtc_flow = htonl(6u << 28),
					       .payload_len = htons((uint16_t)(20 + payload)),
					       .proto = IPPROTO_TCP,
					       .hop_limits = 64,
					       .src_addr = { 0x20, 1, 13, 184, [15] = 1 },
					       .dst_addr = { 0x20, 1, 13, 184, [15] = 2 } };
	*tcp = (struct rte_tcp_hdr){ .src_port = htons(80),
				     .dst_port = htons(4000),
				     .sent_seq = htonl(SEQUENCE + before),
				     .data_off = 5 << 4,
				     .tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG,
				     .rx_win = htons(1000) };
}

/* Bytes `before` to `before + payload` of a stream, in mbufs of `piece`, of two pools in turn. */
static struct rte_mbuf *
packet(bool v4, uint32_t before, uint32_t payload, uint32_t piece)
{
	uint32_t headers = v4 ? HEADERS_V4 : HEADERS_V6;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *part = m;

	headers_write((uint8_t *)rte_pktmbuf_append(m, (uint16_t)headers), v4, payload, before);
	for (uint32_t i = 0; i < payload; i++) {
		if (i % piece == 0 && payload > piece) {
			part = rte_pktmbuf_alloc(i / piece % 2 ? support_pool() : pool);
			rte_pktmbuf_chain(m, part);
		}
		*(uint8_t *)rte_pktmbuf_append(m, 1) = pattern(before + i);
	}
	m->l2_len = 14;
	m->l3_len = headers - 34;
	m->l4_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV6);
	if (payload > MSS) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = MSS;
	}
	return m;
}

/* The next frame at the peer is of the stream from `before` on; returns how much, 0 when none comes. Only a packet in one
 * frame has a whole checksum: between kernels, a long one carries but the pseudo-header's. */
static uint32_t
peer_receives(bool v4, uint32_t before)
{
	static uint8_t frame[1 << 17];
	uint32_t headers = v4 ? HEADERS_V4 : HEADERS_V6;
	ssize_t len = recv(peer_socket, frame, sizeof(frame), 0);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(const void *)(frame + 14);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(const void *)(frame + headers - 20);

	if (len < 0)
		return 0;
	assert_true(len > headers);
	if (v4) {
		assert_int_equal(ntohs(ip->total_length), len - 14);
		assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
	}
	assert_int_equal(ntohl(tcp->sent_seq), SEQUENCE + before);
	for (uint32_t i = 0; i < len - headers; i++)
		if (frame[headers + i] != pattern(before + i))
			fail_msg("wrong byte at %u", before + i);
	return (uint32_t)len - headers;
}

static uint64_t
counter(enum port_counter which)
{
	return port->counters[0].values[which];
}

static void
long_packets_arrive_whole(void **state)
{
	assert_true(port->features & PORT_TX_TSO);
	for (int v4 = 0; v4 < 2; v4++) {
		for (uint32_t piece = 333; piece < 1700; piece += 301) {
			struct rte_mbuf *m = packet(v4, 0, 60001, piece);

			port_tx_burst(port, 0, &m, 1);
			assert_int_equal(peer_receives(v4, 0), 60001);
		}
	}
	assert_int_equal(counter(PORT_TX_SEGMENTED), 10);
	assert_int_equal(counter(PORT_TX_PACKETS), 10);
	assert_int_equal(counter(PORT_TX_FULL), 0);
}

static void
long_and_short_packets_keep_their_order(void **state)
{
	static const uint32_t lengths[] = { 100, 1400, 20000, 7, 8, 3000, 64000, 1, 1400, 1401 };
	struct rte_mbuf *m[RTE_DIM(lengths)];
	uint32_t at = 0;

	for (uint32_t i = 0; i < RTE_DIM(lengths); i++) {
		m[i] = packet(true, at, lengths[i], 1400);
		at += lengths[i];
	}
	port_tx_burst(port, 0, m, RTE_DIM(lengths));
	at = 0;
	for (uint32_t i = 0; i < RTE_DIM(lengths); i++) {
		assert_int_equal(peer_receives(true, at), lengths[i]);
		at += lengths[i];
	}
	assert_int_equal(counter(PORT_TX_PACKETS), RTE_DIM(lengths));
	assert_int_equal(counter(PORT_TX_SEGMENTED), 4);
}

/* In segments of 1400 that are each complete. */
static void
receive_in_pieces(uint32_t total)
{
	uint32_t at = 0;

	for (uint32_t len; at < total; at += len) {
		len = peer_receives(true, at);
		assert_int_equal(len, RTE_MIN(total - at, (uint32_t)MSS));
	}
	assert_int_equal(peer_receives(true, at), 0);
}

static void
without_segmentation_on_the_device_weir_cuts_up(void **state)
{
	struct rte_mbuf *m;

	namespace_run("ethtool -K w0 tso off");
	port_refresh(port);
	assert_false(port->features & PORT_TX_TSO);
	m = packet(true, 0, 60000, 1000);
	port_tx_burst(port, 0, &m, 1);
	receive_in_pieces(60000);
	assert_int_equal(counter(PORT_TX_SEGMENTED), 0);
	assert_int_equal(counter(PORT_TX_PACKETS), 43);
	namespace_run("ethtool -K w0 tso on");
	port_refresh(port);
	assert_true(port->features & PORT_TX_TSO);
}

/* Until it is seen, the kernel does it. */
static void
segmentation_that_was_turned_off_loses_nothing(void **state)
{
	struct rte_mbuf *m = packet(true, 0, 60000, 1000);

	namespace_run("ethtool -K w0 tso off");
	port_tx_burst(port, 0, &m, 1);
	receive_in_pieces(60000);
	assert_int_equal(counter(PORT_TX_SEGMENTED), 1);
}

static void
a_chain_of_very_many_mbufs_is_cut_up(void **state)
{
	struct rte_mbuf *m = packet(true, 0, 30000, 100);

	port_tx_burst(port, 0, &m, 1);
	receive_in_pieces(30000);
	assert_int_equal(counter(PORT_TX_SEGMENTED), 0);
}

static void
what_the_kernel_does_not_take_is_dropped_and_counted(void **state)
{
	struct rte_mbuf *m[] = { packet(true, 0, 60000, 1400), packet(true, 60000, 3000, 1400) };

	namespace_run("ip link set w0 down");
	port_tx_burst(port, 0, m, 2);
	assert_int_equal(counter(PORT_TX_FULL), 2);
	assert_int_equal(counter(PORT_TX_PACKETS), 0);
	namespace_run("ip link del w0");
	m[0] = packet(true, 0, 60000, 1400);
	port_tx_burst(port, 0, m, 1);
	assert_int_equal(counter(PORT_TX_FULL), 3);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(long_packets_arrive_whole),
		TEST(long_and_short_packets_keep_their_order),
		TEST(without_segmentation_on_the_device_weir_cuts_up),
		TEST(segmentation_that_was_turned_off_loses_nothing),
		TEST(a_chain_of_very_many_mbufs_is_cut_up),
		TEST(what_the_kernel_does_not_take_is_dropped_and_counted),
	};
#undef TEST

	if (geteuid() != 0) {
		fprintf(stderr, "these tests need root\n");
		return 1;
	}
	namespace_enter();
	own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	support_dpdk_init();
	pool = port_pool_new(MBUFS, 1500, PORT_MEMORY_EAL, error, sizeof(error));
	if (!pool) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
