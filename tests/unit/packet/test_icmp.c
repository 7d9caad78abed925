#include <netinet/in.h>
#include <string.h>

#include "packet/parse.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define ETHERNET_V4 "020000000002 020000000001 0800 "
#define ETHERNET_V6 "020000000002 020000000001 86dd "

/* 192.0.2.1 says to 10.0.0.2 that 10.0.0.2:80 > 10.0.0.1:43981 needs an MTU of 1400. */
#define OUTER_V4 "45 00 0038 0000 0000 40 01 0000 c0000201 0a000002 "
#define QUOTE_V4 "45 00 05dc 0000 4000 3f 06 2219 0a000002 0a000001 0050 abcd 01020304"

/* fd00::9 says the same to fd00::2 with 1280. */
#define OUTER_V6 "60000000 0038 3a 40 fd000000000000000000000000000009 fd000000000000000000000000000002 "
#define QUOTE_V6                                                                                                       \
	"60000000 05dc 06 3f fd000000000000000000000000000002 fd000000000000000000000000000001 0050 abcd 01020304"

static struct rte_mbuf *m;
static struct packet_quote quote;

static int
teardown(void **state)
{
	rte_pktmbuf_free(m);
	m = NULL;
	return 0;
}

/* Sums are not what is tested here: the device has found them good. */
static bool
parse_error(const char *hex)
{
	rte_pktmbuf_free(m);
	m = support_mbuf_from_hex(hex);
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	assert_int_equal(packet_parse(m), PACKET_OK);
	memset(&quote, 0xee, sizeof(quote));
	return packet_parse_icmp_error(m, &quote);
}

static void
assert_quote(const char *source, const char *destination)
{
	char text[ENDPOINT_TEXT_MAX];

	endpoint_format(&(struct endpoint){ quote.source, quote.source_port_be }, text, sizeof(text));
	assert_string_equal(text, source);
	endpoint_format(&(struct endpoint){ quote.destination, quote.destination_port_be }, text, sizeof(text));
	assert_string_equal(text, destination);
}

static void
fragmentation_needed_gives_pair_sequence_and_mtu(void **state)
{
	assert_true(parse_error(ETHERNET_V4 OUTER_V4 "03 04 0000 0000 0578 " QUOTE_V4));
	assert_quote("10.0.0.2:80", "10.0.0.1:43981");
	assert_int_equal(quote.ip_protocol, IPPROTO_TCP);
	assert_int_equal(quote.tcp_sequence, 0x01020304);
	assert_int_equal(quote.mtu, 1400);
	assert_int_equal(quote.icmp_type, 3);
	assert_int_equal(quote.icmp_code, 4);
}

static void
packet_too_big_gives_pair_sequence_and_mtu(void **state)
{
	assert_true(parse_error(ETHERNET_V6 OUTER_V6 "02 00 0000 00000500 " QUOTE_V6));
	assert_quote("[fd00::2]:80", "[fd00::1]:43981");
	assert_int_equal(quote.tcp_sequence, 0x01020304);
	assert_int_equal(quote.mtu, 1280);
}

static void
other_errors_have_no_mtu(void **state)
{
	assert_true(parse_error(ETHERNET_V4 OUTER_V4 "03 01 0000 0000 0578 " QUOTE_V4));
	assert_int_equal(quote.mtu, 0);
	assert_true(parse_error(ETHERNET_V4 OUTER_V4 "0b 00 0000 0000 0000 " QUOTE_V4));
	assert_true(parse_error(ETHERNET_V6 OUTER_V6 "01 04 0000 00000500 " QUOTE_V6));
	assert_int_equal(quote.mtu, 0);
	assert_int_equal(quote.icmp_code, 4);
}

static void
what_is_no_error_is_not_taken_for_one(void **state)
{
	/* Echo reply, redirect, source quench; neighbour solicitation. */
	assert_false(parse_error(ETHERNET_V4 OUTER_V4 "00 00 0000 0000 0000 " QUOTE_V4));
	assert_false(parse_error(ETHERNET_V4 OUTER_V4 "05 01 0000 0a000009 " QUOTE_V4));
	assert_false(parse_error(ETHERNET_V4 OUTER_V4 "04 00 0000 0000 0000 " QUOTE_V4));
	assert_false(parse_error(ETHERNET_V6 OUTER_V6 "87 00 0000 00000000 " QUOTE_V6));
	/* ICMPv6 in IPv4, TCP. */
	assert_false(parse_error(ETHERNET_V4 "45 00 0038 0000 0000 40 3a 0000 c0000201 0a000002 "
					     "01 00 0000 0000 0000 " QUOTE_V4));
	assert_false(parse_error(ETHERNET_V4 "45 00 002c 0000 4000 40 06 0000 0a000001 0a000002 "
					     "0304 0050 01020304 00000000 50 02 ffff 0000 0000 61626364"));
}

