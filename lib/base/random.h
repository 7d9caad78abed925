/*
 * Randomness. Keys come from the kernel once, at start; per-packet choices from a small generator that an lcore owns.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills from getrandom(2); ends the program with a message if the kernel has none. Control code only. */
void random_fill(void *out, size_t len);

/* xorshift64*; never zero. Not for secrets. One owner. */
struct random {
	uint64_t state;
};

static inline uint64_t
random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

#endif
