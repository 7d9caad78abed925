#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "base/random.h"
#include "l4/forward.h"
#include "l4/slate.h"
#include "support/cmocka.h"

static void
build(const struct wire *w)
{
	rte_pktmbuf_free(packet.m);
	wire_build(w, &packet);
}

static struct endpoint
other_source(bool v6)
{
	return wire_endpoint(v6 ? "[fd00:2::ffff:1]:1025" : "10.9.8.7:1025");
}

static struct endpoint
other_destination(bool v6)
{
	return wire_endpoint(v6 ? "[fd00:2::2]:65535" : "10.0.2.11:65535");
}

static void
rewrite_both(bool v6)
{
	const struct endpoint source = other_source(v6), destination = other_destination(v6);

	l4_rewrite_source(&packet, &source.ip, source.port_be);
	l4_rewrite_destination(&packet, &destination.ip, destination.port_be);
}

static void
every_kind_has_new_ends_and_right_sums(void **state)
{
	unsigned int number = 0;
	struct wire w;

	while (wire_next(&w, &number)) {
		const struct endpoint source = other_source(w.v6), destination = other_destination(w.v6);
		uint16_t len = wire_bytes(&w, before), l4 = wire_l4_offset(before), ports = 4;
		struct endpoint e;

		build(&w);
		rewrite_both(w.v6);
		l4_packet_strip(&packet);
		assert_int_equal(wire_read(packet.m, 0, after), len);
		wire_assert_sums(after, len, w.partial);
		e = wire_source(after);
		assert_true(ip_address_equal(&e.ip, &source.ip));
		e = wire_destination(after);
		assert_true(ip_address_equal(&e.ip, &destination.ip));
		if (w.part == WIRE_LATER) {
			ports = 0;
		} else {
			assert_int_equal(wire_source(after).port_be, source.port_be);
			assert_int_equal(wire_destination(after).port_be, destination.port_be);
			memcpy(after + l4 + (w.ip_protocol == IPPROTO_TCP ? 16 : 6),
			       before + l4 + (w.ip_protocol == IPPROTO_TCP ? 16 : 6), 2);
		}
		assert_int_equal(packet.source_port_be, source.port_be);
		assert_memory_equal(after + l4 + ports, before + l4 + ports, len - l4 - ports);
	}
}

static void
fragments_fit_together_as_before(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct wire w = wire_default(kind & 1, kind & 2 ? IPPROTO_UDP : IPPROTO_TCP);
		uint8_t first[BYTES_MAX];
		uint16_t first_len;

		w.part = WIRE_FIRST;
		build(&w);
		rewrite_both(w.v6);
		l4_packet_strip(&packet);
		first_len = wire_read(packet.m, 0, first);
		w.part = WIRE_LATER;
		build(&w);
		rewrite_both(w.v6);
		l4_packet_strip(&packet);
		wire_assert_reassembled(first, first_len, after, wire_read(packet.m, 0, after));
	}
}

static void
one_end_alone_leaves_the_other(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct wire w = wire_default(kind, IPPROTO_TCP);
		const struct endpoint source = other_source(w.v6);
		struct endpoint e;
		uint16_t len;

		build(&w);
		l4_rewrite_source(&packet, &source.ip, 0);
		l4_rewrite_destination(&packet, NULL, htons(81));
		l4_packet_strip(&packet);
		len = wire_read(packet.m, 0, after);
		wire_assert_sums(after, len, false);
		e = wire_source(after);
		assert_true(ip_address_equal(&e.ip, &source.ip));
		assert_int_equal(e.port_be, w.source.port_be);
		e = wire_destination(after);
		assert_true(ip_address_equal(&e.ip, &w.destination.ip));
		assert_int_equal(e.port_be, htons(81));
	}
}

static struct endpoint
random_endpoint(struct random *random, bool v6)
{
	struct endpoint e = { .port_be = (uint16_t)(random_next(random) | 1) };

	e.ip = ip_address_from_v4((uint32_t)random_next(random));
	if (v6)
		e.ip.halves[0] = random_next(random), e.ip.halves[1] = random_next(random);
	return e;
}

static void
there_and_back_gives_the_same_bytes(void **state)
{
	struct random random = { 4711 };
	unsigned int number = 0;
	struct wire w;

	for (unsigned int round = 0; round < 200; round++, number = 0)
		while (wire_next(&w, &number)) {
			struct endpoint source = random_endpoint(&random, w.v6);
			struct endpoint destination = random_endpoint(&random, w.v6);
			uint16_t len;

			w.source = random_endpoint(&random, w.v6);
			w.destination = random_endpoint(&random, w.v6);
			w.sequence = (uint32_t)random_next(&random);
			w.payload_len = 60 + random_next(&random) % 200;
			len = wire_bytes(&w, before);
			build(&w);
			l4_rewrite_source(&packet, &source.ip, source.port_be);
			l4_rewrite_destination(&packet, &destination.ip, destination.port_be);
			l4_rewrite_destination(&packet, &w.destination.ip, w.destination.port_be);
			l4_rewrite_source(&packet, &w.source.ip, w.source.port_be);
			l4_packet_strip(&packet);
			assert_int_equal(wire_read(packet.m, 0, after), len);
			assert_memory_equal(after, before, len);
		}
}

/* Among all ports there is one for which the sum comes out as zero. */
static void
a_udp_sum_of_zero_is_sent_as_ones(void **state)
{
	struct wire w = wire_default(false, IPPROTO_UDP);
	unsigned int ones = 0;

	build(&w);
	for (uint32_t port = 1; port <= UINT16_MAX; port++) {
		uint16_t checksum;

		l4_rewrite_source(&packet, NULL, htons((uint16_t)port));
		memcpy(&checksum, l4_packet_l4(&packet) + 6, sizeof(checksum));
		assert_int_not_equal(checksum, 0);
		ones += checksum == UINT16_MAX;
	}
	assert_true(ones > 0);
	l4_packet_strip(&packet);
	wire_assert_sums(after, wire_read(packet.m, 0, after), false);
}

