/* Fragments and their first one: who is found, who waits, and for how long. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "l4/fragment.h"
#include "support/dpdk.h"

#define START_NS (1000 * NS_PER_SECOND)

static struct l4_fragments *fragments;
static unsigned int available;
static uint64_t now_ns;
static struct rte_mbuf *out[L4_FRAGMENTS_WAITING];

static int
setup(void **state)
{
	available = support_pool_available();
	now_ns = START_NS;
	fragments = l4_fragments_new();
	assert_non_null(fragments);
	return 0;
}

/* Whatever a test left waiting goes with the table. */
static int
teardown(void **state)
{
	l4_fragments_free(fragments);
	assert_int_equal(support_pool_available(), available);
	return 0;
}

static struct l4_fragment_key
key_of(uint32_t identification)
{
	return (struct l4_fragment_key){ .source = ip_address_from_v4(htonl(0xc6336401)),
					 .destination = ip_address_from_v4(htonl(0x0a000001)),
					 .identification = identification,
					 .ip_protocol = IPPROTO_UDP };
}

static struct rte_mbuf *
mbuf(uint8_t mark)
{
	return support_mbuf_from(&mark, 1);
}

static uint8_t
mark_of(const struct rte_mbuf *m)
{
	return *rte_pktmbuf_mtod(m, const uint8_t *);
}

static uint16_t
first(const struct l4_fragment_key *key, uint16_t port)
{
	return l4_fragment_first(fragments, key, htons(port), htons((uint16_t)(port + 1)), now_ns, out);
}

/* The mbuf is freed unless it waits. */
static enum l4_fragment_fate
later(const struct l4_fragment_key *key, uint8_t mark, uint16_t port)
{
	struct rte_mbuf *m = mbuf(mark);
	uint16_t source_port_be = 0, destination_port_be = 0;
	enum l4_fragment_fate fate =
		l4_fragment_later(fragments, key, m, now_ns, &source_port_be, &destination_port_be);

	if (fate != L4_FRAGMENT_WAITS)
		rte_pktmbuf_free(m);
	if (fate == L4_FRAGMENT_KNOWN) {
		assert_int_equal(source_port_be, htons(port));
		assert_int_equal(destination_port_be, htons((uint16_t)(port + 1)));
	}
	return fate;
}

static void
the_ports_of_the_first_are_those_of_the_others(void **state)
{
	struct l4_fragment_key key = key_of(1);

	assert_int_equal(first(&key, 1000), 0);
	assert_int_equal(later(&key, 0, 1000), L4_FRAGMENT_KNOWN);
	assert_int_equal(later(&key, 0, 1000), L4_FRAGMENT_KNOWN);
	assert_int_equal(l4_fragments_waiting(fragments), 0);
}

static void
every_part_of_the_key_counts(void **state)
{
	struct l4_fragment_key key = key_of(1), other;

	first(&key, 1000);
	other = key, other.identification = 2;
	assert_int_equal(later(&other, 0, 0), L4_FRAGMENT_WAITS);
	other = key, other.source.bytes[15] ^= 1;
	assert_int_equal(later(&other, 0, 0), L4_FRAGMENT_WAITS);
	other = key, other.destination.bytes[12] ^= 1;
	assert_int_equal(later(&other, 0, 0), L4_FRAGMENT_WAITS);
	other = key, other.ip_protocol = IPPROTO_TCP;
	assert_int_equal(later(&other, 0, 0), L4_FRAGMENT_WAITS);
}

