#include <stdlib.h>

#include "base/log.h"
#include "proxy/worker.h"

struct proxy_plans {
	struct arena *arena;
	const struct upstream_plan **plans; /* by group->index */
};

static bool
is_as_configured(const struct upstream_group *group, const uint32_t *weights)
{
	for (uint32_t i = 0; i < upstream_server_count(group); i++)
		if (weights[i] != group->servers[i].weight)
			return false;
	return true;
}

static const struct upstream_plan *
plan_of(struct arena *arena, const struct upstream_group *group, const struct upstream_weights *operator)
{
	uint32_t *weights = arena_alloc(arena, upstream_server_count(group) * sizeof(*weights));
	struct upstream_plan *plan = arena_alloc(arena, sizeof(*plan));

	for (uint32_t i = 0; i < upstream_server_count(group); i++)
		weights[i] = upstream_weight_in_force(operator, group, &group->servers[i]);
	if (is_as_configured(group, weights))
		return &group->plan;
	if (upstream_plan_build(arena, group, weights, plan) == 0)
		return plan;
	/* The weight was good for the method that the group had when it was given. */
	log_error(LOG_WARN, "upstream \"%s\" has its configured weights: those of weirctl are too large for \"%s\"",
		  (const char *)group->name.data, group->method->name);
	return &group->plan;
}

struct proxy_plans *
proxy_plans_new(const struct proxy_generation *generation, const struct upstream_weights *of_http,
		const struct upstream_weights *of_stream)
{
	static const struct upstream_weights nothing_said;
	struct proxy_plans *plans = calloc(1, sizeof(*plans));

	if (!plans)
		return NULL;
	plans->arena = arena_new();
	plans->plans = arena_alloc(plans->arena, (generation->group_count + 1) * sizeof(*plans->plans));
	for (uint32_t i = 0; i < generation->group_count; i++)
		plans->plans[i] = plan_of(plans->arena, generation->groups[i],
					  i < generation->http_group_count ? of_http
					  : of_stream                      ? of_stream
									   : &nothing_said);
	return plans;
}

void
proxy_plans_free(struct proxy_plans *plans)
{
	if (plans)
		arena_free(plans->arena);
	free(plans);
}

void
proxy_worker_adopt_plans(struct proxy_worker *worker, const struct proxy_plans *plans)
{
	for (uint32_t i = 0; i < worker->share->generation->group_count; i++)
		upstream_state_adopt(worker->share->states[i], plans->plans[i]);
}
