/* Groups of one configuration: found by name, referred to before they are defined, completed at the end of the parse. */
#include <errno.h>

#include "upstream/internal.h"

struct upstream_settings *
upstream_space_settings(const struct config_scope *scope)
{
	while (scope && !(scope->context & (CONFIG_HTTP | CONFIG_STREAM)))
		scope = scope->parent;
	return scope ? config_settings(scope, &upstream_module) : NULL;
}

struct upstream_entry *
upstream_entry_new(struct config_directive_call *call, struct bytes name)
{
	struct upstream_entry *entry = arena_alloc(config_arena(call->config), sizeof(*entry));

	entry->group.name = arena_copy(config_arena(call->config), name);
	entry->group.file = call->file;
	entry->group.line = call->line;
	return entry;
}

struct upstream_entry *
upstream_entry_find(const struct upstream_settings *space, struct bytes name)
{
	struct upstream_entry *entry = space->defined;

	while (entry && !bytes_equal_ignoring_case(entry->group.name, name))
		entry = entry->next;
	return entry;
}

static struct upstream_entry *
reference_find(const struct upstream_settings *space, const struct upstream_host *host)
{
	struct upstream_entry *entry = space->referred;

	while (entry && !(entry->host.port == host->port && entry->host.has_port == host->has_port &&
			  bytes_equal_ignoring_case(entry->group.name, host->host)))
		entry = entry->next;
	return entry;
}

struct upstream_group *
upstream_group_refer(struct config_directive_call *call, struct bytes host_port, uint16_t default_port)
{
	struct upstream_settings *space = upstream_space_settings(call->scope);
	struct upstream_entry *entry;
	struct upstream_host host;
	const char *error;

	if (upstream_host_parse(host_port, default_port, &host, &error) < 0) {
		config_fail(call, "%s in upstream \"%.*s\"", error, (int)host_port.len, (const char *)host_port.data);
		return NULL;
	}
	entry = reference_find(space, &host);
	if (entry)
		return &entry->group;
	entry = upstream_entry_new(call, host.host);
	entry->group.implicit = true;
	entry->group.default_port = default_port;
	entry->host = host;
	entry->host.host = entry->group.name;
	*space->referred_end = entry;
	space->referred_end = &entry->next;
	return &entry->group;
}

/* The host of a reference becomes a group of its own: nginx's defaults, all its addresses. */
static int
resolve_reference(struct config *config, struct upstream_entry *entry)
{
	struct upstream_group *group = &entry->group;
	const char *name = (const char *)group->name.data;
	struct upstream_server model = upstream_server_default(group->name);
	struct endpoint *addresses;
	size_t count;

	/* nginx asks for the port before it asks a name server. */
	if (entry->host.port == 0 && !entry->host.is_address)
		return config_fail_at(config, group->file, group->line, "no port in upstream \"%s\"", name);
	count = upstream_host_resolve(config_arena(config), &entry->host, &addresses);
	if (count == 0)
		return config_fail_at(config, group->file, group->line, "host not found in upstream \"%s\"", name);
	model.file = group->file;
	model.line = group->line;
	if (upstream_servers_add(config_arena(config), entry, &model, addresses, count) < 0)
		return config_fail_at(config, group->file, group->line, "more than %d servers in upstream \"%s\"",
				      UPSTREAM_SERVERS_MAX, name);
	return 0;
}

/* Primary servers first, both parts in the order of the file. */
static void
sort_servers(struct arena *arena, struct upstream_group *group)
{
	uint32_t count = group->primary_count + group->backup_count, primary = 0, backup = group->primary_count;
	struct upstream_server *sorted = arena_alloc(arena, count * sizeof(*sorted));

	for (uint32_t i = 0; i < count; i++)
		sorted[group->servers[i].backup ? backup++ : primary++] = group->servers[i];
	group->servers = sorted;
}

static int
plan_by_configuration(struct config *config, struct upstream_group *group, struct upstream_plan *plan)
{
	struct arena *arena = config_arena(config);
	uint32_t *weights = arena_alloc(arena, upstream_server_count(group) * sizeof(*weights));
	int result;

	for (uint32_t i = 0; i < upstream_server_count(group); i++)
		weights[i] = group->servers[i].weight;
	result = upstream_plan_build(arena, group, weights, plan);
	if (result == -ERANGE)
		return config_fail_at(config, group->file, group->line,
				      "the weights in upstream \"%s\" are too large for \"%s\"",
				      (const char *)group->name.data, group->method->name);
	if (result < 0)
		return config_fail_at(config, group->file, group->line, "cannot build the table of \"%s\"",
				      group->method->name);
	return 0;
}

static int
complete(struct config *config, struct upstream_settings *space, struct upstream_group *group)
{
	if (group->primary_count == 0)
		return config_fail_at(config, group->file, group->line, "no servers in upstream \"%s\"",
				      (const char *)group->name.data);
	if (!group->method)
		group->method = space->stream ? balance_method_find("maglev", 6) : balance_methods[0];
	sort_servers(config_arena(config), group);
	/* In stream tables depend on what the operator says at run time: they are made where that is known. */
	if (plan_by_configuration(config, group, space->stream ? NULL : &group->plan) < 0)
		return -EINVAL;
	group->index = space->group_count;
	space->groups[space->group_count++] = group;
	return 0;
}

