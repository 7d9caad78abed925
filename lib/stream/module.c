/* The words that servers of `stream` have, of whichever kind they are. */
#include <errno.h>

#include "stream/internal.h"

/* nginx's. */
#define TIMEOUT_DEFAULT_MS 600000

static int
fail_duplicate(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
}

static int
open_stream(struct config_directive_call *call)
{
	if (config_child(call->scope, CONFIG_STREAM) != call->block)
		return fail_duplicate(call);
	return 0;
}

static int
open_server(struct config_directive_call *call)
{
	struct stream_settings *server = config_settings(call->block, &stream_module);

	server->scope = call->block;
	server->file = call->file;
	server->line = call->line;
	return 0;
}

static int
set_proxy_pass(struct config_directive_call *call)
{
	struct stream_settings *server = call->settings;

	if (server->pass_text.data)
		return fail_duplicate(call);
	server->pass_text = call->words[1];
	if (bytes_index(call->words[1], '$') >= 0) {
		server->pass = config_value_compile(call, call->words[1]);
		return server->pass ? 0 : -EINVAL;
	}
	server->group = upstream_group_refer(call, call->words[1], 0);
	return server->group ? 0 : -EINVAL;
}

static int
set_return(struct config_directive_call *call)
{
	struct stream_settings *server = call->settings;

	if (server->answer)
		return fail_duplicate(call);
	server->answer = config_value_compile(call, call->words[1]);
	return server->answer ? 0 : -EINVAL;
}

/* ---- module ---- */

static void
settings_init(struct config *config, void *settings)
{
	struct stream_settings *s = settings;

	s->proxy_protocol = CONFIG_UNSET;
	s->timeout_ms = CONFIG_UNSET;
	s->listens_end = &s->listens;
}

/* What takes packets to serve: connections have one port each, and are TCP's. */
static int
check_terminated(struct config *config, const struct stream_settings *server)
{
	for (const struct stream_listen *l = server->listens; l; l = l->next) {
		if (l->ip_protocol != IPPROTO_TCP)
			return config_fail_at(
				config, l->file, l->line,
				"\"udp\" needs \"forward\" in its server: datagrams are forwarded packet by "
				"packet, and not otherwise");
		if (!stream_listen_one_port(l))
			return config_fail_at(config, l->file, l->line,
					      "several ports in one \"listen\" need \"forward\" in their server");
	}
	return 0;
}

static int
merge_server(struct config *config, const struct config_scope *scope, struct stream_settings *server)
{
	struct stream_settings *stream = config_settings(scope->parent, &stream_module);

	if (!server->listens)
		return config_fail_at(config, server->file, server->line, "no \"listen\" is defined for server");
	if (!server->pass_text.data && !server->answer)
		return config_fail_at(config, server->file, server->line, "no handler for server");
	if (server->answer && (server->pass_text.data || server->forward))
		return config_fail_at(config, server->file, server->line, "\"return\" cannot stand beside \"%s\"",
				      server->forward ? "forward" : "proxy_pass");
	if (!server->forward && check_terminated(config, server) < 0)
		return -EINVAL;
	stream->servers[stream->server_count++] = server;
	return 0;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	static const struct stream_settings unset = { .proxy_protocol = CONFIG_UNSET, .timeout_ms = CONFIG_UNSET };
	const struct stream_settings *outer = parent ? parent : &unset;
	struct stream_settings *s = settings;

	config_merge(s->proxy_protocol, outer->proxy_protocol, CONFIG_UNSET, 0);
	config_merge(s->timeout_ms, outer->timeout_ms, CONFIG_UNSET, TIMEOUT_DEFAULT_MS);
	if (scope->context == CONFIG_STREAM_SERVER)
		return merge_server(config, scope, s);
	s->servers =
		arena_alloc(config_arena(config), (stream_server_count(scope) + 1) * sizeof(struct stream_settings *));
	return 0;
}

static int
settings_finish(struct config *config, struct config_scope *scope, void *settings)
{
	return scope->context == CONFIG_STREAM ? stream_listens_check(config, settings) : 0;
}

#define IN_BOTH (CONFIG_STREAM | CONFIG_STREAM_SERVER)
#define FIELD(name) offsetof(struct stream_settings, name)

static const struct config_directive directives[] = {
	{ "stream", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_STREAM, open_stream },
	{ "server", CONFIG_STREAM, 0, 0, CONFIG_BLOCK, CONFIG_STREAM_SERVER, open_server },
	{ "listen", CONFIG_STREAM_SERVER, 1, 255, 0, 0, stream_listen_set },
	{ "proxy_pass", CONFIG_STREAM_SERVER, 1, 1, 0, 0, set_proxy_pass },
	{ "return", CONFIG_STREAM_SERVER, 1, 1, 0, 0, set_return },
	{ "proxy_protocol", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(proxy_protocol) },
	{ "proxy_timeout", IN_BOTH, 1, 1, 0, 0, config_set_milliseconds, FIELD(timeout_ms) },
	{ 0 },
};

struct config_module stream_module = {
	.name = "stream",
	.contexts = IN_BOTH,
	.settings_size = sizeof(struct stream_settings),
	.init = settings_init,
	.merge = settings_merge,
	.finish = settings_finish,
	.directives = directives,
};

/* ---- asking ---- */

uint32_t
stream_server_count(const struct config_scope *stream)
{
	uint32_t count = 0;

	for (const struct config_scope *child = stream->children; child; child = child->next)
		count += child->context == CONFIG_STREAM_SERVER;
	return count;
}

struct stream_settings *
stream_settings(struct config *config)
{
	struct config_scope *scope = config_child(config_root(config), CONFIG_STREAM);

	return scope ? config_settings(scope, &stream_module) : NULL;
}

struct stream_settings *
stream_server(const struct config_scope *scope)
{
	return scope->context == CONFIG_STREAM_SERVER ? config_settings(scope, &stream_module) : NULL;
}
