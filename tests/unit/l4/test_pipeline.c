/* Workers of L4 together: wherever a packet comes in, the worker that has its flow sends it, once. */
#include <netinet/in.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>
#include <string.h>

#include "port/rss.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "workers.h"

/* The port spreads flows as this says, and workers know it; of no type: it spreads them in any way. */
static struct port_rss rss;

static int
setup(void **state)
{
	rss.types = 0;
	return workers_setup(state);
}

static bool
same(const struct endpoint *a, const struct endpoint *b)
{
	return ip_address_equal(&a->ip, &b->ip) && a->port_be == b->port_be;
}

static bool
has_local_port(const char *mode)
{
	return strcmp(mode, "full_nat") == 0;
}

static enum l4_arrival
arrival(void)
{
	return rss.types ? L4_FROM_STABLE_PORT : L4_FROM_PORT;
}

static void
make(unsigned int workers, const char *mode)
{
	workers_make(workers, workers_services(mode, ""));
	if (!rss.types)
		return;
	for (unsigned int i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)workers_roll(256);
	rss.table_size = 128;
	for (unsigned int i = 0; i < rss.table_size; i++)
		rss.table[i] = (uint16_t)(i % workers);
	workers_go_by_rss(&rss);
}

/* ---- both directions at one worker ---- */

/* Opens the nth flow at any worker. Returns what was sent to the server. */
static struct workers_sent
open_flow(unsigned int workers, const char *mode, unsigned int n, bool v6, uint8_t ip_protocol)
{
	struct wire w = workers_opening(n, v6, ip_protocol);
	unsigned int at = rss.types ? (unsigned int)port_rss_queue(&rss, &w.source, &w.destination, ip_protocol)
				    : workers_roll(workers);
	struct workers_sent sent;

	workers_receive_wire(at, arrival(), &w);
	assert_int_equal(workers_sent_count, 1);
	sent = *workers_assert_sent_by(workers_sent[0].worker);
	assert_int_equal(workers_handed, sent.worker != at);
	if (has_local_port(mode)) {
		assert_int_equal(ntohs(sent.source.port_be) % workers, sent.worker);
		assert_in_range(ntohs(sent.source.port_be), WORKERS_PORT_FIRST, WORKERS_PORT_LAST);
	} else {
		assert_true(strcmp(mode, "gue") == 0 || same(&sent.source, &w.source));
	}
	return sent;
}

static void
answer_flow(unsigned int workers, const struct workers_sent *to_server, unsigned int n, bool v6, uint8_t ip_protocol)
{
	const struct wire asked = workers_opening(n, v6, ip_protocol);
	struct wire w = workers_answer(to_server, v6, ip_protocol);
	const struct workers_sent *sent;
	unsigned int at = workers_roll(workers);

	workers_receive_wire(at, L4_FROM_PORT, &w);
	sent = workers_assert_sent_by(to_server->worker);
	assert_int_equal(workers_handed, sent->worker != at);
	assert_true(same(&sent->source, &asked.destination));
	assert_true(same(&sent->destination, &asked.source));
}

static void
continue_flow(unsigned int workers, const struct workers_sent *to_server, unsigned int n, bool v6, uint8_t ip_protocol)
{
	struct wire w = workers_opening(n, v6, ip_protocol);
	const struct workers_sent *sent;

	w.tcp_flags = RTE_TCP_ACK_FLAG;
	workers_receive_wire(workers_roll(workers), L4_FROM_PORT, &w);
	sent = workers_assert_sent_by(to_server->worker);
	assert_true(same(&sent->source, &to_server->source));
	assert_true(same(&sent->destination, &to_server->destination));
}

static void
assert_flows_meet(unsigned int workers, const char *mode)
{
	enum { FLOWS = 80 };
	static struct workers_sent to_server[FLOWS];

	workers_make(workers, workers_services(mode, ""));
	for (unsigned int n = 0; n < FLOWS; n++)
		to_server[n] = open_flow(workers, mode, n, n & 1, n & 2 ? IPPROTO_UDP : IPPROTO_TCP);
	for (unsigned int n = 0; n < FLOWS; n++) {
		uint8_t ip_protocol = n & 2 ? IPPROTO_UDP : IPPROTO_TCP;

		if (workers_answers(mode))
			answer_flow(workers, &to_server[n], n, n & 1, ip_protocol);
		continue_flow(workers, &to_server[n], n, n & 1, ip_protocol);
	}
	assert_int_equal(workers_counter(L4_STARTED), FLOWS);
	assert_int_equal(workers_counter(L4_ANSWERED), workers_answers(mode) ? FLOWS : 0);
	assert_int_equal(workers_counter(L4_FORWARDED), FLOWS);
	workers_free();
}

