#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xdp/internal.h"

/* Bytes of a key by which it is known. */
static uint32_t
known_by(const struct xdp_key_set *set)
{
	return set->has_values ? set->key_size - 1 : set->key_size;
}

static int
compare_keys(const void *a, const void *b, void *len)
{
	return memcmp(a, b, *(const uint32_t *)len);
}

/* As it is in the set, with its value; NULL when it is not. */
static const uint8_t *
set_find(const struct xdp_key_set *set, const void *key)
{
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const uint8_t *at = set->keys + (size_t)middle * set->key_size;
		int order = memcmp(at, key, known_by(set));

		if (order == 0)
			return at;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
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
	uint32_t kept = 0, len = known_by(set);

	qsort_r(set->keys, set->count, size, compare_keys, &len);
	for (uint32_t i = 0; i < set->count; i++) {
		if (kept && memcmp(set->keys + (kept - 1) * size, set->keys + i * size, len) == 0)
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
	set->has_values = true;
	for (uint32_t i = 0; i < count; i++, key++) {
		memcpy(&key->address, &services[i].endpoint.ip, sizeof(key->address));
		key->port_be = services[i].endpoint.port_be;
		key->ip_protocol = services[i].ip_protocol;
		key->unused = services[i].forwarded ? XDP_OWNER_FORWARDING : XDP_OWNER_STACK;
		if (!services[i].forwarded)
			continue;
		key[1].address = key->address;
		key[1].ip_protocol = XDP_LATER_FRAGMENTS;
		key[1].unused = XDP_OWNER_FORWARDING;
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

/* Of a process before this one. */
static int
set_read(int fd, uint32_t key_size, bool has_values, struct xdp_key_set *set)
{
	uint8_t key[sizeof(struct xdp_server_key)], value, *larger;
	uint32_t space = 0;
	int rc = set_init(set, 0, key_size);

	set->has_values = has_values;
	for (const void *before = NULL; rc == 0 && bpf_map_get_next_key(fd, before, key) == 0; before = key) {
		if (bpf_map_lookup_elem(fd, key, &value) < 0)
			continue;
		if (set->count == space) {
			space = space ? space * 2 : 256;
			larger = realloc(set->keys, (size_t)space * key_size);
			if (!larger)
				return -ENOMEM;
			set->keys = larger;
		}
		memcpy(set->keys + (size_t)set->count++ * key_size, key, key_size);
		if (has_values)
			set->keys[(size_t)set->count * key_size - 1] = value;
	}
	if (rc == 0)
		set_settle(set);
	return rc;
}

int
xdp_sets_read(struct xdp_program *program)
{
	static const uint32_t key_sizes[XDP_SET_COUNT] = { [XDP_SET_LOCALS] = sizeof(struct xdp_address),
							   [XDP_SET_SERVERS] = sizeof(struct xdp_server_key),
							   [XDP_SET_SERVICES] = sizeof(struct xdp_service_key) };
	int rc = 0;

	for (int i = 0; i < XDP_SET_COUNT && rc == 0; i++)
		rc = set_read(xdp_program_set_fd(program, i), key_sizes[i], i == XDP_SET_SERVICES, &program->sets[i]);
	return rc;
}

/* The key as the map has it. Returns its value. */
static uint8_t
map_key(const struct xdp_key_set *set, const uint8_t *key, uint8_t out[sizeof(struct xdp_server_key)])
{
	memcpy(out, key, set->key_size);
	if (!set->has_values)
		return 1;
	out[set->key_size - 1] = 0;
	return key[set->key_size - 1];
}

/* Brings the first `limit` keys of `from` to what `keep` says of them: nothing, or another value. */
static void
map_remove(int fd, const struct xdp_key_set *from, const struct xdp_key_set *keep, uint32_t limit)
{
	uint8_t key[sizeof(struct xdp_server_key)], value;

	for (uint32_t i = 0; i < limit; i++) {
		const uint8_t *at = from->keys + (size_t)i * from->key_size, *kept = set_find(keep, at);

		map_key(from, at, key);
		if (!kept) {
			bpf_map_delete_elem(fd, key);
		} else if (from->has_values && kept[from->key_size - 1] != at[from->key_size - 1]) {
			value = map_key(keep, kept, key);
			bpf_map_update_elem(fd, key, &value, BPF_EXIST);
		}
	}
}

/* All or nothing. */
static int
map_add(int fd, const struct xdp_key_set *set, const struct xdp_key_set *present)
{
	uint8_t key[sizeof(struct xdp_server_key)];

	for (uint32_t i = 0; i < set->count; i++) {
		const uint8_t *at = set->keys + (size_t)i * set->key_size;
		uint8_t value = map_key(set, at, key);
		int rc;

		if (set_find(present, at))
			continue;
		rc = bpf_map_update_elem(fd, key, &value, BPF_ANY);
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
