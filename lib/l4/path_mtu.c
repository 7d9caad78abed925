#include "l4/path_mtu.h"

#include <rte_common.h>

#include "base/clock.h"

/* RFC 1191 section 6.3: ten minutes, before a larger one is tried. */
#define LIFE_NS (600 * NS_PER_SECOND)

void
l4_path_mtus_init(struct l4_path_mtus *paths)
{
	*paths = (struct l4_path_mtus){ .first_end_ns = UINT64_MAX, .least = L4_PATH_MTU_NONE };
}

/* Targets are numbered one after another. */
static inline uint32_t
set_of(uint32_t target)
{
	return target % L4_PATH_MTU_SETS;
}

/* The target's own place, else the one that it may have. */
static struct l4_path_mtu *
place_for(struct l4_path_mtus *paths, uint32_t target)
{
	struct l4_path_mtu *set = paths->places[set_of(target)], *first = set;

	for (uint32_t i = 0; i < L4_PATH_MTU_WAYS; i++) {
		if (set[i].target == target)
			return &set[i];
		/* A free one's end is 0. */
		if (set[i].end_ns < first->end_ns)
			first = &set[i];
	}
	return first;
}

void
l4_path_mtu_learn(struct l4_path_mtus *paths, uint32_t target, uint16_t mtu, uint64_t now_ns)
{
	struct l4_path_mtu *place = place_for(paths, target);

	assert(target != L4_TARGET_NONE);
	if (place->target == target && place->end_ns > now_ns && place->mtu < mtu)
		return;
	*place = (struct l4_path_mtu){ .end_ns = now_ns + LIFE_NS, .target = target, .mtu = mtu };
	paths->least = RTE_MIN(paths->least, mtu);
	paths->first_end_ns = RTE_MIN(paths->first_end_ns, place->end_ns);
}

uint16_t
l4_path_mtu_find(const struct l4_path_mtus *paths, uint32_t target, uint64_t now_ns)
{
	const struct l4_path_mtu *set = paths->places[set_of(target)];

	if (paths->least == L4_PATH_MTU_NONE)
		return L4_PATH_MTU_NONE;
	for (uint32_t i = 0; i < L4_PATH_MTU_WAYS; i++)
		if (set[i].target == target && set[i].end_ns > now_ns)
			return (uint16_t)set[i].mtu;
	return L4_PATH_MTU_NONE;
}

/* Frees the ends up to `now_ns`, and says anew what is left. */
static void
renew(struct l4_path_mtus *paths, uint64_t now_ns)
{
	struct l4_path_mtu *place = paths->places[0], *end = place + L4_PATH_MTU_SETS * L4_PATH_MTU_WAYS;

	paths->first_end_ns = UINT64_MAX;
	paths->least = L4_PATH_MTU_NONE;
	for (; place < end; place++) {
		if (place->end_ns <= now_ns)
			*place = (struct l4_path_mtu){ 0 };
		if (place->target == L4_TARGET_NONE)
			continue;
		paths->first_end_ns = RTE_MIN(paths->first_end_ns, place->end_ns);
		paths->least = RTE_MIN(paths->least, (uint16_t)place->mtu);
	}
}

void
l4_path_mtu_forget(struct l4_path_mtus *paths, uint32_t target)
{
	struct l4_path_mtu *place = place_for(paths, target);

	if (place->target != target)
		return;
	*place = (struct l4_path_mtu){ 0 };
	renew(paths, 0);
}

void
l4_path_mtus_expire(struct l4_path_mtus *paths, uint64_t now_ns)
{
	if (now_ns >= paths->first_end_ns)
		renew(paths, now_ns);
}