static void
ttl_is_one_less_with_its_sum(void **state)
{
	for (unsigned int ttl = 2; ttl <= 255; ttl++)
		for (unsigned int kind = 0; kind < 2; kind++) {
			struct wire w = wire_default(kind, IPPROTO_UDP);

			w.ttl = (uint8_t)ttl;
			build(&w);
			l4_rewrite_ttl(&packet);
			assert_int_equal(packet.ttl, ttl - 1);
			l4_packet_strip(&packet);
			wire_assert_sums(after, wire_read(packet.m, 0, after), false);
			assert_int_equal(after[w.v6 ? 7 : 8], ttl - 1);
		}
}

static void
stripped_packets_start_at_ip_without_padding(void **state)
{
	struct wire w = wire_default(false, IPPROTO_UDP);

	w.padded = true;
	w.payload_len = 1;
	build(&w);
	l4_packet_strip(&packet);
	assert_ptr_equal(rte_pktmbuf_mtod(packet.m, uint8_t *), packet.l3);
	assert_int_equal(packet.m->pkt_len, 29);
	assert_int_equal(packet.m->data_len, 29);
	assert_int_equal(packet.m->l2_len, 0);
	assert_int_equal(packet.m->l3_len, 20);
	assert_int_equal(packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
}

static void
partial_sums_are_left_to_the_port(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct wire w = wire_default(kind & 1, kind & 2 ? IPPROTO_UDP : IPPROTO_TCP);

		w.partial = true;
		w.options_len = kind & 2 ? 0 : 12;
		memset(w.options, 1, 12);
		build(&w);
		l4_packet_strip(&packet);
		assert_int_equal(packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK,
				 kind & 2 ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM);
		assert_true(packet.m->ol_flags & (w.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
		assert_int_equal(packet.m->l3_len, w.v6 ? 40 : 20);
		assert_int_equal(packet.m->l4_len, kind & 2 ? 8 : 32);
	}
}

/* ---- MSS ---- */

/* Returns the MSS afterwards. */
static uint16_t
mss_after(struct wire *w, const char *options, uint8_t len, uint8_t at, uint16_t limit)
{
	uint16_t mss;

	memcpy(w->options, options, len);
	w->options_len = len;
	build(w);
	l4_rewrite_mss(&packet, limit);
	l4_packet_strip(&packet);
	wire_assert_sums(after, wire_read(packet.m, 0, after), w->partial);
	memcpy(&mss, after + wire_l4_offset(after) + 20 + at, sizeof(mss));
	return ntohs(mss);
}

static void
mss_is_lowered_never_raised(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct wire w = wire_default(kind & 1, IPPROTO_TCP);

		w.tcp_flags = RTE_TCP_SYN_FLAG;
		w.partial = kind & 2;
		w.payload_len = 0;
		assert_int_equal(mss_after(&w, "\2\4\5\xb4\1\3\3\7", 8, 2, 1400), 1400);
		assert_int_equal(mss_after(&w, "\2\4\5\xb4\1\3\3\7", 8, 2, 1460), 1460);
		assert_int_equal(mss_after(&w, "\2\4\5\xb4\1\3\3\7", 8, 2, 9000), 1460);
		/* Behind one NOP, at an odd place. */
		assert_int_equal(mss_after(&w, "\1\2\4\5\xb4\1\1\0", 8, 3, 1357), 1357);
		w.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
		assert_int_equal(mss_after(&w, "\4\2\2\4\5\xb4\1\1", 8, 4, 536), 536);
	}
}

static void
mss_is_read_from_syn_and_whole_options_only(void **state)
{
	struct wire w = wire_default(false, IPPROTO_TCP);

	assert_int_equal(mss_after(&w, "\2\4\5\xb4", 4, 2, 1400), 1460);
	w.tcp_flags = RTE_TCP_SYN_FLAG;
	/* Behind the end of the list, in another option, cut off, of another length, and after one of none. */
	assert_int_equal(mss_after(&w, "\0\2\4\5\xb4\1\1\1", 8, 3, 1400), 1460);
	assert_int_equal(mss_after(&w, "\x1e\x8\2\4\5\xb4\1\1", 8, 4, 1400), 1460);
	assert_int_equal(mss_after(&w, "\1\1\2\4", 4, 2, 1) >> 8, 2);
	assert_int_equal(mss_after(&w, "\2\3\5\xb4", 4, 2, 1400), 1460);
	assert_int_equal(mss_after(&w, "\3\0\2\4\5\xb4\1\1", 8, 4, 1400), 1460);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_kind_has_new_ends_and_right_sums, teardown),
		cmocka_unit_test_teardown(fragments_fit_together_as_before, teardown),
		cmocka_unit_test_teardown(one_end_alone_leaves_the_other, teardown),
		cmocka_unit_test_teardown(there_and_back_gives_the_same_bytes, teardown),
		cmocka_unit_test_teardown(a_udp_sum_of_zero_is_sent_as_ones, teardown),
		cmocka_unit_test_teardown(ttl_is_one_less_with_its_sum, teardown),
		cmocka_unit_test_teardown(stripped_packets_start_at_ip_without_padding, teardown),
		cmocka_unit_test_teardown(partial_sums_are_left_to_the_port, teardown),
		cmocka_unit_test_teardown(mss_is_lowered_never_raised, teardown),
		cmocka_unit_test_teardown(mss_is_read_from_syn_and_whole_options_only, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
