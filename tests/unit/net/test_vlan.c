/*
 * VLAN interfaces: messages as Linux writes them (rtnl_fill_ifinfo(), vlan_fill_info()), and packets that leave through the
 * port below with a tag. With a real interface too where the kernel has them.
 */
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "hosts.h"
#include "net/message.h"
#include "net/mirror.h"
#include "run/qsbr.h"
#include "support/dpdk.h"
#include "support/namespace.h"

#define LOWER 7
#define VLAN 70
#define MAC_VLAN "02:00:00:00:00:0a"

struct vlan_message {
	const char *kind;
	uint16_t id, protocol;
	int32_t lower;      /* 0: not told */
	uint32_t mtu;       /* 0: 1500 */
	bool elsewhere;     /* the link below is in another namespace */
	bool no_data;       /* a kind without its particulars */
	unsigned int flags; /* 0: up, with carrier */
};

static const struct nlmsghdr *
message_of(const struct vlan_message *in)
{
	static char buffer[1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	struct nlattr *link_info, *data;

	header->nlmsg_type = RTM_NEWLINK;
	info->ifi_type = 1;
	info->ifi_index = VLAN;
	info->ifi_flags = in->flags ? in->flags : IFF_UP | IFF_RUNNING | IFF_BROADCAST | 1 << 16;
	mnl_attr_put_strz(header, IFLA_IFNAME, "replay.10");
	mnl_attr_put_u32(header, IFLA_MTU, in->mtu ? in->mtu : 1500);
	mnl_attr_put(header, IFLA_ADDRESS, 6, "\x02\x00\x00\x00\x00\x0a");
	if (in->lower)
		mnl_attr_put_u32(header, IFLA_LINK, (uint32_t)in->lower);
	if (in->elsewhere)
		mnl_attr_put_u32(header, IFLA_LINK_NETNSID, 0);
	link_info = mnl_attr_nest_start(header, IFLA_LINKINFO);
	mnl_attr_put_strz(header, IFLA_INFO_KIND, in->kind);
	if (!in->no_data) {
		data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
		mnl_attr_put_u16(header, IFLA_VLAN_PROTOCOL, htons(in->protocol));
		mnl_attr_put_u16(header, IFLA_VLAN_ID, in->id);
		mnl_attr_nest_end(header, data);
	}
	mnl_attr_nest_end(header, link_info);
	return header;
}

static const struct vlan_message vlan_10 = { "vlan", 10, ETH_P_8021Q, LOWER };

/* ---- messages ---- */

static void
a_message_tells_of_a_vlan_or_not(void **state)
{
	static const struct {
		struct vlan_message message;
		uint16_t id;
	} rows[] = {
		{ { "vlan", 10, ETH_P_8021Q, LOWER }, 10 },
		{ { "vlan", 4094, ETH_P_8021Q, LOWER }, 4094 },
		{ { "vlan", 4095, ETH_P_8021Q, LOWER }, 0 },
		{ { "vlan", 0, ETH_P_8021Q, LOWER }, 0 },
		{ { "vlan", 10, ETH_P_8021AD, LOWER }, 0 },
		{ { "vlan", 10, ETH_P_8021Q, 0 }, 0 },
		{ { "vlan", 10, ETH_P_8021Q, LOWER, .elsewhere = true }, 0 },
		{ { "vlan", 10, ETH_P_8021Q, LOWER, .no_data = true }, 0 },
		{ { "macvlan", 10, ETH_P_8021Q, LOWER }, 0 },
		{ { "vlan2", 10, ETH_P_8021Q, LOWER }, 0 },
	};
	struct table_link link;
	bool removed;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(message_link(message_of(&rows[i].message), &link, &removed));
		assert_int_equal(link.ifindex, VLAN);
		assert_int_equal(link.vlan_id, rows[i].id);
		if (rows[i].id)
			assert_int_equal(link.lower, LOWER);
	}
}

/* ---- sending: a mirror of nothing that is told of more ---- */

static unsigned int available;

static void
tell(const struct vlan_message *message)
{
	struct port *ports[1] = { &v0->port };

	model_message_take(&mirror->model, message_of(message), true);
	net_mirror_ports(mirror, ports, 1);
}

