/* Sending: a veth whose other end is a real Linux host in a namespace of its own, which answers ARP and NDP. */
#include <linux/if_ether.h>
#include <stdio.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "hosts.h"
#include "net/waiting.h"
#include "packet/view.h"
#include "support/dpdk.h"
#include "support/namespace.h"

/* One packet, and the counter that it adds to. */
static enum net_counter
outcome_of(const char *destination)
{
	uint64_t before[NET_COUNTER_COUNT];

	memcpy(before, net_output_counters(output), sizeof(before));
	send_to(destination);
	flush();
	for (unsigned int i = 0; i < NET_COUNTER_COUNT; i++)
		if (counter((enum net_counter)i) != before[i])
			return (enum net_counter)i;
	fail_msg("nothing was counted");
	return NET_COUNTER_COUNT;
}

/* ---- tests ---- */

static void
a_neighbor_nobody_knows_is_resolved_while_the_packet_waits(void **state)
{
	uint64_t started = clock_monotonic_ns();

	send_to("10.1.0.2");
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 1);
	assert_true(net_output_next_ns(output) != UINT64_MAX);
	assert_true(await(received(v0, 1)));
	print_message("IPv4: resolved after %llu us\n", (unsigned long long)(clock_monotonic_ns() - started) / 1000);
	assert_frame(v0->packets[0], MAC_PEER, MAC_V0, ETH_P_IP);
	started = clock_monotonic_ns();
	send_to("2001:db8:1::2");
	assert_true(await(received(v0, 2)));
	print_message("IPv6: resolved after %llu us\n", (unsigned long long)(clock_monotonic_ns() - started) / 1000);
	assert_frame(v0->packets[1], MAC_PEER, MAC_V0, ETH_P_IPV6);
	assert_int_equal(net_output_next_ns(output), UINT64_MAX);
	/* And the next ones do not wait. */
	assert_int_equal(outcome_of("10.1.0.2"), NET_COUNT_SENT);
	assert_int_equal(outcome_of("2001:db8:1::2"), NET_COUNT_SENT);
}

static void
packets_go_by_gateways_of_either_family(void **state)
{
	namespace_run("ip route add 192.0.2.0/24 via 10.1.0.2; ip -6 route add 2001:db8:9::/48 via fe80::99 dev v0;"
		      "ip route add 198.51.100.0/24 via inet6 2001:db8:1::2 dev v0");
	usleep(50000);
	send_to("192.0.2.1");
	assert_true(await(received(v0, 1)));
	send_to("2001:db8:9::1");
	assert_true(await(received(v0, 2)));
	send_to("198.51.100.1");
	assert_true(await(received(v0, 3)));
	assert_frame(v0->packets[0], MAC_PEER, MAC_V0, ETH_P_IP);
	assert_frame(v0->packets[1], MAC_PEER, MAC_V0, ETH_P_IPV6);
	assert_frame(v0->packets[2], MAC_PEER, MAC_V0, ETH_P_IP);
}

static void
so_many_packets_wait_and_keep_their_order(void **state)
{
	for (int i = 0; i < 131; i++) {
		struct rte_mbuf *m = packet_to("10.1.0.2", (uint16_t)(10 + i));

		net_output_send(output, m);
	}
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 128);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_QUEUE_FULL), 3);
	assert_true(await(received(v0, 128)));
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(v0->packets[i]->pkt_len, 14 + 20 + 10 + i);
}

static void
only_so_many_neighbors_are_waited_for(void **state)
{
	char text[32];

	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "10.1.0.%d", 100 + i);
		send_to(text);
	}
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 32);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_QUEUE_FULL), 8);
}

static void
neighbors_that_do_not_answer_leave_room_for_others(void **state)
{
	char text[32];

	for (int i = 0; i < 20 * 128; i++) {
		snprintf(text, sizeof(text), "10.1.0.%d", 100 + i / 128);
		send_to(text);
	}
	/* Eight have all that they may have, and the others a little. */
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 8 * 128 + 12 * 8);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_QUEUE_FULL), 12 * 120);
	send_to("10.1.0.2");
	assert_true(await(received(v0, 1)));
	assert_frame(v0->packets[0], MAC_PEER, MAC_V0, ETH_P_IP);
}

static void
room_is_given_back(void **state)
{
	static struct waiting waiting;
	struct ip_address address = hosts_address("10.1.0.2");
	struct rte_mbuf *packets[WAITING_PACKETS], *m = packet_to("10.1.0.2", 64);

	for (int round = 0; round < 20; round++) {
		struct waiting_neighbor *n = waiting_find(&waiting, 7, &address, NET_HOP_NONE, 0);

		for (int i = 0; i < WAITING_PACKETS; i++)
			assert_true(waiting_add(&waiting, n, m));
		assert_false(waiting_add(&waiting, n, m));
		assert_int_equal(waiting_take(&waiting, n, packets), WAITING_PACKETS);
		assert_int_equal(waiting.count, 0);
	}
	rte_pktmbuf_free(m);
}

