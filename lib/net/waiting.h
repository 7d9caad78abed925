/*
 * Packets that wait for a neighbour, on one lcore: a few neighbours, so many packets each as a burst of new connections to
 * a server that was just added has (Linux keeps about as many), and all together not more than a part of the packet pool.
 */
#ifndef NET_WAITING_H
#define NET_WAITING_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define WAITING_NEIGHBORS 32
#define WAITING_PACKETS 128 /* per neighbour */
/* Of all neighbours; beyond that each may have a few still, so that many dead ones do not shut out one that lives. */
#define WAITING_SHARED 1024
#define WAITING_OWN 8

struct waiting_neighbor {
	struct ip_address address;
	uint64_t since_ns;
	uint64_t ask_ns; /* ask Linux (again) then */
	int32_t ifindex;
	uint32_t count; /* of packets; 0: a free place */
	uint16_t hop;   /* how they are sent; NET_HOP_NONE: by their destination */
	struct rte_mbuf *packets[WAITING_PACKETS];
};

struct waiting {
	uint32_t count;   /* neighbours waited for */
	uint32_t packets; /* that wait */
	struct waiting_neighbor neighbors[WAITING_NEIGHBORS];
};

/* The place of this neighbour and hop, new or not; NULL when all are taken. A new one has count 0 until the first packet. */
struct waiting_neighbor *waiting_find(struct waiting *waiting, int32_t ifindex, const struct ip_address *address,
				      uint16_t hop, uint64_t now_ns);
/* False, without taking the packet, when as many as may wait do. */
bool waiting_add(struct waiting *waiting, struct waiting_neighbor *neighbor, struct rte_mbuf *m);
/* Gives the packets, in their order, to the caller and frees the place. Returns their number. */
uint32_t waiting_take(struct waiting *waiting, struct waiting_neighbor *neighbor,
		      struct rte_mbuf *packets[WAITING_PACKETS]);

#endif
