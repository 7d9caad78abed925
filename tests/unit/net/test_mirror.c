/* A mirror against the tables of a namespace of its own, as they change. */
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "memory_port.h"
#include "net/net.h"
#include "run/qsbr.h"
#include "support/namespace.h"

#define WORKERS 3

static struct net_mirror *mirror;
static struct memory_port *v0, *w0, *lo;

static struct ip_address
ip(const char *text)
{
	struct ip_address address;

	assert_int_equal(ip_address_parse(bytes_of_string(text), &address), 0);
	return address;
}

/* ---- questions, as the worker 0 that the test is ---- */

static bool
is_local(const char *address)
{
	struct ip_address a = ip(address);
	bool local;

	qsbr_worker_online(0);
	local = net_is_local(mirror, &a);
	qsbr_worker_offline(0);
	return local;
}

/* The source towards `remote` is `expected`; NULL: there is no way. */
static bool
source_is(const char *remote, const char *expected)
{
	struct ip_address r = ip(remote), source, e;
	uint16_t mtu;
	bool found;

	qsbr_worker_online(0);
	found = net_route_source(mirror, &r, &source, &mtu);
	qsbr_worker_offline(0);
	if (!expected)
		return !found;
	e = ip(expected);
	return found && ip_address_equal(&source, &e);
}

static uint16_t
mtu_towards(const char *remote)
{
	struct ip_address r = ip(remote), source;
	uint16_t mtu = 0;

	qsbr_worker_online(0);
	if (!net_route_source(mirror, &r, &source, &mtu))
		mtu = 0;
	qsbr_worker_offline(0);
	return mtu;
}

static bool
leaves_by(const char *remote, const char *interface_name)
{
	struct ip_address r = ip(remote);
	const char *name = net_interface_name(mirror, net_interface_towards(mirror, &r));

	return interface_name ? name && strcmp(name, interface_name) == 0 : name == NULL;
}

/* ---- a fresh namespace for each test would cost more than clearing this one ---- */

static int
setup(void **state)
{
	struct port *ports[3];
	char error[256];

	namespace_run("ip -batch - <<-END\n"
		      "link add v0 type veth peer name v1\nlink add w0 type veth peer name w1\n"
		      "link set v0 up\nlink set v1 up\nlink set w0 up\nlink set w1 up\n"
		      "addr add 10.1.0.1/24 dev v0\naddr add 10.2.0.1/24 dev w0\n"
		      "addr add 2001:db8:1::1/64 dev v0 nodad\naddr add 2001:db8:2::1/64 dev w0 nodad\nEND");
	memory_port_init(v0, 0, "v0");
	memory_port_init(w0, 1, "w0");
	memory_port_init(lo, 2, "lo");
	lo->port.mtu = 65535;
	lo->port.features |= PORT_LOOPBACK;
	ports[0] = &v0->port, ports[1] = &w0->port, ports[2] = &lo->port;
	assert_int_equal(qsbr_init(WORKERS), 0);
	assert_int_equal(net_mirror_new(&mirror, error, sizeof(error)), 0);
	net_mirror_ports(mirror, ports, 3);
	return 0;
}

static int
setup_started(void **state)
{
	setup(state);
	return net_mirror_start(mirror, NULL, NULL);
}

static int
teardown(void **state)
{
	net_mirror_free(mirror);
	qsbr_fini();
	namespace_run("ip link del v0; ip link del w0; ip route flush table main; ip -6 route flush table main");
	return 0;
}

/* ---- tests ---- */

static void
knows_the_host_before_it_is_started(void **state)
{
	struct ip_address address = ip("2001:db8:1::1");

	assert_true(is_local("10.1.0.1"));
	assert_true(is_local("127.0.0.5"));
	assert_true(is_local("::1"));
	assert_false(is_local("10.1.0.2"));
	assert_int_equal(net_interface_of(mirror, &address), if_nametoindex("v0"));
	address = ip("127.0.0.7");
	assert_string_equal(net_interface_name(mirror, net_interface_of(mirror, &address)), "lo");
	address = ip("10.1.0.77");
	assert_int_equal(net_interface_of(mirror, &address), 0);
	assert_true(leaves_by("10.2.0.9", "w0"));
	assert_true(leaves_by("10.1.0.1", "lo"));
	assert_true(leaves_by("192.0.2.1", NULL));
	assert_null(net_interface_name(mirror, 4711));
	assert_true(source_is("10.1.0.2", "10.1.0.1"));
	assert_true(source_is("10.1.0.1", "10.1.0.1"));
	assert_true(source_is("192.0.2.1", NULL));
	assert_int_equal(mtu_towards("10.1.0.2"), 1500);
	assert_int_equal(mtu_towards("10.1.0.1"), 65535);
}

