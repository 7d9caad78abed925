#include <netinet/in.h>
#include <string.h>

#include "l4/forward.h"
#include "l4/slate.h"
#include "packet/checksum.h"
#include "support/cmocka.h"

static struct l4_target
target_new(const char *forwarder, bool v6)
{
	return (struct l4_target){
		.forwarder = l4_forwarder_find(forwarder, strlen(forwarder)),
		.server = wire_endpoint(v6 ? "[fd00:2::11]" : "10.0.2.11"),
		.local = wire_endpoint(v6 ? "[fd00:2::1]" : "10.0.2.1").ip,
		.gue_port_be = htons(6080),
	};
}

/* Forwards into `after`, with what is left to the port filled in; `before` has the inner packet as it must be. */
static uint16_t
forward(const struct wire *w, const struct l4_target *target)
{
	struct wire complete = *w;
	uint16_t len;

	rte_pktmbuf_free(packet.m);
	wire_build(w, &packet);
	assert_int_equal(target->forwarder->to_server(&packet, target, NULL), L4_FORWARDED);
	if (packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK) {
		assert_int_equal(packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_UDP_CKSUM);
		assert_int_equal(packet.m->l2_len, 0);
		assert_int_equal(packet.m->l3_len, wire_l4_offset(rte_pktmbuf_mtod(packet.m, uint8_t *)));
		packet_checksum_fill(packet.m, 0);
	}
	len = wire_read(packet.m, 0, after);
	complete.partial = false;
	assert_int_equal(wire_bytes(&complete, before), packet.ip_len);
	assert_int_equal(len, packet.ip_len + target->forwarder->growth(target, w->v6));
	return len;
}

static void
assert_outer(const struct wire *w, const struct l4_target *target, uint8_t ip_protocol)
{
	bool v6 = after[0] >> 4 == 6;
	const struct endpoint source = wire_source(after), destination = wire_destination(after);

	assert_int_equal(v6, !ip_address_is_v4(&target->server.ip));
	assert_true(ip_address_equal(&source.ip, &target->local));
	assert_true(ip_address_equal(&destination.ip, &target->server.ip));
	assert_int_equal(after[v6 ? 6 : 9], ip_protocol);
	assert_int_equal(after[v6 ? 7 : 8], 64);
	assert_int_equal(v6 ? (after[0] << 4 & 0xf0) | after[1] >> 4 : after[1], w->tos);
	if (v6)
		return;
	/* DF is the inner packet's, and IPv6 always has it; without it an identification is needed. */
	assert_int_equal(after[6] << 8 | after[7], w->v6 || w->dont_fragment ? 0x4000 : 0);
	assert_int_equal((after[4] | after[5]) != 0, !w->v6 && !w->dont_fragment);
}

