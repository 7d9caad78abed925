#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "l4/forward.h"
#include "l4/wire.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

#define BYTES_MAX 2048

static struct l4_packet packet;
static struct rte_mbuf *error;
static uint8_t before[BYTES_MAX], after[BYTES_MAX];

static int
teardown(void **state)
{
	rte_pktmbuf_free(packet.m);
	rte_pktmbuf_free(error);
	packet.m = NULL;
	error = NULL;
	return support_pool_available() == SUPPORT_POOL_SIZE ? 0 : -1;
}

/* ---- errors of our own ---- */

static struct ip_address
router(bool v6)
{
	return wire_endpoint(v6 ? "[fd00:9::9]" : "10.9.9.9").ip;
}

static bool
too_big(const struct wire *w)
{
	const struct ip_address source = router(w->v6);

	rte_pktmbuf_free(packet.m);
	rte_pktmbuf_free(error);
	wire_build(w, &packet);
	error = l4_icmp_too_big(support_pool(), &packet, &source, 1400);
	return error;
}

static void
assert_error(const struct wire *w, uint8_t type, uint8_t code, uint32_t rest)
{
	uint16_t len = wire_bytes(w, before), error_len = wire_read(error, 0, after), icmp = w->v6 ? 40 : 20;
	uint16_t most = w->v6 ? 1280 : 576, quoted = error_len - icmp - 8;
	const struct ip_address source = router(w->v6);
	const struct endpoint from = wire_source(after), to = wire_destination(after);
	uint32_t rest_be;

	wire_assert_sums(after, error_len, false);
	assert_true(ip_address_equal(&from.ip, &source));
	assert_true(ip_address_equal(&to.ip, &w->source.ip));
	assert_int_equal(after[w->v6 ? 6 : 9], w->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	assert_int_equal(after[icmp], type);
	assert_int_equal(after[icmp + 1], code);
	memcpy(&rest_be, after + icmp + 4, sizeof(rest_be));
	assert_int_equal(ntohl(rest_be), rest);
	/* As much as may be, and not more than there is. */
	assert_int_equal(quoted, len + icmp + 8 > most ? most - icmp - 8 : len);
	assert_memory_equal(after + icmp + 8, before, quoted);
}

static void
too_big_quotes_the_packet_and_names_the_mtu(void **state)
{
	unsigned int number = 0;
	struct wire w;

	while (wire_next(&w, &number)) {
		if (w.part == WIRE_LATER)
			continue;
		for (unsigned int longer = 0; longer < 2; longer++) {
			if (longer)
				w.payload_len = 1450;
			assert_true(too_big(&w));
			assert_error(&w, w.v6 ? 2 : 3, w.v6 ? 0 : 4, 1400);
			assert_int_equal(wire_read(packet.m, 14, after), wire_bytes(&w, before) + (w.padded ? 8 : 0));
			assert_memory_equal(after, before, packet.ip_len);
		}
	}
}

static void
time_exceeded_quotes_the_packet(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct wire w = wire_default(kind, IPPROTO_TCP);
		const struct ip_address source = router(w.v6);

		rte_pktmbuf_free(packet.m);
		rte_pktmbuf_free(error);
		wire_build(&w, &packet);
		error = l4_icmp_time_exceeded(support_pool(), &packet, &source);
		assert_non_null(error);
		assert_error(&w, w.v6 ? 3 : 11, 0, 0);
	}
}

static void
later_fragments_are_not_answered(void **state)
{
	struct wire w = wire_default(false, IPPROTO_UDP);

	w.part = WIRE_LATER;
	assert_false(too_big(&w));
	w = wire_default(true, IPPROTO_UDP);
	w.part = WIRE_LATER;
	assert_false(too_big(&w));
}

static void
groups_and_nobody_are_not_told(void **state)
{
	static const char *const bad[] = { "224.0.0.5:1", "255.255.255.255:1", "0.0.0.0:1", "127.0.0.1:1",
					   "240.1.2.3:1", "[ff02::1]:1",       "[::]:1",    "[::1]:1" };

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct wire w = wire_default(bad[i][0] == '[', IPPROTO_UDP);

		assert_true(too_big(&w));
		w.source = wire_endpoint(bad[i]);
		assert_false(too_big(&w));
		w = wire_default(bad[i][0] == '[', IPPROTO_UDP);
		w.destination = wire_endpoint(bad[i]);
		assert_false(too_big(&w));
	}
}

/* The type is where the source port of UDP would be. */
static void
errors_are_not_answered_but_echoes_are(void **state)
{
	static const struct {
		bool v6;
		uint8_t type;
		bool told;
	} cases[] = {
		{ false, 3, false },  { false, 4, false }, { false, 5, false },  { false, 11, false },
		{ false, 12, false }, { false, 8, true },  { false, 0, true },   { true, 1, false },
		{ true, 2, false },   { true, 4, false },  { true, 100, false }, { true, 137, false },
		{ true, 128, true },  { true, 129, true },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire w = wire_default(cases[i].v6, IPPROTO_UDP);

		w.ip_protocol = cases[i].v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		w.source.port_be = htons((uint16_t)(cases[i].type << 8));
		assert_int_equal(too_big(&w), cases[i].told);
	}
}

