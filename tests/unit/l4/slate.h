/* What tests of one packet at a time work on: the packet, and its bytes before and after. */
#ifndef UNIT_L4_SLATE_H
#define UNIT_L4_SLATE_H

#include "l4/wire.h"
#include "support/dpdk.h"

#define BYTES_MAX 2048

static struct l4_packet packet;
static uint8_t before[BYTES_MAX], after[BYTES_MAX];

/* No packet buffer may be missing. */
static inline int
teardown(void **state)
{
	rte_pktmbuf_free(packet.m);
	packet.m = NULL;
	return support_pool_available() == SUPPORT_POOL_SIZE ? 0 : -1;
}

#endif
