/*
 * rtnetlink messages as structs. Pure functions. Attributes that are too short or unknown are ignored, as forward
 * compatibility asks; a message that says nothing Weir uses gives false.
 */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>

#include "net/neighbor.h"
#include "net/route.h"
#include "net/table.h"

bool message_link(const struct nlmsghdr *header, struct table_link *link, bool *removed);
bool message_address(const struct nlmsghdr *header, struct table_address *address);
/* changed_ns is left as it is. */
bool message_neighbor(const struct nlmsghdr *header, struct neighbor *neighbor, bool *removed);
/* Only tables main and local, any TOS 0, no source prefix, no cached clones. `append` is set for dumped routes. */
bool message_route(const struct nlmsghdr *header, struct route_message *route);

#endif
