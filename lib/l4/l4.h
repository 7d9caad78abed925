/*
 * L4 services: packets of a flow go to the server that was chosen for its first one, without a connection being terminated.
 *
 *     l4_burst():  parse all -> find services, hash, prefetch all -> look up all -> rewrite, next hop, send
 *
 * Control parses the configuration (l4_module), makes generations and publishes them. Each worker lcore has its own flows
 * (l4_worker) and shares nothing with others but what control published. Sources: the Maglev paper (Eisenbud et al., 2016),
 * RFC 1812 (forwarding), RFC 2003, 2473 and 4213 (IP in IP), GUE (draft-ietf-intarea-gue), RFC 5508 (ICMP through NAT).
 */
#ifndef L4_L4_H
#define L4_L4_H

#include "config/config.h"
#include "l4/service.h"
#include "net/net.h"
#include "upstream/weights.h"

/* ---- configuration: control ---- */

/* `stream { }` and its servers: listen, proxy_pass, forward, flows, proxy_timeout ... See README.md. Comes behind
 * upstream_module. */
extern struct config_module l4_module;

/* What `stream` says for the whole process. */
struct l4_settings {
	uint64_t flows;     /* entries of all workers together */
	uint64_t hash_seed; /* the same in a fleet */
};

/* Memory of an entry, its share of the table's empty places included (l4/flow.h). */
#define L4_FLOW_BYTES 57

/* NULL when there is no `stream`. */
const struct l4_settings *l4_settings(struct config *config);

/* True when the configuration has packet-level services. */
bool l4_configured(struct config *config);

/* ---- registry and generations: control ---- */

struct l4_registry;
struct l4_worker;
struct port_rss;

struct l4_registry *l4_registry_new(void);
void l4_registry_free(struct l4_registry *registry);
/* L4_TARGETS_MAX of them, for l4_worker_config and l4_flows_new(). Lives as long as the registry. */
const struct l4_target *l4_registry_targets(const struct l4_registry *registry);
/* Every target that has a number, those that only flows hold included: whose answers are still to be let through. */
void l4_registry_each_target(const struct l4_registry *registry,
			     void (*each)(void *context, const struct l4_target *target), void *context);
/* Frees the numbers of targets that no held generation has named and no worker has had flows of for some time. Once a
 * second. */
void l4_registry_collect(struct l4_registry *registry, struct l4_worker *const *workers, uint32_t worker_count);

/* What a target says by itself, for the XDP program. */
void l4_target_facts(const struct l4_target *target, struct xdp_target *out);
/* A target as the XDP program is told of it. `generation` NULL: no service is served. */
void l4_target_share(const struct l4_registry *registry, const struct l4_target *target,
		     const struct l4_generation *generation, struct xdp_target *out);
/* Who gets a service's new flows, for the XDP program. False: it is not to decide that. */
bool l4_service_share(const struct l4_registry *registry, const struct l4_service *service, struct xdp_choice *out);
/* The other way round, for the flows of a process before this one: the target and its service get the numbers that they had.
 * Into a registry that no generation holds anything of. */
void l4_target_restore(struct l4_registry *registry, uint32_t number, const struct xdp_target *shared);

/* What the operator has said of the servers of stream: holds for generations made from then on. */
struct upstream_weights *l4_registry_weights(struct l4_registry *registry);

/*
 * The services of a configuration. `source_of` gives the local address towards a server (full_nat, tunnels); a server without
 * a route gets the target all the same, and its packets are drop_no_route until a generation is made that finds one. `previous` may be
 * NULL; Maglev tables of groups that are alike are shared. 0, or -errno and a reason.
 */
struct l4_generation_config {
	struct l4_registry *registry;
	struct config *config; /* must outlive the generation */
	const struct l4_generation *previous;
	bool (*source_of)(void *context, const struct ip_address *server, struct ip_address *source);
	void *context;
};
int l4_generation_new(const struct l4_generation_config *config, struct l4_generation **out, char *error, size_t size);
void l4_generation_free(struct l4_generation *generation);

/* In order of the file. */
uint32_t l4_generation_service_count(const struct l4_generation *generation);
const struct l4_service *l4_generation_service(const struct l4_generation *generation, uint32_t index);
/* Calls once per server's address, port and protocol of the configuration; `answers`: its packets come back to us. For
 * topology: where it must have a port, what XDP must let through. */
void l4_generation_each_server(const struct l4_generation *generation,
			       void (*each)(void *context, const struct l4_target *target, bool answers),
			       void *context);

/* ---- workers ---- */

