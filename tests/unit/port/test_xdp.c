/*
 * AF_XDP ports on real interfaces in namespaces of our own: w0 is Weir's, w1 the peer's, in a namespace beside it.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "port/device.h"
#include "port/driver.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "support/namespace.h"
#include "xdp/xdp.h"

#define MBUFS 20480
#define OUR_ADDRESS 0x0a000001
#define PEER_ADDRESS 0x0a000002
#define OUR_PORT 8080
#define PEER_PORT 7000

static struct rte_mempool *pool;
static pid_t peer;
static int own_namespace;
static char error[512];

/* Of the test that runs. */
static struct xdp_program *program;
static struct port *port;
static int peer_socket = -1;

/* ---- topology ---- */

static void
enter_peer(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)peer);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	close(fd);
}

static void
leave_peer(void)
{
	assert_int_equal(setns(own_namespace, CLONE_NEWNET), 0);
}

static int
open_peer_socket(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int ignore = 1, buffer = 64 << 20, fd;

	enter_peer();
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	address.sll_ifindex = (int)if_nametoindex("w1");
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	leave_peer();
	return fd;
}

static void
make_veth(unsigned int queues)
{
	peer = namespace_new();
	namespace_run(
		"ip link add w0 numrxqueues %u numtxqueues %u type veth peer name w1 numrxqueues %u numtxqueues %u",
		queues, queues, queues, queues);
	namespace_run("ip link set w1 netns %d", (int)peer);
	namespace_run("sysctl -qw net.ipv6.conf.w0.disable_ipv6=1");
	namespace_run_in(peer, "sysctl -qw net.ipv6.conf.w1.disable_ipv6=1");
	namespace_run("ip address add 10.0.0.1/24 dev w0 && ip link set w0 up");
	namespace_run_in(peer, "ip address add 10.0.0.2/24 dev w1 && ip link set w1 up");
	peer_socket = open_peer_socket();
}

static void
serve(const char *address)
{
	struct xdp_service service = { .ip_protocol = IPPROTO_UDP };

	assert_int_equal(endpoint_parse(bytes_of_string(address), OUR_PORT, &service.endpoint), 0);
	assert_int_equal(xdp_program_serve(program, &service, 1, NULL, 0, NULL, 0), 0);
}

static void
open_port(const struct port_config *config, unsigned int workers)
{
	struct port_environment environment = { .workers = workers, .pool = pool, .program = program };

	if (port_new(config, &environment, 0, &port, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	if (port_start(port, error, sizeof(error)) < 0)
		fail_msg("%s", error);
}

static int
set_up(void **state)
{
	return xdp_program_load(&program, error, sizeof(error));
}

/* After every test, however it went: all frames are back. */
static int
tear_down(void **state)
{
	port_free(port);
	port = NULL;
	xdp_program_free(program);
	if (peer_socket >= 0)
		close(peer_socket);
	peer_socket = -1;
	if (peer) {
		namespace_try(0, NULL, 0, "ip link del w0 2>/dev/null");
		namespace_free(peer);
	}
	peer = 0;
	if (rte_mempool_avail_count(pool) != MBUFS || support_pool_available() != SUPPORT_POOL_SIZE) {
		fprintf(stderr, "leak: %u of %u mbufs are back\n", rte_mempool_avail_count(pool), MBUFS);
		return -1;
	}
	return 0;
}

/* ---- packets ---- */

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

static void
peer_sends(uint32_t number, uint16_t from_port)
{
	uint8_t frame[1514];

	build(frame, length_of(number), PEER_ADDRESS, from_port, OUR_ADDRESS, OUR_PORT, number);
	if (send(peer_socket, frame, length_of(number), 0) != length_of(number))
		fail_msg("packet %u: %s", number, strerror(errno));
}

static uint32_t
number_in(const struct rte_mbuf *m)
{
	uint32_t number;

	memcpy(&number, rte_pktmbuf_mtod_offset(m, void *, 42), sizeof(number));
	return number;
}

static void
assert_as_sent(const struct rte_mbuf *m, uint16_t from_port)
{
	uint8_t frame[1514];
	uint32_t number = number_in(m);

	assert_int_equal(m->pkt_len, length_of(number));
	assert_int_equal(m->data_len, m->pkt_len);
	build(frame, length_of(number), PEER_ADDRESS, from_port, OUR_ADDRESS, OUR_PORT, number);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), frame, m->pkt_len);
}