static void
in_ipv6_the_protocol_does_not_count(void **state)
{
	static const uint8_t bytes[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	struct l4_fragment_key key = key_of(1), other;

	key.source = key.destination = ip_address_from_v6(bytes);
	key.destination.bytes[15] = 2;
	first(&key, 1000);
	other = key, other.ip_protocol = IPPROTO_DSTOPTS;
	assert_int_equal(later(&other, 0, 1000), L4_FRAGMENT_KNOWN);
	other.source.bytes[0] = 0x26;
	assert_int_equal(later(&other, 0, 0), L4_FRAGMENT_WAITS);
}

static void
those_that_waited_come_back_in_order(void **state)
{
	struct l4_fragment_key key = key_of(1), another = key_of(2);

	for (uint8_t i = 0; i < 5; i++) {
		assert_int_equal(later(&key, i, 0), L4_FRAGMENT_WAITS);
		assert_int_equal(later(&another, 100, 0), L4_FRAGMENT_WAITS);
	}
	assert_int_equal(l4_fragments_waiting(fragments), 10);
	assert_int_equal(first(&key, 1000), 5);
	for (uint8_t i = 0; i < 5; i++)
		assert_int_equal(mark_of(out[i]), i);
	rte_pktmbuf_free_bulk(out, 5);
	assert_int_equal(l4_fragments_waiting(fragments), 5);
	assert_int_equal(later(&key, 0, 1000), L4_FRAGMENT_KNOWN);
	assert_int_equal(first(&key, 1000), 0);
}

static void
a_packet_has_so_many_waiting_and_no_more(void **state)
{
	struct l4_fragment_key key = key_of(1), another = key_of(2);

	for (uint8_t i = 0; i < L4_FRAGMENTS_WAITING; i++)
		assert_int_equal(later(&key, i, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(later(&key, 99, 0), L4_FRAGMENT_FULL);
	assert_int_equal(later(&another, 0, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(first(&key, 1000), L4_FRAGMENTS_WAITING);
	for (uint8_t i = 0; i < L4_FRAGMENTS_WAITING; i++)
		assert_int_equal(mark_of(out[i]), i);
	rte_pktmbuf_free_bulk(out, L4_FRAGMENTS_WAITING);
}

static void
all_packets_together_have_a_bound_too(void **state)
{
	struct l4_fragment_key key;

	for (uint32_t i = 0; i < L4_FRAGMENTS_WAITING_MAX; i++) {
		key = key_of(i);
		assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	}
	assert_int_equal(l4_fragments_waiting(fragments), L4_FRAGMENTS_WAITING_MAX);
	key = key_of(0);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_FULL);
	key = key_of(9999);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_FULL);
	assert_int_equal(available - support_pool_available(), L4_FRAGMENTS_WAITING_MAX);
	/* One that was refused has left nothing behind, and one place is enough for it later. */
	key = key_of(3);
	assert_int_equal(first(&key, 1000), 1);
	rte_pktmbuf_free(out[0]);
	key = key_of(9999);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
}

static void
waiting_ends_after_two_seconds(void **state)
{
	struct l4_fragment_key key = key_of(1), younger = key_of(2);

	assert_int_equal(l4_fragments_next_ns(fragments), UINT64_MAX);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	now_ns += NS_PER_SECOND;
	/* One more does not make the first wait longer. */
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(later(&younger, 7, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(l4_fragments_next_ns(fragments), START_NS + L4_FRAGMENT_WAIT_NS);
	assert_int_equal(l4_fragments_expire(fragments, START_NS + L4_FRAGMENT_WAIT_NS - 1), 0);
	assert_int_equal(l4_fragments_expire(fragments, START_NS + L4_FRAGMENT_WAIT_NS), 2);
	assert_int_equal(l4_fragments_next_ns(fragments), now_ns + L4_FRAGMENT_WAIT_NS);
	assert_int_equal(available - support_pool_available(), 1);
	assert_int_equal(first(&key, 1000), 0);
	assert_int_equal(first(&younger, 1000), 1);
	assert_int_equal(mark_of(out[0]), 7);
	rte_pktmbuf_free(out[0]);
	assert_int_equal(l4_fragments_next_ns(fragments), UINT64_MAX);
}

static void
ports_are_known_for_thirty_seconds(void **state)
{
	struct l4_fragment_key key = key_of(1), swept = key_of(2);

	first(&key, 1000);
	first(&swept, 1000);
	now_ns += L4_FRAGMENT_KNOWN_NS - 1;
	assert_int_equal(later(&key, 0, 1000), L4_FRAGMENT_KNOWN);
	now_ns++;
	/* With or without a look at the clock in between. */
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(l4_fragments_expire(fragments, now_ns), 0);
	assert_int_equal(later(&swept, 0, 0), L4_FRAGMENT_WAITS);
}

static void
an_identification_used_again_is_a_new_packet(void **state)
{
	struct l4_fragment_key key = key_of(1);

	first(&key, 1000);
	now_ns += 29 * NS_PER_SECOND;
	assert_int_equal(first(&key, 2000), 0);
	assert_int_equal(later(&key, 0, 2000), L4_FRAGMENT_KNOWN);
	/* Its time begins anew. */
	now_ns += 29 * NS_PER_SECOND;
	assert_int_equal(l4_fragments_expire(fragments, now_ns), 0);
	assert_int_equal(later(&key, 0, 2000), L4_FRAGMENT_KNOWN);
}

static void
when_all_is_full_the_oldest_known_packet_gives_way(void **state)
{
	struct l4_fragment_key key, waits = key_of(UINT32_MAX);

	assert_int_equal(later(&waits, 42, 0), L4_FRAGMENT_WAITS);
	for (uint32_t i = 0; i < L4_FRAGMENTED_PACKETS_MAX + 99; i++) {
		key = key_of(i);
		assert_int_equal(first(&key, (uint16_t)i), 0);
	}
	for (uint32_t i = 100; i < L4_FRAGMENTED_PACKETS_MAX + 99; i++) {
		key = key_of(i);
		assert_int_equal(later(&key, 0, (uint16_t)i), L4_FRAGMENT_KNOWN);
	}
	/* A further one that waits takes a place, too: that of the oldest. */
	key = key_of(99);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	key = key_of(100);
	assert_int_equal(later(&key, 0, 0), L4_FRAGMENT_WAITS);
	assert_int_equal(first(&waits, 5), 1);
	assert_int_equal(mark_of(out[0]), 42);
	rte_pktmbuf_free(out[0]);
}

/* ---- against a model ---- */

#define PACKETS 3000

struct model {
	uint64_t first_ns; /* 0: has not come */
	uint64_t waits_ns; /* since when */
	uint8_t waiting;
	uint16_t port;
};

static void
model_later(struct model *m, const struct l4_fragment_key *key, uint32_t all_waiting)
{
	bool known = m->first_ns && now_ns - m->first_ns < L4_FRAGMENT_KNOWN_NS;
	enum l4_fragment_fate fate = later(key, m->waiting, m->port);

	if (known) {
		assert_int_equal(fate, L4_FRAGMENT_KNOWN);
	} else if (all_waiting == L4_FRAGMENTS_WAITING_MAX || m->waiting == L4_FRAGMENTS_WAITING) {
		assert_int_equal(fate, L4_FRAGMENT_FULL);
	} else {
		assert_int_equal(fate, L4_FRAGMENT_WAITS);
		if (m->waiting++ == 0)
			m->waits_ns = now_ns;
		m->first_ns = 0;
	}
}

static uint32_t
model_expire(struct model *models)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PACKETS; i++) {
		if (models[i].waiting && now_ns - models[i].waits_ns >= L4_FRAGMENT_WAIT_NS) {
			count += models[i].waiting;
			models[i].waiting = 0;
		}
	}
	return count;
}

static void
a_model_agrees(void **state)
{
	static struct model models[PACKETS];
	struct random random = { .state = 99 };
	uint32_t waiting = 0, full = 0, dropped = 0, released = 0;

	for (uint32_t step = 0; step < 300000; step++) {
		uint64_t r = random_next(&random) >> 32;
		uint32_t n = r % PACKETS;
		struct l4_fragment_key key = key_of(n);

		if (r >> 16 & 7) {
			uint32_t before = models[n].waiting;

			model_later(&models[n], &key, waiting);
			waiting += models[n].waiting - before;
			full += waiting == L4_FRAGMENTS_WAITING_MAX;
		} else {
			uint16_t count = first(&key, (uint16_t)step);

			assert_int_equal(count, models[n].waiting);
			for (uint16_t i = 0; i < count; i++)
				assert_int_equal(mark_of(out[i]), i);
			rte_pktmbuf_free_bulk(out, count);
			waiting -= count, released += count;
			models[n] = (struct model){ .first_ns = now_ns, .port = (uint16_t)step };
		}
		now_ns += (r >> 20 & 7) * NS_PER_MS;
		if (r >> 28 & 1) {
			uint32_t expected = model_expire(models);

			assert_int_equal(l4_fragments_expire(fragments, now_ns), expected);
			waiting -= expected, dropped += expected;
		}
		assert_int_equal(l4_fragments_waiting(fragments), waiting);
		assert_int_equal(available - support_pool_available(), waiting);
	}
	/* It has been everywhere. */
	assert_true(released > 1000 && dropped > 1000 && full > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_ports_of_the_first_are_those_of_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(every_part_of_the_key_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(in_ipv6_the_protocol_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(those_that_waited_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_packet_has_so_many_waiting_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(all_packets_together_have_a_bound_too, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_ends_after_two_seconds, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_are_known_for_thirty_seconds, setup, teardown),
		cmocka_unit_test_setup_teardown(an_identification_used_again_is_a_new_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(when_all_is_full_the_oldest_known_packet_gives_way, setup, teardown),
		cmocka_unit_test_setup_teardown(a_model_agrees, setup, teardown),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
