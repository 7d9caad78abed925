/*
 * The Maglev table (Eisenbud et al., 2016), built entry for entry as Envoy builds it: hosts sorted by key; offset =
 * XXH64(key, seed 0) % M, skip = XXH64(key, seed 1) % (M - 1) + 1; in iteration n a host takes a turn when n times its
 * share of the weights has reached its target, which each turn raises by the largest share.
 *
 * This header is for those who look up per packet, or copy the table elsewhere (BPF maps); all others use the method.
 * A built table is immutable: any thread may read it.
 */
#ifndef BALANCE_MAGLEV_H
#define BALANCE_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

#define BALANCE_MAGLEV_SIZE_DEFAULT 65537
/* Envoy's limit. */
#define BALANCE_MAGLEV_SIZE_MAX 5000011

struct balance_maglev {
	uint32_t size;  /* M, a prime */
	uint32_t count; /* servers in the caller's array, those of weight 0 included */
	/* Indices into the caller's array. Every server whose weight is not 0 has at least one entry. When no server has
	 * a weight the table is empty and size is 0. */
	uint16_t entries[];
};

/* The server for a hash. The table must not be empty. */
static inline uint16_t
balance_maglev_at(const struct balance_maglev *table, uint64_t hash)
{
	return table->entries[hash % table->size];
}

#endif
