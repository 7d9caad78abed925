/* What full_nat tells a server about its client: TOA and the PROXY protocol, seen from both ends of a connection. */
#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "base/random.h"
#include "l4/forward.h"
#include "l4/wire.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define BYTES_MAX 2048
#define PROXY_LEN(v6) ((v6) ? 52u : 28u)
#define TOA_LEN(v6) ((v6) ? 20u : 8u)

static struct l4_packet packet;
static struct l4_target target;
static struct l4_flow flow;
static uint8_t before[BYTES_MAX], after[BYTES_MAX];

/* What came of the last packet. */
static struct {
	const uint8_t *tcp, *data;
	uint32_t sequence, acknowledgement, data_len;
	uint8_t header_len;
} sent;

static int
teardown(void **state)
{
	rte_pktmbuf_free(packet.m);
	packet.m = NULL;
	return support_pool_available() == SUPPORT_POOL_SIZE ? 0 : -1;
}

static uint32_t
get_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static enum l4_verdict
try(const struct wire *w, bool to_client)
{
	enum l4_verdict verdict;
	uint16_t len;

	rte_pktmbuf_free(packet.m);
	wire_build(w, &packet);
	verdict = (to_client ? target.forwarder->to_client : target.forwarder->to_server)(&packet, &target, &flow);
	if (verdict != L4_FORWARDED)
		return verdict;
	assert_ptr_equal(rte_pktmbuf_mtod(packet.m, uint8_t *), packet.l3);
	len = wire_read(packet.m, 0, after);
	assert_int_equal(len, packet.ip_len);
	wire_assert_sums(after, len, w->partial);
	sent.tcp = after + wire_l4_offset(after);
	sent.sequence = get_32(sent.tcp + 4);
	sent.acknowledgement = get_32(sent.tcp + 8);
	sent.header_len = (uint8_t)((sent.tcp[12] >> 4) * 4);
	sent.data = sent.tcp + sent.header_len;
	sent.data_len = (uint32_t)(after + len - sent.data);
	if (w->partial)
		assert_int_equal(packet.m->l4_len, sent.header_len);
	return verdict;
}

static void
forward(const struct wire *w)
{
	assert_int_equal(try(w, false), L4_FORWARDED);
}

static void
answer(const struct wire *w)
{
	assert_int_equal(try(w, true), L4_FORWARDED);
}

/* A new flow whose SYN has been seen: the client's data begins at `first`. */
static struct wire
open_flow(bool v6, uint8_t options, uint32_t first)
{
	struct wire w = wire_default(v6, IPPROTO_TCP);

	target = (struct l4_target){
		.forwarder = l4_forwarder_find("full_nat", 8),
		.server = wire_endpoint(v6 ? "[fd00:2::11]:8080" : "10.0.2.11:8080"),
		.local = wire_endpoint(v6 ? "[fd00:2::1]" : "10.0.2.1").ip,
		.vip = w.destination,
		.ip_protocol = IPPROTO_TCP,
		.options = options,
	};
	flow = (struct l4_flow){
		.client = w.source.ip,
		.client_port_be = w.source.port_be,
		.service_port_be = w.destination.port_be,
		.local_port_be = htons(50001),
		.bits = L4_FLOW_OPENING,
	};
	w.tcp_flags = RTE_TCP_SYN_FLAG;
	w.sequence = first - 1;
	w.payload_len = 0;
	forward(&w);
	assert_int_equal(sent.sequence, first - 1);
	assert_int_equal(sent.header_len, 20);
	flow.bits = L4_FLOW_ESTABLISHED;
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	w.sequence = first;
	return w;
}

/* From what the documents say: version 2, PROXY, TCP. */
static void
assert_proxy_header(const struct wire *w, const uint8_t *at)
{
	uint32_t each = w->v6 ? 16 : 4;

	assert_memory_equal(at, "\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A\x21", 13);
	assert_int_equal(at[13], w->v6 ? 0x21 : 0x11);
	assert_int_equal(at[14] << 8 | at[15], w->v6 ? 36 : 12);
	assert_memory_equal(at + 16, w->v6 ? w->source.ip.bytes : w->source.ip.bytes + 12, each);
	assert_memory_equal(at + 16 + each, w->v6 ? w->destination.ip.bytes : w->destination.ip.bytes + 12, each);
	assert_memory_equal(at + 16 + 2 * each, &w->source.port_be, 2);
	assert_memory_equal(at + 18 + 2 * each, &w->destination.port_be, 2);
}

