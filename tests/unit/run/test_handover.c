#include "run/handover.h"

#include <string.h>

#include "base/counter.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

static struct handover *handover;

static int
setup(void **state)
{
	handover = handover_new(3, 64);
	return handover ? 0 : -1;
}

/* Whatever a test does, no packet is lost to the pool. */
static int
teardown(void **state)
{
	handover_free(handover);
	return support_pool_available() == SUPPORT_POOL_SIZE ? 0 : -1;
}

static struct rte_mbuf *
packet(uint32_t number)
{
	return support_mbuf_from(&number, sizeof(number));
}

static unsigned int
receive(unsigned int to, uint32_t *numbers, unsigned int max)
{
	struct rte_mbuf *out[64];
	unsigned int count = handover_receive(handover, to, out, max);

	for (unsigned int i = 0; i < count; i++) {
		numbers[i] = *rte_pktmbuf_mtod(out[i], uint32_t *);
		rte_pktmbuf_free(out[i]);
	}
	return count;
}

static void
packets_arrive_where_they_were_sent_in_order(void **state)
{
	uint32_t numbers[64];

	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(handover_send(handover, 0, 2, packet(i)), 1);
	assert_true(handover_pending(handover, 2));
	assert_false(handover_pending(handover, 1));
	assert_int_equal(receive(1, numbers, 64), 0);
	assert_int_equal(receive(2, numbers, 64), 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(numbers[i], i);
	assert_false(handover_pending(handover, 2));
}

static void
flush_names_the_receivers_once(void **state)
{
	handover_send(handover, 0, 1, packet(1));
	handover_send(handover, 0, 2, packet(2));
	handover_send(handover, 1, 2, packet(3));
	assert_int_equal(handover_flush(handover, 0), 1 << 1 | 1 << 2);
	assert_int_equal(handover_flush(handover, 0), 0);
	assert_int_equal(handover_flush(handover, 1), 1 << 2);
	assert_int_equal(handover_flush(handover, 2), 0);
}

static uint64_t sent, dropped;

static void
note(void *context, const char *room, const char *name, uint64_t value)
{
	assert_string_equal(room, "run");
	if (strcmp(name, "handover_sent") == 0)
		sent = value;
	else if (strcmp(name, "handover_dropped") == 0)
		dropped = value;
}

static void
a_full_ring_drops_and_counts(void **state)
{
	unsigned int queued = 0;

	for (uint32_t i = 0; i < 100; i++)
		queued += handover_send(handover, 0, 1, packet(i));
	assert_int_equal(queued, 63);
	/* Another pair has a ring of its own. */
	assert_int_equal(handover_send(handover, 2, 1, packet(0)), 1);
	counter_sum(note, NULL);
	assert_int_equal(sent, 64);
	assert_int_equal(dropped, 37);
	assert_int_equal(support_pool_available(), SUPPORT_POOL_SIZE - 64);
}

static void
a_flood_from_one_does_not_starve_another(void **state)
{
	uint32_t numbers[64];

	for (uint32_t i = 0; i < 60; i++)
		handover_send(handover, 0, 1, packet(100));
	for (uint32_t i = 0; i < 4; i++)
		handover_send(handover, 2, 1, packet(i));
	for (int round = 0; round < 2; round++) {
		unsigned int from_other = 0, count = receive(1, numbers, 8);

		assert_int_equal(count, 8);
		for (unsigned int i = 0; i < count; i++)
			from_other += numbers[i] != 100;
		assert_int_equal(from_other, 2);
	}
	/* What one leaves, the other takes. */
	assert_int_equal(receive(1, numbers, 64), 48);
}

static void
a_tiny_burst_serves_everybody_in_turn(void **state)
{
	unsigned int seen[3] = { 0 };
	uint32_t number;

	for (uint32_t i = 0; i < 30; i++)
		handover_send(handover, i % 3, 1, packet(i % 3));
	for (int i = 0; i < 6; i++) {
		assert_int_equal(receive(1, &number, 1), 1);
		seen[number]++;
	}
	assert_int_equal(seen[0], 2);
	assert_int_equal(seen[1], 2);
	assert_int_equal(seen[2], 2);
}

static void
impossible_sizes_are_refused(void **state)
{
	assert_null(handover_new(0, 64));
	assert_null(handover_new(65, 64));
	assert_null(handover_new(2, 63));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_arrive_where_they_were_sent_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(flush_names_the_receivers_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_ring_drops_and_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_from_one_does_not_starve_another, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tiny_burst_serves_everybody_in_turn, setup, teardown),
		cmocka_unit_test(impossible_sizes_are_refused),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
