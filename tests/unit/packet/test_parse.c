/* Packets are written byte by byte, checksums included, so that nothing under test makes its own input. */
#include "packet/parse.h"

#include <netinet/in.h>
#include <string.h>

#include "packet/checksum.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define ETHERNET_V4 "020000000002 020000000001 0800 "
#define ETHERNET_V6 "020000000002 020000000001 86dd "

/* 10.0.0.1:43981 > 10.0.0.2:80, SYN, four bytes of payload; all sums right. */
#define IP_V4_TCP "45 00 002c 0000 4000 40 06 26ca 0a000001 0a000002 "
#define TCP_V4 "abcd 0050 01020304 00000000 50 02 ffff 26f2 0000 61626364"

/* [fd00::1]:43981 > [fd00::2]:80, SYN. */
#define ADDRESSES_V6 "fd000000000000000000000000000001 fd000000000000000000000000000002 "
#define TCP_V6 "abcd 0050 01020304 00000000 50 02 ffff 40f0 0000 61626364"

static struct rte_mbuf *m;

static enum packet_verdict
parse(const char *hex)
{
	rte_pktmbuf_free(m);
	m = support_mbuf_from_hex(hex);
	return packet_parse(m);
}

static uint8_t *
byte_at(size_t offset)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, offset);
}

static int
teardown(void **state)
{
	rte_pktmbuf_free(m);
	m = NULL;
	return 0;
}

static void
assert_address(const struct ip_address *address, const char *expected)
{
	char text[ENDPOINT_TEXT_MAX];

	ip_address_format(address, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void
tcp_over_ipv4_fills_the_view(void **state)
{
	const struct packet_view *view;

	assert_int_equal(parse(ETHERNET_V4 IP_V4_TCP TCP_V4), PACKET_OK);
	view = packet_view(m);
	assert_address(&view->source, "10.0.0.1");
	assert_address(&view->destination, "10.0.0.2");
	assert_int_equal(ntohs(view->source_port_be), 0xabcd);
	assert_int_equal(ntohs(view->destination_port_be), 80);
	assert_int_equal(view->l3_offset, 14);
	assert_int_equal(view->l4_offset, 34);
	assert_int_equal(view->payload_offset, 54);
	assert_int_equal(view->payload_len, 4);
	assert_int_equal(view->l3_total_len, 44);
	assert_int_equal(view->ip_protocol, IPPROTO_TCP);
	assert_int_equal(view->ttl, 64);
	assert_int_equal(view->tcp_flags, 2);
	assert_int_equal(view->flags, PACKET_L4_CHECKSUM_GOOD);
	assert_int_equal(view->verdict, PACKET_OK);
}

static void
tcp_over_ipv6_fills_the_view(void **state)
{
	const struct packet_view *view;

	assert_int_equal(parse(ETHERNET_V6 "6b800000 0018 06 3f " ADDRESSES_V6 TCP_V6), PACKET_OK);
	view = packet_view(m);
	assert_address(&view->source, "fd00::1");
	assert_address(&view->destination, "fd00::2");
	assert_int_equal(ntohs(view->destination_port_be), 80);
	assert_int_equal(view->l4_offset, 54);
	assert_int_equal(view->payload_offset, 74);
	assert_int_equal(view->payload_len, 4);
	assert_int_equal(view->l3_total_len, 64);
	assert_int_equal(view->ttl, 63);
	assert_int_equal(view->tos, 0xb8);
	assert_int_equal(view->flags, PACKET_IPV6 | PACKET_L4_CHECKSUM_GOOD);
}

static void
port_and_queue_survive_and_the_rest_does_not(void **state)
{
	m = support_mbuf_from_hex(ETHERNET_V4 "4500");
	memset(packet_view(m), 0xff, sizeof(struct packet_view));
	packet_view(m)->port_index = 3;
	packet_view(m)->queue = 5;
	assert_int_equal(packet_parse(m), PACKET_DROP_TRUNCATED);
	assert_int_equal(packet_view(m)->port_index, 3);
	assert_int_equal(packet_view(m)->queue, 5);
	assert_int_equal(packet_view(m)->flags, 0);
	assert_int_equal(packet_view(m)->ip_protocol, 0);
}

/* Every prefix of a good packet is a drop, and under a sanitizer shows any read behind the end. */
static void
a_frame_cut_anywhere_is_truncated(void **state)
{
	static const char *const packets[] = { ETHERNET_V4 IP_V4_TCP TCP_V4,
					       ETHERNET_V6 "60000000 0018 06 40 " ADDRESSES_V6 TCP_V6,
					       "020000000002 020000000001 8100 0005 0800 " IP_V4_TCP TCP_V4 };

	for (size_t i = 0; i < RTE_DIM(packets); i++) {
		parse(packets[i]);
		for (uint16_t len = m->data_len - 1; len > 0; len--) {
			rte_pktmbuf_trim(m, 1);
			assert_int_equal(packet_parse(m), PACKET_DROP_TRUNCATED);
		}
	}
}

/* The headers must be in the first segment, the payload need not be. */
static void
payload_in_a_second_segment_is_summed_too(void **state)
{
	m = support_mbuf_from_hex(ETHERNET_V4 IP_V4_TCP "abcd 0050 01020304 00000000 50 02 ffff 26f2 0000 61");
	support_mbuf_append(m, "b", 1);
	support_mbuf_append(m, "cd", 2);
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD);
	assert_int_equal(packet_view(m)->payload_len, 4);
	*rte_pktmbuf_mtod(m->next, char *) = 'x';
	assert_int_equal(packet_parse(m), PACKET_DROP_L4_CHECKSUM);
}

static void
a_header_in_a_second_segment_is_truncated(void **state)
{
	m = support_mbuf_from_hex(ETHERNET_V4 IP_V4_TCP "abcd 0050 01020304");
	support_mbuf_append(m, "\0\0\0\0\x50\x02\xff\xff\x26\xf2\0\0abcd", 16);
	assert_int_equal(packet_parse(m), PACKET_DROP_TRUNCATED);
}

static void
ethernet_padding_is_no_payload(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 IP_V4_TCP TCP_V4 "000000000000000000"), PACKET_OK);
	assert_int_equal(packet_view(m)->payload_len, 4);
}