static void
assert_data(const struct wire *w, uint32_t from)
{
	assert_int_equal(sent.data_len, from + w->payload_len);
	for (uint32_t i = 0; i < w->payload_len; i++)
		assert_int_equal(sent.data[from + i], (uint8_t)(i * 7 + 3));
}

/* ---- PROXY protocol ---- */

static void
the_proxy_header_is_in_front_of_the_first_data(void **state)
{
	for (unsigned int kind = 0; kind < 32; kind++) {
		struct wire w = open_flow(kind & 1, L4_OPTION_PROXY_PROTOCOL, 0xffffffff - (kind & 2 ? 0 : 12));
		uint32_t n = PROXY_LEN(w.v6);

		w.partial = kind & 4;
		w.segmented = kind & 8;
		w.options_len = kind & 16 ? 12 : 0;
		memset(w.options, 1, sizeof(w.options));
		/* The end of the handshake. */
		forward(&w);
		assert_int_equal(sent.sequence, w.sequence);
		assert_int_equal(sent.data_len, 0);
		assert_false(flow.bits & L4_FLOW_PREFIXED);
		/* First data, and the same again with more behind it. */
		for (uint16_t len = 11; len <= 1400; len += 463) {
			w.payload_len = len;
			forward(&w);
			assert_int_equal(sent.sequence, w.sequence);
			assert_int_equal(sent.acknowledgement, w.acknowledgement);
			assert_proxy_header(&w, sent.data);
			assert_data(&w, n);
			assert_true(flow.bits & L4_FLOW_PREFIXED);
		}
		w.sequence += 11;
		w.payload_len = 200;
		forward(&w);
		assert_int_equal(sent.sequence, w.sequence + n);
		assert_data(&w, 0);
		w.payload_len = 0;
		w.tcp_flags |= RTE_TCP_FIN_FLAG;
		forward(&w);
		assert_int_equal(sent.sequence, w.sequence + n);
	}
}

static void
a_client_that_sends_nothing_is_named_before_its_end(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_PROXY_PROTOCOL, 1000);

	w.tcp_flags |= RTE_TCP_FIN_FLAG;
	forward(&w);
	assert_int_equal(sent.sequence, 1000);
	assert_proxy_header(&w, sent.data);
	assert_int_equal(sent.data_len, 28);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	w.sequence++;
	forward(&w);
	assert_int_equal(sent.sequence, 1001 + 28);
}

static void
keep_alives_and_resets_have_no_header(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_PROXY_PROTOCOL, 0);

	/* One byte that is none (RFC 1122 section 4.2.3.6). */
	w.sequence = 0xffffffff;
	w.payload_len = 1;
	forward(&w);
	assert_int_equal(sent.sequence, 0xffffffff);
	assert_int_equal(sent.data_len, 1);
	w.sequence = 0;
	w.payload_len = 0;
	w.tcp_flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	forward(&w);
	assert_int_equal(sent.sequence, 0);
	assert_int_equal(sent.data_len, 0);
	assert_false(flow.bits & L4_FLOW_PREFIXED);
}

/* A client's bytes in segments of any size and order, lost and sent again: the server puts together header and bytes. */
static void
whatever_the_order_the_server_reads_header_and_bytes(void **state)
{
	static uint8_t stream[20000], expected[20000];
	struct random random = { 99 };

	for (unsigned int round = 0; round < 60; round++) {
		uint32_t first = round % 3 ? (uint32_t)random_next(&random) : 0x7ffffff0u * (round % 2 + 1),
			 total = 9000;
		struct wire w = open_flow(round & 1, L4_OPTION_PROXY_PROTOCOL, first);
		uint32_t n = PROXY_LEN(w.v6), have = 0;

		memset(stream, 0xee, sizeof(stream));
		memset(expected, 0xee, sizeof(expected));
		for (unsigned int i = 0; i < 400; i++) {
			uint32_t offset = i % 10 ? (uint32_t)(random_next(&random) % total) : have;
			uint32_t at;

			w.payload_len = (uint16_t)(1 + random_next(&random) % 1400);
			if (offset + w.payload_len > total)
				w.payload_len = (uint16_t)(total - offset);
			if (w.payload_len == 0)
				continue;
			w.sequence = first + offset;
			forward(&w);
			at = sent.sequence - first;
			assert_true(at + sent.data_len <= total + n);
			memcpy(stream + at, sent.data, sent.data_len);
			/* The payload is a function of its place in the segment: what was sent last counts. */
			if (offset == 0)
				assert_proxy_header(&w, stream);
			for (uint32_t j = 0; j < w.payload_len; j++)
				expected[n + offset + j] = (uint8_t)(j * 7 + 3);
			if (offset <= have && offset + w.payload_len > have)
				have = offset + w.payload_len;
		}
		assert_int_equal(have, total);
		assert_memory_equal(stream + n, expected + n, total);
		assert_int_equal(stream[n + total], 0xee);
	}
}

