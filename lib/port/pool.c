#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/pages.h"
#include "packet/view.h"
#include "port/driver.h"
#include "port/frames.h"

#define FRAME_SIZE_MIN 2048u
#define CACHE_SIZE_MAX 256u

/* Last in, first out: what was in use a moment ago is still in the cache, while a ring, DPDK's usual choice, goes through all
 * of the pool before it gives a buffer again. */
#define POOL_OPS "lf_stack"

/* No padding between elements for the sake of memory channels: they must be powers of two apart. */
#define POOL_FLAGS RTE_MEMPOOL_F_NO_SPREAD

static void
release_zone(struct rte_mempool_memhdr *header, void *zone)
{
	rte_memzone_free(zone);
}

static void
release_pages(struct rte_mempool_memhdr *header, void *bytes)
{
	pages_unmap(header->addr, (uintptr_t)bytes);
}

/* What of a frame is neither data nor headroom. */
static uint32_t
frame_overhead(uint32_t *header_size)
{
	struct rte_mempool_objsz sizes;

	rte_mempool_calc_obj_size(RTE_CACHE_LINE_SIZE, POOL_FLAGS, &sizes);
	*header_size = sizes.header_size;
	return sizes.header_size + sizes.trailer_size + sizeof(struct rte_mbuf) + PACKET_PRIVATE_SIZE;
}

/* Gives the pool its memory, in pages of `page`; it goes with the pool. */
static int
populate(struct rte_mempool *pool, void *memory, size_t bytes, size_t page, rte_mempool_memchunk_free_cb_t *release,
	 void *argument)
{
	struct rte_mempool_memhdr header = { .addr = memory };
	int rc = rte_mempool_populate_virt(pool, memory, bytes, page, release, argument);

	if (rc > 0)
		return (uint32_t)rc == pool->size ? 0 : -ENOMEM;
	release(&header, argument);
	return rc < 0 ? rc : -ENOMEM;
}

static int
populate_from_eal(struct rte_mempool *pool, const char *name, size_t bytes, size_t alignment)
{
	const struct rte_memzone *zone =
		rte_memzone_reserve_aligned(name, bytes, SOCKET_ID_ANY, 0, (unsigned int)alignment);

	if (!zone)
		return -rte_errno;
	(void)pages_touch(zone->addr, bytes);
	return populate(pool, zone->addr, bytes, zone->hugepage_sz, release_zone, (void *)(uintptr_t)zone);
}

/* They are aligned to 2 MB: to any frame. */
static int
populate_from_pages(struct rte_mempool *pool, size_t bytes)
{
	void *memory = pages_map(bytes);

	if (!memory)
		return -errno;
	return populate(pool, memory, bytes, (size_t)sysconf(_SC_PAGESIZE), release_pages, (void *)(uintptr_t)bytes);
}

struct rte_mempool *
port_pool_new(uint32_t mbufs, uint16_t mtu_max, enum port_memory memory, char *error, size_t size)
{
	static unsigned int pools;
	char name[RTE_MEMZONE_NAMESIZE];
	uint32_t header_size, overhead = frame_overhead(&header_size);
	uint32_t needed = overhead + PORT_FRAME_KERNEL_HEADROOM + PORT_FRAME_L2_MAX + mtu_max;
	uint32_t frame_size = RTE_MAX(FRAME_SIZE_MIN, rte_align32pow2(needed));
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = (uint16_t)(frame_size - overhead),
						    .mbuf_priv_size = PACKET_PRIVATE_SIZE };
	size_t bytes = (size_t)mbufs * frame_size;
	struct rte_mempool *pool;
	int rc;

	snprintf(name, sizeof(name), "weir_packets_%u", pools++);
	pool = rte_mempool_create_empty(name, mbufs, frame_size - header_size, RTE_MIN(CACHE_SIZE_MAX, mbufs / 8),
					sizeof(private), SOCKET_ID_ANY, POOL_FLAGS);
	if (!pool) {
		port_fail(error, size, -rte_errno, "packet pool of %u buffers: %s", mbufs, rte_strerror(rte_errno));
		return NULL;
	}
	/* Not on every architecture, nor where a device brings a pool of its own. */
	if (strcmp(rte_mbuf_best_mempool_ops(), RTE_MBUF_DEFAULT_MEMPOOL_OPS) != 0 ||
	    rte_mempool_set_ops_byname(pool, POOL_OPS, NULL) < 0)
		rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	else
		rc = 0;
	if (rc == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		rc = memory == PORT_MEMORY_EAL
			     ? populate_from_eal(pool, name, bytes, RTE_MAX((size_t)sysconf(_SC_PAGESIZE), frame_size))
			     : populate_from_pages(pool, bytes);
	}
	if (rc < 0) {
		port_fail(error, size, rc, "cannot reserve %zu MB for %u packet buffers: %s", bytes >> 20, mbufs,
			  rte_strerror(-rc));
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

int
port_frames_of_pool(struct rte_mempool *pool, struct port_frames *out)
{
	uint32_t frame_size = pool->header_size + pool->elt_size + pool->trailer_size;
	struct rte_mempool_memhdr *part;
	size_t bytes = 0;
	uint8_t *base = NULL;

	STAILQ_FOREACH(part, &pool->mem_list, next)
	{
		if (!base || (uint8_t *)part->addr < base)
			base = part->addr;
		bytes += part->len;
	}
	if (!rte_is_power_of_2(frame_size) || rte_pktmbuf_priv_size(pool) != PACKET_PRIVATE_SIZE ||
	    bytes != (size_t)pool->populated_size * frame_size || (uintptr_t)base % frame_size != 0)
		return -EINVAL;
	*out = (struct port_frames){
		.base = base, .frame_size = frame_size, .frames = pool->populated_size, .mbuf_offset = pool->header_size
	};
	out->buffer_offset = out->mbuf_offset + (uint32_t)sizeof(struct rte_mbuf) + (uint32_t)PACKET_PRIVATE_SIZE;
	return 0;
}
