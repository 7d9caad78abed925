#include <errno.h>

#include "proxy/settings/directives.h"
#include "proxy/settings/error_log.h"
#include "proxy/settings/location.h"
#include "proxy/settings/types.h"

/* ---- location ---- */

static int
location_regex(struct config_directive_call *call, struct proxy_location *location, struct bytes pattern,
	       bool ignore_case)
{
	location->kind = PROXY_LOCATION_REGEX;
	location->name = pattern;
	location->regex = config_regex_compile(call, pattern, ignore_case);
	return location->regex ? 0 : -EINVAL;
}

/* "location = /x", "location =/x" and "location /x" alike: the modifier may be glued to the name. */
static int
location_name(struct config_directive_call *call, struct proxy_location *location)
{
	static const struct {
		struct bytes text;
		enum proxy_location_kind kind;
		bool ignore_case;
	} modifiers[] = {
		{ BYTES("="), PROXY_LOCATION_EXACT, false },
		{ BYTES("^~"), PROXY_LOCATION_PREFERRED, false },
		{ BYTES("~*"), PROXY_LOCATION_REGEX, true },
		{ BYTES("~"), PROXY_LOCATION_REGEX, false },
	};
	bool separate = call->word_count == 3;
	struct bytes first = call->words[1], name = call->words[call->word_count - 1];

	for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++) {
		struct bytes text = modifiers[i].text;

		if (separate ? !bytes_equal(first, text) : !bytes_start_with(first, text))
			continue;
		if (!separate)
			name = bytes_from(name, text.len);
		if (modifiers[i].kind == PROXY_LOCATION_REGEX)
			return location_regex(call, location, name, modifiers[i].ignore_case);
		location->kind = modifiers[i].kind;
		location->name = name;
		return 0;
	}
	if (separate)
		return config_fail(call, "invalid location modifier \"%s\"", (const char *)first.data);
	if (name.len && name.data[0] == '@')
		return config_fail(call, "named location \"%s\" is not supported: nothing refers to it in this version",
				   (const char *)name.data);
	location->kind = PROXY_LOCATION_PREFIX;
	location->name = name;
	return 0;
}

static int
open_location(struct config_directive_call *call)
{
	struct proxy_location *location = config_settings(call->block, &proxy_location_module);
	const struct proxy_location *outer;

	location->scope = call->block;
	if (location_name(call, location) < 0)
		return -EINVAL;
	if (call->scope->context != CONFIG_LOCATION)
		return 0;
	outer = call->settings;
	if (outer->kind == PROXY_LOCATION_EXACT)
		return config_fail(call, "location \"%s\" cannot be inside the exact location \"%s\"",
				   (const char *)location->name.data, (const char *)outer->name.data);
	if (location->kind != PROXY_LOCATION_REGEX && !bytes_start_with(location->name, outer->name))
		return config_fail(call, "location \"%s\" is outside location \"%s\"",
				   (const char *)location->name.data, (const char *)outer->name.data);
	return 0;
}

/* ---- return ---- */

static bool
is_url(struct bytes text)
{
	return bytes_start_with(text, (struct bytes)BYTES("http://")) ||
	       bytes_start_with(text, (struct bytes)BYTES("https://")) ||
	       bytes_start_with(text, (struct bytes)BYTES("$scheme"));
}

static int
set_return(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;
	struct bytes text = call->words[call->word_count - 1];
	uint64_t status;

	if (location->return_status != CONFIG_UNSET)
		return 0; /* the first one answers, as in nginx */
	if (bytes_parse_unsigned(call->words[1], 999, &status)) {
		location->return_status = (int)status;
		if (call->word_count == 2)
			return 0;
	} else if (call->word_count == 2 && is_url(text)) {
		location->return_status = 302;
	} else {
		return config_fail(call, "invalid return code \"%s\"", (const char *)call->words[1].data);
	}
	location->return_text = config_value_compile(call, text);
	return location->return_text ? 0 : -EINVAL;
}

/* ---- types ---- */

static int
open_types(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;

	if (!location->types)
		location->types = proxy_types_new(config_arena(call->config));
	return 0;
}

static int
add_type(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;

	for (size_t i = 1; i < call->word_count; i++)
		proxy_types_add(location->types, call->words[i], call->words[0]);
	return 0;
}

/* ---- the rest ---- */

