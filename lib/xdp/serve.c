#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xdp/internal.h"

static int
compare_keys(const void *a, const void *b, void *key_size)
{
	return memcmp(a, b, *(const uint32_t *)key_size);
}

static bool
set_has(const struct xdp_key_set *set, const void *key)
{
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = memcmp(set->keys + (size_t)middle * set->key_size, key, set->key_size);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static int
set_init(struct xdp_key_set *set, uint32_t count, uint32_t key_size)
{
	*set = (struct xdp_key_set){ .keys = calloc(count + 1, key_size), .count = count, .key_size = key_size };
	return set->keys ? 0 : -ENOMEM;
}

static void
set_settle(struct xdp_key_set *set)
{
	size_t size = set->key_size;
	uint32_t kept = 0;

	qsort_r(set->keys, set->count, size, compare_keys, &set->key_size);
	for (uint32_t i = 0; i < set->count; i++) {
		if (kept && memcmp(set->keys + (kept - 1) * size, set->keys + i * size, size) == 0)
			continue;
		memmove(set->keys + kept++ * size, set->keys + i * size, size);
	}
	set->count = kept;
}

static int
services_to_set(const struct xdp_service *services, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, 2 * count, sizeof(struct xdp_service_key));
	struct xdp_service_key *key = (struct xdp_service_key *)set->keys;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count; i++, key++) {
		memcpy(&key->address, &services[i].endpoint.ip, sizeof(key->address));
		key->port_be = services[i].endpoint.port_be;
		key->ip_protocol = services[i].ip_protocol;
		if (!services[i].forwarded)
			continue;
		key[1].address = key->address;
		key[1].ip_protocol = XDP_LATER_FRAGMENTS;
		key++;
	}
	set->count = (uint32_t)(key - (struct xdp_service_key *)set->keys);
	set_settle(set);
	return 0;
}

static int
servers_to_set(const struct xdp_server *servers, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, 2 * count, sizeof(struct xdp_server_key));
	struct xdp_server_key *key = (struct xdp_server_key *)set->keys;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count; i++, key++) {
		memcpy(&key->address, &servers[i].endpoint.ip, sizeof(key->address));
		key->port_be = servers[i].endpoint.port_be;
		key->ip_protocol = servers[i].ip_protocol;
		key->answers = servers[i].answers;
		if (servers[i].answers == XDP_ANSWERS_TO_STACK || servers[i].answers == XDP_ANSWERS_BY_ERRORS)
			continue;
		key[1].address = key->address;
		key[1].ip_protocol = XDP_LATER_FRAGMENTS;
		key++;
	}
	set->count = (uint32_t)(key - (struct xdp_server_key *)set->keys);
	set_settle(set);
	return 0;
}

static int
locals_to_set(const struct ip_address *locals, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, count, sizeof(struct xdp_address));

	if (rc < 0)
		return rc;
	if (count)
		memcpy(set->keys, locals, (size_t)count * sizeof(*locals));
	set_settle(set);
	return 0;
}

/* Removes from the map the first `limit` keys of `from` that are not in `keep`. */
static void
map_remove(int fd, const struct xdp_key_set *from, const struct xdp_key_set *keep, uint32_t limit)
{
	for (uint32_t i = 0; i < limit; i++) {
		const uint8_t *key = from->keys + (size_t)i * from->key_size;

		if (!set_has(keep, key))
			bpf_map_delete_elem(fd, key);
	}
}

/* All or nothing. */
static int
map_add(int fd, const struct xdp_key_set *set, const struct xdp_key_set *present)
{
	uint8_t one = 1;

	for (uint32_t i = 0; i < set->count; i++) {
		const uint8_t *key = set->keys + (size_t)i * set->key_size;
		int rc;

		if (set_has(present, key))
			continue;
		rc = bpf_map_update_elem(fd, key, &one, BPF_ANY);
		if (rc < 0) {
			map_remove(fd, set, present, i);
			return rc == -E2BIG ? -ENOSPC : rc;
		}
	}
	return 0;
}

/* Servers and local addresses first, so that a service that becomes visible is complete; removals in reverse. */
static int
sets_replace(struct xdp_program *program, struct xdp_key_set next[XDP_SET_COUNT])
{
	int rc;

	for (int i = 0; i < XDP_SET_COUNT; i++) {
		rc = map_add(xdp_program_set_fd(program, i), &next[i], &program->sets[i]);
		if (rc == 0)
			continue;
		while (--i >= 0)
			map_remove(xdp_program_set_fd(program, i), &next[i], &program->sets[i], next[i].count);
		return rc;
	}
	for (int i = XDP_SET_COUNT - 1; i >= 0; i--) {
		struct xdp_key_set old = program->sets[i];

		map_remove(xdp_program_set_fd(program, i), &old, &next[i], old.count);
		program->sets[i] = next[i];
		next[i] = old;
	}
	return 0;
}

int
xdp_program_serve(struct xdp_program *program, const struct xdp_service *services, uint32_t service_count,
		  const struct xdp_server *servers, uint32_t server_count, const struct ip_address *locals,
		  uint32_t local_count)
{
	bool to_clients = false;
	struct xdp_key_set next[XDP_SET_COUNT] = { 0 };
	int rc = locals_to_set(locals, local_count, &next[XDP_SET_LOCALS]);

	if (rc == 0)
		rc = servers_to_set(servers, server_count, &next[XDP_SET_SERVERS]);
	if (rc == 0)
		rc = services_to_set(services, service_count, &next[XDP_SET_SERVICES]);
	for (uint32_t i = 0; i < server_count; i++)
		to_clients |= servers[i].answers == XDP_ANSWERS_TO_CLIENTS;
	if (rc == 0)
		rc = sets_replace(program, next);
	if (rc == 0)
		xdp_program_answers_to_clients(program, to_clients);
	for (int i = 0; i < XDP_SET_COUNT; i++)
		free(next[i].keys);
	return rc;
}