static int
finish_reference(struct config *config, struct upstream_settings *space, struct upstream_entry *entry)
{
	struct upstream_entry *defined = upstream_entry_find(space, entry->group.name);

	if (!defined)
		return resolve_reference(config, entry) < 0 ? -EINVAL : complete(config, space, &entry->group);
	if (entry->host.has_port)
		return config_fail_at(config, entry->group.file, entry->group.line,
				      "upstream \"%s\" may not have port %u", (const char *)entry->group.name.data,
				      entry->host.port);
	/* The pointer is already with its users: it becomes a second view of the same group. */
	entry->group = defined->group;
	return 0;
}

int
upstream_groups_finish(struct config *config, struct upstream_settings *space)
{
	size_t count = 0;

	for (const struct upstream_entry *entry = space->defined; entry; entry = entry->next)
		count++;
	for (const struct upstream_entry *entry = space->referred; entry; entry = entry->next)
		count++;
	space->groups = arena_alloc(config_arena(config), (count + 1) * sizeof(struct upstream_group *));
	for (struct upstream_entry *entry = space->defined; entry; entry = entry->next)
		if (complete(config, space, &entry->group) < 0)
			return -EINVAL;
	for (struct upstream_entry *entry = space->referred; entry; entry = entry->next)
		if (finish_reference(config, space, entry) < 0)
			return -EINVAL;
	return 0;
}

/* ---- views for terminated connections ---- */

static struct upstream_group *
session_group_new(struct config *config, const struct upstream_group *group)
{
	struct upstream_group *view = arena_alloc(config_arena(config), sizeof(*view));
	struct config_directive_call call = { .config = config,
					      .scope = config_child(config_root(config), CONFIG_STREAM),
					      .file = group->file,
					      .line = group->line };

	*view = *group;
	if (!group->method_said)
		view->method = balance_methods[0];
	if (view->method->properties & BALANCE_NEEDS_KEY || group->key_text.data)
		view->key = config_value_compile(&call, group->key_text.data ? group->key_text
									     : (struct bytes)BYTES("$remote_addr"));
	if (config_error(config) || plan_by_configuration(config, view, &view->plan) < 0)
		return NULL;
	return view;
}

struct upstream_group *
upstream_session_group(struct config *config, const struct upstream_group *group)
{
	struct upstream_settings *space = upstream_space_settings(config_child(config_root(config), CONFIG_STREAM));
	struct upstream_group *view;

	for (uint32_t i = 0; i < space->session_count; i++)
		if (space->sessions[i]->servers == group->servers)
			return space->sessions[i];
	view = session_group_new(config, group);
	if (!view)
		return NULL;
	if (!space->sessions)
		space->sessions = arena_alloc(config_arena(config), space->group_count * sizeof(*space->sessions));
	view->index = space->session_count;
	space->sessions[space->session_count++] = view;
	return view;
}

struct upstream_group **
upstream_session_groups(struct config *config, uint32_t *count)
{
	const struct upstream_settings *space =
		upstream_space_settings(config_child(config_root(config), CONFIG_STREAM));

	*count = space ? space->session_count : 0;
	return space ? space->sessions : NULL;
}

/* ---- finding ---- */

static struct upstream_group **
groups_of(struct config *config, enum config_context context, uint32_t *count)
{
	const struct upstream_settings *space = upstream_space_settings(config_child(config_root(config), context));

	*count = space ? space->group_count : 0;
	return space ? space->groups : NULL;
}

static struct upstream_group *
group_find(struct config *config, enum config_context context, struct bytes name)
{
	uint32_t count;
	struct upstream_group **groups = groups_of(config, context, &count);

	for (uint32_t i = 0; i < count; i++)
		if (bytes_equal_ignoring_case(groups[i]->name, name))
			return groups[i];
	return NULL;
}

struct upstream_group **
upstream_groups(struct config *config, uint32_t *count)
{
	return groups_of(config, CONFIG_HTTP, count);
}

struct upstream_group *
upstream_group_find(struct config *config, struct bytes name)
{
	return group_find(config, CONFIG_HTTP, name);
}

struct upstream_group **
upstream_stream_groups(struct config *config, uint32_t *count)
{
	return groups_of(config, CONFIG_STREAM, count);
}

struct upstream_group *
upstream_session_group_find(struct config *config, struct bytes name)
{
	uint32_t count;
	struct upstream_group **groups = upstream_session_groups(config, &count);

	for (uint32_t i = 0; i < count; i++)
		if (bytes_equal_ignoring_case(groups[i]->name, name))
			return groups[i];
	return NULL;
}

struct upstream_group *
upstream_stream_group_find(struct config *config, struct bytes name)
{
	return group_find(config, CONFIG_STREAM, name);
}

enum upstream_key
upstream_group_key(const struct upstream_group *group)
{
	if (group->method->properties & BALANCE_NEEDS_ADDRESS)
		return UPSTREAM_KEY_ADDRESS;
	return group->key ? UPSTREAM_KEY_VALUE : UPSTREAM_KEY_NONE;
}

struct bytes
upstream_key_of_address(const struct ip_address *client)
{
	if (ip_address_is_v4(client))
		return bytes_of(client->bytes + 12, 3);
	return bytes_of(client->bytes, 16);
}