/* As `ip addr add ADDRESS/24 dev replay.10` does, and a neighbour .2 with MAC_PEER_W. */
static void
vlan_address_add(const char *address, const char *neighbor)
{
	struct model *model = &mirror->model;
	struct table_address a = { .address = hosts_address(address), .ifindex = VLAN, .prefix_len = 24 };
	struct neighbor n = {
		.address = hosts_address(neighbor), .ifindex = VLAN, .state = NUD_PERMANENT, .mac = { 2, 0, 0, 0, 1, 2 }
	};

	model_address_take(model, &a);
	model_neighbor_take(model, &n, false);
	model->route = (struct route_message){ .key = lpm_key_from(&a.address), .prefix_len = 96 + 24, .count = 1 };
	model->route.rows[0] = (struct route_row){ .type = RTN_UNICAST,
						   .scope = RT_SCOPE_LINK,
						   .ifindex = VLAN,
						   .weight = 1,
						   .source = a.address,
						   .flags = ROUTE_HAS_SOURCE };
	model_route_take(model);
	model->route = (struct route_message){
		.key = lpm_key_from(&a.address), .prefix_len = 128, .local_table = true, .count = 1
	};
	model->route.rows[0] = (struct route_row){ .type = RTN_LOCAL, .ifindex = VLAN, .weight = 1 };
	model_route_take(model);
}

