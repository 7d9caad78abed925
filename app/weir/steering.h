/*
 * Whose is a packet: which worker owns its flow, and whether it is Weir's at all or the kernel's.
 *
 * Local ports of outgoing connections name their worker (port modulo the number of workers), so an answer needs no table.
 * A client's packets stay where the device's RSS puts them; where the device may put one flow on several queues, or where
 * workers are set aside for connections, a hash over the 4-tuple decides.
 */
#ifndef WEIR_STEERING_H
#define WEIR_STEERING_H

#include "base/hash.h"
#include "packet/parse.h"
#include "port/port.h"
#include "tcp/tcp.h"

/* Who does what. Without `proxy_lcores` every worker does both, and the two ranges are the same. */
struct worker_roles {
	unsigned int count;
	unsigned int io;          /* workers [0, io) have the ports' queues, and the flows of packet-level services */
	unsigned int stack_first; /* workers [stack_first, count) have the connections that end here */
};

/* Immutable; built by control with every configuration. */
struct steering {
	struct worker_roles roles;
	struct flow_hash_key hash_key;
	uint16_t local_port_first, local_port_last; /* host order */
	const struct tcp_listener *listeners;       /* of the generation */
	uint32_t listener_count;
	struct endpoint *former; /* where older configurations listened, of which connections are left */
	uint32_t former_count;
	uint64_t listening[65536 / 64]; /* bit per port, host order */
	struct endpoint *servers;
	uint32_t server_count;
};

struct steering *steering_new(struct worker_roles roles, uint64_t hash_seed, uint16_t local_port_first,
			      uint16_t local_port_last, const struct tcp_listener *listeners, uint32_t listener_count);
/* Control, before it is published. 0 or -ENOMEM. */
int steering_add_server(struct steering *steering, const struct endpoint *server);
/* The same for an endpoint that is listened on no more: packets to it go on to be Weir's. */
int steering_add_former(struct steering *steering, const struct endpoint *local);
void steering_free(struct steering *steering);

/* The worker that owns the connection between `remote` and `local`; `self`, if it may have connections, for a client's when
 * the port is flow-stable. */
unsigned int steering_owner(const struct steering *steering, unsigned int self, bool flow_stable,
			    const struct endpoint *remote, const struct endpoint *local);

/* The same for an ICMP error about that flow, which came in wherever its router's packets do. `rss` is what all ports have in common;
 * NULL where they do not say, and then a hash names the worker that has the flow on ports that are not flow-stable. */
unsigned int steering_owner_of_error(const struct steering *steering, const struct port_rss *rss,
				     const struct endpoint *remote, const struct endpoint *local);

/* True when answers from `remote` to `local` come in on worker `self`'s queue, or where they do is not known or the same for all
 * ports. `rss` as above. */
bool steering_lands(const struct steering *steering, const struct port_rss *rss, unsigned int self,
		    const struct endpoint *remote, const struct endpoint *local);

/* True when a listener takes connections to `local`, or did so while some are left; `local_is_ours`: the address is one of this host's. */
bool steering_listens(const struct steering *steering, const struct endpoint *local, bool local_is_ours);

#endif