static void
ipip_carries_the_packet_as_it_was(void **state)
{
	for (unsigned int outer = 0; outer < 2; outer++) {
		const struct l4_target target = target_new("ipip", outer);
		unsigned int number = 0;
		struct wire w;

		while (wire_next(&w, &number)) {
			uint16_t len = forward(&w, &target), header_len = wire_l4_offset(after);

			assert_outer(&w, &target, w.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
			assert_memory_equal(after + header_len, before, packet.ip_len);
			wire_assert_sums(after + header_len, packet.ip_len, false);
			/* The outer header's length and sum; what is inside is no TCP or UDP of its own. */
			if (outer)
				assert_int_equal(after[4] << 8 | after[5], packet.ip_len);
			else
				assert_int_equal(after[2] << 8 | after[3], len);
			if (!outer)
				assert_int_equal(wire_sum(after, 20, 0), 0xffff);
		}
	}
}

static void
gue_carries_the_packet_in_udp(void **state)
{
	for (unsigned int outer = 0; outer < 2; outer++) {
		const struct l4_target target = target_new("gue", outer);
		unsigned int number = 0;
		struct wire w;

		while (wire_next(&w, &number)) {
			uint16_t len = forward(&w, &target), header_len = wire_l4_offset(after);
			const uint8_t gue[4] = { 0, w.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP };
			const uint8_t *udp = after + header_len;

			assert_outer(&w, &target, IPPROTO_UDP);
			wire_assert_sums(after, len, false);
			assert_true(ntohs(wire_source(after).port_be) >= 49152);
			assert_int_equal(wire_destination(after).port_be, htons(6080));
			assert_int_equal(udp[6] << 8 | udp[7] ? 1 : 0, outer);
			assert_memory_equal(udp + 8, gue, sizeof(gue));
			assert_memory_equal(udp + 12, before, packet.ip_len);
		}
	}
}

/* A sum that follows from the inner one costs the port nothing. */
static void
gue_over_ipv6_leaves_only_fragments_to_the_port(void **state)
{
	const struct l4_target target = target_new("gue", true);
	unsigned int number = 0;
	struct wire w;

	while (wire_next(&w, &number)) {
		bool left;

		rte_pktmbuf_free(packet.m);
		wire_build(&w, &packet);
		assert_int_equal(target.forwarder->to_server(&packet, &target, NULL), L4_FORWARDED);
		left = packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
		assert_int_equal(left, w.part != WIRE_WHOLE || w.no_sum);
	}
}

/* RFC 768 lets a datagram end before its packet: what is behind is in no sum of its own, but in the tunnel's. */
static void
gue_counts_what_is_behind_a_datagram(void **state)
{
	const struct l4_target target = target_new("gue", true);
	struct wire w = wire_default(false, IPPROTO_UDP);
	uint8_t *udp;
	uint16_t sum;

	rte_pktmbuf_free(packet.m);
	wire_build(&w, &packet);
	udp = l4_packet_l4(&packet);
	memcpy(udp + 4, (const uint8_t[4]){ 0, 90, 0, 0 }, 4);
	sum = (uint16_t)~wire_sum(udp, 90, (uint32_t)wire_sum(packet.l3 + 12, 8, 0) + IPPROTO_UDP + 90);
	udp[6] = (uint8_t)(sum >> 8);
	udp[7] = (uint8_t)sum;
	assert_int_equal(target.forwarder->to_server(&packet, &target, NULL), L4_FORWARDED);
	assert_true(packet.m->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM);
	packet_checksum_fill(packet.m, 0);
	wire_assert_sums(after, wire_read(packet.m, 0, after), false);
}

/* All packets of a flow go one way, and flows go many. */
static void
entropy_is_of_the_flow(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		const struct l4_target gue = target_new("gue", kind & 1), ipip = target_new("ipip", true);
		struct wire w = wire_default(kind & 2, IPPROTO_UDP);
		bool seen[16] = { false };
		uint32_t label, ways = 0;
		uint16_t port_be;

		forward(&w, &gue);
		port_be = wire_source(after).port_be;
		forward(&w, &ipip);
		memcpy(&label, after, sizeof(label));
		for (unsigned int part = WIRE_FIRST; part < WIRE_PARTS; part++) {
			w.part = (enum wire_part)part;
			w.identification++;
			forward(&w, &gue);
			assert_int_equal(wire_source(after).port_be, port_be);
			forward(&w, &ipip);
			assert_memory_equal(after, &label, sizeof(label));
		}
		w.part = WIRE_WHOLE;
		for (uint16_t port = 1000; port < 1200; port++) {
			w.source.port_be = htons(port);
			forward(&w, &gue);
			seen[ntohs(wire_source(after).port_be) >> 10 & 15] = true;
		}
		for (unsigned int i = 0; i < 16; i++)
			ways += seen[i];
		assert_int_equal(ways, 16);
	}
}