static void
count_address(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len)
{
	struct ip_address wanted = ip("10.2.0.1");

	if (ip_address_equal(address, &wanted) && prefix_len == 24 && ifindex == (int)if_nametoindex("w0"))
		++*(int *)context;
}

static void
tells_every_address_once(void **state)
{
	int count = 0;

	net_each_address(mirror, count_address, &count);
	assert_int_equal(count, 1);
}

static void
follows_addresses(void **state)
{
	namespace_run("ip addr add 10.1.0.9/24 dev v0; ip addr add 10.7.0.1/24 dev v0; ip -6 addr add 2001:db8:7::1/64 "
		      "dev v0 nodad");
	assert_true(await(is_local("10.1.0.9") && is_local("10.7.0.1") && is_local("2001:db8:7::1")));
	assert_true(await(source_is("10.7.0.2", "10.7.0.1") && source_is("2001:db8:7::2", "2001:db8:7::1")));
	namespace_run("ip addr del 10.1.0.9/24 dev v0; ip addr del 10.7.0.1/24 dev v0; ip -6 addr del 2001:db8:7::1/64 "
		      "dev v0");
	assert_true(await(!is_local("10.1.0.9") && !is_local("10.7.0.1") && !is_local("2001:db8:7::1")));
	assert_true(await(source_is("10.7.0.2", NULL) && source_is("2001:db8:7::2", NULL)));
	/* A secondary address takes its primary's place. */
	namespace_run("sysctl -qw net.ipv4.conf.v0.promote_secondaries=1; ip addr add 10.1.0.8/24 dev v0; ip addr del "
		      "10.1.0.1/24 dev v0");
	assert_true(await(source_is("10.1.0.2", "10.1.0.8")));
}

static void
follows_routes(void **state)
{
	namespace_run("ip route add 192.0.2.0/24 via 10.1.0.2");
	assert_true(await(leaves_by("192.0.2.5", "v0")));
	namespace_run("ip route add 192.0.2.0/28 via 10.2.0.2; ip -6 route add 2001:db8:99::/48 via 2001:db8:2::2");
	assert_true(await(leaves_by("192.0.2.5", "w0") && leaves_by("2001:db8:99::1", "w0")));
	assert_true(leaves_by("192.0.2.55", "v0"));
	namespace_run(
		"ip route replace 192.0.2.0/28 via 10.1.0.3; ip -6 route replace 2001:db8:99::/48 via 2001:db8:1::2");
	assert_true(await(leaves_by("192.0.2.5", "v0") && leaves_by("2001:db8:99::1", "v0")));
	namespace_run("ip route del 192.0.2.0/28; ip route del 192.0.2.0/24; ip -6 route del 2001:db8:99::/48");
	assert_true(await(leaves_by("192.0.2.5", NULL) && leaves_by("2001:db8:99::1", NULL)));
}

static void
the_lowest_metric_wins_and_its_successor_takes_over(void **state)
{
	namespace_run(
		"ip route add 192.0.2.0/24 via 10.1.0.2 metric 200; ip route add 192.0.2.0/24 via 10.2.0.2 metric 100;"
		"ip -6 route add 2001:db8:99::/48 via 2001:db8:1::2 metric 20;"
		"ip -6 route add 2001:db8:99::/48 via 2001:db8:2::2 metric 10");
	assert_true(await(leaves_by("192.0.2.1", "w0") && leaves_by("2001:db8:99::1", "w0")));
	namespace_run("ip route del 192.0.2.0/24 metric 100; ip -6 route del 2001:db8:99::/48 metric 10");
	assert_true(await(leaves_by("192.0.2.1", "v0") && leaves_by("2001:db8:99::1", "v0")));
}

static void
a_blackhole_is_no_way(void **state)
{
	namespace_run("ip route add default via 10.1.0.2; ip route add blackhole 192.0.2.0/24;"
		      "ip route add unreachable 198.51.100.0/24; ip route add prohibit 203.0.113.0/24");
	assert_true(await(source_is("8.8.8.8", "10.1.0.1") && source_is("192.0.2.1", NULL) &&
			  source_is("198.51.100.1", NULL) && source_is("203.0.113.1", NULL)));
}