static void
nap(void)
{
	const struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

/* Up to `max` packets, until none has come for 20 ms. */
static uint32_t
receive(uint16_t queue, struct rte_mbuf **out, uint32_t max)
{
	uint32_t n = 0;

	for (int idle = 0; idle < 20 && n < max;) {
		uint16_t got = port_rx_burst(port, queue, out + n, (uint16_t)RTE_MIN(max - n, (uint32_t)PORT_BURST));

		n += got;
		if (got)
			idle = 0;
		else
			nap(), idle++;
	}
	return n;
}

static uint64_t
counter(enum port_counter which)
{
	uint64_t sum = 0;

	for (uint16_t queue = 0; queue < port->queues; queue++)
		sum += port->counters[queue].values[which];
	return sum;
}

/* Headers as a stack would leave them: checksums to be filled. */
static struct rte_mbuf *
packet_to_send(struct rte_mempool *from, uint32_t number)
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

/* How many arrived at the peer, each as it was built, in order of their numbers from `first` on. */
static uint32_t
peer_receives(uint32_t first)
{
	uint32_t n = 0;

	for (int idle = 0; idle < 20;) {
		uint8_t frame[2048], expected[1514];
		ssize_t len = recv(peer_socket, frame, sizeof(frame), 0);

		if (len < 0) {
			nap(), idle++;
			/* What is still in the ring goes with the next round. */
			port->ops->rx_burst(port, 0, NULL, 0);
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

/* ---- tests ---- */

static void
packets_come_in_as_they_were_sent(void **state)
{
	struct rte_mbuf *m[64];

	make_veth(1);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0" }, 1);
	assert_int_equal(port->features & PORT_FLOW_STABLE, PORT_FLOW_STABLE);
	assert_int_equal(port->mtu, 1500);
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 50; i++)
			peer_sends(round * 50 + i, PEER_PORT);
		assert_int_equal(receive(0, m, 50), 50);
		for (uint32_t i = 0; i < 50; i++) {
			assert_int_equal(number_in(m[i]), round * 50 + i);
			assert_as_sent(m[i], PEER_PORT);
			assert_true(rte_pktmbuf_headroom(m[i]) >= RTE_PKTMBUF_HEADROOM);
		}
		rte_pktmbuf_free_bulk(m, 50);
	}
	assert_int_equal(counter(PORT_RX_PACKETS), 5000);
}

static void
the_rest_stays_with_the_kernel(void **state)
{
	struct rte_mbuf *m[4];

	make_veth(1);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0" }, 1);
	namespace_run_in(peer, "ping -q -c 3 -i 0.05 -W 1 10.0.0.1 >/dev/null");
	namespace_run("ping -q -c 3 -i 0.05 -W 1 10.0.0.2 >/dev/null");
	assert_int_equal(receive(0, m, 4), 0);
}

static void
packets_leave_with_right_checksums(void **state)
{
	make_veth(1);
	open_port(&(struct port_config){ .name = "w0" }, 1);
	for (uint32_t round = 0; round < 100; round++) {
		struct rte_mbuf *m[50];

		for (uint32_t i = 0; i < 50; i++)
			m[i] = packet_to_send(pool, round * 50 + i);
		port_tx_burst(port, 0, m, 50);
	}
	assert_int_equal(peer_receives(0), 5000);
	assert_int_equal(counter(PORT_TX_PACKETS), 5000);
	assert_int_equal(counter(PORT_TX_FULL), 0);
	assert_true(counter(PORT_TX_CALLS) > 0);
}

/* Chains, clones, packets that somebody still holds, and packets of another pool. */
static void
whatever_the_mbuf_is_the_packet_leaves(void **state)
{
	struct rte_mbuf *m[5], *held, *tail;
	uint32_t len;

	make_veth(1);
	open_port(&(struct port_config){ .name = "w0" }, 1);
	m[0] = packet_to_send(support_pool(), 0);
	held = m[1] = packet_to_send(pool, 1);
	rte_mbuf_refcnt_update(held, 1);
	m[2] = packet_to_send(pool, 2);
	tail = rte_pktmbuf_alloc(pool);
	len = m[2]->data_len - 50u;
	memcpy(rte_pktmbuf_append(tail, (uint16_t)len), rte_pktmbuf_mtod_offset(m[2], void *, 50), len);
	rte_pktmbuf_trim(m[2], (uint16_t)len);
	rte_pktmbuf_chain(m[2], tail);
	m[3] = packet_to_send(pool, 3);
	tail = m[3];
	m[3] = rte_pktmbuf_clone(tail, pool);
	rte_pktmbuf_free(tail);
	m[4] = packet_to_send(pool, 4);
	port_tx_burst(port, 0, m, 5);
	assert_int_equal(peer_receives(0), 5);
	assert_int_equal(rte_mbuf_refcnt_read(held), 1);
	rte_pktmbuf_free(held);
}

static void
no_queue_of_the_device_is_missed(void **state)
{
	static struct rte_mbuf *m[2][1000];
	bool seen[1000] = { false };
	uint32_t n[2];

	make_veth(4);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0" }, 2);
	assert_int_equal(port->queues, 2);
	assert_int_equal(port->features & PORT_FLOW_STABLE, 0);
	for (uint32_t i = 0; i < 1000; i++)
		peer_sends(i, (uint16_t)(1000 + i));
	n[0] = receive(0, m[0], 1000);
	n[1] = receive(1, m[1], 1000);
	assert_true(n[0] > 0 && n[1] > 0);
	assert_int_equal(n[0] + n[1], 1000);
	for (int queue = 0; queue < 2; queue++) {
		for (uint32_t i = 0; i < n[queue]; i++) {
			uint32_t number = number_in(m[queue][i]);

			assert_true(number < 1000 && !seen[number]);
			seen[number] = true;
			assert_as_sent(m[queue][i], (uint16_t)(1000 + number));
		}
		rte_pktmbuf_free_bulk(m[queue], n[queue]);
	}
}

static bool
readable(uint16_t queue, int timeout_ms)
{
	struct pollfd p = { .fd = port->ops->wait_fd(port, queue), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void
check_sleep(unsigned int device_queues)
{
	struct rte_mbuf *m[4];
	uint16_t got;

	make_veth(device_queues);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0" }, 1);
	for (uint16_t from_port = 1; from_port < 10; from_port++) {
		assert_true(port->ops->arm(port, 0));
		assert_false(readable(0, 20));
		peer_sends(1, from_port);
		assert_true(readable(0, 1000));
		assert_false(port->ops->arm(port, 0));
		got = port_rx_burst(port, 0, m, 4);
		assert_int_equal(got, 1);
		rte_pktmbuf_free(m[0]);
	}
}

static void
a_sleeping_queue_is_woken(void **state)
{
	check_sleep(1);
}

static void
a_sleeping_queue_of_several_sockets_is_woken(void **state)
{
	check_sleep(4);
}

static void
a_full_receive_queue_loses_nothing_uncounted(void **state)
{
	static struct rte_mbuf *m[1000];
	uint32_t n;

	make_veth(1);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0", .rx_descriptors = 64 }, 1);
	for (uint32_t i = 0; i < 1000; i++)
		peer_sends(i, PEER_PORT);
	n = receive(0, m, 1000);
	assert_int_equal(n, 64);
	rte_pktmbuf_free_bulk(m, n);
	port_refresh(port);
	assert_int_equal(counter(PORT_RX_MISSED) + n, 1000);
	assert_int_equal(counter(PORT_RX_OVERSIZE), 0);
	peer_sends(7, PEER_PORT);
	assert_int_equal(receive(0, m, 1), 1);
	assert_as_sent(m[0], PEER_PORT);
	rte_pktmbuf_free(m[0]);
}

static void
a_full_send_queue_loses_nothing_uncounted(void **state)
{
	static struct rte_mbuf *m[2000];
	uint32_t arrived;

	make_veth(1);
	open_port(&(struct port_config){ .name = "w0", .tx_descriptors = 64 }, 1);
	for (uint32_t i = 0; i < 2000; i++)
		m[i] = packet_to_send(pool, i);
	port_tx_burst(port, 0, m, 2000);
	arrived = peer_receives(0);
	assert_true(arrived >= 64);
	assert_int_equal(counter(PORT_TX_PACKETS), arrived);
	assert_int_equal(counter(PORT_TX_FULL), 2000 - arrived);
}

/* The worker holds every mbuf there is; when some come back, packets come in again. */
static void
an_empty_pool_is_survived(void **state)
{
	static struct rte_mbuf *hoard[MBUFS];
	struct rte_mbuf *m[64];
	uint32_t hoarded = 0;

	make_veth(1);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0", .rx_descriptors = 64 }, 1);
	while ((hoard[hoarded] = rte_pktmbuf_alloc(pool)))
		hoarded++;
	for (uint32_t i = 0; i < 100; i++)
		peer_sends(i, PEER_PORT);
	assert_int_equal(receive(0, m, 64), 64);
	assert_int_equal(counter(PORT_RX_NO_MBUF), 64);
	peer_sends(1, PEER_PORT);
	port_refresh(port);
	assert_int_equal(counter(PORT_RX_MISSED), 37);
	assert_false(port->ops->arm(port, 0));
	rte_pktmbuf_free_bulk(hoard, hoarded);
	assert_true(port->ops->arm(port, 0));
	peer_sends(2, PEER_PORT);
	rte_pktmbuf_free_bulk(m, 64);
	assert_int_equal(receive(0, m, 1), 1);
	assert_int_equal(number_in(m[0]), 2);
	rte_pktmbuf_free(m[0]);
}

static void
ports_come_and_go_on_one_interface(void **state)
{
	struct rte_mbuf *m[1];

	make_veth(2);
	serve("10.0.0.1");
	for (uint32_t i = 0; i < 10; i++) {
		open_port(&(struct port_config){ .name = "w0" }, 1);
		peer_sends(i, PEER_PORT);
		assert_int_equal(receive(0, m, 1), 1);
		assert_int_equal(number_in(m[0]), i);
		rte_pktmbuf_free(m[0]);
		/* What nobody fetches goes back with the port, too. */
		peer_sends(i, PEER_PORT);
		port_free(port);
		port = NULL;
		assert_int_equal(rte_mempool_avail_count(pool), MBUFS);
	}
}

static void
a_second_port_on_an_interface_is_refused(void **state)
{
	struct port_environment environment = { .workers = 1, .pool = pool };
	struct port *second;

	make_veth(1);
	open_port(&(struct port_config){ .name = "w0" }, 1);
	assert_int_equal(xdp_program_load(&environment.program, error, sizeof(error)), 0);
	assert_int_equal(
		port_new(&(struct port_config){ .name = "w0" }, &environment, 1, &second, error, sizeof(error)),
		-EBUSY);
	assert_non_null(strstr(error, "another Weir"));
	xdp_program_free(environment.program);
}

static void
more_queues_than_the_device_has_are_refused(void **state)
{
	struct port_environment environment = { .workers = 4, .pool = pool, .program = program };

	make_veth(2);
	assert_int_equal(port_new(&(struct port_config){ .name = "w0", .queues = 3 }, &environment, 0, &port, error,
				  sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "3 queues are configured, the device has 2"));
	port = NULL;
}

static void
send_a_few(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *m = packet_to_send(pool, i);

		port_tx_burst(port, 0, &m, 1);
	}
}

static void
a_link_that_is_down_is_no_harm(void **state)
{
	struct rte_mbuf *m[4];

	make_veth(1);
	serve("10.0.0.1");
	open_port(&(struct port_config){ .name = "w0" }, 1);
	assert_true(port->ops->link_up(port));
	namespace_run("ip link set w0 down");
	assert_false(port->ops->link_up(port));
	port_refresh(port);
	send_a_few(3000);
	assert_int_equal(port_rx_burst(port, 0, m, 4), 0);
	assert_true(counter(PORT_TX_FULL) > 0);
	assert_true(port->ops->arm(port, 0));
	namespace_run("ip link set w0 up");
	while (!port->ops->link_up(port))
		nap();
	port_refresh(port);
	/* The neighbour's entry is not needed: these are frames. */
	peer_sends(5, PEER_PORT);
	assert_int_equal(receive(0, m, 1), 1);
	rte_pktmbuf_free(m[0]);
}

static void
an_interface_that_goes_away_is_no_harm(void **state)
{
	struct rte_mbuf *m[4];

	make_veth(2);
	open_port(&(struct port_config){ .name = "w0" }, 1);
	send_a_few(10);
	namespace_run("ip link del w0");
	send_a_few(3000);
	assert_int_equal(port_rx_burst(port, 0, m, 4), 0);
	assert_true(port->ops->arm(port, 0));
	assert_false(readable(0, 20));
	assert_false(port->ops->link_up(port));
	port_refresh(port);
}

/* ---- lo ---- */

static int
sysctl_of_lo(const char *name)
{
	char text[16];

	assert_int_equal(namespace_try(0, text, sizeof(text), "cat /proc/sys/net/ipv4/conf/lo/%s", name), 0);
	return atoi(text);
}

static void
assert_lo_settings(int segmentation, int accept)
{
	assert_int_equal(port_device_setting_read("lo", ETHTOOL_GTSO), segmentation);
	assert_int_equal(port_device_setting_read("lo", ETHTOOL_GGSO), segmentation);
	assert_int_equal(sysctl_of_lo("route_localnet"), accept);
	assert_int_equal(sysctl_of_lo("accept_local"), accept);
}

/* The question as an answer: on lo both addresses are the same. */
static void
turn_around(struct rte_mbuf *m, bool v6)
{
	struct rte_udp_hdr *udp;
	uint16_t from_port;

	m->l2_len = 14;
	m->l3_len = v6 ? 40 : 20;
	m->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
	udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, m->l2_len + m->l3_len);
	from_port = udp->src_port;
	udp->src_port = udp->dst_port;
	udp->dst_port = from_port;
}

/* A kernel socket asks port 8080 of a loopback address and gets Weir's answer. */
static void
ask_over_lo(const char *address, uint32_t rounds)
{
	struct sockaddr_storage to;
	struct endpoint endpoint;
	struct timeval patience = { .tv_sec = 1 };
	socklen_t to_len;
	int fd;

	assert_int_equal(endpoint_parse(bytes_of_string(address), OUR_PORT, &endpoint), 0);
	to_len = endpoint_to_sockaddr(&endpoint, &to);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, to_len), 0);
	for (uint32_t i = 0; i < rounds; i++) {
		uint8_t question[1400], answer[2048];
		size_t len = 1 + i * 97 % 1400;
		struct rte_mbuf *m;

		memset(question, (int)i, sizeof(question));
		assert_int_equal(send(fd, question, len, 0), len);
		assert_int_equal(receive(0, &m, 1), 1);
		turn_around(m, to.ss_family == AF_INET6);
		port_tx_burst(port, 0, &m, 1);
		assert_int_equal(recv(fd, answer, sizeof(answer), 0), len);
		assert_memory_equal(answer, question, len);
	}
	close(fd);
}

