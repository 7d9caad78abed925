#include "base/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Kernel 5.14; an older one says EINVAL. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_PAGE ((size_t)2 << 20)

static size_t
whole_pages(size_t bytes)
{
	return (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

/* Transparent huge pages need the alignment. */
static void *
map_aligned(size_t bytes)
{
	uint8_t *memory = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)memory & (HUGE_PAGE - 1);
	if (before)
		munmap(memory, before);
	munmap(memory + before + bytes, HUGE_PAGE - before);
	/* Only a matter of speed: a kernel may be built without them. */
	(void)madvise(memory + before, bytes, MADV_HUGEPAGE);
	return memory + before;
}

int
pages_touch(void *memory, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -1;
	for (size_t i = 0; i < bytes; i += page) {
		volatile uint8_t *byte = (uint8_t *)memory + i;

		*byte = *byte;
	}
	return 0;
}

void *
pages_map(size_t bytes)
{
	size_t whole = whole_pages(bytes);
	void *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (memory == MAP_FAILED)
		memory = map_aligned(whole);
	if (!memory)
		return NULL;
	if (pages_touch(memory, whole) < 0) {
		int reason = errno;

		munmap(memory, whole);
		errno = reason;
		return NULL;
	}
	return memory;
}

void
pages_unmap(void *memory, size_t bytes)
{
	munmap(memory, whole_pages(bytes));
}
