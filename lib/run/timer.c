#include "run/timer.h"

#include <stdlib.h>

#define LEVELS 4
#define SLOT_BITS 8
#define SLOTS (1u << SLOT_BITS)
#define WHEEL_BITS (LEVELS * SLOT_BITS)

/*
 * A timer stands on the level of the highest byte in which its deadline (in ticks) differs from now, in the slot of that
 * byte. So a level's occupied slots all lie ahead of now, without wrapping around, and every timer of a level is due
 * before every timer of the next: the next one due is in the first occupied slot of the first occupied level. Where a
 * deadline differs above the last level, it waits in `beyond` until now has come to its 2^32 ticks.
 */
struct timer_wheel {
	uint64_t base_ns;
	uint64_t now_tick;
	unsigned int tick_shift;
	timer_expire_fn *expire;
	void *owner;
	struct list past;   /* deadlines that had passed when they were armed: for the next advance */
	struct list firing; /* those of `past` that the advance under way, or cut short, has taken */
	struct list beyond;
	uint64_t occupied[LEVELS][SLOTS / 64];
	struct list slots[LEVELS][SLOTS];
};

struct timer_wheel *
timer_wheel_new(uint64_t tick_ns, uint64_t now_ns, timer_expire_fn *expire, void *owner)
{
	struct timer_wheel *wheel = calloc(1, sizeof(*wheel));

	if (!wheel)
		return NULL;
	wheel->base_ns = now_ns;
	/* The largest power of two in it: a shift, and never later than promised. */
	wheel->tick_shift = tick_ns > 1 ? 63 - (unsigned int)__builtin_clzll(tick_ns) : 0;
	wheel->expire = expire;
	wheel->owner = owner;
	list_init(&wheel->past);
	list_init(&wheel->firing);
	list_init(&wheel->beyond);
	for (unsigned int level = 0; level < LEVELS; level++)
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	return wheel;
}

void
timer_wheel_free(struct timer_wheel *wheel)
{
	free(wheel);
}

void
timer_init(struct timer *timer)
{
	list_init(&timer->node);
	timer->deadline_ns = 0;
}

/* The first tick that is not before `ns`. */
static inline uint64_t
tick_at_or_after(const struct timer_wheel *wheel, uint64_t ns)
{
	uint64_t past_base, tick;

	if (ns <= wheel->base_ns)
		return 0;
	past_base = ns - wheel->base_ns;
	tick = past_base >> wheel->tick_shift;
	return tick + ((tick << wheel->tick_shift) != past_base);
}

static void
timer_place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t tick = tick_at_or_after(wheel, timer->deadline_ns), difference;
	unsigned int level, slot;

	/* Only after a sleep of more than 2^32 ticks. */
	if (tick < wheel->now_tick)
		tick = wheel->now_tick;
	difference = tick ^ wheel->now_tick;
	if (difference >> WHEEL_BITS) {
		list_append(&wheel->beyond, &timer->node);
		return;
	}
	level = difference ? (63 - (unsigned int)__builtin_clzll(difference)) / SLOT_BITS : 0;
	slot = tick >> level * SLOT_BITS & (SLOTS - 1);
	list_append(&wheel->slots[level][slot], &timer->node);
	wheel->occupied[level][slot / 64] |= 1ull << slot % 64;
}

void
timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns)
{
	if (timer_armed(timer))
		timer_cancel(wheel, timer);
	timer->deadline_ns = deadline_ns;
	if (tick_at_or_after(wheel, deadline_ns) <= wheel->now_tick)
		list_append(&wheel->past, &timer->node);
	else
		timer_place(wheel, timer);
}

void
timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	struct list *head = timer->node.next;
	bool last = head == timer->node.prev && head != &timer->node;

	list_remove(&timer->node);
	/* The only neighbour of a list's only timer is its head, which says which slot is now empty. */
	if (last && head >= &wheel->slots[0][0] && head <= &wheel->slots[LEVELS - 1][SLOTS - 1]) {
		size_t index = (size_t)(head - &wheel->slots[0][0]);

		wheel->occupied[index / SLOTS][index % SLOTS / 64] &= ~(1ull << index % 64);
	}
}

