#include "base/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif

#ifdef SLAB_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define __asan_address_is_poisoned(address) ((void)(address), 0)
#endif

/* A free object's first word links it to the one that was returned before it. */
struct slab_free_object {
	struct slab_free_object *next;
};

struct slab {
	uint8_t *objects;
	struct slab_free_object *free_list;
	size_t stride;
	size_t reserved;
	uint32_t capacity;
	uint32_t touched; /* objects from here on were never handed out */
	uint32_t in_use;
};

struct slab *
slab_new(size_t object_size, size_t align, uint32_t count)
{
	struct slab *slab;

	assert(object_size > 0 && count > 0 && (align & (align - 1)) == 0 && align <= 4096);
	if (align < sizeof(struct slab_free_object))
		align = sizeof(struct slab_free_object);
	slab = calloc(1, sizeof(*slab));
	if (!slab)
		return NULL;
	slab->stride = (object_size + align - 1) & ~(align - 1);
	slab->capacity = count;
	if (__builtin_mul_overflow(slab->stride, (size_t)count, &slab->reserved))
		goto fail;
	slab->objects =
		mmap(NULL, slab->reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slab->objects == MAP_FAILED)
		goto fail;
	ASAN_POISON_MEMORY_REGION(slab->objects, slab->reserved);
	return slab;
fail:
	free(slab);
	return NULL;
}

void
slab_free(struct slab *slab)
{
	if (!slab)
		return;
	ASAN_UNPOISON_MEMORY_REGION(slab->objects, slab->reserved);
	munmap(slab->objects, slab->reserved);
	free(slab);
}

void *
slab_get(struct slab *slab)
{
	struct slab_free_object *object = slab->free_list;

	if (object) {
		ASAN_UNPOISON_MEMORY_REGION(object, slab->stride);
		slab->free_list = object->next;
	} else {
		if (slab->touched == slab->capacity)
			return NULL;
		object = slab_at(slab, slab->touched++);
		ASAN_UNPOISON_MEMORY_REGION(object, slab->stride);
	}
	slab->in_use++;
	return object;
}

void
slab_put(struct slab *slab, void *object)
{
	struct slab_free_object *freed = object;

	assert((size_t)((const uint8_t *)object - slab->objects) < slab->reserved);
	assert(!__asan_address_is_poisoned(object) && "object returned twice");
	freed->next = slab->free_list;
	slab->free_list = freed;
	slab->in_use--;
	ASAN_POISON_MEMORY_REGION(object, slab->stride);
}

uint32_t
slab_in_use(const struct slab *slab)
{
	return slab->in_use;
}

uint32_t
slab_capacity(const struct slab *slab)
{
	return slab->capacity;
}

uint32_t
slab_index(const struct slab *slab, const void *object)
{
	size_t offset = (size_t)((const uint8_t *)object - slab->objects);

	assert(offset < slab->reserved);
	return (uint32_t)(offset / slab->stride);
}

void *
slab_at(const struct slab *slab, uint32_t index)
{
	assert(index < slab->capacity);
	return slab->objects + slab->stride * index;
}
