#include "tcp/recovery.h"

#include "base/clock.h"
#include "tcp/ecn.h"
#include "tcp/loss.h"
#include "tcp/output.h"
#include "tcp/path_mtu.h"
#include "tcp/rack.h"
#include "tcp/scoreboard.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* Linux's tcp_min_rtt_wlen. */
#define RTT_MIN_AGE_MS 300000

/* On top of two round trips, before the tail is probed; as Linux's two ticks. */
#define TAIL_MARGIN_US 2000

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

/* RFC 8985 section 7.2. One probe at a time, and none while the scoreboard tells more. Nor for a lone segment, whose ACK a
 * peer may hold back for 200 ms: with that, the probe would be no earlier than the timeout. */
static bool
tail_may_be_probed(const struct tcp_connection *c)
{
	return (c->flags & (TCP_SACK | TCP_RECOVERY | TCP_TAIL_SENT)) == TCP_SACK && c->snd_max - c->snd_una > c->mss &&
	       !c->board && c->backoff == 0 && c->srtt_us > 0;
}

void
tcp_recovery_arm(struct tcp_connection *c)
{
	uint64_t after_ns = timeout_ns(c), tail_ns;

	c->flags &= ~(TCP_PERSIST | TCP_TAIL_TIMER | TCP_SUSPECT_TIMER);
	if (tail_may_be_probed(c)) {
		tail_ns = (2ull * c->srtt_us + TAIL_MARGIN_US) * NS_PER_US;
		if (tail_ns < after_ns) {
			c->flags |= TCP_TAIL_TIMER;
			after_ns = tail_ns;
		}
	}
	c->retransmit_deadline_ns = c->stack->now_ns + after_ns;
}

void
tcp_recovery_arm_probe(struct tcp_connection *c)
{
	c->flags = (c->flags & ~(TCP_TAIL_TIMER | TCP_SUSPECT_TIMER)) | TCP_PERSIST;
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

void
tcp_recovery_timed(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;
	uint64_t us = RTE_MAX((stack->now_ns - c->rtt_start_ns) / NS_PER_US, 1u);

	c->flags &= ~TCP_RTT_TIMED;
	if (unlikely(c->mtu_probing))
		tcp_path_mtu_probed(c);
	if (us <= c->rtt_min_us || c->rtt_min_us == 0 || stack->now_ms - c->rtt_min_ms > RTT_MIN_AGE_MS) {
		c->rtt_min_us = (uint32_t)RTE_MIN(us, (uint64_t)TCP_RTO_MAX_US);
		c->rtt_min_ms = stack->now_ms;
	}
	measured(c, us);
}

/* From the segment being timed, or, when a retransmission has spoilt that, from the timestamp that comes back. */
static void
measure(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (c->flags & TCP_RTT_TIMED) {
		if (!sequence_before(segment->acknowledgement, c->rtt_sequence))
			tcp_recovery_timed(c);
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

/* It follows, lest it seem ahead after 2 GB without a loss. */
static void
pass_recover(struct tcp_connection *c)
{
	if (sequence_after(c->snd_una, c->trouble->snd_recover))
		c->flags &= ~TCP_RECOVER_SET;
}

void
tcp_recovery_acknowledged(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked)
{
	measure(c, segment);
	c->retries = 0;
	c->backoff = 0;
	c->duplicates = 0;
	c->flags &= ~(TCP_RETRANSMIT | TCP_PERSIST);
	/* A window that is not used says nothing about the path (RFC 9438 section 5.8). */
	if ((c->flags & (TCP_RECOVERY | TCP_WINDOW_USED)) == TCP_WINDOW_USED && !tcp_ecn_echoes(c, segment))
		c->stack->congestion->acknowledged(c, acked);
	if (c->board || c->flags & TCP_TAIL_SENT || (c->flags & TCP_SACK && segment->options.flags & TCP_OPTION_SACK)) {
		tcp_loss_input(c, segment, acked);
		if (c->flags & TCP_RECOVER_SET && !(c->flags & TCP_RECOVERY))
			pass_recover(c);
		return;
	}
	if (c->flags & TCP_RECOVERY) {
		if (sequence_before(c->snd_una, c->trouble->snd_recover))
			partial(c, acked);
		else
			leave_recovery(c);
	} else if (c->flags & TCP_RECOVER_SET) {
		pass_recover(c);
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
		/* A peer that makes them up gains nothing by it (RFC 5681 section 3.2): there are no more true ones than segments that
		 * were out, and those that followed. */
		if (c->congestion.window < c->congestion.threshold + 2 * (c->trouble->snd_recover - c->snd_una))
			c->congestion.window += c->mss;
	} else if (c->duplicates == 3 && !(c->flags & TCP_RECOVER_SET)) {
		tcp_trouble(c)->snd_recover = c->snd_max;
		c->flags |= TCP_RECOVERY | TCP_RECOVER_SET | TCP_RETRANSMIT;
		tcp_congestion_lost(c, c->snd_max - c->snd_una);
		TCP_COUNT(c->stack, fast_retransmits);
	}
	tcp_connection_schedule(c);
}

/* From snd_una on in order, but for what the peer has already, where there is a scoreboard that says it. */
static void
send_again(struct tcp_connection *c, bool scoreboard)
{
	if (!scoreboard)
		c->snd_nxt = c->snd_una;
	c->flags &= ~(TCP_RTT_TIMED | TCP_RETRANSMIT | TCP_RECOVERY | TCP_TAIL_DUE | TCP_TAIL_SENT | TCP_TAIL_AGAIN);
	c->duplicates = 0;
	tcp_connection_schedule(c);
}

void
tcp_recovery_restart(struct tcp_connection *c)
{
	bool scoreboard = c->flags & TCP_SACK && c->snd_max != c->snd_una && tcp_scoreboard_lose(c);

	if (!scoreboard)
		tcp_scoreboard_free(c);
	send_again(c, scoreboard);
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

/* The retransmission timer's own end. */
static void
retransmit_due(struct tcp_connection *c)
{
	bool scoreboard = false;

	TCP_COUNT(c->stack, retransmission_timeouts);
	if (tcp_synchronized(c)) {
		tcp_path_mtu_timeout(c);
		scoreboard = tcp_loss_timeout(c);
		c->stack->congestion->timed_out(c, c->snd_max - c->snd_una, c->retries > 1);
		tcp_ecn_reduced(c);
		tcp_trouble(c)->snd_recover = c->snd_max;
		c->flags |= TCP_RECOVER_SET;
	}
	send_again(c, scoreboard);
}

/* What else retransmit_deadline_ns is used for. False: it was for none of that. */
static bool
early_due(struct tcp_connection *c)
{
	if (c->flags & TCP_SUSPECT_TIMER) {
		tcp_loss_suspect_due(c);
	} else if (c->flags & TCP_TAIL_TIMER) {
		tcp_tail_due(c);
		c->flags &= ~TCP_TAIL_TIMER;
		c->retransmit_deadline_ns = c->stack->now_ns + timeout_ns(c);
	} else {
		return false;
	}
	return true;
}

bool
tcp_recovery_timeout(struct tcp_connection *c)
{
	c->retransmit_deadline_ns = TCP_NEVER;
	if (early_due(c))
		return false;
	if (c->retries >= retries_max(c))
		return give_up(c);
	c->retries++;
	c->backoff++;
	if (c->flags & TCP_PERSIST)
		c->flags |= TCP_PROBE;
	else
		retransmit_due(c);
	tcp_connection_schedule(c);
	return false;
}
