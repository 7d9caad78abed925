/* What the files of upstream/ share while a configuration is read. Not for other rooms. */
#ifndef UPSTREAM_INTERNAL_H
#define UPSTREAM_INTERNAL_H

#include "upstream/upstream.h"

/* HOST[:PORT] taken apart. */
struct upstream_host {
	struct bytes host; /* without brackets */
	uint16_t port;
	bool has_port;
	bool is_address; /* then in `address` */
	struct ip_address address;
};

/* A group under construction or referred to. */
struct upstream_entry {
	struct upstream_group group; /* first: what others point at */
	struct upstream_entry *next;
	struct upstream_host host; /* of a reference */
	uint32_t server_space;     /* allocated places in group.servers */
};

/* The settings of http and stream (the lists) and of an `upstream` block (the rest). */
struct upstream_settings {
	/* in http and stream */
	bool stream;
	struct upstream_entry *defined, **defined_end;
	struct upstream_entry *referred, **referred_end;
	struct upstream_group **groups; /* when finished */
	uint32_t group_count;
	struct upstream_group **sessions; /* views of them, in stream */
	uint32_t session_count;
	/* in upstream */
	struct upstream_entry *entry;
	int64_t keepalive, keepalive_requests, keepalive_timeout_ms, keepalive_time_ms;
};

/* ---- resolve.c ---- */

/* 0, or -EINVAL with *error set to static text, to be followed by ` in upstream "TEXT"`. */
int upstream_host_parse(struct bytes text, uint16_t default_port, struct upstream_host *out, const char **error);
/* All addresses, IPv4 first, in the arena; 0 when there is none. May wait for a name server. */
size_t upstream_host_resolve(struct arena *arena, const struct upstream_host *host, struct endpoint **addresses);

/* ---- server.c ---- */

/* A server without parameters. */
struct upstream_server upstream_server_default(struct bytes name);
/* `server ADDRESS [parameters]` in an upstream block. */
int upstream_server_set(struct config_directive_call *call);
/* One peer per address; `model` gives all but the address. The number of servers in the group is bounded: -ENOSPC. */
int upstream_servers_add(struct arena *arena, struct upstream_entry *entry, const struct upstream_server *model,
			 const struct endpoint *addresses, size_t count);

/* ---- group.c ---- */

/* Of the http or stream scope that this one is in, or is. */
struct upstream_settings *upstream_space_settings(const struct config_scope *scope);
struct upstream_entry *upstream_entry_new(struct config_directive_call *call, struct bytes name);
struct upstream_entry *upstream_entry_find(const struct upstream_settings *space, struct bytes name);
/* Resolves references and builds tables: the finish() of http and stream. */
int upstream_groups_finish(struct config *config, struct upstream_settings *space);

#endif
