/* Workers of L4 at their limits: local ports, the rate of new flows, full tables, and all kinds of packets at once. */
#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "support/cmocka.h"
#include "support/dpdk.h"
#include "workers.h"

/* ---- local ports ---- */

#define PORTS 128

/* Opens flows to the one server until every port is in use. */
static void
assert_ports_cover(unsigned int workers, uint16_t first)
{
	bool used[PORTS] = { false };
	unsigned int count = 0, refused = 0;

	workers_make_with(workers,
			  "stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:8080; forward full_nat; } }", 4096,
			  first, (uint16_t)(first + PORTS - 1));
	for (unsigned int n = 0; n < PORTS * 40 && count < PORTS; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_TCP);
		unsigned int port;

		workers_receive_wire(workers_roll(workers), L4_FROM_PORT, &w);
		if (!workers_sent_count) {
			refused++;
			continue;
		}
		port = ntohs(workers_sent[0].source.port_be) - first;
		assert_int_equal(ntohs(workers_sent[0].source.port_be) % workers, workers_sent[0].worker);
		assert_true(port < PORTS);
		assert_false(used[port]);
		used[port] = true;
		count++;
	}
	assert_int_equal(count, PORTS);
	assert_int_equal(workers_counter(L4_STARTED), PORTS);
	assert_int_equal(workers_counter(L4_DROP_NO_LOCAL_PORT), refused);
	workers_free();
}

static void
local_ports_of_workers_are_disjoint_and_cover_the_range(void **state)
{
	for (unsigned int c = 0; c < WORKERS_COUNTS; c++) {
		assert_ports_cover(workers_counts[c], 20000);
		assert_ports_cover(workers_counts[c], 20021);
		assert_ports_cover(workers_counts[c], (uint16_t)(65536 - PORTS));
	}
}

static void
a_worker_without_ports_says_so(void **state)
{
	unsigned int with_port = 0;

	workers_make_with(64, workers_services("full_nat", ""), 4096, 20000, 20009);
	for (unsigned int n = 0; n < 200; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_TCP);

		workers_receive_wire(workers_roll(64), L4_FROM_PORT, &w);
		if (workers_sent_count)
			assert_in_range(ntohs(workers_sent[0].source.port_be), 20000, 20009);
		with_port += workers_sent_count;
	}
	assert_true(with_port > 0);
	assert_int_equal(workers_counter(L4_DROP_NO_LOCAL_PORT), 200 - with_port);
}

/* ---- floods ---- */

static void
open_at_all(unsigned int workers, unsigned int from, unsigned int count, uint8_t ip_protocol)
{
	for (unsigned int n = from; n < from + count; n++) {
		struct wire w = workers_opening(n, false, ip_protocol);

		workers_receive_wire(n % workers, L4_FROM_STABLE_PORT, &w);
	}
}

static void
syn_rate_bounds_new_flows_of_each_worker(void **state)
{
	workers_make(3, workers_services("dsr", "syn_rate 10;"));
	open_at_all(3, 0, 90, IPPROTO_TCP);
	assert_int_equal(workers_counter(L4_STARTED), 30);
	assert_int_equal(workers_counter(L4_STATELESS), 60);
	/* What is known goes on, and UDP is another matter. */
	open_at_all(3, 0, 30, IPPROTO_TCP);
	assert_int_equal(workers_counter(L4_FORWARDED), 30);
	open_at_all(3, 0, 90, IPPROTO_UDP);
	assert_int_equal(workers_counter(L4_STARTED), 120);
	workers_pass_seconds(1);
	open_at_all(3, 90, 45, IPPROTO_TCP);
	assert_int_equal(workers_counter(L4_STARTED), 150);
	assert_int_equal(workers_counter(L4_STATELESS), 75);
}

static void
without_state_an_answer_could_not_be_told(void **state)
{
	for (const char *const *mode = workers_modes_both_ways; *mode; mode++) {
		workers_make(3, workers_services(*mode, "syn_rate 10;"));
		for (unsigned int n = 0; n < 90; n++) {
			struct wire w = workers_opening(n, false, IPPROTO_TCP);

			workers_receive_wire(n % 3, L4_FROM_PORT, &w);
		}
		assert_int_equal(workers_counter(L4_STARTED), 30);
		assert_int_equal(workers_counter(L4_DROP_SYN_RATE), 60);
		workers_free();
	}
}

