/*
 * The loop of one worker lcore: poll everything, and when nothing has come for a while, sleep until something may come.
 *
 * Control creates loops and sources before the lcore starts; the lcore runs loop_run() and owns the loop until it
 * returns. Other threads may only call loop_wake(), loop_stop() and loop_post().
 */
#ifndef RUN_LOOP_H
#define RUN_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_SOURCES_MAX 64
#define LOOP_MESSAGES_MAX 1024

/* A sleep with a blind source in the loop: a sixteenth of how long nothing has come, within these bounds. */
#define LOOP_NAP_NS 50000
#define LOOP_NAP_LONGEST_NS 1000000

/* Under load a loop that has run dry rests for a fixed time instead of being woken by the next packet: what gathers
 * meanwhile costs less each, and senders need not wake anybody. Load is a piece of work in LOOP_REST_GAP_NS on average. */
#define LOOP_REST_NS 50000
#define LOOP_REST_GAP_NS 2500

struct loop;

/*
 * Something the loop polls. poll() does at most a burst of work and returns how much it did (0: nothing to do).
 *
 * To sleep, the loop asks every source: prepare_sleep() returns false when work has come meanwhile; it arms an interrupt
 * where there is one, and lowers *wake_at_ns to when it must run again at the latest. `fd`, when >= 0, is polled for
 * POLLIN during sleep. A source that cannot wake the loop has fd -1 and no timer: then the loop sleeps in short steps
 * (LOOP_NAP_NS) so that latency stays bounded.
 */
struct loop_source {
	const char *name;
	void *context;
	unsigned int (*poll)(void *context, uint64_t now_ns);
	bool (*prepare_sleep)(void *context, uint64_t *wake_at_ns); /* may be NULL */
	int fd;
	bool blind; /* cannot announce work by fd or deadline */
};

struct loop_config {
	unsigned int index; /* worker index, from 0 */
	bool busy;          /* `worker_poll busy`: never sleep */
	uint64_t spin_ns;   /* idle this long before the first sleep */
};

struct loop *loop_new(const struct loop_config *config);
void loop_free(struct loop *loop);

/* Before loop_run(), or from a message (loop_post) on the lcore itself. 0 or -ENOSPC. */
int loop_source_add(struct loop *loop, const struct loop_source *source);
void loop_source_remove(struct loop *loop, void *context);
/* From a poll of the loop itself: the sources of this context announce their work from now on, or do not. */
void loop_source_blind(struct loop *loop, const void *context, bool blind);

/* Runs until loop_stop(), with the messages posted before it done. qsbr_init() must have counted this worker. Each round:
 * messages, every source once, then a quiescent state (run/qsbr.h). */
void loop_run(struct loop *loop);

/* Any thread. */
void loop_stop(struct loop *loop);
/* Another round comes, soon: what was made visible to the sources before the call is seen by their polls. Costs a system
 * call only when the loop sleeps. */
void loop_wake(struct loop *loop);
/* Runs fn(argument) on the loop's lcore between two rounds; messages keep their order. -ENOBUFS when LOOP_MESSAGES_MAX
 * are waiting. */
int loop_post(struct loop *loop, void (*fn)(void *argument), void *argument);

/* Time of this round, as the sources are given it. On the loop's lcore only. */
uint64_t loop_now_ns(const struct loop *loop);

/* Worker index of the calling thread, or -1 on control. */
int loop_self(void);

/* Time spent in rounds that did work, and rounds, since start: what a busy-polling lcore is judged by. Any thread. */
struct loop_usage {
	uint64_t busy_ns, rounds, working_rounds, sleeps;
};
void loop_usage(const struct loop *loop, struct loop_usage *out);

#endif
