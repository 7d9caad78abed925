/* The directives of `stream` and of its servers. */
#include <errno.h>

#include "l4/settings.h"

/* nginx's. */
#define TIMEOUT_DEFAULT_MS 600000

#define FLOWS_DEFAULT (256u << 10)
/* Few enough for every lcore to have a table worth the name; so many that numbers of entries fit in memory's arithmetic. */
#define FLOWS_MIN 1024
#define FLOWS_MAX (1ull << 32)

#define GUE_PORT_DEFAULT 6080 /* IANA */

/* What a minimal IPv4 host takes without IP options (RFC 9293 section 3.7.1), and what fits an IP packet. */
#define MSS_MIN 536
#define MSS_MAX 65495

/* Timeouts are compared modulo 2^16 seconds, with room for a sweep to come by. */
#define TIMEOUT_MAX_S 43200

#define SYN_RATE_MAX 100000000

static int
fail_duplicate(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
}

static int
fail_value(struct config_directive_call *call)
{
	return config_fail(call, "invalid value \"%s\" in \"%s\" directive", (const char *)call->words[1].data,
			   call->directive->name);
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
	struct l4_stream_settings *server = config_settings(call->block, &l4_module);

	server->file = call->file;
	server->line = call->line;
	return 0;
}

/* ---- stream ---- */

static int
set_flows(struct config_directive_call *call)
{
	struct l4_stream_settings *stream = call->settings;
	size_t flows;

	if (stream->process.flows)
		return fail_duplicate(call);
	if (config_parse_size(call->words[1], &flows) < 0)
		return fail_value(call);
	if (flows < FLOWS_MIN || flows > FLOWS_MAX)
		return config_fail(call, "invalid value \"%s\" in \"flows\" directive, it must be between %u and %llu",
				   (const char *)call->words[1].data, FLOWS_MIN, FLOWS_MAX);
	stream->process.flows = flows;
	return 0;
}

static int
set_hash_seed(struct config_directive_call *call)
{
	struct l4_stream_settings *stream = call->settings;

	if (stream->has_hash_seed)
		return fail_duplicate(call);
	if (!bytes_parse_unsigned(call->words[1], UINT64_MAX, &stream->process.hash_seed))
		return config_fail(call, "invalid number \"%s\"", (const char *)call->words[1].data);
	stream->has_hash_seed = true;
	return 0;
}

/* ---- server ---- */

static int
set_proxy_pass(struct config_directive_call *call)
{
	struct l4_stream_settings *server = call->settings;

	if (server->group)
		return fail_duplicate(call);
	if (bytes_index(call->words[1], '$') >= 0)
		return config_fail(call,
				   "variables in \"proxy_pass\" are not supported in stream: of a packet there are "
				   "none");
	server->group = upstream_group_refer(call, call->words[1], 0);
	return server->group ? 0 : -EINVAL;
}

static const char *
forwarder_names(struct config_directive_call *call)
{
	const char *names = "";

	for (const struct l4_forwarder *const *f = l4_forwarders; *f; f++)
		names = arena_printf(config_arena(call->config), "%s%s%s", names, *names ? ", " : "", (*f)->name);
	return names;
}

static int
set_forward_port(struct config_directive_call *call, struct l4_stream_settings *server, struct bytes word)
{
	struct bytes name = BYTES("port=");
	uint64_t port;

	if (!bytes_start_with(word, name) || !(server->forwarder->properties & L4_TUNNEL_PORT))
		return config_fail(call, "invalid parameter \"%s\"", (const char *)word.data);
	if (!bytes_parse_unsigned(bytes_from(word, name.len), UINT16_MAX, &port) || port == 0)
		return config_fail(call, "invalid port in \"%s\" of the \"forward\" directive",
				   (const char *)word.data);
	server->gue_port = (uint16_t)port;
	return 0;
}

static int
set_forward(struct config_directive_call *call)
{
	struct l4_stream_settings *server = call->settings;
	const char *word = (const char *)call->words[1].data;

	if (server->forwarder)
		return fail_duplicate(call);
	server->forwarder = l4_forwarder_find(word, call->words[1].len);
	if (!server->forwarder)
		return config_fail(call, "invalid value \"%s\" in \"forward\" directive, it must be one of %s", word,
				   forwarder_names(call));
	if (server->forwarder->properties & L4_TUNNEL_PORT)
		server->gue_port = GUE_PORT_DEFAULT;
	return call->word_count > 2 ? set_forward_port(call, server, call->words[2]) : 0;
}

