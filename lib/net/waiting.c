#include "net/waiting.h"

struct waiting_neighbor *
waiting_find(struct waiting *waiting, int32_t ifindex, const struct ip_address *address, uint64_t now_ns)
{
	struct waiting_neighbor *unused = NULL;

	for (uint32_t i = 0; i < WAITING_NEIGHBORS; i++) {
		struct waiting_neighbor *n = &waiting->neighbors[i];

		if (n->count && n->ifindex == ifindex && ip_address_equal(&n->address, address))
			return n;
		if (!n->count && !unused)
			unused = n;
	}
	if (unused) {
		unused->address = *address;
		unused->ifindex = ifindex;
		unused->since_ns = unused->ask_ns = now_ns;
	}
	return unused;
}

bool
waiting_add(struct waiting *waiting, struct waiting_neighbor *neighbor, struct rte_mbuf *m)
{
	if (neighbor->count == WAITING_PACKETS)
		return false;
	if (neighbor->count == 0)
		waiting->count++;
	neighbor->packets[neighbor->count++] = m;
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
	return count;
}
