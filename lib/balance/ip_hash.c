/*
 * The client's network chooses: three octets of an IPv4 address, sixteen of an IPv6 one, hashed as nginx hashes them, so
 * that the same client meets the same server behind either. A server that is not usable makes the hash go on from where
 * it is; nginx keeps that position between the attempts of a request, here the walk begins anew, passes the servers
 * already tried and arrives at the same one.
 */
#include "balance/internal.h"

#define IP_HASH_START 89
#define IP_HASH_FACTOR 113
#define IP_HASH_MODULUS 6271

static int
ip_hash_pick(const void *table, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
	     const struct balance_request *request)
{
	const struct balance_weights *line = table;
	uint32_t hash = IP_HASH_START;

	if (line->total == 0)
		return -1;
	/* nginx counts misses only; the walk from the start meets one more per earlier attempt. */
	for (uint32_t i = 0; i < BALANCE_POSITIONS_MAX + request->attempt; i++) {
		size_t index;

		for (size_t j = 0; j < request->key_len; j++)
			hash = (hash * IP_HASH_FACTOR + request->key[j]) % IP_HASH_MODULUS;
		index = balance_weights_find(line, hash % line->total);
		if (balance_usable(usable, index))
			return (int)index;
	}
	return balance_round_robin_pick(peers, count, usable);
}

const struct balance_method balance_ip_hash = {
	.name = "ip_hash",
	.argument = "",
	.properties = BALANCE_NEEDS_ADDRESS | BALANCE_NO_BACKUP,
	.table_size = balance_weights_size,
	.build = balance_weights_build,
	.pick = ip_hash_pick,
};
