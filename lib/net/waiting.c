#include "net/waiting.h"

struct waiting_neighbor *
waiting_find(struct waiting *waiting, int32_t ifindex, const struct ip_address *address, uint16_t hop, uint64_t now_ns)
{
	struct waiting_neighbor *unused = NULL;

	for (uint32_t i = 0; i < WAITING_NEIGHBORS; i++) {
		struct waiting_neighbor *n = &waiting->neighbors[i];

		if (n->count && n->ifindex == ifindex && n->hop == hop && ip_address_equal(&n->address, address))
			return n;
		if (!n->count && !unused)
			unused = n;
	}
	if (unused) {
		unused->address = *address;
		unused->ifindex = ifindex;
		unused->hop = hop;
		unused->since_ns = unused->ask_ns = now_ns;
	}
	return unused;
}

bool
waiting_add(struct waiting *waiting, struct waiting_neighbor *neighbor, struct rte_mbuf *m)
{
	if (neighbor->count == WAITING_PACKETS ||
	    (waiting->packets >= WAITING_SHARED && neighbor->count >= WAITING_OWN))
		return false;
	if (neighbor->count == 0)
		waiting->count++;
	neighbor->packets[neighbor->count++] = m;
	waiting->packets++;
	return true;
}

uint32_t
waiting_take(struct waiting *waiting, struct waiting_neighbor *neighbor, struct rte_mbuf *packets[WAITING_PACKETS])
{
	uint32_t count = neighbor->count;

	for (uint32_t i = 0; i < count; i++)
		packets[i] = neighbor->packets[i];
	neighbor->count = 0;
	waiting->count--;
	waiting->packets -= count;
	return count;
}