static int
setup(void **state)
{
	struct net_fixed_address address = { hosts_address("10.1.0.1"), 24 };
	struct net_fixed_neighbor neighbor = { hosts_address("10.1.0.2"), { 2, 0, 0, 0, 1, 1 } };
	char error[256];

	available = support_pool_available();
	memory_port_init(v0, 0, "replay");
	v0->port.ifindex = LOWER;
	v0->port.mac = (struct rte_ether_addr){ { 2, 0, 0, 0, 0, 1 } };
	assert_int_equal(qsbr_init(1), 0);
	assert_int_equal(net_mirror_new_fixed(&mirror, &v0->port, &address, 1, &neighbor, 1, error, sizeof(error)), 0);
	output = net_output_new(mirror, 0, NS_PER_SECOND);
	assert_non_null(output);
	vlan_address_add("10.10.0.1", "10.10.0.2");
	tell(&vlan_10);
	return 0;
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
assert_tagged(const struct rte_mbuf *m, const char *destination, const char *source, uint16_t vlan_id, uint16_t type)
{
	const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_vlan_hdr *vlan = (const struct rte_vlan_hdr *)(ethernet + 1);

	assert_string_equal(mac_text(&ethernet->dst_addr), destination);
	assert_string_equal(mac_text(&ethernet->src_addr), source);
	assert_int_equal(ntohs(ethernet->ether_type), ETH_P_8021Q);
	assert_int_equal(ntohs(vlan->vlan_tci), vlan_id);
	assert_int_equal(ntohs(vlan->eth_proto), type);
	assert_int_equal(m->l2_len, 18);
}

static void
packets_leave_with_their_tag(void **state)
{
	struct ip_address tagged = hosts_address("10.10.0.2"), plain = hosts_address("10.1.0.2");
	struct net_hop_facts facts;
	uint16_t hop = net_hop_find(output, &tagged);

	net_output_send(output, packet_to("10.10.0.2", 64));
	net_output_via(output, packet_to("192.0.2.1", 64), &tagged);
	net_output_via(output, packet_to("2001:db8::1", 64), &tagged);
	net_hop_send(output, hop, packet_to("10.10.0.2", 64));
	net_hop_send(output, hop, packet_to("10.10.0.2", 64));
	net_output_send(output, packet_to("10.1.0.2", 64));
	net_hop_send(output, net_hop_find(output, &plain), packet_to("10.1.0.2", 64));
	net_output_flush(output, NS_PER_SECOND);
	assert_int_equal(v0->count, 7);
	for (uint32_t i = 0; i < 5; i++) {
		assert_tagged(v0->packets[i], MAC_PEER_W, MAC_VLAN, 10, i == 2 ? ETH_P_IPV6 : ETH_P_IP);
		assert_int_equal(v0->packets[i]->pkt_len, 18 + (i == 2 ? 40 : 20) + 64);
	}
	assert_frame(v0->packets[5], MAC_PEER, MAC_V0, ETH_P_IP);
	assert_frame(v0->packets[6], MAC_PEER, MAC_V0, ETH_P_IP);
	assert_true(net_hop_describe(output, hop, &facts));
	assert_int_equal(facts.vlan_id, 10);
	assert_ptr_equal(facts.port, &v0->port);
}

static void
a_vlan_that_gets_another_id_keeps_its_hops(void **state)
{
	struct vlan_message vlan_11 = vlan_10;
	struct ip_address tagged = hosts_address("10.10.0.2");
	uint16_t hop = net_hop_find(output, &tagged);

	vlan_11.id = 11;
	tell(&vlan_11);
	assert_int_equal(net_hop_find(output, &tagged), hop);
	net_hop_send(output, hop, packet_to("10.10.0.2", 64));
	net_output_send(output, packet_to("10.10.0.2", 64));
	net_output_flush(output, NS_PER_SECOND);
	assert_int_equal(v0->count, 2);
	assert_tagged(v0->packets[0], MAC_PEER_W, MAC_VLAN, 11, ETH_P_IP);
	assert_tagged(v0->packets[1], MAC_PEER_W, MAC_VLAN, 11, ETH_P_IP);
}

static void
its_mtu_and_its_state_are_its_own(void **state)
{
	struct vlan_message message = vlan_10;
	struct ip_address tagged = hosts_address("10.10.0.2");
	uint16_t hop = net_hop_find(output, &tagged);

	message.mtu = 1400;
	tell(&message);
	net_output_send(output, packet_to("10.10.0.2", 1381));
	assert_int_equal(counter(NET_COUNT_TOO_BIG), 1);
	net_output_send(output, packet_to("10.10.0.2", 1380));
	net_output_flush(output, NS_PER_SECOND);
	assert_int_equal(counter(NET_COUNT_SENT), 1);
	assert_int_equal(net_hop_mtu(output, hop), 1400);
	message.flags = IFF_UP | IFF_BROADCAST;
	tell(&message);
	net_output_send(output, packet_to("10.10.0.2", 64));
	net_hop_send(output, hop, packet_to("10.10.0.2", 64));
	assert_int_equal(counter(NET_COUNT_LINK_DOWN), 2);
	net_output_send(output, packet_to("10.1.0.2", 64));
	net_output_flush(output, NS_PER_SECOND);
	assert_int_equal(counter(NET_COUNT_SENT), 2);
}

static void
note_interface(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	struct ip_address vlan = hosts_address("10.10.0.1");

	if (ip_address_equal(address, &vlan))
		*(int *)context = ifindex;
}

static void
its_addresses_are_this_hosts_on_the_interface_below(void **state)
{
	struct ip_address mine = hosts_address("10.10.0.1"), remote = hosts_address("10.10.0.2"), source;
	uint16_t mtu;
	int ifindex = 0;

	assert_true(net_is_local(mirror, &mine));
	assert_int_equal(net_interface_of(mirror, &mine), LOWER);
	assert_int_equal(net_interface_towards(mirror, &remote), LOWER);
	net_each_address(mirror, note_interface, &ifindex);
	assert_int_equal(ifindex, LOWER);
	assert_string_equal(net_interface_name(mirror, VLAN), "replay.10");
	assert_true(net_route_source(mirror, &remote, &source, &mtu));
	assert_true(ip_address_equal(&source, &mine));
}

static void
a_port_upon_it_needs_no_tag(void **state)
{
	struct ip_address mine = hosts_address("10.10.0.1"), remote = hosts_address("10.10.0.2");
	struct port *ports[2] = { &v0->port, &w0->port };

	memory_port_init(w0, 1, "replay.10");
	w0->port.ifindex = VLAN;
	net_mirror_ports(mirror, ports, 2);
	assert_int_equal(net_interface_of(mirror, &mine), VLAN);
	assert_int_equal(net_interface_towards(mirror, &remote), VLAN);
	net_output_send(output, packet_to("10.10.0.2", 64));
	net_output_flush(output, NS_PER_SECOND);
	assert_int_equal(v0->count, 0);
	assert_int_equal(w0->count, 1);
	assert_frame(w0->packets[0], MAC_PEER_W, MAC_VLAN, ETH_P_IP);
	memory_port_clear(w0);
}

static void
without_a_port_below_there_is_none(void **state)
{
	net_mirror_ports(mirror, NULL, 0);
	net_output_send(output, packet_to("10.10.0.2", 64));
	assert_int_equal(counter(NET_COUNT_NO_PORT), 1);
}

/* ---- a real one ---- */

static void
a_real_vlan_interface_is_taken_for_one(void **state)
{
	char answer[256];

	if (namespace_try(0, answer, sizeof(answer),
			  "ip link add x0 type veth peer name x1 && ip link add link x0 name x0.10 type vlan id 10 "
			  "2>/dev/null") != 0) {
		print_message("this kernel has no VLAN interfaces\n");
		skip();
	}
	hosts_setup(state);
	namespace_run("ip link add link v0 name v0.10 address " MAC_VLAN " type vlan id 10; ip link set v0.10 up;"
		      "ip addr add 10.10.0.1/24 dev v0.10; ip neigh add 10.10.0.2 lladdr " MAC_PEER_W " dev v0.10");
	usleep(50000);
	send_to("10.10.0.2");
	assert_true(received(v0, 1));
	assert_tagged(v0->packets[0], MAC_PEER_W, MAC_VLAN, 10, ETH_P_IP);
	hosts_teardown(state);
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_tells_of_a_vlan_or_not),
		ROW(packets_leave_with_their_tag),
		ROW(a_vlan_that_gets_another_id_keeps_its_hops),
		ROW(its_mtu_and_its_state_are_its_own),
		ROW(its_addresses_are_this_hosts_on_the_interface_below),
		ROW(a_port_upon_it_needs_no_tag),
		ROW(without_a_port_below_there_is_none),
		cmocka_unit_test(a_real_vlan_interface_is_taken_for_one),
	};
#undef ROW

	hosts_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
