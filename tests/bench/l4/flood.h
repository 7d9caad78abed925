/*
 * A SYN flood in time that is made up: so many connections a second are opened, go on a while later and end after some
 * seconds, and ten times as many requests come from clients that are never heard of again.
 */
#ifndef BENCH_L4_FLOOD_H
#define BENCH_L4_FLOOD_H

#include "world.h"

#define FLOOD_FORGED_PER_REAL 10

struct flood_result {
	uint64_t connections, lost; /* of the real ones: those whose next packet was not forwarded */
};

/* `rate`: real connections per second, at least 64. The world is new. */
void flood_run(struct world *w, uint32_t rate, struct flood_result *out);

#endif
