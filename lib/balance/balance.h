/*
 * Choosing one of several servers. Knows no packets, no connections and no configuration: weights and keys in, an index
 * out. One file per method; balance_methods lists them, and everything that exists once per method (the directive, the
 * word on the command line, the tests of its kind) walks that list.
 *
 * A method has an immutable table, built by control (balance_build) and shared by all lcores, and peers: the changing
 * state of each server, owned by one lcore, updated by pick() and by upstream/.
 */
#ifndef BALANCE_BALANCE_H
#define BALANCE_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a method is told of a server. Keys are compared and hashed as bytes: "10.0.0.1:80", as Envoy's Maglev does; for a
 * method with BALANCE_SERVER_NAMES the server as it is written in the configuration. */
struct balance_server {
	const char *key;
	size_t key_len;
	uint32_t weight; /* 0: drained, never picked */
};

/* One lcore's state of one server. */
struct balance_peer {
	int32_t weight;           /* as configured */
	int32_t effective_weight; /* lowered by failures, creeps back (nginx's smooth round robin) */
	int32_t current_weight;
	uint32_t active; /* requests or connections now at the server */
};

enum balance_property {
	BALANCE_NEEDS_KEY = 1 << 0,     /* pick() hashes balance_request.key */
	BALANCE_NEEDS_ADDRESS = 1 << 1, /* pick() hashes the client's address (ip_hash) */
	BALANCE_KEY_OPTIONAL = 1 << 2,  /* `maglev` without KEY: the client's address */
	BALANCE_NO_BACKUP = 1 << 3,  /* `backup` servers are refused, as nginx refuses them for ip_hash, hash, random */
	BALANCE_PER_PACKET = 1 << 4, /* fit for L4 services: no peers needed (pick() takes NULL) */
	/* balance_server.key is the server as written ("app-1:8000"), as nginx's consistent hash takes it, and several
	 * servers may share one */
	BALANCE_SERVER_NAMES = 1 << 5,
};

struct balance_request {
	const uint8_t
		*key; /* BALANCE_NEEDS_KEY; BALANCE_NEEDS_ADDRESS: 3 octets of an IPv4 address, or 16 of an IPv6 one */
	size_t key_len;
	uint32_t attempt; /* 0, then 1, 2, ... when earlier picks failed; those servers are no longer in `usable` */
	uint64_t random;  /* fresh random bits for methods that draw */
};

struct balance_table;

struct balance_method {
	const char *name;     /* the directive: "least_conn" */
	const char *argument; /* what may follow, for messages: "KEY [consistent]", "[two]", "" */
	uint32_t properties;
	uint8_t words_min, words_max; /* after the directive's name, the key included */

	/* Parses one word after the directive's name and the key (e.g. "consistent"; "two", then "least_conn"). 0, or
	 * -EINVAL with *error set to static text. `options` is the method's own bits, kept in the group. NULL where no
	 * such word exists. */
	int (*option)(const char *word, size_t len, uint32_t *options, const char **error);

	/* Bytes needed for the table of `servers`, 0 when there can be none (too large a weight or size); then the
	 * building of it: 0, -EINVAL or -ENOMEM. Both NULL: no table. Control only: build() may allocate. size_hint is
	 * the wanted number of entries where the method has such a thing; 0: its default. */
	size_t (*table_size)(const struct balance_server *servers, size_t count, uint32_t options, uint32_t size_hint);
	int (*build)(void *table, const struct balance_server *servers, size_t count, uint32_t options,
		     uint32_t size_hint);

	/* An index below `count` whose bit in `usable` is set and whose weight is not 0, or -1 when there is none.
	 * `table` may be NULL where table_size is. Changes only `peers`; counting the pick in `active` is the caller's. */
	int (*pick)(const void *table, uint32_t options, struct balance_peer *peers, size_t count,
		    const uint64_t *usable, const struct balance_request *request);
};

/* NULL-terminated; the first is the default, round robin (its name, "round_robin", is not an nginx directive but a word
 * on the command line). */
extern const struct balance_method *const balance_methods[];

/* NULL when there is none of that name. */
const struct balance_method *balance_method_find(const char *name, size_t len);

static inline bool
balance_usable(const uint64_t *usable, size_t index)
{
	return usable[index / 64] >> (index % 64) & 1;
}

#endif
