/*
 * What `stream` says, whoever serves it: its servers, what they listen on, and where they pass to.
 *
 * A server is of one of two kinds. With `forward` it is packet-level, and l4/'s; without, connections are terminated, and it is
 * proxy/'s. Both kinds share the words in module.c; each room has the words of its own kind in a module of its own, asks here
 * which kind a server is of, and refuses what does not fit.
 *
 * Control only; lives in the configuration's arena. `forward` may stand behind other words, so the kind is known when a scope
 * is merged; this module must come before those of l4/ and proxy/ in the list of modules.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "base/address.h"
#include "config/config.h"
#include "config/variable.h"
#include "upstream/upstream.h"

extern struct config_module stream_module;

/* One `listen`. */
struct stream_listen {
	struct stream_listen *next; /* of its server, in order of the file */
	struct ip_address ip;
	uint16_t port_first, port_last; /* host order */
	uint8_t ip_protocol;
	bool ssl, proxy_protocol;
	const char *file;
	unsigned int line;
};

/* Room for "[v6]:port-port". */
#define STREAM_LISTEN_TEXT_MAX (ENDPOINT_TEXT_MAX + 6)

static inline bool
stream_listen_one_port(const struct stream_listen *listen)
{
	return listen->port_first == listen->port_last;
}

/* "10.0.1.1:80", "10.0.1.1:8000-8100", "10.0.1.1:*" and so on. Returns the length. */
size_t stream_listen_format(const struct stream_listen *listen, char *out, size_t size);

/* Settings of both contexts; what is inherited is merged into the servers'. */
struct stream_settings {
	/* in stream */
	struct stream_settings **servers; /* when merged, in order of the file */
	uint32_t server_count;

	/* in stream and server */
	int proxy_protocol; /* towards servers */
	int64_t timeout_ms;

	/* in server */
	struct config_scope *scope;
	struct stream_listen *listens, **listens_end;
	struct upstream_group *group; /* complete when upstream has finished; NULL: `pass` */
	struct config_value *pass;    /* `proxy_pass` with variables: the name of a group */
	struct bytes pass_text;       /* as written */
	struct config_value *answer;  /* `return`, in place of `proxy_pass`; NULL: none */
	const char *forward;          /* the mode, where the server is packet-level */
	const char *file;
	unsigned int line;
};

/* Servers in the scope of `stream`, as written. */
uint32_t stream_server_count(const struct config_scope *stream);

/* NULL when there is no `stream`. */
struct stream_settings *stream_settings(struct config *config);

/* The `listen` of stream that takes packets to this endpoint, from when the configuration is merged. False: none does. */
bool stream_listens_on(struct config *config, const struct endpoint *endpoint, uint8_t ip_protocol, const char **file,
		       unsigned int *line);

/* The server that a scope is of: for modules of l4/ and proxy/. NULL in the scope of `stream`. */
struct stream_settings *stream_server(const struct config_scope *scope);

#endif
