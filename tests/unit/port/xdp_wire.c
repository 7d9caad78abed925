#include "xdp_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"

struct wire wire = { .peer_socket = -1 };
static int own_namespace;

void
wire_enter_peer(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)wire.peer);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	close(fd);
}

void
wire_leave_peer(void)
{
	assert_int_equal(setns(own_namespace, CLONE_NEWNET), 0);
}

static int
open_peer_socket(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int ignore = 1, buffer = 64 << 20, fd;

	wire_enter_peer();
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	address.sll_ifindex = (int)if_nametoindex("w1");
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	wire_leave_peer();
	return fd;
}

void
wire_make(unsigned int queues)
{
	wire.peer = namespace_new();
	namespace_run(
		"ip link add w0 numrxqueues %u numtxqueues %u type veth peer name w1 numrxqueues %u numtxqueues %u",
		queues, queues, queues, queues);
	namespace_run("ip link set w1 netns %d", (int)wire.peer);
	namespace_run("sysctl -qw net.ipv6.conf.w0.disable_ipv6=1");
	namespace_run_in(wire.peer, "sysctl -qw net.ipv6.conf.w1.disable_ipv6=1");
	namespace_run("ip address add 10.0.0.1/24 dev w0 && ip link set w0 up");
	namespace_run_in(wire.peer, "ip address add 10.0.0.2/24 dev w1 && ip link set w1 up");
	wire.peer_socket = open_peer_socket();
}

void
wire_serve(const char *address)
{
	struct xdp_service service = { .ip_protocol = IPPROTO_UDP };

	assert_int_equal(endpoint_parse(bytes_of_string(address), OUR_PORT, &service.endpoint), 0);
	assert_int_equal(xdp_program_serve(wire.program, &service, 1, NULL, 0, NULL, 0), 0);
}

void
wire_open(const struct port_config *config, unsigned int workers)
{
	struct port_environment environment = {
		.workers = workers, .pool = wire.pool, .program = wire.program, .long_packets = wire.long_packets
	};

	if (port_new(config, &environment, 0, &wire.port, wire.error, sizeof(wire.error)) < 0)
		fail_msg("%s", wire.error);
	if (port_start(wire.port, wire.error, sizeof(wire.error)) < 0)
		fail_msg("%s", wire.error);
}

int
wire_set_up(void **state)
{
	return xdp_program_load(&wire.program, NULL, wire.error, sizeof(wire.error));
}

int
wire_tear_down(void **state)
{
	port_free(wire.port);
	wire.port = NULL;
	wire.long_packets = false;
	xdp_program_free(wire.program);
	if (wire.peer_socket >= 0)
		close(wire.peer_socket);
	wire.peer_socket = -1;
	if (wire.peer) {
		namespace_try(0, NULL, 0, "ip link del w0 2>/dev/null");
		namespace_free(wire.peer);
	}
	wire.peer = 0;
	if (rte_mempool_avail_count(wire.pool) != WIRE_MBUFS || support_pool_available() != SUPPORT_POOL_SIZE) {
		fprintf(stderr, "leak: %u of %u mbufs are back\n", rte_mempool_avail_count(wire.pool), WIRE_MBUFS);
		return -1;
	}
	return 0;
}

/* A UDP packet of `len` bytes with the frame's number in it; checksums right. */
static void
build(uint8_t *frame, uint16_t len, uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port, uint32_t number)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(frame + 14);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(void *)(ip + 1);

	memcpy(frame, "\x02\x11\x11\x11\x11\x11\x02\x22\x22\x22\x22\x22\x08\x00", 14);
	for (uint16_t i = 42; i < len; i++)
		frame[i] = (uint8_t)(i * 31 + number);
	memcpy(frame + 42, &number, sizeof(number));
	*ip = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
				     .total_length = htons((uint16_t)(len - 14)),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_UDP,
				     .src_addr = htonl(from),
				     .dst_addr = htonl(to) };
	*udp = (struct rte_udp_hdr){ .src_port = htons(from_port),
				     .dst_port = htons(to_port),
				     .dgram_len = htons((uint16_t)(len - 34)) };
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static uint16_t
length_of(uint32_t number)
{
	return (uint16_t)(60 + number * 13 % 1455);
}

void
wire_peer_sends(uint32_t number, uint16_t from_port)
{
	uint8_t frame[1514];

	build(frame, length_of(number), PEER_ADDRESS, from_port, OUR_ADDRESS, OUR_PORT, number);
	if (send(wire.peer_socket, frame, length_of(number), 0) != length_of(number))
		fail_msg("packet %u: %s", number, strerror(errno));
}

uint32_t
wire_number(const struct rte_mbuf *m)
{
	uint32_t number;

	memcpy(&number, rte_pktmbuf_mtod_offset(m, void *, 42), sizeof(number));
	return number;
}

void
wire_assert_as_sent(const struct rte_mbuf *m, uint16_t from_port)
{
	uint8_t frame[1514];
	uint32_t number = wire_number(m);

	assert_int_equal(m->pkt_len, length_of(number));
	assert_int_equal(m->data_len, m->pkt_len);
	build(frame, length_of(number), PEER_ADDRESS, from_port, OUR_ADDRESS, OUR_PORT, number);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), frame, m->pkt_len);
}

void
wire_nap(void)
{
	const struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

uint32_t
wire_receive(uint16_t queue, struct rte_mbuf **out, uint32_t max)
{
	uint32_t n = 0;

	for (int idle = 0; idle < 20 && n < max;) {
		uint16_t got =
			port_rx_burst(wire.port, queue, out + n, (uint16_t)RTE_MIN(max - n, (uint32_t)PORT_BURST));

		n += got;
		if (got)
			idle = 0;
		else
			wire_nap(), idle++;
	}
	return n;
}

uint64_t
wire_counter(enum port_counter which)
{
	uint64_t sum = 0;

	for (uint16_t queue = 0; queue < wire.port->queues; queue++)
		sum += wire.port->counters[queue].values[which];
	return sum;
}

struct rte_mbuf *
wire_packet(struct rte_mempool *from, uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from);
	uint16_t len = length_of(number);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, len);

	build(frame, len, OUR_ADDRESS, OUR_PORT, PEER_ADDRESS, PEER_PORT, number);
	memset(frame + 24, 0, 2);
	memset(frame + 40, 0, 2);
	m->l2_len = 14;
	m->l3_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	return m;
}

uint32_t
wire_peer_receives(uint32_t first)
{
	uint32_t n = 0;

	for (int idle = 0; idle < 20;) {
		uint8_t frame[2048], expected[1514];
		ssize_t len = recv(wire.peer_socket, frame, sizeof(frame), 0);

		if (len < 0) {
			wire_nap(), idle++;
			/* What is still in the ring goes with the next round. */
			wire.port->ops->rx_burst(wire.port, 0, NULL, 0);
			continue;
		}
		idle = 0;
		build(expected, length_of(first + n), OUR_ADDRESS, OUR_PORT, PEER_ADDRESS, PEER_PORT, first + n);
		assert_int_equal(len, length_of(first + n));
		assert_memory_equal(frame, expected, len);
		n++;
	}
	return n;
}

int
wire_init(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "these tests need root\n");
		return 1;
	}
	own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	support_dpdk_init();
	wire.pool = port_pool_new(WIRE_MBUFS, 1500, PORT_MEMORY_PAGES, wire.error, sizeof(wire.error));
	if (!wire.pool)
		fprintf(stderr, "%s\n", wire.error);
	return wire.pool ? 0 : 1;
}