static int
set_keepalive_timeout(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;
	int64_t header_ms = 0;

	if (location->keepalive_timeout_ms != CONFIG_UNSET)
		return config_fail(call, "\"keepalive_timeout\" directive is duplicate");
	if (config_parse_milliseconds(call->words[1], &location->keepalive_timeout_ms) < 0)
		return config_fail(call, "\"keepalive_timeout\" directive invalid value");
	if (call->word_count == 3 && config_parse_milliseconds(call->words[2], &header_ms) < 0)
		return config_fail(call, "\"keepalive_timeout\" directive invalid value");
	location->keepalive_header_s = header_ms / 1000;
	return 0;
}

static int
set_error_log(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;

	return proxy_error_log_add(call, &location->error_targets);
}

static int
set_always_on(struct config_directive_call *call)
{
	int *field = (int *)(void *)((char *)call->settings + call->directive->offset);

	if (config_set_flag(call) < 0)
		return -EINVAL;
	if (!*field)
		return config_fail(call, "\"%s off\" is not supported: %s", call->directive->name,
				   (const char *)call->directive->extra);
	return 0;
}

/* A head and the body that follows it in the same round always share segments, and never wait: both are what the two
 * values of tcp_nopush are for. */
static int
set_gathering(struct config_directive_call *call)
{
	return config_set_flag(call);
}

/* In nearly every nginx.conf, and about files, of which there are none here. */
static int
set_sendfile(struct config_directive_call *call)
{
	config_warn(call, "\"sendfile\" has no effect: weir serves no files");
	return config_set_flag(call);
}

static void
location_init(struct config *config, void *settings)
{
	struct proxy_location *location = settings;

	location->keepalive_timeout_ms = CONFIG_UNSET;
	location->keepalive_header_s = CONFIG_UNSET;
	location->keepalive_requests = CONFIG_UNSET;
	location->keepalive_time_ms = CONFIG_UNSET;
	location->client_body_timeout_ms = CONFIG_UNSET;
	location->send_timeout_ms = CONFIG_UNSET;
	location->lingering_time_ms = CONFIG_UNSET;
	location->lingering_timeout_ms = CONFIG_UNSET;
	location->http2_chunk_size = CONFIG_UNSET_SIZE;
	location->client_max_body_size = CONFIG_UNSET_SIZE;
	location->server_tokens = CONFIG_UNSET;
	location->tcp_nodelay = CONFIG_UNSET;
	location->tcp_nopush = CONFIG_UNSET;
	location->sendfile = CONFIG_UNSET;
	location->absolute_redirect = CONFIG_UNSET;
	location->server_name_in_redirect = CONFIG_UNSET;
	location->port_in_redirect = CONFIG_UNSET;
	location->return_status = CONFIG_UNSET;
	proxy_pass_init(location);
}

static struct proxy_types *
default_types(struct config *config)
{
	struct proxy_types *types = proxy_types_new(config_arena(config));

	proxy_types_add(types, (struct bytes)BYTES("html"), (struct bytes)BYTES("text/html"));
	proxy_types_add(types, (struct bytes)BYTES("gif"), (struct bytes)BYTES("image/gif"));
	proxy_types_add(types, (struct bytes)BYTES("jpg"), (struct bytes)BYTES("image/jpeg"));
	return types;
}

