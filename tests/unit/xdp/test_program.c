/*
 * The program's verdicts, by BPF_PROG_TEST_RUN in a namespace of our own. What is Weir's is redirected to a socket on
 * lo, queue 0, which is where a test run says the packet came in.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/namespace.h"
#include "xdp/xdp.h"

#define LOOPBACK_IFINDEX 1

static struct xdp_program *program;
static int socket_fd;

/* ---- packets ---- */

struct spec {
	const char *name;
	bool to_weir;
	const char *source, *destination; /* endpoints */
	uint8_t protocol;
	/* What is not plain. */
	bool vlan, group_mac, options, extensions, quoted;
	uint16_t fragment_offset; /* in units of 8 bytes */
	bool fragment_header;
	uint8_t icmp_type;  /* with `quoted`: of the error around the packet */
	uint16_t ethertype; /* 0: of the IP version */
	uint8_t ip_version; /* 0: as it should be */
};

struct frame {
	uint8_t bytes[512];
	uint32_t len;
	uint32_t needed; /* bytes without which it is nobody's but the kernel's */
};

static struct endpoint
endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(bytes_of_string(text), 0, &e), 0);
	return e;
}

static void
put(struct frame *f, const void *data, uint32_t len)
{
	assert_true(f->len + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, data, len);
	f->len += len;
}

static void
put16(struct frame *f, uint16_t value)
{
	uint16_t be = htons(value);

	put(f, &be, 2);
}

static void
put_zeros(struct frame *f, uint32_t len)
{
	static const uint8_t zeros[64];

	put(f, zeros, len);
}

static void
put_ipv4(struct frame *f, const struct spec *s, const struct endpoint *from, const struct endpoint *to,
	 uint8_t protocol)
{
	uint8_t version = s->ip_version ? s->ip_version : 4;
	uint8_t first = (uint8_t)(version << 4 | (s->options ? 8 : 5));

	put(f, &first, 1);
	put_zeros(f, 5);
	put16(f, s->fragment_offset);
	put(f, (const uint8_t[]){ 64, protocol }, 2);
	put_zeros(f, 2);
	put(f, &from->ip.words_be[3], 4);
	put(f, &to->ip.words_be[3], 4);
	put_zeros(f, s->options ? 12 : 0);
}

static void
put_ipv6(struct frame *f, const struct spec *s, const struct endpoint *from, const struct endpoint *to,
	 uint8_t protocol)
{
	uint8_t first = (uint8_t)((s->ip_version ? s->ip_version : 6) << 4);
	uint8_t after_extensions = s->fragment_header ? IPPROTO_FRAGMENT : protocol;

	put(f, &first, 1);
	put_zeros(f, 5);
	put(f, (const uint8_t[]){ s->extensions ? IPPROTO_HOPOPTS : after_extensions, 64 }, 2);
	put(f, &from->ip, 16);
	put(f, &to->ip, 16);
	if (s->extensions) {
		put(f, (const uint8_t[]){ IPPROTO_DSTOPTS, 0 }, 2);
		put_zeros(f, 6);
		put(f, (const uint8_t[]){ after_extensions, 2 }, 2);
		put_zeros(f, 22);
	}
	if (s->fragment_header) {
		put(f, (const uint8_t[]){ protocol, 0 }, 2);
		put16(f, (uint16_t)(s->fragment_offset << 3 | 1));
		put_zeros(f, 4);
	}
}

static void
put_ip(struct frame *f, const struct spec *s, const struct endpoint *from, const struct endpoint *to, uint8_t protocol)
{
	if (ip_address_is_v4(&to->ip))
		put_ipv4(f, s, from, to, protocol);
	else
		put_ipv6(f, s, from, to, protocol);
}

