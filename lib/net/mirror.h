/*
 * What an lcore's side (lookup.c, output.c) shares with the mirror's thread.
 *
 *   mirror's thread                                   lcores
 *     table, neighbors  --- release, then generation -->  read generation, then the pointers (acquire)
 *     request rings     <-- one per net_output, SPSC ---  "resolve this neighbour", "this one is in use"
 */
#ifndef NET_MIRROR_H
#define NET_MIRROR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/model.h"
#include "net/neighbor.h"
#include "net/net.h"
#include "net/table.h"

#define MIRROR_OUTPUTS_MAX 64
#define MIRROR_REQUESTS 256 /* a power of two */
#define MIRROR_ASKED 1024   /* a power of two */

struct mirror_request {
	struct ip_address address;
	int32_t ifindex;
};

/* The lcore writes `tail`, the mirror's thread `head`. */
struct mirror_requests {
	_Alignas(64) uint32_t tail;
	_Alignas(64) uint32_t head;
	struct mirror_request entries[MIRROR_REQUESTS];
};

/* When a neighbour was last asked of Linux; a place is overwritten by its next user, which costs a question too many. */
struct mirror_asked {
	struct mirror_request neighbor;
	uint64_t asked_ns;
};

struct net_mirror {
	/* Read by lcores. */
	struct table *table;
	struct neighbor_table *neighbors;
	uint32_t generation;        /* of both together; written after the two below */
	uint32_t routes_generation; /* of the table */
	uint32_t links_generation;  /* of links and ports */

	/* Written by lcores: the thread has been woken and has not looked yet. */
	_Alignas(64) uint32_t woken;

	/* The thread's. */
	_Alignas(64) struct model model;
	struct mirror_asked asked[MIRROR_ASKED];
	uint64_t counters[NET_MIRROR_COUNTER_COUNT];
	uint64_t publish_ns; /* not before */
	void (*changed)(void *context);
	void *changed_context;
	pthread_t thread;
	bool running;
	int wake_fd; /* -1: there is no thread */

	/* Under `lock`: what control threads read and write. Snapshots are replaced under it too. */
	pthread_mutex_t lock;
	pthread_cond_t applied;
	struct mirror_requests *requests[MIRROR_OUTPUTS_MAX];
	struct port *ports[PORTS_MAX];
	uint32_t port_count;
	uint64_t ports_wanted, ports_applied; /* versions of `ports` */
	bool stopping;
};

/* Control: a mirror with nothing in it but its locks, NULL when memory is short; the end of one whose model is closed; and
 * what publishes the model (0 or -ENOMEM, with everything as it was). */
struct net_mirror *mirror_alloc(void);
void mirror_dispose(struct net_mirror *mirror);
int mirror_publish(struct net_mirror *mirror);

/* Control. 0 or -ENOSPC. */
int mirror_output_add(struct net_mirror *mirror, struct mirror_requests *requests);
void mirror_output_remove(struct net_mirror *mirror, struct mirror_requests *requests);

/* On an lcore: false when the ring is full. The thread looks after the next mirror_wake(). */
bool mirror_request(struct mirror_requests *requests, int32_t ifindex, const struct ip_address *address);
/* Any thread. A system call, unless the thread has been woken already. */
void mirror_wake(struct net_mirror *mirror);

#endif