static void
lo_is_changed_served_and_restored(void **state)
{
	assert_lo_settings(1, 0);
	serve("127.0.0.1");
	open_port(&(struct port_config){ .name = "lo" }, 1);
	assert_int_equal(port->features & PORT_LOOPBACK, PORT_LOOPBACK);
	assert_true(port->mtu >= 1500);
	assert_lo_settings(0, 1);
	ask_over_lo("127.0.0.1", 200);
	port_free(port);
	port = NULL;
	assert_lo_settings(1, 0);
}

static void
lo_is_served_over_ipv6(void **state)
{
	serve("[::1]");
	open_port(&(struct port_config){ .name = "lo" }, 1);
	ask_over_lo("[::1]", 50);
}

static void
a_packet_longer_than_a_buffer_is_counted(void **state)
{
	static const uint8_t large[9000];
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(OUR_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rte_mbuf *m[1];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	serve("127.0.0.1");
	open_port(&(struct port_config){ .name = "lo" }, 1);
	assert_int_equal(sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(large));
	assert_int_equal(receive(0, m, 1), 0);
	port_refresh(port);
	assert_int_equal(counter(PORT_RX_OVERSIZE), 1);
	assert_int_equal(counter(PORT_RX_MISSED), 0);
	ask_over_lo("127.0.0.1", 1);
	close(fd);
}

/* Another Weir, which has lo and says so. */
static int
hold_lo(void)
{
	if (set_up(NULL) < 0)
		return 1;
	open_port(&(struct port_config){ .name = "lo" }, 1);
	if (write(STDOUT_FILENO, "x", 1) != 1)
		return 1;
	pause();
	return 0;
}

/* What a killed Weir has changed is not taken for what was there before. */
static void
after_a_kill_the_next_start_restores_lo(void **state)
{
	int ready[2], status;
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		dup2(ready[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test", "hold-lo", NULL);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_lo_settings(0, 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_lo_settings(0, 1);
	serve("127.0.0.1");
	for (int i = 0; i < 200; i++) {
		uint32_t id = 0;

		if (bpf_xdp_query_id(1, 0, &id) == 0 && id == 0)
			break;
		nap();
	}
	open_port(&(struct port_config){ .name = "lo" }, 1);
	ask_over_lo("127.0.0.1", 3);
	port_free(port);
	port = NULL;
	assert_lo_settings(1, 0);
}

static int
init(void)
{
	support_dpdk_init();
	pool = port_pool_new(MBUFS, 1500, error, sizeof(error));
	if (!pool)
		fprintf(stderr, "%s\n", error);
	return pool ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(packets_come_in_as_they_were_sent),
		TEST(the_rest_stays_with_the_kernel),
		TEST(packets_leave_with_right_checksums),
		TEST(whatever_the_mbuf_is_the_packet_leaves),
		TEST(no_queue_of_the_device_is_missed),
		TEST(a_sleeping_queue_is_woken),
		TEST(a_sleeping_queue_of_several_sockets_is_woken),
		TEST(a_full_receive_queue_loses_nothing_uncounted),
		TEST(a_full_send_queue_loses_nothing_uncounted),
		TEST(an_empty_pool_is_survived),
		TEST(ports_come_and_go_on_one_interface),
		TEST(a_second_port_on_an_interface_is_refused),
		TEST(more_queues_than_the_device_has_are_refused),
		TEST(a_link_that_is_down_is_no_harm),
		TEST(an_interface_that_goes_away_is_no_harm),
		TEST(lo_is_changed_served_and_restored),
		TEST(lo_is_served_over_ipv6),
		TEST(a_packet_longer_than_a_buffer_is_counted),
		TEST(after_a_kill_the_next_start_restores_lo),
#undef TEST
	};

	if (geteuid() != 0) {
		fprintf(stderr, "these tests need root\n");
		return 1;
	}
	if (argc > 1)
		return init() || hold_lo();
	namespace_enter();
	own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
