/*
 * Hierarchical timer wheel (Varghese and Lauck, 1987) for one lcore.
 *
 * 4 levels of 256 slots; the tick is given at creation (and rounded down to a power of two). A timer fires at its
 * deadline or up to one tick later, never before. Arm and cancel are O(1). Timers are embedded in their objects; the
 * wheel owns no memory but its slots.
 */
#ifndef RUN_TIMER_H
#define RUN_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct timer {
	struct list node; /* in a slot while armed, else alone */
	uint64_t deadline_ns;
};

struct timer_wheel;

/* Called with the timer already disarmed, so that it may arm it again or free its object. */
typedef void timer_expire_fn(void *owner, struct timer *timer, uint64_t now_ns);

/* NULL when memory is short. All timers of one wheel share one function; an owner with several kinds of timer uses
 * several wheels. */
struct timer_wheel *timer_wheel_new(uint64_t tick_ns, uint64_t now_ns, timer_expire_fn *expire, void *owner);
/* The timers must not be used with it any more; they may still say that they are armed. */
void timer_wheel_free(struct timer_wheel *wheel);

void timer_init(struct timer *timer);
static inline bool
timer_armed(const struct timer *timer)
{
	return !list_empty(&timer->node);
}

/* Arms, or moves an armed timer. A deadline in the past fires at the next advance. */
void timer_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns);
/* Nothing when it is not armed. An expire function may cancel any timer, and free its object. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* Fires what is due, at most `budget` timers (the rest at the next call). Returns how many fired. */
unsigned int timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ns, unsigned int budget);

/* When the next timer may be due: a lower bound good to sleep until; UINT64_MAX when none is armed. */
uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel);

/*
 * A deadline that moves often and is seldom met, as a connection's time-outs do with every request: to put it off or to take it
 * back is a store. Its timer stays armed for an earlier time and then fires once in vain.
 */
struct timer_deadline {
	struct timer timer;
	uint64_t ns; /* UINT64_MAX: none */
};

static inline void
timer_deadline_init(struct timer_deadline *deadline)
{
	timer_init(&deadline->timer);
	deadline->ns = UINT64_MAX;
}

static inline void
timer_deadline_set(struct timer_wheel *wheel, struct timer_deadline *deadline, uint64_t ns)
{
	deadline->ns = ns;
	if (!timer_armed(&deadline->timer) || deadline->timer.deadline_ns > ns)
		timer_arm(wheel, &deadline->timer, ns);
}

/* Takes it back; the timer may still fire, to no effect. */
static inline void
timer_deadline_clear(struct timer_deadline *deadline)
{
	deadline->ns = UINT64_MAX;
}

static inline bool
timer_deadline_pending(const struct timer_deadline *deadline)
{
	return deadline->ns != UINT64_MAX;
}

/* Before the object goes. */
static inline void
timer_deadline_cancel(struct timer_wheel *wheel, struct timer_deadline *deadline)
{
	timer_cancel(wheel, &deadline->timer);
	deadline->ns = UINT64_MAX;
}

/* For the expire function: true when the deadline has come (and then there is none any more), not only its timer. */
static inline bool
timer_deadline_met(struct timer_wheel *wheel, struct timer_deadline *deadline, uint64_t now_ns)
{
	if (deadline->ns <= now_ns) {
		deadline->ns = UINT64_MAX;
		return true;
	}
	if (deadline->ns != UINT64_MAX)
		timer_arm(wheel, &deadline->timer, deadline->ns);
	return false;
}

#endif
