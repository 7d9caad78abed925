/*
 * Most packets go a shorter way than others, and nobody may notice: the same storm, watched and not watched, leaves the same
 * bytes in the same order, the same counters and the same entries.
 */
#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "base/hash.h"
#include "support/cmocka.h"
#include "support/dpdk.h"
#include "workers.h"

#define CLIENTS 160
#define ROUNDS 150
#define BURST 24
/* Of which a third finds its first bucket full, and some no place. */
#define ENTRIES 96
#define CHECKSUMS_GOOD (RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD)

struct outcome {
	uint64_t bytes; /* a hash of all that was sent, in its order */
	uint64_t counters[L4_VERDICT_COUNT], entries;
};

/* The last packets to servers: what may be answered. */
static struct workers_sent to_servers[32];

/* Of four kinds of client in turn; mostly in the middle of a connection, sometimes in every way wrong. */
static struct rte_mbuf *
packet_of(unsigned int n)
{
	uint8_t ip_protocol = n & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	struct wire w = workers_opening(n, n % 8 == 1, ip_protocol);
	const struct workers_sent *sent = &to_servers[workers_roll(RTE_DIM(to_servers))];
	struct l4_packet packet;

	if (workers_roll(4))
		w.tcp_flags = workers_roll(8) ? RTE_TCP_ACK_FLAG : (uint8_t)workers_roll(64);
	if (workers_roll(6) == 0 && sent->len)
		w = workers_answer(sent, sent->ip[0] >> 4 == 6, sent->ip[sent->ip[0] >> 4 == 6 ? 6 : 9]);
	if (workers_roll(16) == 0)
		w.destination.port_be = htons(9);
	w.ttl = (uint8_t)(workers_roll(16) ? 64 : workers_roll(3));
	w.dont_fragment = workers_roll(2);
	w.padded = workers_roll(4) == 0;
	w.segmented = workers_roll(16) == 0;
	w.payload_len = (uint16_t)(workers_roll(8) ? workers_roll(200) : 1200 + workers_roll(280));
	w.part = workers_roll(24) ? WIRE_WHOLE : WIRE_FIRST;
	w.no_sum = w.ip_protocol == IPPROTO_UDP && !w.v6 && w.part == WIRE_WHOLE && workers_roll(6) == 0;
	if (workers_roll(24) == 0 && !w.v6)
		w.source = wire_endpoint(workers_roll(2) ? "127.0.0.1:4000" : "224.1.2.3:4000");
	wire_build(&w, &packet);
	if (workers_roll(w.no_sum ? 2 : 16))
		packet.m->ol_flags |= CHECKSUMS_GOOD;
	else if (!w.no_sum && workers_roll(2))
		packet.l3[workers_roll(RTE_MIN(packet.ip_len, 40u))] ^= (uint8_t)(1 << workers_roll(8));
	return packet.m;
}

static void
remember_sent(struct outcome *outcome)
{
	for (unsigned int i = 0; i < workers_sent_count; i++) {
		const struct workers_sent *s = &workers_sent[i];
		const uint64_t key[2] = { outcome->bytes, s->len };

		outcome->bytes = siphash(key, s->ip, s->len);
		if (s->destination.port_be == htons(8080))
			to_servers[workers_roll(RTE_DIM(to_servers))] = *s;
	}
}

static struct outcome
storm(const char *mode, bool watched)
{
	struct outcome outcome = { 0 };

	workers_roll_anew();
	memset(to_servers, 0, sizeof(to_servers));
	workers_make_with(1, workers_services(mode, "proxy_timeout 11s; mss_clamp on;"), ENTRIES, WORKERS_PORT_FIRST,
			  WORKERS_PORT_LAST);
	if (watched)
		workers_watch();
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct rte_mbuf *burst[BURST];

		/* Neighbours are of one kind, as on a busy service. */
		for (unsigned int i = 0; i < BURST; i++)
			burst[i] = packet_of(workers_roll(CLIENTS / 4) * 4 + (i / 8 & 3));
		workers_receive(0, workers_roll(2) ? L4_FROM_PORT : L4_FROM_OWNER, burst, BURST);
		remember_sent(&outcome);
		if (workers_roll(3) == 0)
			workers_pass_seconds(workers_roll(13));
	}
	for (unsigned int i = 0; i < L4_VERDICT_COUNT; i++)
		outcome.counters[i] = workers_counter((enum l4_verdict)i);
	outcome.entries = workers_entries(0);
	workers_free();
	return outcome;
}

static void
whoever_watches_sees_the_same(void **state)
{
	static const char *const modes[] = { "full_nat", "nat", "dsr", "ipip", "gue" };

	for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
		struct outcome short_way = storm(modes[i], false), long_way = storm(modes[i], true);

		for (unsigned int v = 0; v < L4_VERDICT_COUNT; v++)
			if (short_way.counters[v] != long_way.counters[v])
				fail_msg("%s: %s: %llu, watched %llu", modes[i], l4_verdict_names[v],
					 (unsigned long long)short_way.counters[v],
					 (unsigned long long)long_way.counters[v]);
		assert_true(short_way.bytes == long_way.bytes);
		assert_true(short_way.entries == long_way.entries);
		assert_true(short_way.counters[L4_FORWARDED] > ROUNDS);
		assert_true(short_way.counters[L4_STARTED] > ROUNDS);
		assert_true(!workers_answers(modes[i]) || short_way.counters[L4_ANSWERED] > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whoever_watches_sees_the_same, workers_setup, workers_teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