/* An error that a router sends to the source of `s`: outer addresses are the router's and that source's. */
static void
put_error_around(struct frame *f, const struct spec *s, const struct endpoint *quoted_source)
{
	bool v4 = ip_address_is_v4(&quoted_source->ip);
	struct endpoint router = endpoint(v4 ? "192.0.2.9" : "[2001:db8:9::9]");

	put_ip(f, &(struct spec){ 0 }, &router, quoted_source, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	put(f, &s->icmp_type, 1);
	put_zeros(f, 7);
}

static struct frame
build(const struct spec *s)
{
	struct endpoint source = endpoint(s->source), destination = endpoint(s->destination);
	uint16_t ethertype = ip_address_is_v4(&destination.ip) ? 0x0800 : 0x86dd;
	struct frame f = { .len = 0 };

	put(&f, s->group_mac ? "\x01\x00\x5e\x00\x00\x01" : "\x02\x00\x00\x00\x00\x01", 6);
	put(&f, "\x02\x00\x00\x00\x00\x02", 6);
	if (s->vlan) {
		put16(&f, 0x8100);
		put16(&f, 42);
	}
	put16(&f, s->ethertype ? s->ethertype : ethertype);
	if (s->quoted)
		put_error_around(&f, s, &source);
	put_ip(&f, s, &source, &destination, s->protocol);
	put(&f, &source.port_be, 2);
	put(&f, &destination.port_be, 2);
	f.needed = f.len - 4;
	/* A later fragment has no ports. */
	if (!(s->fragment_offset & 0x1fff) && s->protocol != IPPROTO_IPIP)
		f.needed += (!s->quoted && s->protocol == IPPROTO_TCP) ? 20 : 8;
	put_zeros(&f, 40);
	return f;
}

#define CLIENT "198.51.100.7:5555"
#define CLIENT6 "[2001:db8:2::7]:5555"
#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

/* Served: 10.0.0.1:80, *:8080, [::]:8080, [2001:db8::1]:443, 10.0.0.1:53/udp. Local: 10.0.0.1, 10.0.0.2, 2001:db8::1.
 * Servers: 10.0.1.1:9000, [2001:db8:1::1]:9000. Port in use: 40000. */
static const struct spec specs[] = {
	{ "a served address and port", true, CLIENT, "10.0.0.1:80", TCP },
	{ "with an 802.1Q tag", true, CLIENT, "10.0.0.1:80", TCP, .vlan = true },
	{ "with IPv4 options", true, CLIENT, "10.0.0.1:80", TCP, .options = true },
	{ "a first fragment", true, CLIENT, "10.0.0.1:80", TCP, .fragment_offset = 0x2000 },
	{ "a served port on any address", true, CLIENT, "10.0.0.2:8080", TCP },
	{ "served over IPv6", true, CLIENT6, "[2001:db8::1]:443", TCP },
	{ "served over IPv6, any address", true, CLIENT6, "[2001:db8::1]:8080", TCP, .vlan = true },
	{ "behind IPv6 extension headers", true, CLIENT6, "[2001:db8::1]:443", TCP, .extensions = true },
	{ "a first IPv6 fragment", true, CLIENT6, "[2001:db8::1]:443", TCP, .fragment_header = true },
	{ "served over UDP", true, CLIENT, "10.0.0.1:53", UDP },
	{ "a server's answer", true, "10.0.1.1:9000", "10.0.0.1:40000", TCP },
	{ "a server's answer over IPv6", true, "[2001:db8:1::1]:9000", "[2001:db8::1]:40000", TCP },
	{ "an error about an answer to a client", true, "10.0.0.1:80", CLIENT, TCP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about a packet to a server", true, "10.0.0.1:40000", "10.0.1.1:9000", TCP, .quoted = true,
	  .icmp_type = ICMP_TIME_EXCEEDED },
	{ "an error with a tag and options in the quote", true, "10.0.0.1:80", CLIENT, TCP, .vlan = true,
	  .options = true, .quoted = true, .icmp_type = ICMP_PARAMETERPROB },
	{ "packet too big about an answer", true, "[2001:db8::1]:443", CLIENT6, TCP, .quoted = true,
	  .icmp_type = ICMP6_PACKET_TOO_BIG },
	{ "an IPv6 error about a packet to a server", true, "[2001:db8::1]:40000", "[2001:db8:1::1]:9000", TCP,
	  .extensions = true, .quoted = true, .icmp_type = ICMP6_DST_UNREACH },

	{ "a forwarded service", true, CLIENT, "10.9.9.9:80", TCP },
	{ "a later fragment to a forwarded service", true, CLIENT, "10.9.9.9:80", TCP, .fragment_offset = 10 },
	{ "any port of a service of all ports", true, CLIENT, "10.9.9.10:4711", UDP },
	{ "an answer to a port of forwarding", true, "10.0.1.3:80", "10.0.0.1:50100", TCP },
	{ "an answer from any port of a server of all ports", true, "10.0.1.4:53", "10.0.0.1:50000", UDP },
	{ "a later fragment of an answer", true, "10.0.1.3:80", "10.0.0.1:50100", TCP, .fragment_offset = 10 },
	{ "an answer to a client", true, "10.0.1.5:80", "10.0.3.3:50050", TCP },
	{ "an error about what was forwarded", true, "10.0.0.1:50000", "10.0.1.3:80", TCP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about an answer forwarded", true, "10.9.9.9:80", CLIENT, TCP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about IP in IP", true, "10.0.0.2:9", "10.0.1.6:9", IPPROTO_IPIP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about IPv4 in IPv6", true, "[2001:db8::1]:9", "[2001:db8:1::6]:9", IPPROTO_IPIP, .quoted = true,
	  .icmp_type = ICMP6_PACKET_TOO_BIG },
	{ "an error about GUE", true, "10.0.0.2:50200", "10.0.1.7:6080", UDP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about another's IP in IP", false, "10.0.3.3:9", "10.0.1.6:9", IPPROTO_IPIP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about IP in IP to somebody else", false, "10.0.0.2:9", "10.0.1.7:9", IPPROTO_IPIP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about IPv6 in IPv4 where there is none", false, "10.0.0.2:9", "10.0.1.6:9", IPPROTO_IPV6,
	  .quoted = true, .icmp_type = ICMP_DEST_UNREACH },
	{ "an error about UDP to another port of a tunnel's end", false, "10.0.0.2:50200", "10.0.1.7:6081", UDP,
	  .quoted = true, .icmp_type = ICMP_DEST_UNREACH },
	{ "IP in IP from a tunnel's end", false, "10.0.1.6:9", "10.0.0.2:9", IPPROTO_IPIP },
	{ "UDP from a tunnel's end", false, "10.0.1.7:6080", "10.0.0.2:50200", UDP },
	{ "a later fragment from a tunnel's end", false, "10.0.1.7:6080", "10.0.0.2:50200", UDP,
	  .fragment_offset = 10 },
	{ "another port of a forwarded service's address", false, CLIENT, "10.9.9.9:81", TCP },
	{ "TCP to a service of all UDP ports", false, CLIENT, "10.9.9.10:53", TCP },
	{ "from a forwarded server to a port of the stack", false, "10.0.1.3:80", "10.0.0.1:40000", TCP },
	{ "from a server of the stack to a port of forwarding", false, "10.0.1.1:9000", "10.0.0.1:50000", TCP },
	{ "from a server that routes back, to this host", false, "10.0.1.5:80", "10.0.0.1:4711", TCP },
	{ "from another port of a server that routes back", false, "10.0.1.5:22", "10.0.3.3:50050", TCP },
	{ "another port", false, CLIENT, "10.0.0.1:22", TCP },
	{ "a served port on another address", false, CLIENT, "10.0.0.2:80", TCP },
	{ "any address, but not this host's", false, CLIENT, "10.0.0.3:8080", TCP },
	{ "any address over IPv6, but not this host's", false, CLIENT6, "[2001:db8::3]:8080", TCP },
	{ "TCP to a port served over UDP", false, CLIENT, "10.0.0.1:53", TCP },
	{ "UDP to a port served over TCP", false, CLIENT, "10.0.0.1:80", UDP },
	{ "another protocol", false, CLIENT, "10.0.0.1:80", IPPROTO_SCTP },
	{ "a group address of Ethernet", false, CLIENT, "10.0.0.1:80", TCP, .group_mac = true },
	{ "a later fragment", false, CLIENT, "10.0.0.1:80", TCP, .fragment_offset = 10 },
	{ "a later IPv6 fragment", false, CLIENT6, "[2001:db8::1]:443", TCP, .fragment_header = true,
	  .fragment_offset = 10 },
	{ "from a server to a port not in use", false, "10.0.1.1:9000", "10.0.0.1:40001", TCP },
	{ "from a server's address, another port, to a port in use", false, "10.0.1.1:9001", "10.0.0.1:40000", TCP },
	{ "from somebody else to a port in use", false, "10.0.1.2:9000", "10.0.0.1:40000", TCP },
	{ "UDP from a server to a port in use", false, "10.0.1.1:9000", "10.0.0.1:40000", UDP },
	{ "an error about the host's own connection", false, "10.0.0.1:50000", "10.0.1.1:9000", TCP, .quoted = true,
	  .icmp_type = ICMP_DEST_UNREACH },
	{ "an echo reply around a packet of ours", false, "10.0.0.1:80", CLIENT, TCP, .quoted = true,
	  .icmp_type = ICMP_ECHOREPLY },
	{ "an IPv6 echo request around a packet of ours", false, "[2001:db8::1]:443", CLIENT6, TCP, .quoted = true,
	  .icmp_type = ICMP6_ECHO_REQUEST },
	{ "ARP", false, CLIENT, "10.0.0.1:80", TCP, .ethertype = 0x0806 },
	{ "IPv4 that says it is version 6", false, CLIENT, "10.0.0.1:80", TCP, .ip_version = 6 },
	{ "IPv6 that says it is version 4", false, CLIENT6, "[2001:db8::1]:443", TCP, .ip_version = 4 },
};
#define SPECS (sizeof(specs) / sizeof(specs[0]))

/* ---- running ---- */

static uint32_t
verdict_of(const uint8_t *data, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data, .data_size_in = len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(xdp_program_fd(program), &options), 0);
	return options.retval;
}