static void
a_fragmented_error_is_not_read(void **state)
{
	assert_false(parse_error(ETHERNET_V4 "45 00 0038 0000 2000 40 01 0000 c0000201 0a000002 "
					     "03 01 0000 0000 0000 " QUOTE_V4));
}

static void
udp_is_quoted_without_a_sequence(void **state)
{
	assert_true(parse_error(ETHERNET_V4 OUTER_V4
				"03 03 0000 0000 0000 "
				"45 00 05dc 0000 4000 3f 11 0000 0a000002 0a000001 0050 abcd 05c8 0000"));
	assert_int_equal(quote.ip_protocol, IPPROTO_UDP);
	assert_int_equal(quote.tcp_sequence, 0);
}

static void
quoted_options_and_extension_headers_are_skipped(void **state)
{
	assert_true(parse_error(ETHERNET_V4 "45 00 003c 0000 0000 40 01 0000 c0000201 0a000002 03 01 0000 00000000 "
					    "46 00 05dc 0000 4000 3f 06 0000 0a000002 0a000001 94040000 "
					    "0050 abcd 01020304"));
	assert_quote("10.0.0.2:80", "10.0.0.1:43981");
	assert_true(parse_error(ETHERNET_V6
				"60000000 0040 3a 40 fd000000000000000000000000000009 fd000000000000000000000000000002 "
				"01 00 0000 00000000 60000000 05dc 3c 3f fd000000000000000000000000000002 "
				"fd000000000000000000000000000001 0600 010400000000 0050 abcd 01020304"));
	assert_quote("[fd00::2]:80", "[fd00::1]:43981");
}

/* The outer length says how much there is; cut there, too, under a sanitizer. */
static void
a_truncated_quote_is_no_quote(void **state)
{
	for (unsigned int missing = 1; missing <= 28; missing++) {
		parse_error(ETHERNET_V4 OUTER_V4 "03 04 0000 0000 0578 " QUOTE_V4);
		*rte_pktmbuf_mtod_offset(m, uint8_t *, 17) -= missing;
		rte_pktmbuf_trim(m, missing);
		assert_int_equal(packet_parse(m), PACKET_OK);
		assert_false(packet_parse_icmp_error(m, &quote));
	}
	for (unsigned int missing = 1; missing <= 48; missing++) {
		parse_error(ETHERNET_V6 OUTER_V6 "02 00 0000 00000500 " QUOTE_V6);
		*rte_pktmbuf_mtod_offset(m, uint8_t *, 19) -= missing;
		rte_pktmbuf_trim(m, missing);
		assert_int_equal(packet_parse(m), PACKET_OK);
		assert_false(packet_parse_icmp_error(m, &quote));
	}
}

static void
a_quote_of_a_later_fragment_has_no_ports(void **state)
{
	assert_false(parse_error(ETHERNET_V4 OUTER_V4
				 "0b 01 0000 0000 0000 "
				 "45 00 05dc 0000 0010 3f 06 0000 0a000002 0a000001 0050 abcd 01020304"));
}

static void
a_quote_of_the_wrong_version_is_no_quote(void **state)
{
	assert_false(parse_error(ETHERNET_V4 OUTER_V4
				 "03 01 0000 0000 0000 "
				 "65 00 05dc 0000 0000 3f 06 0000 0a000002 0a000001 0050 abcd 01020304"));
	assert_false(parse_error(ETHERNET_V4 OUTER_V4
				 "03 01 0000 0000 0000 "
				 "44 00 05dc 0000 0000 3f 06 0000 0a000002 0a000001 0050 abcd 01020304"));
}

#define TUNNEL_V4 "03 04 0000 0000 0578 45 00 05dc 0000 4000 40 04 0000 0a000002 0a000001 "
#define INNER_V4 "45 00 05c8 0000 4000 3f 06 0000 c6336407 cb00710a abcd 0050 01020304"
#define GUE_V4 "03 04 0000 0000 0578 45 00 05dc 0000 4000 40 11 0000 0a000002 0a000001 c001 17c0 05c8 0000 0004 0000 "