static void
other_ethertypes_are_not_ip(void **state)
{
	assert_int_equal(parse("ffffffffffff 020000000001 0806 0001080006040001"), PACKET_NOT_IP);
	assert_int_equal(parse("0180c200000e 020000000001 88cc 0207"), PACKET_NOT_IP);
	assert_int_equal(parse("0180c2000000 020000000001 0026 424203"), PACKET_NOT_IP);
	/* A second tag is more than Weir takes. */
	assert_int_equal(parse("020000000002 020000000001 8100 0005 8100 0006 0800 " IP_V4_TCP TCP_V4), PACKET_NOT_IP);
}

static void
a_vlan_tag_in_the_frame_moves_everything(void **state)
{
	assert_int_equal(parse("020000000002 020000000001 8100 a123 0800 " IP_V4_TCP TCP_V4), PACKET_OK);
	assert_int_equal(packet_view(m)->vlan_id, 0x123);
	assert_int_equal(packet_view(m)->flags, PACKET_VLAN | PACKET_L4_CHECKSUM_GOOD);
	assert_int_equal(packet_view(m)->l3_offset, 18);
	assert_int_equal(packet_view(m)->payload_offset, 58);
}

static void
a_stripped_vlan_tag_counts_too(void **state)
{
	m = support_mbuf_from_hex(ETHERNET_V4 IP_V4_TCP TCP_V4);
	m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 0xa123;
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_view(m)->vlan_id, 0x123);
	assert_int_equal(packet_view(m)->l3_offset, 14);
}

static void
versions_must_agree(void **state)
{
	assert_int_equal(parse(ETHERNET_V6 IP_V4_TCP TCP_V4), PACKET_DROP_BAD_VERSION);
	assert_int_equal(parse(ETHERNET_V4 "60000000 0018 06 40 " ADDRESSES_V6 TCP_V6), PACKET_DROP_BAD_VERSION);
}

