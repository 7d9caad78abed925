#include "tcp/loss.h"

#include "tcp/rack.h"
#include "tcp/recovery.h"
#include "tcp/scoreboard.h"
#include "tcp/segment.h"
#include "tcp/stack.h"
#include "tcp/undo.h"

/* ---- proportional rate reduction ---- */

/* RFC 9937 section 6: the window is what is in flight, and what may join it now. `progress`: snd_una has moved, and
 * nothing more was found lost. */
static void
reduce(struct tcp_connection *c, uint32_t delivered, bool progress)
{
	struct tcp_scoreboard *board = c->board;
	uint32_t pipe = tcp_scoreboard_pipe(c), threshold = c->congestion.threshold;
	int64_t more;

	board->prr_delivered += delivered;
	if (pipe > threshold) {
		more = (int64_t)(((uint64_t)board->prr_delivered * threshold + board->prr_flight - 1) /
				 board->prr_flight) -
		       board->prr_out;
	} else {
		more = RTE_MAX((int64_t)board->prr_delivered - board->prr_out, (int64_t)delivered);
		if (progress)
			more += c->mss;
		more = RTE_MIN(more, (int64_t)threshold - pipe);
	}
	/* The first retransmission leaves whatever the sums say. */
	more = RTE_MAX(more, board->prr_out == 0 ? (int64_t)c->mss : 0);
	c->congestion.window = pipe + (uint32_t)more;
}

void
tcp_loss_sent(struct tcp_connection *c, uint32_t len)
{
	c->board->prr_out += len;
}

/* ---- recovery ---- */

/* A timeout's recovery goes on until all that was out then has arrived; losses meanwhile are not news. */
static bool
may_begin(const struct tcp_connection *c)
{
	return !(c->flags & TCP_RECOVERY) &&
	       !(c->flags & TCP_RECOVER_SET && sequence_before(c->snd_una, c->trouble->snd_recover));
}

static void
begin(struct tcp_connection *c, uint32_t delivered)
{
	struct tcp_scoreboard *board = c->board;

	tcp_undo_save(c, TCP_UNDO_RECOVERY);
	tcp_trouble(c)->snd_recover = c->snd_max;
	c->flags = (c->flags & ~(TCP_TAIL_SENT | TCP_TAIL_AGAIN)) | TCP_RECOVERY | TCP_RECOVER_SET;
	tcp_congestion_lost(c, c->snd_max - c->snd_una);
	board->prr_flight = RTE_MAX(c->snd_max - c->snd_una - board->sacked + delivered, 1u);
	board->prr_delivered = board->prr_out = 0;
	TCP_COUNT(c->stack, fast_retransmits);
}

static void
finish(struct tcp_connection *c)
{
	c->flags &= ~TCP_RECOVERY;
	c->congestion.window = RTE_MAX(c->congestion.threshold, (uint32_t)c->mss);
	c->board->release = c->snd_max;
	tcp_rack_recovered(c);
}

/* A late DSACK may still say that it was all in vain, but not after everything has arrived. */
static bool
is_over(const struct tcp_connection *c)
{
	const struct tcp_scoreboard *board = c->board;

	return !board->first && !(c->flags & TCP_RECOVERY) &&
	       (c->snd_una == c->snd_max || board->undo == TCP_UNDO_NONE ||
		!sequence_before(c->snd_una, board->release));
}

/* The timer for what is suspect, or, where there is none, that for all that is out. */
static void
arm(struct tcp_connection *c, uint64_t suspect_ns, bool progress)
{
	if (c->snd_una == c->snd_max) {
		c->retransmit_deadline_ns = TCP_NEVER;
		c->flags &= ~(TCP_TAIL_TIMER | TCP_SUSPECT_TIMER);
		return;
	}
	if (progress || c->flags & (TCP_TAIL_TIMER | TCP_SUSPECT_TIMER) || c->retransmit_deadline_ns == TCP_NEVER)
		tcp_recovery_arm(c);
	if (suspect_ns < c->retransmit_deadline_ns) {
		c->retransmit_deadline_ns = suspect_ns;
		c->flags |= TCP_SUSPECT_TIMER;
	}
	tcp_timer_update(c);
}

static void
react(struct tcp_connection *c, uint32_t delivered, bool progress)
{
	uint64_t suspect_ns;
	bool lost = tcp_rack_detect(c, &suspect_ns);

	if (c->flags & TCP_RECOVERY && !sequence_before(c->snd_una, c->trouble->snd_recover))
		finish(c);
	if (lost && may_begin(c))
		begin(c, delivered);
	if (c->flags & TCP_RECOVERY)
		reduce(c, delivered, progress && !lost);
	if (is_over(c))
		tcp_scoreboard_free(c);
	arm(c, suspect_ns, progress);
	tcp_connection_schedule(c);
}

void
tcp_loss_input(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked)
{
	struct tcp_delivery delivery = { 0 };

	tcp_scoreboard_acknowledged(c, segment, acked, &delivery);
	tcp_scoreboard_sack(c, segment, &delivery);
	tcp_tail_answered(c, segment, &delivery);
	tcp_rack_adapt(c, &delivery);
	if (c->board) {
		tcp_undo_input(c, segment, acked, &delivery);
		react(c, delivery.bytes, acked > 0);
	} else if (acked > 0) {
		arm(c, TCP_NEVER, true);
	}
}

void
tcp_loss_suspect_due(struct tcp_connection *c)
{
	tcp_recovery_arm(c);
	if (c->board)
		react(c, 0, false);
}

bool
tcp_loss_timeout(struct tcp_connection *c)
{
	bool first = c->retries == 1 && may_begin(c);

	/* A window that closed over what was sent must be probed. */
	if (!(c->flags & TCP_SACK) || c->snd_wnd < RTE_MIN((uint32_t)c->mss, c->snd_max - c->snd_una) ||
	    !tcp_scoreboard_lose(c)) {
		tcp_scoreboard_free(c);
		return false;
	}
	/* After the first of several, there is nothing left to save. */
	if (c->retries == 1)
		tcp_undo_save(c, TCP_UNDO_TIMEOUT);
	c->board->frto = first ? TCP_FRTO_FIRST : TCP_FRTO_OFF;
	c->board->release = c->snd_max;
	return true;
}
