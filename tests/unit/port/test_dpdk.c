/* DPDK ports on its virtual devices; those of the TAP kind with a real Linux host at the other end. */
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "packet/checksum.h"
#include "packet/parse.h"
#include "packet/view.h"
#include "port/port.h"
#include "support/dpdk.h"
#include "support/namespace.h"

#define FRAMES 200

static pid_t peer;
static unsigned int available;

static struct port *
port_make(const char *name, unsigned int workers, uint16_t index, const char *const *addresses)
{
	struct port_config config = { .name = name, .addresses = addresses };
	struct port_environment environment = { .workers = workers, .pool = support_pool() };
	char error[512] = "";
	struct port *port = NULL;

	if (port_new(&config, &environment, index, &port, error, sizeof(error)) < 0 ||
	    port_start(port, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return port;
}

static int
setup(void **state)
{
	available = support_pool_available();
	return 0;
}

static int
teardown(void **state)
{
	assert_int_equal(support_pool_available(), available);
	return 0;
}

/* ---- byte-exact ---- */

static uint32_t
frame_len(uint32_t number)
{
	return 60 + number * 7 % 1400;
}

static void
frame_fill(uint8_t *frame, uint32_t number)
{
	for (uint32_t i = 0; i < frame_len(number); i++)
		frame[i] = (uint8_t)(i * 31 + number);
}

static void
frames_send(struct port *port, uint32_t from, uint32_t count)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint8_t frame[1500];

	for (uint32_t i = 0; i < count; i++) {
		frame_fill(frame, from + i);
		burst[i] = support_mbuf_from(frame, frame_len(from + i));
	}
	port_tx_burst(port, 0, burst, (uint16_t)count);
}

/* As many as have come, each the next of the sequence. */
static uint32_t
frames_check(struct port *port, uint32_t from)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count = port_rx_burst(port, 0, burst, PORT_BURST);
	uint8_t frame[1500];

	for (uint16_t i = 0; i < count; i++) {
		frame_fill(frame, from + i);
		assert_int_equal(burst[i]->pkt_len, frame_len(from + i));
		assert_memory_equal(rte_pktmbuf_mtod(burst[i], uint8_t *), frame, frame_len(from + i));
		rte_pktmbuf_free(burst[i]);
	}
	return count;
}

static void
frames_pass(struct port *out, struct port *in)
{
	/* A memif client offers its buffers when it first looks for packets. */
	uint32_t sent = 0, received = frames_check(in, 0);

	for (int idle = 0; received < FRAMES && idle < 2000;) {
		uint32_t count;

		if (sent < FRAMES && sent - received < 100) {
			count = RTE_MIN(FRAMES - sent, 20u);
			frames_send(out, sent, count);
			sent += count;
		}
		count = frames_check(in, received);
		received += count;
		idle = count ? 0 : idle + 1;
		if (!count)
			usleep(1000);
	}
	assert_int_equal(received, FRAMES);
	assert_int_equal(out->counters[0].values[PORT_TX_PACKETS], FRAMES);
	assert_int_equal(in->counters[0].values[PORT_RX_PACKETS], FRAMES);
	assert_int_equal(out->counters[0].values[PORT_TX_BYTES], in->counters[0].values[PORT_RX_BYTES]);
}

static void
a_ring_gives_back_what_it_was_given(void **state)
{
	struct port *port = port_make("vdev:net_ring0", 1, 0, NULL);

	assert_true(port->features & PORT_FLOW_STABLE);
	frames_pass(port, port);
	port_free(port);
}

static void
memif_passes_frames_both_ways(void **state)
{
	char server_name[128], client_name[128];
	struct port *server, *client;

	snprintf(server_name, sizeof(server_name),
		 "vdev:net_memif0,role=server,socket-abstract=no,socket=/tmp/memif-%d", (int)getpid());
	snprintf(client_name, sizeof(client_name),
		 "vdev:net_memif1,role=client,socket-abstract=no,socket=/tmp/memif-%d", (int)getpid());
	server = port_make(server_name, 1, 0, NULL);
	client = port_make(client_name, 1, 1, NULL);
	assert_string_equal(server->name, "vdev:net_memif0");
	for (int i = 0; i < 3000 && !(server->ops->link_up(server) && client->ops->link_up(client)); i++) {
		usleep(1000);
		port_refresh(server);
		port_refresh(client);
	}
	assert_true(server->ops->link_up(server));
	frames_pass(client, server);
	memset(client->counters, 0, sizeof(*client->counters));
	memset(server->counters, 0, sizeof(*server->counters));
	frames_pass(server, client);
	port_free(client);
	port_free(server);
}

