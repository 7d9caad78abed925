/* The ways that rewrite the packet itself, or nothing; test_forward_tunnel.c has the others. */
#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "l4/forward.h"
#include "l4/slate.h"
#include "support/cmocka.h"

static struct l4_target
target_new(const char *forwarder, bool v6, uint8_t ip_protocol)
{
	return (struct l4_target){
		.forwarder = l4_forwarder_find(forwarder, strlen(forwarder)),
		.server = wire_endpoint(v6 ? "[fd00:2::11]:8080" : "10.0.2.11:8080"),
		.local = wire_endpoint(v6 ? "[fd00:2::1]" : "10.0.2.1").ip,
		.vip = wire_endpoint(v6 ? "[fd00:1::1]:80" : "10.0.1.1:80"),
		.ip_protocol = ip_protocol,
	};
}

static struct l4_flow
flow_new(const struct wire *w)
{
	return (struct l4_flow){
		.client = w->source.ip,
		.client_port_be = w->source.port_be,
		.service_port_be = w->destination.port_be,
		.local_port_be = htons(50001),
		.bits = L4_FLOW_ESTABLISHED,
	};
}

/* Forwards and leaves the outcome in `after`; returns its length. */
static uint16_t
forward(const struct wire *w, const struct l4_target *target, struct l4_flow *flow, bool to_client)
{
	const struct l4_forwarder *forwarder = target->forwarder;
	uint16_t len;

	rte_pktmbuf_free(packet.m);
	wire_build(w, &packet);
	assert_int_equal((to_client ? forwarder->to_client : forwarder->to_server)(&packet, target, flow),
			 L4_FORWARDED);
	assert_ptr_equal(rte_pktmbuf_mtod(packet.m, uint8_t *), packet.l3);
	len = wire_read(packet.m, 0, after);
	assert_int_equal(len, packet.ip_len);
	return len;
}

static void
assert_endpoint(struct endpoint got, struct endpoint expected, bool with_port)
{
	char text[2][ENDPOINT_TEXT_MAX];

	if (!with_port)
		got.port_be = expected.port_be = 0;
	endpoint_format(&got, text[0], sizeof(text[0]));
	endpoint_format(&expected, text[1], sizeof(text[1]));
	assert_string_equal(text[0], text[1]);
}

static void
assert_ends(const struct wire *w, struct endpoint source, struct endpoint destination)
{
	assert_endpoint(wire_source(after), source, w->part != WIRE_LATER);
	assert_endpoint(wire_destination(after), destination, w->part != WIRE_LATER);
}

/* What the server sends back: ends turned around. */
static struct wire
answer_to(const struct wire *w, struct endpoint server, struct endpoint to)
{
	struct wire answer = *w;

	answer.source = server;
	answer.destination = to;
	return answer;
}

static void
full_nat_stands_between_both(void **state)
{
	unsigned int number = 0;
	struct wire w, answer;

	while (wire_next(&w, &number)) {
		const struct l4_target target = target_new("full_nat", w.v6, w.ip_protocol);
		struct l4_flow flow = flow_new(&w);
		const struct endpoint local = { target.local, flow.local_port_be };

		wire_assert_sums(after, forward(&w, &target, &flow, false), w.partial);
		assert_ends(&w, local, target.server);
		answer = answer_to(&w, target.server, local);
		wire_assert_sums(after, forward(&answer, &target, &flow, true), w.partial);
		assert_ends(&w, target.vip, w.source);
	}
}

static void
nat_changes_the_server_only(void **state)
{
	unsigned int number = 0;
	struct wire w, answer;

	while (wire_next(&w, &number)) {
		const struct l4_target target = target_new("nat", w.v6, w.ip_protocol);
		struct l4_flow flow = flow_new(&w);

		wire_assert_sums(after, forward(&w, &target, &flow, false), w.partial);
		assert_ends(&w, w.source, target.server);
		answer = answer_to(&w, target.server, w.source);
		wire_assert_sums(after, forward(&answer, &target, &flow, true), w.partial);
		assert_ends(&w, target.vip, w.source);
	}
}

/* Services of several ports: the server has the packet's, and answers come from the one that the client wrote to. */
static void
a_server_without_a_port_has_the_packets(void **state)
{
	const char *const names[] = { "full_nat", "nat" };

	for (unsigned int i = 0; i < 2; i++) {
		struct l4_target target = target_new(names[i], false, IPPROTO_TCP);
		struct wire w = wire_default(false, IPPROTO_TCP), answer;
		struct l4_flow flow;

		w.destination.port_be = htons(8088);
		flow = flow_new(&w);
		target.server.port_be = 0;
		target.vip.port_be = 0;
		forward(&w, &target, &flow, false);
		assert_endpoint(wire_destination(after), (struct endpoint){ target.server.ip, htons(8088) }, true);
		answer = answer_to(&w, wire_destination(after), wire_source(after));
		forward(&answer, &target, &flow, true);
		assert_endpoint(wire_source(after), w.destination, true);
	}
}