static int
location_merge(struct config *config, struct config_scope *scope, const void *parent_settings, void *settings)
{
	struct proxy_location unset = { 0 };
	const struct proxy_location *parent = parent_settings ? parent_settings : &unset;
	struct proxy_location *location = settings;

	location_init(config, &unset);
	location->scope = scope;
	config_merge(location->keepalive_header_s, parent->keepalive_header_s, CONFIG_UNSET, 0);
	config_merge(location->keepalive_timeout_ms, parent->keepalive_timeout_ms, CONFIG_UNSET, 75000);
	config_merge(location->keepalive_requests, parent->keepalive_requests, CONFIG_UNSET, 1000);
	config_merge(location->keepalive_time_ms, parent->keepalive_time_ms, CONFIG_UNSET, 3600000);
	config_merge(location->client_body_timeout_ms, parent->client_body_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(location->send_timeout_ms, parent->send_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(location->lingering_time_ms, parent->lingering_time_ms, CONFIG_UNSET, PROXY_LINGERING_TIME_MS);
	config_merge(location->lingering_timeout_ms, parent->lingering_timeout_ms, CONFIG_UNSET,
		     PROXY_LINGERING_TIMEOUT_MS);
	config_merge(location->http2_chunk_size, parent->http2_chunk_size, CONFIG_UNSET_SIZE, 8192);
	config_merge(location->client_max_body_size, parent->client_max_body_size, CONFIG_UNSET_SIZE, 1 << 20);
	config_merge(location->server_tokens, parent->server_tokens, CONFIG_UNSET, 1);
	config_merge(location->absolute_redirect, parent->absolute_redirect, CONFIG_UNSET, 1);
	config_merge(location->server_name_in_redirect, parent->server_name_in_redirect, CONFIG_UNSET, 0);
	config_merge(location->port_in_redirect, parent->port_in_redirect, CONFIG_UNSET, 1);
	config_merge(location->default_type.data, parent->default_type.data, NULL, (const uint8_t *)"text/plain");
	location->default_type = bytes_of_string((const char *)location->default_type.data);
	if (!location->error_targets)
		location->error_targets = parent->error_targets;
	if (!location->types)
		location->types = parent->types ? parent->types : default_types(config);
	return proxy_pass_merge(config, scope, parent, location);
}

static int
location_finish(struct config *config, struct config_scope *scope, void *settings)
{
	struct proxy_location *location = settings;

	if (location->pass_secure) {
		const struct config_module *module = location->pass_http2 ? &tls_grpc_module : &tls_client_module;

		location->client_settings = config_settings(scope, module);
		location->client = tls_client_get(config, scope, module);
		if (!location->client)
			return -EINVAL;
	}
	if (location->pass_http2)
		location->redirect_mode = PROXY_REDIRECT_OFF; /* there is no grpc_redirect */
	return scope->context == CONFIG_LOCATION ? proxy_locations_build(config, scope, &location->locations) : 0;
}

#define FIELD(name) offsetof(struct proxy_location, name)
#define ANY (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION)
#define INNER (CONFIG_SERVER | CONFIG_LOCATION)

static const struct config_directive directives[] = {
	{ "location", INNER, 1, 2, CONFIG_BLOCK, CONFIG_LOCATION, open_location },
	{ "return", INNER, 1, 2, 0, 0, set_return },
	{ "types", ANY, 0, 0, CONFIG_BLOCK | CONFIG_ANYWHERE_ROWS, CONFIG_TYPES, open_types, 0, NULL, add_type },
	{ "error_log", ANY, 1, 255, 0, 0, set_error_log },
	{ "default_type", ANY, 1, 1, 0, 0, config_set_string, FIELD(default_type) },
	{ "keepalive_timeout", ANY, 1, 2, 0, 0, set_keepalive_timeout },
	{ "keepalive_requests", ANY, 1, 1, 0, 0, config_set_number, FIELD(keepalive_requests) },
	{ "keepalive_time", ANY, 1, 1, 0, 0, config_set_milliseconds, FIELD(keepalive_time_ms) },
	{ "client_max_body_size", ANY, 1, 1, 0, 0, config_set_size, FIELD(client_max_body_size) },
	{ "client_body_timeout", ANY, 1, 1, 0, 0, config_set_milliseconds, FIELD(client_body_timeout_ms) },
	{ "send_timeout", ANY, 1, 1, 0, 0, config_set_milliseconds, FIELD(send_timeout_ms) },
	{ "lingering_time", ANY, 1, 1, 0, 0, config_set_milliseconds, FIELD(lingering_time_ms) },
	{ "lingering_timeout", ANY, 1, 1, 0, 0, config_set_milliseconds, FIELD(lingering_timeout_ms) },
	{ "server_tokens", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(server_tokens) },
	{ "tcp_nodelay", ANY, 1, 1, CONFIG_FLAG, 0, set_always_on, FIELD(tcp_nodelay),
	  "weir never delays the last segment of a round" },
	{ "tcp_nopush", ANY, 1, 1, CONFIG_FLAG, 0, set_gathering, FIELD(tcp_nopush) },
	{ "sendfile", ANY, 1, 1, CONFIG_FLAG, 0, set_sendfile, FIELD(sendfile) },
	{ "absolute_redirect", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(absolute_redirect) },
	{ "server_name_in_redirect", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(server_name_in_redirect) },
	{ "port_in_redirect", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(port_in_redirect) },
	{ "http2_chunk_size", ANY, 1, 1, 0, 0, proxy_set_http2_chunk_size, FIELD(http2_chunk_size) },
	PROXY_PASS_DIRECTIVES,
	PROXY_GRPC_DIRECTIVES,
	{ 0 },
};

struct config_module proxy_location_module = {
	.name = "proxy_location",
	.contexts = ANY,
	.settings_size = sizeof(struct proxy_location),
	.init = location_init,
	.merge = location_merge,
	.finish = location_finish,
	.directives = directives,
};
