/*
 * The three rtnetlink sockets of a mirror: events, dumps, and requests to resolve a neighbour. One thread at a time.
 */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct netlink {
	struct mnl_socket *events, *dump, *request;
	unsigned int port_id; /* of `dump` */
	uint64_t refused;     /* requests that the kernel answered with an error */
	char *buffer;
};

/* Opens in the network namespace of the calling thread. 0 or -errno with a reason. */
int netlink_open(struct netlink *netlink, char *error, size_t size);
void netlink_close(struct netlink *netlink);
int netlink_events_fd(const struct netlink *netlink);

/* Calls `each` for every object of this kind (RTM_GETLINK, ...). -EINTR: the tables changed meanwhile, ask again. */
int netlink_dump(struct netlink *netlink, uint16_t type, uint8_t family, mnl_cb_t each, void *context);
/* One datagram of events, without waiting. 1, 0 when there is none, -ENOBUFS when events were lost. */
int netlink_receive(struct netlink *netlink, mnl_cb_t each, void *context);

/* Tells Linux that the neighbour is wanted, as `ip neigh ... use` does: it asks the wire for one that it does not know,
 * and confirms one that has gone stale. Without waiting; 0 or -errno. */
int netlink_neighbor_use(struct netlink *netlink, int ifindex, const struct ip_address *address);

#endif