static void
pcap_files_are_written_and_read(void **state)
{
	char path[64], name[128];
	struct port *port;

	snprintf(path, sizeof(path), "/tmp/port-%d.pcap", (int)getpid());
	snprintf(name, sizeof(name), "vdev:net_pcap0,tx_pcap=%s", path);
	port = port_make(name, 4, 0, NULL);
	assert_int_equal(port->queues, 1);
	for (uint32_t sent = 0; sent < FRAMES; sent += 20)
		frames_send(port, sent, 20);
	port_free(port);
	snprintf(name, sizeof(name), "vdev:net_pcap1,rx_pcap=%s", path);
	port = port_make(name, 1, 0, NULL);
	for (uint32_t received = 0; received < FRAMES;) {
		uint32_t count = frames_check(port, received);

		assert_true(count > 0);
		received += count;
	}
	port_free(port);
	unlink(path);
}

static void
the_null_device_takes_all_and_gives_all(void **state)
{
	struct port *port = port_make("vdev:net_null0,size=64", 2, 0, NULL);
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count;

	assert_int_equal(port->queues, 2);
	for (uint16_t queue = 0; queue < 2; queue++) {
		count = port_rx_burst(port, queue, burst, 32);
		assert_int_equal(count, 32);
		port_tx_burst(port, queue, burst, count);
		assert_int_equal(port->counters[queue].values[PORT_TX_PACKETS], 32);
	}
	port_free(port);
}

/* ---- checksums ---- */

static struct rte_mbuf *
udp_packet(const struct rte_ether_addr *destination, const struct rte_ether_addr *source, uint32_t from_be,
	   uint32_t to_be, uint16_t port_be)
{
	uint8_t frame[14 + 20 + 8 + 101] = { 0 };
	struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)frame;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	struct rte_mbuf *m;

	ethernet->dst_addr = *destination;
	ethernet->src_addr = *source;
	ethernet->ether_type = htons(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = 0x45;
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_UDP;
	ip->total_length = htons(sizeof(frame) - 14);
	ip->src_addr = from_be;
	ip->dst_addr = to_be;
	udp->src_port = htons(4000);
	udp->dst_port = port_be;
	udp->dgram_len = htons(8 + 101);
	memset(udp + 1, 0x5a, 101);
	m = support_mbuf_from(frame, sizeof(frame));
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 8;
	return m;
}

static void
sums_that_the_device_cannot_make_are_made_in_software(void **state)
{
	struct port *port = port_make("vdev:net_ring0", 1, 0, NULL);
	struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 9 } };
	struct rte_mbuf *m = udp_packet(&mac, &mac, htonl(0x0a050001), htonl(0x0a050002), htons(9));
	const struct rte_ipv4_hdr *ip;

	assert_false(port->features & PORT_TX_CHECKSUM);
	port_tx_burst(port, 0, &m, 1);
	assert_int_equal(port_rx_burst(port, 0, &m, 1), 1);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, ip + 1), 0);
	rte_pktmbuf_free(m);
	port_free(port);
}

/* ---- a TAP as the wire, the peer's host behind it, and the twin ---- */

static void
to_the_kernel(struct port *port)
{
	struct rte_mbuf *burst[PORT_BURST];

	for (uint16_t queue = 0; queue < port->queues; queue++) {
		uint16_t count = port_rx_burst(port, queue, burst, PORT_BURST);

		for (uint16_t i = 0; i < count; i++) {
			packet_parse(burst[i]);
			port_to_kernel(port, queue, burst[i]);
		}
	}
	port_from_kernel(port, 0);
}

struct command {
	const char *text;
	int status;
	bool done;
};

static void *
command_run(void *argument)
{
	struct command *command = argument;

	command->status = namespace_try(peer, NULL, 0, "%s", command->text);
	__atomic_store_n(&command->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Runs a command of the peer while the port works. */
static int
peer_runs(struct port *port, const char *text)
{
	struct command command = { .text = text };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, command_run, &command), 0);
	while (!__atomic_load_n(&command.done, __ATOMIC_ACQUIRE))
		to_the_kernel(port);
	pthread_join(thread, NULL);
	return command.status;
}

static const char *const twin_addresses[] = { "10.5.0.1/24", "2001:db8:5::1/64", NULL };

