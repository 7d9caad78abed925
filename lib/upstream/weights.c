#include "upstream/weights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct upstream_weight {
	struct upstream_weight *next;
	struct bytes group, server; /* copies: the group's name and the server's address */
	uint32_t weight;
};

void
upstream_weights_clear(struct upstream_weights *weights)
{
	while (weights->first) {
		struct upstream_weight *entry = weights->first;

		weights->first = entry->next;
		free(entry);
	}
}

static struct upstream_weight *
entry_new(struct bytes group, struct bytes server)
{
	struct upstream_weight *entry = calloc(1, sizeof(*entry) + group.len + server.len);
	char *text = (char *)(entry + 1);

	if (!entry)
		return NULL;
	memcpy(text, group.data, group.len);
	memcpy(text + group.len, server.data, server.len);
	entry->group = bytes_of(text, group.len);
	entry->server = bytes_of(text + group.len, server.len);
	return entry;
}

/* Where the entry is, or where one would be added. */
static struct upstream_weight **
find(struct upstream_weight **link, struct bytes group, struct bytes server)
{
	while (*link && !(bytes_equal_ignoring_case((*link)->group, group) && bytes_equal((*link)->server, server)))
		link = &(*link)->next;
	return link;
}

static int
set(struct upstream_weights *weights, struct bytes group, struct bytes server, int64_t weight)
{
	struct upstream_weight **link = find(&weights->first, group, server), *entry = *link;

	if (weight < 0) {
		if (entry)
			*link = entry->next;
		free(entry);
		return 0;
	}
	if (!entry)
		entry = *link = entry_new(group, server);
	if (!entry)
		return -ENOMEM;
	entry->weight = (uint32_t)weight;
	return 0;
}

static bool
is_meant(const struct upstream_server *server, struct bytes name)
{
	return bytes_equal(server->address_text, name) || bytes_equal(server->name, name);
}

/* Whether the group's method could do with them. */
static int
try(const struct upstream_weights *weights, const struct upstream_group *group, struct bytes server, uint32_t weight)
{
	struct arena *arena = arena_new();
	uint32_t count = upstream_server_count(group);
	uint32_t *wanted = arena_alloc(arena, count * sizeof(*wanted));
	int result;

	for (uint32_t i = 0; i < count; i++)
		wanted[i] = is_meant(&group->servers[i], server)
				    ? weight
				    : upstream_weight_in_force(weights, group, &group->servers[i]);
	result = upstream_plan_build(arena, group, wanted, NULL);
	arena_free(arena);
	return result;
}

int
upstream_weights_set(struct upstream_weights *weights, const struct upstream_group *group, struct bytes server,
		     int64_t weight)
{
	bool found = false;
	int result;

	if (weight < -1 || weight > UPSTREAM_WEIGHT_MAX)
		return -EINVAL;
	if (group && weight > 0) {
		result = try(weights, group, server, (uint32_t)weight);
		if (result < 0)
			return result;
	}
	for (uint32_t i = 0; group && i < upstream_server_count(group); i++) {
		if (!is_meant(&group->servers[i], server))
			continue;
		found = true;
		if (set(weights, group->name, group->servers[i].address_text, weight) < 0)
			return -ENOMEM;
	}
	return found ? 0 : -ENOENT;
}

uint32_t
upstream_weight_in_force(const struct upstream_weights *weights, const struct upstream_group *group,
			 const struct upstream_server *server)
{
	struct upstream_weight *first = weights->first;
	const struct upstream_weight *entry = *find(&first, group->name, server->address_text);

	return entry ? entry->weight : server->weight;
}
