/*
 * The server with the fewest active requests for its weight; among those that tie, weighted round robin, in which only
 * they take part. As nginx.
 */
#include "balance/internal.h"

/* Compares active/weight of two peers without dividing: negative when `a` has less to do. */
static int
load_compare(const struct balance_peer *a, const struct balance_peer *b)
{
	uint64_t left = (uint64_t)a->active * (uint64_t)b->weight, right = (uint64_t)b->active * (uint64_t)a->weight;

	return left < right ? -1 : left > right;
}

static int
least_conn_pick(const void *table, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
		const struct balance_request *request)
{
	const struct balance_peer *least = NULL;
	int32_t total = 0;
	bool tie = false;
	size_t best = 0;

	for (size_t i = balance_usable_next(usable, count, 0); i < count;
	     i = balance_usable_next(usable, count, i + 1)) {
		int order;

		if (peers[i].weight == 0)
			continue;
		order = least ? load_compare(&peers[i], least) : -1;
		if (order < 0) {
			least = &peers[i];
			best = i;
		}
		tie = order == 0 || (tie && order > 0);
	}
	if (!least)
		return -1;
	if (!tie)
		return (int)best;

	for (size_t i = best; i < count; i = balance_usable_next(usable, count, i + 1)) {
		if (peers[i].weight == 0 || load_compare(&peers[i], least) != 0)
			continue;
		balance_peer_rotate(&peers[i], &total);
		if (peers[i].current_weight > peers[best].current_weight)
			best = i;
	}
	peers[best].current_weight -= total;
	return (int)best;
}

const struct balance_method balance_least_conn = {
	.name = "least_conn",
	.argument = "",
	.pick = least_conn_pick,
};
