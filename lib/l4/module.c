/* The words of packet-level servers in `stream`; those that all servers have are stream/'s. */
#include <errno.h>

#include "l4/settings.h"

#define FLOWS_DEFAULT (256u << 10)
/* Few enough for every lcore to have a table worth the name; so many that numbers of entries fit in memory's arithmetic. */
#define FLOWS_MIN 1024
#define FLOWS_MAX (1ull << 32)

#define GUE_PORT_DEFAULT 6080 /* IANA */

/* What a minimal IPv4 host takes without IP options (RFC 9293 section 3.7.1), and what fits an IP packet. */
#define MSS_MIN 536
#define MSS_MAX 65495

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
	stream_server(call->scope)->forward = server->forwarder->name;
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

/* ---- module ---- */

static void
settings_init(struct config *config, void *settings)
{
	struct l4_stream_settings *s = settings;

	s->toa = s->quic_affinity = CONFIG_UNSET;
	s->mss_clamp = s->syn_rate = CONFIG_UNSET;
}

static void
merge_inherited(struct l4_stream_settings *s, const struct l4_stream_settings *outer)
{
	static const struct l4_stream_settings unset = {
		.toa = CONFIG_UNSET, .quic_affinity = CONFIG_UNSET, .mss_clamp = CONFIG_UNSET, .syn_rate = CONFIG_UNSET
	};

	if (!outer)
		outer = &unset;
	config_merge(s->toa, outer->toa, CONFIG_UNSET, 0);
	config_merge(s->quic_affinity, outer->quic_affinity, CONFIG_UNSET, 0);
	config_merge(s->mss_clamp, outer->mss_clamp, CONFIG_UNSET, L4_MSS_CLAMP_OFF);
	config_merge(s->syn_rate, outer->syn_rate, CONFIG_UNSET, 0);
}

/* Timeouts are compared modulo 2^16 seconds, with room for a sweep to come by. */
static int
check_timeout(struct config *config, const struct stream_settings *server)
{
	if (server->timeout_ms >= 1000 && server->timeout_ms <= TIMEOUT_MAX_S * 1000ll)
		return 0;
	return config_fail_at(config, server->file, server->line,
			      "\"proxy_timeout\" must be between 1s and 12h with \"forward %s\"", server->forward);
}

/* What listeners of connections have, and what of packets has no meaning. */
static int
check_terminating(struct config *config, const struct stream_settings *server)
{
	for (const struct stream_listen *l = server->listens; l; l = l->next)
		if (l->ssl || l->proxy_protocol)
			return config_fail_at(
				config, l->file, l->line,
				"the \"%s\" parameter of \"listen\" cannot be used with \"forward %s\": %s",
				l->ssl ? "ssl" : "proxy_protocol", server->forward,
				l->ssl ? "TLS is not terminated here" : "packets are forwarded as they come");
	if (server->pass)
		return config_fail_at(
			config, server->file, server->line,
			"variables in \"proxy_pass\" cannot be used with \"forward %s\": of a packet there "
			"are none",
			server->forward);
	return 0;
}

/* Words of packets in a server of connections. `s` is as written, nothing inherited yet. */
static int
refuse_words(struct config *config, const struct config_scope *scope, const struct l4_stream_settings *s)
{
	const char *word = s->toa != CONFIG_UNSET             ? "toa"
			   : s->mss_clamp != CONFIG_UNSET     ? "mss_clamp"
			   : s->syn_rate != CONFIG_UNSET      ? "syn_rate"
			   : s->quic_affinity != CONFIG_UNSET ? "quic_affinity"
							      : NULL;

	if (!word)
		return 0;
	return config_fail_at(
		config, scope->file, scope->line,
		"\"%s\" needs \"forward\": without it connections are terminated, and no packets forwarded", word);
}

static int
merge_server(struct config *config, const struct config_scope *scope, struct l4_stream_settings *server)
{
	struct l4_stream_settings *stream = config_settings(scope->parent, &l4_module);

	if (!server->forwarder)
		return 0;
	if (check_timeout(config, server->stream) < 0 || check_terminating(config, server->stream) < 0)
		return -EINVAL;
	stream->servers[stream->server_count++] = server;
	return 0;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct l4_stream_settings *s = settings;

	s->stream = config_settings(scope, &stream_module);
	if (scope->context == CONFIG_STREAM_SERVER && !s->forwarder && refuse_words(config, scope, s) < 0)
		return -EINVAL;
	merge_inherited(s, parent);
	if (scope->context == CONFIG_STREAM_SERVER)
		return merge_server(config, scope, s);
	s->servers = arena_alloc(config_arena(config),
				 (stream_server_count(scope) + 1) * sizeof(struct l4_stream_settings *));
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
static const struct config_limits syn_rate_limits = { .least = 0, .most = SYN_RATE_MAX };

static const struct config_directive directives[] = {
	{ "flows", CONFIG_STREAM, 1, 1, 0, 0, set_flows },
	{ "hash_seed", CONFIG_STREAM, 1, 1, 0, 0, set_hash_seed },
	{ "forward", CONFIG_STREAM_SERVER, 1, 2, 0, 0, set_forward },
	{ "quic_affinity", CONFIG_STREAM_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(quic_affinity) },
	{ "toa", IN_BOTH, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(toa) },
	{ "mss_clamp", IN_BOTH, 1, 1, 0, 0, set_mss_clamp },
	{ "syn_rate", IN_BOTH, 1, 1, 0, 0, config_set_number, FIELD(syn_rate), &syn_rate_limits },
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
