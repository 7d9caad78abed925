/*
 * Bump allocator for what lives and dies together: one configuration, one parsed table.
 *
 * Used by control code only (never on a packet path); not thread-safe. Memory comes zeroed and 16-byte aligned. Running
 * out of memory at configuration time ends the program with a message, as there is nothing sensible to go on with.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"

struct arena;

struct arena *arena_new(void);
/* Runs the cleanups, last registered first, then gives all memory back. NULL is fine. */
void arena_free(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size);
/* The copy is zero-terminated behind its length, so it can go to C functions too. */
struct bytes arena_copy(struct arena *arena, struct bytes source);
/* In lower case. */
struct bytes arena_copy_lower(struct arena *arena, struct bytes source);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Something outside the arena (a file, a regular expression) that must be released with it. */
void arena_on_free(struct arena *arena, void (*release)(void *), void *object);

/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#endif
