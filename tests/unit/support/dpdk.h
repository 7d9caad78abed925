/*
 * Real mbufs for unit tests and fuzz targets: EAL without huge pages, devices or files, and one pool with Weir's private
 * size. Call support_dpdk_init() first in main(); it may be called again.
 */
#ifndef SUPPORT_DPDK_H
#define SUPPORT_DPDK_H

#include <rte_mbuf.h>
#include <stddef.h>

#include "packet/view.h"

/* Mbufs in the pool; support_pool_available() says how many are free, so that a test can find a leak. */
#define SUPPORT_POOL_SIZE 4095

/* Ends the program with a message when EAL does not start. */
void support_dpdk_init(void);

struct rte_mempool *support_pool(void);
unsigned int support_pool_available(void);

/* One segment with the usual headroom, holding a copy; the private area is zeroed. Ends the program when it cannot. */
struct rte_mbuf *support_mbuf_from(const void *data, size_t len);

/* The same from hexadecimal digits; whatever is no digit is skipped, so bytes may be grouped and lines broken. */
struct rte_mbuf *support_mbuf_from_hex(const char *hex);

/* Appends a copy as a further segment. */
void support_mbuf_append(struct rte_mbuf *m, const void *data, size_t len);

#endif
