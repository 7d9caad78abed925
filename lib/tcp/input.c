#include "tcp/input.h"

#include "packet/view.h"
#include "tcp/ecn.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* Linux's tcp_invalid_ratelimit. */
#define CHALLENGE_INTERVAL_MS 500

/* After so long without a segment the peer's timestamps may have wrapped (RFC 7323 section 5.5: 24 days). */
#define TIMESTAMP_STALE_MS (24u * 24 * 3600 * 1000)

/* ---- from mbuf to segment ---- */

/* The payload's mbufs, headers and padding cut off; what carries none of it is freed. */
static void
payload_take(struct rte_mbuf *m, uint32_t offset, uint32_t len, struct tcp_queue *payload)
{
	while (m) {
		struct rte_mbuf *next = m->next;
		uint32_t skip = RTE_MIN(offset, m->data_len);

		m->data_off += skip;
		m->data_len = (uint16_t)RTE_MIN(m->data_len - skip, len);
		offset -= skip;
		len -= m->data_len;
		tcp_queue_push(payload, m);
		m = next;
	}
}

static bool
flags_make_sense(uint8_t flags)
{
	uint8_t kind = flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG);

	return (kind & (kind - 1)) == 0;
}

/* Always takes the mbuf over. False: not to be looked at further. */
static bool
segment_read(struct tcp_stack *stack, struct rte_mbuf *m, struct tcp_segment *segment)
{
	const struct packet_view *view = packet_view(m);
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, view->l4_offset);
	uint32_t options_len = view->payload_offset - view->l4_offset - sizeof(*tcp);
	bool good;

	segment->local = (struct endpoint){ view->destination, view->destination_port_be };
	segment->remote = (struct endpoint){ view->source, view->source_port_be };
	segment->sequence = ntohl(tcp->sent_seq);
	segment->acknowledgement = ntohl(tcp->recv_ack);
	segment->window = ntohs(tcp->rx_win);
	segment->flags = view->tcp_flags;
	segment->ecn = view->tos & 3;
	segment->payload = (struct tcp_queue){ 0 };
	good = tcp_options_parse((const uint8_t *)(tcp + 1), options_len, segment->flags & RTE_TCP_SYN_FLAG,
				 &segment->options);
	payload_take(m, view->payload_offset, view->payload_len, &segment->payload);
	if (!good) {
		TCP_COUNT(stack, drop_malformed);
		return false;
	}
	if (!flags_make_sense(segment->flags)) {
		TCP_COUNT(stack, drop_bad_flags);
		return false;
	}
	return true;
}

/* ---- acceptable? ---- */

void
tcp_input_challenge(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;

	if (stack->now_ms - c->challenge_ms < CHALLENGE_INTERVAL_MS) {
		TCP_COUNT(stack, challenge_acks_limited);
		return;
	}
	c->challenge_ms = stack->now_ms;
	TCP_COUNT(stack, challenge_acks);
	tcp_output_ack(c);
}

static void
acknowledge_soon(struct tcp_connection *c)
{
	c->flags |= TCP_ACK_NOW;
	tcp_connection_schedule(c);
}

/* A peer that sends old data has missed our ACK and needs it; without data it is a probe, or a trick. */
static void
answer_unacceptable(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (segment->flags & RTE_TCP_RST_FLAG)
		return;
	if (segment->payload.bytes > 0 || segment->flags & RTE_TCP_FIN_FLAG)
		acknowledge_soon(c);
	else
		tcp_input_challenge(c);
}

/* PAWS (RFC 7323 section 5.3). */
static bool
timestamp_acceptable(struct tcp_connection *c, const struct tcp_segment *segment)
{
	struct tcp_stack *stack = c->stack;

	if (!(c->flags & TCP_TIMESTAMPS) || segment->flags & RTE_TCP_RST_FLAG)
		return true;
	if (!(segment->options.flags & TCP_OPTION_TIMESTAMP)) {
		TCP_COUNT(stack, drop_no_timestamp);
		return false;
	}
	if (!sequence_before(segment->options.timestamp, c->ts_recent) ||
	    stack->now_ms - c->received_ms > TIMESTAMP_STALE_MS)
		return true;
	TCP_COUNT(stack, drop_paws);
	answer_unacceptable(c, segment);
	return false;
}

/* RFC 9293 section 3.10.7.4, first step; an ACK at the very edge of the window is as good, or nothing could be said
 * while it is closed. */
