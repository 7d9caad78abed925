/*
 * What Linux' tables say, as control keeps it up to date: the mirror's own side, from which snapshots are made.
 *
 * Owned by one thread. Events change links, routes and neighbours in place; whatever events do not tell exactly is marked
 * stale and read anew by model_refresh(): addresses (their order decides the source address), and routes after an interface
 * or address has gone (Linux drops IPv4 routes then without telling).
 */
#ifndef NET_MODEL_H
#define NET_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/lpm.h"
#include "net/neighbor.h"
#include "net/netlink.h"
#include "net/route.h"
#include "net/table.h"

enum model_part {
	MODEL_LINKS = 1 << 0,
	MODEL_ADDRESSES = 1 << 1,
	MODEL_ROUTES = 1 << 2,
	MODEL_NEIGHBORS = 1 << 3,
	MODEL_ALL = 15,
};

struct model {
	struct netlink netlink;
	struct lpm lpm;
	struct route_intern intern;
	struct lpm_node *trees[TABLE_TREES];
	struct lpm_node *fresh[TABLE_TREES]; /* while routes are read anew */
	struct table_link *links;
	uint32_t link_count, link_size;
	struct table_address *addresses;
	uint32_t address_count, address_size;
	struct neighbor_table *neighbors;
	unsigned int changed;     /* enum model_part: differs from the last snapshot */
	unsigned int stale;       /* enum model_part: must be read anew */
	uint64_t routes_again_ns; /* read the routes once more then; 0: no need */
	uint64_t now_ns;          /* of the events being taken */
	uint64_t overruns;        /* times events were lost */
	int failure;              /* -ENOMEM while taking messages */
	bool refreshing;          /* routes go to `fresh` */
	bool full;                /* said in the log that something is not remembered */
	struct route_message route;
	struct route_row rows[ROUTE_ROWS_MAX];
};

/* 0 or -errno with a reason. The former knows nothing of any Linux, and nothing is stale; the latter listens to this one, and
 * everything is. */
int model_init(struct model *model, char *error, size_t size);
int model_open(struct model *model, char *error, size_t size);
/* No lcore may look up any more. */
void model_close(struct model *model);

/* Takes events without waiting, at most `datagrams`; true when there may be more. */
bool model_receive(struct model *model, unsigned int datagrams, uint64_t now_ns);
/* Reads what is stale. 0, or -errno with the rest still stale. */
int model_refresh(struct model *model, uint64_t now_ns);

/* One message of Linux, of a dump or an event; and what messages say, as structs (the route in model->route). Links are kept
 * in order, addresses are appended. `failure` is set when memory is short. */
void model_message_take(struct model *model, const struct nlmsghdr *header, bool dump);
void model_link_take(struct model *model, const struct table_link *link, bool removed);
void model_address_take(struct model *model, const struct table_address *address);
void model_route_take(struct model *model);
void model_neighbor_take(struct model *model, const struct neighbor *neighbor, bool removed);

/* A snapshot of links, addresses and routes. NULL when memory is short. The caller frees it by free(), and publishes it
 * before the next change of the model (see net/lpm.h). */
struct table *model_table_new(const struct model *model, struct port *const *ports, uint32_t port_count);

#endif
