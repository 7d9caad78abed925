/*
 * What the files of this room share: port.c (dispatch, software fallback) and the two kinds of port. Not for other rooms.
 *
 * A driver allocates one struct that begins with its struct port. Its constructor fills every field of struct port but
 * `index` and `counters`, which port_new() fills afterwards; nothing is counted before port_start(). ops->free() frees
 * the struct, but not the counters.
 *
 * Who counts what: port.c counts RX_PACKETS, RX_BYTES and TX_SEGMENTED. A driver counts the rest: TX_PACKETS and TX_BYTES for what the
 * device took, TX_FULL for what it freed instead.
 *
 * What port.c does before ops->tx_burst(): large TCP packets cut up where PORT_TX_TSO is missing, or the chain is longer
 * than tx_segments_max; checksums where PORT_TX_CHECKSUM is missing, one segment out of several where PORT_TX_SEGMENTS is
 * missing (both not for packets that the device cuts up). So a driver sees only what it says it can do.
 */
#ifndef PORT_DRIVER_H
#define PORT_DRIVER_H

#include "port/port.h"

/* Both: `index` as port_new() was given it (for names made up from it). 0 or -errno with a reason in `error`. */
int port_xdp_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
		 struct port **out, char *error, size_t size);
int port_dpdk_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
		  struct port **out, char *error, size_t size);

/* Formats the reason and returns `code`, so that `return port_fail(...)` is one statement. */
int port_fail(char *error, size_t size, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

static inline void
port_count(struct port *port, uint16_t queue, enum port_counter counter, uint64_t n)
{
	port->counters[queue].values[counter] += n;
}

/*
 * The TAP twin of a DPDK port (twin.c): a kernel interface with the NIC's MAC address and MTU that carries its addresses.
 * dpdk.c owns it and offers it through to_kernel, from_kernel and kernel_fd of its ops.
 */
struct port_twin;

int port_twin_new(const char *name, const struct rte_ether_addr *mac, uint16_t mtu, const char *const *addresses,
		  struct rte_mempool *pool, struct port_twin **out, char *error, size_t size);
void port_twin_free(struct port_twin *twin);
int port_twin_ifindex(const struct port_twin *twin);
const char *port_twin_name(const struct port_twin *twin);

#endif
