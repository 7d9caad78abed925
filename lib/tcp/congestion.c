#include "tcp/congestion.h"

#include <rte_common.h>

#include "tcp/ecn.h"

/* RFC 6928 section 2. */
static uint32_t
initial_window(uint32_t mss)
{
	return RTE_MIN(10 * mss, RTE_MAX(2 * mss, 14600u));
}

/* RFC 5681 equation 4. */
static uint32_t
halved(const struct tcp_connection *c, uint32_t flight)
{
	return RTE_MAX(flight / 2, 2u * c->mss);
}

static void
new_reno_start(struct tcp_connection *c)
{
	c->congestion.window = initial_window(c->mss);
	/* A SYN that had to be sent again leaves one segment (RFC 6928 section 2, RFC 5681 section 3.1). */
	if (c->retries > 0)
		c->congestion.window = c->mss;
	c->congestion.threshold = TCP_CONGESTION_WINDOW_MAX;
	c->congestion.acked = 0;
}

void
tcp_congestion_lost(struct tcp_connection *c, uint32_t flight)
{
	if (c->ecn_reduced)
		c->congestion.window = c->congestion.threshold + 3u * c->mss;
	else
		c->stack->congestion->lost(c, flight);
	tcp_ecn_reduced(c);
}

/* Counts bytes without the limit of RFC 3465: a receiver that merges segments, as Linux and this stack do, acknowledges many
 * with one ACK. */
void
tcp_congestion_slow_start(struct tcp_connection *c, uint32_t acked)
{
	struct tcp_congestion *state = &c->congestion;

	state->window = RTE_MIN(state->window + acked, TCP_CONGESTION_WINDOW_MAX);
}

static void
new_reno_acknowledged(struct tcp_connection *c, uint32_t acked)
{
	struct tcp_congestion *state = &c->congestion;

	if (state->window < state->threshold) {
		tcp_congestion_slow_start(c, acked);
		return;
	}
	state->acked += acked;
	if (state->acked >= state->window) {
		state->acked -= state->window;
		state->window = RTE_MIN(state->window + c->mss, TCP_CONGESTION_WINDOW_MAX);
	}
}

static void
new_reno_lost(struct tcp_connection *c, uint32_t flight)
{
	c->congestion.threshold = halved(c, flight);
	/* The three segments that the duplicate ACKs stand for have left the network (RFC 5681 section 3.2, step 3). */
	c->congestion.window = c->congestion.threshold + 3u * c->mss;
	c->congestion.acked = 0;
}

/* RFC 8511 section 3: a mark comes before the queue is full, so that less than half is enough. */
static void
new_reno_marked(struct tcp_connection *c)
{
	c->congestion.threshold = (uint32_t)RTE_MAX(c->congestion.window * 8ull / 10, 2ull * c->mss);
	c->congestion.window = c->congestion.threshold;
	c->congestion.acked = 0;
}

static void
new_reno_recovered(struct tcp_connection *c, uint32_t flight)
{
	/* RFC 6582 section 3.2 step 3, the option that sends no burst. */
	c->congestion.window = RTE_MIN(c->congestion.threshold, RTE_MAX(flight, (uint32_t)c->mss) + c->mss);
}

static void
new_reno_timed_out(struct tcp_connection *c, uint32_t flight, bool again)
{
	if (!again)
		c->congestion.threshold = halved(c, flight);
	c->congestion.window = c->mss;
	c->congestion.acked = 0;
}

static void
new_reno_idle(struct tcp_connection *c)
{
	c->congestion.window = RTE_MIN(c->congestion.window, initial_window(c->mss));
}

const struct tcp_congestion_ops tcp_congestion_new_reno = {
	.name = "new_reno",
	.start = new_reno_start,
	.acknowledged = new_reno_acknowledged,
	.lost = new_reno_lost,
	.marked = new_reno_marked,
	.recovered = new_reno_recovered,
	.timed_out = new_reno_timed_out,
	.idle = new_reno_idle,
};

const struct tcp_congestion_ops *
tcp_congestion_of(uint8_t algorithm)
{
	return algorithm == TCP_NEW_RENO ? &tcp_congestion_new_reno : &tcp_congestion_cubic;
}
