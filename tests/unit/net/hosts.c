#include "hosts.h"

#include <net/if.h>
#include <rte_ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "run/qsbr.h"
#include "support/dpdk.h"
#include "support/namespace.h"

struct net_mirror *mirror;
struct net_output *output;
struct memory_port *v0, *w0, *lo;
pid_t peer;
static unsigned int available;

void
hosts_init(void)
{
	namespace_enter();
	support_dpdk_init();
	v0 = calloc(3, sizeof(*v0));
	w0 = v0 + 1, lo = v0 + 2;
}

struct ip_address
hosts_address(const char *text)
{
	struct ip_address address;

	assert_int_equal(ip_address_parse(bytes_of_string(text), &address), 0);
	return address;
}

/* ---- the two hosts ---- */

int
hosts_setup(void **state)
{
	struct port *ports[3];
	char error[256];

	peer = namespace_new();
	namespace_run(
		"ip -batch - <<-END\n"
		"link add v0 address " MAC_V0 " type veth peer name v1 address " MAC_PEER " netns %d\n"
		"link add w0 address " MAC_W0 " type veth peer name w1 address " MAC_PEER_W " netns %d\nEND\n"
		"for i in v0 w0; do sysctl -qw net.ipv6.conf.$i.accept_dad=0 net.ipv4.neigh.$i.mcast_solicit=2"
		" net.ipv4.neigh.$i.retrans_time_ms=100 net.ipv4.neigh.$i.delay_first_probe_time=1"
		" net.ipv4.neigh.$i.ucast_solicit=1; done;"
		"ip -batch - <<-END\nlink set v0 up\nlink set w0 up\n"
		"addr add 10.1.0.1/24 dev v0\naddr add 2001:db8:1::1/64 dev v0 nodad\naddr add 10.2.0.1/24 dev w0\nEND",
		(int)peer, (int)peer);
	namespace_run_in(peer, "sysctl -qw net.ipv6.conf.v1.accept_dad=0 net.ipv6.conf.w1.accept_dad=0;"
			       "ip -batch - <<-END\nlink set v1 up\nlink set w1 up\n"
			       "addr add 10.1.0.2/24 dev v1\naddr add 10.1.0.3/24 dev v1\n"
			       "addr add 2001:db8:1::2/64 dev v1 nodad\naddr add fe80::99/64 dev v1 nodad\n"
			       "addr add 10.2.0.2/24 dev w1\nEND\n");
	memory_port_init(v0, 0, "v0");
	memory_port_init(w0, 1, "w0");
	memory_port_init(lo, 2, "lo");
	lo->port.features |= PORT_LOOPBACK;
	lo->port.mtu = 65535;
	ports[0] = &v0->port, ports[1] = &w0->port, ports[2] = &lo->port;
	available = support_pool_available();
	assert_int_equal(qsbr_init(2), 0);
	assert_int_equal(net_mirror_new(&mirror, error, sizeof(error)), 0);
	net_mirror_ports(mirror, ports, 3);
	assert_int_equal(net_mirror_start(mirror, NULL, NULL), 0);
	output = net_output_new(mirror, 0, clock_monotonic_ns());
	assert_non_null(output);
	return 0;
}

int
hosts_teardown(void **state)
{
	net_output_free(output);
	net_mirror_free(mirror);
	qsbr_fini();
	memory_port_clear(v0);
	memory_port_clear(w0);
	memory_port_clear(lo);
	assert_int_equal(support_pool_available(), available);
	namespace_run("ip link del v0; ip link del w0; ip route flush table main; ip -6 route flush table main");
	namespace_free(peer);
	return 0;
}

/* ---- the worker 0 that the test is ---- */

struct rte_mbuf *
packet_to(const char *text, uint16_t payload)
{
	struct ip_address destination = hosts_address(text);
	uint8_t data[40 + 2000] = { 0 };
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)data;
	struct rte_ipv6_hdr *v6 = (struct rte_ipv6_hdr *)data;
	struct rte_mbuf *m;
	bool is_v4;

	is_v4 = ip_address_is_v4(&destination);
	if (is_v4) {
		v4->version_ihl = 0x45;
		v4->dst_addr = ip_address_v4_be(&destination);
	} else {
		v6->vtc_flow = htonl(6u << 28);
		memcpy(v6->dst_addr, destination.bytes, 16);
	}
	m = support_mbuf_from(data, (is_v4 ? 20 : 40) + (size_t)payload);
	m->l3_len = is_v4 ? 20 : 40;
	return m;
}

void
send_to(const char *text)
{
	qsbr_worker_online(0);
	net_output_send(output, packet_to(text, 64));
	qsbr_worker_offline(0);
}

void
flush(void)
{
	qsbr_worker_online(0);
	net_output_flush(output, clock_monotonic_ns());
	qsbr_worker_offline(0);
}

uint64_t
counter(enum net_counter which)
{
	return net_output_counters(output)[which];
}

bool
received(struct memory_port *port, uint32_t count)
{
	flush();
	return port->count >= count;
}

const char *
mac_text(const struct rte_ether_addr *mac)
{
	static char text[2][18];
	static int next;

	rte_ether_format_addr(text[next ^= 1], 18, mac);
	for (char *c = text[next]; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c);
	return text[next];
}

void
assert_frame(const struct rte_mbuf *m, const char *destination, const char *source, uint16_t type)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	assert_string_equal(mac_text(&ethernet->dst_addr), destination);
	assert_string_equal(mac_text(&ethernet->src_addr), source);
	assert_int_equal(ntohs(ethernet->ether_type), type);
	assert_int_equal(m->l2_len, 14);
}
