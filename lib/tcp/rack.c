#include "tcp/rack.h"

#include "base/clock.h"
#include "tcp/recovery.h"
#include "tcp/scoreboard.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* RFC 8985 section 6.2 step 4: recoveries after which a widened reordering window shrinks again, and quarters of the
 * round trip that it has at most (as Linux). */
#define REORDER_PERSIST 16
#define REORDER_STEPS_MAX UINT8_MAX

#define DUPLICATES_THRESHOLD 3

/* ---- what is lost ---- */

/* Section 6.2 step 4. Without reordering seen, three segments that arrived later are enough, as ever. */
static uint64_t
reorder_window_ns(const struct tcp_connection *c)
{
	uint64_t us = (uint64_t)c->rtt_min_us * (c->trouble->reorder_steps + 1u) / 4;

	if (!(c->flags & TCP_REORDERED) &&
	    (c->flags & TCP_RECOVERY || c->board->sacked > (DUPLICATES_THRESHOLD - 1u) * c->mss))
		return 0;
	return RTE_MIN(us, (uint64_t)c->srtt_us) * NS_PER_US;
}

/* Has something arrived that was sent later? */
static bool
is_overtaken(const struct tcp_scoreboard *board, const struct tcp_sent *range)
{
	if (range->state == TCP_SENT_ONCE)
		return sequence_after(board->high, range->start);
	return sequence_after(board->high, range->sent_next) || board->delivered_ns > range->sent_ns ||
	       (board->delivered_ns == range->sent_ns && sequence_after(board->delivered_end, range->end));
}

bool
tcp_rack_detect(struct tcp_connection *c, uint64_t *suspect_ns)
{
	struct tcp_scoreboard *board = c->board;
	uint64_t window_ns = reorder_window_ns(c), now_ns = c->stack->now_ns;
	uint32_t before = board->lost;

	*suspect_ns = TCP_NEVER;
	for (struct tcp_sent *range = board->first; range; range = range->next) {
		if (range->state == TCP_SENT_SACKED || range->state == TCP_SENT_LOST)
			continue;
		if (range->suspect_ns == TCP_NEVER && is_overtaken(board, range))
			range->suspect_ns = now_ns;
		if (range->suspect_ns == TCP_NEVER)
			continue;
		if (range->suspect_ns + window_ns <= now_ns)
			tcp_scoreboard_lost(board, range);
		else
			*suspect_ns = RTE_MIN(*suspect_ns, range->suspect_ns + window_ns);
	}
	if (board->lost == before)
		return false;
	tcp_scoreboard_tidy(c);
	return true;
}

/* ---- the reordering window ---- */

void
tcp_rack_adapt(struct tcp_connection *c, const struct tcp_delivery *delivery)
{
	struct tcp_trouble *trouble;

	if (delivery->reordered && !(c->flags & TCP_REORDERED)) {
		c->flags |= TCP_REORDERED;
		TCP_COUNT(c->stack, reordering_seen);
	}
	/* Once per round trip. */
	if (!delivery->dsack ||
	    (c->trouble->reorder_steps > 0 && sequence_before(c->snd_una, c->trouble->reorder_round)))
		return;
	trouble = tcp_trouble(c);
	trouble->reorder_round = c->snd_max;
	trouble->reorder_persist = REORDER_PERSIST;
	if (trouble->reorder_steps < REORDER_STEPS_MAX)
		trouble->reorder_steps++;
}

void
tcp_rack_recovered(struct tcp_connection *c)
{
	if (c->trouble->reorder_persist > 0 && --tcp_trouble(c)->reorder_persist == 0)
		tcp_trouble(c)->reorder_steps = 0;
}

/* ---- clocks ---- */

void
tcp_rack_time_sacked(struct tcp_connection *c, uint32_t start, uint32_t end)
{
	if (c->flags & TCP_RTT_TIMED && sequence_before(start, c->rtt_sequence) &&
	    !sequence_before(end, c->rtt_sequence))
		tcp_recovery_timed(c);
}

bool
tcp_echoes_before(const struct tcp_connection *c, const struct tcp_segment *segment, uint32_t ms)
{
	return c->flags & TCP_TIMESTAMPS && segment->options.flags & TCP_OPTION_TIMESTAMP &&
	       sequence_before(segment->options.timestamp_echo - c->ts_offset, ms);
}

/* ---- the tail ---- */

void
tcp_tail_due(struct tcp_connection *c)
{
	c->flags |= TCP_TAIL_DUE;
	tcp_connection_schedule(c);
}

void
tcp_tail_sent(struct tcp_connection *c, bool again)
{
	TCP_COUNT(c->stack, tail_probes);
	c->flags = (c->flags & ~TCP_TAIL_AGAIN) | TCP_TAIL_SENT | (again ? TCP_TAIL_AGAIN : 0);
	c->tail_end = c->snd_max;
}

void
tcp_tail_answered(struct tcp_connection *c, const struct tcp_segment *segment, struct tcp_delivery *delivery)
{
	bool repaired = false;

	if (!(c->flags & TCP_TAIL_SENT) || sequence_before(segment->acknowledgement, c->tail_end))
		return;
	if (delivery->dsack && delivery->dsack_end == c->tail_end) {
		delivery->dsack = false; /* it is no sign of reordering */
	} else if (c->flags & TCP_TAIL_AGAIN) {
		/* Both the probe and what it repeated may have arrived, or one of them was lost: the next ACK tells. */
		if (segment->acknowledgement == c->tail_end && (delivery->bytes > 0 || segment->payload.bytes > 0))
			return;
		repaired = sequence_after(segment->acknowledgement, c->tail_end);
	}
	c->flags &= ~(TCP_TAIL_SENT | TCP_TAIL_AGAIN);
	if (!repaired)
		return;
	TCP_COUNT(c->stack, tail_repairs);
	tcp_congestion_lost(c, c->snd_max - c->snd_una + delivery->bytes);
	c->congestion.window = c->congestion.threshold;
}
