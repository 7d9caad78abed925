/*
 * Routes of one prefix as immutable, interned sets of rows. Control only, but that lcores read sets in published tries.
 *
 * A row is one next hop. Rows with the same `member` make one (multipath) route; members are ordered by metric, as Linux
 * prefers them. Equal sets are one object, so that a full table behind a few neighbours has a few sets.
 */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "net/lpm.h"

/* Next hops of one prefix in all its routes; more are ignored, with a line in the log. */
#define ROUTE_ROWS_MAX 256

enum route_flag {
	ROUTE_HAS_SOURCE = 1 << 0,  /* RTA_PREFSRC */
	ROUTE_HAS_GATEWAY = 1 << 1, /* of either family (RTA_GATEWAY, RTA_VIA); else the destination is the neighbour */
	ROUTE_SIBLINGS = 1 << 2,    /* IPv6: routes with gateway and metric alike are one multipath route */
};

/* No padding: rows are compared and hashed as bytes. */
struct route_row {
	struct ip_address source, gateway;
	uint32_t metric;
	uint32_t mtu; /* 0: the link's */
	int32_t ifindex;
	uint16_t weight;
	uint16_t member;
	uint8_t type;       /* RTN_* */
	uint8_t scope;      /* RT_SCOPE_*; IPv4 only */
	uint8_t preference; /* RFC 4191, higher is better; orders members of one metric */
	uint8_t flags;
	uint32_t unused;
};

static_assert(sizeof(struct route_row) == 56, "rows have no padding");

struct route_set {
	struct route_set *next; /* in the intern table */
	uint64_t hash;
	uint32_t references;
	uint32_t count;
	struct route_row rows[];
};

struct route_intern {
	struct route_set **buckets;
	size_t bucket_count, count;
};

/* A route as rtnetlink tells it; all rows share what is not a hop's. */
struct route_message {
	struct lpm_key key;
	uint8_t prefix_len; /* of the mapped form */
	bool ipv6, local_table;
	bool remove, replace,
		append; /* append: behind those of the same metric (as dumps are ordered), else before them */
	uint16_t count;
	struct route_row rows[ROUTE_ROWS_MAX];
};

/* 0 or -ENOMEM. */
int route_intern_init(struct route_intern *intern);
void route_intern_fini(struct route_intern *intern);

/* The set of these rows, held once for the caller. NULL when memory is short. */
struct route_set *route_set_get(struct route_intern *intern, const struct route_row *rows, uint32_t count);
/* For struct lpm. */
void route_set_hold(void *set);
void route_set_drop(void *set, void *intern);

/*
 * What the message makes of a prefix's rows: rows[0..count) become the returned number, at most ROUTE_ROWS_MAX. Repeating a
 * message changes nothing, so that events told twice (by a dump and as events) do no harm.
 */
uint32_t route_rows_apply(struct route_row rows[ROUTE_ROWS_MAX], uint32_t count, const struct route_message *message);

#endif
