/*
 * What dpdk.c asks of the twin, beside what driver.h says. The twin is a TAP without offloads: the kernel completes
 * checksums and cuts segments before it gives packets out, and verifies those that it gets. It goes with the process.
 */
#ifndef PORT_TWIN_H
#define PORT_TWIN_H

#include "port/driver.h"

/* Any worker. True when the kernel took the packet; m stays the caller's. */
bool port_twin_write(struct port_twin *twin, struct rte_mbuf *m);
/* Worker 0 alone: up to `max` packets that the kernel sends, complete frames. While it has none, it is asked every 20 us at
 * most. */
uint16_t port_twin_read(struct port_twin *twin, struct rte_mbuf **out, uint16_t max);
int port_twin_fd(const struct port_twin *twin);
/* Any thread of control: the kernel sees the port's link. */
void port_twin_carrier(struct port_twin *twin, bool up);

#endif
