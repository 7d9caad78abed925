#include "l4/generation.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "l4/settings.h"

/* What all services that refer to one group have in common. */
struct choice {
	bool made;
	uint32_t *weights;
	uint64_t *usable;
	const struct balance_maglev *maglev; /* NULL: nobody takes new flows */
	void *table;
};

struct builder {
	const struct l4_generation_config *config;
	struct l4_generation *g;
	struct upstream_group **groups;
	struct choice *choices; /* by the group's index */
	char *error;
	size_t error_size;
};

static int __attribute__((format(printf, 3, 4))) fail(struct builder *b, int result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(b->error, b->error_size, format, arguments);
	va_end(arguments);
	return result;
}

/* ---- groups: weights in force and tables ---- */

/* Marks those in [first, last) that take new flows; false when there are none. */
static bool
mark_usable(const struct upstream_group *group, struct choice *choice, uint32_t first, uint32_t last)
{
	bool any = false;

	for (uint32_t i = first; i < last; i++) {
		if (group->servers[i].down || choice->weights[i] == 0)
			continue;
		choice->usable[i / 64] |= 1ull << (i % 64);
		any = true;
	}
	return any;
}

/* What a method is told of the servers: the part of the group that is asked now, each at its place. */
static struct balance_server *
facts_of(struct builder *b, const struct upstream_group *group, const struct choice *choice, bool backups, bool maglev)
{
	uint32_t count = upstream_server_count(group);
	struct balance_server *facts = arena_alloc(b->g->arena, count * sizeof(*facts));

	for (uint32_t i = 0; i < count; i++) {
		const struct upstream_server *server = &group->servers[i];
		bool by_name = !maglev && group->method->properties & BALANCE_SERVER_NAMES;
		struct bytes key = by_name ? server->name : server->address_text;
		bool asked = backups == (i >= group->primary_count);

		/* A table that is asked by hash alone holds nobody who may not be chosen. A method knows `usable`. */
		if (maglev && !balance_usable(choice->usable, i))
			asked = false;
		facts[i] = (struct balance_server){ .key = (const char *)key.data,
						    .key_len = key.len,
						    .weight = asked ? choice->weights[i] : 0 };
	}
	return facts;
}

static int
fail_weights(struct builder *b, const struct upstream_group *group, const char *method)
{
	return fail(b, -EINVAL, "the weights in upstream \"%s\" are too large for \"%s\"",
		    (const char *)group->name.data, method);
}

static int
make_maglev(struct builder *b, const struct upstream_group *group, struct choice *choice, bool backups)
{
	const struct balance_server *facts = facts_of(b, group, choice, backups, true);
	int error = l4_registry_maglev_get(b->g->registry, facts, upstream_server_count(group), &choice->maglev);

	if (error == -ENOMEM)
		return fail(b, error, "no memory for the Maglev table of upstream \"%s\"",
			    (const char *)group->name.data);
	if (error < 0)
		return fail_weights(b, group, "maglev");
	b->g->tables[b->g->table_count++] = choice->maglev;
	return 0;
}

static int
make_table(struct builder *b, const struct upstream_group *group, struct choice *choice, bool backups)
{
	const struct balance_method *method = group->method;
	const struct balance_server *facts = facts_of(b, group, choice, backups, false);
	uint32_t count = upstream_server_count(group);
	size_t size;

	if (!method->table_size)
		return 0;
	size = method->table_size(facts, count, group->method_options, group->method_size);
	if (size == 0)
		return fail_weights(b, group, method->name);
	choice->table = arena_alloc(b->g->arena, size);
	if (method->build(choice->table, facts, count, group->method_options, group->method_size) < 0)
		return fail(b, -ENOMEM, "cannot build the table of \"%s\" for upstream \"%s\"", method->name,
			    (const char *)group->name.data);
	return 0;
}

static bool
is_maglev(const struct upstream_group *group)
{
	return group->method == balance_method_find("maglev", strlen("maglev"));
}