static void
impossible_lengths_are_bad_headers(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "44 00 002c 0000 4000 40 06 27ca 0a000001 0a000002 " TCP_V4),
			 PACKET_DROP_BAD_HEADER_LEN);
	assert_int_equal(parse(ETHERNET_V4 "45 00 0013 0000 4000 40 06 26e3 0a000001 0a000002 " TCP_V4),
			 PACKET_DROP_BAD_HEADER_LEN);
	/* TCP data offset 4. */
	assert_int_equal(parse(ETHERNET_V4 IP_V4_TCP "abcd 0050 01020304 00000000 40 02 ffff 36f2 0000 61626364"),
			 PACKET_DROP_BAD_HEADER_LEN);
	/* TCP data offset beyond the packet. */
	assert_int_equal(parse(ETHERNET_V4 IP_V4_TCP "abcd 0050 01020304 00000000 80 02 ffff f6f1 0000 61626364"),
			 PACKET_DROP_TRUNCATED);
	/* UDP length 7. */
	assert_int_equal(parse(ETHERNET_V4 "45 00 001c 0000 4000 40 11 26cf 0a000001 0a000002 0035 0035 0007 0000"),
			 PACKET_DROP_BAD_HEADER_LEN);
	/* IPv6 payload length that does not fit the view. */
	assert_int_equal(parse(ETHERNET_V6 "60000000 ffff 06 40 " ADDRESSES_V6 TCP_V6), PACKET_DROP_BAD_HEADER_LEN);
}

static void
ip_options_are_skipped(void **state)
{
	/* Router alert. */
	assert_int_equal(parse(ETHERNET_V4 "46 00 0030 0000 4000 40 06 91c1 0a000001 0a000002 94040000 " TCP_V4),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->l4_offset, 38);
	assert_int_equal(packet_view(m)->payload_len, 4);
	*byte_at(34) ^= 1;
	assert_int_equal(packet_parse(m), PACKET_DROP_IP_CHECKSUM);
}

static void
every_flipped_bit_of_ip_is_found(void **state)
{
	parse(ETHERNET_V4 IP_V4_TCP TCP_V4);
	for (size_t bit = 0; bit < 20 * 8; bit++) {
		*byte_at(14 + bit / 8) ^= 1 << bit % 8;
		assert_int_not_equal(packet_parse(m), PACKET_OK);
		*byte_at(14 + bit / 8) ^= 1 << bit % 8;
	}
	assert_int_equal(packet_parse(m), PACKET_OK);
}

static void
every_flipped_bit_of_tcp_is_found(void **state)
{
	parse(ETHERNET_V4 IP_V4_TCP TCP_V4);
	for (size_t bit = 0; bit < 24 * 8; bit++) {
		*byte_at(34 + bit / 8) ^= 1 << bit % 8;
		assert_int_not_equal(packet_parse(m), PACKET_OK);
		*byte_at(34 + bit / 8) ^= 1 << bit % 8;
	}
}

static void
a_device_is_believed_when_it_says_good(void **state)
{
	m = support_mbuf_from_hex(ETHERNET_V4 "45 00 002c 0000 4000 40 06 0000 0a000001 0a000002 "
					      "abcd 0050 01020304 00000000 50 02 ffff 0000 0000 61626364");
	assert_int_equal(packet_parse(m), PACKET_DROP_IP_CHECKSUM);
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	assert_int_equal(packet_parse(m), PACKET_DROP_L4_CHECKSUM);
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD);
}

/* 10.0.0.1 + 10.0.0.2 + 6 + 24, folded: 0x1421; what Linux leaves in a frame over veth. */
static void
a_partial_sum_is_taken_and_marked(void **state)
{
	static const uint64_t device[] = { 0, RTE_MBUF_F_RX_L4_CKSUM_NONE, RTE_MBUF_F_RX_L4_CKSUM_BAD };

	for (size_t i = 0; i < RTE_DIM(device); i++) {
		rte_pktmbuf_free(m);
		m = support_mbuf_from_hex(ETHERNET_V4 IP_V4_TCP
					  "abcd 0050 01020304 00000000 50 02 ffff 1421 0000 61626364");
		m->ol_flags = device[i];
		assert_int_equal(packet_parse(m), PACKET_OK);
		assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD | PACKET_L4_CHECKSUM_PARTIAL);
	}
	/* Filling it in gives the full sum that the good packet carries. */
	packet_checksum_fill(m, 14);
	assert_int_equal(packet_parse(m), PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD);
	assert_memory_equal(byte_at(50), "\x26\xf2", 2);
}

