/*
 * Fixed-size objects for one lcore: a bounded free list over memory reserved at start.
 *
 * The memory is reserved, not touched: pages are used as objects are. get and put are a few instructions, make no system
 * call and never reach the heap. One lcore owns a slab; control creates and frees it.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab;

/* object_size bytes each (rounded up to `align`, a power of two), at most `count`. NULL when memory cannot be reserved. */
struct slab *slab_new(size_t object_size, size_t align, uint32_t count);
void slab_free(struct slab *slab);

/* Not zeroed. NULL when all `count` are in use. The most recently returned object comes first, being warm in cache. */
void *slab_get(struct slab *slab);
void slab_put(struct slab *slab, void *object);

uint32_t slab_in_use(const struct slab *slab);
uint32_t slab_capacity(const struct slab *slab);
/* Index of an object, 0 .. capacity-1, stable for its life; and the reverse. */
uint32_t slab_index(const struct slab *slab, const void *object);
void *slab_at(const struct slab *slab, uint32_t index);

#endif
