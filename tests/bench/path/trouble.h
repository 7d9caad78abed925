/*
 * What a path does to the frames that go over it, one way: lose, double, damage, mark, queue and delay them, by a seed, so that the
 * same frames meet the same fate. What is held back lies in a heap until its time has come.
 *
 * Only TCP over IPv4 meets trouble: everything else is delayed, and no more. No thread but its caller's; times in nanoseconds.
 */
#ifndef PATH_TROUBLE_H
#define PATH_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#define TROUBLE_FRAME_MAX 2048
#define TROUBLE_HELD_MAX 8192

struct trouble_config {
	uint32_t delay_us;  /* one way */
	uint32_t rate_kbit; /* 0: no bottleneck */
	uint32_t queue;     /* frames that wait at the bottleneck; more are lost */
	/* Of 1000 frames. */
	uint32_t loss, duplication, corruption;
	uint32_t reordering; /* are not delayed, and so go ahead of all that are, as netem has it */
	uint32_t marking;    /* of those whose sender can hear it: Congestion Experienced (RFC 3168) */
	uint32_t burst;      /* with each loss, so many in a row are lost, as far as they come within 10 ms */
	uint32_t seed;
};

#define TROUBLE_COUNTERS(ROW) ROW(frames) ROW(lost) ROW(full) ROW(reordered) ROW(doubled) ROW(damaged) ROW(marked)

struct trouble_frame {
	uint64_t at_ns, order;
	uint32_t len;
	uint8_t *bytes;
};

struct trouble {
	struct trouble_config config;
	struct trouble_frame held[TROUBLE_HELD_MAX]; /* a heap; behind `count` the buffers that are free */
	uint32_t count;
	uint64_t order, random, free_ns; /* when the bottleneck is idle */
	uint32_t burst_left;
	uint64_t burst_ns; /* its start */
#define ROW(name) uint64_t name;
	TROUBLE_COUNTERS(ROW)
#undef ROW
};

/* False without memory. */
bool trouble_init(struct trouble *trouble, const struct trouble_config *config);
/* Copies the frame, unless it is lost. */
void trouble_take(struct trouble *trouble, const uint8_t *frame, uint32_t len, uint64_t now_ns);
/* When the next frame leaves; UINT64_MAX: none is held. */
uint64_t trouble_next_ns(const struct trouble *trouble);
/* That frame; valid until the next call. */
const struct trouble_frame *trouble_give(struct trouble *trouble);

#endif
