#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "xdp/internal.h"

struct service_row {
	struct xdp_service_key key;
	struct xdp_served served;
};

struct server_row {
	struct xdp_server_key key;
	uint8_t there;
};

struct local_row {
	struct xdp_address key;
	uint8_t there;
};

static const struct {
	uint32_t key, row;
} sizes[XDP_SET_COUNT] = {
	[XDP_SET_LOCALS] = { sizeof(struct xdp_address), sizeof(struct local_row) },
	[XDP_SET_SERVERS] = { sizeof(struct xdp_server_key), sizeof(struct server_row) },
	[XDP_SET_SERVICES] = { sizeof(struct xdp_service_key), sizeof(struct service_row) },
};

static_assert(sizeof(struct service_row) == sizeof(struct xdp_service_key) + sizeof(struct xdp_served) &&
		      sizeof(struct server_row) >= sizeof(struct xdp_server_key) + 1 &&
		      offsetof(struct server_row, there) == sizeof(struct xdp_server_key) &&
		      offsetof(struct local_row, there) == sizeof(struct xdp_address),
	      "a value is right behind its key");

static void *
row_at(const struct xdp_key_set *set, uint32_t index)
{
	return set->rows + (size_t)index * set->row_size;
}

static void *
value_of(const struct xdp_key_set *set, const void *row)
{
	return (uint8_t *)row + set->key_size;
}

static int
compare_keys(const void *a, const void *b, void *len)
{
	return memcmp(a, b, *(const uint32_t *)len);
}

/* The row with this key; NULL: there is none. */
static const void *
set_find(const struct xdp_key_set *set, const void *key)
{
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const void *row = row_at(set, middle);
		int order = memcmp(row, key, set->key_size);

		if (order == 0)
			return row;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int
set_init(struct xdp_key_set *set, uint32_t count, enum xdp_set which)
{
	*set = (struct xdp_key_set){ .rows = calloc(count + 1, sizes[which].row),
				     .count = count,
				     .key_size = sizes[which].key,
				     .row_size = sizes[which].row };
	return set->rows ? 0 : -ENOMEM;
}

static void
set_settle(struct xdp_key_set *set)
{
	uint32_t kept = 0, len = set->key_size;

	qsort_r(set->rows, set->count, set->row_size, compare_keys, &len);
	for (uint32_t i = 0; i < set->count; i++) {
		if (kept && memcmp(row_at(set, kept - 1), row_at(set, i), len) == 0)
			continue;
		memmove(row_at(set, kept++), row_at(set, i), set->row_size);
	}
	set->count = kept;
}

static int
services_to_set(const struct xdp_service *services, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, 2 * count, XDP_SET_SERVICES);
	struct service_row *row = (struct service_row *)set->rows;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count; i++, row++) {
		memcpy(&row->key.address, &services[i].endpoint.ip, sizeof(row->key.address));
		row->key.port_be = services[i].endpoint.port_be;
		row->key.ip_protocol = services[i].ip_protocol;
		row->served.owner = services[i].forwarded ? XDP_OWNER_FORWARDING : XDP_OWNER_STACK;
		row->served.service = services[i].number;
		if (!services[i].forwarded)
			continue;
		row[1].key.address = row->key.address;
		row[1].key.ip_protocol = XDP_LATER_FRAGMENTS;
		row[1].served.owner = XDP_OWNER_FORWARDING;
		row++;
	}
	set->count = (uint32_t)(row - (struct service_row *)set->rows);
	set_settle(set);
	return 0;
}

static int
servers_to_set(const struct xdp_server *servers, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, 2 * count, XDP_SET_SERVERS);
	struct server_row *row = (struct server_row *)set->rows;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count; i++, row++) {
		memcpy(&row->key.address, &servers[i].endpoint.ip, sizeof(row->key.address));
		row->key.port_be = servers[i].endpoint.port_be;
		row->key.ip_protocol = servers[i].ip_protocol;
		row->key.answers = servers[i].answers;
		row->there = 1;
		if (servers[i].answers == XDP_ANSWERS_TO_STACK || servers[i].answers == XDP_ANSWERS_BY_ERRORS)
			continue;
		row[1].key.address = row->key.address;
		row[1].key.ip_protocol = XDP_LATER_FRAGMENTS;
		row[1].there = 1;
		row++;
	}
	set->count = (uint32_t)(row - (struct server_row *)set->rows);
	set_settle(set);
	return 0;
}

static int
locals_to_set(const struct ip_address *locals, uint32_t count, struct xdp_key_set *set)
{
	int rc = set_init(set, count, XDP_SET_LOCALS);
	struct local_row *row = (struct local_row *)set->rows;

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&row[i].key, &locals[i], sizeof(row[i].key));
		row[i].there = 1;
	}
	set_settle(set);
	return 0;
}

/* Of a process before this one. */
static int
set_read(int fd, enum xdp_set which, struct xdp_key_set *set)
{
	uint8_t row[sizeof(struct service_row)] = { 0 }, *larger;
	uint32_t space = 0;
	int rc = set_init(set, 0, which);

	for (const void *before = NULL; rc == 0 && bpf_map_get_next_key(fd, before, row) == 0; before = row) {
		if (bpf_map_lookup_elem(fd, row, row + set->key_size) < 0)
			continue;
		if (set->count == space) {
			space = space ? space * 2 : 256;
			larger = realloc(set->rows, (size_t)space * set->row_size);
			if (!larger)
				return -ENOMEM;
			set->rows = larger;
		}
		memcpy(row_at(set, set->count++), row, set->row_size);
	}
	if (rc == 0)
		set_settle(set);
	return rc;
}

int
xdp_sets_read(struct xdp_program *program)
{
	int rc = 0;

	for (int i = 0; i < XDP_SET_COUNT && rc == 0; i++)
		rc = set_read(xdp_program_set_fd(program, i), i, &program->sets[i]);
	return rc;
}

/* Brings the first `limit` keys of `from` to what `keep` says of them: nothing, or another value. */
static void
map_remove(int fd, const struct xdp_key_set *from, const struct xdp_key_set *keep, uint32_t limit)
{
	for (uint32_t i = 0; i < limit; i++) {
		const void *row = row_at(from, i), *kept = set_find(keep, row);

		if (!kept)
			bpf_map_delete_elem(fd, row);
		else if (memcmp(row, kept, from->row_size) != 0)
			bpf_map_update_elem(fd, kept, value_of(keep, kept), BPF_EXIST);
	}
}

/* All or nothing. */
static int
map_add(int fd, const struct xdp_key_set *set, const struct xdp_key_set *present)
{
	for (uint32_t i = 0; i < set->count; i++) {
		const void *row = row_at(set, i);
		int rc;

		if (set_find(present, row))
			continue;
		rc = bpf_map_update_elem(fd, row, value_of(set, row), BPF_ANY);
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
		free(next[i].rows);
	return rc;
}
