#include "run/qsbr.h"

#include <assert.h>
#include <errno.h>
#include <rte_common.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A round of a busy worker takes about as long. */
#define CHECK_EVERY_US 50

static struct rte_rcu_qsbr *qsbr;

int
qsbr_init(unsigned int workers)
{
	size_t size = rte_rcu_qsbr_get_memsize(workers);

	if (qsbr)
		return -EALREADY;
	if (workers == 0 || size == 0)
		return -EINVAL;
	if (posix_memalign((void **)&qsbr, RTE_CACHE_LINE_SIZE, size) != 0) {
		qsbr = NULL;
		return -ENOMEM;
	}
	rte_rcu_qsbr_init(qsbr, workers);
	for (unsigned int worker = 0; worker < workers; worker++)
		rte_rcu_qsbr_thread_register(qsbr, worker);
	return 0;
}

void
qsbr_fini(void)
{
	free(qsbr);
	qsbr = NULL;
}

void
qsbr_worker_online(unsigned int worker)
{
	assert(qsbr && worker < qsbr->max_threads);
	rte_rcu_qsbr_thread_online(qsbr, worker);
}

void
qsbr_worker_offline(unsigned int worker)
{
	rte_rcu_qsbr_thread_offline(qsbr, worker);
}

void
qsbr_worker_quiescent(unsigned int worker)
{
	rte_rcu_qsbr_quiescent(qsbr, worker);
}

void
qsbr_synchronize(void)
{
	uint64_t token;

	if (!qsbr)
		return;
	/* Not rte_rcu_qsbr_synchronize(), which spins: a worker may share this thread's CPU. */
	token = rte_rcu_qsbr_start(qsbr);
	while (!rte_rcu_qsbr_check(qsbr, token, false))
		usleep(CHECK_EVERY_US);
}
