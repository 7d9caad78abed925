/*
 * Quiescent-state reclamation: control publishes a new table by storing a pointer, waits until every worker has passed
 * between two rounds (where it holds no pointer into a table), then frees the old one. Over rte_rcu_qsbr.
 *
 * A worker that sleeps counts as quiescent. Workers call the first group through run/loop; control calls the second.
 */
#ifndef RUN_QSBR_H
#define RUN_QSBR_H

/* At start, before the workers, which begin offline. 0 or -errno. */
int qsbr_init(unsigned int workers);
void qsbr_fini(void);

void qsbr_worker_online(unsigned int worker);
void qsbr_worker_offline(unsigned int worker);
void qsbr_worker_quiescent(unsigned int worker);

/* Control: returns when every worker has been quiescent since the call. Wakes no one: sleeping workers count already. */
void qsbr_synchronize(void);

#endif