static void
without_mbufs_there_is_no_error(void **state)
{
	static struct rte_mbuf *taken[SUPPORT_POOL_SIZE];
	const struct ip_address source = router(false);
	struct wire w = wire_default(false, IPPROTO_TCP);
	unsigned int count;

	wire_build(&w, &packet);
	count = support_pool_available();
	assert_int_equal(rte_pktmbuf_alloc_bulk(support_pool(), taken, count), 0);
	assert_null(l4_icmp_too_big(support_pool(), &packet, &source, 1400));
	rte_pktmbuf_free_bulk(taken, count);
}

/* ---- errors of others ---- */

/* An error from a router about `quoted`, of which `quote_len` bytes are there. */
static void
build_error(const struct wire *quoted, uint8_t type, uint8_t code, uint32_t rest, uint16_t quote_len)
{
	struct wire outer = wire_default(quoted->v6, IPPROTO_UDP);
	uint8_t quote[BYTES_MAX];
	uint16_t len = wire_bytes(quoted, quote), sum;
	uint8_t *icmp;

	if (quote_len > len)
		quote_len = len;
	outer.ip_protocol = quoted->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	outer.source = (struct endpoint){ router(quoted->v6), 0 };
	outer.destination = (struct endpoint){ quoted->source.ip, 0 };
	outer.payload_len = quote_len;
	rte_pktmbuf_free(packet.m);
	wire_build(&outer, &packet);
	icmp = l4_packet_l4(&packet);
	memcpy(icmp,
	       (const uint8_t[8]){ type, code, 0, 0, (uint8_t)(rest >> 24), (uint8_t)(rest >> 16), (uint8_t)(rest >> 8),
				   (uint8_t)rest },
	       8);
	memcpy(icmp + 8, quote, quote_len);
	/* ICMPv6 alone has a pseudo-header: 40 bytes of IPv6 are in front, of which the addresses count. */
	sum = (uint16_t)~wire_sum(icmp, quote_len + 8u,
				  quoted->v6 ? wire_sum(packet.l3 + 8, 32, 0) + IPPROTO_ICMPV6 + quote_len + 8u : 0);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

static bool
relay(const struct wire *then, bool new_source, uint16_t growth)
{
	const struct ip_address source = wire_endpoint(then->v6 ? "[fd00:7::7]" : "10.7.7.7").ip;

	return l4_icmp_relay(&packet, new_source ? &source : NULL, &then->source.ip, &then->source, &then->destination,
			     growth);
}

/* The flow as the other end knows it. */
static struct wire
elsewhere(const struct wire *here)
{
	struct wire there = *here;

	there.source = wire_endpoint(here->v6 ? "[2001:db8:5::5]:55555" : "203.0.113.5:55555");
	there.destination = wire_endpoint(here->v6 ? "[fd00:1::8]:8443" : "192.0.2.8:8443");
	return there;
}

static void
a_relayed_error_is_what_that_end_would_have_got(void **state)
{
	unsigned int number = 0;
	struct wire w;

	while (wire_next(&w, &number)) {
		const struct wire there = elsewhere(&w);
		uint16_t len, icmp = w.v6 ? 40 : 20, quote_len;
		struct endpoint to;

		if (w.part == WIRE_LATER || w.partial)
			continue;
		build_error(&w, w.v6 ? 1 : 3, 3, 0, BYTES_MAX);
		assert_true(relay(&there, number & 1, 0));
		len = wire_read(packet.m, 0, after);
		wire_assert_sums(after, len, false);
		to = wire_destination(after);
		assert_true(ip_address_equal(&to.ip, &there.source.ip));
		/* The quote is the packet as that end sent it, sums and all. */
		quote_len = wire_bytes(&there, before);
		assert_int_equal(len, icmp + 8 + quote_len);
		assert_memory_equal(after + icmp + 8, before, quote_len);
	}
}

static void
source_is_kept_or_replaced(void **state)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		const struct wire w = wire_default(kind & 1, IPPROTO_UDP), there = elsewhere(&w);
		const struct ip_address ours = wire_endpoint(w.v6 ? "[fd00:7::7]" : "10.7.7.7").ip,
					theirs = router(w.v6);
		struct endpoint source;

		build_error(&w, w.v6 ? 1 : 3, 3, 0, BYTES_MAX);
		assert_true(relay(&there, kind & 2, 0));
		wire_assert_sums(after, wire_read(packet.m, 0, after), false);
		source = wire_source(after);
		assert_true(ip_address_equal(&source.ip, kind & 2 ? &ours : &theirs));
	}
}

