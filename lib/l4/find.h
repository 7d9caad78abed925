/*
 * The tables that every packet is held against: its service by the destination, and a filter of the addresses that servers
 * answer from. Built with a generation, never changed; lcores look up through service.h. Private to this room.
 */
#ifndef L4_FIND_H
#define L4_FIND_H

#include <rte_common.h>

#include "l4/service.h"

/* Open addressing, at most a quarter full: one probe, nearly always. */
struct l4_find_slot {
	struct ip_address ip;
	uint16_t port_be;      /* 0: the ranges of this address */
	uint8_t ip_protocol;   /* 0: the slot is free */
	uint32_t first, count; /* of services, or of ranges; count 0: `first` is a service */
};

struct l4_find_range {
	uint16_t port_first, port_last; /* host order */
	uint32_t service;
};

/* What is asked of the filter: hashed with the address. */
enum l4_find_what {
	L4_FIND_SERVER_AND_PORT = 1, /* port 0: any */
	L4_FIND_SERVER = 2,
	L4_FIND_SERVICE = 3,
	L4_FIND_LOCAL = 4, /* an address that full_nat speaks from */
	L4_FIND_OURS = 5,  /* either of the two */
};

struct l4_find {
	struct l4_find_slot *slots;
	uint64_t slot_mask;
	const struct l4_service *services;
	struct l4_find_range *ranges; /* those of an address side by side, by port */
	/* A set of fingerprints (enum l4_find_what). 0 is a free place. */
	uint32_t *filter;
	uint64_t filter_mask;
	bool has_answers_of_any_port;
};

/* In the arena; `answering` are the targets whose servers answer through Weir. */
void l4_find_build(struct l4_find *find, struct arena *arena, const struct l4_service *services, uint32_t service_count,
		   const struct l4_target *const *answering, uint32_t answering_count);

/* ---- looking up, inlined into what every packet goes through ---- */

/* Odd constants: the golden ratio, and of Vigna's SplitMix64. */
#define L4_FIND_MIX_ADDRESS 0x9e3779b97f4a7c15ull
#define L4_FIND_MIX_PORT 0xbf58476d1ce4e5b9ull
#define L4_FIND_MIX_LAST 0x94d049bb133111ebull

/* No secret: all keys in the tables come from the configuration, so nobody else can make them collide. */
static __rte_always_inline uint64_t
l4_find_hash(const struct ip_address *ip, uint16_t port_be, uint32_t what)
{
	uint64_t h = ip->halves[1] + ip->halves[0] * L4_FIND_MIX_ADDRESS +
		     ((uint64_t)port_be << 16 | what) * L4_FIND_MIX_PORT;

	h = (h ^ h >> 32) * L4_FIND_MIX_LAST;
	return h ^ h >> 29;
}

static __rte_always_inline bool
l4_find_slot_is(const struct l4_find_slot *slot, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	return slot->port_be == port_be && slot->ip_protocol == ip_protocol && ip_address_equal(&slot->ip, ip);
}

static __rte_always_inline const struct l4_find_slot *
l4_find_slot_of(const struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	uint64_t i = l4_find_hash(ip, port_be, ip_protocol) & find->slot_mask;

	while (find->slots[i].ip_protocol) {
		if (l4_find_slot_is(&find->slots[i], ip, port_be, ip_protocol))
			return &find->slots[i];
		i = (i + 1) & find->slot_mask;
	}
	return NULL;
}

/* Of a service of several ports (find.c). */
const struct l4_service *l4_find_range_service(const struct l4_find *find, const struct ip_address *ip,
					       uint16_t port_be, uint8_t ip_protocol);

/* l4_service_find() */
static __rte_always_inline const struct l4_service *
l4_find_service(const struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	const struct l4_find_slot *slot;

	if (unlikely(port_be == 0))
		return NULL;
	slot = l4_find_slot_of(find, ip, port_be, ip_protocol);
	if (likely(slot != NULL))
		return &find->services[slot->first];
	return find->ranges ? l4_find_range_service(find, ip, port_be, ip_protocol) : NULL;
}

/* ---- the filter ---- */

static __rte_always_inline uint64_t
l4_find_print(const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol, enum l4_find_what what)
{
	return l4_find_hash(ip, port_be, (uint32_t)what << 8 | ip_protocol);
}

static __rte_always_inline bool
l4_find_has(const struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol,
	    enum l4_find_what what)
{
	uint64_t hash = l4_find_print(ip, port_be, ip_protocol, what);
	uint32_t print = (uint32_t)(hash >> 32) | 1;

	for (uint64_t i = hash & find->filter_mask; find->filter[i]; i = (i + 1) & find->filter_mask)
		if (find->filter[i] == print)
			return true;
	return false;
}

/* l4_is_server() */
static __rte_always_inline bool
l4_find_is_server(const struct l4_find *find, const struct ip_address *ip, uint16_t port_be, uint8_t ip_protocol)
{
	return l4_find_has(find, ip, port_be, ip_protocol, L4_FIND_SERVER_AND_PORT) ||
	       (find->has_answers_of_any_port && l4_find_has(find, ip, 0, ip_protocol, L4_FIND_SERVER_AND_PORT));
}

#endif
