/* Between the files of a worker: worker.c (its life), worker_round.c (what it does in a round), worker_packets.c (whose a packet
 * is). On the worker's lcore. */
#ifndef WEIR_WORKER_INTERNAL_H
#define WEIR_WORKER_INTERNAL_H

#include "weir/worker.h"

/* ---- worker_packets.c ---- */

/* Packet-level services take theirs. What a burst leaves is for TCP and the kernel: parsed, at the front of `burst`. */
uint16_t worker_services(struct worker *worker, struct rte_mbuf **burst, uint16_t count, enum l4_arrival arrival,
			 uint64_t now_ns);
/* One of those. `at_owner`: it is not another worker's. */
void worker_packet(struct worker *worker, struct rte_mbuf *m, bool at_owner);
void worker_hand_over(struct worker *worker, unsigned int owner, struct rte_mbuf *m);
/* The ports are others: worker->rss. */
void worker_rss_renew(struct worker *worker);

/* ---- worker_round.c ---- */

/* The sources that there are without any port. */
void worker_round_init(struct worker *worker);

#endif