static bool
goes_to_weir(const char *source, const char *destination)
{
	struct frame f = build(&(struct spec){ .source = source, .destination = destination, .protocol = TCP });

	return verdict_of(f.bytes, f.len) == XDP_REDIRECT;
}

static struct xdp_service
service(const char *text, uint8_t protocol)
{
	return (struct xdp_service){ .endpoint = endpoint(text), .ip_protocol = protocol };
}

static struct xdp_service
forwarded(const char *text, uint8_t protocol)
{
	return (struct xdp_service){ .endpoint = endpoint(text), .ip_protocol = protocol, .forwarded = true };
}

static int
serve_usual(void **state)
{
	const struct xdp_service services[] = { service("10.0.0.1:80", TCP), service("0.0.0.0:8080", TCP),
						service("[::]:8080", TCP),   service("[2001:db8::1]:443", TCP),
						service("10.0.0.1:53", UDP), forwarded("10.9.9.9:80", TCP),
						forwarded("10.9.9.10", UDP) };
	const struct xdp_server servers[] = {
		{ endpoint("10.0.1.1:9000"), IPPROTO_TCP, XDP_ANSWERS_TO_STACK },
		{ endpoint("[2001:db8:1::1]:9000"), IPPROTO_TCP, XDP_ANSWERS_TO_STACK },
		{ endpoint("10.0.1.3:80"), IPPROTO_TCP, XDP_ANSWERS_TO_FORWARD },
		{ endpoint("10.0.1.4"), IPPROTO_UDP, XDP_ANSWERS_TO_FORWARD },
		{ endpoint("10.0.1.5:80"), IPPROTO_TCP, XDP_ANSWERS_TO_CLIENTS },
		{ endpoint("10.0.1.6"), IPPROTO_IPIP, XDP_ANSWERS_BY_ERRORS },
		{ endpoint("[2001:db8:1::6]"), IPPROTO_IPIP, XDP_ANSWERS_BY_ERRORS },
		{ endpoint("10.0.1.7:6080"), UDP, XDP_ANSWERS_BY_ERRORS },
	};
	const struct ip_address locals[] = { endpoint("10.0.0.1").ip, endpoint("10.0.0.2").ip,
					     endpoint("[2001:db8::1]").ip };

	assert_int_equal(xdp_program_serve(program, services, 7, servers, 8, locals, 3), 0);
	xdp_port_used(program, htons(40000), true);
	xdp_program_forwarding_ports(program, 50000, 50100);
	assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, 0, socket_fd), 0);
	return 0;
}

