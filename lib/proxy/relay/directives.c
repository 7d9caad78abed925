/* The words of `stream` for servers whose connections are terminated. */
#include <errno.h>

#include "proxy/relay/relay.h"
#include "proxy/settings/error_log.h"
#include "proxy/settings/map.h"
#include "proxy/worker.h"
#include "tls/settings.h"

#define NO_CONNECTION "packets are forwarded, no connection to the server is made"
#define NOTHING_READ "nothing of a connection is read before it is forwarded"
#define NO_END "packets are forwarded, both directions end as the two ends say"

#define FIELD(name) offsetof(struct proxy_relay_server, name)

/* One row per setting that is inherited: what it is without being said, and why a packet-level server has none. */
enum setting_kind { SETTING_FLAG, SETTING_MS, SETTING_SIZE };

static const struct setting {
	const char *word;
	enum setting_kind kind;
	size_t offset;
	int64_t fallback; /* nginx's */
	const char *reason;
} settings_known[] = {
	{ "proxy_connect_timeout", SETTING_MS, FIELD(connect_timeout_ms), 60000, NO_CONNECTION },
	{ "proxy_next_upstream", SETTING_FLAG, FIELD(next), 1, NO_CONNECTION },
	{ "proxy_next_upstream_tries", SETTING_MS, FIELD(next_tries), 0, NO_CONNECTION },
	{ "proxy_next_upstream_timeout", SETTING_MS, FIELD(next_timeout_ms), 0, NO_CONNECTION },
	{ "proxy_half_close", SETTING_FLAG, FIELD(half_close), 0, NO_END },
	{ "ssl_preread", SETTING_FLAG, FIELD(ssl_preread), 0, NOTHING_READ },
	{ "preread_timeout", SETTING_MS, FIELD(preread_timeout_ms), 30000, NOTHING_READ },
	{ "preread_buffer_size", SETTING_SIZE, FIELD(preread_buffer_size), 16384, NOTHING_READ },
	{ "ssl_handshake_timeout", SETTING_MS, FIELD(handshake_timeout_ms), 60000, "TLS is not terminated here" },
	{ "proxy_protocol_timeout", SETTING_MS, FIELD(origin_timeout_ms), 30000, "packets are forwarded as they come" },
};

static bool
is_set(const struct proxy_relay_server *server, const struct setting *setting)
{
	const void *field = (const char *)server + setting->offset;

	return setting->kind == SETTING_FLAG ? *(const int *)field != CONFIG_UNSET
	       : setting->kind == SETTING_MS ? *(const int64_t *)field != CONFIG_UNSET
					     : *(const size_t *)field != CONFIG_UNSET_SIZE;
}

static void
set_to(struct proxy_relay_server *server, const struct setting *setting, const struct proxy_relay_server *outer)
{
	void *field = (char *)server + setting->offset;
	const void *from = outer ? (const char *)outer + setting->offset : NULL;

	if (setting->kind == SETTING_FLAG)
		*(int *)field = outer ? *(const int *)from : (int)setting->fallback;
	else if (setting->kind == SETTING_MS)
		*(int64_t *)field = outer ? *(const int64_t *)from : setting->fallback;
	else
		*(size_t *)field = outer ? *(const size_t *)from : (size_t)setting->fallback;
}

#define EACH_SETTING(s)                                                                                                \
	for (const struct setting *s = settings_known;                                                                 \
	     s < settings_known + sizeof(settings_known) / sizeof(settings_known[0]); s++)

/* ---- setters ---- */

static int
set_preread_size(struct config_directive_call *call)
{
	const struct proxy_relay_server *server = call->settings;

	if (config_set_size(call) < 0)
		return -EINVAL;
	if (server->preread_buffer_size < 1 || server->preread_buffer_size > PROXY_PREREAD_MAX)
		return config_fail(call, "\"preread_buffer_size\" must be between 1 and %d", PROXY_PREREAD_MAX);
	return 0;
}

static int
set_error_log(struct config_directive_call *call)
{
	struct proxy_relay_server *server = call->settings;

	return proxy_error_log_add(call, &server->error_targets);
}

static int
set_nodelay(struct config_directive_call *call)
{
	if (bytes_equal_string(call->words[1], "on"))
		return 0;
	return config_fail(call, "\"tcp_nodelay off\" is not supported: weir never delays the last segment of a round");
}

