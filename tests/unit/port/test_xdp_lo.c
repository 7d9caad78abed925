/* AF_XDP on lo: its settings, and answers that reach the host itself. */
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <rte_udp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/device.h"
#include "support/cmocka.h"
#include "support/namespace.h"
#include "xdp_wire.h"

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
		assert_int_equal(wire_receive(0, &m, 1), 1);
		turn_around(m, to.ss_family == AF_INET6);
		port_tx_burst(wire.port, 0, &m, 1);
		assert_int_equal(recv(fd, answer, sizeof(answer), 0), len);
		assert_memory_equal(answer, question, len);
	}
	close(fd);
}

static void
lo_is_changed_served_and_restored(void **state)
{
	assert_lo_settings(1, 0);
	wire_serve("127.0.0.1");
	wire_open(&(struct port_config){ .name = "lo" }, 1);
	assert_int_equal(wire.port->features & PORT_LOOPBACK, PORT_LOOPBACK);
	assert_true(wire.port->mtu >= 1500);
	assert_lo_settings(0, 1);
	ask_over_lo("127.0.0.1", 200);
	port_free(wire.port);
	wire.port = NULL;
	assert_lo_settings(1, 0);
}

static void
segmentation_stays_where_long_packets_are_welcome(void **state)
{
	wire.long_packets = true;
	wire_serve("127.0.0.1");
	wire_open(&(struct port_config){ .name = "lo" }, 1);
	assert_int_equal(port_device_setting_read("lo", ETHTOOL_GTSO), 1);
	assert_int_equal(port_device_setting_read("lo", ETHTOOL_GGSO), 1);
	assert_int_equal(sysctl_of_lo("accept_local"), 1);
	ask_over_lo("127.0.0.1", 20);
	port_free(wire.port);
	wire.port = NULL;
	assert_lo_settings(1, 0);
}

static void
lo_is_served_over_ipv6(void **state)
{
	wire_serve("[::1]");
	wire_open(&(struct port_config){ .name = "lo" }, 1);
	ask_over_lo("[::1]", 50);
}

/* What lo carries is not cut up: its MTU is longer than any packet buffer. */
static void
a_packet_longer_than_a_buffer_comes_in_several(void **state)
{
	static uint8_t large[9000], copy[9000];
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(OUR_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rte_mbuf *m[1];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 7 + i / 251);
	wire_serve("127.0.0.1");
	wire_open(&(struct port_config){ .name = "lo" }, 1);
	assert_int_equal(sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(large));
	assert_int_equal(wire_receive(0, m, 1), 1);
	assert_int_equal(m[0]->pkt_len, 14 + 20 + 8 + sizeof(large));
	assert_true(m[0]->nb_segs > 1);
	assert_memory_equal(rte_pktmbuf_read(m[0], 42, sizeof(large), copy), large, sizeof(large));
	rte_pktmbuf_free(m[0]);
	port_refresh(wire.port);
	assert_int_equal(wire_counter(PORT_RX_OVERSIZE), 0);
	assert_int_equal(wire_counter(PORT_RX_MISSED), 0);
	ask_over_lo("127.0.0.1", 1);
	close(fd);
}

/* Another Weir, which has lo and says so. */
static int
hold_lo(void)
{
	if (wire_set_up(NULL) < 0)
		return 1;
	wire_open(&(struct port_config){ .name = "lo" }, 1);
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
	wire_serve("127.0.0.1");
	for (int i = 0; i < 200; i++) {
		uint32_t id = 0;

		if (bpf_xdp_query_id(1, 0, &id) == 0 && id == 0)
			break;
		wire_nap();
	}
	wire_open(&(struct port_config){ .name = "lo" }, 1);
	ask_over_lo("127.0.0.1", 3);
	port_free(wire.port);
	wire.port = NULL;
	assert_lo_settings(1, 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(lo_is_changed_served_and_restored),
		WIRE_TEST(lo_is_served_over_ipv6),
		WIRE_TEST(segmentation_stays_where_long_packets_are_welcome),
		WIRE_TEST(a_packet_longer_than_a_buffer_comes_in_several),
		WIRE_TEST(after_a_kill_the_next_start_restores_lo),
	};

	if (argc > 1)
		return wire_init() || hold_lo();
	namespace_enter();
	if (wire_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