static int
load(void **state)
{
	char error[256];
	int descriptors = 64;

	namespace_enter();
	if (xdp_program_load(&program, NULL, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	socket_fd = socket(AF_XDP, SOCK_RAW, 0);
	return setsockopt(socket_fd, SOL_XDP, XDP_RX_RING, &descriptors, sizeof(descriptors));
}

static int
unload(void **state)
{
	xdp_program_free(program);
	return close(socket_fd);
}

/* ---- tests ---- */

static void
packets_go_where_the_rules_say(void **state)
{
	for (size_t i = 0; i < SPECS; i++) {
		struct frame f = build(&specs[i]);
		uint32_t verdict = verdict_of(f.bytes, f.len);

		if (verdict != (specs[i].to_weir ? XDP_REDIRECT : XDP_PASS))
			fail_msg("%s: verdict %u", specs[i].name, verdict);
	}
}

static void
truncated_packets_go_to_the_kernel(void **state)
{
	for (size_t i = 0; i < SPECS; i++) {
		struct frame f = build(&specs[i]);

		/* A test run takes no less than an Ethernet header. */
		for (uint32_t len = 14; len < f.len; len++) {
			bool expected = specs[i].to_weir && len >= f.needed;

			if (verdict_of(f.bytes, len) != (expected ? XDP_REDIRECT : XDP_PASS))
				fail_msg("%s, cut to %u of %u bytes", specs[i].name, len, f.len);
		}
	}
}

static void
random_bytes_behind_a_valid_start_are_survived(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct frame f = build(&specs[round % SPECS]);

		for (int flips = 0; flips < 4; flips++) {
			seed = seed * 1664525u + 1013904223u;
			f.bytes[(seed >> 8) % f.len] = (uint8_t)(seed >> 24);
		}
		verdict_of(f.bytes, f.len);
	}
}

static void
without_a_socket_packets_go_to_the_kernel_and_are_counted(void **state)
{
	uint64_t before[XDP_COUNTER_COUNT], after[XDP_COUNTER_COUNT];

	assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, 0, -1), 0);
	xdp_program_counters(program, before);
	assert_false(goes_to_weir(CLIENT, "10.0.0.1:80"));
	assert_false(goes_to_weir(CLIENT, "10.0.0.1:22"));
	assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, 0, socket_fd), 0);
	assert_true(goes_to_weir(CLIENT, "10.0.0.1:80"));
	xdp_program_counters(program, after);
	for (int i = 0; i < XDP_COUNTER_COUNT; i++)
		assert_int_equal(after[i] - before[i],
				 i == XDP_COUNT_TO_WEIR || i == XDP_COUNT_TO_KERNEL || i == XDP_COUNT_NO_SOCKET);
}