static int
refuse(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is not supported in stream: %s", call->directive->name,
			   (const char *)call->directive->extra);
}

/* ---- module ---- */

static void
settings_init(struct config *config, void *object)
{
	struct proxy_relay_server *server = object;

	EACH_SETTING(s)
	{
		void *field = (char *)server + s->offset;

		if (s->kind == SETTING_FLAG)
			*(int *)field = CONFIG_UNSET;
		else if (s->kind == SETTING_MS)
			*(int64_t *)field = CONFIG_UNSET;
		else
			*(size_t *)field = CONFIG_UNSET_SIZE;
	}
}

/* `server` is as written, nothing inherited yet. */
static int
check_forwarded(struct config *config, const struct proxy_relay_server *server, const char *forward)
{
	EACH_SETTING(s)
	{
		if (is_set(server, s))
			return config_fail_at(config, server->scope->file, server->scope->line,
					      "\"%s\" cannot be used with \"forward %s\": %s", s->word, forward,
					      s->reason);
	}
	if (server->error_targets)
		return config_fail_at(config, server->scope->file, server->scope->line,
				      "\"error_log\" cannot be used with \"forward %s\": it stands in the main context",
				      forward);
	return 0;
}

/* Servers must be known beforehand, as there is no resolver, and packets of theirs must be recognised: where the variable is a
 * map's, what is written there is a place to pass to as if it stood in `proxy_pass`. */
static int
refer_places(struct config *config, struct proxy_relay_server *server)
{
	struct bytes name = bytes_from(server->words->pass_text, 1);

	if (name.len > 2 && name.data[0] == '{' && name.data[name.len - 1] == '}')
		name = bytes_of(name.data + 1, name.len - 2);
	for (const struct proxy_map_row *row = proxy_map_rows(server->scope, name); row; row = row->next) {
		struct config_directive_call call = {
			.config = config, .scope = server->scope, .file = row->file, .line = row->line
		};
		struct proxy_relay_place *place = arena_alloc(config_arena(config), sizeof(*place));

		if (!config_value_constant(row->value, &place->text) || !place->text.len)
			continue;
		place->group = upstream_group_refer(&call, place->text, 0);
		if (!place->group)
			return -EINVAL;
		place->next = server->places;
		server->places = place;
	}
	return 0;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *object)
{
	struct proxy_relay_server *server = object;
	const struct proxy_relay_server *outer = parent;

	server->scope = scope;
	server->words = config_settings(scope, &stream_module);
	if (server->words->forward)
		return check_forwarded(config, server, server->words->forward);
	EACH_SETTING(s)
	{
		if (!is_set(server, s))
			set_to(server, s, outer);
	}
	if (!server->error_targets && outer)
		server->error_targets = outer->error_targets;
	return server->words->pass ? refer_places(config, server) : 0;
}

/* ---- when all are known ---- */

static const struct upstream_server *
server_without_port(const struct upstream_group *group)
{
	for (uint32_t i = 0; i < upstream_server_count(group); i++)
		if (!group->servers[i].address.port_be)
			return &group->servers[i];
	return NULL;
}

static struct upstream_group *
session_group(struct config *config, const struct upstream_group *group)
{
	const struct upstream_server *peer = server_without_port(group);

	if (!peer)
		return upstream_session_group(config, group);
	config_fail_at(config, peer->file, peer->line, "no port in upstream \"%s\"", (const char *)peer->name.data);
	return NULL;
}

/* The groups that connections may go to: with a variable, all that have a name and can. */
static int
find_groups(struct config *config, struct proxy_relay_server *server)
{
	uint32_t count;
	struct upstream_group **groups = upstream_stream_groups(config, &count);

	if (server->words->answer)
		return 0;
	if (server->words->group) {
		server->group = session_group(config, server->words->group);
		return server->group ? 0 : -EINVAL;
	}
	for (struct proxy_relay_place *place = server->places; place; place = place->next) {
		place->group = session_group(config, place->group);
		if (!place->group)
			return -EINVAL;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!groups[i]->implicit && !server_without_port(groups[i]) &&
		    !upstream_session_group(config, groups[i]))
			return -EINVAL;
	return 0;
}

