/*
 * Rings between lcores for packets that a queue gave to the wrong one. One single-producer, single-consumer ring per
 * ordered pair of workers (rte_ring), so nobody waits for anybody. A full ring drops, and counts.
 */
#ifndef RUN_HANDOVER_H
#define RUN_HANDOVER_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct handover;

/* Control. `workers` (at most 64) squared rings of `size` (a power of two; one less fits in). Counters: run/handover_sent
 * and run/handover_dropped, of the sender. NULL when memory is short. */
struct handover *handover_new(unsigned int workers, unsigned int size);
/* Control, after the lcores. Frees what is still queued. */
void handover_free(struct handover *handover);

/* On lcore `from`. Takes ownership; a packet that finds the ring full is freed. Returns 1 when queued. The receiver is
 * woken by handover_flush(), once per round rather than once per packet. */
unsigned int handover_send(struct handover *handover, unsigned int from, unsigned int to, struct rte_mbuf *m);
/* On lcore `from`: which workers got packets since the last call, as a bit mask. The caller wakes their loops. */
uint64_t handover_flush(struct handover *handover, unsigned int from);
/* On lcore `to`: up to `max` packets from all others, fairly. */
unsigned int handover_receive(struct handover *handover, unsigned int to, struct rte_mbuf **out, unsigned int max);
/* On lcore `to`: whether there is something to receive. What a source's prepare_sleep() must ask (run/loop.h). */
bool handover_pending(const struct handover *handover, unsigned int to);

#endif
