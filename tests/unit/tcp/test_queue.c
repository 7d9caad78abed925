#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/random.h"
#include "support/dpdk.h"
#include "tcp/queue.h"

static uint32_t available;

static int
set_up(void **state)
{
	available = support_pool_available();
	return 0;
}

static int
tear_down(void **state)
{
	assert_int_equal(support_pool_available(), available);
	return 0;
}

static struct rte_mbuf *
piece(uint8_t value, size_t len)
{
	uint8_t data[2000];

	memset(data, value, len);
	return support_mbuf_from(data, len);
}

static void
small_pieces_share_an_mbuf_and_large_ones_are_linked(void **state)
{
	struct tcp_queue queue = { 0 };

	tcp_queue_push(&queue, piece(1, 100));
	tcp_queue_push(&queue, piece(2, 100));
	assert_int_equal(queue.mbufs, 1);
	tcp_queue_push(&queue, piece(3, 1200));
	assert_int_equal(queue.mbufs, 2);
	tcp_queue_push(&queue, piece(4, 0));
	assert_int_equal(queue.mbufs, 2);
	assert_int_equal(queue.bytes, 1400);
	tcp_queue_free(&queue);
}

static void
an_mbuf_that_others_see_is_not_written_to(void **state)
{
	struct tcp_queue queue = { 0 };
	struct rte_mbuf *shared = piece(1, 100);

	rte_mbuf_refcnt_update(shared, 1);
	tcp_queue_push(&queue, shared);
	tcp_queue_push(&queue, piece(2, 100));
	assert_int_equal(queue.mbufs, 2);
	assert_int_equal(shared->data_len, 100);
	tcp_queue_free(&queue);
	rte_pktmbuf_free(shared);
}

static void
however_it_is_cut_and_joined_the_bytes_stay_in_order(void **state)
{
	struct random random = { 42 };
	struct tcp_queue a = { 0 }, b = { 0 };
	uint8_t next_in = 0, next_out = 0, buffer[4000];

	for (int i = 0; i < 20000; i++) {
		uint32_t what = (uint32_t)(random_next(&random) >> 40) % 4;
		uint32_t len = (uint32_t)(random_next(&random) >> 40) % sizeof(buffer);

		if (what == 0 && a.bytes < 100000) {
			for (uint32_t k = 0; k < len; k++)
				buffer[k] = next_in++;
			assert_int_equal(tcp_queue_write(&a, support_pool(), buffer, len), len);
		} else if (what == 1 && a.bytes < 100000) {
			len %= 1500;
			for (uint32_t k = 0; k < len; k++)
				buffer[k] = next_in++;
			tcp_queue_push(&a, support_mbuf_from(buffer, len));
		} else if (what == 2) {
			uint32_t before = a.bytes;

			assert_int_equal(tcp_queue_move(&b, &a, support_pool(), len), RTE_MIN(len, before));
		} else {
			len = RTE_MIN(len, b.bytes);
			assert_int_equal(tcp_queue_copy(b.head, 0, buffer, len), len);
			for (uint32_t k = 0; k < len; k++)
				assert_int_equal(buffer[k], next_out++);
			tcp_queue_drop(&b, len);
		}
		assert_true(a.mbufs <= a.bytes / 512 + 2);
	}
	tcp_queue_free(&a);
	tcp_queue_free(&b);
}

static void
truncating_keeps_the_front(void **state)
{
	struct tcp_queue queue = { 0 };
	uint8_t out[4];

	tcp_queue_push(&queue, piece(1, 1200));
	tcp_queue_push(&queue, piece(2, 1200));
	tcp_queue_truncate(&queue, 1201);
	assert_int_equal(queue.bytes, 1201);
	assert_int_equal(tcp_queue_copy(queue.head, 1199, out, 4), 2);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[1], 2);
	tcp_queue_truncate(&queue, 1200);
	assert_int_equal(queue.mbufs, 1);
	tcp_queue_truncate(&queue, 0);
	assert_null(queue.head);
	assert_null(queue.tail);
}

static void
joining_two_queues_merges_short_runs_that_meet(void **state)
{
	struct tcp_queue a = { 0 }, b = { 0 };

	tcp_queue_push(&a, piece(1, 10));
	tcp_queue_push(&b, piece(2, 10));
	tcp_queue_push(&b, piece(3, 1500));
	tcp_queue_concatenate(&a, &b);
	assert_int_equal(a.mbufs, 2);
	assert_int_equal(a.bytes, 1520);
	assert_null(b.head);
	tcp_queue_concatenate(&a, &b);
	tcp_queue_concatenate(&b, &a);
	assert_int_equal(b.bytes, 1520);
	tcp_queue_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
bytes_are_written_and_read_where_they_lie(void **state)
{
	struct tcp_queue queue = { 0 };
	struct iovec in[8], out[8];
	uint8_t pattern[5000], buffer[5000];
	uint32_t len = sizeof(pattern), at = 0;
	unsigned int count = tcp_queue_reserve(&queue, support_pool(), len, in, 8);

	assert_true(count > 1);
	assert_int_equal(queue.bytes, len);
	for (uint32_t i = 0; i < len; i++)
		pattern[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned int i = 0; i < count; at += (uint32_t)in[i++].iov_len)
		memcpy(in[i].iov_base, pattern + at, in[i].iov_len);
	assert_int_equal(at, len);
	tcp_queue_copy(queue.head, 0, buffer, len);
	assert_memory_equal(buffer, pattern, len);

	tcp_queue_drop(&queue, 100);
	len = 4000;
	count = tcp_queue_pieces(&queue, &len, out, 8);
	assert_int_equal(len, 4000);
	at = 100;
	for (unsigned int i = 0; i < count; at += (uint32_t)out[i++].iov_len)
		assert_memory_equal(out[i].iov_base, pattern + at, out[i].iov_len);
	assert_int_equal(at, 4100);
	/* Less where there is not so much, or in too many pieces. */
	len = 10000;
	tcp_queue_pieces(&queue, &len, out, 8);
	assert_int_equal(len, 4900);
	assert_int_equal(tcp_queue_pieces(&queue, &len, out, 1), 1);
	assert_int_equal(len, out[0].iov_len);
	tcp_queue_free(&queue);
	assert_int_equal(tcp_queue_reserve(&queue, support_pool(), 5000, in, 1), 0);
	assert_int_equal(queue.bytes, 0);
	assert_null(queue.head);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_are_written_and_read_where_they_lie),
		TEST(small_pieces_share_an_mbuf_and_large_ones_are_linked),
		TEST(an_mbuf_that_others_see_is_not_written_to),
		TEST(however_it_is_cut_and_joined_the_bytes_stay_in_order),
		TEST(truncating_keeps_the_front),
		TEST(joining_two_queues_merges_short_runs_that_meet),
	};

	support_dpdk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
