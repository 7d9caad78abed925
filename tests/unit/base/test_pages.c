#include "base/pages.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/cmocka.h"

static unsigned long
present(void *memory, size_t bytes)
{
	static unsigned char pages[4096];
	size_t count = bytes / (size_t)sysconf(_SC_PAGESIZE);
	unsigned long sum = 0;

	assert_true(count <= sizeof(pages));
	assert_int_equal(mincore(memory, bytes, pages), 0);
	for (size_t i = 0; i < count; i++)
		sum += pages[i] & 1;
	return sum;
}

static void
every_page_is_there_zeroed_and_aligned(void **state)
{
	size_t bytes = ((size_t)5 << 20) + 12345, page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = pages_map(bytes);

	assert_non_null(memory);
	assert_int_equal((uintptr_t)memory % (2u << 20), 0);
	assert_int_equal(present(memory, bytes / page * page), bytes / page);
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(memory[i], 0);
	memset(memory, 0xff, bytes);
	pages_unmap(memory, bytes);
	/* The rounded end has gone, too. */
	assert_int_equal(mincore(memory, (size_t)6 << 20, (unsigned char[4096]){ 0 }), -1);
	assert_int_equal(errno, ENOMEM);
}

static void
more_than_there_is_is_said(void **state)
{
	assert_null(pages_map((size_t)1 << 46));
	assert_int_equal(errno, ENOMEM);
}

static void
touching_keeps_what_is_in_a_page(void **state)
{
	size_t bytes = (size_t)64 * (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory[5] = 77;
	assert_int_equal(pages_touch(memory, bytes), 0);
	assert_int_equal(present(memory, bytes), 64);
	assert_int_equal(memory[5], 77);
	munmap(memory, bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_is_there_zeroed_and_aligned),
		cmocka_unit_test(more_than_there_is_is_said),
		cmocka_unit_test(touching_keeps_what_is_in_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
