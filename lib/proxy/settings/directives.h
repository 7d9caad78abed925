/*
 * The proxy_* rows of the location module and the http2_* rows, kept apart from the rest. Private to the room.
 */
#ifndef PROXY_DIRECTIVES_H
#define PROXY_DIRECTIVES_H

#include "proxy/settings/settings.h"

void proxy_pass_init(struct proxy_location *location);
int proxy_pass_merge(struct config *config, struct config_scope *scope, const struct proxy_location *parent,
		     struct proxy_location *location);

int proxy_set_pass(struct config_directive_call *call);
/* The location's group: "host[:port]"; `scheme_port` 0: without a port it must be the name of an `upstream`. */
int proxy_pass_to(struct config_directive_call *call, struct bytes host, uint16_t scheme_port);
int proxy_set_grpc_pass(struct config_directive_call *call);
int proxy_set_grpc_off(struct config_directive_call *call);
int proxy_set_header(struct config_directive_call *call);
int proxy_set_next_upstream(struct config_directive_call *call);
int proxy_set_redirect(struct config_directive_call *call);
int proxy_set_name_list(struct config_directive_call *call);
int proxy_set_request_buffering(struct config_directive_call *call);
extern const struct config_word proxy_http_versions[];

int proxy_set_http2_preread(struct config_directive_call *call);
int proxy_set_http2_chunk_size(struct config_directive_call *call);
int proxy_set_http2_push(struct config_directive_call *call);
int proxy_set_http2_obsolete(struct config_directive_call *call);
int proxy_set_http2_unsupported(struct config_directive_call *call);

#define PROXY_FIELD(name) offsetof(struct proxy_location, name)
#define PROXY_ANY (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION)

#define PROXY_ROW(name, flags, set, field)                                                                             \
	{                                                                                                              \
		name, PROXY_ANY, 1, 1, flags, 0, set, PROXY_FIELD(field)                                               \
	}

/* What proxy_* and grpc_* have in common: struct proxy_pass at `pass`. */
#define PROXY_PASS_ROWS(prefix, pass)                                                                                  \
	{ prefix "_set_header", PROXY_ANY, 2, 2, 0, 0, proxy_set_header, PROXY_FIELD(pass) },                          \
		{ prefix "_next_upstream", PROXY_ANY, 1, 255, 0, 0, proxy_set_next_upstream, PROXY_FIELD(pass) },      \
		PROXY_ROW(prefix "_next_upstream_tries", 0, config_set_number, pass.next_tries),                       \
		PROXY_ROW(prefix "_next_upstream_timeout", 0, config_set_milliseconds, pass.next_timeout_ms),          \
		PROXY_ROW(prefix "_connect_timeout", 0, config_set_milliseconds, pass.connect_timeout_ms),             \
		PROXY_ROW(prefix "_send_timeout", 0, config_set_milliseconds, pass.send_timeout_ms),                   \
		PROXY_ROW(prefix "_read_timeout", 0, config_set_milliseconds, pass.read_timeout_ms),                   \
		PROXY_ROW(prefix "_buffer_size", 0, config_set_size, pass.buffer_size),                                \
		PROXY_ROW(prefix "_hide_header", 0, proxy_set_name_list, pass.hidden),                                 \
		PROXY_ROW(prefix "_pass_header", 0, proxy_set_name_list, pass.passed)

#define PROXY_PASS_DIRECTIVES                                                                                          \
	{ "proxy_pass", CONFIG_LOCATION, 1, 1, 0, 0, proxy_set_pass }, PROXY_PASS_ROWS("proxy", proxy),                \
		{ "proxy_http_version",          PROXY_ANY,          1, 1, 0, 0, config_set_word,                      \
		  PROXY_FIELD(proxy.http_minor), proxy_http_versions },                                                \
		PROXY_ROW("proxy_ignore_client_abort", CONFIG_FLAG, config_set_flag, proxy.ignore_client_abort),       \
		PROXY_ROW("proxy_pass_request_body", CONFIG_FLAG, config_set_flag, proxy.request_body),                \
		PROXY_ROW("proxy_pass_request_headers", CONFIG_FLAG, config_set_flag, proxy.request_headers),          \
		{ "proxy_request_buffering", PROXY_ANY, 1, 1, CONFIG_FLAG, 0, proxy_set_request_buffering },           \
	{                                                                                                              \
		"proxy_redirect", PROXY_ANY, 1, 2, 0, 0, proxy_set_redirect                                            \
	}

/* grpc_* beside what is in common. */
#define PROXY_GRPC_DIRECTIVES                                                                                          \
	{ "grpc_pass", CONFIG_LOCATION, 1, 1, 0, 0, proxy_set_grpc_pass }, PROXY_PASS_ROWS("grpc", grpc),              \
		{ "grpc_intercept_errors",                                                                             \
		  PROXY_ANY,                                                                                           \
		  1,                                                                                                   \
		  1,                                                                                                   \
		  CONFIG_FLAG,                                                                                         \
		  0,                                                                                                   \
		  proxy_set_grpc_off,                                                                                  \
		  0,                                                                                                   \
		  "error pages of your own are not there yet" },                                                       \
	{                                                                                                              \
		"grpc_socket_keepalive", PROXY_ANY, 1, 1, CONFIG_FLAG, 0, proxy_set_grpc_off, 0,                       \
			"there is no kernel socket to probe from"                                                      \
	}

#endif
