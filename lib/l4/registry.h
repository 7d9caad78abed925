/*
 * Numbers that outlive generations: of services, of targets, and the Maglev tables that generations share. Control only.
 * Private to this room; what others may ask is in l4.h.
 *
 * A number is held by the generations that name it. A target is given back by l4_registry_collect() alone, since flows may
 * name it long after the last generation did; a service is held by its targets, too. Numbers are given out in turn, so that
 * one just given back stays unused for as long as can be.
 */
#ifndef L4_REGISTRY_H
#define L4_REGISTRY_H

#include "l4/l4.h"

/* A target is given up when it was seen unused so often, a second apart: entries of answers, which are not counted, are
 * swept within a minute. */
#define L4_UNUSED_BEFORE_COLLECTED 70

struct l4_service_key {
	struct ip_address ip;
	uint16_t port_first, port_last; /* host order */
	uint8_t ip_protocol;
};

/* The number of such a service or target, which is then held once more. 0: all numbers are in use. */
uint16_t l4_registry_service_get(struct l4_registry *registry, const struct l4_service_key *key);
void l4_registry_service_put(struct l4_registry *registry, uint16_t id);
const struct l4_service_key *l4_registry_service_key(const struct l4_registry *registry, uint16_t id);
/* A target that flows may still have, and its service, at the numbers that they had (l4_target_restore()). */
void l4_registry_restore(struct l4_registry *registry, uint32_t number, const struct l4_target *model,
			 const struct l4_service_key *key);
/* The model's service must be held. */
uint32_t l4_registry_target_get(struct l4_registry *registry, const struct l4_target *model);
void l4_registry_target_put(struct l4_registry *registry, uint32_t number);

/* The Maglev table of these servers (keys, weights, order), built unless there is one already. 0, -ENOMEM, or -EINVAL when
 * there can be none. */
int l4_registry_maglev_get(struct l4_registry *registry, const struct balance_server *servers, size_t count,
			   const struct balance_maglev **out);
void l4_registry_maglev_put(struct l4_registry *registry, const struct balance_maglev *table);

#endif