static struct port *
tap_make(unsigned int workers)
{
	struct port *port;

	peer = namespace_new();
	port = port_make("vdev:net_tap0,iface=dtap0", workers, 3, twin_addresses);
	namespace_run("ip link set dtap0 netns %d", (int)peer);
	namespace_run_in(peer, "sysctl -qw net.ipv6.conf.dtap0.accept_dad=0; ip link set dtap0 up;"
			       "ip addr add 10.5.0.2/24 dev dtap0; ip -6 addr add 2001:db8:5::2/64 dev dtap0 nodad");
	port_refresh(port);
	return port;
}

/* The kernel, which has the interface too, must not answer what Weir gets: sockets of packets see what comes before this
 * hook drops it. */
static struct port *
af_packet_make(void)
{
	struct port *port;

	peer = namespace_new();
	namespace_run(
		"ip link add v0 type veth peer name v1 netns %d; ip link set v0 up; nft add table netdev weir;"
		"nft add chain netdev weir ingress \"{ type filter hook ingress device v0 priority 0; policy drop; }\"",
		(int)peer);
	namespace_run_in(peer, "sysctl -qw net.ipv6.conf.v1.accept_dad=0; ip link set v1 up;"
			       "ip addr add 10.5.0.2/24 dev v1; ip -6 addr add 2001:db8:5::2/64 dev v1 nodad");
	port = port_make("vdev:net_af_packet0,iface=v0", 1, 3, twin_addresses);
	return port;
}

static void
tap_free(struct port *port)
{
	port_free(port);
	namespace_free(peer);
}

static void
the_twin_carries_the_addresses_and_what_is_not_served(void **state)
{
	struct port *port = tap_make(1);
	char answer[1024];

	assert_string_equal(port->interface_name, "weir3");
	assert_int_equal(port->ifindex, if_nametoindex("weir3"));
	namespace_try(0, answer, sizeof(answer), "ip addr show weir3");
	assert_non_null(strstr(answer, "inet 10.5.0.1/24"));
	assert_non_null(strstr(answer, "inet6 2001:db8:5::1/64"));
	assert_non_null(strstr(answer, "LOWER_UP"));
	/* The peer resolves the twin, the twin the peer. */
	assert_int_equal(peer_runs(port, "ping -q -c 3 -i 0.05 -W 2 10.5.0.1 >/dev/null"), 0);
	assert_int_equal(peer_runs(port, "ping -q -c 3 -i 0.05 -W 2 2001:db8:5::1 >/dev/null"), 0);
	assert_int_equal(peer_runs(port, "ping -q -c 2 -i 0.05 -W 2 -s 1472 -M do 10.5.0.1 >/dev/null"), 0);
	assert_true(port->counters[0].values[PORT_TO_KERNEL] >= 8);
	assert_true(port->counters[0].values[PORT_FROM_KERNEL] >= 8);
	assert_int_equal(port->counters[0].values[PORT_TO_KERNEL_DROP], 0);
	tap_free(port);
	assert_int_equal(if_nametoindex("weir3"), 0);
}

/* 512 KB from a server on the twin to a client of the peer. */
static void
tcp_through(struct port *port)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/usr/bin/python3", "python3", "-c",
		      "import socket\n"
		      "s = socket.create_server(('10.5.0.1', 5001))\n"
		      "c, _ = s.accept()\n"
		      "c.sendall(bytes(range(256)) * 2000)\n"
		      "c.close()\n",
		      NULL);
		_exit(127);
	}
	status = peer_runs(port, "/usr/bin/python3 -c \""
				 "import socket, time\n"
				 "for i in range(100):\n"
				 "    try:\n"
				 "        c = socket.create_connection((\\\"10.5.0.1\\\", 5001), 2)\n"
				 "        break\n"
				 "    except ConnectionRefusedError:\n"
				 "        time.sleep(0.05)\n"
				 "got = b\\\"\\\"\n"
				 "while True:\n"
				 "    part = c.recv(65536)\n"
				 "    if not part: break\n"
				 "    got += part\n"
				 "assert got == bytes(range(256)) * 2000\n\"");
	/* A client that failed leaves it waiting. */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(status, 0);
}

/* Its kernel gives TCP segments out with their sums complete and cut to size. */
static void
tcp_of_the_kernel_works_through_the_twin(void **state)
{
	struct port *port = tap_make(2);

	tcp_through(port);
	tap_free(port);
}

