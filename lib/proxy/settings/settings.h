/*
 * The `http` part of the language: virtual servers, locations, and how a location answers.
 *
 * Two modules: proxy_server_module (http, server) and proxy_location_module (http, server, location). Built by control,
 * read by lcores; all of it lives in the configuration's arena.
 */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "config/variable.h"
#include "tls/settings.h"
#include "upstream/upstream.h"

struct proxy_call;
struct proxy_exchange;

/* The way that a location's servers are spoken to. NULL with *error: there can be none. Not `connected`: events say when. */
typedef struct proxy_call *proxy_call_open_fn(struct proxy_exchange *exchange, const struct upstream_group *group,
					      uint32_t server_index, int *error);

extern struct config_module proxy_server_module;
extern struct config_module proxy_location_module;

struct proxy_listen {
	struct endpoint endpoint;
	bool default_server, ssl, http2, proxy_protocol;
	const char *file;
	unsigned int line;
	struct proxy_listen *next;
};

enum proxy_name_kind { PROXY_NAME_EXACT, PROXY_NAME_HEAD_WILDCARD, PROXY_NAME_TAIL_WILDCARD, PROXY_NAME_REGEX };

struct proxy_name {
	enum proxy_name_kind kind;
	struct bytes written; /* whole, in lower case too: for messages */
	struct bytes text;    /* lower case; wildcards without "*." or ".*" */
	bool and_itself;      /* ".example.com": the bare name too */
	struct config_regex *regex;
	struct proxy_name *next;
};

/* A `server` block (and, at http level, the defaults its servers inherit). */
struct proxy_server {
	struct config_scope *scope;
	struct proxy_listen *listens;
	struct proxy_name *names;
	struct bytes name; /* the first, in lower case: $server_name */
	int64_t client_header_timeout_ms;
	size_t client_header_buffer_size;
	int64_t large_header_buffers; /* how many */
	size_t large_header_buffer_size;
	int64_t http2_streams_max;
	size_t http2_preread_size; /* of a body, before it has a server: its window */
	int ignore_invalid_headers, underscores_in_headers, merge_slashes;
	struct proxy_locations *locations;
	struct proxy_addresses *addresses; /* of the http block: every endpoint with its servers */
	const struct proxy_location *root; /* the server's own settings, for requests that match no location */
};

/* A field that `proxy_set_header` writes, and that a request's own field of that name gives way to. */
struct proxy_header {
	struct bytes name;
	struct config_value *value;
	uint8_t id; /* enum http_field_id */
};

enum proxy_location_kind {
	PROXY_LOCATION_PREFIX,
	PROXY_LOCATION_PREFERRED,
	PROXY_LOCATION_EXACT,
	PROXY_LOCATION_REGEX
};

/* `proxy_next_upstream`: when the next server is tried. */
enum proxy_next {
	PROXY_NEXT_ERROR = 1 << 0,
	PROXY_NEXT_TIMEOUT = 1 << 1,
	PROXY_NEXT_INVALID_HEADER = 1 << 2,
	PROXY_NEXT_NON_IDEMPOTENT = 1 << 3,
	PROXY_NEXT_500 = 1 << 4,
	PROXY_NEXT_502 = 1 << 5,
	PROXY_NEXT_503 = 1 << 6,
	PROXY_NEXT_504 = 1 << 7,
	PROXY_NEXT_403 = 1 << 8,
	PROXY_NEXT_404 = 1 << 9,
	PROXY_NEXT_429 = 1 << 10,
	PROXY_NEXT_OFF = 1 << 11,
};

enum proxy_redirect_mode { PROXY_REDIRECT_DEFAULT, PROXY_REDIRECT_OFF, PROXY_REDIRECT_LIST };

struct proxy_redirect {
	struct bytes from;
	struct config_value *to; /* NULL: what `default` stands for */
};

struct proxy_name_list {
	struct bytes *names;
	size_t count; /* 0: none at this level, the outer one's are inherited */
};

/* How a location's servers are asked: the words that proxy_* and grpc_* have in common. Inherited. */
struct proxy_pass {
	int http_minor; /* 0 or 1; of HTTP/1 */
	struct proxy_header *headers;
	size_t header_count;
	uint64_t header_ids; /* the known fields among them, 1 << enum http_field_id */
	size_t buffer_size;  /* the largest response head */
	int64_t connect_timeout_ms, send_timeout_ms, read_timeout_ms;
	int64_t next_tries, next_timeout_ms;
	uint32_t next; /* enum proxy_next bits; 0 while unset */
	int ignore_client_abort, request_body, request_headers;
	struct proxy_name_list hidden, passed; /* ..._hide_header, ..._pass_header */
};

/* Where `lingering_*` say nothing, and in stream, which has no such words. */
#define PROXY_LINGERING_TIME_MS 30000
#define PROXY_LINGERING_TIMEOUT_MS 5000

/* Settings of a location, of a server outside all locations, and of http. */
struct proxy_location {
	struct config_scope *scope;
	enum proxy_location_kind kind;
	struct bytes name; /* the prefix or the exact path, or the pattern's text */
	struct config_regex *regex;
	struct proxy_locations *locations; /* nested */

	const struct log_target *error_targets; /* NULL: the main error logs */

	/* connection with the client */
	int64_t keepalive_timeout_ms, keepalive_header_s, keepalive_requests, keepalive_time_ms;
	int64_t client_body_timeout_ms, send_timeout_ms, lingering_time_ms, lingering_timeout_ms;
	size_t http2_chunk_size;     /* content of a frame, at most */
	size_t client_max_body_size; /* 0: no limit */
	int server_tokens, tcp_nodelay, tcp_nopush, sendfile;
	int absolute_redirect, server_name_in_redirect, port_in_redirect;
	struct bytes default_type;
	struct proxy_types *types;

	/* `return` of this very block: not inherited */
	int return_status; /* CONFIG_UNSET: none */
	struct config_value *return_text;

	/* `proxy_pass` or `grpc_pass` of this very block: not inherited */
	struct upstream_group *group;
	proxy_call_open_fn *open;
	bool pass_http2;                                   /* grpc_pass */
	bool pass_secure;                                  /* https://, grpcs:// */
	struct bytes pass_scheme;                          /* in front of "://" */
	const struct tls_client *client;                   /* what is spoken then; NULL: no TLS */
	const struct tls_client_settings *client_settings; /* likewise */
	struct bytes pass_host;                            /* as written behind http:// or https:// */
	struct bytes pass_authority; /* $proxy_host and the Host field: without the port where it is the scheme's */
	struct bytes pass_port;      /* $proxy_port */
	struct bytes pass_uri;       /* replaces the location's prefix; data NULL: the request's own target goes on */
	struct config_value *pass_value; /* a URI with variables: goes to the server as it comes out */
	/* the rest of proxy_* and grpc_*, inherited */
	struct proxy_pass proxy, grpc;
	const struct proxy_pass *pass; /* those that hold here */
	int redirect_mode;             /* enum proxy_redirect_mode */
	struct proxy_redirect *redirects;
	size_t redirect_count;
};

#endif