static void
a_packet_goes_by_the_neighbor_that_it_is_given(void **state)
{
	struct ip_address next = hosts_address("10.1.0.2"), next_v6 = hosts_address("2001:db8:1::2"),
			  nowhere = hosts_address("192.0.2.1");

	/* One that waits, and one whose destination is this very host. */
	net_output_via(output, packet_to("203.0.113.7", 64), &next);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 1);
	assert_true(await(received(v0, 1)));
	net_output_via(output, packet_to("10.1.0.1", 64), &next);
	flush();
	assert_int_equal(v0->count, 2);
	for (uint32_t i = 0; i < 2; i++)
		assert_frame(v0->packets[i], MAC_PEER, MAC_V0, ETH_P_IP);
	/* The type of the frame is that of the packet, not of the neighbour. */
	net_output_via(output, packet_to("203.0.113.7", 64), &next_v6);
	assert_true(await(received(v0, 3)));
	assert_frame(v0->packets[2], MAC_PEER, MAC_V0, ETH_P_IP);
	net_output_via(output, packet_to("2001:db8:77::1", 64), &next);
	flush();
	assert_frame(v0->packets[3], MAC_PEER, MAC_V0, ETH_P_IPV6);
	net_output_via(output, packet_to("10.1.0.2", 64), &nowhere);
	assert_int_equal(counter(NET_COUNT_NO_ROUTE), 1);
	net_output_via(output, packet_to("203.0.113.7", 1481), &next);
	assert_int_equal(counter(NET_COUNT_TOO_BIG), 1);
}

static void
a_packet_too_big_for_the_neighbor_that_it_is_given_does_not_wait(void **state)
{
	struct ip_address next = hosts_address("10.1.0.2");

	net_output_via(output, packet_to("203.0.113.7", 1481), &next);
	assert_int_equal(counter(NET_COUNT_TOO_BIG), 1);
	assert_int_equal(counter(NET_COUNT_NEIGHBOR_WAIT), 0);
}

static bool
waited_in_vain(void)
{
	flush();
	return counter(NET_COUNT_NEIGHBOR_FAILED) >= 1;
}

static void
a_neighbor_that_does_not_answer_fails_and_is_asked_again_later(void **state)
{
	uint64_t asked;

	send_to("10.1.0.99");
	assert_true(await(waited_in_vain()));
	asked = net_mirror_counters(mirror)[NET_MIRROR_COUNT_ASKED];
	/* Not at once, ... */
	for (int i = 0; i < 20; i++)
		assert_int_equal(outcome_of("10.1.0.99"), NET_COUNT_NEIGHBOR_FAILED);
	assert_int_equal(net_mirror_counters(mirror)[NET_MIRROR_COUNT_ASKED], asked);
	/* ... but when it is there after all. */
	namespace_run_in(peer, "ip addr add 10.1.0.99/24 dev v1");
	usleep(1100000);
	flush();
	send_to("10.1.0.99");
	assert_true(await(received(v0, 1)));
	assert_true(net_mirror_counters(mirror)[NET_MIRROR_COUNT_ASKED] > asked);
}

static bool
sent_to_mac(const char *destination, const char *mac)
{
	const struct rte_ether_hdr *ethernet;

	memory_port_clear(v0);
	send_to(destination);
	flush();
	if (!v0->count)
		return false;
	ethernet = rte_pktmbuf_mtod(v0->packets[0], const struct rte_ether_hdr *);
	return strcmp(mac_text(&ethernet->dst_addr), mac) == 0;
}

static void
a_changed_mac_address_is_used_at_once(void **state)
{
	uint64_t started;

	send_to("10.1.0.2");
	assert_true(await(received(v0, 1)));
	for (int i = 1; i < 4; i++) {
		char mac[18];

		snprintf(mac, sizeof(mac), "02:00:00:00:02:%02d", i);
		namespace_run("ip neigh replace 10.1.0.2 lladdr %s dev v0", mac);
		started = clock_monotonic_ns();
		assert_true(await(sent_to_mac("10.1.0.2", mac)));
		assert_true(clock_monotonic_ns() - started < 500 * NS_PER_MS);
	}
}

static bool
linux_says(const char *address, const char *state_name)
{
	char answer[256];

	namespace_try(0, answer, sizeof(answer), "ip neigh show %s", address);
	return strstr(answer, state_name) != NULL;
}

