/*
 * `hash KEY consistent`: a ring of 160 points per unit of weight, where a point is crc32(HOST \0 PORT PREVIOUS_POINT), as
 * Cache::Memcached::Fast and nginx have it. A key belongs to the first point at or after its own CRC-32; when that
 * server is not usable, the next points are asked.
 *
 * Servers that share a key (one name with several addresses) share their points; round robin chooses among them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/internal.h"

#define KETAMA_POINTS_PER_WEIGHT 160
/* 128 MB of table. */
#define KETAMA_POINTS_MAX (16u << 20)

struct ketama_point {
	uint32_t hash;
	uint32_t server; /* the first one with that key */
};

struct ketama_table {
	size_t point_count;
	const struct ketama_point *points; /* behind `next`, ascending */
	uint32_t next[]; /* the next server with the same key; the server itself where there is none */
};

static size_t
ketama_points_offset(size_t count)
{
	return sizeof(struct ketama_table) + count * sizeof(uint32_t);
}

size_t
balance_ketama_size(const struct balance_server *servers, size_t count)
{
	uint64_t points = 0;

	for (size_t i = 0; i < count; i++)
		points += (uint64_t)servers[i].weight * KETAMA_POINTS_PER_WEIGHT;
	if (points > KETAMA_POINTS_MAX)
		return 0;
	return ketama_points_offset(count) + points * sizeof(struct ketama_point);
}

/* crc32(HOST \0 PORT): PORT is the run of digits behind the last colon, if there is one. */
static uint32_t
ketama_base_hash(const struct balance_server *server)
{
	size_t host_len = server->key_len, at = server->key_len;
	const char *port = "";
	size_t port_len = 0;
	uint32_t crc;

	while (at > 0 && server->key[at - 1] >= '0' && server->key[at - 1] <= '9')
		at--;
	if (at > 0 && server->key[at - 1] == ':') {
		host_len = at - 1;
		port = server->key + at;
		port_len = server->key_len - at;
	}
	crc = balance_crc32(0, server->key, host_len);
	crc = balance_crc32(crc, "", 1);
	return balance_crc32(crc, port, port_len);
}

static size_t
ketama_add_points(struct ketama_point *points, const struct balance_server *server, uint32_t index)
{
	uint32_t base = ketama_base_hash(server), hash = 0;
	size_t count = (size_t)server->weight * KETAMA_POINTS_PER_WEIGHT;

	for (size_t i = 0; i < count; i++) {
		/* The previous point enters the hash as little-endian bytes on every machine. */
		uint8_t previous[4] = { (uint8_t)hash, (uint8_t)(hash >> 8), (uint8_t)(hash >> 16),
					(uint8_t)(hash >> 24) };

		hash = balance_crc32(base, previous, sizeof(previous));
		points[i] = (struct ketama_point){ .hash = hash, .server = index };
	}
	return count;
}

/* The order among equal hashes decides who keeps the point: the server written first, as nginx's stable sort has it. */
static int
ketama_point_compare(const void *left, const void *right)
{
	const struct ketama_point *a = left, *b = right;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return a->server < b->server ? -1 : a->server > b->server;
}

struct ketama_name {
	const struct balance_server *server;
	uint32_t index;
};

static int
ketama_name_compare(const void *left, const void *right)
{
	const struct ketama_name *a = left, *b = right;
	size_t len = a->server->key_len < b->server->key_len ? a->server->key_len : b->server->key_len;
	int order = memcmp(a->server->key, b->server->key, len);

	if (order == 0 && a->server->key_len != b->server->key_len)
		order = a->server->key_len < b->server->key_len ? -1 : 1;
	if (order == 0)
		order = a->index < b->index ? -1 : 1;
	return order;
}

static bool
ketama_same_name(const struct balance_server *a, const struct balance_server *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* Chains the servers that share a key, in file order, and notes the first of each chain in first[]. */
static int
ketama_chain_names(struct ketama_table *table, const struct balance_server *servers, size_t count, uint32_t *first)
{
	struct ketama_name *names = calloc(count ? count : 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		names[i] = (struct ketama_name){ .server = &servers[i], .index = (uint32_t)i };
	qsort(names, count, sizeof(*names), ketama_name_compare);
	for (size_t i = 0; i < count; i++) {
		uint32_t index = names[i].index;

		table->next[index] = index;
		first[index] = index;
		if (i > 0 && ketama_same_name(names[i - 1].server, names[i].server)) {
			first[index] = first[names[i - 1].index];
			table->next[names[i - 1].index] = index;
		}
	}
	free(names);
	return 0;
}

int
balance_ketama_build(void *memory, const struct balance_server *servers, size_t count)
{
	struct ketama_table *table = memory;
	struct ketama_point *points = (void *)((char *)memory + ketama_points_offset(count));
	uint32_t *first = calloc(count ? count : 1, sizeof(*first));
	size_t total = 0, kept = 0;
	int error = first ? ketama_chain_names(table, servers, count, first) : -ENOMEM;

	if (error) {
		free(first);
		return error;
	}
	for (size_t i = 0; i < count; i++)
		total += ketama_add_points(points + total, &servers[i], first[i]);
	free(first);
	qsort(points, total, sizeof(*points), ketama_point_compare);
	for (size_t i = 0; i < total; i++)
		if (i == 0 || points[i].hash != points[kept - 1].hash)
			points[kept++] = points[i];
	table->point_count = kept;
	table->points = points;
	return 0;
}

/* The first point at or after `hash`; the number of points stands for the first one again. */
static size_t
ketama_find(const struct ketama_table *table, uint32_t hash)
{
	size_t low = 0, high = table->point_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (table->points[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Round robin among the usable servers that share the key of `first`; -1 when none is. */
static int
ketama_pick_sharing(const struct ketama_table *table, struct balance_peer *peers, const uint64_t *usable,
		    uint32_t first)
{
	int32_t total = 0;
	int best = -1;

	for (uint32_t i = first;; i = table->next[i]) {
		if (balance_usable(usable, i) && peers[i].weight != 0) {
			balance_peer_rotate(&peers[i], &total);
			if (best < 0 || peers[i].current_weight > peers[best].current_weight)
				best = (int)i;
		}
		if (table->next[i] == i)
			break;
	}
	if (best >= 0)
		peers[best].current_weight -= total;
	return best;
}

int
balance_ketama_pick(const void *memory, struct balance_peer *peers, size_t count, const uint64_t *usable,
		    const struct balance_request *request)
{
	const struct ketama_table *table = memory;
	size_t point;

	if (table->point_count == 0)
		return -1;
	point = ketama_find(table, balance_crc32(0, request->key, request->key_len));
	/* Neighbouring points often belong to one server, so this may end before every server was asked: nginx's rule. */
	for (uint32_t i = 0; i < BALANCE_POSITIONS_MAX; i++, point++) {
		int index = ketama_pick_sharing(table, peers, usable, table->points[point % table->point_count].server);

		if (index >= 0)
			return index;
	}
	return balance_round_robin_pick(peers, count, usable);
}