static void
every_packet_of_a_flow_is_sent_by_its_owner(void **state)
{
	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (const char *const *mode = workers_modes; *mode; mode++)
			assert_flows_meet(workers_counts[c], *mode);
	assert_flows_meet(WORKERS_MAX, "full_nat");
}

/* What a server says to somebody else than a client is not held back, and goes no further than to who could know. */
static void
what_belongs_to_no_flow_is_passed_once(void **state)
{
	struct wire w = wire_default(false, IPPROTO_TCP);

	workers_make(7, workers_services("full_nat", ""));
	w.source = wire_endpoint("10.0.2.1:8080");
	for (unsigned int n = 0; n < 70; n++) {
		w.destination = wire_endpoint("192.0.2.1:20000");
		w.destination.port_be = htons((uint16_t)(n & 1 ? 300 + n : WORKERS_PORT_FIRST + n));
		workers_receive_wire(n % 7, L4_FROM_PORT, &w);
		assert_int_equal(workers_sent_count, 0);
		assert_int_equal(workers_passed, 1);
		if (!(n & 1))
			assert_int_equal(workers_passed_at, (WORKERS_PORT_FIRST + n) % 7);
		/* No server's, no service's. */
		w.source.port_be = htons(22);
		workers_receive_wire(n % 7, L4_FROM_PORT, &w);
		assert_int_equal(workers_passed, 1);
		assert_int_equal(workers_handed, 0);
		w.source.port_be = htons(8080);
	}
}

/* ---- ports that keep flows together, and ports that do not ---- */

static void
assert_stays(unsigned int workers, const char *mode)
{
	workers_make(workers, workers_services(mode, ""));
	for (unsigned int n = 0; n < 70; n++) {
		uint8_t ip_protocol = n & 2 ? IPPROTO_UDP : IPPROTO_TCP;
		struct wire w = workers_opening(n, n & 1, ip_protocol);
		unsigned int at = workers_roll(workers);
		struct workers_sent first;

		workers_receive_wire(at, L4_FROM_STABLE_PORT, &w);
		first = *workers_assert_sent_by(at);
		assert_int_equal(workers_handed, 0);
		w.tcp_flags = RTE_TCP_ACK_FLAG;
		workers_receive_wire(at, L4_FROM_STABLE_PORT, &w);
		assert_true(same(&workers_assert_sent_by(at)->destination, &first.destination));
		if (!has_local_port(mode))
			continue;
		/* The device puts answers where it likes. */
		w = workers_answer(&first, n & 1, ip_protocol);
		workers_receive_wire(workers_roll(workers), L4_FROM_STABLE_PORT, &w);
		workers_assert_sent_by(at);
	}
	assert_int_equal(workers_counter(L4_STARTED), 70);
	workers_free();
}

static void
from_a_stable_port_packets_stay(void **state)
{
	static const char *const modes[] = { "full_nat", "dsr", "ipip", "gue" };

	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (unsigned int i = 0; i < RTE_DIM(modes); i++)
			assert_stays(workers_counts[c], modes[i]);
}

/* Its answers are known by nothing but the client. */
static void
nat_goes_by_the_client_from_any_port(void **state)
{
	workers_make(7, workers_services("nat", ""));
	for (unsigned int n = 0; n < 100; n++) {
		struct wire w = workers_opening(n, n & 1, IPPROTO_TCP), back;
		struct workers_sent first;

		workers_receive_wire(workers_roll(7), L4_FROM_STABLE_PORT, &w);
		assert_int_equal(workers_sent_count, 1);
		first = workers_sent[0];
		back = workers_answer(&first, n & 1, IPPROTO_TCP);
		workers_receive_wire(workers_roll(7), L4_FROM_STABLE_PORT, &back);
		workers_assert_sent_by(first.worker);
	}
	assert_int_equal(workers_counter(L4_ANSWERED), 100);
}

/* No more than five standard deviations above what chance gives: the mean of chi-square is its degrees of freedom, its
 * variance twice that. */
