/*
 * The proxy_* rows of the location module and the http2_* rows, kept apart from the rest. Private to the room.
 */
#ifndef PROXY_DIRECTIVES_H
#define PROXY_DIRECTIVES_H

#include "proxy/settings.h"

void proxy_pass_init(struct proxy_location *location);
int proxy_pass_merge(struct config *config, struct config_scope *scope, const struct proxy_location *parent,
		     struct proxy_location *location);

int proxy_set_pass(struct config_directive_call *call);
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

#define PROXY_PASS_DIRECTIVES                                                                                           \
	{ "proxy_pass", CONFIG_LOCATION, 1, 1, 0, 0, proxy_set_pass },                                                  \
		{ "proxy_set_header", PROXY_ANY, 2, 2, 0, 0, proxy_set_header },                                        \
		{ "proxy_http_version",    PROXY_ANY,          1, 1, 0, 0, config_set_word,                             \
		  PROXY_FIELD(http_minor), proxy_http_versions },                                                       \
		{ "proxy_connect_timeout",        PROXY_ANY, 1, 1, 0, 0, config_set_milliseconds,                       \
		  PROXY_FIELD(connect_timeout_ms) },                                                                    \
		{ "proxy_send_timeout",                                                                                 \
		  PROXY_ANY,                                                                                            \
		  1,                                                                                                    \
		  1,                                                                                                    \
		  0,                                                                                                    \
		  0,                                                                                                    \
		  config_set_milliseconds,                                                                              \
		  PROXY_FIELD(send_timeout_upstream_ms) },                                                              \
		{ "proxy_read_timeout", PROXY_ANY, 1, 1, 0, 0, config_set_milliseconds, PROXY_FIELD(read_timeout_ms) }, \
		{ "proxy_buffer_size", PROXY_ANY, 1, 1, 0, 0, config_set_size, PROXY_FIELD(buffer_size) },              \
		{ "proxy_next_upstream", PROXY_ANY, 1, 255, 0, 0, proxy_set_next_upstream },                            \
		{ "proxy_next_upstream_tries", PROXY_ANY, 1, 1, 0, 0, config_set_number, PROXY_FIELD(next_tries) },     \
		{ "proxy_next_upstream_timeout", PROXY_ANY, 1, 1, 0, 0, config_set_milliseconds,                        \
		  PROXY_FIELD(next_timeout_ms) },                                                                       \
		{ "proxy_ignore_client_abort",     PROXY_ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag,                    \
		  PROXY_FIELD(ignore_client_abort) },                                                                   \
		{ "proxy_pass_request_body",     PROXY_ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag,                      \
		  PROXY_FIELD(pass_request_body) },                                                                     \
		{ "proxy_pass_request_headers",     PROXY_ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag,                   \
		  PROXY_FIELD(pass_request_headers) },                                                                  \
		{ "proxy_request_buffering", PROXY_ANY, 1, 1, CONFIG_FLAG, 0, proxy_set_request_buffering },            \
		{ "proxy_redirect", PROXY_ANY, 1, 2, 0, 0, proxy_set_redirect },                                        \
		{ "proxy_hide_header", PROXY_ANY, 1, 1, 0, 0, proxy_set_name_list, PROXY_FIELD(hidden) },               \
	{                                                                                                               \
		"proxy_pass_header", PROXY_ANY, 1, 1, 0, 0, proxy_set_name_list, PROXY_FIELD(passed)                    \
	}

#endif
