/*
 * Smooth weighted round robin as nginx has it: in each round every usable server gains its effective weight, the richest
 * is chosen and pays what all gained together. Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
 */
#include "balance/internal.h"

int
balance_round_robin_pick(struct balance_peer *peers, size_t count, const uint64_t *usable)
{
	int32_t total = 0;
	int best = -1;

	for (size_t i = balance_usable_next(usable, count, 0); i < count;
	     i = balance_usable_next(usable, count, i + 1)) {
		if (peers[i].weight == 0)
			continue;
		balance_peer_rotate(&peers[i], &total);
		if (best < 0 || peers[i].current_weight > peers[best].current_weight)
			best = (int)i;
	}
	if (best >= 0)
		peers[best].current_weight -= total;
	return best;
}

static int
round_robin_pick(const void *table, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
		 const struct balance_request *request)
{
	return balance_round_robin_pick(peers, count, usable);
}

const struct balance_method balance_round_robin = {
	.name = "round_robin",
	.argument = "",
	.pick = round_robin_pick,
};
