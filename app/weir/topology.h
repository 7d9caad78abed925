/*
 * Which ports there are and who polls them: the one place that knows ports, net, xdp and workers at once.
 *
 * Built by control from a configuration; on reload it grows by the interfaces that new addresses and servers need. What
 * is served, and which servers answer, is pushed down into XDP from here.
 */
#ifndef WEIR_TOPOLOGY_H
#define WEIR_TOPOLOGY_H

#include "config/config.h"
#include "proxy/proxy.h"
#include "weir/worker.h"

struct topology {
	struct net_mirror *mirror;
	struct xdp_program *program; /* NULL until the first XDP port */
	struct rte_mempool *pool;
	enum port_memory memory; /* of the pool */
	struct port *ports[PORTS_MAX];
	uint32_t port_count;
	uint32_t ports_told; /* of which the mirror knows */
	uint64_t start_ns;   /* of the clock that the XDP program has in common with the workers */
	bool takes_over;     /* flows of a process before this one */
	uint64_t senders;    /* bit per port that takes frames from XDP, as far as the mirror's readers know */
	unsigned int workers;
	uint16_t forwarding_first, forwarding_last; /* local ports of full_nat, host order; 0: none */
	bool long_packets;                          /* see port_environment */
	bool named;                                 /* the configuration names its interfaces: no others are taken */
	char error[512];
};

/* True when DPDK must look for PCI devices, so that EAL is started with its PCI bus. */
bool topology_needs_pci(struct config *config);
/* True when some port is one of DPDK's. */
bool topology_needs_dpdk(struct config *config);
/* True when some port may be an XDP one. */
bool topology_may_have_xdp(struct config *config);
/* Packet buffers for all workers, by the configuration. */
uint32_t topology_packet_buffers(struct config *config);
/* What DPDK is to have for them and all else. */
unsigned long topology_megabytes(struct config *config);

/* Mirror, pool, ports and workers' shared part. 0 or -errno, the reason in topology->error. */
int topology_init(struct topology *topology, struct config *config, unsigned int workers);
/* The ports that this configuration needs and that are not there yet; new ones are ports[from..port_count). `warn`: of
 * servers that no port leads to. */
int topology_ports_add(struct topology *topology, struct config *config, const struct proxy_generation *generation,
		       const struct l4_generation *l4, bool warn);
/* The ports that the configuration names, or, where it names none, the one that `server` is reached through. -ENETUNREACH:
 * there is no way to it by any of them. */
int topology_ports_towards(struct topology *topology, struct config *config, const struct endpoint *server);
/* Starts receiving on ports[from..port_count). */
int topology_ports_start(struct topology *topology, uint32_t from);
/* Takes ports[from..port_count), of which no worker has been told, away again. */
void topology_ports_drop(struct topology *topology, uint32_t from);
/* Whether interfaces have gone since the last time: their ports are nobody's way any more, and to be closed once no worker polls
 * them. New interfaces of the same names get new ports. */
bool topology_ports_lost(struct topology *topology);
void topology_ports_close(struct topology *topology);
/* What XDP takes: services of the listeners and of `l4`, answers from the servers of `steering` and from those of all
 * targets, older ones included. The last two may be NULL. */
int topology_serve(struct topology *topology, const struct steering *steering, const struct l4_generation *l4,
		   const struct l4_registry *registry);
/* Who gets new flows in XDP, once all workers have the generation. */
void topology_choices_publish(struct topology *topology, const struct l4_generation *l4,
			      const struct l4_registry *registry);
/* Before the first workers have flows, and before the ports: where there may be XDP ports, the XDP program is to forward
 * known flows by itself. 0 or -errno, the reason in topology->error. */
int topology_forward(struct topology *topology, struct config *config, const struct l4_settings *settings);
/* The targets that found flows have, into a new registry. */
void topology_targets_restore(const struct topology *topology, struct l4_registry *registry);
/* Local ports that XDP is to know as those of forwarding; before any port is added. */
void topology_forwarding_ports(struct topology *topology, uint16_t first, uint16_t last);
/* Once a second: links, device counters. */
void topology_refresh(struct topology *topology);
void topology_fini(struct topology *topology);

/* For worker_shared.port_used; the context is the topology. */
void topology_port_used(void *context, uint16_t port_be, bool used);

/* Below it lie services; RFC 6335's registered ports are thin above 10240. */
#define TOPOLOGY_LOWEST_PORT 10240

/* The larger range of ports outside Linux's own (net.ipv4.ip_local_port_range), host order: what Weir's outgoing
 * connections use, so that they never meet the host's. */
void topology_local_ports(uint16_t *first, uint16_t *last);

#endif
