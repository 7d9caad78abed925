#include "base/clock.h"
#include "tcp/ecn.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* A twentieth of what Linux waits (TCP_DELACK_MIN): long enough for a proxy's answer to take the ACK along, short enough for a
 * sender that has one odd segment left under its window. And the delay of a young connection, see quick_acks. */
#define ACK_DELAY_NS (2 * NS_PER_MS)
#define ACK_DELAY_QUICK_NS NS_PER_MS

/* Segments in order after one that was not, whose ACKs are not delayed, about as Linux's quick ACKs (tcp_enter_quickack_mode()): a
 * sender that has lost something has a small window, and grows it by what comes back. */
#define PROMPT_ACKS 15

static void
acknowledge_now(struct tcp_connection *c)
{
	c->flags |= TCP_ACK_NOW;
	tcp_connection_schedule(c);
}

/* RFC 9293 section 3.8.6.3: every second full segment, and none later than the delay. "Now" is the next flush, which a
 * whole burst shares. */
static void
acknowledge(struct tcp_connection *c)
{
	if (c->rcv_nxt - c->rcv_acked >= 2u * c->rcv_mss) {
		acknowledge_now(c);
		return;
	}
	if (c->prompt_acks > 0) {
		c->prompt_acks--;
		acknowledge_now(c);
		return;
	}
	if (c->flags & TCP_ACK_DELAYED)
		return;
	c->flags |= TCP_ACK_DELAYED;
	if (c->quick_acks > 0) {
		c->quick_acks--;
		c->ack_deadline_ns = RTE_MIN(c->ack_deadline_ns, c->stack->now_ns + ACK_DELAY_QUICK_NS);
	} else {
		c->ack_deadline_ns = RTE_MIN(c->ack_deadline_ns, c->stack->now_ns + ACK_DELAY_NS);
	}
	tcp_timer_update(c);
}

static void
in_order(struct tcp_connection *c, struct tcp_segment *segment)
{
	uint32_t len = segment->payload.bytes;

	if (len == 0)
		return;
	/* Without an ACK: the peer is to slow down as if the path had lost it. */
	if (unlikely(!tcp_memory_takes(c))) {
		TCP_COUNT(c->stack, drop_no_memory);
		return;
	}
	/* Not of several in one packet, which the sender, or a kernel, has not cut up: a segment is what our SYN allowed. */
	if (len > c->rcv_mss)
		c->rcv_mss = (uint16_t)RTE_MIN(len, tcp_mss_offered(c));
	tcp_queue_concatenate(&c->received, &segment->payload);
	c->rcv_nxt += len;
	if (c->ranges) {
		/* A gap is filled, at least in part (RFC 5681 section 4.2). */
		len += tcp_reassembly_take(c);
		acknowledge_now(c);
	} else {
		acknowledge(c);
	}
	c->stack->counters[TCP_COUNT_bytes_received] += len;
	tcp_connection_notify(c, TCP_READABLE);
}

static void
out_of_order(struct tcp_connection *c, struct tcp_segment *segment)
{
	TCP_COUNT(c->stack, out_of_order);
	c->prompt_acks = PROMPT_ACKS;
	if (tcp_memory_takes_ahead(c))
		tcp_reassembly_insert(c, segment->sequence, &segment->payload);
	else
		TCP_COUNT(c->stack, drop_no_memory);
	/* Each has a duplicate ACK of its own, which the sender counts (RFC 5681 section 4.2). */
	tcp_output_ack(c);
}

static void
fin_received(struct tcp_connection *c)
{
	c->rcv_nxt++;
	/* FIN may come when the window is closed, and what follows must still be acceptable. */
	c->rcv_edge = sequence_max(c->rcv_edge, c->rcv_nxt);
	c->flags |= TCP_FIN_RECEIVED;
	tcp_reassembly_free(c);
	acknowledge_now(c);
	tcp_connection_notify(c, TCP_END_OF_STREAM);
	if (c->state == TCP_STATE_ESTABLISHED)
		c->state = TCP_STATE_CLOSE_WAIT;
	else if (c->state == TCP_STATE_FIN_WAIT_1)
		c->state = TCP_STATE_CLOSING;
	else
		tcp_time_wait_enter(c);
}

/* Where FIN is, bounds what is data: there is nothing behind it. */
static void
fin_note(struct tcp_connection *c, struct tcp_segment *segment)
{
	if (segment->flags & RTE_TCP_FIN_FLAG && !(c->flags & TCP_FIN_SEEN)) {
		c->flags |= TCP_FIN_SEEN;
		c->rcv_fin = segment->sequence + segment->payload.bytes;
	}
	if (c->flags & TCP_FIN_SEEN && sequence_after(segment->sequence + segment->payload.bytes, c->rcv_fin)) {
		TCP_COUNT(c->stack, drop_after_fin);
		tcp_queue_truncate(&segment->payload,
				   sequence_after(c->rcv_fin, segment->sequence) ? c->rcv_fin - segment->sequence : 0);
	}
}

void
tcp_input_data(struct tcp_connection *c, struct tcp_segment *segment)
{
	if (!tcp_receiving(c)) {
		TCP_COUNT(c->stack, drop_after_fin);
		return;
	}
	/* Nobody will read it (RFC 9293 section 3.10.4, RFC 2525 section 2.17). */
	if (segment->payload.bytes > 0 && !(c->flags & TCP_OWNED)) {
		TCP_COUNT(c->stack, drop_after_close);
		tcp_connection_abort(c, TCP_RESET);
		return;
	}
	if (unlikely(c->flags & TCP_ECN) && segment->payload.bytes > 0)
		tcp_ecn_data_input(c, segment);
	fin_note(c, segment);
	if (segment->sequence == c->rcv_nxt)
		in_order(c, segment);
	else
		out_of_order(c, segment);
	if (c->flags & TCP_FIN_SEEN && !sequence_before(c->rcv_nxt, c->rcv_fin))
		fin_received(c);
}
