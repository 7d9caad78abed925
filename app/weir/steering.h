/*
 * Whose is a packet: which worker owns its flow, and whether it is Weir's at all or the kernel's.
 *
 * Local ports of outgoing connections name their worker (port modulo the number of workers), so an answer needs no table.
 * A client's packets stay where the device's RSS puts them; where the device may put one flow on several queues, a hash
 * over the 4-tuple decides.
 */
#ifndef WEIR_STEERING_H
#define WEIR_STEERING_H

#include "base/hash.h"
#include "packet/parse.h"
#include "port/port.h"
#include "tcp/tcp.h"

/* Immutable; built by control with every configuration. */
struct steering {
	unsigned int workers;
	struct flow_hash_key hash_key;
	uint16_t local_port_first, local_port_last; /* host order */
	const struct tcp_listener *listeners;       /* of the generation */
	uint32_t listener_count;
	uint64_t listening[65536 / 64]; /* bit per port, host order */
	struct endpoint *servers;
	uint32_t server_count;
};

struct steering *steering_new(unsigned int workers, uint64_t hash_seed, uint16_t local_port_first,
			      uint16_t local_port_last, const struct tcp_listener *listeners, uint32_t listener_count);
/* Control, before it is published. 0 or -ENOMEM. */
int steering_add_server(struct steering *steering, const struct endpoint *server);
void steering_free(struct steering *steering);

/* The worker that owns the flow between `remote` and `local`; `self` for a client's flow when the port is flow-stable. */
unsigned int steering_owner(const struct steering *steering, unsigned int self, bool flow_stable,
			    const struct endpoint *remote, const struct endpoint *local);

/* True when a listener takes connections to `local`; `local_is_ours`: the address is one of this host's. */
bool steering_listens(const struct steering *steering, const struct endpoint *local, bool local_is_ours);

#endif