static void
a_stale_neighbor_in_use_is_confirmed_by_linux(void **state)
{
	uint64_t asked;

	send_to("10.1.0.2");
	assert_true(await(received(v0, 1)));
	asked = net_mirror_counters(mirror)[NET_MIRROR_COUNT_ASKED];
	usleep(20000);
	namespace_run("ip neigh change 10.1.0.2 lladdr " MAC_PEER " dev v0 nud stale");
	usleep(20000);
	/* Linux had been asked just now, as it is at most once per some seconds; then it is again. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(outcome_of("10.1.0.2"), NET_COUNT_SENT);
	assert_true(linux_says("10.1.0.2", "STALE"));
	usleep(3000000);
	flush();
	for (int i = 0; i < 100; i++)
		assert_int_equal(outcome_of("10.1.0.2"), NET_COUNT_SENT);
	assert_true(await(linux_says("10.1.0.2", "REACHABLE")));
	assert_int_equal(net_mirror_counters(mirror)[NET_MIRROR_COUNT_ASKED], asked + 1);
}

static void
what_is_for_this_host_leaves_through_lo_without_addresses(void **state)
{
	send_to("10.1.0.1");
	send_to("127.0.0.1");
	send_to("::1");
	flush();
	assert_int_equal(lo->count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_frame(lo->packets[i], "00:00:00:00:00:00", "00:00:00:00:00:00", i == 2 ? ETH_P_IPV6 : ETH_P_IP);
}

static void
every_drop_has_its_name(void **state)
{
	struct port *ports[1] = { &v0->port };

	namespace_run("ip route add blackhole 192.0.2.0/24; ip route add 203.0.113.0/24 via 10.2.0.2");
	usleep(50000);
	assert_int_equal(outcome_of("8.8.8.8"), NET_COUNT_NO_ROUTE);
	assert_int_equal(outcome_of("2620::1"), NET_COUNT_NO_ROUTE);
	assert_int_equal(outcome_of("192.0.2.1"), NET_COUNT_UNREACHABLE);
	assert_int_equal(outcome_of("255.255.255.255"), NET_COUNT_NO_ROUTE);
	assert_int_equal(outcome_of("10.1.0.255"), NET_COUNT_UNREACHABLE);
	namespace_run_in(peer, "ip link set w1 down");
	usleep(50000);
	assert_int_equal(outcome_of("10.2.0.2"), NET_COUNT_LINK_DOWN);
	assert_int_equal(outcome_of("203.0.113.1"), NET_COUNT_LINK_DOWN);
	net_mirror_ports(mirror, ports, 1);
	assert_int_equal(outcome_of("10.2.0.2"), NET_COUNT_NO_PORT);
	assert_int_equal(outcome_of("127.0.0.1"), NET_COUNT_NO_PORT);
}

static void
a_packet_above_the_mtu_is_dropped_unless_the_device_cuts_it(void **state)
{
	struct rte_mbuf *m;

	namespace_run("ip neigh add 10.1.0.7 lladdr " MAC_PEER " dev v0; ip route add 10.1.0.7 dev v0 mtu 1000");
	usleep(50000);
	net_output_send(output, packet_to("10.1.0.7", 980));
	net_output_send(output, packet_to("10.1.0.7", 981));
	flush();
	assert_int_equal(v0->count, 1);
	assert_int_equal(counter(NET_COUNT_TOO_BIG), 1);
	v0->port.features |= PORT_TX_TSO;
	m = packet_to("10.1.0.7", 2000);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	m->l4_len = 20;
	m->tso_segsz = 960;
	net_output_send(output, m);
	flush();
	assert_int_equal(v0->count, 2);
}

static void
the_hops_of_a_route_share_destinations_and_replace_each_other(void **state)
{
	uint32_t on_v0;
	char text[32];

	namespace_run("ip neigh add 10.1.0.7 lladdr " MAC_PEER " dev v0; ip neigh add 10.2.0.7 lladdr " MAC_PEER_W
		      " dev w0;"
		      "ip route add 192.0.2.0/24 nexthop via 10.1.0.7 weight 3 nexthop via 10.2.0.7 weight 1");
	usleep(50000);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 200; i++) {
			snprintf(text, sizeof(text), "192.0.2.%d", i);
			assert_int_equal(outcome_of(text), NET_COUNT_SENT);
		}
		/* Each destination keeps to its hop. */
		assert_int_equal(v0->count + w0->count, 200 * (round + 1));
		if (round == 0)
			on_v0 = v0->count;
		assert_int_equal(v0->count, on_v0 * (uint32_t)(round + 1));
	}
	assert_in_range(on_v0, 120, 180);
	namespace_run_in(peer, "ip link set w1 down");
	usleep(50000);
	memory_port_clear(v0);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		assert_int_equal(outcome_of(text), NET_COUNT_SENT);
	}
	assert_int_equal(v0->count, 200);
}