static void
sequence_numbers_may_go_around_many_times(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		uint32_t first = kind & 1 ? 5 : 0x80000005;
		struct wire w = open_flow(kind & 2, L4_OPTION_PROXY_PROTOCOL | L4_OPTION_TOA, first);
		uint32_t n = PROXY_LEN(w.v6);

		w.payload_len = 100;
		forward(&w);
		assert_int_equal(sent.data_len, n + 100);
		for (uint64_t offset = 1 << 28; offset <= (uint64_t)5 << 32; offset += 1 << 28) {
			w.sequence = (uint32_t)(first + offset);
			forward(&w);
			assert_int_equal(sent.sequence, w.sequence + n);
			assert_int_equal(sent.data_len, 100);
			assert_int_equal(sent.header_len, 20);
		}
	}
}

static void
answers_are_moved_back(void **state)
{
	for (unsigned int kind = 0; kind < 8; kind++) {
		struct wire w = open_flow(kind & 1, L4_OPTION_PROXY_PROTOCOL, 1000);
		uint32_t n = PROXY_LEN(w.v6);

		w.source = target.server;
		w.destination = (struct endpoint){ target.local, flow.local_port_be };
		w.partial = kind & 2;
		w.payload_len = 50;
		w.tcp_flags = RTE_TCP_ACK_FLAG;
		w.acknowledgement = 1000;
		/* A server that speaks first. */
		answer(&w);
		assert_int_equal(sent.acknowledgement, 1000);
		flow.bits |= L4_FLOW_PREFIXED;
		/* SACK, at an even or an odd place. */
		memcpy(w.options, kind & 4 ? "\1\5\x12" : "\5\x12\1", 3);
		memcpy(w.options + (kind & 4 ? 3 : 2),
		       "\x00\x00\x10\x00\x00\x00\x20\x00\xff\xff\xff\xff\x00\x00\x00\x05", 16);
		w.options_len = 20;
		w.options[19] = 1;
		if (!(kind & 4))
			w.options[18] = 1;
		w.acknowledgement = 1010;
		answer(&w);
		assert_int_equal(sent.acknowledgement, 1010 - n);
		assert_int_equal(get_32(sent.tcp + 20 + (kind & 4 ? 3 : 2)), 0x1000 - n);
		assert_int_equal(get_32(sent.tcp + 24 + (kind & 4 ? 3 : 2)), 0x2000 - n);
		assert_int_equal(get_32(sent.tcp + 28 + (kind & 4 ? 3 : 2)), 0xffffffff - n);
		assert_int_equal(get_32(sent.tcp + 32 + (kind & 4 ? 3 : 2)), 5 - n);
		assert_int_equal(sent.sequence, w.sequence);
		assert_data(&w, 0);
		/* Of the SYN, sent again; and a reset that acknowledges nothing. */
		w.options_len = 0;
		w.acknowledgement = 1000;
		w.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
		answer(&w);
		assert_int_equal(sent.acknowledgement, 1000);
		w.tcp_flags = RTE_TCP_RST_FLAG;
		w.acknowledgement = 0;
		answer(&w);
		assert_int_equal(sent.acknowledgement, 0);
	}
}

/* RFC 7413: the option goes, at an even and an odd place, and so does the data. */
static void
data_in_a_syn_is_refused(void **state)
{
	for (unsigned int kind = 0; kind < 8; kind++) {
		struct wire w = open_flow(kind & 1, L4_OPTION_PROXY_PROTOCOL, 1000);

		flow.bits = L4_FLOW_OPENING;
		w.tcp_flags = RTE_TCP_SYN_FLAG;
		w.sequence = 4999;
		w.partial = kind & 2;
		memcpy(w.options, "\2\4\5\xb4\1", 5);
		memcpy(w.options + (kind & 4 ? 5 : 4),
		       "\x22\x0a"
		       "12345678",
		       10);
		if (kind & 4)
			w.options[15] = 1;
		else
			w.options[14] = w.options[15] = 1;
		w.options_len = 16;
		w.payload_len = 333;
		forward(&w);
		assert_int_equal(sent.data_len, 0);
		assert_int_equal(sent.sequence, 4999);
		assert_memory_equal(sent.tcp + 20, "\2\4\5\xb4\1\1\1\1\1\1\1\1\1\1\1\1", 16);
		/* This was the opening that counts. */
		w.tcp_flags = RTE_TCP_ACK_FLAG;
		w.sequence = 5000;
		w.options_len = 0;
		forward(&w);
		assert_proxy_header(&w, sent.data);
		assert_data(&w, PROXY_LEN(w.v6));
	}
}

