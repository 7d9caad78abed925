/*
 * CUBIC (RFC 9438). The window follows a cubic function of the time since the last reduction, levelling off near where the
 * loss was, and never grows slower than Reno would. Times in milliseconds, windows in bytes.
 */
#include <rte_common.h>

#include "tcp/congestion.h"
#include "tcp/stack.h"

/* Section 4.6: beta is 0.7. Section 4.3: alpha is 3 * (1 - beta) / (1 + beta), here in thousandths. */
#define BETA_TENTHS 7
/* RFC 8511 section 3. */
#define BETA_MARKED_PERCENT 85
#define ALPHA_THOUSANDTHS 529

/* Section 5.1: C is 0.4 segments per second cubed. Far from where it levels off the function only says "much more". */
#define DISTANCE_MAX_MS 100000

/* Section 4.6. Of a window in use what is out is less by the part of a segment that does not fit, which in a small window is much. */
static uint32_t
reduced(const struct tcp_connection *c, uint32_t flight, uint32_t beta_percent)
{
	uint64_t from = c->congestion.window;

	if (!(c->flags & TCP_WINDOW_USED))
		from = RTE_MIN(from, flight);

	return (uint32_t)RTE_MAX(from * beta_percent / 100, 2ull * c->mss);
}

static uint32_t
cube_root(uint64_t value)
{
	uint64_t root = 0;

	for (uint64_t bit = 1 << 21; bit > 0; bit >>= 1)
		if ((root + bit) * (root + bit) * (root + bit) <= value)
			root += bit;
	return (uint32_t)root;
}

/* The first ACK after a reduction: where the window is, and how long it takes to get back (equation 2). */
static void
epoch_begin(struct tcp_connection *c)
{
	struct tcp_cubic *cubic = &tcp_trouble(c)->cubic;
	uint32_t window = c->congestion.window;
	uint64_t segments;

	cubic->epoch_ms = c->stack->now_ms;
	cubic->in_epoch = true;
	cubic->estimate = window;
	cubic->estimate_acked = 0;
	cubic->regain_ms = 0;
	if (window >= cubic->peak) {
		cubic->peak = window;
		return;
	}
	/* (peak - window) / C, in segments and seconds, times 10^9 for milliseconds. */
	segments = (uint64_t)(cubic->peak - window) / c->mss;
	cubic->regain_ms = RTE_MIN(cube_root(segments * 2500000000ull), (uint32_t)DISTANCE_MAX_MS);
}

static void
epoch_end(struct tcp_connection *c)
{
	if (c->trouble->cubic.in_epoch)
		tcp_trouble(c)->cubic.in_epoch = false;
}

/* Equation 1, a round trip from now, within the bounds of section 4.2. */
static uint32_t
target(const struct tcp_connection *c)
{
	const struct tcp_cubic *cubic = &c->trouble->cubic;
	uint64_t since_ms = (uint64_t)(c->stack->now_ms - cubic->epoch_ms) + c->srtt_us / 1000;
	int64_t distance = (int64_t)RTE_MIN(since_ms, 2ull * DISTANCE_MAX_MS) - cubic->regain_ms;
	int64_t window = c->congestion.window, grown;

	distance = RTE_MIN(distance, (int64_t)DISTANCE_MAX_MS);
	grown = distance * distance * distance / 1000000000 * c->mss * 4 / 10 +
		distance * distance * distance % 1000000000 * c->mss / 2500000000;
	return (uint32_t)RTE_MIN(RTE_MAX(cubic->peak + grown, window), window + window / 2);
}

/* Section 4.3: what Reno with the same losses would have by now. */
static void
estimate_grow(struct tcp_connection *c, uint32_t acked)
{
	struct tcp_cubic *cubic = &tcp_trouble(c)->cubic;
	uint64_t step;

	cubic->estimate_acked += acked;
	step = (uint64_t)cubic->estimate_acked * c->mss / c->congestion.window;
	if (cubic->estimate < cubic->peak)
		step = step * ALPHA_THOUSANDTHS / 1000;
	if (step == 0)
		return;
	cubic->estimate = (uint32_t)RTE_MIN(cubic->estimate + step, (uint64_t)TCP_CONGESTION_WINDOW_MAX);
	cubic->estimate_acked = 0;
}

static void
cubic_acknowledged(struct tcp_connection *c, uint32_t acked)
{
	struct tcp_congestion *state = &c->congestion;
	uint64_t step;

	if (state->window < state->threshold) {
		tcp_congestion_slow_start(c, acked);
		return;
	}
	if (!c->trouble->cubic.in_epoch)
		epoch_begin(c);
	estimate_grow(c, acked);
	/* Section 4.4: in a round trip, all the way to the target. */
	state->acked += acked;
	step = (uint64_t)(target(c) - state->window) * state->acked / state->window;
	if (step > 0) {
		state->acked = 0;
		state->window = (uint32_t)RTE_MIN(state->window + step, (uint64_t)TCP_CONGESTION_WINDOW_MAX);
	}
	state->window = RTE_MAX(state->window, c->trouble->cubic.estimate);
}

/* With section 4.7, fast convergence: who has less than last time leaves more to others. */
static void
peak_set(struct tcp_connection *c)
{
	struct tcp_cubic *cubic = &tcp_trouble(c)->cubic;
	uint32_t window = c->congestion.window;

	cubic->peak = window < cubic->peak ? (uint32_t)((uint64_t)window * (10 + BETA_TENTHS) / 20) : window;
	cubic->in_epoch = false;
	c->congestion.acked = 0;
}

static void
cubic_lost(struct tcp_connection *c, uint32_t flight)
{
	uint32_t threshold = reduced(c, flight, 10 * BETA_TENTHS);

	peak_set(c);
	c->congestion.threshold = threshold;
	/* As in congestion.c; with SACK proportional rate reduction decides. */
	c->congestion.window = threshold + 3u * c->mss;
}

static void
cubic_marked(struct tcp_connection *c)
{
	uint32_t threshold = reduced(c, UINT32_MAX, BETA_MARKED_PERCENT);

	peak_set(c);
	c->congestion.threshold = threshold;
	c->congestion.window = threshold;
}

static void
cubic_timed_out(struct tcp_connection *c, uint32_t flight, bool again)
{
	if (!again) {
		uint32_t threshold = reduced(c, flight, 10 * BETA_TENTHS);

		peak_set(c);
		c->congestion.threshold = threshold;
	}
	epoch_end(c);
	c->congestion.window = c->mss;
	c->congestion.acked = 0;
}

static void
cubic_idle(struct tcp_connection *c)
{
	epoch_end(c);
	tcp_congestion_new_reno.idle(c);
}

static void
cubic_start(struct tcp_connection *c)
{
	tcp_congestion_new_reno.start(c);
}

static void
cubic_recovered(struct tcp_connection *c, uint32_t flight)
{
	tcp_congestion_new_reno.recovered(c, flight);
}

const struct tcp_congestion_ops tcp_congestion_cubic = {
	.name = "cubic",
	.start = cubic_start,
	.acknowledged = cubic_acknowledged,
	.lost = cubic_lost,
	.marked = cubic_marked,
	.recovered = cubic_recovered,
	.timed_out = cubic_timed_out,
	.idle = cubic_idle,
};
