#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_ALIGN 16
#define ARENA_CHUNK_FIRST 4096
#define ARENA_CHUNK_LARGEST (1024 * 1024)

struct arena_chunk {
	struct arena_chunk *previous;
	size_t size, used;
	uint8_t data[] __attribute__((aligned(ARENA_ALIGN)));
};

struct arena_cleanup {
	struct arena_cleanup *previous;
	void (*release)(void *);
	void *object;
};

struct arena {
	struct arena_chunk *chunk;
	struct arena_cleanup *cleanup;
	size_t next_chunk_size;
	size_t used;
};

static void __attribute__((noreturn)) out_of_memory(size_t size)
{
	fprintf(stderr, "weir: out of memory (%zu bytes)\n", size);
	exit(EXIT_FAILURE);
}

static void *
allocate_or_die(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		out_of_memory(size);
	return memory;
}

struct arena *
arena_new(void)
{
	struct arena *arena = allocate_or_die(sizeof(*arena));

	arena->next_chunk_size = ARENA_CHUNK_FIRST;
	return arena;
}

void
arena_free(struct arena *arena)
{
	if (!arena)
		return;
	/* A cleanup may register another one. */
	while (arena->cleanup) {
		struct arena_cleanup *cleanup = arena->cleanup;

		arena->cleanup = cleanup->previous;
		cleanup->release(cleanup->object);
	}
	while (arena->chunk) {
		struct arena_chunk *chunk = arena->chunk;

		arena->chunk = chunk->previous;
		free(chunk);
	}
	free(arena);
}

static void
chunk_add(struct arena *arena, size_t at_least)
{
	size_t size = at_least > arena->next_chunk_size ? at_least : arena->next_chunk_size;
	struct arena_chunk *chunk = allocate_or_die(sizeof(*chunk) + size);

	chunk->size = size;
	chunk->previous = arena->chunk;
	arena->chunk = chunk;
	if (arena->next_chunk_size < ARENA_CHUNK_LARGEST)
		arena->next_chunk_size *= 2;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	/* An empty object has an address of its own too. */
	size_t rounded = size ? (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
	void *memory;

	if (rounded < size)
		rounded = size; /* so near SIZE_MAX that the allocation fails, with its message */
	if (!arena->chunk || arena->chunk->size - arena->chunk->used < rounded)
		chunk_add(arena, rounded);
	memory = arena->chunk->data + arena->chunk->used;
	arena->chunk->used += rounded;
	arena->used += size;
	return memory;
}

struct bytes
arena_copy(struct arena *arena, struct bytes source)
{
	uint8_t *copy = arena_alloc(arena, source.len + 1);

	if (source.len)
		memcpy(copy, source.data, source.len);
	return bytes_of(copy, source.len);
}

struct bytes
arena_copy_lower(struct arena *arena, struct bytes source)
{
	return bytes_lower(source, arena_alloc(arena, source.len + 1));
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	struct bytes copy;
	char *text;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0)
		out_of_memory(strlen(format));
	copy = arena_copy(arena, bytes_of(text, (size_t)len));
	free(text);
	return (char *)(uintptr_t)copy.data;
}

void
arena_on_free(struct arena *arena, void (*release)(void *), void *object)
{
	struct arena_cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));

	cleanup->release = release;
	cleanup->object = object;
	cleanup->previous = arena->cleanup;
	arena->cleanup = cleanup;
}

size_t
arena_used(const struct arena *arena)
{
	return arena->used;
}
