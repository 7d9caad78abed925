/*
 * Services: what `server { listen ... forward ... }` in `stream` became, and how a packet finds its own. A generation is
 * immutable: control builds it from a configuration and publishes it whole; lcores read it until they have adopted the next.
 *
 * Numbers outlive generations. The registry, one per process, gives the same service (addresses, ports, protocol) the same
 * id after a reload, and the same way to the same server the same target, so that flows go on as they were.
 */
#ifndef L4_SERVICE_H
#define L4_SERVICE_H

#include "balance/maglev.h"
#include "l4/forward.h"
#include "l4/quic.h"
#include "upstream/upstream.h"

#define L4_SERVICES_MAX 4096

struct l4_service {
	struct ip_address ip;
	uint16_t port_first, port_last; /* host order; 1 and 65535: all */
	uint8_t ip_protocol;
	bool by_address; /* the client's address alone decides, not the 5-tuple */
	uint16_t id;     /* from 1 */
	const struct l4_forwarder *forwarder;
	const struct upstream_group *group;

	/* A place for every server of the group, in its order: primary ones, then backups. New flows go to the primary
	 * ones that are neither down nor drained or, if there is none, to such backups; both tables give indices of those. */
	uint32_t *targets;
	uint32_t server_count;
	const uint32_t *weights;             /* in force: the operator's, else the configuration's; 0: drained */
	const struct balance_maglev *maglev; /* for flows without state, and for `maglev`; NULL: no server */
	const struct balance_method *method; /* for new flows when it is another than Maglev; else NULL */
	void *table;                         /* the method's */
	const uint64_t *usable;              /* bit per server that takes new flows */
	const struct l4_quic_ids *quic;      /* asked before all of these; NULL: no `quic_affinity` */

	uint32_t syn_rate; /* new TCP flows per second and lcore that get an entry; 0: all */
	uint32_t timeout_s;
	uint8_t options; /* enum l4_option */
	const char *file;
	unsigned int line;
};

struct l4_generation;

/* Targets that the previous generation did not have. Where an lcore has no flows of one, the number may have been another's
 * before, and what the lcore still knows of that (hop, packets, bytes) is void. */
const uint32_t *l4_generation_fresh_targets(const struct l4_generation *generation, uint32_t *count);

/* Looked up once per packet. NULL: not a service's. */
const struct l4_service *l4_service_find(const struct l4_generation *generation, const struct ip_address *ip,
					 uint16_t port_be, uint8_t ip_protocol);
/* By the id that targets carry; NULL when this generation has it no more. */
const struct l4_service *l4_service_by_id(const struct l4_generation *generation, uint16_t id);

/* The server for a flow without state: an index into service->targets. service->maglev must not be NULL. `hash` is of the
 * 5-tuple, or of the address where the service goes by it: seeded, the same in every Weir of a fleet. */
static inline uint32_t
l4_service_stateless(const struct l4_service *service, uint32_t hash)
{
	return balance_maglev_at(service->maglev, hash);
}

/* Whether (ip, port) may be a server that answers through Weir (targets whose forwarder has L4_SEES_ANSWERS), of this or an
 * older generation: a filter before l4_answer_find(), without false negatives. */
bool l4_is_server(const struct l4_generation *generation, const struct ip_address *ip, uint16_t port_be,
		  uint8_t ip_protocol);

/* The same for a packet of which nothing but the addresses is known: a fragment. */
bool l4_concerns(const struct l4_generation *generation, const struct ip_address *destination,
		 const struct ip_address *source, uint8_t ip_protocol);

/* Whether answers to this address are of flows with a local port (L4_NEEDS_LOCAL_PORT), as far as that is known. */
bool l4_is_local_end(const struct l4_generation *generation, const struct ip_address *ip, uint8_t ip_protocol);
/* True: no service listens on the address, on any port. False: one may. */
bool l4_is_no_service(const struct l4_generation *generation, const struct ip_address *ip, uint8_t ip_protocol);

#endif