/* The peer's segments come with the pseudo-header's sum only, which the twin would refuse. */
static void
partial_sums_of_a_local_sender_are_completed_for_the_twin(void **state)
{
	struct port *port = af_packet_make();

	tcp_through(port);
	assert_int_equal(peer_runs(port, "ping -q -c 3 -i 0.05 -W 2 10.5.0.1 >/dev/null"), 0);
	tap_free(port);
	namespace_run("ip link del v0; nft delete table netdev weir");
}

static void
two_queues_of_a_tap_have_rss_and_both_are_polled(void **state)
{
	struct port *port = tap_make(2);

	assert_int_equal(port->queues, 2);
	assert_true(port->features & PORT_FLOW_STABLE);
	assert_int_equal(
		peer_runs(port, "for i in 1 2 3 4 5 6 7 8; do ping -q -c 1 -W 2 10.5.0.1 >/dev/null || exit 1; done"),
		0);
	/* Linux spreads them by its own hash. */
	for (int i = 0; i < 40; i++) {
		peer_runs(port, "bash -c \"for i in 1 2 3 4 5 6 7 8 9; do echo x >/dev/udp/10.5.0.1/700\\$i; done\"");
		if (port->counters[0].values[PORT_RX_PACKETS] && port->counters[1].values[PORT_RX_PACKETS])
			break;
	}
	assert_true(port->counters[0].values[PORT_RX_PACKETS] > 0);
	assert_true(port->counters[1].values[PORT_RX_PACKETS] > 0);
	tap_free(port);
}

/* A wrong sum would be dropped by the kernel instead of being answered. */
static void
sums_that_the_tap_driver_makes_are_right(void **state)
{
	struct port *port = tap_make(1);
	struct rte_ether_addr peer_mac;
	struct rte_mbuf *m, *burst[PORT_BURST];
	char answer[64], *end;
	bool answered = false;

	assert_true(port->features & PORT_TX_CHECKSUM);
	namespace_try(peer, answer, sizeof(answer), "ip -br link show dtap0 | tr -s \" \" | cut -d\" \" -f3");
	end = strchr(answer, '\n');
	assert_non_null(end);
	*end = '\0';
	assert_int_equal(rte_ether_unformat_addr(answer, &peer_mac), 0);
	namespace_run_in(peer, "ip neigh add 10.5.0.1 lladdr 02:00:00:00:00:77 dev dtap0");
	m = udp_packet(&peer_mac, &port->mac, htonl(0x0a050001), htonl(0x0a050002), htons(9));
	port_tx_burst(port, 0, &m, 1);
	for (int i = 0; i < 1000 && !answered; i++) {
		uint16_t count = port_rx_burst(port, 0, burst, PORT_BURST);

		for (uint16_t j = 0; j < count; j++) {
			answered |= packet_parse(burst[j]) == PACKET_OK &&
				    packet_view(burst[j])->ip_protocol == IPPROTO_ICMP;
			rte_pktmbuf_free(burst[j]);
		}
		usleep(1000);
	}
	assert_true(answered);
	tap_free(port);
}

static void
an_idle_worker_can_sleep_until_the_tap_has_packets(void **state)
{
	struct port *port = tap_make(1);
	struct pollfd fd = { .fd = port->ops->wait_fd(port, 0), .events = POLLIN };
	bool quiet = false;

	assert_true(fd.fd > 0);
	assert_true(port->ops->wait_proven(port, 0));
	/* Until the peer's kernel has introduced itself. */
	for (int i = 0; i < 100 && !quiet; i++) {
		to_the_kernel(port);
		assert_true(port->ops->arm(port, 0));
		quiet = poll(&fd, 1, 50) == 0;
	}
	assert_true(quiet);
	namespace_try(peer, NULL, 0, "ping -q -c 1 -W 1 10.5.0.1 >/dev/null");
	assert_int_equal(poll(&fd, 1, 1000), 1);
	port->ops->disarm(port, 0);
	assert_int_equal(peer_runs(port, "ping -q -c 1 -W 2 10.5.0.1 >/dev/null"), 0);
	tap_free(port);
}

static void
a_flood_reaches_the_kernel_in_bounds(void **state)
{
	static const uint8_t frame[60];
	struct port *port = tap_make(1);

	for (int i = 0; i < 20000; i++) {
		struct rte_mbuf *m = support_mbuf_from(frame, sizeof(frame));

		port_to_kernel(port, 0, m);
	}
	assert_true(port->counters[0].values[PORT_TO_KERNEL] >= 1024);
	assert_int_equal(port->counters[0].values[PORT_TO_KERNEL] + port->counters[0].values[PORT_TO_KERNEL_DROP],
			 20000);
	tap_free(port);
}

