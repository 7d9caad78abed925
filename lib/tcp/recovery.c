#include "tcp/recovery.h"

#include "base/clock.h"
#include "tcp/output.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

static uint64_t
timeout_ns(const struct tcp_connection *c)
{
	uint64_t us = (uint64_t)c->rto_us << RTE_MIN(c->backoff, 16);

	return RTE_MIN(us, (uint64_t)TCP_RTO_MAX_US) * NS_PER_US;
}

void
tcp_recovery_time(struct tcp_connection *c, uint32_t end)
{
	if (c->flags & TCP_RTT_TIMED)
		return;
	c->flags |= TCP_RTT_TIMED;
	c->rtt_sequence = end;
	c->rtt_start_ns = c->stack->now_ns;
}

void
tcp_recovery_arm(struct tcp_connection *c)
{
	c->flags &= ~TCP_PERSIST;
	c->retransmit_deadline_ns = c->stack->now_ns + timeout_ns(c);
}

void
tcp_recovery_arm_probe(struct tcp_connection *c)
{
	c->flags |= TCP_PERSIST;
	c->retransmit_deadline_ns = c->stack->now_ns + timeout_ns(c);
}

/* RFC 6298 section 2. As in Linux the lower bound applies to the variance term, so that a peer's delayed ACK does not
 * look like a loss. */
static void
measured(struct tcp_connection *c, uint64_t rtt_us)
{
	uint32_t rtt = (uint32_t)RTE_MIN(RTE_MAX(rtt_us, 1u), (uint64_t)TCP_RTO_MAX_US), error;

	if (c->srtt_us == 0) {
		c->srtt_us = rtt;
		c->rttvar_us = rtt / 2;
	} else {
		error = rtt > c->srtt_us ? rtt - c->srtt_us : c->srtt_us - rtt;
		c->rttvar_us = c->rttvar_us - c->rttvar_us / 4 + error / 4;
		c->srtt_us = RTE_MAX(c->srtt_us - c->srtt_us / 8 + rtt / 8, 1u);
	}
	c->rto_us = RTE_MIN(c->srtt_us + RTE_MAX(4 * c->rttvar_us, (uint32_t)TCP_RTO_MIN_US), (uint32_t)TCP_RTO_MAX_US);
}

/* From the segment being timed, or, when a retransmission has spoilt that, from the timestamp that comes back. */
static void
measure(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (c->flags & TCP_RTT_TIMED) {
		if (sequence_before(segment->acknowledgement, c->rtt_sequence))
			return;
		c->flags &= ~TCP_RTT_TIMED;
		measured(c, (c->stack->now_ns - c->rtt_start_ns) / NS_PER_US);
	} else if (segment->options.flags & TCP_OPTION_TIMESTAMP && segment->options.timestamp_echo != 0) {
		uint32_t ms = c->stack->now_ms + c->ts_offset - segment->options.timestamp_echo;

		if (ms < TCP_RTO_MAX_US / 1000)
			measured(c, ms * 1000ull);
	}
}

void
tcp_recovery_opened(struct tcp_connection *c, const struct tcp_segment *segment)
{
	measure(c, segment);
	/* RFC 6298 (5.7): the initial timeout has proved too short, and nothing better is known. */
	if (c->srtt_us == 0 && c->retries > 0)
		c->rto_us = 3 * TCP_RTO_INITIAL_US;
	c->retransmit_deadline_ns = TCP_NEVER;
	c->stack->congestion->start(c);
	c->retries = 0;
	c->backoff = 0;
	c->snd_recover = c->snd_iss;
}

void
tcp_recovery_window_opened(struct tcp_connection *c)
{
	c->flags &= ~TCP_PERSIST;
	c->retransmit_deadline_ns = TCP_NEVER;
	c->retries = 0;
	c->backoff = 0;
}

static void
leave_recovery(struct tcp_connection *c)
{
	c->flags &= ~TCP_RECOVERY;
	c->stack->congestion->recovered(c, c->snd_max - c->snd_una);
}

/* RFC 6582 section 3.2 step 3, the partial acknowledgment: the next hole is known, so it is filled at once. */
static void
partial(struct tcp_connection *c, uint32_t acked)
{
	struct tcp_congestion *state = &c->congestion;

	state->window -= RTE_MIN(acked, state->window);
	if (acked >= c->mss || state->window < c->mss)
		state->window += c->mss;
	c->flags |= TCP_RETRANSMIT;
}

void
tcp_recovery_acknowledged(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked)
{
	measure(c, segment);
	c->retries = 0;
	c->backoff = 0;
	c->duplicates = 0;
	c->flags &= ~(TCP_RETRANSMIT | TCP_PERSIST);
	if (!(c->flags & TCP_RECOVERY)) {
		c->stack->congestion->acknowledged(c, acked);
		/* It follows, lest it seem ahead after 2 GB without a loss. */
		if (sequence_after(c->snd_una, c->snd_recover))
			c->snd_recover = c->snd_una - 1;
	} else if (sequence_before(c->snd_una, c->snd_recover)) {
		partial(c, acked);
	} else {
		leave_recovery(c);
	}
	if (c->snd_una == c->snd_max)
		c->retransmit_deadline_ns = TCP_NEVER;
	else
		tcp_recovery_arm(c);
}

void
tcp_recovery_duplicate(struct tcp_connection *c)
{
	if (c->duplicates < UINT8_MAX)
		c->duplicates++;
	if (c->flags & TCP_RECOVERY) {
		c->congestion.window += c->mss;
	} else if (c->duplicates == 3 && sequence_after(c->snd_una, c->snd_recover)) {
		c->snd_recover = c->snd_max;
		c->flags |= TCP_RECOVERY | TCP_RETRANSMIT;
		c->stack->congestion->lost(c, c->snd_max - c->snd_una);
		TCP_COUNT(c->stack, fast_retransmits);
	}
	tcp_connection_schedule(c);
}

void
tcp_recovery_restart(struct tcp_connection *c)
{
	c->snd_nxt = c->snd_una;
	c->flags &= ~(TCP_RTT_TIMED | TCP_RETRANSMIT | TCP_RECOVERY);
	c->duplicates = 0;
	tcp_connection_schedule(c);
}

static bool
give_up(struct tcp_connection *c)
{
	TCP_COUNT(c->stack, timed_out);
	return tcp_connection_end(c, c->flags & TCP_SOFT_ERROR ? TCP_UNREACHABLE : TCP_TIMED_OUT);
}

static uint32_t
retries_max(const struct tcp_connection *c)
{
	if (!tcp_synchronized(c))
		return TCP_SYN_RETRIES;
	return c->flags & TCP_OWNED ? TCP_DATA_RETRIES : TCP_ORPHAN_RETRIES;
}

bool
tcp_recovery_timeout(struct tcp_connection *c)
{
	c->retransmit_deadline_ns = TCP_NEVER;
	if (c->retries >= retries_max(c))
		return give_up(c);
	c->retries++;
	c->backoff++;
	if (c->flags & TCP_PERSIST) {
		c->flags |= TCP_PROBE;
	} else {
		TCP_COUNT(c->stack, retransmission_timeouts);
		if (tcp_synchronized(c))
			c->stack->congestion->timed_out(c, c->snd_max - c->snd_una, c->retries > 1);
		c->snd_recover = c->snd_max;
		tcp_recovery_restart(c);
	}
	tcp_connection_schedule(c);
	return false;
}