static void
assert_even(const unsigned int *seen, unsigned int places, unsigned int total)
{
	double wanted = (double)total / places, chi_square = 0, freedom = places - 1, above;

	for (unsigned int i = 0; i < places; i++)
		chi_square += (seen[i] - wanted) * (seen[i] - wanted) / wanted;
	above = chi_square - freedom;
	if (above > 0 && above * above > 25 * 2 * freedom)
		fail_msg("%u over %u places: chi-square is %.1f", total, places, chi_square);
}

/* Owners, and the servers that each of them chose: one hash decides both, and they must not follow from each other. */
static void
assert_spread(unsigned int workers, const char *mode)
{
	unsigned int owners[WORKERS_MAX] = { 0 }, servers[WORKERS_MAX * WORKERS_SERVERS] = { 0 }, total = workers * 100;

	workers_make(workers, workers_services(mode, ""));
	for (unsigned int n = 0; n < total; n++) {
		struct wire w = workers_opening(n, false, IPPROTO_UDP);

		/* Always the same queue: where it comes in has no say. */
		workers_receive_wire(0, L4_FROM_PORT, &w);
		assert_int_equal(workers_sent_count, 1);
		owners[workers_sent[0].worker]++;
		servers[workers_sent[0].worker * WORKERS_SERVERS + workers_sent[0].destination.ip.bytes[15] - 1]++;
	}
	assert_even(owners, workers, total);
	assert_even(servers, workers * WORKERS_SERVERS, total);
	workers_free();
}

static void
from_an_unstable_port_flows_spread_evenly(void **state)
{
	for (unsigned int c = 1; c < WORKERS_COUNTS; c++)
		for (const char *const *mode = workers_modes_both_ways; *mode; mode++)
			assert_spread(workers_counts[c], *mode);
}

/* ---- fragments ---- */

/* Per flow: the first fragment, and the later one as often as it is asked for. */
#define FLOWS_IN_PIECES 12
#define LATER_FRAGMENTS 3
#define PIECES (FLOWS_IN_PIECES * (1 + LATER_FRAGMENTS))

static void
shuffle(unsigned int *order, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		order[i] = i;
	for (unsigned int i = count; i > 1; i--) {
		unsigned int j = workers_roll(i), kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
}

/* All pieces in any order at any worker; each leaves once, at its flow's worker, to where its flow goes. */
static void
assert_pieces_leave(unsigned int workers, struct wire *datagrams, const struct workers_sent *flows, bool to_server)
{
	unsigned int order[PIECES], left[FLOWS_IN_PIECES] = { 0 };

	shuffle(order, PIECES);
	for (unsigned int i = 0; i < PIECES; i++) {
		struct wire w = datagrams[order[i] % FLOWS_IN_PIECES];

		w.part = order[i] < FLOWS_IN_PIECES ? WIRE_FIRST : WIRE_LATER;
		workers_receive_wire(workers_roll(workers), arrival(), &w);
		assert_int_equal(workers_passed, 0);
		for (unsigned int s = 0; s < workers_sent_count; s++) {
			unsigned int n = order[i] % FLOWS_IN_PIECES;

			assert_int_equal(workers_sent[s].identification, w.identification);
			assert_int_equal(workers_sent[s].worker, flows[n].worker);
			if (to_server)
				assert_true(
					ip_address_equal(&workers_sent[s].destination.ip, &flows[n].destination.ip));
			left[n]++;
		}
	}
	for (unsigned int n = 0; n < FLOWS_IN_PIECES; n++)
		assert_int_equal(left[n], 1 + LATER_FRAGMENTS);
}

static void
assert_fragments_follow(unsigned int workers, const char *mode, uint8_t ip_protocol)
{
	static struct workers_sent flows[FLOWS_IN_PIECES];
	struct wire to_server[FLOWS_IN_PIECES], to_client[FLOWS_IN_PIECES];

	make(workers, mode);
	for (unsigned int n = 0; n < FLOWS_IN_PIECES; n++) {
		flows[n] = open_flow(workers, mode, n, n & 1, ip_protocol);
		to_server[n] = workers_opening(n, n & 1, ip_protocol);
		to_server[n].tcp_flags = RTE_TCP_ACK_FLAG;
		to_client[n] = workers_answer(&flows[n], n & 1, ip_protocol);
		to_client[n].identification = (uint16_t)(1000 + n);
	}
	assert_pieces_leave(workers, to_server, flows, true);
	assert_int_equal(workers_counter(L4_FORWARDED), PIECES);
	if (workers_answers(mode)) {
		assert_pieces_leave(workers, to_client, flows, false);
		assert_int_equal(workers_counter(L4_ANSWERED), PIECES);
	}
	assert_true(workers_counter(L4_FRAGMENT_WAITING) > 0);
	assert_int_equal(workers_counter(L4_STARTED), FLOWS_IN_PIECES);
	workers_free();
}

static void
fragments_leave_with_their_flow(void **state)
{
	static const char *const modes[] = { "full_nat", "nat", "dsr", "ipip" };

	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
			assert_fragments_follow(workers_counts[c], modes[i], IPPROTO_UDP);
			assert_fragments_follow(workers_counts[c], modes[i], IPPROTO_TCP);
		}
}

