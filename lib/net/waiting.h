/*
 * Packets that wait for a neighbour, on one lcore: a few neighbours, a few packets each, all in place.
 */
#ifndef NET_WAITING_H
#define NET_WAITING_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define WAITING_NEIGHBORS 32
#define WAITING_PACKETS 8 /* per neighbour: 256 in all */

struct waiting_neighbor {
	struct ip_address address;
	uint64_t since_ns;
	uint64_t ask_ns; /* ask Linux (again) then */
	int32_t ifindex;
	uint32_t count; /* of packets; 0: a free place */
	struct rte_mbuf *packets[WAITING_PACKETS];
};

struct waiting {
	uint32_t count; /* neighbours waited for */
	struct waiting_neighbor neighbors[WAITING_NEIGHBORS];
};

/* The place of this neighbour, new or not; NULL when all are taken. A new one has count 0 until the first packet. */
struct waiting_neighbor *waiting_find(struct waiting *waiting, int32_t ifindex, const struct ip_address *address,
				      uint64_t now_ns);
/* False, without taking the packet, when as many as may wait do. */
bool waiting_add(struct waiting *waiting, struct waiting_neighbor *neighbor, struct rte_mbuf *m);
/* Gives the packets, in their order, to the caller and frees the place. Returns their number. */
uint32_t waiting_take(struct waiting *waiting, struct waiting_neighbor *neighbor,
		      struct rte_mbuf *packets[WAITING_PACKETS]);

#endif
