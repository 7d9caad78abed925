/*
 * From the endpoint that a connection came in on, and the Host of a request, to a virtual server.
 *
 * Built once per configuration by control; looked up by lcores. Order of names as nginx documents it: exact, longest
 * wildcard at the beginning, longest wildcard at the end, first regular expression in file order, default server.
 */
#ifndef PROXY_VIRTUAL_HOST_H
#define PROXY_VIRTUAL_HOST_H

#include "proxy/settings/settings.h"

struct proxy_address;

struct proxy_addresses {
	struct proxy_address *all;
	uint32_t count;
};

/* One listening endpoint with the servers that share it. */
struct proxy_address {
	struct endpoint endpoint;
	const struct proxy_server *fallback; /* the default server */
	bool ssl, http2, proxy_protocol;     /* one of its `listen` says so */
	struct proxy_name_table *names;
};

/* Gathers the `listen` of every server below the http scope. 0 or -EINVAL after config_fail_at(). */
int proxy_addresses_build(struct config *config, struct config_scope *http, struct proxy_addresses **out);

/* The exact endpoint, else the wildcard of its IP version and port; NULL when nothing listens there (any more). */
const struct proxy_address *proxy_address_find(const struct proxy_addresses *addresses, const struct endpoint *local);

/* `host`: lower case, without port or trailing dot; empty: the default server. Captures of a regular expression are
 * written to offsets[0..2*max_groups) and *groups, over `host`. */
const struct proxy_server *proxy_server_find(const struct proxy_address *address, struct bytes host, size_t *offsets,
					     size_t max_groups, int *groups, const struct config_regex **regex);

/* The one that a TLS hello with that name asks for; empty: it has none. */
const struct proxy_server *proxy_server_of_hello(const struct proxy_address *address, struct bytes name);

/* ---- server_name and listen: control ---- */

int proxy_name_add(struct config_directive_call *call, struct proxy_server *server, struct bytes text);

#endif