/* ---- what a kernel lacks ---- */

static int
of_linux_5_10(enum xdp_feature_kind kind, int value)
{
	return !(kind == XDP_FEATURE_HELPER && value == BPF_FUNC_ktime_get_coarse_ns);
}

static int
without_af_xdp(enum xdp_feature_kind kind, int value)
{
	return !(kind == XDP_FEATURE_MAP && value == BPF_MAP_TYPE_XSKMAP) && of_linux_5_10(kind, value);
}

static int
untold(enum xdp_feature_kind kind, int value)
{
	return -EPERM;
}

static void
what_the_kernel_lacks_is_named(void **state)
{
	char lacking[512];

	assert_false(xdp_kernel_lacks(xdp_feature_probe, lacking, sizeof(lacking)));
	assert_false(xdp_kernel_lacks(untold, lacking, sizeof(lacking)));
	assert_true(xdp_kernel_lacks(of_linux_5_10, lacking, sizeof(lacking)));
	assert_string_equal(lacking, "the coarse clock (Linux 5.11)");
	assert_true(xdp_kernel_lacks(without_af_xdp, lacking, sizeof(lacking)));
	assert_string_equal(lacking, "AF_XDP sockets (CONFIG_XDP_SOCKETS, Linux 4.18), the coarse clock (Linux 5.11)");
	assert_true(xdp_kernel_lacks(without_af_xdp, lacking, 10));
}

static void
a_port_no_longer_used_is_the_kernels(void **state)
{
	assert_true(goes_to_weir("10.0.1.1:9000", "10.0.0.1:40000"));
	xdp_port_used(program, htons(40000), false);
	assert_false(goes_to_weir("10.0.1.1:9000", "10.0.0.1:40000"));
	xdp_port_used(program, htons(40000), true);
	assert_true(goes_to_weir("10.0.1.1:9000", "10.0.0.1:40000"));
}