static void
sources_that_nobody_can_answer_are_martians(void **state)
{
	static const char *const sources[] = { "e0000001", "efffffff", "ffffffff", "00000000" };

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		char hex[200];

		snprintf(hex, sizeof(hex), ETHERNET_V4 "45 00 002c 0000 4000 40 06 0000 %s 0a000002 " TCP_V4,
			 sources[i]);
		rte_pktmbuf_free(m);
		m = support_mbuf_from_hex(hex);
		m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		assert_int_equal(packet_parse(m), PACKET_DROP_MARTIAN);
	}
	assert_int_equal(parse(ETHERNET_V6 "60000000 0018 06 40 ff020000000000000000000000000001"
					   "fd000000000000000000000000000002 " TCP_V6),
			 PACKET_DROP_MARTIAN);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0018 06 40 00000000000000000000000000000000"
					   "fd000000000000000000000000000002 " TCP_V6),
			 PACKET_DROP_MARTIAN);
}

static void
mapped_addresses_on_the_wire_are_martians(void **state)
{
	assert_int_equal(parse(ETHERNET_V6 "60000000 0018 06 40 00000000000000000000ffff0a000001"
					   "fd000000000000000000000000000002 " TCP_V6),
			 PACKET_DROP_MARTIAN);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0018 06 40 fd000000000000000000000000000002"
					   "00000000000000000000ffff0a000001 " TCP_V6),
			 PACKET_DROP_MARTIAN);
}

/* DHCP and duplicate address detection come from hosts without an address. */
static void
the_unspecified_source_may_talk_to_groups(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 001c 0000 4000 40 11 3ad2 00000000 ffffffff 0044 0043 0008 0000"),
			 PACKET_OK);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0018 3a ff 00000000000000000000000000000000"
					   "ff0200000000000000000001ff000002"
					   "8700 7da3 00000000 fd000000000000000000000000000002"),
			 PACKET_OK);
}

static void
udp_is_checked_over_its_own_length(void **state)
{
	/* One byte behind the datagram, within the IP length. */
	assert_int_equal(parse(ETHERNET_V4 "45 00 001f 0000 4000 40 11 26cc 0a000001 0a000002 "
					   "1000 0035 000a 7a40 6162 ff"),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->payload_len, 2);
	assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD);
	*byte_at(42) ^= 1;
	assert_int_equal(packet_parse(m), PACKET_DROP_L4_CHECKSUM);
}

static void
udp_without_a_sum_is_good_in_ipv4_alone(void **state)
{
	assert_int_equal(
		parse(ETHERNET_V4 "45 00 001e 0000 4000 40 11 26cd 0a000001 0a000002 1000 0035 000a 0000 6162"),
		PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_L4_CHECKSUM_GOOD);
	assert_int_equal(parse(ETHERNET_V6 "60000000 000a 11 40 " ADDRESSES_V6 "1000 0035 000a 0000 6162"),
			 PACKET_DROP_L4_CHECKSUM);
}

static void
a_udp_length_behind_the_packet_is_truncated(void **state)
{
	assert_int_equal(
		parse(ETHERNET_V4 "45 00 001e 0000 4000 40 11 26cd 0a000001 0a000002 1000 0035 000b 0000 6162"),
		PACKET_DROP_TRUNCATED);
}

static void
an_echo_shows_type_and_identifier_as_ports(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 001c 0000 4000 40 01 26df 0a000001 0a000002 0800 e5ca 1234 0001"),
			 PACKET_OK);
	assert_int_equal(ntohs(packet_view(m)->source_port_be), 0x0800);
	assert_int_equal(ntohs(packet_view(m)->destination_port_be), 0x1234);
	*byte_at(40) ^= 1;
	assert_int_equal(packet_parse(m), PACKET_DROP_L4_CHECKSUM);
}

static void
unknown_protocols_pass_without_ports(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 0018 0000 4000 40 2f 26b5 0a000001 0a000002 00000800"), PACKET_OK);
	assert_int_equal(packet_view(m)->ip_protocol, IPPROTO_GRE);
	assert_int_equal(packet_view(m)->source_port_be, 0);
	assert_int_equal(packet_view(m)->payload_len, 4);
	assert_int_equal(packet_view(m)->flags, 0);
}

/* ---- fragments ---- */

static void
a_first_fragment_has_ports_and_no_checked_sum(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 002c 1234 2000 40 06 3496 0a000001 0a000002 "
					   "abcd 0050 01020304 00000000 50 02 ffff 9999 0000 61626364"),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_FRAGMENT);
	assert_int_equal(ntohs(packet_view(m)->destination_port_be), 80);
}