static void
follows_the_mtu_of_links_and_routes(void **state)
{
	namespace_run("ip route add 192.0.2.0/24 via 10.1.0.2 mtu 1400; ip link set w0 mtu 1300");
	assert_true(await(mtu_towards("192.0.2.1") == 1400 && mtu_towards("10.2.0.2") == 1300));
	/* The port cannot send more than it was made for. */
	namespace_run("ip link set w0 mtu 9000; ip link set w1 mtu 9000");
	assert_true(await(mtu_towards("10.2.0.2") == 1500));
}

static void
a_link_that_goes_down_takes_its_routes_along(void **state)
{
	namespace_run("ip route add 192.0.2.0/24 via 10.1.0.2; ip route add default via 10.2.0.2");
	assert_true(await(leaves_by("192.0.2.1", "v0")));
	namespace_run("ip link set v0 down");
	/* Linux has removed the IPv4 routes without a word. */
	assert_true(await(leaves_by("192.0.2.1", "w0") && source_is("192.0.2.1", "10.2.0.1")));
	namespace_run("ip link set v0 up; ip link set w1 down");
	/* The carrier of w0 is lost: its routes stay, but lead nowhere. */
	assert_true(await(source_is("10.2.0.9", NULL) && source_is("10.1.0.9", "10.1.0.1")));
	namespace_run("ip link set w1 up");
	assert_true(await(source_is("10.2.0.9", "10.2.0.1")));
}

static void
a_link_that_is_deleted_is_gone(void **state)
{
	struct ip_address address = ip("10.9.0.1");

	namespace_run("ip link add z0 type veth peer name z1; ip addr add 10.9.0.1/24 dev z0; ip link set z0 up");
	assert_true(await(is_local("10.9.0.1") && net_interface_of(mirror, &address) != 0));
	namespace_run("ip link del z0");
	assert_true(
		await(!is_local("10.9.0.1") && net_interface_of(mirror, &address) == 0 && leaves_by("10.9.0.2", NULL)));
}

static void
a_route_through_an_interface_that_is_no_port_is_no_way(void **state)
{
	struct port *ports[1] = { &v0->port };

	assert_true(source_is("10.2.0.2", "10.2.0.1"));
	net_mirror_ports(mirror, ports, 1);
	assert_true(source_is("10.2.0.2", NULL));
	assert_true(source_is("10.1.0.2", "10.1.0.1"));
	assert_true(source_is("10.1.0.1", NULL));
}

/* "add" or "del" of so many routes, by one process. */
static void
batch(const char *verb, int count)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/test-mirror-%d", (int)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < count; i++)
		fprintf(file, "route %s 172.%d.%d.0/28 via 10.1.0.2\n", verb, i >> 8 & 255, i & 255);
	fclose(file);
	namespace_run("ip -batch %s", path);
	unlink(path);
}

static void
a_burst_of_routes_makes_few_snapshots(void **state)
{
	const uint64_t *counters = net_mirror_counters(mirror);
	uint64_t tables = counters[NET_MIRROR_COUNT_TABLES], dumps = counters[NET_MIRROR_COUNT_DUMPS], took_ms;
	uint64_t started = clock_monotonic_ns();

	batch("add", 20000);
	print_message("20000 routes added in %llu ms\n",
		      (unsigned long long)(clock_monotonic_ns() - started) / 1000000);
	assert_true(
		await(leaves_by("172.78.31.9", "v0") && leaves_by("172.0.0.9", "v0") && leaves_by("172.40.7.9", "v0")));
	assert_true(leaves_by("172.40.7.16", NULL));
	print_message("%llu snapshots\n", (unsigned long long)(counters[NET_MIRROR_COUNT_TABLES] - tables));
	/* One in two milliseconds at most, and a loaded machine takes its time. */
	took_ms = (clock_monotonic_ns() - started) / 1000000;
	assert_in_range(counters[NET_MIRROR_COUNT_TABLES] - tables, 1, took_ms / 2 + 2);
	batch("del", 20000);
	assert_true(await(leaves_by("172.78.31.9", NULL) && leaves_by("172.0.0.9", NULL)));
	/* By events: a loaded machine may lose some, and then everything is read anew, but not for each of 40,000 changes. */
	assert_in_range(counters[NET_MIRROR_COUNT_DUMPS] - dumps, 0, 20);
}

static void
events_that_were_lost_are_made_good(void **state)
{
	/* Not started yet: nobody reads the events of 40,000 changes, more than the socket holds. */
	batch("add", 40000);
	namespace_run("ip route add 192.0.2.0/24 via 10.2.0.2; ip addr add 10.2.0.77/24 dev w0");
	assert_int_equal(net_mirror_start(mirror, NULL, NULL), 0);
	assert_true(await(leaves_by("192.0.2.1", "w0") && leaves_by("172.156.63.1", "v0") && is_local("10.2.0.77")));
	assert_true(net_mirror_counters(mirror)[NET_MIRROR_COUNT_OVERRUNS] > 0);
}

