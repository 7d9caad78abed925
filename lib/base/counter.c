#include "base/counter.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* 64 workers with 16 blocks each. */
#define COUNTER_BLOCKS_MAX 1024

static struct counter_block blocks[COUNTER_BLOCKS_MAX];
static size_t blocks_used;

int
counter_register(const struct counter_block *block)
{
	if (blocks_used == COUNTER_BLOCKS_MAX)
		return -ENOSPC;
	blocks[blocks_used++] = *block;
	return 0;
}

void
counter_unregister(const uint64_t *values)
{
	for (size_t i = 0; i < blocks_used; i++) {
		if (blocks[i].values != values)
			continue;
		memmove(&blocks[i], &blocks[i + 1], (blocks_used - i - 1) * sizeof(blocks[0]));
		blocks_used--;
		return;
	}
}

/* Where `name` of `like` stands in `block`: mostly the lcores of a room share one array of names. -1: nowhere. */
static ptrdiff_t
name_index(const struct counter_block *block, const struct counter_block *like, size_t index)
{
	if (block->room != like->room && strcmp(block->room, like->room) != 0)
		return -1;
	if (block->names == like->names && index < block->count)
		return (ptrdiff_t)index;
	for (size_t i = 0; i < block->count; i++)
		if (strcmp(block->names[i], like->names[index]) == 0)
			return (ptrdiff_t)i;
	return -1;
}

static bool
was_reported(const struct counter_block *block, size_t index)
{
	for (const struct counter_block *earlier = blocks; earlier < block; earlier++)
		if (name_index(earlier, block, index) >= 0)
			return true;
	return false;
}

static uint64_t
sum_from(const struct counter_block *block, size_t index)
{
	uint64_t sum = 0;

	for (const struct counter_block *b = block; b < blocks + blocks_used; b++) {
		ptrdiff_t i = name_index(b, block, index);

		if (i >= 0)
			sum += __atomic_load_n(&b->values[i], __ATOMIC_RELAXED);
	}
	return sum;
}

void
counter_sum(void (*each)(void *context, const char *room, const char *name, uint64_t value), void *context)
{
	for (const struct counter_block *block = blocks; block < blocks + blocks_used; block++)
		for (size_t i = 0; i < block->count; i++)
			if (!was_reported(block, i))
				each(context, block->room, block->names[i], sum_from(block, i));
}