static void
the_twin_follows_the_link(void **state)
{
	struct port *port = port_make("vdev:net_tap0,iface=dtap0", 1, 0, NULL);
	char answer[512];

	assert_true(port->ops->link_up(port));
	namespace_run("ip link set dtap0 down");
	for (int i = 0; i < 100 && port->ops->link_up(port); i++) {
		usleep(10000);
		port_refresh(port);
	}
	assert_false(port->ops->link_up(port));
	namespace_try(0, answer, sizeof(answer), "ip link show weir0");
	assert_non_null(strstr(answer, "NO-CARRIER"));
	port_free(port);
}

/* ---- what is wrong, and what to do ---- */

struct mistake {
	struct port_config config;
	const char *said; /* a part of the error */
};

static const char *const wrong_address[] = { "10.5.0/24", NULL };
static const char *const wrong_prefix[] = { "10.5.0.1/33", NULL };

static const struct mistake mistakes[] = {
	{ { .name = "vdev:net_unheardof0" }, "librte-meta-net" },
	{ { .name = "vdev:net_memif0,role=emperor" }, "arguments" },
	{ { .name = "vdev:net_pcap0,rx_pcap=/nonexistent/file" }, "DPDK cannot make this device" },
	{ { .name = "00ff:01:00.0" }, "no such PCI device" },
	{ { .name = "eth0", .driver = PORT_DRIVER_DPDK }, "not a name for DPDK" },
	{ { .name = "vdev:net_null0", .mtu = 9000 }, "packet buffers" },
	{ { .name = "vdev:net_null0", .twin = "a-name-that-is-too-long" }, "at most 15 characters" },
	{ { .name = "vdev:net_null0", .twin = "taken" }, "interface of that name" },
	{ { .name = "vdev:net_null0", .twin = "lo" }, "twin lo" },
	{ { .name = "vdev:net_null0", .addresses = wrong_address }, "\"10.5.0/24\" is not an address" },
	{ { .name = "vdev:net_null0", .addresses = wrong_prefix }, "\"10.5.0.1/33\" is not an address" },
};

static void
a_mistake_is_explained_and_leaves_nothing(void **state)
{
	struct port_environment environment = { .workers = 1, .pool = support_pool() };

	namespace_run("ip tuntap add taken mode tap");
	for (size_t i = 0; i < RTE_DIM(mistakes); i++) {
		struct port *port = NULL;
		char error[512] = "";

		assert_true(port_new(&mistakes[i].config, &environment, 0, &port, error, sizeof(error)) < 0);
		print_message("%s\n", error);
		assert_non_null(strstr(error, mistakes[i].said));
		assert_int_equal(rte_eth_dev_count_avail(), 0);
		assert_int_equal(if_nametoindex("weir0"), 0);
	}
	namespace_run("ip link del taken");
}

static void
the_same_device_twice_is_refused(void **state)
{
	struct port_config config = { .name = "vdev:net_null0" };
	struct port_environment environment = { .workers = 1, .pool = support_pool() };
	struct port *first = port_make("vdev:net_null0", 1, 0, NULL), *second = NULL;
	char error[512] = "";

	assert_int_equal(port_new(&config, &environment, 1, &second, error, sizeof(error)), -EEXIST);
	port_free(first);
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(a_ring_gives_back_what_it_was_given),
		ROW(memif_passes_frames_both_ways),
		ROW(pcap_files_are_written_and_read),
		ROW(the_null_device_takes_all_and_gives_all),
		ROW(sums_that_the_device_cannot_make_are_made_in_software),
		ROW(the_twin_carries_the_addresses_and_what_is_not_served),
		ROW(tcp_of_the_kernel_works_through_the_twin),
		ROW(partial_sums_of_a_local_sender_are_completed_for_the_twin),
		ROW(two_queues_of_a_tap_have_rss_and_both_are_polled),
		ROW(sums_that_the_tap_driver_makes_are_right),
		ROW(an_idle_worker_can_sleep_until_the_tap_has_packets),
		ROW(a_flood_reaches_the_kernel_in_bounds),
		ROW(the_twin_follows_the_link),
		ROW(a_mistake_is_explained_and_leaves_nothing),
		ROW(the_same_device_twice_is_refused),
	};
#undef ROW

	namespace_enter();
	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
