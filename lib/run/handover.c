#include "run/handover.h"

#include <assert.h>
#include <rte_ring.h>
#include <stdlib.h>

#include "base/counter.h"

/* Bits in handover_flush()'s mask. */
#define HANDOVER_WORKERS_MAX 64

enum handover_counter { HANDOVER_SENT, HANDOVER_DROPPED, HANDOVER_COUNTERS };

static const char *const counter_names[HANDOVER_COUNTERS] = { "handover_sent", "handover_dropped" };

/* What one worker writes, apart from its rings. */
struct handover_worker {
	uint64_t counters[HANDOVER_COUNTERS];
	uint64_t receivers; /* bit per worker that got something since the last flush */
	unsigned int first; /* whose ring is looked at first by the next receive */
} __rte_cache_aligned;

struct handover {
	unsigned int workers;
	uint8_t *memory; /* of all rings */
	struct handover_worker *worker;
	struct rte_ring *rings[]; /* [from * workers + to] */
};

static struct rte_ring *
ring_between(const struct handover *handover, unsigned int from, unsigned int to)
{
	assert(from < handover->workers && to < handover->workers);
	return handover->rings[from * handover->workers + to];
}

static int
rings_init(struct handover *handover, unsigned int size, size_t stride)
{
	for (unsigned int i = 0; i < handover->workers * handover->workers; i++) {
		handover->rings[i] = (struct rte_ring *)(void *)(handover->memory + i * stride);
		if (rte_ring_init(handover->rings[i], "handover", size, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
			return -1;
	}
	return 0;
}

static int
counters_register(struct handover *handover)
{
	for (unsigned int i = 0; i < handover->workers; i++) {
		struct counter_block block = { "run", i, counter_names, handover->worker[i].counters,
					       HANDOVER_COUNTERS };

		if (counter_register(&block) < 0)
			return -1;
	}
	return 0;
}

struct handover *
handover_new(unsigned int workers, unsigned int size)
{
	ssize_t ring_size = rte_ring_get_memsize(size);
	size_t count = (size_t)workers * workers, stride;
	struct handover *handover;

	if (workers == 0 || workers > HANDOVER_WORKERS_MAX || ring_size < 0)
		return NULL;
	handover = calloc(1, sizeof(*handover) + count * sizeof(handover->rings[0]));
	if (!handover)
		return NULL;
	handover->workers = workers;
	stride = RTE_ALIGN_CEIL((size_t)ring_size, RTE_CACHE_LINE_SIZE);
	handover->memory = aligned_alloc(RTE_CACHE_LINE_SIZE, count * stride);
	handover->worker = aligned_alloc(RTE_CACHE_LINE_SIZE, workers * sizeof(*handover->worker));
	if (handover->worker)
		memset(handover->worker, 0, workers * sizeof(*handover->worker));
	if (!handover->memory || !handover->worker || rings_init(handover, size, stride) < 0)
		goto fail;
	if (counters_register(handover) < 0)
		goto fail_counters;
	return handover;
fail_counters:
	for (unsigned int i = 0; i < workers; i++)
		counter_unregister(handover->worker[i].counters);
fail:
	free(handover->worker);
	free(handover->memory);
	free(handover);
	return NULL;
}

void
handover_free(struct handover *handover)
{
	struct rte_mbuf *m;

	if (!handover)
		return;
	for (unsigned int i = 0; i < handover->workers * handover->workers; i++)
		while (rte_ring_sc_dequeue(handover->rings[i], (void **)&m) == 0)
			rte_pktmbuf_free(m);
	for (unsigned int i = 0; i < handover->workers; i++)
		counter_unregister(handover->worker[i].counters);
	free(handover->worker);
	free(handover->memory);
	free(handover);
}

unsigned int
handover_send(struct handover *handover, unsigned int from, unsigned int to, struct rte_mbuf *m)
{
	struct handover_worker *worker = &handover->worker[from];

	if (rte_ring_sp_enqueue(ring_between(handover, from, to), m) != 0) {
		worker->counters[HANDOVER_DROPPED]++;
		rte_pktmbuf_free(m);
		return 0;
	}
	worker->counters[HANDOVER_SENT]++;
	worker->receivers |= 1ull << to;
	return 1;
}

uint64_t
handover_flush(struct handover *handover, unsigned int from)
{
	uint64_t receivers = handover->worker[from].receivers;

	handover->worker[from].receivers = 0;
	return receivers;
}

unsigned int
handover_receive(struct handover *handover, unsigned int to, struct rte_mbuf **out, unsigned int max)
{
	unsigned int workers = handover->workers, first = handover->worker[to].first, count = 0;
	unsigned int share = RTE_MAX(max / workers, 1u);

	/* Everybody gets a share; then, beginning with the same, who has more takes what the others left. */
	for (unsigned int pass = 0; pass < 2 && count < max; pass++) {
		for (unsigned int i = 0; i < workers && count < max; i++) {
			struct rte_ring *ring = ring_between(handover, (first + i) % workers, to);
			unsigned int room = pass == 0 ? RTE_MIN(share, max - count) : max - count;

			count += rte_ring_sc_dequeue_burst(ring, (void **)(out + count), room, NULL);
		}
	}
	handover->worker[to].first = (first + 1) % workers;
	return count;
}

bool
handover_pending(const struct handover *handover, unsigned int to)
{
	for (unsigned int from = 0; from < handover->workers; from++)
		if (!rte_ring_empty(ring_between(handover, from, to)))
			return true;
	return false;
}
