#include "tcp/pace.h"

#include <rte_common.h>

#include "base/clock.h"
#include "tcp/stack.h"

/* How much longer than it should a round may take, and nothing is lost by it. */
#define PACE_LATE_NS (4 * NS_PER_MS)

/* Longer round trips are as this one: what comes of it is slow enough. */
#define PACE_RTT_MAX_US 1000000u

/* What waits, waits for two segments: peers acknowledge every second. */
#define PACE_QUANTUM 2

/* ---- the calendar ---- */

void
tcp_calendar_init(struct tcp_calendar *calendar)
{
	for (int i = 0; i < TCP_PACE_SLOTS; i++)
		list_init(&calendar->slots[i]);
}

void
tcp_calendar_advance(struct tcp_stack *stack)
{
	struct tcp_calendar *calendar = &stack->calendar;
	uint64_t now = stack->now_ns >> TCP_PACE_TICK_SHIFT;
	struct list *node;

	for (int i = 0; i < TCP_PACE_SLOTS && calendar->tick < now && calendar->occupied; i++) {
		uint32_t slot = ++calendar->tick % TCP_PACE_SLOTS;

		while ((node = list_take_first(&calendar->slots[slot])))
			list_append(&stack->pending, node);
		calendar->occupied &= ~(1ull << slot);
	}
	calendar->tick = RTE_MAX(calendar->tick, now);
}

uint64_t
tcp_calendar_next_ns(const struct tcp_calendar *calendar)
{
	uint32_t turn = (calendar->tick + 1) % TCP_PACE_SLOTS;
	uint64_t from_next;

	if (!calendar->occupied)
		return UINT64_MAX;
	from_next = calendar->occupied >> turn | calendar->occupied << (TCP_PACE_SLOTS - turn) % TCP_PACE_SLOTS;
	return (calendar->tick + 1 + (uint32_t)__builtin_ctzll(from_next)) << TCP_PACE_TICK_SHIFT;
}

/* In the first slot that begins no earlier, or, where that is too far ahead, in the last: he will wait again. */
static void
calendar_add(struct tcp_stack *stack, struct tcp_connection *c, uint64_t at_ns)
{
	struct tcp_calendar *calendar = &stack->calendar;
	uint64_t now = stack->now_ns >> TCP_PACE_TICK_SHIFT, tick = (at_ns >> TCP_PACE_TICK_SHIFT) + 1;

	if (!calendar->occupied)
		calendar->tick = now;
	tick = RTE_MAX(RTE_MIN(tick, calendar->tick + TCP_PACE_SLOTS - 1), calendar->tick + 1);
	list_append(&calendar->slots[tick % TCP_PACE_SLOTS], &c->pending);
	calendar->occupied |= 1ull << tick % TCP_PACE_SLOTS;
}

/* ---- the bucket ---- */

/* How long it takes to fill by so many bytes. Not more than a window of them. */
static uint64_t
fill_ns(const struct tcp_connection *c, uint32_t len)
{
	const struct tcp_congestion *state = &c->congestion;
	/* Nanoseconds of a microsecond, over 2 and over 1.2. As in Linux the last doubling is the slower one, lest it overshoot. */
	uint64_t gain = state->window < state->threshold / 2 ? 500 : 833;

	return len * gain * RTE_MIN(tcp_pace_rtt_us(c), PACE_RTT_MAX_US) / state->window;
}

static uint64_t
capacity_ns(uint64_t segment_ns)
{
	return RTE_MAX(TCP_PACE_BURST * segment_ns, (uint64_t)TCP_PACE_TICK_NS);
}

uint32_t
tcp_pace_room(struct tcp_connection *c)
{
	uint64_t now_ns = c->stack->now_ns, segment_ns = RTE_MAX(fill_ns(c, c->mss), 1u), until_ns, segments;

	c->full_ns = RTE_MAX(c->full_ns, c->waiting ? now_ns - PACE_LATE_NS : now_ns);
	until_ns = now_ns + capacity_ns(segment_ns);
	if (c->full_ns >= until_ns)
		return 0;
	segments = (until_ns - c->full_ns + segment_ns - 1) / segment_ns;
	return (uint32_t)RTE_MIN(segments * c->mss, (uint64_t)c->congestion.window);
}

void
tcp_pace_sent(struct tcp_connection *c, uint32_t len)
{
	c->full_ns += fill_ns(c, len);
}

void
tcp_pace_wait(struct tcp_connection *c, uint32_t len)
{
	uint64_t segment_ns = fill_ns(c, c->mss), empty_ns = c->full_ns - capacity_ns(segment_ns);

	c->waiting = true;
	calendar_add(c->stack, c, empty_ns + fill_ns(c, RTE_MIN(len, PACE_QUANTUM * (uint32_t)c->mss)));
}
