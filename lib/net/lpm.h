/*
 * Longest prefix match: path-compressed binary tries over 128-bit keys (IPv4 as mapped addresses, its prefixes 96 longer).
 *
 * Tries are persistent: a change copies the nodes on its path and shares the rest, so a published root stays as it was
 * while the next version is made. One writer (control) owns a struct lpm and any number of roots; lcores look up in roots
 * that were published. After publishing, the writer calls lpm_seal(); when no lcore can hold an older root any more, it
 * calls lpm_reclaim(). A change therefore costs a path (about 20 nodes in a full table), not a table.
 *
 * Cost: at most two nodes of 64 bytes per prefix with malloc's overhead (a full IPv4 table of 1M routes: 128 MB). A lookup
 * visits one node per branching bit: a few for a host's usual tables, 20 to 25 in a full one.
 */
#ifndef NET_LPM_H
#define NET_LPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct lpm_key {
	uint64_t high, low; /* host order: bit 0 of the address is the highest of `high` */
};

struct lpm_node {
	struct lpm_key key; /* zero behind prefix_len */
	struct lpm_node *child[2];
	void *value; /* NULL: only a branch */
	uint32_t epoch;
	uint8_t prefix_len;
};

/* The writer's side. Values are counted: every node that carries one holds it once. */
struct lpm {
	uint32_t epoch;
	void (*hold)(void *value);
	void (*drop)(void *value, void *context);
	void *context;
	struct lpm_node **garbage; /* replaced nodes that lcores may still read */
	size_t garbage_count, garbage_size;
	struct lpm_node **garbage_trees;
	size_t garbage_tree_count, garbage_tree_size;
};

static inline struct lpm_key
lpm_key_from(const struct ip_address *address)
{
	return (struct lpm_key){ __builtin_bswap64(address->halves[0]), __builtin_bswap64(address->halves[1]) };
}

static inline bool
lpm_key_matches(struct lpm_key a, struct lpm_key b, unsigned int prefix_len)
{
	if (prefix_len <= 64)
		return prefix_len == 0 || (a.high ^ b.high) >> (64 - prefix_len) == 0;
	return a.high == b.high && (a.low ^ b.low) >> (128 - prefix_len) == 0;
}

static inline unsigned int
lpm_key_bit(struct lpm_key key, unsigned int position)
{
	return (position < 64 ? key.high >> (63 - position) : key.low >> (127 - position)) & 1;
}

/* The value of the longest prefix that holds `key`, NULL when none does. Any lcore. */
static inline void *
lpm_lookup(const struct lpm_node *node, struct lpm_key key)
{
	void *best = NULL;

	while (node && lpm_key_matches(key, node->key, node->prefix_len)) {
		if (node->value)
			best = node->value;
		if (node->prefix_len == 128)
			break;
		node = node->child[lpm_key_bit(key, node->prefix_len)];
	}
	return best;
}

void lpm_init(struct lpm *lpm, void (*hold)(void *), void (*drop)(void *value, void *context), void *context);
/* The roots must have been discarded. */
void lpm_fini(struct lpm *lpm);

/* The value of exactly this prefix, or NULL. Bits of `key` behind prefix_len are ignored, here and in lpm_set(). */
void *lpm_get(const struct lpm_node *root, struct lpm_key key, unsigned int prefix_len);
/* Gives the prefix another value, NULL removes it. 0, or -ENOMEM with the contents as they were. */
int lpm_set(struct lpm *lpm, struct lpm_node **root, struct lpm_key key, unsigned int prefix_len, void *value);
/* Empties a trie whose nodes may be published. */
int lpm_discard(struct lpm *lpm, struct lpm_node **root);

void lpm_seal(struct lpm *lpm);
void lpm_reclaim(struct lpm *lpm);

#endif
