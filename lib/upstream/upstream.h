/*
 * Groups of servers: `upstream` blocks, who is usable now, and which server a request gets.
 *
 * Knows configuration and balancing; knows no connections and no packets. A group is immutable once parsed and shared by
 * all lcores; its state (failures, requests in flight, weights in motion) exists once per lcore, as nginx keeps it per
 * worker. Names are resolved when the configuration is read; a server with several addresses becomes several peers.
 *
 * Source of behaviour: nginx's ngx_http_upstream_module as documented; where the documents differ, as observed.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "balance/balance.h"
#include "base/address.h"
#include "config/config.h"
#include "config/variable.h"

/* So that the sums of round robin over all servers of a group fit in 32 bits. */
#define UPSTREAM_WEIGHT_MAX 1000000

/* nginx's. */
#define UPSTREAM_MAX_FAILS_DEFAULT 1
#define UPSTREAM_FAIL_TIMEOUT_DEFAULT_MS 10000

/* Octets of `quic_id`. */
#define UPSTREAM_QUIC_ID_MAX 8

struct upstream_server {
	struct bytes name;         /* as written: "app-1:8000" */
	struct endpoint address;   /* port 0: none is written (stream) */
	struct bytes address_text; /* "10.0.0.1:8000": $upstream_addr, and the Maglev key; without a port "10.0.0.1" */
	uint32_t weight;           /* 0: drained */
	uint32_t max_fails;        /* 0: never taken out */
	uint32_t max_conns;        /* per lcore, as nginx's per worker; 0: no limit */
	int64_t fail_timeout_ms;
	bool backup, down;
	uint8_t quic_id_len; /* stream: octets; 0: it has none */
	uint64_t quic_id;    /* the first octet is the most significant one of them */
	const char *file;    /* where it is written, or referred to */
	unsigned int line;
};

/* Weights in force, and the tables made of them. Immutable. */
struct upstream_plan {
	const uint32_t *weights;            /* by the group's servers; 0: drained */
	void *primary_table, *backup_table; /* balance_method.build(); NULL where the method has none */
};

struct upstream_group {
	struct bytes name;
	const char *file; /* where it is defined */
	unsigned int line;
	bool implicit; /* made for `proxy_pass http://10.0.0.1:80` */
	uint16_t default_port;
	const struct balance_method *method;
	uint32_t method_options, method_size;
	bool method_said;         /* else it is what the groups of its space have without being told */
	struct config_value *key; /* of hash and maglev; NULL otherwise, and in stream but for sessions */
	struct bytes key_text;    /* stream: as written; data NULL: none is */
	bool by_address;          /* stream: the client's address alone decides (`KEY` is $remote_addr, or ip_hash) */
	/* Peers: first the primary servers, then the backups; each part has its own table. The backups of a method with
	 * BALANCE_NO_BACKUP (written before the method, which nginx accepts) take turns. */
	struct upstream_server *servers;
	uint32_t primary_count, backup_count;
	struct upstream_plan plan; /* by the configuration; in stream, services make tables of their own */
	/* `keepalive` and its limits: idle connections kept per lcore; 0: none */
	uint32_t keepalive;
	uint32_t keepalive_requests;
	int64_t keepalive_timeout_ms, keepalive_time_ms;
	uint32_t index; /* among the groups of a configuration */
};

extern struct config_module upstream_module;

/*
 * http and stream have groups of their own, as in nginx: a name may stand in both. What differs in stream: there is no
 * `keepalive`, a server has no default port, and a group may serve two kinds of `server`. Where packets are forwarded, `maglev`
 * (the 5-tuple decides) is what it has without being told, and keys are $remote_addr or nothing; l4/ holds it to that. Where
 * connections are terminated, it is as a group of http is, and there is a second view of it for that.
 */

/* All groups of http, in order of definition, implicit ones last; for sizing per-lcore state. */
struct upstream_group **upstream_groups(struct config *config, uint32_t *count);
/* By name (case-insensitively, as nginx), NULL when there is none. */
struct upstream_group *upstream_group_find(struct config *config, struct bytes name);
/* The same for stream. */
struct upstream_group **upstream_stream_groups(struct config *config, uint32_t *count);
struct upstream_group *upstream_stream_group_find(struct config *config, struct bytes name);

