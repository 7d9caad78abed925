/*
 * What is measured: one worker of L4 as the balancer has it, from a configuration's text to the port, over a synthetic
 * port and addresses that are made up. One thread.
 */
#ifndef BENCH_L4_WORLD_H
#define BENCH_L4_WORLD_H

#include "l4/l4.h"
#include "packet/verdict.h"
#include "synthetic.h"

struct world_options {
	const char *mode; /* the word behind `forward` */
	bool ipv6, udp;
	uint64_t flows;    /* entries of the table */
	uint32_t servers;  /* SYNTHETIC_SERVERS_MAX at most */
	const char *extra; /* directives for the `server` block */
};

struct world {
	struct synthetic_port port;
	struct rte_mempool *pool;
	struct config *config;
	struct net_mirror *mirror;
	struct net_output *output;
	struct l4_registry *registry;
	struct l4_generation *generation;
	struct l4_worker *worker;
	struct world_options options;
	uint64_t now_ns;
	uint64_t parse_verdicts[PACKET_VERDICT_COUNT];
	uint64_t passed;
};

/* 0, or -1 after a message. */
int world_new(struct world *w, const struct world_options *options);
void world_free(struct world *w);
/* Forgets all flows. */
int world_renew(struct world *w);

/* One round of a worker: a burst from the port, through L4, and out. Returns packets. */
unsigned int world_round(struct world *w);
/* As many packets, at least. */
void world_run(struct world *w, uint64_t packets);

#endif
