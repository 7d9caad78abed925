/*
 * A host on a wire, all in one process and on one thread: a port, a TCP stack with its user, and the round that a worker runs.
 * The wire is a copy from one host's packet buffer into the other's, as memif has it; checksums and segmentation are in
 * software. So what a round costs is Weir's own work, without a kernel, a driver or another process.
 */
#ifndef BENCH_TCP_HOST_H
#define BENCH_TCP_HOST_H

#include "blob.h"
#include "net/net.h"
#include "port/port.h"
#include "proxy/proxy.h"
#include "weir-load/load.h"

#define HOSTS_MAX 4
/* Packets under way to one host; more are lost. A power of two. */
#define WIRE_PACKETS 8192

struct wire {
	struct rte_mbuf *packets[WIRE_PACKETS];
	uint32_t head, tail;
	uint64_t lost;
};

struct host {
	struct port port;
	struct port_queue_counters counters;
	struct wire in;
	struct rte_mempool *pool;
	struct net_mirror *mirror;
	struct net_output *output;
	struct tcp_stack *tcp;
	struct config *config;
	struct proxy_generation *generation;
	struct proxy_worker *proxy; /* one of the four */
	struct load *load;
	struct blob *blob;
	void (*run)(struct host *host);
	uint64_t now_ns;
};

/* Host number `number` (from 1) is 10.0.0.`number`. `connections`: at most, for its tables. 0 or -1 after a message. */
int host_init(struct host *host, unsigned int number, struct rte_mempool *pool, uint32_t connections);
/* Its user: a proxy with this configuration of `http`, a load, or (set by the caller) host->blob or host->run. 0 or -1 after a message. */
int host_serve(struct host *host, const char *text, uint32_t connections);
int host_load(struct host *host, struct load_config *config);
void host_fini(struct host *host);

/* Receive, TCP, its user, send. Kept out of line so that a profiler can be told to look at the one that is measured. */
void host_round(struct host *host, uint64_t now_ns);
void host_round_measured(struct host *host, uint64_t now_ns);

#endif