static void
a_stray_syn_does_not_move_the_beginning(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_PROXY_PROTOCOL, 1000);

	w.tcp_flags = RTE_TCP_SYN_FLAG;
	w.sequence = 77777;
	forward(&w);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	w.sequence = 1000;
	w.payload_len = 10;
	forward(&w);
	assert_proxy_header(&w, sent.data);
}

static void
the_urgent_pointer_still_points_there(void **state)
{
	struct wire w = open_flow(true, L4_OPTION_PROXY_PROTOCOL, 1000);

	w.tcp_flags |= RTE_TCP_URG_FLAG;
	w.payload_len = 10;
	forward(&w);
	assert_int_equal(sent.tcp[18] << 8 | sent.tcp[19], 52);
	w.sequence += 10;
	forward(&w);
	assert_int_equal(sent.tcp[18] << 8 | sent.tcp[19], 0);
}

static void
a_first_segment_in_fragments_has_no_room(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_PROXY_PROTOCOL, 1000);

	w.part = WIRE_FIRST;
	w.payload_len = 100;
	assert_int_equal(try(&w, false), L4_DROP_OPTION_NO_ROOM);
	w.sequence += 100;
	forward(&w);
	assert_int_equal(sent.sequence, 1100 + 28);
	w.part = WIRE_LATER;
	forward(&w);
}

static void
without_headroom_nothing_is_put_in(void **state)
{
	for (uint16_t room = 28 + 17; room <= 28 + 18; room++) {
		struct wire w = open_flow(false, L4_OPTION_PROXY_PROTOCOL, 1000);

		w.payload_len = 10;
		rte_pktmbuf_free(packet.m);
		wire_build(&w, &packet);
		packet.l3 = (uint8_t *)packet.m->buf_addr + room;
		memmove(packet.l3, rte_pktmbuf_mtod_offset(packet.m, uint8_t *, 14), packet.ip_len);
		packet.m->data_off = room;
		assert_int_equal(target.forwarder->to_server(&packet, &target, &flow),
				 room < 28 + 18 ? L4_DROP_NO_HEADROOM : L4_FORWARDED);
	}
}

/* ---- TOA ---- */

static void
assert_toa(const struct wire *w)
{
	const uint8_t *option = sent.tcp + 20;

	assert_int_equal(option[0], 254);
	assert_int_equal(option[1], TOA_LEN(w->v6));
	assert_memory_equal(option + 2, &w->source.port_be, 2);
	assert_memory_equal(option + 4, w->v6 ? w->source.ip.bytes : w->source.ip.bytes + 12, w->v6 ? 16 : 4);
}

static void
toa_is_in_what_may_end_the_handshake(void **state)
{
	for (unsigned int kind = 0; kind < 16; kind++) {
		struct wire w = open_flow(kind & 1, L4_OPTION_TOA, 1000);

		w.partial = kind & 2;
		w.segmented = kind & 4;
		if (kind & 8) {
			w.options_len = 12;
			memcpy(w.options, "\1\1\x8\xa\1\2\3\4\5\6\7\x8", 12);
		}
		/* The third segment, the first data, its repetition, and what follows at once. */
		for (uint32_t offset = 0; offset < 14600; offset += 1460) {
			w.sequence = 1000 + offset;
			forward(&w);
			assert_int_equal(sent.header_len, 20 + w.options_len + TOA_LEN(w.v6));
			assert_toa(&w);
			assert_memory_equal(sent.tcp + 20 + TOA_LEN(w.v6), w.options, w.options_len);
			assert_data(&w, 0);
			assert_int_equal(sent.sequence, w.sequence);
			w.payload_len = 1400;
		}
		w.sequence = 1000 + 14600;
		forward(&w);
		assert_int_equal(sent.header_len, 20 + w.options_len);
		assert_data(&w, 0);
	}
}

static void
toa_is_left_out_where_there_is_no_room(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++)
		for (uint8_t len = 0; len <= 40; len += 4) {
			struct wire w = open_flow(kind, L4_OPTION_TOA, 1000);
			bool fits = len + TOA_LEN(w.v6) <= 40;

			memset(w.options, 1, len);
			w.options_len = len;
			w.payload_len = 30;
			forward(&w);
			assert_int_equal(sent.header_len, 20 + len + (fits ? TOA_LEN(w.v6) : 0));
			assert_data(&w, 0);
			if (fits)
				assert_toa(&w);
		}
}

