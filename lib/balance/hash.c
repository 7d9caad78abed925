/*
 * `hash KEY`: nginx's choice by CRC-32, which is Cache::Memcached's: the sum of ((crc32([REHASH] KEY) >> 16) & 0x7fff)
 * over REHASH = nothing, 1, 2, ... until the sum falls on a usable server. `hash KEY consistent` is in ketama.c.
 */
#include <errno.h>
#include <string.h>

#include "balance/internal.h"

#define HASH_CONSISTENT 1u

static int
hash_option(const char *word, size_t len, uint32_t *options, const char **error)
{
	static const char consistent[] = "consistent";

	if (len != sizeof(consistent) - 1 || memcmp(word, consistent, len) != 0) {
		*error = "invalid parameter";
		return -EINVAL;
	}
	*options |= HASH_CONSISTENT;
	return 0;
}

static size_t
hash_size(const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	return options & HASH_CONSISTENT ? balance_ketama_size(servers, count)
					 : balance_weights_size(servers, count, options, size_hint);
}

static int
hash_build(void *table, const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint)
{
	return options & HASH_CONSISTENT ? balance_ketama_build(table, servers, count)
					 : balance_weights_build(table, servers, count, options, size_hint);
}

/* crc32([REHASH] KEY), REHASH in decimal and left out when 0. */
static uint32_t
hash_step(uint32_t rehash, const struct balance_request *request)
{
	uint8_t digits[10];
	size_t at = sizeof(digits);
	uint32_t crc;

	for (uint32_t rest = rehash; rest; rest /= 10)
		digits[--at] = (uint8_t)('0' + rest % 10);
	crc = balance_crc32(0, digits + at, sizeof(digits) - at);
	return balance_crc32(crc, request->key, request->key_len) >> 16 & 0x7fff;
}

static int
hash_pick(const void *table, uint32_t options, struct balance_peer *peers, size_t count, const uint64_t *usable,
	  const struct balance_request *request)
{
	const struct balance_weights *line = table;
	uint32_t hash = 0;

	/* An empty key says nothing about the request: round robin, as nginx. */
	if (request->key_len == 0)
		return balance_round_robin_pick(peers, count, usable);
	if (options & HASH_CONSISTENT)
		return balance_ketama_pick(table, peers, count, usable, request);
	if (line->total == 0)
		return -1;
	/* As in ip_hash: the walk from the start meets one more server per earlier attempt. */
	for (uint32_t i = 0; i < BALANCE_POSITIONS_MAX + request->attempt; i++) {
		size_t index;

		hash += hash_step(i, request);
		index = balance_weights_find(line, hash % line->total);
		if (balance_usable(usable, index))
			return (int)index;
	}
	return balance_round_robin_pick(peers, count, usable);
}

const struct balance_method balance_hash = {
	.name = "hash",
	.argument = "KEY [consistent]",
	.properties = BALANCE_NEEDS_KEY | BALANCE_NO_BACKUP | BALANCE_SERVER_NAMES,
	.words_min = 1,
	.words_max = 2,
	.option = hash_option,
	.table_size = hash_size,
	.build = hash_build,
	.pick = hash_pick,
};
