/* Which variables there are: those of the program, and those that a configuration defines. */
#include "config/variable.h"

#include <assert.h>
#include <errno.h>

#include "config/internal.h"

static struct {
	enum config_context space;
	const struct config_variable *variables;
} sets[CONFIG_VARIABLE_SETS];
static size_t set_count;
static config_capture_fn *http_capture, *stream_capture;

void
config_variables_define(enum config_context space, const struct config_variable *variables)
{
	for (size_t i = 0; i < set_count; i++)
		if (sets[i].variables == variables && sets[i].space == space)
			return;
	assert(set_count < CONFIG_VARIABLE_SETS);
	sets[set_count].space = space;
	sets[set_count++].variables = variables;
}

enum config_context
config_variable_space(const struct config_directive_call *call)
{
	const struct config_scope *scope = call->scope;

	while (scope && scope->context != CONFIG_STREAM)
		scope = scope->parent;
	return scope ? CONFIG_STREAM : CONFIG_HTTP;
}

void
config_captures_bind(enum config_context space, config_capture_fn *get)
{
	*(space == CONFIG_STREAM ? &stream_capture : &http_capture) = get;
}

config_capture_fn *
config_capture_getter(enum config_context space)
{
	return space == CONFIG_STREAM ? stream_capture : http_capture;
}

static struct config_local_variable *
local_find(const struct config *config, enum config_context space, struct bytes name)
{
	struct config_local_variable *local = config->variables;

	while (local && (local->space != space || !bytes_equal_ignoring_case(local->name, name)))
		local = local->next;
	return local;
}

static bool
is_prefix(struct bytes variable_name)
{
	return variable_name.len > 0 && variable_name.data[variable_name.len - 1] == '_';
}

/* A name that is itself a prefix ("$http_") is that variable with nothing behind it: none. */
static const struct config_variable *
program_find(enum config_context space, struct bytes name, struct bytes *suffix)
{
	const struct config_variable *by_prefix = NULL;
	size_t longest = 0;

	*suffix = bytes_from(name, name.len);
	for (size_t i = 0; i < set_count; i++)
		for (const struct config_variable *v = sets[i].variables; v->name && sets[i].space == space; v++) {
			struct bytes known = bytes_of_string(v->name);

			if (is_prefix(known)) {
				if (name.len > known.len && known.len > longest && bytes_start_with(name, known)) {
					by_prefix = v;
					longest = known.len;
				}
			} else if (bytes_equal(known, name)) {
				return v;
			}
		}
	if (by_prefix)
		*suffix = bytes_from(name, longest);
	return by_prefix;
}

const struct config_variable *
config_variable_find(const struct config *config, enum config_context space, struct bytes name, struct bytes *suffix)
{
	const struct config_local_variable *local = local_find(config, space, name);

	*suffix = bytes_from(name, name.len);
	return local ? &local->variable : program_find(space, name, suffix);
}

static bool
program_owns(enum config_context space, struct bytes name)
{
	struct bytes suffix;
	const struct config_variable *known = program_find(space, name, &suffix);

	return known && suffix.len == 0 && !known->changeable;
}

static struct config_local_variable *
local_new(struct config *config, enum config_context space, struct bytes name)
{
	struct config_local_variable *local = arena_alloc(config->arena, sizeof(*local));

	local->space = space;
	local->name = name;
	local->next = config->variables;
	config->variables = local;
	return local;
}

int
config_variable_add(struct config_directive_call *call, const struct config_variable *variable)
{
	struct config *config = call->config;
	struct bytes name = arena_copy_lower(config->arena, bytes_of_string(variable->name));
	enum config_context space = config_variable_space(call);
	struct config_local_variable *local = local_find(config, space, name);

	if ((local && !local->variable.changeable) || program_owns(space, name))
		return config_fail(call, "the duplicate \"%s\" variable", (const char *)name.data);
	/* Values compiled so far point to it: the later definition takes its place. */
	if (!local)
		local = local_new(config, space, name);
	local->variable = *variable;
	local->variable.name = (const char *)name.data;
	local->capture = false;
	return 0;
}

static bool
capture_get(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	    size_t scratch_size, struct bytes *value)
{
	unsigned int slot = (unsigned int)(uintptr_t)variable->data;

	return http_capture && http_capture(subject, CONFIG_CAPTURE_NAMED + slot, value);
}

static bool
capture_get_in_stream(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
		      size_t scratch_size, struct bytes *value)
{
	unsigned int slot = (unsigned int)(uintptr_t)variable->data;

	return stream_capture && stream_capture(subject, CONFIG_CAPTURE_NAMED + slot, value);
}

int
config_variable_add_capture(struct config_directive_call *call, struct bytes name, uint8_t *slot)
{
	struct config *config = call->config;
	enum config_context space = config_variable_space(call);
	struct config_local_variable *local = local_find(config, space, name);
	struct config_variable variable = { .get = space == CONFIG_STREAM ? capture_get_in_stream : capture_get,
					    .changeable = true };

	if (local && local->capture) {
		*slot = local->slot;
		return 0;
	}
	if (config->named_captures == CONFIG_NAMED_CAPTURES_MAX)
		return config_fail(call, "more than %d names of groups in regular expressions",
				   CONFIG_NAMED_CAPTURES_MAX);
	*slot = config->named_captures;
	name = arena_copy_lower(config->arena, name);
	variable.name = (const char *)name.data;
	variable.data = (const void *)(uintptr_t)*slot;
	if (config_variable_add(call, &variable) < 0)
		return -EINVAL;
	config->named_captures++;
	local = local_find(config, space, name);
	local->capture = true;
	local->slot = *slot;
	return 0;
}
