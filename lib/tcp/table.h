/*
 * From the addresses and ports of a segment to its connection or TIME-WAIT record.
 *
 * Open addressing with linear probing over slots of 8 bytes, at most half full: a look-up costs one cache line of the
 * table and one of the connection. Deletion shifts back, so there are no tombstones. Made once, for all that the stack
 * may hold; the hash is seeded with a secret.
 */
#ifndef TCP_TABLE_H
#define TCP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/hash.h"

struct tcp_table_slot {
	uint32_t hash;
	uint32_t value; /* 0: empty */
};

struct tcp_table {
	struct tcp_table_slot *slots;
	uint32_t mask;
	uint32_t used;
	struct flow_hash_key hash_key;
};

/* Of the slots that every entry accounts for, four is the most (the size is a power of two). */
#define TCP_TABLE_BYTES_PER_ENTRY (4 * sizeof(struct tcp_table_slot))

/* Room for `entries`; false when memory is short. */
bool tcp_table_init(struct tcp_table *table, uint32_t entries, uint64_t seed);
void tcp_table_fini(struct tcp_table *table);

static inline uint32_t
tcp_table_hash(const struct tcp_table *table, const struct endpoint *local, const struct endpoint *remote)
{
	return flow_hash(remote->ip.halves, local->ip.halves, remote->port_be, local->port_be, 6, &table->hash_key);
}

/* `value` is not 0. The pair must not be in the table yet. */
void tcp_table_insert(struct tcp_table *table, uint32_t hash, uint32_t value);
void tcp_table_remove(struct tcp_table *table, uint32_t hash, uint32_t value);

/* Iteration over the values whose hash is `hash`: start with *slot = hash; 0 when there are no more. */
static inline uint32_t
tcp_table_next(const struct tcp_table *table, uint32_t hash, uint32_t *slot)
{
	for (;;) {
		const struct tcp_table_slot *s = &table->slots[*slot & table->mask];

		if (s->value == 0)
			return 0;
		(*slot)++;
		if (s->hash == hash)
			return s->value;
	}
}

#endif