static void
what_is_no_longer_served_is_the_kernels(void **state)
{
	const struct xdp_service services[] = { service("10.0.0.1:81", TCP), service("10.0.0.1:81", TCP) };
	const struct xdp_server servers[] = { { endpoint("10.0.1.2:9000"), IPPROTO_TCP, XDP_ANSWERS_TO_STACK } };

	assert_int_equal(xdp_program_serve(program, services, 2, servers, 1, NULL, 0), 0);
	assert_true(goes_to_weir(CLIENT, "10.0.0.1:81"));
	assert_false(goes_to_weir(CLIENT, "10.0.0.1:80"));
	assert_false(goes_to_weir(CLIENT, "10.0.0.2:8080"));
	assert_true(goes_to_weir("10.0.1.2:9000", "10.0.0.1:40000"));
	assert_false(goes_to_weir("10.0.1.1:9000", "10.0.0.1:40000"));
	assert_int_equal(xdp_program_serve(program, NULL, 0, NULL, 0, NULL, 0), 0);
	assert_false(goes_to_weir(CLIENT, "10.0.0.1:81"));
	serve_usual(state);
}

struct watch {
	struct frame frame;
	bool stop;
	uint64_t runs, missed;
};

static void *
watch_packet(void *argument)
{
	struct watch *watch = argument;

	while (!__atomic_load_n(&watch->stop, __ATOMIC_RELAXED)) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = watch->frame.bytes, .data_size_in = watch->frame.len,
			    .repeat = 1);

		if (bpf_prog_test_run_opts(xdp_program_fd(program), &options) == 0) {
			watch->runs++;
			watch->missed += options.retval != XDP_REDIRECT;
		}
	}
	return NULL;
}

/* The wildcard needs its service and its local address, both of which stay while all others change. */
static void
a_reload_misses_no_packet_of_what_stays(void **state)
{
	struct watch watch = { .frame = build(&(struct spec){
				       .source = CLIENT, .destination = "10.0.0.2:8080", .protocol = TCP }) };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, watch_packet, &watch), 0);
	for (uint16_t round = 0; round < 300; round++) {
		struct xdp_service services[40];
		struct ip_address locals[40];

		for (uint16_t i = 0; i < 40; i++) {
			services[i] = service("10.0.0.1:1", TCP);
			services[i].endpoint.port_be = htons((uint16_t)(1000 + round * 20 + i));
			locals[i] = ip_address_from_v4(htonl(0x0a000100u + round * 20 + i));
		}
		services[round % 40] = service("0.0.0.0:8080", TCP);
		locals[(round + 7) % 40] = endpoint("10.0.0.2").ip;
		assert_int_equal(xdp_program_serve(program, services, 40, NULL, 0, locals, 40), 0);
	}
	__atomic_store_n(&watch.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(watch.runs > 100);
	assert_int_equal(watch.missed, 0);
	serve_usual(state);
}

static void
too_much_to_serve_changes_nothing(void **state)
{
	uint32_t count = 20000;
	struct xdp_service *services = calloc(count, sizeof(*services));
	const struct xdp_server servers[] = { { endpoint("10.0.1.2:9000"), IPPROTO_TCP, XDP_ANSWERS_TO_STACK } };

	for (uint32_t i = 0; i < count; i++) {
		services[i] = service("10.0.0.9:1", TCP);
		services[i].endpoint.port_be = htons((uint16_t)(1000 + i));
	}
	assert_int_equal(xdp_program_serve(program, services, count, servers, 1, NULL, 0), -ENOSPC);
	for (uint32_t i = 0; i < count; i += 999) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.0.9:%u", 1000 + i);
		assert_false(goes_to_weir(CLIENT, text));
	}
	assert_false(goes_to_weir("10.0.1.2:9000", "10.0.0.1:40000"));
	packets_go_where_the_rules_say(state);
	free(services);
}

static void
there_is_a_bounded_number_of_sockets(void **state)
{
	uint32_t queue = 1;

	while (xdp_program_socket_set(program, LOOPBACK_IFINDEX, queue, socket_fd) == 0)
		queue++;
	assert_int_equal(queue, 1024);
	assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, queue, socket_fd), -ENOSPC);
	assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, 0, socket_fd), 0);
	while (--queue > 0)
		assert_int_equal(xdp_program_socket_set(program, LOOPBACK_IFINDEX, queue, -1), 0);
	assert_true(goes_to_weir(CLIENT, "10.0.0.1:80"));
}

/* ---- the largest configuration ---- */

#define LARGEST_PAIRS 8192 /* of each of 64 workers: 64 MB */
#define LARGEST_SERVICES (XDP_SERVICES_MAX / 2)
#define LARGEST_SERVERS (XDP_SERVERS_MAX / 2)
#define LARGEST_LOCALS (XDP_LOCALS_MAX / 2)
/* The kernel looks at a million instructions at most, states that it has to look at again included. */
#define VERIFIED_MAX 500000

