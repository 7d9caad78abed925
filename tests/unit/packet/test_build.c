#include "packet/build.h"

#include <netinet/in.h>
#include <string.h>

#include "base/random.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

static const uint8_t mac_to[6] = { 2, 0, 0, 0, 0, 2 }, mac_from[6] = { 2, 0, 0, 0, 0, 1 };
static struct rte_mbuf *m;

static int
teardown(void **state)
{
	rte_pktmbuf_free(m);
	m = NULL;
	return 0;
}

static struct ip_address
address(const char *text)
{
	struct ip_address a;

	assert_int_equal(ip_address_parse(bytes_of_string(text), &a), 0);
	return a;
}

static void
build(const char *l4_hex, const char *source, const char *destination, uint8_t protocol)
{
	struct ip_address from = address(source), to = address(destination);

	rte_pktmbuf_free(m);
	m = support_mbuf_from_hex(l4_hex);
	m->l2_len = 9;
	assert_true(packet_build_ip(m, &from, &to, protocol, 0xb8, 63));
	assert_int_equal(m->l2_len, 0);
}

static void
assert_bytes(const char *hex)
{
	struct rte_mbuf *expected = support_mbuf_from_hex(hex);

	assert_int_equal(m->pkt_len, expected->pkt_len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod(expected, void *), m->data_len);
	rte_pktmbuf_free(expected);
}

static void
an_ipv4_header_has_df_and_no_identification(void **state)
{
	build("0035 1000 000a 0000 6162", "10.0.0.1", "10.0.0.2", IPPROTO_UDP);
	assert_int_equal(m->l3_len, 20);
	assert_bytes("45 b8 001e 0000 4000 3f 11 0000 0a000001 0a000002 0035 1000 000a 0000 6162");
}

static void
an_ipv6_header_has_class_and_hop_limit(void **state)
{
	build("0035 1000 000a 0000 6162", "fd00::1", "fd00::2", IPPROTO_UDP);
	assert_int_equal(m->l3_len, 40);
	assert_bytes("6b800000 000a 11 3f fd000000000000000000000000000001 fd000000000000000000000000000002"
		     "0035 1000 000a 0000 6162");
}

static void
ethernet_names_the_version_and_the_vlan(void **state)
{
	build("6162", "10.0.0.1", "10.0.0.2", 253);
	assert_true(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
	assert_int_equal(m->l2_len, 14);
	assert_bytes("020000000002 020000000001 0800 45 b8 0016 0000 4000 3f fd 0000 0a000001 0a000002 6162");
	build("6162", "fd00::1", "fd00::2", 253);
	assert_true(packet_build_ethernet(m, mac_to, mac_from, 291));
	assert_int_equal(m->l2_len, 18);
	assert_bytes("020000000002 020000000001 8100 0123 86dd 6b800000 0002 fd 3f fd000000000000000000000000000001"
		     "fd000000000000000000000000000002 6162");
}

static void
without_headroom_nothing_changes(void **state)
{
	struct ip_address from = address("10.0.0.1"), to = address("10.0.0.2");

	m = support_mbuf_from_hex("6162");
	rte_pktmbuf_prepend(m, rte_pktmbuf_headroom(m) - 19);
	assert_false(packet_build_ip(m, &from, &to, IPPROTO_TCP, 0, 64));
	assert_int_equal(rte_pktmbuf_headroom(m), 19);
	rte_pktmbuf_prepend(m, 10);
	assert_false(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
	assert_int_equal(rte_pktmbuf_headroom(m), 9);
}

static void
a_packet_too_long_for_ip_is_refused(void **state)
{
	struct ip_address from = address("10.0.0.1"), to = address("10.0.0.2");
	static uint8_t zeros[2000];

	m = support_mbuf_from_hex("6162");
	for (int i = 0; i < 33; i++)
		support_mbuf_append(m, zeros, sizeof(zeros));
	assert_false(packet_build_ip(m, &from, &to, IPPROTO_TCP, 0, 64));
	from = address("fd00::1");
	to = address("fd00::2");
	assert_false(packet_build_ip(m, &from, &to, IPPROTO_TCP, 0, 64));
}

/* ---- checksums ---- */

static void
what_is_built_and_filled_parses_as_good(void **state)
{
	static const struct {
		const char *source, *destination, *l4;
		uint8_t protocol;
	} cases[] = {
		{ "10.0.0.1", "10.0.0.2", "0050 abcd 01020304 05060708 5010 ffff ffff 0000 616263", IPPROTO_TCP },
		{ "fd00::1", "fd00::2", "0050 abcd 01020304 05060708 5010 ffff ffff 0000 616263", IPPROTO_TCP },
		{ "10.0.0.1", "10.0.0.2", "0035 1000 000b ffff 616263", IPPROTO_UDP },
		{ "fd00::1", "fd00::2", "0035 1000 000b ffff 616263", IPPROTO_UDP },
		{ "10.0.0.1", "10.0.0.2", "0800 ffff 1234 0001 616263", IPPROTO_ICMP },
		{ "fd00::1", "fd00::2", "8000 ffff 1234 0001 616263", IPPROTO_ICMPV6 },
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		build(cases[i].l4, cases[i].source, cases[i].destination, cases[i].protocol);
		support_mbuf_append(m, "defgh", 5);
		support_mbuf_append(m, "i", 1);
		/* The lengths were written without what has been appended. */
		if (m->l3_len == 20)
			rte_pktmbuf_mtod(m, uint8_t *)[3] += 6;
		else
			rte_pktmbuf_mtod(m, uint8_t *)[5] += 6;
		if (cases[i].protocol == IPPROTO_UDP)
			*rte_pktmbuf_mtod_offset(m, uint8_t *, m->l3_len + 5) += 6;
		assert_true(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
		packet_checksum_fill(m, 14);
		assert_int_equal(packet_parse(m), PACKET_OK);
		assert_int_equal(packet_view(m)->flags & ~PACKET_IPV6, PACKET_L4_CHECKSUM_GOOD);
	}
}

/* 1000 + 0035 + 000a and the pseudo-header make the last word that brings the sum to all ones. */
static void
a_udp_sum_of_zero_is_sent_as_ones(void **state)
{
	build("1000 0035 000a 0000 dba2", "10.0.0.1", "10.0.0.2", IPPROTO_UDP);
	packet_checksum_fill(m, 0);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 26), "\xff\xff", 2);
}

static void
an_echo_reply_of_zeros_has_a_sum_of_ones(void **state)
{
	build("0000 3800 0000 0000 0000", "10.0.0.1", "10.0.0.2", IPPROTO_ICMP);
	assert_true(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
	packet_checksum_fill(m, 14);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 36), "\xff\xff", 2);
	assert_int_equal(packet_parse(m), PACKET_OK);
}

