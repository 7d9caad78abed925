#include "tcp/ecn.h"
#include "tcp/input.h"
#include "tcp/loss.h"
#include "tcp/recovery.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* Our FIN has arrived. False: the connection is over. */
static bool
fin_acknowledged(struct tcp_connection *c)
{
	switch (c->state) {
	case TCP_STATE_FIN_WAIT_1:
		c->state = TCP_STATE_FIN_WAIT_2;
		if (!(c->flags & TCP_OWNED))
			tcp_timer_orphan(c);
		return true;
	case TCP_STATE_CLOSING:
		tcp_time_wait_enter(c);
		return false;
	case TCP_STATE_LAST_ACK:
		tcp_connection_end(c, TCP_FINISHED);
		return false;
	default:
		return true;
	}
}

static void
tell_writer(struct tcp_connection *c)
{
	/* Not for every few bytes. */
	if (c->flags & TCP_WANT_WRITE && c->sending.bytes <= tcp_memory_send_limit(c) / 4 * 3) {
		c->flags &= ~TCP_WANT_WRITE;
		tcp_connection_notify(c, TCP_WRITABLE);
	}
	if (c->flags & TCP_WANT_SENT && c->sending.bytes == 0) {
		c->flags &= ~TCP_WANT_SENT;
		tcp_connection_notify(c, TCP_SENT);
	}
}

static bool
acknowledged(struct tcp_connection *c, const struct tcp_segment *segment)
{
	uint32_t acked = segment->acknowledgement - c->snd_una;
	bool fin = acked > c->sending.bytes;

	tcp_queue_drop(&c->sending, acked - fin);
	c->snd_una = segment->acknowledgement;
	c->snd_nxt = sequence_max(c->snd_nxt, c->snd_una);
	if (!c->sending.head) {
		c->snd_cursor = NULL;
	} else if (sequence_before(c->snd_cursor_sequence, c->snd_una)) {
		c->snd_cursor = c->sending.head;
		c->snd_cursor_sequence = c->snd_una;
	}
	tcp_recovery_acknowledged(c, segment, acked);
	if (c->sending.bytes > 0 || c->flags & TCP_SHUTDOWN)
		tcp_connection_schedule(c);
	if (acked > fin)
		tell_writer(c);
	return fin ? fin_acknowledged(c) : true;
}

/* RFC 9293 section 3.10.7.4: only from a segment that is not older than the last that told the window. What that one acknowledged
 * (SND.WL2) need not be kept: it is never beyond snd_una. */
static bool
window_read(struct tcp_connection *c, const struct tcp_segment *segment)
{
	uint32_t window = (uint32_t)segment->window << c->snd_scale;
	bool grown = window > c->snd_wnd, changed = window != c->snd_wnd;

	if (sequence_before(segment->sequence, c->snd_wl1) || sequence_before(segment->acknowledgement, c->snd_una))
		return false;
	c->snd_wnd = window;
	c->snd_wl1 = segment->sequence;
	c->snd_wnd_max = RTE_MAX(c->snd_wnd_max, window);
	if (grown && c->sending.bytes > 0) {
		if (c->flags & TCP_PERSIST)
			tcp_recovery_window_opened(c);
		tcp_connection_schedule(c);
	}
	return changed;
}

/* RFC 5681 section 2. */
static bool
is_duplicate(const struct tcp_connection *c, const struct tcp_segment *segment, uint32_t len, bool window_changed)
{
	return segment->acknowledgement == c->snd_una && len == 0 && c->snd_max != c->snd_una &&
	       !(c->flags & TCP_PERSIST) && !window_changed;
}

bool
tcp_input_acknowledgement(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t len)
{
	bool window_changed;

	/* RFC 5961 section 5.2. */
	if (sequence_after(segment->acknowledgement, c->snd_max) ||
	    sequence_before(segment->acknowledgement, c->snd_una - c->snd_wnd_max)) {
		TCP_COUNT(c->stack, drop_bad_ack);
		tcp_input_challenge(c);
		return false;
	}
	if (unlikely(c->flags & TCP_ECN))
		tcp_ecn_ack_input(c, segment);
	window_changed = window_read(c, segment);
	/* A peer that answers window probes is alive, however long it keeps its window closed (RFC 9293 section
	 * 3.8.6.1); but nobody waits for ever for one to take the last bytes of a closed connection. */
	if (c->flags & TCP_PERSIST && c->flags & TCP_OWNED)
		c->retries = 0;
	if (sequence_after(segment->acknowledgement, c->snd_una))
		return acknowledged(c, segment);
	if (c->flags & TCP_SACK) {
		if (segment->acknowledgement == c->snd_una &&
		    (segment->options.flags & TCP_OPTION_SACK || c->flags & TCP_TAIL_SENT))
			tcp_loss_input(c, segment, 0);
	} else if (is_duplicate(c, segment, len, window_changed)) {
		tcp_recovery_duplicate(c);
	}
	return true;
}