struct l4_worker_config {
	unsigned int index, workers;
	const struct l4_target *targets; /* the registry's */
	struct net_output *output;
	struct net_mirror *mirror; /* whose addresses ICMP errors are sent from */
	struct rte_mempool *pool;  /* for ICMP errors and fragments */
	uint64_t flows;            /* entries, for this worker: `flows` of the configuration divided by the workers */
	uint64_t hash_seed;        /* `hash_seed`, the same in a fleet */
	uint64_t random_seed;      /* for local ports: nobody must guess it, but a replay is to repeat itself */
	uint16_t local_port_first,
		local_port_last; /* host order: ports of full_nat that no other stack uses; this worker's are those
						     * with port % workers == index */
	/* Where flows and ways lie when the XDP program forwards by them, too (xdp/forward.h), which outlives the worker;
	 * NULL: in memory of its own. */
	struct l4_flow_pair *flow_memory; /* with all that follow */
	struct l4_target_use *use_memory;
	struct xdp_lane *lane;
	uint64_t start_ns; /* with these: second 0 of the clock that they have in common */
	/* A packet for the lcore that owns its flow: takes ownership. */
	void (*hand_over)(void *context, unsigned int owner, struct rte_mbuf *m);
	void *context;
};

/* NULL when memory is short. */
struct l4_worker *l4_worker_new(const struct l4_worker_config *config, uint64_t now_ns);
void l4_worker_free(struct l4_worker *worker);

/* Flows of a process before this one (flow_memory) are this worker's from now on. */
void l4_worker_take_over(struct l4_worker *worker);
/* On its lcore (or before it runs): new packets go by this generation from now on. NULL: no services. */
void l4_worker_adopt(struct l4_worker *worker, const struct l4_generation *generation);

/* On its lcore: where every port puts a flow's packets, when all do so alike and say how; NULL: not known. Errors about flows
 * and fragments go there. */
void l4_worker_go_by_rss(struct l4_worker *worker, const struct port_rss *rss);

/* Where a burst comes from, which says whether its flows may be another lcore's. */
enum l4_arrival {
	L4_FROM_PORT,        /* one that may put a flow's packets on several queues */
	L4_FROM_STABLE_PORT, /* PORT_FLOW_STABLE: this lcore owns what comes in by a hash of the 5-tuple */
	L4_FROM_OWNER,       /* over a ring: every packet is this lcore's */
};

/*
 * Takes the packets of services out of a burst just received: forwards, answers, hands over or drops them. What is not a
 * service's is moved to the front of `m`, parsed (packet_view() is filled; all are counted by verdict in `verdicts`, bad ones
 * freed), and its number returned. The caller has set port_index and stage (PACKET_NEW) of each packet_view().
 */
uint16_t l4_burst(struct l4_worker *worker, struct rte_mbuf **m, uint16_t count, enum l4_arrival arrival,
		  uint64_t now_ns, uint64_t *verdicts);

/* Once per round: timeouts, a piece of the sweep. */
void l4_worker_maintain(struct l4_worker *worker, uint64_t now_ns);
/* When that must happen next though nothing comes; UINT64_MAX: never. */
uint64_t l4_worker_next_ns(const struct l4_worker *worker);

const uint64_t *l4_worker_counters(const struct l4_worker *worker); /* L4_VERDICT_COUNT, by l4_verdict_names */
/* Any thread, torn between words: [L4_TARGETS_MAX] and the table. */
const struct l4_target_use *l4_worker_use(const struct l4_worker *worker);
void l4_worker_flows_usage(const struct l4_worker *worker, struct l4_flows_usage *out);

/* ---- decisions: explain, trace, replay ---- */

struct l4_decision {
	uint64_t time_ns;
	struct endpoint source, destination;               /* as received */
	struct endpoint sent_source, sent_destination;     /* of the innermost header, as sent; zero when dropped */
	struct ip_address outer_source, outer_destination; /* of a tunnel; zero without */
	uint32_t target;                                   /* L4_TARGET_NONE when none was chosen */
	uint32_t hash;                                     /* what the table was asked */
	uint32_t entry;                                    /* of the Maglev table; UINT32_MAX when it was not asked */
	uint16_t service_id;                               /* 0: none */
	uint16_t port_index, length, sent_length;
	uint16_t hop; /* net_hop_describe() */
	uint16_t lcore;
	uint8_t ip_protocol, tcp_flags;
	uint8_t verdict;    /* enum l4_verdict */
	uint8_t flow_state; /* enum l4_flow_state before the packet: 0 is a miss */
};

/* Every packet's decision from now on, on the worker's lcore, until set to NULL. `each` must not block. For traces and replays. */
void l4_worker_observe(struct l4_worker *worker, void (*each)(void *context, const struct l4_decision *decision),
		       void *context);

/* What would become of a packet that need not exist: changes nothing, and starts no flow. On the worker's lcore. `tcp_flags` say
 * what kind (SYN for an opening). Without a payload it knows no connection id: where `quic_affinity` is on, this is about
 * packets whose id is no server's. */
void l4_explain(struct l4_worker *worker, uint8_t ip_protocol, const struct endpoint *source,
		const struct endpoint *destination, uint8_t tcp_flags, struct l4_decision *out);

/* One line of JSON without its end; the keys in fixed order. Length, or the needed one when `size` is too small. */
size_t l4_decision_format(const struct l4_decision *decision, const struct l4_generation *generation, char *out,
			  size_t size);

#endif