static void
bytes_behind_a_udp_datagram_are_not_summed(void **state)
{
	build("0035 1000 000a ffff 616263646566", "10.0.0.1", "10.0.0.2", IPPROTO_UDP);
	assert_true(packet_build_ethernet(m, mac_to, mac_from, PACKET_VLAN_NONE));
	packet_checksum_fill(m, 14);
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_view(m)->payload_len, 2);
}

static void
the_pseudo_sum_is_what_offload_expects(void **state)
{
	build("0050 abcd 01020304 05060708 5010 ffff 0000 0000 61626364", "10.0.0.1", "10.0.0.2", IPPROTO_TCP);
	assert_int_equal(ntohs(packet_checksum_pseudo(m, 0)), 0x1421);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	assert_int_equal(ntohs(packet_checksum_pseudo(m, 0)), 0x1421 - 24);
}

static void
a_fragment_keeps_its_l4_bytes(void **state)
{
	m = support_mbuf_from_hex(
		"45 00 0024 1234 2000 40 11 ffff 0a000001 0a000002 1000 0035 0100 1111 6162636465666768");
	packet_checksum_fill(m, 0);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 26), "\x11\x11", 2);
	assert_memory_not_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 10), "\xff\xff", 2);
}

static void
what_is_no_packet_is_left_alone(void **state)
{
	static const char *const packets[] = {
		"45",
		"45 00 0014 0000 0000 40 06 ffff 0a000001",
		"4f 00 0014 0000 0000 40 06 ffff 0a000001 0a000002",
		"60000000 0008 06 40 fd00000000000000",
		"60000000 0018 06 40 fd000000000000000000000000000001 fd000000000000000000000000000002 0050",
	};

	for (size_t i = 0; i < RTE_DIM(packets); i++) {
		rte_pktmbuf_free(m);
		m = support_mbuf_from_hex(packets[i]);
		packet_checksum_fill(m, 0);
		assert_bytes(packets[i]);
	}
}

static uint16_t
sum_of(const uint16_t *words, size_t count)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
updates_agree_with_summing_again(void **state)
{
	struct random random = { 42 };
	union {
		uint16_t words[10];
		uint32_t doubles[5];
	} data;

	for (int i = 0; i < 10000; i++) {
		uint16_t before, word;
		uint32_t both;

		for (size_t j = 0; j < 5; j++)
			data.doubles[j] = (uint32_t)random_next(&random);
		before = sum_of(data.words, 10);
		word = (uint16_t)random_next(&random);
		before = packet_checksum_update16(before, data.words[3], word);
		data.words[3] = word;
		assert_int_equal(before, sum_of(data.words, 10));
		both = (uint32_t)random_next(&random);
		before = packet_checksum_update32(before, data.doubles[4], both);
		data.doubles[4] = both;
		assert_int_equal(before, sum_of(data.words, 10));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_ipv4_header_has_df_and_no_identification, teardown),
		cmocka_unit_test_teardown(an_ipv6_header_has_class_and_hop_limit, teardown),
		cmocka_unit_test_teardown(ethernet_names_the_version_and_the_vlan, teardown),
		cmocka_unit_test_teardown(without_headroom_nothing_changes, teardown),
		cmocka_unit_test_teardown(a_packet_too_long_for_ip_is_refused, teardown),
		cmocka_unit_test_teardown(what_is_built_and_filled_parses_as_good, teardown),
		cmocka_unit_test_teardown(a_udp_sum_of_zero_is_sent_as_ones, teardown),
		cmocka_unit_test_teardown(an_echo_reply_of_zeros_has_a_sum_of_ones, teardown),
		cmocka_unit_test_teardown(bytes_behind_a_udp_datagram_are_not_summed, teardown),
		cmocka_unit_test_teardown(the_pseudo_sum_is_what_offload_expects, teardown),
		cmocka_unit_test_teardown(a_fragment_keeps_its_l4_bytes, teardown),
		cmocka_unit_test_teardown(what_is_no_packet_is_left_alone, teardown),
		cmocka_unit_test_teardown(updates_agree_with_summing_again, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