static int
choose(struct builder *b, const struct upstream_group *group)
{
	const struct upstream_weights *weights = l4_registry_weights(b->g->registry);
	struct choice *choice = &b->choices[group->index];
	uint32_t count = upstream_server_count(group);
	bool backups = false;

	if (choice->made)
		return 0;
	choice->made = true;
	choice->weights = arena_alloc(b->g->arena, count * sizeof(*choice->weights));
	choice->usable = arena_alloc(b->g->arena, (count + 63) / 64 * sizeof(*choice->usable));
	for (uint32_t i = 0; i < count; i++)
		choice->weights[i] = upstream_weight_in_force(weights, group, &group->servers[i]);
	if (!mark_usable(group, choice, 0, group->primary_count)) {
		backups = true;
		if (!mark_usable(group, choice, group->primary_count, count))
			return 0;
	}
	if (make_maglev(b, group, choice, backups) < 0)
		return -EINVAL;
	return is_maglev(group) ? 0 : make_table(b, group, choice, backups);
}

/* ---- services and targets ---- */

static struct l4_target
target_model(struct builder *b, const struct l4_stream_settings *server, const struct l4_service *service,
	     const struct upstream_server *peer)
{
	const struct l4_generation_config *config = b->config;
	bool clamps = service->options & L4_OPTION_MSS_CLAMP;
	struct l4_target target = { .forwarder = service->forwarder,
				    .service_id = service->id,
				    .ip_protocol = service->ip_protocol,
				    .options = service->options,
				    .gue_port_be = htons(server->gue_port),
				    .timeout_s = service->timeout_s };

	target.server.ip = peer->address.ip;
	target.server.port_be = peer->address.port_be;
	target.vip.ip = service->ip;
	target.vip.port_be = service->port_first == service->port_last ? htons(service->port_first) : 0;
	if (clamps && server->mss_clamp != L4_MSS_CLAMP_BY_MTU)
		target.mss_max = (uint16_t)server->mss_clamp;
	if (service->forwarder->properties & (L4_NEEDS_LOCAL_PORT | L4_TUNNELS) &&
	    !config->source_of(config->context, &target.server.ip, &target.local))
		memset(&target.local, 0, sizeof(target.local));
	return target;
}

static int
hold_targets(struct builder *b, const struct l4_stream_settings *server, struct l4_service *service)
{
	struct l4_generation *g = b->g;
	uint32_t count = upstream_server_count(service->group);

	service->server_count = count;
	service->targets = arena_alloc(g->arena, count * sizeof(*service->targets));
	for (uint32_t i = 0; i < count; i++) {
		struct l4_target model = target_model(b, server, service, &service->group->servers[i]);
		uint32_t number = l4_registry_target_get(g->registry, &model);

		if (number == L4_TARGET_NONE)
			return fail(b, -ENOSPC,
				    "more than %d ways to servers: those of earlier configurations count until their "
				    "flows have ended",
				    L4_TARGETS_MAX - 1);
		service->targets[i] = number;
		g->held[g->held_count++] = number;
	}
	return 0;
}

static uint8_t
options_of(const struct l4_stream_settings *server, uint8_t ip_protocol)
{
	uint32_t options = (server->toa ? L4_OPTION_TOA : 0) |
			   (server->stream->proxy_protocol ? L4_OPTION_PROXY_PROTOCOL : 0) |
			   (server->mss_clamp != L4_MSS_CLAMP_OFF ? L4_OPTION_MSS_CLAMP : 0);

	return ip_protocol == IPPROTO_TCP ? (uint8_t)options : 0;
}

