/*
 * What several methods stand on. Only for the files of balance/.
 *
 * Several methods are nginx's and must choose as nginx does: they try a bounded number of hashed or random positions on a
 * line on which every server takes as much room as its weight, and when none of them is usable they let round robin
 * decide.
 */
#ifndef BALANCE_INTERNAL_H
#define BALANCE_INTERNAL_H

#include "balance/balance.h"

extern const struct balance_method balance_round_robin;
extern const struct balance_method balance_least_conn;
extern const struct balance_method balance_ip_hash;
extern const struct balance_method balance_hash;
extern const struct balance_method balance_random;
extern const struct balance_method balance_maglev;

/* Positions tried before round robin decides, as nginx: the first and twenty more. */
#define BALANCE_POSITIONS_MAX 21

/* The first usable index at or above `from`, or `count`. */
static inline size_t
balance_usable_next(const uint64_t *usable, size_t count, size_t from)
{
	size_t word = from / 64, index;
	uint64_t bits;

	if (from >= count)
		return count;
	bits = usable[word] & ~0ull << from % 64;
	while (!bits) {
		if (++word * 64 >= count)
			return count;
		bits = usable[word];
	}
	index = word * 64 + (size_t)__builtin_ctzll(bits);
	return index < count ? index : count;
}

/* A peer takes part in one round of the smooth weighted round robin; adds its share to *total. */
static inline void
balance_peer_rotate(struct balance_peer *peer, int32_t *total)
{
	peer->current_weight += peer->effective_weight;
	*total += peer->effective_weight;
	if (peer->effective_weight < peer->weight)
		peer->effective_weight++;
}

/* The pick of round robin, for methods that fall back to it. */
int balance_round_robin_pick(struct balance_peer *peers, size_t count, const uint64_t *usable);

/* ---- weights.c: servers laid on a line, each as long as its weight ---- */

struct balance_weights {
	uint64_t total;
	size_t count;
	uint64_t ends[]; /* where server i ends, which is where server i+1 begins */
};

size_t balance_weights_size(const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint);
int balance_weights_build(void *table, const struct balance_server *servers, size_t count, uint32_t options,
			  uint32_t size_hint);
/* The server at `position`, which is below total. */
size_t balance_weights_find(const struct balance_weights *line, uint64_t position);

/* ---- crc32.c: the CRC-32 of IEEE 802.3; start with 0, and hand the result on to continue ---- */

uint32_t balance_crc32(uint32_t crc, const void *data, size_t len);

/* ---- ketama.c: `hash KEY consistent` ---- */

size_t balance_ketama_size(const struct balance_server *servers, size_t count);
int balance_ketama_build(void *table, const struct balance_server *servers, size_t count);
int balance_ketama_pick(const void *table, struct balance_peer *peers, size_t count, const uint64_t *usable,
			const struct balance_request *request);

#endif