static void
dsr_changes_nothing(void **state)
{
	unsigned int number = 0;
	struct wire w;

	while (wire_next(&w, &number)) {
		const struct l4_target target = target_new("dsr", w.v6, w.ip_protocol);
		uint16_t len = wire_bytes(&w, before);

		assert_int_equal(forward(&w, &target, NULL, false), len);
		assert_memory_equal(after, before, len);
		if (w.partial)
			assert_true(packet.m->ol_flags & RTE_MBUF_F_TX_L4_MASK);
	}
}

/* The packet as `rewrite` leaves it, from where it says that it starts. */
static uint16_t
rewritten(l4_forward_function *rewrite, const struct wire *w, const struct l4_target *target, uint8_t *out)
{
	struct l4_flow flow = flow_new(w);
	struct l4_packet p;
	uint16_t at, len;

	wire_build(w, &p);
	assert_int_equal(rewrite(&p, target, &flow), L4_FORWARDED);
	at = (uint16_t)(p.l3 - (uint8_t *)p.m->buf_addr);
	/* The general ones have told the mbuf. */
	if (rewrite == target->forwarder->to_server || rewrite == target->forwarder->to_client)
		at = p.m->data_off, len = p.m->data_len;
	else
		len = p.ip_len;
	memcpy(out, (uint8_t *)p.m->buf_addr + at, len);
	memcpy(out + len, &p.m->tx_offload, sizeof(p.m->tx_offload));
	memcpy(out + len + sizeof(p.m->tx_offload), &p.m->ol_flags, sizeof(p.m->ol_flags));
	rte_pktmbuf_free(p.m);
	return (uint16_t)(len + sizeof(p.m->tx_offload) + sizeof(p.m->ol_flags));
}

static void
plain_packets_leave_as_any_would(const struct l4_forwarder *f, const struct wire *w, bool servers_v6)
{
	struct l4_target target = target_new(f->name, servers_v6, w->ip_protocol);
	uint16_t len = rewritten(f->to_server, w, &target, before);

	assert_int_equal(rewritten(f->plain_to_server[w->v6], w, &target, after), len);
	assert_memory_equal(after, before, len);
	if (!f->to_client)
		return;
	len = rewritten(f->to_client, w, &target, before);
	assert_int_equal(rewritten(f->plain_to_client[w->v6], w, &target, after), len);
	assert_memory_equal(after, before, len);
}

static void
every_forwarder_has_one_way_for_plain_packets(void **state)
{
	for (const struct l4_forwarder *const *at = l4_forwarders; *at; at++)
		for (unsigned int i = 0; i < 32; i++) {
			struct wire w = wire_default(i & 1, i & 2 ? IPPROTO_UDP : IPPROTO_TCP);

			w.no_sum = i & 2 && i & 4;
			w.dont_fragment = i & 8;
			w.padded = i & 16;
			plain_packets_leave_as_any_would(*at, &w, w.v6);
			if ((*at)->properties & L4_TUNNELS)
				plain_packets_leave_as_any_would(*at, &w, !w.v6);
		}
}

static void
forwarders_have_what_their_properties_promise(void **state)
{
	unsigned int count = 0;

	for (const struct l4_forwarder *const *at = l4_forwarders; *at; at++, count++) {
		const struct l4_forwarder *f = *at;
		const struct l4_target target = target_new(f->name, false, IPPROTO_TCP);
		bool tunnels = f->properties & L4_TUNNELS;

		assert_ptr_equal(l4_forwarder_find(f->name, strlen(f->name)), f);
		assert_ptr_equal(target.forwarder, f);
		assert_non_null(f->to_server);
		assert_int_equal(!!f->to_client, !!(f->properties & L4_SEES_ANSWERS));
		assert_int_equal(f->growth(&target, false) > 0, tunnels);
		/* Nothing but NAT can send to another port, and what goes out as it came must stay on the link. */
		assert_int_equal(!!(f->properties & L4_KEEPS_PORT), !(f->properties & L4_SEES_ANSWERS));
		assert_false(f->properties & L4_NEEDS_LOCAL_PORT && !(f->properties & L4_SEES_ANSWERS));
	}
	assert_int_equal(count, 5);
	assert_null(l4_forwarder_find("full", 4));
	assert_null(l4_forwarder_find("full_nat_", 9));
	assert_null(l4_forwarder_find("", 0));
	assert_ptr_equal(l4_forwarder_find("natty", 3), l4_forwarder_find("nat", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(full_nat_stands_between_both, teardown),
		cmocka_unit_test_teardown(nat_changes_the_server_only, teardown),
		cmocka_unit_test_teardown(a_server_without_a_port_has_the_packets, teardown),
		cmocka_unit_test_teardown(dsr_changes_nothing, teardown),
		cmocka_unit_test_teardown(every_forwarder_has_one_way_for_plain_packets, teardown),
		cmocka_unit_test_teardown(forwarders_have_what_their_properties_promise, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