static void
a_later_fragment_has_no_ports(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 0018 1234 0003 40 06 54a7 0a000001 0a000002 61626364"), PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_FRAGMENT | PACKET_LATER_FRAGMENT);
	assert_int_equal(packet_view(m)->source_port_be, 0);
	assert_int_equal(packet_view(m)->payload_len, 4);
}

static void
a_fragment_that_rewrites_the_tcp_header_is_dropped(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 0018 1234 2001 40 06 34a9 0a000001 0a000002 61626364"),
			 PACKET_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(parse(ETHERNET_V4 "45 00 0018 1234 0002 40 06 54a8 0a000001 0a000002 61626364"),
			 PACKET_DROP_FRAGMENT_OVERLAP);
	/* Of UDP it is the payload. */
	assert_int_equal(parse(ETHERNET_V4 "45 00 0018 1234 0001 40 11 549e 0a000001 0a000002 61626364"), PACKET_OK);
}

static void
a_tiny_first_fragment_is_truncated(void **state)
{
	assert_int_equal(parse(ETHERNET_V4 "45 00 001c 1234 2000 40 06 34a6 0a000001 0a000002 abcd 0050 01020304"),
			 PACKET_DROP_TRUNCATED);
}

/* ---- IPv6 extension headers ---- */

static void
extension_headers_are_walked(void **state)
{
	/* Hop-by-hop, destination options, AH of 16 bytes, routing without segments left. */
	assert_int_equal(parse(ETHERNET_V6 "60000000 0040 00 40 " ADDRESSES_V6 "3c00 050200000100 "
					   "33 00 010400000000 "
					   "2b 02 0000 00000001 00000002 11223344 "
					   "06 00 02 00 00000000 " TCP_V6),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->l4_offset, 54 + 40);
	assert_int_equal(packet_view(m)->ip_protocol, IPPROTO_TCP);
	assert_int_equal(packet_view(m)->payload_len, 4);
	assert_int_equal(packet_view(m)->flags, PACKET_IPV6 | PACKET_L4_CHECKSUM_GOOD);
}

static void
eight_extension_headers_pass_and_nine_do_not(void **state)
{
#define OPTIONS "3c00 010400000000 "
#define LAST_OPTIONS "0600 010400000000 "
	assert_int_equal(parse(ETHERNET_V6 "60000000 0058 3c 40 " ADDRESSES_V6 OPTIONS OPTIONS OPTIONS OPTIONS OPTIONS
				       OPTIONS OPTIONS LAST_OPTIONS TCP_V6),
			 PACKET_OK);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0060 3c 40 " ADDRESSES_V6 OPTIONS OPTIONS OPTIONS OPTIONS OPTIONS
				       OPTIONS OPTIONS OPTIONS LAST_OPTIONS TCP_V6),
			 PACKET_DROP_EXTENSION_HEADERS);
}

static void
extension_headers_weir_does_not_follow_are_dropped(void **state)
{
	/* Routing with a segment left. */
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 2b 40 " ADDRESSES_V6 "0600 0001 00000000 " TCP_V6),
			 PACKET_DROP_EXTENSION_HEADERS);
	/* Hop-by-hop that is not the first. */
	assert_int_equal(parse(ETHERNET_V6 "60000000 0028 3c 40 " ADDRESSES_V6 "0000 010400000000 "
					   "0600 010400000000 " TCP_V6),
			 PACKET_DROP_EXTENSION_HEADERS);
	/* One that reaches past the packet. */
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 3c 40 " ADDRESSES_V6 "06ff 010400000000 " TCP_V6),
			 PACKET_DROP_TRUNCATED);
}

static void
ipv6_fragments_are_like_ipv4s(void **state)
{
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 2c 40 " ADDRESSES_V6 "0600 0001 00000001 " TCP_V6),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_IPV6 | PACKET_FRAGMENT);
	assert_int_equal(ntohs(packet_view(m)->destination_port_be), 80);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 2c 40 " ADDRESSES_V6 "0600 0018 00000001 " TCP_V6),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_IPV6 | PACKET_FRAGMENT | PACKET_LATER_FRAGMENT);
	assert_int_equal(packet_view(m)->destination_port_be, 0);
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 2c 40 " ADDRESSES_V6 "0600 0008 00000001 " TCP_V6),
			 PACKET_DROP_FRAGMENT_OVERLAP);
}

