#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xdp/internal.h"
#include "xdp/weir.skel.h"

/* Of user space, and of the map's memory, which is the kernel's for as long as the map is there. */
struct xdp_share {
	struct l4_flow_pair *flows;
	struct l4_target_use *uses;
	struct xdp_hop *hops;
	struct xdp_target *targets;
	struct xdp_traffic *traffic;
	uint32_t workers, pairs;
	uint32_t high;                  /* the highest number that was ever set */
	uint64_t set[XDP_TARGETS / 64]; /* bit per target that has been set since the last end */
};

size_t
xdp_map_bytes(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return ((size_t)bpf_map__value_size(map) * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
}

void *
xdp_map_memory(const struct bpf_map *map)
{
	void *memory = mmap(NULL, xdp_map_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int
xdp_share_size(struct weir_bpf *skeleton, const struct xdp_forwarding *forwarding, uint32_t cpus)
{
	const struct {
		struct bpf_map *map;
		uint64_t entries;
	} sizes[] = {
		{ skeleton->maps.flows, (uint64_t)forwarding->workers * forwarding->pairs },
		{ skeleton->maps.uses, (uint64_t)forwarding->workers * XDP_TARGETS },
		{ skeleton->maps.hops, (uint64_t)forwarding->workers * XDP_HOPS },
		{ skeleton->maps.targets, XDP_TARGETS },
		{ skeleton->maps.traffic, (uint64_t)cpus * XDP_TARGETS },
	};

	assert(forwarding->workers > 0 && forwarding->workers <= XDP_WORKERS_MAX);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int rc = sizes[i].entries > UINT32_MAX
				 ? -E2BIG
				 : bpf_map__set_max_entries(sizes[i].map, (uint32_t)sizes[i].entries);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static void
settings_write(struct xdp_program *program, const struct xdp_forwarding *forwarding)
{
	struct xdp_settings *settings = (struct xdp_settings *)&program->skeleton->bss->settings;

	settings->start_ns = forwarding->start_ns;
	settings->hash_seed = forwarding->hash_seed;
	flow_hash_key_init(&settings->hash_key, forwarding->hash_seed);
	settings->pair_count = forwarding->pairs;
	memcpy(settings->strides, forwarding->strides, sizeof(settings->strides));
	settings->outlives = forwarding->pinned;
	for (uint32_t i = 0; i < forwarding->workers; i++) {
		program->skeleton->bss->lanes[i].path_mtu_least = UINT16_MAX;
		program->skeleton->bss->lanes[i].observed = 0;
	}
	/* From now on. */
	__atomic_store_n(&settings->workers, forwarding->workers, __ATOMIC_RELEASE);
}

int
xdp_share_new(struct xdp_program *program, const struct xdp_forwarding *forwarding)
{
	struct xdp_share *share = calloc(1, sizeof(*share));
	struct weir_bpf *skeleton = program->skeleton;

	if (!share)
		return -ENOMEM;
	program->share = share;
	share->workers = forwarding->workers;
	share->pairs = forwarding->pairs;
	share->flows = xdp_map_memory(skeleton->maps.flows);
	share->uses = xdp_map_memory(skeleton->maps.uses);
	share->hops = xdp_map_memory(skeleton->maps.hops);
	share->targets = xdp_map_memory(skeleton->maps.targets);
	share->traffic = xdp_map_memory(skeleton->maps.traffic);
	if (!share->flows || !share->uses || !share->hops || !share->targets || !share->traffic)
		return -ENOMEM;
	settings_write(program, forwarding);
	return 0;
}

static void
unmap(void *memory, const struct bpf_map *map)
{
	if (memory)
		munmap(memory, xdp_map_bytes(map));
}

void
xdp_share_free(struct xdp_program *program)
{
	struct xdp_share *share = program->share;

	if (!share)
		return;
	unmap(share->flows, program->skeleton->maps.flows);
	unmap(share->uses, program->skeleton->maps.uses);
	unmap(share->hops, program->skeleton->maps.hops);
	unmap(share->targets, program->skeleton->maps.targets);
	unmap(share->traffic, program->skeleton->maps.traffic);
	free(share);
	program->share = NULL;
}

bool
xdp_program_memory(const struct xdp_program *program, uint32_t worker, struct xdp_memory *out)
{
	const struct xdp_share *share = program->share;

	if (!share || worker >= share->workers)
		return false;
	*out = (struct xdp_memory){
		.flows = share->flows + (size_t)worker * share->pairs,
		.uses = share->uses + (size_t)worker * XDP_TARGETS,
		.hops = share->hops + (size_t)worker * XDP_HOPS,
		.lane = (struct xdp_lane *)&program->skeleton->bss->lanes[worker],
	};
	return true;
}

/* ---- targets ---- */

static bool
same_but_for_serving(const struct xdp_target *a, const struct xdp_target *b)
{
	struct xdp_target like_b = *a;

	like_b.serves = b->serves;
	return memcmp(&like_b, b, sizeof(like_b)) == 0;
}

void
xdp_program_target_set(struct xdp_program *program, uint32_t number, const struct xdp_target *target)
{
	struct xdp_share *share = program->share;
	struct xdp_target *shared;

	if (!share)
		return;
	assert(number < XDP_TARGETS);
	shared = &share->targets[number];
	share->set[number / 64] |= 1ull << (number % 64);
	if (number > share->high)
		share->high = number;
	if (!same_but_for_serving(shared, target)) {
		struct xdp_target hidden = *target;

		hidden.forward = XDP_FORWARD_NONE;
		__atomic_store_n(&shared->forward, XDP_FORWARD_NONE, __ATOMIC_SEQ_CST);
		*shared = hidden;
		__atomic_store_n(&shared->forward, target->forward, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&shared->serves, target->serves, __ATOMIC_RELEASE);
}

void
xdp_program_targets_end(struct xdp_program *program)
{
	struct xdp_share *share = program->share;
	bool by_client = false;

	if (!share)
		return;
	for (uint32_t number = 0; number <= share->high; number++) {
		struct xdp_target *target = &share->targets[number];

		if (!(share->set[number / 64] >> (number % 64) & 1))
			__atomic_store_n(&target->forward, XDP_FORWARD_NONE, __ATOMIC_RELEASE);
		by_client |= target->forward == XDP_FORWARD_NAT;
	}
	__atomic_store_n(&((struct xdp_settings *)&program->skeleton->bss->settings)->by_client, by_client,
			 __ATOMIC_RELEASE);
	memset(share->set, 0, sizeof(share->set));
}

bool
xdp_program_target_get(const struct xdp_program *program, uint32_t number, struct xdp_target *out)
{
	if (!program->share || program->share->targets[number].forward == XDP_FORWARD_NONE)
		return false;
	*out = program->share->targets[number];
	if (number > program->share->high)
		program->share->high = number;
	return true;
}

struct xdp_traffic
xdp_program_traffic(const struct xdp_program *program, uint32_t target)
{
	struct xdp_traffic sum = { 0 };

	for (uint32_t cpu = 0; program->share && cpu < program->cpus; cpu++) {
		const struct xdp_traffic *one = &program->share->traffic[(size_t)cpu * XDP_TARGETS + target];

		sum.packets += __atomic_load_n(&one->packets, __ATOMIC_RELAXED);
		sum.bytes += __atomic_load_n(&one->bytes, __ATOMIC_RELAXED);
	}
	return sum;
}
