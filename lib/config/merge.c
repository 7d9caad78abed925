/* Scopes and their settings: made when a block opens; merged and finished, outermost first, when all is read. */
#include <errno.h>

#include "config/internal.h"

struct config_scope *
config_scope_open(struct config *config, struct config_scope *parent, enum config_context context)
{
	struct config_scope *scope = arena_alloc(config->arena, sizeof(*scope));

	scope->context = context;
	scope->parent = parent;
	scope->settings = arena_alloc(config->arena, (config->module_count + 1) * sizeof(*scope->settings));
	for (size_t i = 0; i < config->module_count; i++) {
		const struct config_module *module = config->modules[i];

		if (!(module->contexts & context))
			continue;
		scope->settings[i] = arena_alloc(config->arena, module->settings_size);
		if (module->init)
			module->init(config, scope->settings[i]);
	}
	if (!parent)
		return scope;
	if (parent->last_child)
		parent->last_child->next = scope;
	else
		parent->children = scope;
	parent->last_child = scope;
	return scope;
}

/* 0 when the step went well; a step that failed without saying why still ends the parse with a message. */
static int
step_done(struct config *config, const struct config_scope *scope, const struct config_module *module, int result)
{
	if (result < 0)
		return config_fail_at(config, scope->file, scope->line, "the settings of \"%s\" do not fit together",
				      module->name);
	return config->error ? -EINVAL : 0;
}

static int
merge_one(struct config *config, struct config_scope *scope, size_t index)
{
	const struct config_module *module = config->modules[index];
	const struct config_scope *outer = scope->parent;

	if (!scope->settings[index] || !module->merge)
		return 0;
	while (outer && !outer->settings[index])
		outer = outer->parent;
	return step_done(config, scope, module,
			 module->merge(config, scope, outer ? outer->settings[index] : NULL, scope->settings[index]));
}

static int
finish_one(struct config *config, struct config_scope *scope, size_t index)
{
	const struct config_module *module = config->modules[index];

	if (!scope->settings[index] || !module->finish)
		return 0;
	return step_done(config, scope, module, module->finish(config, scope, scope->settings[index]));
}

/* In the order of the file, parents before children. Scopes nest at most CONFIG_NESTING_MAX deep. */
static int
walk(struct config *config, struct config_scope *scope,
     int (*step)(struct config *config, struct config_scope *scope, size_t index))
{
	for (size_t i = 0; i < config->module_count; i++)
		if (step(config, scope, i) < 0)
			return -EINVAL;
	for (struct config_scope *child = scope->children; child; child = child->next)
		if (walk(config, child, step) < 0)
			return -EINVAL;
	return 0;
}

int
config_merge_all(struct config *config)
{
	return walk(config, config->root, merge_one);
}

int
config_finish_all(struct config *config)
{
	return walk(config, config->root, finish_one);
}