static int
add_service(struct builder *b, const struct l4_stream_settings *server, const struct stream_listen *listen)
{
	struct l4_generation *g = b->g;
	struct l4_service *service = &g->services[g->service_count];
	const struct upstream_group *group = b->groups[server->stream->group->index];
	const struct choice *choice = &b->choices[group->index];
	struct l4_service_key key = { listen->ip, listen->port_first, listen->port_last, listen->ip_protocol };

	if (choose(b, group) < 0)
		return -EINVAL;
	*service = (struct l4_service){
		.ip = listen->ip,
		.port_first = listen->port_first,
		.port_last = listen->port_last,
		.ip_protocol = listen->ip_protocol,
		.by_address = group->by_address,
		.id = l4_registry_service_get(g->registry, &key),
		.forwarder = server->forwarder,
		.group = group,
		.weights = choice->weights,
		.maglev = choice->maglev,
		.method = is_maglev(group) ? NULL : group->method,
		.table = choice->table,
		.usable = choice->usable,
		.quic = server->quic_affinity ? l4_quic_ids_build(g->arena, group) : NULL,
		.syn_rate = (uint32_t)server->syn_rate,
		.timeout_s = (uint32_t)(server->stream->timeout_ms / 1000),
		.options = options_of(server, listen->ip_protocol),
		.file = listen->file,
		.line = listen->line,
	};
	if (service->id == 0)
		return fail(b, -ENOSPC,
			    "more than %d services: those of earlier configurations count until their flows have ended",
			    L4_SERVICES_MAX);
	g->by_id[service->id] = (uint16_t)++g->service_count;
	return hold_targets(b, server, service);
}

/* ---- what follows from all of them ---- */

struct gathering {
	const struct l4_target **targets;
	uint32_t count;
};

static void
gather_answering(void *context, const struct l4_target *target)
{
	struct gathering *gathering = context;

	if (target->forwarder->properties & L4_SEES_ANSWERS)
		gathering->targets[gathering->count++] = target;
}

static void
count_target(void *context, const struct l4_target *target)
{
	++*(uint32_t *)context;
}

static int
build_find(struct builder *b)
{
	struct l4_generation *g = b->g;
	struct gathering gathering = { 0 };
	uint32_t count = 0;

	l4_registry_each_target(g->registry, count_target, &count);
	gathering.targets = malloc((count + 1) * sizeof(struct l4_target *));
	if (!gathering.targets)
		return fail(b, -ENOMEM, "no memory for the table of servers");
	l4_registry_each_target(g->registry, gather_answering, &gathering);
	l4_find_build(&g->find, g->arena, g->services, g->service_count, gathering.targets, gathering.count);
	free(gathering.targets);
	return 0;
}

/* Held by this generation and not by the previous one, each once. */
static void
note_fresh(struct l4_generation *g, const struct l4_generation *previous)
{
	uint64_t *known = arena_alloc(g->arena, L4_TARGETS_MAX / 8);

	for (uint32_t i = 0; previous && i < previous->held_count; i++)
		known[previous->held[i] / 64] |= 1ull << (previous->held[i] % 64);
	g->fresh = arena_alloc(g->arena, (g->held_count + 1) * sizeof(*g->fresh));
	for (uint32_t i = 0; i < g->held_count; i++) {
		uint32_t number = g->held[i];

		if (known[number / 64] >> (number % 64) & 1)
			continue;
		known[number / 64] |= 1ull << (number % 64);
		g->fresh[g->fresh_count++] = number;
	}
}

/* ---- a generation's life ---- */

static struct l4_generation *
generation_alloc(struct l4_registry *registry, const struct l4_stream_settings *stream, uint32_t group_count)
{
	struct l4_generation *g = calloc(1, sizeof(*g));
	size_t services = 0, targets = 0;

	if (!g)
		return NULL;
	for (uint32_t i = 0; stream && i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->stream->listens; l; l = l->next) {
			services++;
			targets += upstream_server_count(stream->servers[i]->stream->group);
		}
	g->registry = registry;
	g->arena = arena_new();
	g->services = arena_alloc(g->arena, (services + 1) * sizeof(*g->services));
	g->by_id = arena_alloc(g->arena, (L4_SERVICES_MAX + 1) * sizeof(*g->by_id));
	g->held = arena_alloc(g->arena, (targets + 1) * sizeof(*g->held));
	g->tables = arena_alloc(g->arena, (group_count + 1) * sizeof(struct balance_maglev *));
	return g;
}

static int
build(struct builder *b, const struct l4_stream_settings *stream)
{
	int error;

	for (uint32_t i = 0; stream && i < stream->server_count; i++)
		for (const struct stream_listen *l = stream->servers[i]->stream->listens; l; l = l->next) {
			error = add_service(b, stream->servers[i], l);
			if (error < 0)
				return error;
		}
	error = build_find(b);
	if (error < 0)
		return error;
	note_fresh(b->g, b->config->previous);
	return 0;
}

