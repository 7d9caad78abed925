/*
 * Whether an interface takes frames that an XDP program sends through it. A veth does while its peer has a program or GRO,
 * else it drops them without a word, so this is asked again and again. Control only; blocking calls. Not for other rooms.
 */
#ifndef PORT_XDP_SEND_H
#define PORT_XDP_SEND_H

#include <stdbool.h>

/* As the kernel says over generic netlink (family "netdev", Linux 6.3). Before that every driver with native XDP is taken to,
 * but veth, of which nobody can tell. */
bool port_xdp_send_possible(int ifindex, const char *name);

#endif
