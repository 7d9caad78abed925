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
#include <stdint.h>

#include "base/address.h"

#define PORT_RSS_KEY_MAX 64
#define PORT_RSS_TABLE_MAX 512

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

/* Both put every packet on the same queue. */
bool port_rss_same(const struct port_rss *a, const struct port_rss *b);

/* The queue that TCP or UDP packets from `source` to `destination` come in on; -1 where the device does not hash such. */
int port_rss_queue(const struct port_rss *rss, const struct endpoint *source, const struct endpoint *destination,
		   uint8_t ip_protocol);

#endif