static void
keep_handed_over(void *context, unsigned int worker, struct rte_mbuf *m)
{
	assert_int_equal(worker, 1 % v0->port.queues);
	assert_int_equal(packet_view(m)->port_index, 0);
	*(struct rte_mbuf **)context = m;
}

static void
a_worker_without_a_queue_hands_over(void **state)
{
	struct net_output *second = net_output_new(mirror, 1, clock_monotonic_ns());
	struct rte_mbuf *handed = NULL;

	namespace_run("ip neigh add 10.1.0.7 lladdr " MAC_PEER " dev v0");
	usleep(50000);
	net_output_handover(second, keep_handed_over, &handed);
	net_output_send(second, packet_to("10.1.0.7", 64));
	assert_non_null(handed);
	assert_frame(handed, MAC_PEER, MAC_V0, ETH_P_IP);
	net_output_frame(output, &v0->port, handed);
	flush();
	assert_int_equal(v0->count, 1);
	assert_int_equal(v0->queues[0], 0);
	net_output_free(second);
}

static void
a_full_burst_leaves_without_a_flush(void **state)
{
	namespace_run("ip neigh add 10.1.0.7 lladdr " MAC_PEER " dev v0");
	usleep(50000);
	for (int i = 0; i < PORT_BURST + 1; i++)
		send_to("10.1.0.7");
	assert_int_equal(v0->count, PORT_BURST);
	assert_int_equal(counter(NET_COUNT_SENT), PORT_BURST);
	flush();
	assert_int_equal(v0->count, PORT_BURST + 1);
}

/* ---- what a packet costs: told, not judged ---- */

static void
discard(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		rte_pktmbuf_adj(m[i], 14);
}

static void
a_known_destination_is_cheap(void **state)
{
	static const struct port_ops nowhere = { .kind = "nowhere", .tx_burst = discard };
	const struct port_ops *kept = v0->port.ops;
	struct rte_mbuf *packets[PORT_BURST];
	uint64_t best_ns = UINT64_MAX, rounds = 1000, windows = 40;

	namespace_run("ip neigh add 10.1.0.7 lladdr " MAC_PEER " dev v0");
	usleep(50000);
	v0->port.ops = &nowhere;
	for (int i = 0; i < PORT_BURST; i++)
		packets[i] = packet_to("10.1.0.7", 64);
	for (uint64_t window = 0; window < windows; window++) {
		uint64_t started = clock_monotonic_ns(), took_ns;

		for (uint64_t round = 0; round < rounds; round++)
			for (int i = 0; i < PORT_BURST; i++)
				net_output_send(output, packets[i]);
		took_ns = clock_monotonic_ns() - started;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	print_message("%.1f ns per packet to a known destination\n", (double)best_ns / (double)(rounds * PORT_BURST));
	assert_int_equal(counter(NET_COUNT_SENT), windows * rounds * PORT_BURST);
	for (int i = 0; i < PORT_BURST; i++)
		rte_pktmbuf_free(packets[i]);
	v0->port.ops = kept;
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, hosts_setup, hosts_teardown)
	const struct CMUnitTest tests[] = {
		ROW(a_neighbor_nobody_knows_is_resolved_while_the_packet_waits),
		ROW(packets_go_by_gateways_of_either_family),
		ROW(so_many_packets_wait_and_keep_their_order),
		ROW(only_so_many_neighbors_are_waited_for),
		ROW(neighbors_that_do_not_answer_leave_room_for_others),
		ROW(room_is_given_back),
		ROW(a_packet_goes_by_the_neighbor_that_it_is_given),
		ROW(a_packet_too_big_for_the_neighbor_that_it_is_given_does_not_wait),
		ROW(a_neighbor_that_does_not_answer_fails_and_is_asked_again_later),
		ROW(a_changed_mac_address_is_used_at_once),
		ROW(a_stale_neighbor_in_use_is_confirmed_by_linux),
		ROW(what_is_for_this_host_leaves_through_lo_without_addresses),
		ROW(every_drop_has_its_name),
		ROW(a_packet_above_the_mtu_is_dropped_unless_the_device_cuts_it),
		ROW(the_hops_of_a_route_share_destinations_and_replace_each_other),
		ROW(a_worker_without_a_queue_hands_over),
		ROW(a_full_burst_leaves_without_a_flush),
		ROW(a_known_destination_is_cheap),
	};
#undef ROW

	hosts_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
