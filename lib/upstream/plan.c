#include <errno.h>

#include "upstream/upstream.h"

/* The table of `count` servers from `first` on; `out` NULL: only whether there could be one. */
static int
table_build(struct arena *arena, const struct upstream_group *group, const uint32_t *weights, uint32_t first,
	    uint32_t count, void **out)
{
	const struct balance_method *method = group->method;
	struct balance_server *facts;
	size_t size;

	if (!method->table_size || count == 0)
		return 0;
	facts = arena_alloc(arena, count * sizeof(*facts));
	for (uint32_t i = 0; i < count; i++) {
		const struct upstream_server *server = &group->servers[first + i];
		struct bytes key = method->properties & BALANCE_SERVER_NAMES ? server->name : server->address_text;

		facts[i] = (struct balance_server){ .key = (const char *)key.data,
						    .key_len = key.len,
						    .weight = weights[first + i] };
	}
	size = method->table_size(facts, count, group->method_options, group->method_size);
	if (size == 0)
		return -ERANGE;
	if (!out)
		return 0;
	*out = arena_alloc(arena, size);
	return method->build(*out, facts, count, group->method_options, group->method_size);
}

int
upstream_plan_build(struct arena *arena, const struct upstream_group *group, const uint32_t *weights,
		    struct upstream_plan *out)
{
	int result;

	if (out)
		*out = (struct upstream_plan){ .weights = weights };
	result = table_build(arena, group, weights, 0, group->primary_count, out ? &out->primary_table : NULL);
	if (result < 0 || group->method->properties & BALANCE_NO_BACKUP)
		return result;
	return table_build(arena, group, weights, group->primary_count, group->backup_count,
			   out ? &out->backup_table : NULL);
}