static void
start_in_pieces(unsigned int workers, unsigned int n)
{
	struct wire w = workers_opening(n, n & 1, IPPROTO_UDP);
	bool first_comes_last = n & 2;
	unsigned int owner;

	w.part = first_comes_last ? WIRE_LATER : WIRE_FIRST;
	workers_receive_wire(workers_roll(workers), L4_FROM_PORT, &w);
	assert_int_equal(workers_sent_count, first_comes_last ? 0 : 1);
	owner = workers_sent[0].worker;
	w.part = first_comes_last ? WIRE_FIRST : WIRE_LATER;
	workers_receive_wire(workers_roll(workers), L4_FROM_PORT, &w);
	assert_int_equal(workers_sent_count, first_comes_last ? 2 : 1);
	if (first_comes_last)
		owner = workers_sent[1].worker;
	assert_int_equal(workers_sent[0].worker, owner);
	w.part = WIRE_WHOLE;
	workers_receive_wire(workers_roll(workers), L4_FROM_PORT, &w);
	workers_assert_sent_by(owner);
}

static void
a_flow_may_start_with_a_fragment(void **state)
{
	static const unsigned int some[] = { 3, 64 };

	for (unsigned int c = 0; c < RTE_DIM(some); c++) {
		workers_make(some[c], workers_services("full_nat", ""));
		for (unsigned int n = 0; n < 40; n++)
			start_in_pieces(some[c], n);
		assert_int_equal(workers_counter(L4_STARTED), 40);
		workers_free();
	}
}

/* Three times the time-out, a packet a second, in one direction alone. */
static void
assert_outlives_silence(const char *mode, bool silent_client, unsigned int n)
{
	const struct wire from_client = workers_opening(n, n & 1, IPPROTO_UDP);
	struct workers_sent first;
	struct wire answer;

	workers_make(1, workers_services(mode, "proxy_timeout 20s;"));
	workers_receive_wire(0, L4_FROM_PORT, &from_client);
	assert_int_equal(workers_sent_count, 1);
	first = workers_sent[0];
	answer = workers_answer(&first, n & 1, IPPROTO_UDP);
	for (unsigned int second = 0; second < 60; second++) {
		workers_receive_wire(0, L4_FROM_PORT, silent_client ? &answer : &from_client);
		assert_int_equal(workers_sent_count, 1);
		workers_pass_seconds(1);
	}
	workers_receive_wire(0, L4_FROM_PORT, silent_client ? &from_client : &answer);
	assert_int_equal(workers_sent_count, 1);
	assert_int_equal(workers_counter(L4_STARTED), 1);
	assert_int_equal(workers_entries(0), 2);
	workers_free();
}

static void
what_goes_one_way_keeps_both_entries(void **state)
{
	static const char *const modes[] = { "full_nat", "nat" };

	for (unsigned int n = 0; n < 40; n++)
		assert_outlives_silence(modes[n / 20], n & 2, n);
}

/* A fragment whose first never comes is freed in the end. */
static void
what_waits_in_vain_is_dropped(void **state)
{
	workers_make(7, workers_services("full_nat", ""));
	for (unsigned int n = 0; n < 50; n++) {
		struct wire w = workers_opening(n, n & 1, IPPROTO_UDP);

		w.part = WIRE_LATER;
		workers_receive_wire(workers_roll(7), L4_FROM_PORT, &w);
		assert_int_equal(workers_sent_count + workers_passed, 0);
	}
	assert_int_equal(workers_counter(L4_FRAGMENT_WAITING), 50);
	workers_pass_seconds(3);
	assert_int_equal(workers_counter(L4_DROP_FRAGMENT_TIMEOUT), 50);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE);
}

/* ---- ICMP errors ---- */

static void
receive_error(unsigned int worker, const struct ip_address *to, const uint8_t *quoted, uint16_t quoted_len)
{
	struct rte_mbuf *m = workers_error(to, quoted, quoted_len);

	workers_receive(worker, arrival(), &m, 1);
}