/* RFC 792's eight bytes: ports and sequence number, but no TCP checksum. */
static void
a_short_quote_has_its_addresses_and_ports_changed(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++)
		for (uint16_t extra = 8; extra <= 20; extra++) {
			const struct wire w = wire_default(kind, IPPROTO_TCP), there = elsewhere(&w);
			uint16_t ip_len = w.v6 ? 40 : 20, cut = ip_len + extra;

			build_error(&w, w.v6 ? 3 : 11, 0, 0, cut);
			assert_true(relay(&there, false, 0));
			wire_assert_sums(after, wire_read(packet.m, 0, after), false);
			wire_bytes(&there, before);
			/* Half of a checksum that reaches out of the quote is left as it was. */
			assert_memory_equal(after + ip_len + 8, before, extra == 17 ? cut - 1 : cut);
		}
}

static uint32_t
mtu_after(bool v6, uint8_t type, uint8_t code, uint32_t mtu, uint16_t growth)
{
	const struct wire w = wire_default(v6, IPPROTO_TCP), there = elsewhere(&w);
	uint32_t mtu_be;

	build_error(&w, type, code, mtu, BYTES_MAX);
	assert_true(relay(&there, false, growth));
	wire_assert_sums(after, wire_read(packet.m, 0, after), false);
	memcpy(&mtu_be, after + (v6 ? 40 : 20) + 4, sizeof(mtu_be));
	return ntohl(mtu_be);
}

static void
growth_is_taken_off_the_mtu(void **state)
{
	assert_int_equal(mtu_after(false, 3, 4, 1400, 28), 1372);
	assert_int_equal(mtu_after(true, 2, 0, 1400, 52), 1348);
	assert_int_equal(mtu_after(false, 3, 4, 1400, 0), 1400);
	/* Never below what everybody must take, nor made up. */
	assert_int_equal(mtu_after(false, 3, 4, 70, 28), 68);
	assert_int_equal(mtu_after(true, 2, 0, 1300, 52), 1280);
	assert_int_equal(mtu_after(true, 2, 0, 1280, 52), 1280);
	assert_int_equal(mtu_after(false, 3, 4, 0, 28), 0);
	/* No MTU: unused, or a pointer. */
	assert_int_equal(mtu_after(false, 3, 3, 1400, 28), 1400);
	assert_int_equal(mtu_after(false, 12, 0, 0x14000000, 28), 0x14000000);
	assert_int_equal(mtu_after(true, 1, 4, 1400, 52), 1400);
}

static void
what_is_no_quote_is_refused(void **state)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct wire w = wire_default(kind, IPPROTO_TCP), there = elsewhere(&w);
		uint16_t ip_len = w.v6 ? 40 : 20;

		/* Every length up to the eighth byte behind the IP header. */
		for (uint16_t len = 0; len < ip_len + 8; len++) {
			build_error(&w, w.v6 ? 1 : 3, 1, 0, len);
			assert_false(relay(&there, false, 0));
		}
		build_error(&w, w.v6 ? 1 : 3, 1, 0, ip_len + 8);
		l4_packet_l4(&packet)[8] ^= 0x20;
		assert_false(relay(&there, false, 0));
		/* The other version's addresses. */
		build_error(&w, w.v6 ? 1 : 3, 1, 0, BYTES_MAX);
		w = wire_default(!kind, IPPROTO_TCP);
		there = elsewhere(&w);
		assert_false(relay(&there, false, 0));
		/* A later fragment, and what is neither TCP nor UDP. */
		w = wire_default(kind, IPPROTO_TCP);
		there = elsewhere(&w);
		w.part = WIRE_LATER;
		build_error(&w, w.v6 ? 1 : 3, 1, 0, BYTES_MAX);
		assert_false(relay(&there, false, 0));
		w.part = WIRE_WHOLE;
		w.ip_protocol = 47;
		build_error(&w, w.v6 ? 1 : 3, 1, 0, BYTES_MAX);
		assert_false(relay(&there, false, 0));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(too_big_quotes_the_packet_and_names_the_mtu, teardown),
		cmocka_unit_test_teardown(time_exceeded_quotes_the_packet, teardown),
		cmocka_unit_test_teardown(later_fragments_are_not_answered, teardown),
		cmocka_unit_test_teardown(groups_and_nobody_are_not_told, teardown),
		cmocka_unit_test_teardown(errors_are_not_answered_but_echoes_are, teardown),
		cmocka_unit_test_teardown(without_mbufs_there_is_no_error, teardown),
		cmocka_unit_test_teardown(a_relayed_error_is_what_that_end_would_have_got, teardown),
		cmocka_unit_test_teardown(source_is_kept_or_replaced, teardown),
		cmocka_unit_test_teardown(a_short_quote_has_its_addresses_and_ports_changed, teardown),
		cmocka_unit_test_teardown(growth_is_taken_off_the_mtu, teardown),
		cmocka_unit_test_teardown(what_is_no_quote_is_refused, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