/* The first occupied slot of the first occupied level, and its first tick. False when all are empty. */
static bool
next_slot(const struct timer_wheel *wheel, unsigned int *level, unsigned int *slot, uint64_t *tick)
{
	for (unsigned int l = 0; l < LEVELS; l++) {
		for (unsigned int word = 0; word < SLOTS / 64; word++) {
			uint64_t bits = wheel->occupied[l][word];

			if (!bits)
				continue;
			*level = l;
			*slot = word * 64 + (unsigned int)__builtin_ctzll(bits);
			*tick = (wheel->now_tick >> (l + 1) * SLOT_BITS << (l + 1) * SLOT_BITS) |
				(uint64_t)*slot << l * SLOT_BITS;
			return true;
		}
	}
	return false;
}

/* Places anew what now is near enough for a lower level. */
static void
cascade(struct timer_wheel *wheel, struct list *head)
{
	struct list moved, *node;

	if (list_empty(head))
		return;
	/* The whole list changes heads first, as some may come back to the one that they left. */
	moved = *head;
	moved.next->prev = moved.prev->next = &moved;
	list_init(head);
	while ((node = list_take_first(&moved)))
		timer_place(wheel, container_of(node, struct timer, node));
}

static unsigned int
fire(struct timer_wheel *wheel, struct list *head, uint64_t now_ns, unsigned int budget)
{
	unsigned int fired = 0;

	/* One by one from the head: an expire function may cancel any of those that come after. */
	while (fired < budget && !list_empty(head)) {
		struct timer *timer = container_of(head->next, struct timer, node);

		timer_cancel(wheel, timer);
		wheel->expire(wheel->owner, timer, now_ns);
		fired++;
	}
	return fired;
}

static void
enter_epoch(struct timer_wheel *wheel, uint64_t tick)
{
	wheel->now_tick = tick;
	cascade(wheel, &wheel->beyond);
}

unsigned int
timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ns, unsigned int budget)
{
	uint64_t target = now_ns > wheel->base_ns ? (now_ns - wheel->base_ns) >> wheel->tick_shift : 0;
	unsigned int fired, level, slot;
	uint64_t tick;

	if (!list_empty(&wheel->past)) {
		struct list *node;

		while ((node = list_take_first(&wheel->past)))
			list_append(&wheel->firing, node);
	}
	fired = fire(wheel, &wheel->firing, now_ns, budget);
	while (fired < budget) {
		if (!next_slot(wheel, &level, &slot, &tick)) {
			if (target >> WHEEL_BITS <= wheel->now_tick >> WHEEL_BITS)
				break;
			enter_epoch(wheel, target >> WHEEL_BITS << WHEEL_BITS);
			continue;
		}
		if (tick > target)
			break;
		wheel->now_tick = tick;
		if (level > 0) {
			wheel->occupied[level][slot / 64] &= ~(1ull << slot % 64);
			cascade(wheel, &wheel->slots[level][slot]);
		} else {
			fired += fire(wheel, &wheel->slots[0][slot], now_ns, budget - fired);
		}
	}
	if (fired < budget && target > wheel->now_tick)
		wheel->now_tick = target;
	return fired;
}

uint64_t
timer_wheel_next_ns(const struct timer_wheel *wheel)
{
	unsigned int level, slot;
	uint64_t tick;

	if (!list_empty(&wheel->past) || !list_empty(&wheel->firing))
		tick = wheel->now_tick;
	else if (!next_slot(wheel, &level, &slot, &tick)) {
		if (list_empty(&wheel->beyond))
			return UINT64_MAX;
		tick = ((wheel->now_tick >> WHEEL_BITS) + 1) << WHEEL_BITS;
	}
	return wheel->base_ns + (tick << wheel->tick_shift);
}
