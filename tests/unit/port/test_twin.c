/* The twin by itself: an interface of this namespace's kernel, and the frames that go in and out. */
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka.h"

#include "packet/parse.h"
#include "packet/view.h"
#include "port/twin.h"
#include "support/dpdk.h"
#include "support/namespace.h"

static const struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 0x42 } };
static const char *const addresses[] = { "10.5.0.1/24", "10.5.0.9", "2001:db8:5::1/64", NULL };

static struct port_twin *twin;
static unsigned int available;

static int
setup(void **state)
{
	char error[256] = "";

	available = support_pool_available();
	if (port_twin_new("t0", &mac, 1400, addresses, support_pool(), &twin, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	port_twin_carrier(twin, true);
	namespace_run("ip neigh add 10.5.0.2 lladdr 02:00:00:00:00:43 dev t0");
	return 0;
}

static int
teardown(void **state)
{
	port_twin_free(twin);
	assert_int_equal(if_nametoindex("t0"), 0);
	assert_int_equal(support_pool_available(), available);
	return 0;
}

/* The next frame that is IPv4; the kernel has multicast of its own to tell. */
static struct rte_mbuf *
read_ipv4(void)
{
	for (int i = 0; i < 2000; i++) {
		struct pollfd fd = { .fd = port_twin_fd(twin), .events = POLLIN };
		struct rte_mbuf *m;

		poll(&fd, 1, 1);
		if (port_twin_read(twin, &m, 1) == 0)
			continue;
		if (packet_parse(m) == PACKET_OK && !(packet_view(m)->flags & PACKET_IPV6))
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static void
is_set_up_as_told(void **state)
{
	char answer[2048];

	assert_int_equal(port_twin_ifindex(twin), if_nametoindex("t0"));
	assert_string_equal(port_twin_name(twin), "t0");
	namespace_try(0, answer, sizeof(answer), "ip addr show t0");
	assert_non_null(strstr(answer, "mtu 1400"));
	assert_non_null(strstr(answer, "LOWER_UP"));
	assert_non_null(strstr(answer, "link/ether 02:00:00:00:00:42"));
	assert_non_null(strstr(answer, "inet 10.5.0.1/24"));
	assert_non_null(strstr(answer, "inet 10.5.0.9/32"));
	assert_non_null(strstr(answer, "inet6 2001:db8:5::1/64"));
	assert_null(strstr(answer, "2001:db8:5::1/64 scope global tentative"));
}

static void
the_carrier_is_what_it_is_told(void **state)
{
	char answer[512];

	port_twin_carrier(twin, false);
	namespace_try(0, answer, sizeof(answer), "ip link show t0");
	assert_non_null(strstr(answer, "NO-CARRIER"));
	port_twin_carrier(twin, true);
	namespace_try(0, answer, sizeof(answer), "ip link show t0");
	assert_null(strstr(answer, "NO-CARRIER"));
}

static void
what_the_kernel_sends_comes_out_complete(void **state)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(9),
					.sin_addr.s_addr = htonl(0x0a050002) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const struct ether_header *ethernet;
	struct rte_mbuf *m;

	assert_int_equal(sendto(fd, "hello", 5, 0, (const struct sockaddr *)&to, sizeof(to)), 5);
	m = read_ipv4();
	assert_non_null(m);
	ethernet = rte_pktmbuf_mtod(m, const struct ether_header *);
	assert_memory_equal(ethernet->ether_shost, mac.addr_bytes, 6);
	assert_int_equal(ethernet->ether_dhost[5], 0x43);
	assert_int_equal(packet_view(m)->payload_len, 5);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, char *, packet_view(m)->payload_offset), "hello", 5);
	assert_true(packet_view(m)->flags & PACKET_L4_CHECKSUM_GOOD);
	assert_false(packet_view(m)->flags & PACKET_L4_CHECKSUM_PARTIAL);
	rte_pktmbuf_free(m);
	close(fd);
}

/* An echo request from the wire, in one segment or in pieces, and the kernel's answer. */
static void
ping(unsigned int pieces)
{
	static const uint8_t request[] = { 2,    0, 0,    0,    0,  0x42, 2, 0, 0,  0, 0,    0x43, 8, 0, /* Ethernet */
					   0x45, 0, 0,    28,   0,  1,    0, 0, 64, 1, 0x66, 0xd4,       /* IPv4 */
					   10,   5, 0,    2,    10, 5,    0, 1,                          /* addresses */
					   8,    0, 0xf7, 0xf5, 0,  7,    0, 3 };                        /* echo 7, 3 */
	struct rte_mbuf *m = support_mbuf_from(request, sizeof(request) - (pieces - 1));

	for (unsigned int i = 1; i < pieces; i++)
		support_mbuf_append(m, &request[sizeof(request) - pieces + i], 1);
	assert_true(port_twin_write(twin, m));
	rte_pktmbuf_free(m);
	m = read_ipv4();
	assert_non_null(m);
	assert_int_equal(packet_view(m)->ip_protocol, IPPROTO_ICMP);
	assert_int_equal(*rte_pktmbuf_mtod_offset(m, uint8_t *, 34), 0);
	rte_pktmbuf_free(m);
}

static void
what_it_is_given_reaches_the_kernel(void **state)
{
	ping(1);
	ping(3);
}

static void
a_packet_in_too_many_pieces_is_refused(void **state)
{
	static const uint8_t frame[60];
	struct rte_mbuf *m = support_mbuf_from(frame, sizeof(frame));

	for (int i = 0; i < 40; i++)
		support_mbuf_append(m, "x", 1);
	assert_false(port_twin_write(twin, m));
	rte_pktmbuf_free(m);
}

static void
an_empty_twin_gives_nothing(void **state)
{
	struct rte_mbuf *burst[8];
	uint16_t count = 0;

	/* What the kernel says of itself on a new interface comes first. */
	for (int i = 0; i < 2000 && count == 0; i++) {
		count = port_twin_read(twin, burst, 8);
		rte_pktmbuf_free_bulk(burst, count);
		usleep(100);
	}
	namespace_run("ip link set t0 down");
	usleep(1000);
	while ((count = port_twin_read(twin, burst, 8)) > 0)
		rte_pktmbuf_free_bulk(burst, count);
	usleep(1000);
	assert_int_equal(port_twin_read(twin, burst, 8), 0);
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(is_set_up_as_told),
		ROW(the_carrier_is_what_it_is_told),
		ROW(what_the_kernel_sends_comes_out_complete),
		ROW(what_it_is_given_reaches_the_kernel),
		ROW(a_packet_in_too_many_pieces_is_refused),
		ROW(an_empty_twin_gives_nothing),
	};
#undef ROW

	namespace_enter();
	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
