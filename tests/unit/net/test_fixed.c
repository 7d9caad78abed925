/* A mirror of nothing: what it is given is all there is, whatever the host has. */
#include <linux/if_ether.h>
#include <stdlib.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "hosts.h"
#include "run/qsbr.h"
#include "support/dpdk.h"

#define MAC_GATEWAY "02:00:00:00:00:fe"

static struct net_fixed_address addresses[3];
static struct net_fixed_neighbor neighbors[4];
static unsigned int available;
static uint64_t now_ns;

static void
make(uint32_t neighbor_count)
{
	char error[256];

	assert_int_equal(
		net_mirror_new_fixed(&mirror, &v0->port, addresses, 3, neighbors, neighbor_count, error, sizeof(error)),
		0);
	output = net_output_new(mirror, 0, now_ns);
	assert_non_null(output);
}

static int
setup(void **state)
{
	available = support_pool_available();
	now_ns = NS_PER_SECOND;
	memory_port_init(v0, 0, "replay");
	v0->port.ifindex = 7;
	v0->port.mac = (struct rte_ether_addr){ { 2, 0, 0, 0, 0, 1 } };
	addresses[0] = (struct net_fixed_address){ hosts_address("10.1.0.1"), 24 };
	addresses[1] = (struct net_fixed_address){ hosts_address("10.2.0.1"), 24 };
	addresses[2] = (struct net_fixed_address){ hosts_address("2001:db8:1::1"), 64 };
	neighbors[0] = (struct net_fixed_neighbor){ hosts_address("10.1.0.2"), { 2, 0, 0, 0, 1, 1 } };
	neighbors[1] = (struct net_fixed_neighbor){ hosts_address("2001:db8:1::2"), { 2, 0, 0, 0, 1, 1 } };
	neighbors[2] = (struct net_fixed_neighbor){ hosts_address("198.51.100.7"), { 2, 0, 0, 0, 1, 2 } };
	neighbors[3] = (struct net_fixed_neighbor){ hosts_address("0.0.0.0"), { 2, 0, 0, 0, 0, 0xfe } };
	return qsbr_init(1);
}

static int
teardown(void **state)
{
	net_output_free(output);
	net_mirror_free(mirror);
	qsbr_fini();
	memory_port_clear(v0);
	assert_int_equal(support_pool_available(), available);
	return 0;
}

static void
source_is(const char *remote, const char *expected)
{
	struct ip_address r = hosts_address(remote), e = hosts_address(expected), source;
	uint16_t mtu;

	assert_true(net_route_source(mirror, &r, &source, &mtu));
	assert_true(ip_address_equal(&source, &e));
	assert_int_equal(mtu, 1500);
}

static void
everything_has_its_way(void **state)
{
	static const struct {
		const char *destination, *mac;
	} ways[] = {
		{ "10.1.0.2", MAC_PEER },      { "2001:db8:1::2", MAC_PEER }, { "198.51.100.7", MAC_PEER_W },
		{ "192.0.2.99", MAC_GATEWAY }, { "2620::1", MAC_GATEWAY },
	};
	uint32_t count = sizeof(ways) / sizeof(ways[0]);

	make(4);
	for (uint32_t i = 0; i < count; i++) {
		struct ip_address destination = hosts_address(ways[i].destination);

		net_output_send(output, packet_to(ways[i].destination, 64));
		net_hop_send(output, net_hop_find(output, &destination), packet_to(ways[i].destination, 64));
		net_output_via(output, packet_to("203.0.113.5", 64), &destination);
	}
	net_output_flush(output, now_ns);
	assert_int_equal(v0->count, 3 * count);
	for (uint32_t i = 0; i < 3 * count; i++) {
		bool v4 = i % 3 == 2 || !strchr(ways[i / 3].destination, ':');

		assert_frame(v0->packets[i], ways[i / 3].mac, MAC_V0, v4 ? ETH_P_IP : ETH_P_IPV6);
	}
	assert_int_equal(net_output_next_ns(output), UINT64_MAX);
}

static void
addresses_are_this_hosts(void **state)
{
	struct ip_address mine = hosts_address("10.2.0.1"), other = hosts_address("10.2.0.2");

	make(4);
	assert_true(net_is_local(mirror, &mine));
	assert_false(net_is_local(mirror, &other));
	assert_int_equal(net_interface_of(mirror, &mine), 7);
	assert_int_equal(net_interface_towards(mirror, &other), 7);
	assert_string_equal(net_interface_name(mirror, 7), "replay");
	source_is("10.1.0.77", "10.1.0.1");
	source_is("10.2.0.77", "10.2.0.1");
	source_is("192.0.2.1", "10.1.0.1");
	source_is("2001:db8:1::77", "2001:db8:1::1");
}

static void
each_version_has_its_own_gateway_where_it_is_given(void **state)
{
	neighbors[2] = (struct net_fixed_neighbor){ hosts_address("::"), { 2, 0, 0, 0, 1, 2 } };
	make(4);
	net_output_send(output, packet_to("192.0.2.1", 64));
	net_output_send(output, packet_to("2620::1", 64));
	net_output_flush(output, now_ns);
	assert_int_equal(v0->count, 2);
	assert_frame(v0->packets[0], MAC_GATEWAY, MAC_V0, ETH_P_IP);
	assert_frame(v0->packets[1], MAC_PEER_W, MAC_V0, ETH_P_IPV6);
}

static void
there_is_no_way_without_a_gateway(void **state)
{
	make(3);
	net_output_send(output, packet_to("192.0.2.1", 64));
	net_output_send(output, packet_to("2620::1", 64));
	net_output_send(output, packet_to("10.1.0.1", 64));
	assert_int_equal(counter(NET_COUNT_NO_ROUTE), 3);
}

static void
an_unknown_neighbor_stays_unknown(void **state)
{
	make(4);
	net_output_send(output, packet_to("10.1.0.3", 64));
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 1);
	/* More questions than fit; nobody reads them. */
	for (int i = 0; i < 2000; i++)
		net_output_flush(output, now_ns += NS_PER_MS);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_FAILED), 0);
	net_output_flush(output, now_ns += NS_PER_SECOND);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_FAILED), 1);
	assert_int_equal(v0->count, 0);
}

static void
ports_may_be_taken_away(void **state)
{
	make(4);
	net_mirror_ports(mirror, NULL, 0);
	net_output_send(output, packet_to("10.1.0.2", 64));
	assert_int_equal(counter(NET_COUNT_NO_PORT), 1);
}

static void
a_prefix_that_is_too_long_is_refused(void **state)
{
	char error[256] = "";

	make(0);
	addresses[1].prefix_len = 33;
	assert_int_equal(net_mirror_new_fixed(&mirror, &v0->port, addresses, 3, neighbors, 4, error, sizeof(error)),
			 -EINVAL);
	assert_string_equal(error, "address 10.2.0.1 cannot have a prefix of 33 bits");
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(everything_has_its_way),
		ROW(addresses_are_this_hosts),
		ROW(each_version_has_its_own_gateway_where_it_is_given),
		ROW(there_is_no_way_without_a_gateway),
		ROW(an_unknown_neighbor_stays_unknown),
		ROW(ports_may_be_taken_away),
		ROW(a_prefix_that_is_too_long_is_refused),
	};
#undef ROW

	support_dpdk_init();
	v0 = calloc(1, sizeof(*v0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
