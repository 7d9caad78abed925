/*
 * Neighbours: the mirror's own table (control), and the immutable copies of it that lcores look up in.
 */
#ifndef NET_NEIGHBOR_H
#define NET_NEIGHBOR_H

#include <linux/neighbour.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/hash.h"

/* More are not remembered, with a line in the log. */
#define NEIGHBORS_MAX (1u << 20)

/* Linux has a link layer address that may be used, whether or not it has to be confirmed. */
#define NEIGHBOR_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)
/* Nobody has confirmed it of late: Linux must be told that it is in use, or it never asks. */
#define NEIGHBOR_UNCONFIRMED (NUD_STALE | NUD_DELAY | NUD_PROBE)

struct neighbor {
	struct ip_address address;
	uint64_t changed_ns; /* when Linux last told of it */
	int32_t ifindex;     /* 0: an empty place */
	uint16_t state;      /* NUD_* */
	uint8_t mac[6];
};

struct neighbor_table {
	uint32_t mask; /* places - 1; at most half are taken */
	uint32_t count;
	struct neighbor places[];
};

static inline uint32_t
neighbor_hash(int32_t ifindex, const struct ip_address *address)
{
	return (uint32_t)hash_mix64(address->halves[0] ^ hash_mix64(address->halves[1] ^ (uint32_t)ifindex));
}

/* Any lcore in a published table. NULL when Linux does not know it. */
static inline const struct neighbor *
neighbor_find(const struct neighbor_table *table, int32_t ifindex, const struct ip_address *address)
{
	for (uint32_t i = neighbor_hash(ifindex, address);; i++) {
		const struct neighbor *n = &table->places[i & table->mask];

		if (n->ifindex == 0)
			return NULL;
		if (n->ifindex == ifindex && ip_address_equal(&n->address, address))
			return n;
	}
}

/* Control: room for `count` and as many again. NULL when memory is short. */
struct neighbor_table *neighbor_table_new(uint32_t count);
struct neighbor_table *neighbor_table_copy(const struct neighbor_table *table);

/* Control, in its own table, which may move. 0, -ENOMEM, or -ENOSPC above NEIGHBORS_MAX. */
int neighbor_table_set(struct neighbor_table **table, const struct neighbor *neighbor);
void neighbor_table_remove(struct neighbor_table *table, int32_t ifindex, const struct ip_address *address);

#endif
