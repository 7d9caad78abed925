/*
 * One lcore's share of L4, and the steps that its files share. Private to this room.
 *
 *     arrive.c    a frame becomes an l4_packet, or is none
 *     burst.c     the burst, and what most packets are: of a known flow that goes on (with quick_inline.h)
 *     pipeline.c  every packet's way: look up, forward
 *     start.c     the first packet of a flow: server, local port, entries
 *     error.c     ICMP errors about flows
 *     observe.c   what is told of a packet, or of one that need not exist
 */
#ifndef L4_WORKER_H
#define L4_WORKER_H

#include "base/hash.h"
#include "base/random.h"
#include "l4/fragment.h"
#include "l4/l4.h"
#include "l4/path_mtu.h"
#include "packet/parse.h"

/* ICMP errors that a worker sends of its own (RFC 1812 section 4.3.2.8): so many a second, in bursts of as many. */
#define L4_ICMP_RATE 1000

/* What an lcore keeps of a service, by its number. */
struct l4_service_use {
	uint32_t syn_tokens;
	uint16_t syn_second;
	struct balance_peer *peers; /* of the service's method, where it has one */
};

/*
 * What the last packets to a service, the last answers to an address of ours, or those to clients have in common: the next
 * ones are only compared with it (arrive.c).
 */
struct l4_run {
	const struct l4_service *service; /* NULL: answers */
	/* The destination and, to a service, its port, as they lie in a header of IPv4. */
	uint64_t to_v4;
	struct ip_address to;
	uint16_t to_port_be;
	uint64_t middle; /* of a header of IPv4; of no run yet, what no packet has */
	uint64_t factor; /* of the hash of IPv4, but for the ports */
	uint8_t ip_protocol;
	bool v6;
};

struct l4_worker {
	struct l4_worker_config config;
	struct flow_hash_key hash_key; /* of config.hash_seed */
	const struct l4_generation *generation;
	struct l4_flows *flows;
	const struct port_rss *rss;                     /* NULL: flows are not where it says */
	struct l4_run to_service, to_local, to_clients; /* of the generation */
	struct l4_fragments *fragments;
	struct l4_target_use *use;       /* [L4_TARGETS_MAX] */
	struct l4_service_use *services; /* [L4_SERVICES_MAX + 1] */
	bool shares;                     /* flows and use are read by the XDP program, and not ours to free */
	uint64_t now_ns, start_ns;
	uint16_t now_s;
	uint64_t sweep_ns;   /* when the next piece of the sweep is due */
	uint16_t passed_max; /* packets that the burst's caller has room for */
	uint32_t icmp_tokens;
	uint16_t icmp_second;
	struct random random;
	void (*observe)(void *context, const struct l4_decision *decision);
	void *observe_context;
	struct l4_decision decision; /* of the packet at hand, while somebody observes */
	uint64_t counters[L4_VERDICT_COUNT];
	struct l4_path_mtus path_mtus; /* of tunnels */
};

/* What the first look at a packet says. */
enum l4_kind {
	L4_KIND_PASSED,   /* no service's; parsed */
	L4_KIND_BAD,      /* parsed and found bad: to be freed */
	L4_KIND_CLIENT,   /* from a client to a service */
	L4_KIND_ANSWER,   /* perhaps from a server, if there is such a flow */
	L4_KIND_ERROR,    /* an ICMP error */
	L4_KIND_FRAGMENT, /* of a packet to a service or from a server, its first not known yet */
};

/* What a packet for the quick way (quick_inline.h) is told from others by. */
enum l4_quick {
	L4_QUICK_NO, /* it is not for the quick way */
	L4_QUICK_CLIENT,
	L4_QUICK_TO_LOCAL,  /* an answer to an address and port of ours: full_nat */
	L4_QUICK_TO_CLIENT, /* an answer to the client itself: nat */
};

