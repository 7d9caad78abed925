/*
 * Two TCP stacks under a fake clock with a path between them that delays, loses, duplicates, reorders, corrupts and queues,
 * by a seed: the same seed, the same run.
 *
 * The first stack connects, the second accepts. Both sides write the harness's pattern, read what comes and compare it, and
 * close once everything is written and read. A test may have users of its own in their place.
 */
#ifndef TCP_PATH_H
#define TCP_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp.h"

#define PATH_FLYING_MAX 2048

struct path_side;

struct path_config {
	uint32_t delay_us;  /* one way */
	uint32_t rate_kbit; /* 0: none; each way has its own bottleneck, with a queue of queue_max segments */
	uint32_t queue_max;
	/* Of 1000 segments. */
	uint32_t loss, duplication, corruption;
	uint32_t reordering; /* go ahead of what is queued and delayed: as if the path had no delay */
	uint32_t burst;      /* with each loss so many in a row are lost */
	uint32_t ecn_above;  /* segments in the queue, from which on they are marked; 0: never */
	uint32_t bytes[2];   /* to be written by each side */
	uint16_t mtu;
	struct tcp_config tcp; /* the pool is filled in */
	uint64_t seed;
	/* In place of both users: takes the events of a side's stack, in each round. Nobody connects then but this, and
	 * side->closed says that it has done all. */
	void (*user)(struct path_side *side);
};

struct path_side {
	struct path *path;
	struct tcp_stack *stack;
	struct tcp_connection *c;
	struct endpoint address;
	struct tcp_listener listener;
	uint32_t written, read;
	bool closed, failed;
	uint64_t free_ns; /* when this side's bottleneck is idle again */
	uint32_t burst_left;
	uint64_t sent, lost;
};

struct path_flying {
	uint64_t at_ns;
	struct rte_mbuf *m;
	uint8_t to;
};

struct path {
	struct path_config config;
	struct path_side sides[2];
	struct path_flying flying[PATH_FLYING_MAX];
	uint32_t flying_count;
	uint64_t now_ns, start_ns;
	uint64_t random;
	uint32_t pool_available;
};

/* Defaults: a delay of 10 ms, MTU 1500, buffers of 256 KB, nothing goes wrong, one side writes 1 MB. */
void path_init(struct path *path);
void path_start(struct path *path);
/* Until both sides are closed, or `limit_ms` have passed: then false. Fails the test for a wrong byte. */
bool path_run(struct path *path, uint32_t limit_ms);
/* Waits for TIME-WAIT to end; then no connection, timer, scoreboard or mbuf may be left. */
void path_stop(struct path *path);

/* A number below `of`, by the seed. */
uint32_t path_chance(struct path *path, uint32_t of);

/* Since path_start(). */
uint32_t path_elapsed_ms(const struct path *path);
uint64_t path_count(const struct path *path, unsigned int side, const char *counter);

#endif