static void
an_atomic_ipv6_fragment_is_a_whole_packet(void **state)
{
	assert_int_equal(parse(ETHERNET_V6 "60000000 0020 2c 40 " ADDRESSES_V6 "0600 0000 00000001 " TCP_V6),
			 PACKET_OK);
	assert_int_equal(packet_view(m)->flags, PACKET_IPV6 | PACKET_L4_CHECKSUM_GOOD);
}

static void
no_next_header_is_the_end(void **state)
{
	assert_int_equal(parse(ETHERNET_V6 "60000000 0000 3b 40 " ADDRESSES_V6), PACKET_OK);
	assert_int_equal(packet_view(m)->ip_protocol, IPPROTO_NONE);
	assert_int_equal(packet_view(m)->payload_len, 0);
}

static void
every_verdict_has_a_name_of_its_own(void **state)
{
	for (int i = 0; i < PACKET_VERDICT_COUNT; i++) {
		assert_non_null(packet_verdict_names[i]);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(packet_verdict_names[i], packet_verdict_names[j]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(tcp_over_ipv4_fills_the_view, teardown),
		cmocka_unit_test_teardown(tcp_over_ipv6_fills_the_view, teardown),
		cmocka_unit_test_teardown(port_and_queue_survive_and_the_rest_does_not, teardown),
		cmocka_unit_test_teardown(a_frame_cut_anywhere_is_truncated, teardown),
		cmocka_unit_test_teardown(payload_in_a_second_segment_is_summed_too, teardown),
		cmocka_unit_test_teardown(a_header_in_a_second_segment_is_truncated, teardown),
		cmocka_unit_test_teardown(ethernet_padding_is_no_payload, teardown),
		cmocka_unit_test_teardown(other_ethertypes_are_not_ip, teardown),
		cmocka_unit_test_teardown(a_vlan_tag_in_the_frame_moves_everything, teardown),
		cmocka_unit_test_teardown(a_stripped_vlan_tag_counts_too, teardown),
		cmocka_unit_test_teardown(versions_must_agree, teardown),
		cmocka_unit_test_teardown(impossible_lengths_are_bad_headers, teardown),
		cmocka_unit_test_teardown(ip_options_are_skipped, teardown),
		cmocka_unit_test_teardown(every_flipped_bit_of_ip_is_found, teardown),
		cmocka_unit_test_teardown(every_flipped_bit_of_tcp_is_found, teardown),
		cmocka_unit_test_teardown(a_device_is_believed_when_it_says_good, teardown),
		cmocka_unit_test_teardown(a_partial_sum_is_taken_and_marked, teardown),
		cmocka_unit_test_teardown(sources_that_nobody_can_answer_are_martians, teardown),
		cmocka_unit_test_teardown(mapped_addresses_on_the_wire_are_martians, teardown),
		cmocka_unit_test_teardown(the_unspecified_source_may_talk_to_groups, teardown),
		cmocka_unit_test_teardown(udp_is_checked_over_its_own_length, teardown),
		cmocka_unit_test_teardown(udp_without_a_sum_is_good_in_ipv4_alone, teardown),
		cmocka_unit_test_teardown(a_udp_length_behind_the_packet_is_truncated, teardown),
		cmocka_unit_test_teardown(an_echo_shows_type_and_identifier_as_ports, teardown),
		cmocka_unit_test_teardown(unknown_protocols_pass_without_ports, teardown),
		cmocka_unit_test_teardown(a_first_fragment_has_ports_and_no_checked_sum, teardown),
		cmocka_unit_test_teardown(a_later_fragment_has_no_ports, teardown),
		cmocka_unit_test_teardown(a_fragment_that_rewrites_the_tcp_header_is_dropped, teardown),
		cmocka_unit_test_teardown(a_tiny_first_fragment_is_truncated, teardown),
		cmocka_unit_test_teardown(extension_headers_are_walked, teardown),
		cmocka_unit_test_teardown(eight_extension_headers_pass_and_nine_do_not, teardown),
		cmocka_unit_test_teardown(extension_headers_weir_does_not_follow_are_dropped, teardown),
		cmocka_unit_test_teardown(ipv6_fragments_are_like_ipv4s, teardown),
		cmocka_unit_test_teardown(an_atomic_ipv6_fragment_is_a_whole_packet, teardown),
		cmocka_unit_test_teardown(no_next_header_is_the_end, teardown),
		cmocka_unit_test(every_verdict_has_a_name_of_its_own),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