int
l4_generation_new(const struct l4_generation_config *config, struct l4_generation **out, char *error, size_t size)
{
	const struct l4_stream_settings *stream = l4_stream_settings(config->config);
	struct builder b = { .config = config, .error = error, .error_size = size };
	uint32_t group_count;
	int result;

	b.groups = upstream_stream_groups(config->config, &group_count);
	b.g = generation_alloc(config->registry, stream, group_count);
	if (!b.g)
		return fail(&b, -ENOMEM, "no memory for the services");
	b.choices = arena_alloc(b.g->arena, (group_count + 1) * sizeof(*b.choices));
	result = build(&b, stream);
	if (result < 0) {
		l4_generation_free(b.g);
		return result;
	}
	*out = b.g;
	return 0;
}

void
l4_generation_free(struct l4_generation *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->held_count; i++)
		l4_registry_target_put(g->registry, g->held[i]);
	for (uint32_t i = 0; i <= g->service_count; i++)
		if (g->services[i].id)
			l4_registry_service_put(g->registry, g->services[i].id);
	for (uint32_t i = 0; i < g->table_count; i++)
		l4_registry_maglev_put(g->registry, g->tables[i]);
	arena_free(g->arena);
	free(g);
}

static struct l4_find_slot free_slot;
static uint32_t free_place;

const struct l4_generation l4_generation_none = { .find = { .slots = &free_slot, .filter = &free_place } };

/* ---- questions ---- */

uint32_t
l4_generation_service_count(const struct l4_generation *generation)
{
	return generation->service_count;
}

const struct l4_service *
l4_generation_service(const struct l4_generation *generation, uint32_t index)
{
	assert(index < generation->service_count);
	return &generation->services[index];
}

const struct l4_service *
l4_service_by_id(const struct l4_generation *generation, uint16_t id)
{
	uint16_t place = id <= L4_SERVICES_MAX ? generation->by_id[id] : 0;

	return place ? &generation->services[place - 1] : NULL;
}

const uint32_t *
l4_generation_fresh_targets(const struct l4_generation *generation, uint32_t *count)
{
	*count = generation->fresh_count;
	return generation->fresh;
}

static bool
answers(const struct l4_target *target)
{
	return target->forwarder->properties & L4_SEES_ANSWERS;
}

static int
compare_targets(const void *left, const void *right)
{
	const struct l4_target *a = *(const struct l4_target *const *)left;
	const struct l4_target *b = *(const struct l4_target *const *)right;
	int order = memcmp(a->server.ip.bytes, b->server.ip.bytes, sizeof(a->server.ip.bytes));

	if (order == 0)
		order = (int)ntohs(a->server.port_be) - (int)ntohs(b->server.port_be);
	if (order == 0)
		order = (int)a->ip_protocol - (int)b->ip_protocol;
	if (order == 0)
		order = (int)answers(a) - (int)answers(b);
	return order ? order : a < b ? -1 : a > b;
}

void
l4_generation_each_server(const struct l4_generation *g,
			  void (*each)(void *context, const struct l4_target *target, bool answers), void *context)
{
	const struct l4_target *all = l4_registry_targets(g->registry);
	struct arena *arena = arena_new();
	const struct l4_target **sorted = arena_alloc(arena, (g->held_count + 1) * sizeof(struct l4_target *));

	for (uint32_t i = 0; i < g->held_count; i++)
		sorted[i] = &all[g->held[i]];
	qsort(sorted, g->held_count, sizeof(struct l4_target *), compare_targets);
	for (uint32_t i = 0; i < g->held_count; i++)
		if (i == 0 || !endpoint_equal(&sorted[i]->server, &sorted[i - 1]->server) ||
		    sorted[i]->ip_protocol != sorted[i - 1]->ip_protocol ||
		    answers(sorted[i]) != answers(sorted[i - 1]))
			each(context, sorted[i], answers(sorted[i]));
	arena_free(arena);
}