static void
outer_packets_that_may_be_cut_differ_in_identification(void **state)
{
	const struct l4_target target = target_new("ipip", false);
	struct wire w = wire_default(false, IPPROTO_UDP);
	uint8_t seen[8192] = { 0 };

	for (uint32_t i = 0; i <= UINT16_MAX; i++) {
		uint16_t identification;

		w.identification = (uint16_t)i;
		forward(&w, &target);
		identification = (uint16_t)(after[4] << 8 | after[5]);
		assert_int_not_equal(identification, 0);
		/* One of 65536 would be 0, and shares 1. */
		if (identification != 1)
			assert_false(seen[identification / 8] & 1 << identification % 8);
		seen[identification / 8] |= (uint8_t)(1 << identification % 8);
	}
	w.identification = 7;
	w.part = WIRE_FIRST;
	forward(&w, &target);
	memcpy(seen, after + 4, 2);
	w.part = WIRE_LATER;
	forward(&w, &target);
	assert_memory_not_equal(after + 4, seen, 2);
}

/* What is left must do for a frame's header with a tag. */
static void
without_headroom_the_packet_stays_as_it_was(void **state)
{
	const char *const names[] = { "ipip", "gue" };

	for (unsigned int kind = 0; kind < 4; kind++) {
		const struct l4_target target = target_new(names[kind & 1], kind & 2);
		uint16_t growth = target.forwarder->growth(&target, false);

		for (uint16_t room = growth + 16; room <= growth + 19; room++) {
			struct wire w = wire_default(false, IPPROTO_TCP);
			bool enough = room >= growth + 18;
			enum l4_verdict verdict;
			uint8_t *data;

			rte_pktmbuf_free(packet.m);
			wire_build(&w, &packet);
			/* The packet moves up until so much is left in front of its IP header. */
			wire_bytes(&w, before);
			data = (uint8_t *)packet.m->buf_addr + room;
			memmove(data, packet.l3, packet.ip_len);
			packet.m->data_off = room;
			packet.m->data_len = packet.ip_len;
			packet.m->pkt_len = packet.ip_len;
			packet.l3 = data;
			verdict = target.forwarder->to_server(&packet, &target, NULL);
			assert_int_equal(verdict, enough ? L4_FORWARDED : L4_DROP_NO_HEADROOM);
			if (enough)
				assert_int_equal(rte_pktmbuf_headroom(packet.m), room - growth);
			assert_memory_equal(packet.l3, before, packet.ip_len);
		}
	}
}

/* An ICMP error to a service goes through the tunnel like the service's packets. */
static void
icmp_goes_through_a_tunnel(void **state)
{
	const char *const names[] = { "ipip", "gue" };

	for (unsigned int kind = 0; kind < 4; kind++) {
		const struct l4_target target = target_new(names[kind & 1], kind & 2);
		struct wire w = wire_default(false, IPPROTO_UDP);
		uint16_t header_len;

		w.ip_protocol = IPPROTO_ICMP;
		rte_pktmbuf_free(packet.m);
		wire_build(&w, &packet);
		wire_bytes(&w, before);
		assert_int_equal(target.forwarder->to_server(&packet, &target, NULL), L4_FORWARDED);
		packet_checksum_fill(packet.m, 0);
		wire_read(packet.m, 0, after);
		header_len = target.forwarder->growth(&target, false);
		assert_memory_equal(after + header_len, before, packet.ip_len);
		if (kind & 1)
			wire_assert_sums(after, packet.ip_len + header_len, false);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(ipip_carries_the_packet_as_it_was, teardown),
		cmocka_unit_test_teardown(gue_carries_the_packet_in_udp, teardown),
		cmocka_unit_test_teardown(gue_over_ipv6_leaves_only_fragments_to_the_port, teardown),
		cmocka_unit_test_teardown(gue_counts_what_is_behind_a_datagram, teardown),
		cmocka_unit_test_teardown(entropy_is_of_the_flow, teardown),
		cmocka_unit_test_teardown(outer_packets_that_may_be_cut_differ_in_identification, teardown),
		cmocka_unit_test_teardown(without_headroom_the_packet_stays_as_it_was, teardown),
		cmocka_unit_test_teardown(icmp_goes_through_a_tunnel, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
