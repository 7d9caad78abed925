/* A generation from inside. Private to this room; the contract is in l4.h and service.h. */
#ifndef L4_GENERATION_H
#define L4_GENERATION_H

#include "l4/find.h"
#include "l4/registry.h"

struct l4_generation {
	struct l4_find find; /* first: what packets need */
	struct l4_registry *registry;
	struct arena *arena;
	struct l4_service *services; /* in order of the file */
	uint32_t service_count;
	uint16_t *by_id; /* index + 1, [L4_SERVICES_MAX + 1] */
	uint32_t *held;  /* targets, each once per time that it is held */
	uint32_t held_count;
	uint32_t *fresh;
	uint32_t fresh_count;
	const struct balance_maglev **tables; /* held */
	uint32_t table_count;
};

/* In place of none: no packet is a service's, and no address a server's. */
extern const struct l4_generation l4_generation_none;

#endif
