/*
 * The configurations in force: the one that new requests use, and older ones that exchanges still finish on.
 *
 * Control publishes a generation to every worker by message and frees an old one when no worker holds it.
 */
#ifndef WEIR_GENERATIONS_H
#define WEIR_GENERATIONS_H

#include "weir/topology.h"

#define GENERATIONS_MAX 64

struct generations {
	struct topology *topology;
	struct worker_shared *shared;
	uint16_t local_port_first, local_port_last;     /* of TCP's connections to servers */
	uint16_t forward_port_first, forward_port_last; /* of full_nat; 0: none were set aside at the start */
	struct l4_registry *registry;                   /* from the first configuration with packet-level services on */
	struct l4_generation *l4;                       /* of the last; NULL: no packet-level services */
	struct upstream_weights http_weights;           /* what the operator has said */
	/* The last is in force. */
	struct {
		struct proxy_generation *proxy;
		struct proxy_plans *plans;
		struct steering *steering; /* with the servers of all that are held: answers may still come from them */
	} held[GENERATIONS_MAX];
	uint32_t count;
};

/* Takes ownership of `config`. Ports it needs are added and started, XDP is told, then every worker. 0, or -errno after
 * logging: then nothing has changed and the caller keeps the config. */
int generations_publish(struct generations *generations, struct config *config);
/* The configuration in force once more, after what control knows beside it has changed (weights). 0 or -errno. */
int generations_renew(struct generations *generations);
/* Frees what nobody holds any more. Returns how many generations are held. */
uint32_t generations_reclaim(struct generations *generations);
/* Ports whose interfaces have gone are given up. Once a second. */
void generations_ports_look(struct generations *generations);
/* The host's addresses or routes have changed: XDP is told, and ports are added that servers are now reached through. */
void generations_serve(struct generations *generations);
struct config *generations_config(const struct generations *generations);
void generations_free(struct generations *generations);

#endif
