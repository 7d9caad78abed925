/*
 * Where a device's RSS puts a packet: the Toeplitz hash over addresses and ports with the device's own key, and its
 * redirection table, both as the device says them. For whoever has a packet of a flow that did not come through the device's
 * RSS as that flow's (an ICMP error about it, a fragment) and wants the lcore that has the others.
 *
 * Control reads it when a port starts; afterwards nothing changes, and any lcore asks.
 */
#ifndef PORT_RSS_H
#define PORT_RSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Both addresses and ports of IPv6, and the word that the last bit of them reaches into. */
#define PORT_RSS_KEY_MIN 40
#define PORT_RSS_KEY_MAX 64
#define PORT_RSS_TABLE_MAX 2048 /* Intel's E810; others have fewer */

struct port_rss {
	uint64_t types; /* RTE_ETH_RSS_*: what it hashes */
	uint8_t key[PORT_RSS_KEY_MAX];
	uint16_t table_size; /* a power of two; 1: all packets come in on one queue */
	uint16_t table[PORT_RSS_TABLE_MAX];
};

/* One queue, so nothing to compute. */
extern const struct port_rss port_rss_one_queue;

/* Of a started device of DPDK. -errno where it does not say, or says what is not understood here. */
int port_rss_read(struct port_rss *rss, uint16_t device);

/* Of a kernel interface, for a port whose queue q has the device's queues q, q + queues and so on (port/xdp_port.h). -errno
 * likewise: -EOPNOTSUPP from most that are no hardware. */
int port_rss_read_interface(struct port_rss *rss, const char *name, uint16_t queues);

/* The same of what the kernel has answered: `len` bytes of ETHTOOL_GRSSH's, and the fields (RXH_*) of ETHTOOL_GRXFH's for TCP and UDP
 * over IPv4, then over IPv6. */
#define PORT_RSS_FLOWS 4
struct ethtool_rxfh;
int port_rss_decode(struct port_rss *rss, const struct ethtool_rxfh *answer, size_t len,
		    const uint64_t fields[PORT_RSS_FLOWS], uint16_t queues);

/* Both put every packet on the same queue. */
bool port_rss_same(const struct port_rss *a, const struct port_rss *b);

/* The queue that TCP or UDP packets from `source` to `destination` come in on; -1 where the device does not hash such. */
int port_rss_queue(const struct port_rss *rss, const struct endpoint *source, const struct endpoint *destination,
		   uint8_t ip_protocol);

/* They do so on `queue`, as far as the device says. */
static inline bool
port_rss_lands(const struct port_rss *rss, unsigned int queue, const struct endpoint *source,
	       const struct endpoint *destination, uint8_t ip_protocol)
{
	int its = port_rss_queue(rss, source, destination, ip_protocol);

	return its < 0 || (unsigned int)its == queue;
}

#endif