/* The server of the hash, at whichever worker, with a flow or without. */
static void
when_the_table_is_full_the_hash_decides(void **state)
{
	uint64_t places;

	workers_make_with(3, workers_services("ipip", ""), 64, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
	open_at_all(3, 0, 3000, IPPROTO_UDP);
	places = workers_counter(L4_STARTED);
	assert_in_range(places, 3 * 64, 3 * 256);
	assert_int_equal(workers_counter(L4_STATELESS), 3000 - places);
	for (unsigned int n = 0; n < 3000; n++) {
		const struct wire w = workers_opening(n, false, IPPROTO_UDP);
		struct workers_sent first;

		workers_receive_wire(n % 3, L4_FROM_STABLE_PORT, &w);
		first = *workers_assert_sent_by(n % 3);
		workers_receive_wire((n + 1) % 3, L4_FROM_STABLE_PORT, &w);
		assert_memory_equal(workers_assert_sent_by((n + 1) % 3)->ip + 16, first.ip + 16, 4);
	}
}

static void
when_the_table_is_full_others_drop_by_name(void **state)
{
	for (const char *const *mode = workers_modes_both_ways; *mode; mode++) {
		uint64_t started, entries = 0;

		workers_make_with(3, workers_services(*mode, ""), 64, WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
		for (unsigned int n = 0; n < 1500; n++) {
			struct wire w = workers_opening(n, n & 1, IPPROTO_UDP);

			workers_receive_wire(n % 3, L4_FROM_PORT, &w);
		}
		started = workers_counter(L4_STARTED);
		/* Two entries each. */
		assert_in_range(started, 3 * 32, 3 * 128);
		assert_int_equal(workers_counter(L4_DROP_FLOWS_FULL), 1500 - started);
		/* Half a flow would answer to nobody, or never end. */
		for (unsigned int i = 0; i < 3; i++)
			entries += workers_entries(i);
		assert_int_equal(entries, 2 * started);
		workers_free();
	}
}

/* ---- everything at once ---- */

#define STORM_CLIENTS 60

/* The last packet to a server of every client: what may be answered, or complained about. */
static struct workers_sent storm_sent[STORM_CLIENTS];

static struct rte_mbuf *
storm_error(unsigned int n)
{
	const struct wire asked = workers_opening(n, n & 1, n & 2 ? IPPROTO_UDP : IPPROTO_TCP);
	struct wire said = asked;
	uint8_t bytes[WORKERS_BYTES_MAX];

	if (storm_sent[n].len && workers_roll(2))
		return workers_error(&storm_sent[n].source.ip, storm_sent[n].ip, storm_sent[n].len);
	said.source = asked.destination;
	said.destination = asked.source;
	return workers_error(&asked.destination.ip, bytes, wire_bytes(&said, bytes));
}

/* Of a client, of a server, or of nobody that Weir knows; whole, in pieces, or damaged. */
static struct rte_mbuf *
storm_packet(unsigned int n)
{
	uint8_t ip_protocol = n & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	struct wire w = workers_opening(n, n & 1, ip_protocol);
	struct l4_packet packet;

	if (workers_roll(8) == 0)
		return storm_error(n);
	if (workers_roll(3) == 0 && storm_sent[n].len)
		w = workers_answer(&storm_sent[n], n & 1, ip_protocol);
	else if (workers_roll(4))
		w.tcp_flags = (uint8_t)workers_roll(64);
	if (workers_roll(8) == 0)
		w.destination.port_be = htons(9);
	if (workers_roll(16) == 0)
		w.ttl = 1;
	w.identification = (uint16_t)workers_roll(500);
	w.part = workers_roll(3) ? WIRE_WHOLE : workers_roll(2) ? WIRE_FIRST : WIRE_LATER;
	wire_build(&w, &packet);
	if (workers_roll(16) == 0)
		packet.l3[workers_roll(packet.ip_len)] ^= 0x10;
	return packet.m;
}

/* Who asked is nowhere in what full_nat sends: any client of the kind will do. */
static void
storm_remember(void)
{
	for (unsigned int i = 0; i < workers_sent_count; i++) {
		const struct workers_sent *sent = &workers_sent[i];
		unsigned int v6 = sent->ip[0] >> 4 == 6, udp = sent->ip[v6 ? 6 : 9] == IPPROTO_UDP;

		if (sent->destination.port_be == htons(8080))
			storm_sent[workers_roll(STORM_CLIENTS / 4) * 4 + udp * 2 + v6] = *sent;
	}
}

static uint64_t
drops(void)
{
	uint64_t sum = 0;

	for (unsigned int verdict = L4_DROP_NO_SERVER; verdict < L4_VERDICT_COUNT; verdict++)
		sum += workers_counter((enum l4_verdict)verdict);
	return sum;
}

/* Every packet is sent, passed or dropped, and its verdict says which; an error that Weir makes is sent instead. */
static void
assert_storm_is_accounted_for(unsigned int workers, const char *mode)
{
	uint64_t received = 0, sent = 0, passed = 0, handed = 0;

	memset(storm_sent, 0, sizeof(storm_sent));
	workers_make(workers, workers_services(mode, ""));
	for (unsigned int round = 0; round < 150; round++) {
		struct rte_mbuf *burst[WORKERS_BURST];

		for (unsigned int i = 0; i < WORKERS_BURST; i++)
			burst[i] = storm_packet(workers_roll(STORM_CLIENTS));
		workers_receive(workers_roll(workers), workers_roll(2) ? L4_FROM_PORT : L4_FROM_STABLE_PORT, burst,
				WORKERS_BURST);
		storm_remember();
		received += WORKERS_BURST;
		sent += workers_sent_count;
		passed += workers_passed;
		handed += workers_handed;
	}
	workers_pass_seconds(3);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
	assert_int_equal(workers_counter(L4_PASSED), passed);
	assert_int_equal(workers_counter(L4_HANDED_OVER), handed);
	assert_int_equal(sent + passed + drops(), received);
	assert_true(workers_counter(L4_TIME_EXCEEDED_SENT) > 0);
	assert_true(workers_counter(L4_DROP_PARSE) > 0);
	assert_true(workers_counter(L4_ERROR_RELAYED) > 0);
	assert_true(!workers_answers(mode) || workers_counter(L4_ANSWERED) > 0);
	workers_free();
}

static void
every_packet_of_a_storm_is_accounted_for(void **state)
{
	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (const char *const *mode = workers_modes; *mode; mode++)
			assert_storm_is_accounted_for(workers_counts[c], *mode);
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, workers_setup, workers_teardown)
	const struct CMUnitTest tests[] = {
		ROW(local_ports_of_workers_are_disjoint_and_cover_the_range),
		ROW(a_worker_without_ports_says_so),
		ROW(syn_rate_bounds_new_flows_of_each_worker),
		ROW(without_state_an_answer_could_not_be_told),
		ROW(when_the_table_is_full_the_hash_decides),
		ROW(when_the_table_is_full_others_drop_by_name),
		ROW(every_packet_of_a_storm_is_accounted_for),
	};
#undef ROW

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
