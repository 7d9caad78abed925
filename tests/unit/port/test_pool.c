#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/frames.h"
#include "port/port.h"
#include "support/cmocka.h"
#include "support/dpdk.h"

static char error[256];

static void
check_layout_in(enum port_memory memory, uint16_t mtu, uint32_t frame_size)
{
	struct rte_mempool *pool = port_pool_new(1000, mtu, memory, error, sizeof(error));
	struct rte_mbuf *m[1000];
	struct port_frames f;
	uint8_t seen[1000] = { 0 };

	assert_non_null(pool);
	assert_int_equal(port_frames_of_pool(pool, &f), 0);
	assert_int_equal(f.frame_size, frame_size);
	assert_int_equal(f.frames, 1000);
	assert_true(port_frames_mtu_max(&f, 1) >= mtu);
	assert_int_equal((uintptr_t)f.base % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, m, 1000), 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t address = port_frame_address(&f, m[i]), data = port_frame_data_address(&f, m[i]);

		assert_int_equal(address % frame_size, 0);
		assert_ptr_equal(port_frame_mbuf(&f, data), m[i]);
		assert_int_equal(seen[port_frame_index(&f, data)]++, 0);
		assert_ptr_equal(f.base + data, rte_pktmbuf_mtod(m[i], uint8_t *));
		assert_int_equal((uint8_t *)m[i]->buf_addr + m[i]->buf_len - (f.base + address), frame_size);
		memset(m[i]->buf_addr, 0xa5, m[i]->buf_len);
	}
	/* Nobody's buffer reached into a neighbour's header. */
	for (int i = 0; i < 1000; i++) {
		assert_ptr_equal(m[i]->pool, pool);
		assert_int_equal(rte_mbuf_refcnt_read(m[i]), 1);
	}
	rte_pktmbuf_free_bulk(m, 1000);
	assert_int_equal(rte_mempool_avail_count(pool), 1000);
	rte_mempool_free(pool);
}

static void
check_layout(uint16_t mtu, uint32_t frame_size)
{
	check_layout_in(PORT_MEMORY_PAGES, mtu, frame_size);
	check_layout_in(PORT_MEMORY_EAL, mtu, frame_size);
}

static void
frames_are_powers_of_two_and_hold_their_mtu(void **state)
{
	check_layout(1500, 2048);
	check_layout(1518, 2048);
	check_layout(1519, 4096);
	check_layout(PORT_XDP_MTU_MAX, 4096);
	check_layout(9000, 16384);
}

static int
by_address(const void *a, const void *b)
{
	const struct rte_mbuf *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Half of the pool stays untouched as long as the other half will do: what is still in the cache is used again. */
static void
what_came_back_last_is_given_first(void **state)
{
	struct rte_mempool *pool = port_pool_new(4096, 1500, PORT_MEMORY_EAL, error, sizeof(error));
	struct rte_mbuf *first[2048], *again[2048];

	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, first, 2048), 0);
	rte_pktmbuf_free_bulk(first, 2048);
	qsort(first, 2048, sizeof(first[0]), by_address);
	for (int round = 0; round < 10; round++) {
		assert_int_equal(rte_pktmbuf_alloc_bulk(pool, again, 1500), 0);
		for (int i = 0; i < 1500; i++)
			assert_non_null(bsearch(&again[i], first, 2048, sizeof(first[0]), by_address));
		rte_pktmbuf_free_bulk(again, 1500);
	}
	rte_mempool_free(pool);
}

static void
memory_comes_back_with_the_pool(void **state)
{
	for (int i = 0; i < 40; i++) {
		struct rte_mempool *pool =
			port_pool_new(4096, 1500, i % 2 ? PORT_MEMORY_EAL : PORT_MEMORY_PAGES, error, sizeof(error));

		assert_non_null(pool);
		rte_mempool_free(pool);
	}
}

static void
too_large_a_pool_says_how_much_was_wanted(void **state)
{
	assert_null(port_pool_new(1u << 20, 1500, PORT_MEMORY_EAL, error, sizeof(error)));
	assert_non_null(strstr(error, "2048 MB"));
}

static void
another_pool_is_not_taken_for_frames(void **state)
{
	struct port_frames f;

	assert_true(port_frames_of_pool(support_pool(), &f) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_powers_of_two_and_hold_their_mtu),
		cmocka_unit_test(what_came_back_last_is_given_first),
		cmocka_unit_test(memory_comes_back_with_the_pool),
		cmocka_unit_test(too_large_a_pool_says_how_much_was_wanted),
		cmocka_unit_test(another_pool_is_not_taken_for_frames),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