static int
set_mss_clamp(struct config_directive_call *call)
{
	struct l4_stream_settings *settings = call->settings;
	uint64_t mss;

	if (settings->mss_clamp != CONFIG_UNSET)
		return fail_duplicate(call);
	if (bytes_equal_string(call->words[1], "on"))
		settings->mss_clamp = L4_MSS_CLAMP_BY_MTU;
	else if (bytes_equal_string(call->words[1], "off"))
		settings->mss_clamp = L4_MSS_CLAMP_OFF;
	else if (bytes_parse_unsigned(call->words[1], MSS_MAX, &mss) && mss >= MSS_MIN)
		settings->mss_clamp = (int64_t)mss;
	else
		return config_fail(call,
				   "invalid value \"%s\" in \"mss_clamp\" directive, it must be \"on\", \"off\" or a "
				   "number between %d and %d",
				   (const char *)call->words[1].data, MSS_MIN, MSS_MAX);
	return 0;
}

static int
set_timeout(struct config_directive_call *call)
{
	struct l4_stream_settings *settings = call->settings;

	if (config_set_milliseconds(call) < 0)
		return -EINVAL;
	if (settings->timeout_ms < 1000 || settings->timeout_ms > TIMEOUT_MAX_S * 1000ll)
		return config_fail(call,
				   "invalid value \"%s\" in \"proxy_timeout\" directive, it must be between 1s and 12h",
				   (const char *)call->words[1].data);
	return 0;
}

static int
refuse(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is not supported in stream: %s", call->directive->name,
			   (const char *)call->directive->extra);
}

/* ---- module ---- */

static void
settings_init(struct config *config, void *settings)
{
	struct l4_stream_settings *s = settings;

	s->proxy_protocol = s->toa = s->quic_affinity = CONFIG_UNSET;
	s->mss_clamp = s->syn_rate = s->timeout_ms = CONFIG_UNSET;
	s->listens_end = &s->listens;
}

static void
merge_inherited(struct l4_stream_settings *s, const struct l4_stream_settings *outer)
{
	static const struct l4_stream_settings unset = { .proxy_protocol = CONFIG_UNSET,
							 .toa = CONFIG_UNSET,
							 .quic_affinity = CONFIG_UNSET,
							 .mss_clamp = CONFIG_UNSET,
							 .syn_rate = CONFIG_UNSET,
							 .timeout_ms = CONFIG_UNSET };

	if (!outer)
		outer = &unset;
	config_merge(s->proxy_protocol, outer->proxy_protocol, CONFIG_UNSET, 0);
	config_merge(s->toa, outer->toa, CONFIG_UNSET, 0);
	config_merge(s->quic_affinity, outer->quic_affinity, CONFIG_UNSET, 0);
	config_merge(s->mss_clamp, outer->mss_clamp, CONFIG_UNSET, L4_MSS_CLAMP_OFF);
	config_merge(s->syn_rate, outer->syn_rate, CONFIG_UNSET, 0);
	config_merge(s->timeout_ms, outer->timeout_ms, CONFIG_UNSET, TIMEOUT_DEFAULT_MS);
}

static uint32_t
count_servers(const struct config_scope *stream)
{
	uint32_t count = 0;

	for (const struct config_scope *child = stream->children; child; child = child->next)
		count += child->context == CONFIG_STREAM_SERVER;
	return count;
}

static int
merge_server(struct config *config, const struct config_scope *scope, struct l4_stream_settings *server)
{
	struct l4_stream_settings *stream = config_settings(scope->parent, &l4_module);

	if (!server->listens)
		return config_fail_at(config, server->file, server->line, "no \"listen\" is defined for server");
	if (!server->group)
		return config_fail_at(config, server->file, server->line, "no handler for server");
	if (!server->forwarder)
		return config_fail_at(
			config, server->file, server->line,
			"no \"forward\" is defined for server: terminated TCP is not there yet; \"forward\" "
			"makes the service packet-level");
	stream->servers[stream->server_count++] = server;
	return 0;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct l4_stream_settings *s = settings;

	merge_inherited(s, parent);
	if (scope->context == CONFIG_STREAM_SERVER)
		return merge_server(config, scope, s);
	s->servers =
		arena_alloc(config_arena(config), (count_servers(scope) + 1) * sizeof(struct l4_stream_settings *));
	if (!s->process.flows)
		s->process.flows = FLOWS_DEFAULT;
	return 0;
}

