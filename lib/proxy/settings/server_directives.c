#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>

#include "proxy/settings/directives.h"
#include "proxy/settings/location.h"
#include "proxy/settings/virtual_host.h"

/* ---- listen ---- */

/* What nginx's `listen` takes and Weir does not have (yet), each with its reason. */
static const struct {
	const char *word, *reason;
} listen_unsupported[] = {
	{ "quic", "HTTP/3 is not part of this version" },
	{ "spdy", "SPDY is gone" },
	{ "deferred", "there is no kernel socket to defer" },
	{ "bind", "there is no kernel socket to bind" },
	{ "reuseport", "every worker listens on every address already" },
	{ "setfib=", "there is no kernel socket" },
	{ "fastopen=", "TCP Fast Open is not part of this version" },
	{ "backlog=", "there is no kernel socket with a backlog" },
	{ "rcvbuf=", "there is no kernel socket with a buffer" },
	{ "sndbuf=", "there is no kernel socket with a buffer" },
	{ "accept_filter=", "there is no kernel socket to filter" },
	{ "ipv6only=off", "listen on both addresses instead" },
	{ "so_keepalive=", "keepalive probes are not configurable in this version" },
};

static int
listen_option(struct config_directive_call *call, struct proxy_listen *listen, struct bytes word)
{
	if (bytes_equal_string(word, "default_server") || bytes_equal_string(word, "default")) {
		listen->default_server = true;
		return 0;
	}
	if (bytes_equal_string(word, "ssl")) {
		listen->ssl = true;
		return 0;
	}
	if (bytes_equal_string(word, "http2")) {
		listen->http2 = true;
		return 0;
	}
	if (bytes_equal_string(word, "proxy_protocol")) {
		listen->proxy_protocol = true;
		return 0;
	}
	if (bytes_equal_string(word, "ipv6only=on"))
		return 0;
	for (size_t i = 0; i < sizeof(listen_unsupported) / sizeof(listen_unsupported[0]); i++) {
		struct bytes name = bytes_of_string(listen_unsupported[i].word);
		bool is_prefix = name.data[name.len - 1] == '=';

		if (is_prefix ? bytes_start_with(word, name) : bytes_equal(word, name))
			return config_fail(call, "the \"%s\" parameter of \"listen\" is not supported: %s",
					   (const char *)word.data, listen_unsupported[i].reason);
	}
	return config_fail(call, "invalid parameter \"%s\"", (const char *)word.data);
}

/* A host name in `listen`, as in "localhost:8080": the first IPv4 address it has. */
static int
listen_resolve(struct config_directive_call *call, struct bytes text, struct endpoint *out)
{
	ptrdiff_t colon = bytes_index(text, ':');
	struct bytes host = colon < 0 ? text : bytes_of(text.data, (size_t)colon);
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
	uint64_t port = 80;

	if (colon >= 0 && (!bytes_parse_unsigned(bytes_from(text, (size_t)colon + 1), 65535, &port) || !port))
		return config_fail(call, "invalid port in \"%s\" of the \"listen\" directive", (const char *)text.data);
	host = arena_copy(config_arena(call->config), host);
	if (getaddrinfo((const char *)host.data, NULL, &hints, &found) != 0)
		return config_fail(call, "host not found in \"%s\" of the \"listen\" directive",
				   (const char *)text.data);
	endpoint_from_sockaddr(found->ai_addr, out);
	freeaddrinfo(found);
	out->port_be = htons((uint16_t)port);
	return 0;
}

static int
listen_address(struct config_directive_call *call, struct bytes text, struct endpoint *out)
{
	uint64_t port;

	if (bytes_start_with(text, (struct bytes)BYTES("unix:")))
		return config_fail(call, "\"%s\" is not supported: weir listens on IP addresses",
				   (const char *)text.data);
	out->ip = ip_address_from_v4(0);
	if (bytes_start_with(text, (struct bytes)BYTES("*:")))
		text = bytes_from(text, 2);
	if (bytes_parse_unsigned(text, UINT64_MAX, &port)) {
		if (port < 1 || port > 65535)
			return config_fail(call, "invalid port in \"%s\" of the \"listen\" directive",
					   (const char *)call->words[1].data);
		out->port_be = htons((uint16_t)port);
		return 0;
	}
	if (bytes_equal_string(text, "*")) {
		out->port_be = htons(80);
		return 0;
	}
	if (endpoint_parse(text, 80, out) == 0 && out->port_be)
		return 0;
	if (text.len && text.data[0] == '[')
		return config_fail(call, "invalid IPv6 address in \"%s\" of the \"listen\" directive",
				   (const char *)text.data);
	return listen_resolve(call, text, out);
}