/* A complete group of stream as terminated connections have it: round robin unless it says otherwise, its key compiled, tables
 * made. The same view for the same group each time, with `index` among these. In finish() of modules behind this one; NULL after
 * config_fail_at(). */
struct upstream_group *upstream_session_group(struct config *config, const struct upstream_group *group);
struct upstream_group **upstream_session_groups(struct config *config, uint32_t *count);
struct upstream_group *upstream_session_group_find(struct config *config, struct bytes name);
/* The group for "host:port" or "host" in a proxy_pass (nothing of the URI): an `upstream` of that name, wherever in the
 * file it is defined, or an implicit one whose host is resolved at config_parse()'s end. What the pointer shows is valid
 * when this module's finish() of the http or stream scope has run. `default_port` 0: there is none, and a host that is no
 * `upstream` must be an address to do without. NULL after config_fail(). */
struct upstream_group *upstream_group_refer(struct config_directive_call *call, struct bytes host_port,
					    uint16_t default_port);

static inline uint32_t
upstream_server_count(const struct upstream_group *group)
{
	return group->primary_count + group->backup_count;
}

/* What the group is with these weights, one for each of its servers; they are referred to, tables are in the arena. `out`
 * NULL: only whether it could be. 0, -ERANGE when they are too large for the group's method, else -errno of its build(). */
int upstream_plan_build(struct arena *arena, const struct upstream_group *group, const uint32_t *weights,
			struct upstream_plan *out);

/* What upstream_pick() wants as its key. */
enum upstream_key {
	UPSTREAM_KEY_NONE,
	UPSTREAM_KEY_ADDRESS, /* upstream_key_of_address() */
	UPSTREAM_KEY_VALUE,   /* group->key, evaluated */
};
enum upstream_key upstream_group_key(const struct upstream_group *group);
/* The bytes of a client's address that ip_hash takes; they are the caller's own. */
struct bytes upstream_key_of_address(const struct ip_address *client);

/* ---- per lcore ---- */

struct upstream_state;

/* Control creates one per group and lcore; the lcore owns it afterwards. */
struct upstream_state *upstream_state_new(const struct upstream_group *group, uint64_t random_seed);
void upstream_state_free(struct upstream_state *state);
/* On the lcore: requests go by this plan of the group from now on, at first by group->plan. The one before is not looked
 * at any more. What is known of the servers, and requests under way, stay. */
void upstream_state_adopt(struct upstream_state *state, const struct upstream_plan *plan);
/* Attempts that a request may make at most, as nginx counts: servers that are neither down nor drained, backups too. */
uint32_t upstream_tries(const struct upstream_state *state);

/* What one request remembers between its attempts. Zero it before the first pick. */
#define UPSTREAM_SERVERS_MAX 1024
struct upstream_attempts {
	uint64_t tried[UPSTREAM_SERVERS_MAX / 64]; /* of the primary servers, then of the backups */
	uint32_t count;
	bool in_backup;
};

/*
 * The next server for a request: an index into group->servers, or -1 when none is left ("no live upstreams").
 * `key` is what upstream_group_key() says: the evaluated hash key or, for BALANCE_NEEDS_ADDRESS, the bytes of the client's
 * address as ip_hash takes them (IPv4: the first three octets; IPv6: all sixteen). Counts the request as active at the
 * server until upstream_done().
 *
 * A server with max_fails failures is left out for fail_timeout; after that one request per fail_timeout may try it, until
 * one succeeds. The only server of a group is never left out. When all are out there is none to pick until a fail_timeout
 * has passed: nginx since 1.11.5 forgives no failures early.
 */
int upstream_pick(struct upstream_state *state, struct upstream_attempts *attempts, struct bytes key, uint64_t now_ns);

enum upstream_result { UPSTREAM_OK, UPSTREAM_FAILED /* counts towards max_fails */, UPSTREAM_ABANDONED /* neither */ };
/* Ends the attempt at server `index`. True when this failure takes the server out, or out again
 * after a probe ("upstream server temporarily disabled"). */
bool upstream_done(struct upstream_state *state, uint32_t index, enum upstream_result result, uint64_t now_ns);

const struct upstream_group *upstream_state_group(const struct upstream_state *state);
/* True while the server is left out because of its failures, on this lcore (a probe may be under way). */
bool upstream_failed(const struct upstream_state *state, uint32_t index);
/* Requests now at the server, on this lcore. */
uint32_t upstream_active(const struct upstream_state *state, uint32_t index);

#endif