/* A packet of a burst between its stages. */
struct l4_slot {
	struct l4_packet packet;
	const struct l4_service *service; /* L4_KIND_CLIENT */
	uint32_t hash;                    /* of its 5-tuple */
	uint8_t kind;                     /* enum l4_kind */
	uint8_t verdict;                  /* PACKET_*, of the parse */
	uint8_t quick;                    /* enum l4_quick */
	/* And only what that way needs is known: of the packet m, l3, ip_len, ip_protocol and flags, and here all but kind, verdict
	 * and addresses. l4_arrive_again() finds out the rest. */
	bool brief;
	struct ip_address source, destination; /* of its header, which is further away than this */
	/* Of the quick way. */
	struct l4_flow *flow; /* or where it may be */
	uint64_t word;
};

/* Fills the slots and counts verdicts of the parse. The mbufs are this lcore's; nothing is sent or freed. Packets are for
 * the quick way when `quick`, which needs that nobody observes; with L4_FROM_PORT, those alone that are this lcore's. */
void l4_arrive_burst(struct l4_worker *worker, struct rte_mbuf **m, uint16_t count, struct l4_slot *slots, bool quick,
		     enum l4_arrival arrival, uint64_t *verdicts);
/* There is another generation. */
void l4_arrive_anew(struct l4_worker *worker);
/* Of a `brief` one, which was counted as good: as if there had been no quick way. */
void l4_arrive_again(struct l4_worker *worker, struct l4_slot *slot, uint64_t *verdicts);
/* The same for one packet that packet_parse() has filled the view of, whose ports may be those of its first fragment. */
void l4_arrive_parsed(struct l4_worker *worker, struct rte_mbuf *m, struct l4_slot *slot);

/* The way of one packet of a burst, whatever it is, once l4_arrive_burst() has seen it. What L4 leaves alone is put into
 * `passed`. */
void l4_dispatch(struct l4_worker *worker, struct l4_slot *slot, enum l4_arrival arrival, struct rte_mbuf **passed,
		 uint16_t *passed_count);
/* The whole way of one packet whose kind is known: sent, kept or freed, except for L4_PASSED. */
enum l4_verdict l4_client_packet(struct l4_worker *worker, struct l4_slot *slot);
enum l4_verdict l4_answer_packet(struct l4_worker *worker, struct l4_slot *slot);
enum l4_verdict l4_error_packet(struct l4_worker *worker, struct l4_slot *slot);

/* Counts, tells who observes, and frees the packet of a drop. Returns the verdict. */
enum l4_verdict l4_settle(struct l4_worker *worker, struct l4_packet *packet, enum l4_verdict verdict);

/* Of a fragment: RFC 791, RFC 8200 section 4.5. */
uint32_t l4_fragment_identification(const struct l4_packet *packet);

/* ---- decisions, while somebody observes (observe.c) ---- */

/* A new one in worker->decision: what was received. */
void l4_decision_start(struct l4_worker *worker, const struct l4_slot *slot);
/* What leaves: the mbuf's data starts at the outermost IP header. */
void l4_decision_sent(struct l4_decision *decision, const struct l4_packet *packet, uint16_t hop);

/* ---- flows ---- */

static inline struct l4_flow_key
l4_key_of(const struct l4_packet *p, const struct ip_address *source, const struct l4_service *service, uint32_t hash)
{
	return (struct l4_flow_key){ .client = *source,
				     .client_port_be = p->source_port_be,
				     .service_port_be = p->destination_port_be,
				     .service_id = service->id,
				     .hash = hash };
}

static inline struct l4_answer_key
l4_answer_key_of_slot(const struct l4_slot *slot)
{
	return (struct l4_answer_key){ .server = { slot->source, slot->packet.source_port_be },
				       .to = slot->destination,
				       .to_port_be = slot->packet.destination_port_be,
				       .ip_protocol = slot->packet.ip_protocol,
				       .hash = slot->hash };
}

/*
 * The first packet of a flow: chooses a server and makes the entries. *flow is NULL with L4_STATELESS. L4_STARTED,
 * L4_STATELESS, or a drop. *target is set unless it is a drop.
 */
