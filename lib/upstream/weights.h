/*
 * What the operator has said at run time about the weights of servers: kept over reloads, until it is taken back.
 *
 * Control only. Groups are known by their name, servers by their address, so that a configuration that is read again finds
 * what was said of the last one. http and stream have one of these each, as their groups have nothing in common.
 */
#ifndef UPSTREAM_WEIGHTS_H
#define UPSTREAM_WEIGHTS_H

#include "upstream/upstream.h"

/* The first of a list; zero at the start. */
struct upstream_weights {
	struct upstream_weight *first;
};

void upstream_weights_clear(struct upstream_weights *weights);

/* `server` is the name as written, of which all addresses are meant, or an address with its port. `weight` 0 drains, -1
 * takes back what was said. 0; -ENOENT: the group (NULL: there is none) has no such server; -EINVAL: not a weight;
 * -ERANGE: too large for the group's method; -ENOMEM. */
int upstream_weights_set(struct upstream_weights *weights, const struct upstream_group *group, struct bytes server,
			 int64_t weight);

/* The operator's, else the configuration's. */
uint32_t upstream_weight_in_force(const struct upstream_weights *weights, const struct upstream_group *group,
				  const struct upstream_server *server);

#endif
