/* `server ADDRESS [parameters]` of an upstream block. */
#include <errno.h>
#include <inttypes.h>

#include "upstream/internal.h"

static int
fail_parameter(struct config_directive_call *call, struct bytes word)
{
	return config_fail(call, "invalid parameter \"%s\"", (const char *)word.data);
}

static bool
parse_number(struct bytes text, uint64_t most, uint32_t *out)
{
	uint64_t number;

	if (!bytes_parse_unsigned(text, most, &number))
		return false;
	*out = (uint32_t)number;
	return true;
}

static bool
set_weight(struct upstream_server *server, struct bytes value)
{
	return parse_number(value, UPSTREAM_WEIGHT_MAX, &server->weight);
}

static bool
set_max_fails(struct upstream_server *server, struct bytes value)
{
	return parse_number(value, INT32_MAX, &server->max_fails);
}

static bool
set_max_conns(struct upstream_server *server, struct bytes value)
{
	return parse_number(value, INT32_MAX, &server->max_conns);
}

static bool
set_fail_timeout(struct upstream_server *server, struct bytes value)
{
	int64_t seconds;

	if (config_parse_seconds(value, &seconds) < 0 || seconds > INT32_MAX)
		return false;
	server->fail_timeout_ms = seconds * 1000;
	return true;
}

static bool
set_backup(struct upstream_server *server, struct bytes value)
{
	return server->backup = true;
}

static bool
set_down(struct upstream_server *server, struct bytes value)
{
	return server->down = true;
}

/* Whole octets in hexadecimal. */
static bool
set_quic_id(struct upstream_server *server, struct bytes value)
{
	if (value.len == 0 || value.len % 2 || value.len > 2 * UPSTREAM_QUIC_ID_MAX)
		return false;
	server->quic_id = 0;
	for (size_t i = 0; i < value.len; i++) {
		int digit = byte_hex(value.data[i]);

		if (digit < 0)
			return false;
		server->quic_id = server->quic_id << 4 | (uint64_t)digit;
	}
	server->quic_id_len = (uint8_t)(value.len / 2);
	return true;
}

static const struct parameter {
	struct bytes name;                                               /* ends with '=' when a value follows */
	bool (*set)(struct upstream_server *server, struct bytes value); /* NULL: nginx has it, Weir has not */
	bool stream;                                                     /* there alone */
} parameters[] = {
	{ BYTES("weight="), set_weight },
	{ BYTES("max_fails="), set_max_fails },
	{ BYTES("max_conns="), set_max_conns },
	{ BYTES("fail_timeout="), set_fail_timeout },
	{ BYTES("backup"), set_backup },
	{ BYTES("down"), set_down },
	{ BYTES("quic_id="), set_quic_id, true },
	{ BYTES("slow_start="), NULL },
	{ BYTES("resolve"), NULL },
	{ BYTES("route="), NULL },
	{ BYTES("service="), NULL },
	{ BYTES("drain"), NULL },
};

static int
set_parameter(struct config_directive_call *call, struct upstream_server *server, struct bytes word)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		const struct parameter *parameter = &parameters[i];
		bool takes_value = parameter->name.data[parameter->name.len - 1] == '=';

		if (takes_value ? !bytes_start_with(word, parameter->name) : !bytes_equal(word, parameter->name))
			continue;
		if (parameter->stream && call->scope->context != CONFIG_STREAM_UPSTREAM)
			return config_fail(call, "parameter \"%s\" is for upstreams of stream",
					   (const char *)word.data);
		if (!parameter->set)
			return config_fail(call, "parameter \"%s\" is not supported by this version of weir",
					   (const char *)word.data);
		return parameter->set(server, bytes_from(word, parameter->name.len)) ? 0 : fail_parameter(call, word);
	}
	return fail_parameter(call, word);
}

struct upstream_server
upstream_server_default(struct bytes name)
{
	return (struct upstream_server){ .name = name,
					 .weight = 1,
					 .max_fails = UPSTREAM_MAX_FAILS_DEFAULT,
					 .fail_timeout_ms = UPSTREAM_FAIL_TIMEOUT_DEFAULT_MS };
}

/* A place for `count` more, growing by doubling: the old array stays in the arena, which is half of the new one. */
static struct upstream_server *
reserve(struct arena *arena, struct upstream_entry *entry, size_t count)
{
	struct upstream_group *group = &entry->group;
	uint32_t used = group->primary_count + group->backup_count;
	uint32_t space = entry->server_space ? entry->server_space : 4;

	while (space < used + count)
		space *= 2;
	if (space > entry->server_space) {
		struct upstream_server *servers = arena_alloc(arena, space * sizeof(*servers));

		if (used)
			memcpy(servers, group->servers, used * sizeof(*servers));
		group->servers = servers;
		entry->server_space = space;
	}
	return &group->servers[used];
}

int
upstream_servers_add(struct arena *arena, struct upstream_entry *entry, const struct upstream_server *model,
		     const struct endpoint *addresses, size_t count)
{
	struct upstream_group *group = &entry->group;
	struct upstream_server *place;

	if (count > UPSTREAM_SERVERS_MAX - group->primary_count - group->backup_count)
		return -ENOSPC;
	place = reserve(arena, entry, count);
	for (size_t i = 0; i < count; i++) {
		char text[ENDPOINT_TEXT_MAX];
		size_t len = addresses[i].port_be ? endpoint_format(&addresses[i], text, sizeof(text))
						  : ip_address_format(&addresses[i].ip, text, sizeof(text));

		place[i] = *model;
		place[i].address = addresses[i];
		place[i].address_text = arena_copy(arena, bytes_of(text, len));
	}
	if (model->backup)
		group->backup_count += (uint32_t)count;
	else
		group->primary_count += (uint32_t)count;
	return 0;
}

int
upstream_server_set(struct config_directive_call *call)
{
	struct upstream_entry *entry = ((struct upstream_settings *)call->settings)->entry;
	struct arena *arena = config_arena(call->config);
	struct upstream_server model = upstream_server_default(call->words[1]);
	struct endpoint *addresses;
	bool stream = call->scope->context == CONFIG_STREAM_UPSTREAM;
	struct upstream_host host;
	const char *error;
	size_t count;

	model.file = call->file;
	model.line = call->line;
	for (size_t i = 2; i < call->word_count; i++)
		if (set_parameter(call, &model, call->words[i]) < 0)
			return -EINVAL;
	/* Only where the method is named first, as in nginx. */
	if (model.backup && entry->group.method && entry->group.method->properties & BALANCE_NO_BACKUP)
		return config_fail(call, "balancing method does not support parameter \"backup\"");
	/* In stream the port may be the packet's; who refers to the group knows. */
	if (upstream_host_parse(model.name, stream ? 0 : 80, &host, &error) < 0)
		return config_fail(call, "%s in upstream \"%s\"", error, (const char *)model.name.data);
	count = upstream_host_resolve(arena, &host, &addresses);
	if (count == 0)
		return config_fail(call, "host not found in upstream \"%s\"", (const char *)model.name.data);
	if (upstream_servers_add(arena, entry, &model, addresses, count) < 0)
		return config_fail(call, "more than %d servers in upstream \"%s\"", UPSTREAM_SERVERS_MAX,
				   (const char *)entry->group.name.data);
	return 0;
}
