/*
 * The two ends of an lcore, which share its TCP stack as the worker's user: the load (load.h), and where the command line says so
 * the server (answers.h).
 */
#ifndef WEIR_LOAD_USER_H
#define WEIR_LOAD_USER_H

#include "weir-load/answers.h"
#include "weir-load/load.h"
#include "weir/worker.h"

/* Control, before the worker runs. `answers` may be NULL. 0 or -ENOMEM. */
int user_bind(struct worker *worker, const struct load_config *load, const struct answers_config *answers,
	      uint64_t now_ns);

/* Messages to a worker's lcore, which are given the worker: as load_begin() and load_end(). */
void user_begin(void *worker);
void user_end(void *worker);

struct load *user_load(const struct worker *worker);
/* See answers_count(). */
uint64_t user_answered(const struct worker *worker);

#endif
