#include "balance/internal.h"

size_t
balance_weights_size(const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	return sizeof(struct balance_weights) + count * sizeof(uint64_t);
}

int
balance_weights_build(void *table, const struct balance_server *servers, size_t count, uint32_t options,
		      uint32_t size_hint)
{
	struct balance_weights *line = table;

	line->total = 0;
	line->count = count;
	for (size_t i = 0; i < count; i++) {
		line->total += servers[i].weight;
		line->ends[i] = line->total;
	}
	return 0;
}

size_t
balance_weights_find(const struct balance_weights *line, uint64_t position)
{
	size_t low = 0, high = line->count - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (line->ends[middle] > position)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