/* From a router on the way to the server, about what Weir sent there. */
static void
error_about_client_packet(unsigned int workers, const struct workers_sent *to_server, unsigned int n, bool v6,
			  uint8_t ip_protocol)
{
	const struct wire asked = workers_opening(n, v6, ip_protocol);
	const uint8_t *quote, *icmp;
	struct endpoint from, to;

	receive_error(workers_roll(workers), &to_server->source.ip, to_server->ip, to_server->len);
	icmp = workers_assert_sent_by(to_server->worker)->ip + (v6 ? 40 : 20);
	quote = icmp + 8;
	assert_int_equal(icmp[0], v6 ? 1 : 3);
	assert_true(ip_address_equal(&workers_sent[0].destination.ip, &asked.source.ip));
	from = wire_source(quote);
	to = wire_destination(quote);
	assert_true(same(&from, &asked.source));
	assert_true(same(&to, &asked.destination));
}

/* From a router on the way to the client, about what the service said: for the server, in its own terms. */
static void
error_about_answer(unsigned int workers, const struct workers_sent *to_server, unsigned int n, bool v6,
		   uint8_t ip_protocol, bool two_ways)
{
	const struct wire asked = workers_opening(n, v6, ip_protocol);
	struct wire said = workers_answer(to_server, v6, ip_protocol);
	uint8_t bytes[WORKERS_BYTES_MAX];
	struct endpoint from, to;
	const uint8_t *quote;
	uint16_t len;

	said.source = asked.destination;
	said.destination = asked.source;
	len = wire_bytes(&said, bytes);
	receive_error(workers_roll(workers), &asked.destination.ip, bytes, len);
	workers_assert_sent_by(to_server->worker);
	if (!two_ways)
		return;
	assert_true(ip_address_equal(&workers_sent[0].destination.ip, &to_server->destination.ip));
	quote = workers_sent[0].ip + (v6 ? 48 : 28);
	from = wire_source(quote);
	to = wire_destination(quote);
	assert_true(same(&from, &to_server->destination));
	assert_true(same(&to, &to_server->source));
}

static void
assert_errors_arrive(unsigned int workers, const char *mode)
{
	uint64_t errors = 0;

	make(workers, mode);
	for (unsigned int n = 0; n < 40; n++) {
		uint8_t ip_protocol = n & 2 ? IPPROTO_UDP : IPPROTO_TCP;
		struct workers_sent to_server = open_flow(workers, mode, n, n & 1, ip_protocol);

		error_about_answer(workers, &to_server, n, n & 1, ip_protocol, workers_answers(mode));
		errors++;
		if (!workers_answers(mode))
			continue;
		error_about_client_packet(workers, &to_server, n, n & 1, ip_protocol);
		errors++;
	}
	assert_int_equal(workers_counter(L4_ERROR_RELAYED), errors);
	workers_free();
}

static void
errors_reach_the_owner_and_the_right_end(void **state)
{
	static const char *const modes[] = { "full_nat", "nat", "dsr", "ipip" };

	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (unsigned int i = 0; i < RTE_DIM(modes); i++)
			assert_errors_arrive(workers_counts[c], modes[i]);
}

static void
errors_and_fragments_go_where_rss_has_put_their_flow(void **state)
{
	static const char *const modes[] = { "full_nat", "nat", "dsr", "ipip" };

	rss.types = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
	for (unsigned int c = 0; c < WORKERS_COUNTS; c++)
		for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
			assert_errors_arrive(workers_counts[c], modes[i]);
			assert_fragments_follow(workers_counts[c], modes[i], IPPROTO_UDP);
		}
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, workers_teardown)
	const struct CMUnitTest tests[] = {
		ROW(every_packet_of_a_flow_is_sent_by_its_owner),
		ROW(what_belongs_to_no_flow_is_passed_once),
		ROW(from_a_stable_port_packets_stay),
		ROW(nat_goes_by_the_client_from_any_port),
		ROW(from_an_unstable_port_flows_spread_evenly),
		ROW(fragments_leave_with_their_flow),
		ROW(a_flow_may_start_with_a_fragment),
		ROW(what_goes_one_way_keeps_both_entries),
		ROW(what_waits_in_vain_is_dropped),
		ROW(errors_reach_the_owner_and_the_right_end),
		ROW(errors_and_fragments_go_where_rss_has_put_their_flow),
	};
#undef ROW

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