enum l4_verdict l4_start(struct l4_worker *worker, const struct l4_slot *slot, struct l4_flow **flow, uint32_t *target);
/*
 * Fetches what l4_start() would look at for this packet, if that came to it: where the answers' entry is to be. A guess that
 * changes nothing. `ahead` is a copy of the worker's random state, taken at the start of the burst, so that the draws are
 * those to come.
 */
void l4_start_prefetch(const struct l4_worker *worker, const struct l4_slot *slot, struct random *ahead);
/* The server that a new flow would get: index into service->targets, -1: none. Picks for good when `commit`. */
int l4_choose(struct l4_worker *worker, const struct l4_service *service, const struct l4_packet *packet, uint32_t hash,
	      bool commit);
/* The hash that Maglev is asked with: of the 5-tuple, or of the client's address. */
uint32_t l4_maglev_hash(const struct l4_worker *worker, const struct l4_service *service,
			const struct ip_address *client, uint32_t hash);

/* The key and hash of a flow's answers: what its server will send. */
struct l4_answer_key l4_answer_key_of(const struct l4_worker *worker, const struct l4_target *target,
				      const struct l4_flow *flow);
/* The flow's entry of the other direction; NULL where it has none (any more). */
struct l4_flow *l4_twin(struct l4_worker *worker, const struct l4_flow *flow);

/* ---- the way out ---- */

/* The hop towards a target, looked up anew when routes have changed; NET_HOP_NONE: no route. */
uint16_t l4_hop_to_server(struct l4_worker *worker, uint32_t target);
uint16_t l4_hop_to_client(struct l4_worker *worker, struct l4_flow *flow);
/* The largest packet of a client that reaches the target by this hop: by the link, and by what errors have told of the path. */
uint16_t l4_mtu_to_server(const struct l4_worker *worker, uint32_t target, uint16_t hop, bool ipv6_client);
/* True when a router, or Weir, may fragment it. */
bool l4_may_be_cut(const struct l4_packet *packet);

/* ---- fragmenting (cut.c) ---- */

#define L4_PIECES_MAX 64

/*
 * Copies an IPv4 packet, whose mbuf's data starts at the IP header, into fragments of at most `mtu` bytes. The packet stays
 * the caller's, but what a port was to sum is summed. L4_FORWARDED, or a drop without any piece: for more than
 * L4_PIECES_MAX, IP options, or mbufs that are not there.
 */
enum l4_verdict l4_cut(struct rte_mempool *pool, const struct l4_packet *packet, uint16_t mtu,
		       struct l4_packet pieces[L4_PIECES_MAX], uint16_t *count);
void l4_pieces_free(struct l4_packet *pieces, uint16_t count);

/* True when one more ICMP error may be sent this second. */
bool l4_icmp_allowed(struct l4_worker *worker);

/* ---- whose a flow is, where that does not follow from where its packets come in ---- */

unsigned int l4_owner_by_hash(const struct l4_worker *worker, uint32_t hash);
/* By what a client sends to the service's address; `hash` is of its 5-tuple. nat goes by the client, whom both directions
 * know, others by the devices' RSS where that is known. */
unsigned int l4_owner_of_request(const struct l4_worker *worker, const struct l4_service *service,
				 const struct endpoint *client, const struct endpoint *vip, uint32_t hash);
/* By where an answer is sent to: a port of full_nat is of its owner, else it is the client of nat. */
unsigned int l4_owner_of_answer(const struct l4_worker *worker, const struct endpoint *to, uint8_t ip_protocol);
/* True when that is this lcore, wherever the packet came in. */
bool l4_is_mine(const struct l4_worker *worker, const struct l4_slot *slot);
/* True when a service's flows go by the client alone, not by where their packets come in. */
static inline bool
l4_owned_by_client(const struct l4_service *service)
{
	return (service->forwarder->properties & (L4_SEES_ANSWERS | L4_NEEDS_LOCAL_PORT)) == L4_SEES_ANSWERS;
}

/* The time of this round, for all that follows. */
void l4_worker_time(struct l4_worker *worker, uint64_t now_ns);

#endif