static uint32_t changes;

static void
count_change(void *context)
{
	__atomic_add_fetch((uint32_t *)context, 1, __ATOMIC_RELAXED);
}

static void
says_when_something_changed(void **state)
{
	changes = 0;
	assert_int_equal(net_mirror_start(mirror, count_change, &changes), 0);
	namespace_run("ip addr add 10.1.0.33/24 dev v0");
	assert_true(await(__atomic_load_n(&changes, __ATOMIC_RELAXED) > 0));
}

/* ---- lookups while everything changes ---- */

struct looker {
	pthread_t thread;
	unsigned int worker;
	uint64_t lookups, found;
};

static bool stop;

static void *
look(void *argument)
{
	struct looker *looker = argument;
	struct ip_address remote[4] = { ip("192.0.2.1"), ip("2001:db8:99::1"), ip("10.1.0.2"), ip("172.16.5.1") },
			  source;
	uint16_t mtu;

	qsbr_worker_online(looker->worker);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 64; i++) {
			looker->found += net_route_source(mirror, &remote[i % 4], &source, &mtu);
			looker->found += net_is_local(mirror, &remote[i % 4]);
			looker->lookups += 2;
		}
		qsbr_worker_quiescent(looker->worker);
	}
	qsbr_worker_offline(looker->worker);
	return NULL;
}

static void
lookups_are_safe_while_tables_change(void **state)
{
	struct looker lookers[2] = { { .worker = 1 }, { .worker = 2 } };
	struct port *ports[2] = { &v0->port, &w0->port };

	stop = false;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&lookers[i].thread, NULL, look, &lookers[i]), 0);
	for (int round = 0; round < 15; round++) {
		namespace_run("for i in 1 2 3 4; do ip -batch - <<-END\n"
			      "route replace 192.0.2.0/24 via 10.1.0.$((i + 1))\nroute replace 172.16.$i.0/24 via "
			      "10.2.0.$i\nEND\n"
			      "done; ip -batch - <<-END\n"
			      "route replace 2001:db8:99::/48 via 2001:db8:1::2\naddr add 10.1.0.50/24 dev v0\n"
			      "neigh replace 10.1.0.2 lladdr 02:00:00:00:00:%02x dev v0\nEND\n"
			      "ip -batch - <<-END\nroute del 192.0.2.0/24\nroute del 2001:db8:99::/48\naddr del "
			      "10.1.0.50/24 dev v0\nEND",
			      round);
		net_mirror_ports(mirror, ports, 1 + round % 2);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(lookers[i].thread, NULL);
		assert_true(lookers[i].found > 0);
	}
	print_message("%llu lookups beside %llu snapshots\n",
		      (unsigned long long)(lookers[0].lookups + lookers[1].lookups),
		      (unsigned long long)net_mirror_counters(mirror)[NET_MIRROR_COUNT_TABLES]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_the_host_before_it_is_started, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_every_address_once, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_addresses, setup_started, teardown),
		cmocka_unit_test_setup_teardown(follows_routes, setup_started, teardown),
		cmocka_unit_test_setup_teardown(the_lowest_metric_wins_and_its_successor_takes_over, setup_started,
						teardown),
		cmocka_unit_test_setup_teardown(a_blackhole_is_no_way, setup_started, teardown),
		cmocka_unit_test_setup_teardown(follows_the_mtu_of_links_and_routes, setup_started, teardown),
		cmocka_unit_test_setup_teardown(a_link_that_goes_down_takes_its_routes_along, setup_started, teardown),
		cmocka_unit_test_setup_teardown(a_link_that_is_deleted_is_gone, setup_started, teardown),
		cmocka_unit_test_setup_teardown(a_route_through_an_interface_that_is_no_port_is_no_way, setup_started,
						teardown),
		cmocka_unit_test_setup_teardown(a_burst_of_routes_makes_few_snapshots, setup_started, teardown),
		cmocka_unit_test_setup_teardown(events_that_were_lost_are_made_good, setup, teardown),
		cmocka_unit_test_setup_teardown(says_when_something_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(lookups_are_safe_while_tables_change, setup_started, teardown),
	};

	namespace_enter();
	v0 = calloc(3, sizeof(*v0));
	w0 = v0 + 1, lo = v0 + 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
