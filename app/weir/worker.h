/*
 * A worker: one thread with its queues and its TCP stack, and the round it runs.
 *
 *     receive from every port -> packet-level services: forward at once
 *     -> the rest: parse -> steer (here, another worker, the kernel)
 *     -> TCP -> its user -> TCP flush -> next hop -> send
 *
 * Who uses the stack is bound by control: the proxy in weir, connections that make load in weir-load.
 *
 * Control creates and frees workers (all at once by workers.h) and talks to a running one by loop_post() alone.
 */
#ifndef WEIR_WORKER_H
#define WEIR_WORKER_H

#include <pthread.h>

#include "l4/l4.h"
#include "net/net.h"
#include "packet/verdict.h"
#include "port/port.h"
#include "run/handover.h"
#include "run/loop.h"
#include "weir/steering.h"
#include "xdp/xdp.h"

#define WORKER_COUNTERS(ROW)                                                                                           \
	ROW(HANDED_OVER, "handed_over") /* to the worker that owns the flow */                                         \
	ROW(HANDOVER_FULL, "drop_handover_full")                                                                       \
	ROW(NOT_OURS, "drop_not_ours") /* XDP has taken it from the kernel, which does not get it back */              \
	ROW(TO_KERNEL, "to_kernel")                                                                                    \
	ROW(ICMP_ERRORS, "icmp_errors")                                                                                \
	ROW(RSS_DISPROVED, "rss_disproved") /* a packet came in on another queue than the device's key and table say */

enum worker_counter {
#define ROW(name, text) WORKER_##name,
	WORKER_COUNTERS(ROW)
#undef ROW
		WORKER_COUNTER_COUNT
};

struct worker;
struct proxy_worker;

/* Who uses the TCP stack: called by the worker in every round, freed by control. `context` is worker->user_context. */
struct worker_user {
	/* The stack's events, and whatever else is due. Returns how much was done. `packets_wait`: a port had a full burst,
	 * and has perhaps more; what takes long should wait. */
	unsigned int (*run)(void *context, uint64_t now_ns, uint64_t real_ns, bool packets_wait);
	/* When run() is needed although no event has come; UINT64_MAX: never. */
	uint64_t (*next_ns)(const void *context);
	/* Before the stack goes. */
	void (*free)(void *context);
};

struct worker_config {
	unsigned int index;
	uint64_t cpus; /* a bit per CPU; 0: any */
	bool busy;
	uint32_t connections_max; /* of a worker that has no connections: next to none */
	uint8_t tcp_congestion;   /* enum tcp_congestion_algorithm */
	uint8_t tcp_syn_cookies;  /* enum tcp_syn_cookies */
	uint8_t tcp_ecn;          /* enum tcp_ecn */
	uint16_t local_port_first, local_port_last;
	int user, group; /* ids to run as; -1: as control */
};

/* A port as one worker polls it: a source of its loop. */
struct worker_port {
	struct worker *worker;
	struct port *port;
	bool armed;
	bool unproven;         /* whether the port's fd tells is not known yet: the loop looks after it as well */
	uint64_t twin_next_ns; /* when the kernel is asked again for what it has for the twin */
};

struct worker {
	struct worker_config config;
	unsigned int index;
	struct worker_shared *shared;
	struct loop *loop;
	struct tcp_stack *tcp;
	const struct worker_user *user;
	void *user_context;
	struct proxy_worker *proxy; /* the user, where it is the proxy */
	struct net_output *output;
	struct l4_worker *l4;            /* NULL as long as no configuration had packet-level services */
	struct l4_worker *l4_owned;      /* the same, from when control has made it; control's */
	struct xdp_memory shared_memory; /* with l4_owned; hops NULL: the XDP program does not forward */
	const struct steering *steering; /* replaced by messages */
	struct worker_port ports[PORTS_MAX];
	const struct port_rss
		*rss; /* how the devices of all ports spread packets; NULL: they do not say, not alike, or wrong */
	uint32_t rss_checks; /* packets still to be looked at, whether they do */
	bool packets_wait;   /* for the user's run() of this round */
	uint64_t verdicts[PACKET_VERDICT_COUNT];
	uint64_t counters[WORKER_COUNTER_COUNT];
	pthread_t thread;
	bool running;
};

/* What all workers of the process have in common; set before the first starts, never changed. */
struct worker_shared {
	/* Makes the user of worker->tcp: sets `user` and `user_context`. 0 or -ENOMEM. */
	int (*user_new)(struct worker *worker, uint64_t now_ns);
	void *user_new_context;
	struct worker *workers;
	struct worker_roles roles;
	struct handover *received; /* packets for the worker that owns their flow */
	struct handover *leaving;  /* finished frames for the worker that has a queue of the port */
	struct net_mirror *mirror;
	struct rte_mempool *pool;
	void (*port_used)(void *context, uint16_t port_be, bool used);
	void *port_used_context;
	uint64_t hash_seed;
	uint64_t cookie_secret[2]; /* for SYN cookies */
};

/* 0 or -errno with a reason. The thread does not run yet. */
int worker_init(struct worker *worker, struct worker_shared *shared, const struct worker_config *config, char *error,
		size_t size);
int worker_start(struct worker *worker);
/* What all workers are to have for packet-level services. */
struct worker_l4_config {
	const struct l4_target *targets;
	const struct l4_settings *settings;
	uint16_t local_port_first, local_port_last; /* for full_nat alone */
	const struct xdp_program *program;          /* that forwards beside the workers; may be NULL, or not forward */
	uint64_t start_ns;                          /* with it: the clock that they have in common */
};

/* Control: makes what the worker needs for packet-level services; it is in use from worker_l4_start() on. 0, or -ENOMEM. */
int worker_l4_new(struct worker *worker, const struct worker_l4_config *config);
/* On the worker's lcore, or before it runs. */
void worker_l4_start(struct worker *worker);
/* Flow entries of each of so many workers. */
uint64_t worker_l4_flows(const struct l4_settings *settings, unsigned int workers);

/* Control: stops the thread, if it runs, and waits for its end. */
void worker_stop(struct worker *worker);
/* The same, and frees. */
void worker_fini(struct worker *worker);

/* On the worker (before it starts, or in a message): polls a port from now on. */
void worker_port_add(struct worker *worker, struct port *port);
/* It is polled no more, and what is under way to it has left. */
void worker_port_remove(struct worker *worker, const struct port *port);

#endif