static void
resets_and_fragments_have_no_toa(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_TOA, 1000);

	w.tcp_flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	forward(&w);
	assert_int_equal(sent.header_len, 20);
	w.tcp_flags = RTE_TCP_ACK_FLAG;
	w.payload_len = 200;
	w.part = WIRE_FIRST;
	forward(&w);
	assert_int_equal(sent.header_len, 20);
}

/* Where there is no room for the truth, too. */
static void
a_client_cannot_name_itself(void **state)
{
	for (uint32_t offset = 0; offset < 60000; offset += 20000)
		for (unsigned int at = 0; at < 2; at++) {
			struct wire w = open_flow(false, L4_OPTION_TOA, 1000);

			w.sequence += offset;
			memset(w.options, 1, sizeof(w.options));
			w.options_len = 40;
			memcpy(w.options + 3 + at, "\xfe\x8\0\x50\x7f\0\0\1", 8);
			memcpy(w.options + 20, "\xfe\x8\0\x50\x7f\0\0\1", 8);
			forward(&w);
			assert_int_equal(sent.header_len, 60);
			for (unsigned int i = 20; i < 60; i++)
				assert_int_equal(sent.tcp[i], 1);
		}
}

static void
both_may_be_told_at_once(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct wire w = open_flow(kind, L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL, 1000);

		w.payload_len = 9;
		forward(&w);
		assert_toa(&w);
		assert_proxy_header(&w, sent.data);
		assert_data(&w, PROXY_LEN(w.v6));
		assert_int_equal(target.forwarder->growth(&target, w.v6), TOA_LEN(w.v6) + PROXY_LEN(w.v6));
		assert_int_equal(packet.ip_len, wire_bytes(&w, before) + TOA_LEN(w.v6) + PROXY_LEN(w.v6));
	}
}

/* The client must leave room for what it does not know of. */
static void
the_servers_mss_makes_room(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct wire w = open_flow(kind & 1, kind & 2 ? L4_OPTION_TOA : L4_OPTION_PROXY_PROTOCOL, 1000);
		uint32_t growth = target.forwarder->growth(&target, w.v6);

		w.source = target.server;
		w.destination = (struct endpoint){ target.local, flow.local_port_be };
		w.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
		w.options_len = 4;
		memcpy(w.options, "\2\4\5\xb4", 4);
		answer(&w);
		assert_int_equal(sent.tcp[22] << 8 | sent.tcp[23], 1460 - growth);
	}
}

/* A target's options are of TCP. */
static void
udp_does_not_grow(void **state)
{
	struct wire w = open_flow(false, L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL, 1000);

	target.ip_protocol = IPPROTO_UDP;
	assert_int_equal(target.forwarder->growth(&target, false), 0);
	w = wire_default(false, IPPROTO_UDP);
	rte_pktmbuf_free(packet.m);
	wire_build(&w, &packet);
	assert_int_equal(target.forwarder->to_server(&packet, &target, &flow), L4_FORWARDED);
	assert_int_equal(packet.m->pkt_len, wire_bytes(&w, before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_proxy_header_is_in_front_of_the_first_data, teardown),
		cmocka_unit_test_teardown(a_client_that_sends_nothing_is_named_before_its_end, teardown),
		cmocka_unit_test_teardown(keep_alives_and_resets_have_no_header, teardown),
		cmocka_unit_test_teardown(whatever_the_order_the_server_reads_header_and_bytes, teardown),
		cmocka_unit_test_teardown(sequence_numbers_may_go_around_many_times, teardown),
		cmocka_unit_test_teardown(answers_are_moved_back, teardown),
		cmocka_unit_test_teardown(data_in_a_syn_is_refused, teardown),
		cmocka_unit_test_teardown(a_stray_syn_does_not_move_the_beginning, teardown),
		cmocka_unit_test_teardown(the_urgent_pointer_still_points_there, teardown),
		cmocka_unit_test_teardown(a_first_segment_in_fragments_has_no_room, teardown),
		cmocka_unit_test_teardown(without_headroom_nothing_is_put_in, teardown),
		cmocka_unit_test_teardown(toa_is_in_what_may_end_the_handshake, teardown),
		cmocka_unit_test_teardown(toa_is_left_out_where_there_is_no_room, teardown),
		cmocka_unit_test_teardown(resets_and_fragments_have_no_toa, teardown),
		cmocka_unit_test_teardown(a_client_cannot_name_itself, teardown),
		cmocka_unit_test_teardown(both_may_be_told_at_once, teardown),
		cmocka_unit_test_teardown(the_servers_mss_makes_room, teardown),
		cmocka_unit_test_teardown(udp_does_not_grow, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