static int
settings_finish(struct config *config, struct config_scope *scope, void *settings)
{
	if (scope->context != CONFIG_STREAM)
		return 0;
	return l4_listens_check(config, settings) < 0 || l4_servers_check(config, settings) < 0 ? -EINVAL : 0;
}

#define IN_BOTH (CONFIG_STREAM | CONFIG_STREAM_SERVER)
#define FIELD(name) offsetof(struct l4_stream_settings, name)
#define REFUSED(word, reason)                                                                                          \
	{                                                                                                              \
		.name = word, .contexts = IN_BOTH, .arguments_max = 255, .set = refuse, .extra = reason                \
	}
#define NO_CONNECTION "packets are forwarded, no connection to the server is made"
#define NO_SESSION "packets are forwarded, there is no session to log"

static const struct config_limits syn_rate_limits = { .least = 0, .most = SYN_RATE_MAX };

static const struct config_directive directives[] = {
	{ "stream", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_STREAM, open_stream },
	{ "flows", CONFIG_STREAM, 1, 1, 0, 0, set_flows },
	{ "hash_seed", CONFIG_STREAM, 1, 1, 0, 0, set_hash_seed },
	{ "server", CONFIG_STREAM, 0, 0, CONFIG_BLOCK, CONFIG_STREAM_SERVER, open_server },
	{ "listen", CONFIG_STREAM_SERVER, 1, 255, 0, 0, l4_listen_set },
	{ "proxy_pass", CONFIG_STREAM_SERVER, 1, 1, 0, 0, set_proxy_pass },
	{ "forward", CONFIG_STREAM_SERVER, 1, 2, 0, 0, set_forward },
	{ "quic_affinity", CONFIG_STREAM_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(quic_affinity) },
	{ "proxy_protocol", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(proxy_protocol) },
	{ "toa", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(toa) },
	{ "mss_clamp", IN_BOTH, 1, 1, 0, 0, set_mss_clamp },
	{ "syn_rate", IN_BOTH, 1, 1, 0, 0, config_set_number, FIELD(syn_rate), &syn_rate_limits },
	{ "proxy_timeout", IN_BOTH, 1, 1, 0, 0, set_timeout, FIELD(timeout_ms) },
	/* What http has, and nginx's stream too. Names that neither has here are in the program's list. */
	REFUSED("proxy_connect_timeout", NO_CONNECTION),
	REFUSED("proxy_next_upstream", NO_CONNECTION),
	REFUSED("proxy_next_upstream_tries", NO_CONNECTION),
	REFUSED("proxy_next_upstream_timeout", NO_CONNECTION),
	REFUSED("proxy_buffer_size", NO_CONNECTION),
	REFUSED("access_log", NO_SESSION),
	REFUSED("log_format", NO_SESSION),
	REFUSED("error_log", "it stands in the main context"),
	REFUSED("return", NO_CONNECTION),
	{ 0 },
};

struct config_module l4_module = {
	.name = "l4",
	.contexts = IN_BOTH,
	.settings_size = sizeof(struct l4_stream_settings),
	.init = settings_init,
	.merge = settings_merge,
	.finish = settings_finish,
	.directives = directives,
};

struct l4_stream_settings *
l4_stream_settings(struct config *config)
{
	struct config_scope *scope = config_child(config_root(config), CONFIG_STREAM);

	return scope ? config_settings(scope, &l4_module) : NULL;
}

const struct l4_settings *
l4_settings(struct config *config)
{
	const struct l4_stream_settings *stream = l4_stream_settings(config);

	return stream ? &stream->process : NULL;
}

bool
l4_configured(struct config *config)
{
	const struct l4_stream_settings *stream = l4_stream_settings(config);

	return stream && stream->server_count > 0;
}