static int
set_listen(struct config_directive_call *call)
{
	struct proxy_server *server = call->settings;
	struct proxy_listen *listen = arena_alloc(config_arena(call->config), sizeof(*listen));
	char place[ENDPOINT_TEXT_MAX];

	listen->file = call->file;
	listen->line = call->line;
	if (listen_address(call, call->words[1], &listen->endpoint) < 0)
		return -EINVAL;
	for (const struct proxy_listen *l = server->listens; l; l = l->next) {
		if (!endpoint_equal(&l->endpoint, &listen->endpoint))
			continue;
		endpoint_format(&listen->endpoint, place, sizeof(place));
		return config_fail(call, "a duplicate listen %s", place);
	}
	for (size_t i = 2; i < call->word_count; i++)
		if (listen_option(call, listen, call->words[i]) < 0)
			return -EINVAL;
	listen->next = server->listens;
	server->listens = listen;
	return 0;
}

/* ---- names, headers ---- */

static int
set_server_name(struct config_directive_call *call)
{
	for (size_t i = 1; i < call->word_count; i++)
		if (proxy_name_add(call, call->settings, call->words[i]) < 0)
			return -EINVAL;
	return 0;
}

static int
set_large_buffers(struct config_directive_call *call)
{
	struct proxy_server *server = call->settings;
	uint64_t number;

	if (server->large_header_buffers != CONFIG_UNSET)
		return config_fail(call, "\"large_client_header_buffers\" directive is duplicate");
	if (!bytes_parse_unsigned(call->words[1], 64, &number) || number == 0 ||
	    config_parse_size(call->words[2], &server->large_header_buffer_size) < 0 ||
	    server->large_header_buffer_size == 0)
		return config_fail(call, "\"large_client_header_buffers\" directive invalid value");
	server->large_header_buffers = (int64_t)number;
	return 0;
}

static int
open_http(struct config_directive_call *call)
{
	if (config_child(call->scope, CONFIG_HTTP) != call->block)
		return config_fail(call, "\"http\" directive is duplicate");
	return 0;
}

/* ---- module ---- */

static void
server_init(struct config *config, void *settings)
{
	struct proxy_server *server = settings;

	server->client_header_timeout_ms = CONFIG_UNSET;
	server->client_header_buffer_size = CONFIG_UNSET_SIZE;
	server->large_header_buffers = CONFIG_UNSET;
	server->large_header_buffer_size = CONFIG_UNSET_SIZE;
	server->http2_streams_max = CONFIG_UNSET;
	server->http2_preread_size = CONFIG_UNSET_SIZE;
	server->ignore_invalid_headers = CONFIG_UNSET;
	server->underscores_in_headers = CONFIG_UNSET;
	server->merge_slashes = CONFIG_UNSET;
}

static void
listen_by_default(struct config *config, struct proxy_server *server)
{
	struct proxy_listen *listen = arena_alloc(config_arena(config), sizeof(*listen));

	listen->endpoint.ip = ip_address_from_v4(0);
	listen->endpoint.port_be = htons(80);
	listen->file = server->scope->file;
	listen->line = server->scope->line;
	server->listens = listen;
}

