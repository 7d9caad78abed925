/* The proxy as what uses a worker's TCP stack. */
#ifndef WEIR_WORKER_PROXY_H
#define WEIR_WORKER_PROXY_H

#include "weir/worker.h"

/* For worker_shared.user_new: makes worker->proxy. */
int worker_proxy_new(struct worker *worker, uint64_t now_ns);

#endif
