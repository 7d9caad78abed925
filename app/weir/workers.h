/*
 * All workers of the process: their configurations, what they share, their start and stop. Control only.
 */
#ifndef WEIR_WORKERS_H
#define WEIR_WORKERS_H

#include "config/config.h"
#include "weir/topology.h"

/*
 * Makes as many workers as `config` says, over the mirror and the pool of `topology`, which must be set up for as many.
 * shared->user_new and shared->user_new_context are the caller's. Their outgoing connections use the local ports from
 * `first` to `last`, host order. 0 or -errno, the reason in topology->error; then, too, workers_free() is due.
 */
int workers_new(struct worker_shared *shared, struct topology *topology, struct config *config, uint16_t first,
		uint16_t last);
/* Starts their threads. 0 or -errno, the reason in topology->error. */
int workers_start(struct worker_shared *shared, struct topology *topology);
/* Stops their threads; what they have counted can still be read. */
void workers_stop(struct worker_shared *shared);
/* Stops and frees; before the topology goes. */
void workers_free(struct worker_shared *shared);

#endif