static struct packet_tunnel_quote tunnel;

/* Cut at the end by so much, the outer length too. */
static bool
parse_tunnel(const char *hex, unsigned int missing)
{
	parse_error(hex);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 17) -= missing;
	rte_pktmbuf_trim(m, missing);
	assert_int_equal(packet_parse(m), PACKET_OK);
	memset(&tunnel, 0xee, sizeof(tunnel));
	return packet_parse_icmp_tunnel(m, &tunnel);
}

#define IPIP_V4 ETHERNET_V4 "45 00 004c 0000 0000 40 01 0000 c0000201 0a000002 " TUNNEL_V4 INNER_V4
#define IPGUE_V4 ETHERNET_V4 "45 00 0058 0000 0000 40 01 0000 c0000201 0a000002 " GUE_V4 INNER_V4

static void
a_tunnels_quote_has_the_packet_inside(void **state)
{
	const char *const errors[] = { IPIP_V4, IPGUE_V4 };

	for (unsigned int i = 0; i < 2; i++) {
		assert_true(parse_tunnel(errors[i], 0));
		quote = tunnel.outer;
		assert_quote(i ? "10.0.0.2:49153" : "10.0.0.2:0", i ? "10.0.0.1:6080" : "10.0.0.1:0");
		assert_int_equal(quote.mtu, 1400);
		assert_int_equal(quote.ip_protocol, i ? IPPROTO_UDP : IPPROTO_IPIP);
		quote = tunnel.inner;
		assert_quote("198.51.100.7:43981", "203.0.113.10:80");
		assert_int_equal(quote.ip_protocol, IPPROTO_TCP);
		assert_int_equal(tunnel.outer_len, 1500);
		assert_int_equal(tunnel.inner_offset, 14 + 20 + 8 + 20 + (i ? 12 : 0));
		assert_int_equal(tunnel.inner_l4_offset, 20);
		assert_int_equal(tunnel.inner_len, 28);
	}
}

static void
a_tunnels_quote_reaches_the_ports_or_is_none(void **state)
{
	for (unsigned int missing = 0; missing <= 28; missing++) {
		assert_int_equal(parse_tunnel(IPIP_V4, missing), missing <= 4);
		assert_int_equal(parse_tunnel(IPGUE_V4, missing), missing <= 4);
	}
}

static void
other_packets_are_no_tunnels(void **state)
{
	/* TCP, GUE version 1, of another protocol, with flags; a later fragment inside. */
	assert_true(parse_error(ETHERNET_V4 OUTER_V4 "03 04 0000 0000 0578 " QUOTE_V4));
	assert_false(packet_parse_icmp_tunnel(m, &tunnel));
	for (unsigned int at = 0; at < 3; at++) {
		parse_error(IPGUE_V4);
		*rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 8 + 20 + 8 + at) ^= 0x40;
		assert_false(packet_parse_icmp_tunnel(m, &tunnel));
	}
	parse_error(IPIP_V4);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 8 + 20 + 7) = 9;
	assert_false(packet_parse_icmp_tunnel(m, &tunnel));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(fragmentation_needed_gives_pair_sequence_and_mtu, teardown),
		cmocka_unit_test_teardown(packet_too_big_gives_pair_sequence_and_mtu, teardown),
		cmocka_unit_test_teardown(other_errors_have_no_mtu, teardown),
		cmocka_unit_test_teardown(what_is_no_error_is_not_taken_for_one, teardown),
		cmocka_unit_test_teardown(a_fragmented_error_is_not_read, teardown),
		cmocka_unit_test_teardown(udp_is_quoted_without_a_sequence, teardown),
		cmocka_unit_test_teardown(quoted_options_and_extension_headers_are_skipped, teardown),
		cmocka_unit_test_teardown(a_truncated_quote_is_no_quote, teardown),
		cmocka_unit_test_teardown(a_quote_of_a_later_fragment_has_no_ports, teardown),
		cmocka_unit_test_teardown(a_quote_of_the_wrong_version_is_no_quote, teardown),
		cmocka_unit_test_teardown(a_tunnels_quote_has_the_packet_inside, teardown),
		cmocka_unit_test_teardown(a_tunnels_quote_reaches_the_ports_or_is_none, teardown),
		cmocka_unit_test_teardown(other_packets_are_no_tunnels, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