static struct xdp_program *
load_largest(void)
{
	struct xdp_forwarding forwarding = { .workers = XDP_WORKERS_MAX, .pairs = LARGEST_PAIRS, .start_ns = 1 };
	struct xdp_program *largest;
	char error[512] = "";

	for (uint32_t i = 0; i < L4_FLOW_STRIDES; i++)
		forwarding.strides[0][i] = forwarding.strides[1][i] = LARGEST_PAIRS - 1;
	if (xdp_program_load(&largest, &forwarding, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return largest;
}

static void
serve_largest(struct xdp_program *largest)
{
	struct xdp_service *services = calloc(LARGEST_SERVICES, sizeof(*services));
	struct xdp_server *servers = calloc(LARGEST_SERVERS, sizeof(*servers));
	struct ip_address *locals = calloc(LARGEST_LOCALS, sizeof(*locals));

	for (uint32_t i = 0; i < LARGEST_SERVICES; i++)
		services[i] =
			(struct xdp_service){ .endpoint = { ip_address_from_v4(htonl(0x0a000000u + i)), htons(80) },
					      .ip_protocol = IPPROTO_TCP,
					      .number = (uint16_t)(1 + i % (XDP_CHOICES - 1)) };
	for (uint32_t i = 0; i < LARGEST_SERVERS; i++)
		servers[i] = (struct xdp_server){ .endpoint = { ip_address_from_v4(htonl(0x0b000000u + i)), htons(80) },
						  .ip_protocol = IPPROTO_TCP,
						  .answers = XDP_ANSWERS_TO_FORWARD };
	for (uint32_t i = 0; i < LARGEST_LOCALS; i++)
		locals[i] = ip_address_from_v4(htonl(0x0c000000u + i));
	assert_int_equal(xdp_program_serve(largest, services, LARGEST_SERVICES, servers, LARGEST_SERVERS, locals,
					   LARGEST_LOCALS),
			 0);
	free(services);
	free(servers);
	free(locals);
}

static void
the_largest_configuration_passes_the_verifier(void **state)
{
	struct xdp_program *largest = load_largest();
	struct xdp_choice *choice = calloc(1, sizeof(*choice));
	struct bpf_prog_info info = { 0 };
	uint32_t info_len = sizeof(info);
	struct xdp_memory memory;

	assert_true(xdp_program_forwards(largest));
	assert_int_equal(bpf_obj_get_info_by_fd(xdp_program_fd(largest), &info, &info_len), 0);
	assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
	serve_largest(largest);
	assert_true(xdp_program_memory(largest, XDP_WORKERS_MAX - 1, &memory));
	/* The last byte of each is there. */
	memory.flows[LARGEST_PAIRS - 1].places[L4_PAIR_PLACES - 1].hop = 1;
	memory.uses[XDP_TARGETS - 1].packets = 1;
	memory.hops[XDP_HOPS - 1].mtu = 1;
	assert_int_equal(xdp_program_choice_set(largest, XDP_CHOICES - 1, choice), 0);
	assert_int_equal(xdp_program_choices_end(largest), 0);
	assert_false(xdp_program_memory(largest, XDP_WORKERS_MAX, &memory));
	free(choice);
	xdp_program_free(largest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(packets_go_where_the_rules_say, serve_usual),
		cmocka_unit_test(truncated_packets_go_to_the_kernel),
		cmocka_unit_test(random_bytes_behind_a_valid_start_are_survived),
		cmocka_unit_test(without_a_socket_packets_go_to_the_kernel_and_are_counted),
		cmocka_unit_test(what_the_kernel_lacks_is_named),
		cmocka_unit_test(a_port_no_longer_used_is_the_kernels),
		cmocka_unit_test(what_is_no_longer_served_is_the_kernels),
		cmocka_unit_test(a_reload_misses_no_packet_of_what_stays),
		cmocka_unit_test(too_much_to_serve_changes_nothing),
		cmocka_unit_test(there_is_a_bounded_number_of_sockets),
		cmocka_unit_test(the_largest_configuration_passes_the_verifier),
	};

	/* Skipping would hide that the program was never loaded. */
	if (geteuid() != 0) {
		fprintf(stderr, "these tests need root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, load, unload);
}
