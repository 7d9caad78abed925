/*
 * The XDP program beside workers that share their flows with it: a packet goes through the program, by BPF_PROG_TEST_RUN, and
 * through the workers. What the program forwards is what the workers send, byte for byte, and leaves the same entry behind. What it
 * does not forward, it has not touched. There is one such pair at a time.
 */
#ifndef UNIT_L4_PAIR_H
#define UNIT_L4_PAIR_H

#include "workers.h"
#include "xdp/xdp.h"

#define PAIR_FRAME_MAX 2048

struct pair {
	struct xdp_program *program;
	unsigned int workers;
	bool one_way;                         /* flows have one entry, that both see */
	uint64_t counters[XDP_COUNTER_COUNT]; /* the program's, after its last packet */
	/* What the program made of that. */
	struct {
		uint32_t action;
		enum xdp_counter why; /* the counter that went up; of those to workers, the reason */
		uint8_t frame[PAIR_FRAME_MAX];
		uint32_t len;
	} out;
};

extern struct pair pair;

/* `answers_to`: whose packets from servers are. Services and servers are workers_services(). */
void pair_make(unsigned int workers, bool one_way, const char *configuration, uint64_t flows,
	       enum xdp_answers answers_to);
/* No packet buffer may be missing. */
int pair_teardown(void **state);

/* Through both. True when the program has forwarded it. */
bool pair_run(const struct wire *w);
void pair_assert_forwarded(const struct wire *w);
/* Fails the test unless the program leaves it to the workers, because of that. */
void pair_assert_up(const struct wire *w, enum xdp_counter why);
/* A frame through the program alone; there is no socket, so that what is a worker's passes to the kernel. */
void pair_run_frame(const uint8_t *frame, uint32_t len);

#endif