static int
server_merge(struct config *config, struct config_scope *scope, const void *parent_settings, void *settings)
{
	static const struct proxy_server unset = {
		.client_header_timeout_ms = CONFIG_UNSET,
		.client_header_buffer_size = CONFIG_UNSET_SIZE,
		.large_header_buffers = CONFIG_UNSET,
		.large_header_buffer_size = CONFIG_UNSET_SIZE,
		.http2_streams_max = CONFIG_UNSET,
		.http2_preread_size = CONFIG_UNSET_SIZE,
		.ignore_invalid_headers = CONFIG_UNSET,
		.underscores_in_headers = CONFIG_UNSET,
		.merge_slashes = CONFIG_UNSET,
	};
	const struct proxy_server *parent = parent_settings ? parent_settings : &unset;
	struct proxy_server *server = settings;

	server->scope = scope;
	config_merge(server->client_header_timeout_ms, parent->client_header_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(server->client_header_buffer_size, parent->client_header_buffer_size, CONFIG_UNSET_SIZE, 1024);
	config_merge(server->large_header_buffers, parent->large_header_buffers, CONFIG_UNSET, 4);
	config_merge(server->large_header_buffer_size, parent->large_header_buffer_size, CONFIG_UNSET_SIZE, 8192);
	config_merge(server->http2_streams_max, parent->http2_streams_max, CONFIG_UNSET, 128);
	config_merge(server->http2_preread_size, parent->http2_preread_size, CONFIG_UNSET_SIZE, 65536);
	config_merge(server->ignore_invalid_headers, parent->ignore_invalid_headers, CONFIG_UNSET, 1);
	config_merge(server->underscores_in_headers, parent->underscores_in_headers, CONFIG_UNSET, 0);
	config_merge(server->merge_slashes, parent->merge_slashes, CONFIG_UNSET, 1);
	if (scope->context == CONFIG_SERVER && !server->listens)
		listen_by_default(config, server);
	if (scope->context == CONFIG_SERVER && !server->names) {
		/* As nginx: a server without names answers requests without Host. */
		server->names = arena_alloc(config_arena(config), sizeof(*server->names));
		server->names->text = arena_copy(config_arena(config), bytes_of("", 0));
		server->name = server->names->text;
	}
	return 0;
}

static int
server_finish(struct config *config, struct config_scope *scope, void *settings)
{
	struct proxy_server *server = settings;

	if (scope->context == CONFIG_HTTP)
		return proxy_addresses_build(config, scope, &server->addresses);
	server->root = config_settings(scope, &proxy_location_module);
	return proxy_locations_build(config, scope, &server->locations);
}

#define FIELD(name) offsetof(struct proxy_server, name)
#define HTTP_SERVER (CONFIG_HTTP | CONFIG_SERVER)

static const struct config_directive directives[] = {
	{ "http", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_HTTP, open_http },
	{ "server", CONFIG_HTTP, 0, 0, CONFIG_BLOCK, CONFIG_SERVER, NULL },
	{ "listen", CONFIG_SERVER, 1, 255, 0, 0, set_listen },
	{ "server_name", CONFIG_SERVER, 1, 255, 0, 0, set_server_name },
	{ "client_header_timeout", HTTP_SERVER, 1, 1, 0, 0, config_set_milliseconds, FIELD(client_header_timeout_ms) },
	{ "client_header_buffer_size", HTTP_SERVER, 1, 1, 0, 0, config_set_size, FIELD(client_header_buffer_size) },
	{ "large_client_header_buffers", HTTP_SERVER, 2, 2, 0, 0, set_large_buffers },
	{ "ignore_invalid_headers", HTTP_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(ignore_invalid_headers) },
	{ "underscores_in_headers", HTTP_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(underscores_in_headers) },
	{ "http2_max_concurrent_streams", HTTP_SERVER, 1, 1, 0, 0, config_set_number, FIELD(http2_streams_max) },
	{ "http2_body_preread_size", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_preread, FIELD(http2_preread_size) },
	{ "http2_push", HTTP_SERVER | CONFIG_LOCATION, 1, 1, 0, 0, proxy_set_http2_push },
	{ "http2_push_preload", HTTP_SERVER | CONFIG_LOCATION, 1, 1, 0, 0, proxy_set_http2_push },
	{ "http2_max_concurrent_pushes", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_unsupported, 0,
	  "clients do not take server push any more" },
	{ "http2_recv_buffer_size", CONFIG_HTTP, 1, 1, 0, 0, proxy_set_http2_unsupported, 0,
	  "what has come is read where it lies" },
	{ "http2_pool_size", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_unsupported, 0,
	  "a request's memory is not configurable" },
	{ "http2_streams_index_size", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_unsupported, 0,
	  "there is no index of streams" },
	{ "http2_max_field_size", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_obsolete, 0, "large_client_header_buffers" },
	{ "http2_max_header_size", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_obsolete, 0,
	  "large_client_header_buffers" },
	{ "http2_max_requests", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_obsolete, 0, "keepalive_requests" },
	{ "http2_recv_timeout", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_obsolete, 0, "client_header_timeout" },
	{ "http2_idle_timeout", HTTP_SERVER, 1, 1, 0, 0, proxy_set_http2_obsolete, 0, "keepalive_timeout" },
	{ "merge_slashes", HTTP_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(merge_slashes) },
	{ 0 },
};

struct config_module proxy_server_module = {
	.name = "proxy_server",
	.contexts = HTTP_SERVER,
	.settings_size = sizeof(struct proxy_server),
	.init = server_init,
	.merge = server_merge,
	.finish = server_finish,
	.directives = directives,
};
