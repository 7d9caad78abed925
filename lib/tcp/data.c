#include "tcp/delay.h"
#include "tcp/ecn.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

static void
acknowledge_now(struct tcp_connection *c)
{
	c->flags |= TCP_ACK_NOW;
	tcp_connection_schedule(c);
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
	if (c->trouble->ranges) {
		/* A gap is filled, at least in part (RFC 5681 section 4.2). */
		len += tcp_reassembly_take(c);
		acknowledge_now(c);
	} else {
		tcp_delay_received(c);
	}
	c->stack->counters[TCP_COUNT_bytes_received] += len;
	tcp_connection_notify(c, TCP_READABLE);
}

static void
out_of_order(struct tcp_connection *c, struct tcp_segment *segment)
{
	TCP_COUNT(c->stack, out_of_order);
	tcp_delay_gap(c);
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
