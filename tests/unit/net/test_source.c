/* The source address that Weir chooses against the one that Linux does, in a table of situations. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "memory_port.h"
#include "net/net.h"
#include "support/namespace.h"

struct situation {
	const char *name;
	const char *commands; /* on v0 and w0, both up, without addresses */
	const char *remotes;  /* separated by spaces */
};

/* RFC 6724's rules are named where a row is about one. */
static const struct situation situations[] = {
	{ "one address", "ip addr add 10.1.0.1/24 dev v0", "10.1.0.2 10.1.0.1 127.0.0.1 127.3.2.1" },
	{ "two subnets of one interface", "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.2.0.1/24 dev v0",
	  "10.1.0.2 10.2.0.2 10.2.0.1" },
	{ "the gateway's subnet decides",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.2.0.1/24 dev v0; ip route add default via 10.2.0.254;"
	  "ip route add 192.0.2.0/24 via 10.1.0.254",
	  "8.8.8.8 192.0.2.1" },
	{ "secondary addresses are passed over", "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.1.0.5/24 dev v0",
	  "10.1.0.9 10.1.0.5" },
	{ "a preferred source",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.9.9.9/32 dev lo; ip route add default via 10.1.0.254 src "
	  "10.9.9.9",
	  "8.8.8.8 10.1.0.7 10.9.9.9" },
	{ "a route without gateway and source",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.2.0.1/24 dev v0; ip route add 10.2.0.128/25 dev v0;"
	  "ip route add 192.0.2.0/24 dev v0",
	  "10.2.0.200 192.0.2.1" },
	{ "an unnumbered interface borrows",
	  "ip addr add 10.1.0.1/32 dev lo; ip route add 192.0.2.0/24 dev v0 scope global", "192.0.2.1" },
	{ "an unnumbered interface with a gateway on it",
	  "ip addr add 10.1.0.1/32 dev lo; ip route add 192.0.2.1/32 dev v0; ip route add default via 192.0.2.1",
	  "8.8.8.8" },
	{ "an address of link scope does not leave the link",
	  "ip addr add 169.254.7.1/16 dev v0 scope link; ip addr add 10.1.0.1/24 dev v0; ip route add default via "
	  "10.1.0.254",
	  "8.8.8.8 169.254.9.9 10.1.0.3" },
	{ "link scope first, route by that gateway",
	  "ip addr add 169.254.7.1/16 dev v0 scope link; ip addr add 10.1.0.1/32 dev w0;"
	  "ip route add default via 169.254.9.9 dev v0",
	  "8.8.8.8" },
	{ "a gateway given as on link",
	  "ip addr add 10.1.0.1/24 dev v0; ip route add default via 192.0.2.1 dev v0 onlink", "8.8.8.8" },
	{ "two interfaces",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.2.0.1/24 dev w0; ip route add default via 10.2.0.9",
	  "10.1.0.2 10.2.0.2 8.8.8.8" },
	{ "the lower metric",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.2.0.1/24 dev w0;"
	  "ip route add default via 10.1.0.9 metric 5; ip route add default via 10.2.0.9 metric 3",
	  "8.8.8.8" },
	{ "IPv4 by an IPv6 gateway",
	  "ip addr add 10.1.0.1/24 dev v0; ip addr add 10.3.0.1/24 dev v0; ip -6 addr add 2001:db8:1::1/64 dev v0 "
	  "nodad;"
	  "ip route add 192.0.2.0/24 via inet6 2001:db8:1::9 dev v0",
	  "192.0.2.1" },
	{ "a local route of a whole prefix", "ip addr add 10.1.0.1/24 dev v0; ip route add local 192.0.2.0/24 dev lo",
	  "192.0.2.7" },
	{ "a peer's address", "ip addr add 10.1.0.1 peer 10.1.9.9/32 dev v0", "10.1.9.9 10.1.0.1" },

	{ "IPv6: one address", "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad", "2001:db8:1::2 2001:db8:1::1 ::1" },
	{ "IPv6: the longest prefix (rule 8)",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip -6 addr add 2001:db8:2::1/64 dev v0 nodad;"
	  "ip -6 route add default via 2001:db8:1::9",
	  "2001:db8:1::2 2001:db8:2::2 2001:db8:3::1 2001:db8:1:1::1 2620:0:1::1" },
	{ "IPv6: scope (rule 2), the link-local address stays home",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip -6 route add default via fe80::99 dev v0", "2620:0:1::1" },
	{ "IPv6: only link-local addresses on the way out",
	  "ip -6 addr add 2001:db8:1::1/64 dev w0 nodad; ip -6 route add default via fe80::99 dev v0", "2620:0:1::1" },
	{ "IPv6: deprecated (rule 3)",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip -6 addr add 2001:db8:1::2/64 dev v0 nodad preferred_lft 0",
	  "2001:db8:1::9 2001:db8:1::2" },
	{ "IPv6: the other one deprecated",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad preferred_lft 0; ip -6 addr add 2001:db8:1::2/64 dev v0 nodad",
	  "2001:db8:1::9" },
	{ "IPv6: the outgoing interface (rule 5)",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip -6 addr add 2001:db8:9::1/64 dev w0 nodad;"
	  "ip -6 route add 2001:db8:9:9::/64 via 2001:db8:1::9",
	  "2001:db8:9:9::1" },
	{ "IPv6: labels (rule 6)",
	  "ip -6 addr add fd00:1::1/64 dev v0 nodad; ip -6 addr add 2001:db8:1::1/64 dev v0 nodad;"
	  "ip -6 addr add 2002:a00:1::1/64 dev v0 nodad; ip -6 route add default via 2001:db8:1::9",
	  "fd00:2::1 2620::1 2002:b00::1 2001:db8:7::1" },
	{ "IPv6: tentative addresses are not used",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip link set w1 down;"
	  "ip -6 addr add 2001:db8:2::1/64 dev w0; ip -6 route add default via 2001:db8:1::9",
	  "2001:db8:2:2::1" },
	{ "IPv6: a preferred source",
	  "ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip -6 addr add 2001:db8:9::9/128 dev lo nodad;"
	  "ip -6 route add default via 2001:db8:1::9 src 2001:db8:9::9",
	  "2620::1 2001:db8:1::5" },
};

/* The address behind " src " in the kernel's answer. */
static bool
kernel_source(const char *remote, struct ip_address *source)
{
	char answer[1024], word[64], *at;

	if (namespace_try(0, answer, sizeof(answer), "ip route get %s 2>/dev/null", remote) != 0)
		return false;
	at = strstr(answer, " src ");
	return at && sscanf(at, " src %63s", word) == 1 && ip_address_parse(bytes_of_string(word), source) == 0;
}

static void
check(const struct situation *situation, const struct net_mirror *mirror, const char *remote)
{
	struct ip_address address, mine = { 0 }, kernels = { 0 };
	char mine_text[64], kernels_text[64];
	bool found, expected;
	uint16_t mtu;

	assert_int_equal(ip_address_parse(bytes_of_string(remote), &address), 0);
	expected = kernel_source(remote, &kernels);
	found = net_route_source(mirror, &address, &mine, &mtu);
	ip_address_format(&mine, mine_text, sizeof(mine_text));
	ip_address_format(&kernels, kernels_text, sizeof(kernels_text));
	if (found != expected || !ip_address_equal(&mine, &kernels))
		fail_msg("%s: towards %s Weir takes %s, Linux %s", situation->name, remote, mine_text, kernels_text);
}

static void
run(const struct situation *situation)
{
	static const char *const names[] = { "v0", "w0", "lo" };
	struct memory_port *memory = calloc(3, sizeof(*memory));
	char remotes[512], *save = NULL, error[256];
	struct net_mirror *mirror;
	struct port *ports[3];

	namespace_run(
		"ip link add v0 type veth peer name v1; ip link add w0 type veth peer name w1;"
		"for i in v0 v1 w0 w1; do sysctl -qw net.ipv6.conf.$i.accept_dad=1 net.ipv6.conf.$i.dad_transmits=0;"
		"ip link set $i up; done");
	namespace_run("%s", situation->commands);
	for (uint16_t i = 0; i < 3; i++) {
		memory_port_init(&memory[i], i, names[i]);
		ports[i] = &memory[i].port;
	}
	/* Link-local addresses become usable in their own time. */
	usleep(20000);
	assert_int_equal(net_mirror_new(&mirror, error, sizeof(error)), 0);
	net_mirror_ports(mirror, ports, 3);
	snprintf(remotes, sizeof(remotes), "%s", situation->remotes);
	for (char *remote = strtok_r(remotes, " ", &save); remote; remote = strtok_r(NULL, " ", &save))
		check(situation, mirror, remote);
	net_mirror_free(mirror);
	namespace_run("ip link del v0; ip link del w0; ip route flush table main; ip -6 route flush table main;"
		      "ip addr flush dev lo scope global; ip route flush table local dev lo root 192.0.2.0/24");
	free(memory);
}

static void
the_source_is_the_one_that_linux_takes(void **state)
{
	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++)
		run(&situations[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_source_is_the_one_that_linux_takes),
	};

	namespace_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
