/*
 * Named counters. A room keeps a plain array of uint64_t per lcore, written by that lcore alone; registering it here
 * makes it visible to control, which reads without locks (a torn read cannot happen for aligned 64-bit words).
 */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stddef.h>
#include <stdint.h>

struct counter_block {
	const char *room;         /* "tcp" */
	unsigned int lcore;       /* worker index, from 0 */
	const char *const *names; /* `count` of them; lower case with underscores */
	const uint64_t *values;
	size_t count;
};

/* Control thread, at start. The block is copied, what it points to is not. 0 or -ENOSPC. */
int counter_register(const struct counter_block *block);
void counter_unregister(const uint64_t *values);

/* Calls `each` once per room and name with the sum over lcores, in order of registration. */
void counter_sum(void (*each)(void *context, const char *room, const char *name, uint64_t value), void *context);

#endif