static bool
sequence_acceptable(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t len)
{
	uint32_t end = segment->sequence + len;

	if (sequence_before(end, c->rcv_nxt) || (len > 0 && end == c->rcv_nxt)) {
		TCP_COUNT(c->stack, drop_old_data);
		if (segment->payload.bytes > 0)
			tcp_reassembly_duplicate(c, segment->sequence, segment->sequence + segment->payload.bytes);
	} else if (sequence_after(segment->sequence, c->rcv_edge)) {
		TCP_COUNT(c->stack, drop_out_of_window);
	} else {
		return true;
	}
	answer_unacceptable(c, segment);
	return false;
}

static void
trim(struct tcp_connection *c, struct tcp_segment *segment)
{
	if (sequence_before(segment->sequence, c->rcv_nxt)) {
		if (segment->payload.bytes > 0)
			tcp_reassembly_duplicate(c, segment->sequence, c->rcv_nxt);
		tcp_queue_drop(&segment->payload, c->rcv_nxt - segment->sequence);
		segment->sequence = c->rcv_nxt;
	}
	if (sequence_after(segment->sequence + segment->payload.bytes, c->rcv_edge)) {
		tcp_queue_truncate(&segment->payload, c->rcv_edge - segment->sequence);
		segment->flags &= ~RTE_TCP_FIN_FLAG;
		TCP_COUNT(c->stack, drop_past_window);
		acknowledge_soon(c);
	}
}

/* RFC 7323 section 4.3: the timestamp to echo is that of the segment that fills what was last acknowledged. */
static void
remember(struct tcp_connection *c, const struct tcp_segment *segment)
{
	c->received_ms = c->stack->now_ms;
	c->keepalives = 0;
	if (segment->options.flags & TCP_OPTION_TIMESTAMP && c->flags & TCP_TIMESTAMPS &&
	    !sequence_before(segment->options.timestamp, c->ts_recent) &&
	    !sequence_after(segment->sequence, c->rcv_acked))
		c->ts_recent = segment->options.timestamp;
}

/* ---- by state ---- */

/* RFC 5961 section 3.2. */
static void
reset_input(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (segment->sequence != c->rcv_nxt) {
		tcp_input_challenge(c);
		return;
	}
	TCP_COUNT(c->stack, resets_received);
	tcp_connection_end(c, tcp_synchronized(c) ? TCP_RESET : TCP_REFUSED);
}

static void
connection_input(struct tcp_connection *c, struct tcp_segment *segment)
{
	uint32_t len = tcp_segment_len(segment);

	if (!timestamp_acceptable(c, segment))
		return;
	if (c->state == TCP_STATE_SYN_RECEIVED && segment->flags & RTE_TCP_SYN_FLAG &&
	    segment->sequence == c->rcv_irs) {
		if (!(segment->flags & RTE_TCP_ACK_FLAG)) {
			tcp_ecn_syn_input(c, segment);
			acknowledge_soon(c);
			return;
		}
		/* Both sides opened: the peer's answer says its SYN again. */
		segment->flags &= ~RTE_TCP_SYN_FLAG;
		segment->sequence++;
		len--;
	}
	if (!sequence_acceptable(c, segment, len))
		return;
	if (segment->flags & RTE_TCP_RST_FLAG) {
		reset_input(c, segment);
		return;
	}
	if (segment->flags & RTE_TCP_SYN_FLAG) {
		tcp_input_challenge(c);
		return;
	}
	if (!(segment->flags & RTE_TCP_ACK_FLAG)) {
		TCP_COUNT(c->stack, drop_no_ack);
		return;
	}
	remember(c, segment);
	trim(c, segment);
	if (c->state == TCP_STATE_SYN_RECEIVED && !tcp_input_syn_received(c, segment))
		return;
	if (!tcp_input_acknowledgement(c, segment, len))
		return;
	if (tcp_segment_len(segment) > 0)
		tcp_input_data(c, segment);
}

void
tcp_input(struct tcp_stack *stack, struct rte_mbuf *m)
{
	struct tcp_segment segment;
	struct tcp_time_wait *record;
	struct tcp_connection *c;
	uint32_t sequence = 0, hash;

	TCP_COUNT(stack, segments_received);
	if (segment_read(stack, m, &segment)) {
		hash = tcp_table_hash(&stack->table, &segment.local, &segment.remote);
		c = tcp_stack_find(stack, hash, &segment.local, &segment.remote, &record);
		if (!c && !record)
			c = tcp_input_cookie(stack, &segment);
		if (c && c->state != TCP_STATE_SYN_SENT)
			connection_input(c, &segment);
		else if (c)
			tcp_input_syn_sent(c, &segment);
		else if (!record || tcp_time_wait_input(stack, record, &segment, &sequence))
			tcp_input_listen(stack, &segment, sequence);
	}
	tcp_queue_free(&segment.payload);
}
