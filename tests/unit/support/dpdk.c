#include "support/dpdk.h"

#include <ctype.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rte_mempool *pool;

static void
fail(const char *what)
{
	fprintf(stderr, "test support: %s: %s\n", what, rte_strerror(rte_errno));
	abort();
}

void
support_dpdk_init(void)
{
	static char arguments[][20] = {
		"test",       "--no-huge",         "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry",
		"--lcores=0", "--log-level=error",
	};
	char *argv[RTE_DIM(arguments) + 1] = { NULL };

	if (pool)
		return;
	for (size_t i = 0; i < RTE_DIM(arguments); i++)
		argv[i] = arguments[i];
	if (rte_eal_init(RTE_DIM(arguments), argv) < 0)
		fail("rte_eal_init");
	/* No cache: what is free can then be counted exactly. */
	pool = rte_pktmbuf_pool_create("support", SUPPORT_POOL_SIZE, 0, PACKET_PRIVATE_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (!pool)
		fail("rte_pktmbuf_pool_create");
}

struct rte_mempool *
support_pool(void)
{
	support_dpdk_init();
	return pool;
}

unsigned int
support_pool_available(void)
{
	return rte_mempool_avail_count(support_pool());
}

static struct rte_mbuf *
segment_from(const void *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(support_pool());

	if (!m)
		fail("rte_pktmbuf_alloc");
	if (len > rte_pktmbuf_tailroom(m))
		fail("data longer than a segment");
	if (len)
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	return m;
}

struct rte_mbuf *
support_mbuf_from(const void *data, size_t len)
{
	struct rte_mbuf *m = segment_from(data, len);

	memset(packet_view(m), 0, sizeof(struct packet_view));
	return m;
}

struct rte_mbuf *
support_mbuf_from_hex(const char *hex)
{
	uint8_t bytes[2048];
	size_t digits = 0;

	for (; *hex; hex++) {
		int c = tolower((unsigned char)*hex);

		if (!isxdigit(c))
			continue;
		if (digits / 2 == sizeof(bytes))
			fail("too many hexadecimal digits");
		bytes[digits / 2] =
			(uint8_t)((digits % 2 ? bytes[digits / 2] << 4 : 0) | (isdigit(c) ? c - '0' : c - 'a' + 10));
		digits++;
	}
	return support_mbuf_from(bytes, digits / 2);
}

void
support_mbuf_append(struct rte_mbuf *m, const void *data, size_t len)
{
	if (rte_pktmbuf_chain(m, segment_from(data, len)) < 0)
		fail("rte_pktmbuf_chain");
}