static int
check_certificate(struct config *config, const struct proxy_relay_server *server, const struct stream_listen *listen)
{
	const struct tls_settings *settings = config_settings(server->scope, &tls_module);

	if (!listen->ssl || settings->certificates.count)
		return 0;
	return config_fail_at(config, server->scope->file, server->scope->line,
			      "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
}

static int
add_server(struct config *config, struct proxy_relay_server *relays, struct proxy_relay_server *server)
{
	if (find_groups(config, server) < 0)
		return -EINVAL;
	for (const struct stream_listen *l = server->words->listens; l; l = l->next) {
		struct proxy_relay_address *address = &relays->addresses[relays->address_count++];

		if (check_certificate(config, server, l) < 0)
			return -EINVAL;
		address->endpoint.ip = l->ip;
		address->endpoint.port_be = htons(l->port_first);
		address->server = server;
		address->listen = l;
	}
	return 0;
}

static int
settings_finish(struct config *config, struct config_scope *scope, void *object)
{
	struct proxy_relay_server *relays = object;
	uint32_t count = 0;

	if (scope->context != CONFIG_STREAM)
		return 0;
	for (uint32_t i = 0; i < relays->words->server_count; i++)
		for (const struct stream_listen *l = relays->words->servers[i]->listens; l; l = l->next)
			count++;
	relays->addresses = arena_alloc(config_arena(config), (count + 1) * sizeof(*relays->addresses));
	for (uint32_t i = 0; i < relays->words->server_count; i++) {
		const struct stream_settings *words = relays->words->servers[i];

		if (!words->forward &&
		    add_server(config, relays, config_settings(words->scope, &proxy_stream_module)) < 0)
			return -EINVAL;
	}
	return 0;
}

/* ---- rows ---- */

#define IN_BOTH (CONFIG_STREAM | CONFIG_STREAM_SERVER)
#define REFUSED(word, reason)                                                                                          \
	{                                                                                                              \
		.name = word, .contexts = IN_BOTH, .arguments_max = 255, .set = refuse, .extra = reason                \
	}

static const struct config_limits tries_limits = { .least = 0, .most = INT32_MAX };

static const struct config_directive directives[] = {
	{ "proxy_connect_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(connect_timeout_ms) },
	{ "proxy_next_upstream", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(next) },
	{ "proxy_next_upstream_tries", IN_BOTH, 1, 1, 0, 0, config_set_number, FIELD(next_tries), &tries_limits },
	{ "proxy_next_upstream_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(next_timeout_ms) },
	{ "proxy_half_close", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(half_close) },
	{ "ssl_preread", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(ssl_preread) },
	{ "preread_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(preread_timeout_ms) },
	{ "preread_buffer_size", IN_BOTH, 1, 1, 0, 0, set_preread_size, FIELD(preread_buffer_size) },
	{ "ssl_handshake_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(handshake_timeout_ms) },
	{ "proxy_protocol_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(origin_timeout_ms) },
	{ "tcp_nodelay", IN_BOTH, 1, 1, CONFIG_FLAG, 0, set_nodelay },
	{ "error_log", IN_BOTH, 1, 255, 0, 0, set_error_log },
	REFUSED("proxy_buffer_size",
		"bytes are moved from one connection's buffer to the other's, there is none between"),
	{ 0 },
};

struct config_module proxy_stream_module = {
	.name = "proxy_relay",
	.contexts = IN_BOTH,
	.settings_size = sizeof(struct proxy_relay_server),
	.init = settings_init,
	.merge = settings_merge,
	.finish = settings_finish,
	.directives = directives,
};

/* ---- looking up ---- */

const struct proxy_relay_server *
proxy_relays(struct config *config)
{
	struct config_scope *scope = config_child(config_root(config), CONFIG_STREAM);

	return scope ? config_settings(scope, &proxy_stream_module) : NULL;
}

const struct proxy_relay_address *
proxy_relay_address_find(const struct proxy_relay_server *relays, const struct endpoint *local)
{
	const struct proxy_relay_address *wildcard = NULL;

	for (uint32_t i = 0; relays && i < relays->address_count; i++) {
		const struct endpoint *e = &relays->addresses[i].endpoint;

		if (e->port_be != local->port_be)
			continue;
		if (ip_address_equal(&e->ip, &local->ip))
			return &relays->addresses[i];
		if (ip_address_is_any(&e->ip) && ip_address_is_v4(&e->ip) == ip_address_is_v4(&local->ip))
			wildcard = &relays->addresses[i];
	}
	return wildcard;
}
