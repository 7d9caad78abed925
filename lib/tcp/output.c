#include "tcp/output.h"

#include <rte_tcp.h>

#include "base/clock.h"
#include "packet/build.h"
#include "packet/segment.h"
#include "tcp/delay.h"
#include "tcp/ecn.h"
#include "tcp/loss.h"
#include "tcp/pace.h"
#include "tcp/path_mtu.h"
#include "tcp/payload.h"
#include "tcp/rack.h"
#include "tcp/reassembly.h"
#include "tcp/recovery.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

#define HOP_LIMIT 64 /* RFC 1700's value, as Linux */

/* Payload of a large segment at most: with all headers, Ethernet's and a VLAN tag included, 16 bits can say its length, as
 * IP must and as Linux wants it. */
#define LARGE_MAX (UINT16_MAX - 18 - 40 - 60)
/* Devices refuse to cut up what would become very many packets. */
#define LARGE_MSS_MIN 512

/* How long to wait for mbufs to come back before the next try. */
#define STARVED_RETRY_NS (10 * NS_PER_MS)

/* The payload of a segment. */
struct content {
	uint32_t len;
	struct rte_mbuf *chain; /* of more than one segment; without, it is copied behind the header */
	uint32_t full;          /* with a chain, the length of each segment but the last */
	bool fresh;             /* none of it was sent before */
};

static void
chain_append(struct rte_mbuf *m, const struct content *content)
{
	m->next = content->chain;
	m->nb_segs = (uint16_t)(1 + content->chain->nb_segs);
	m->pkt_len += content->len;
	m->tso_segsz = (uint16_t)content->full;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
}

/* A segment; without a chain, the caller fills in the payload. NULL when no mbuf is to be had; a chain is gone then. */
static struct rte_mbuf *
header_build(struct tcp_stack *stack, struct tcp_header *header, const struct content *content, uint8_t **payload)
{
	bool v4 = ip_address_is_v4(&header->local->ip);
	uint32_t l4_len = sizeof(struct rte_tcp_hdr) + tcp_options_fit(&header->options);
	struct rte_mbuf *m = rte_pktmbuf_alloc(stack->config.pool);
	struct rte_tcp_hdr *tcp;

	if (!m) {
		TCP_COUNT(stack, no_mbuf);
		rte_pktmbuf_free(content->chain);
		return NULL;
	}
	/* The whole headroom stays for what the lower layers put in front of IP. */
	m->data_off = RTE_PKTMBUF_HEADROOM + (v4 ? 20 : 40);
	m->data_len = (uint16_t)(l4_len + (content->chain ? 0 : content->len));
	m->pkt_len = m->data_len;
	m->l4_len = l4_len;
	m->ol_flags = v4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM
			 : RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM;
	if (content->chain)
		chain_append(m, content);
	tcp = rte_pktmbuf_mtod(m, struct rte_tcp_hdr *);
	*tcp = (struct rte_tcp_hdr){
		.src_port = header->local->port_be,
		.dst_port = header->remote->port_be,
		.sent_seq = htonl(header->sequence),
		.recv_ack = htonl(header->acknowledgement),
		.data_off = (uint8_t)(l4_len << 2),
		.tcp_flags = header->flags,
		.rx_win = htons(header->window),
	};
	tcp_options_write((uint8_t *)(tcp + 1), &header->options);
	*payload = (uint8_t *)tcp + l4_len;
	if (!packet_build_ip(m, &header->local->ip, &header->remote->ip, IPPROTO_TCP, header->ecn, HOP_LIMIT)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	return m;
}

bool
tcp_header_send(struct tcp_stack *stack, struct tcp_header *header)
{
	const struct content none = { 0 };
	uint8_t *payload;
	struct rte_mbuf *m = header_build(stack, header, &none, &payload);

	if (!m)
		return false;
	TCP_COUNT(stack, segments_sent);
	stack->env.send(stack->env.context, m);
	return true;
}

void
tcp_output_disown(struct tcp_stack *stack, const struct tcp_segment *segment)
{
	struct tcp_header header = { &segment->local, &segment->remote, .flags = RTE_TCP_RST_FLAG };

	if (segment->flags & RTE_TCP_ACK_FLAG) {
		header.sequence = segment->acknowledgement;
	} else {
		header.flags |= RTE_TCP_ACK_FLAG;
		header.acknowledgement = tcp_segment_end(segment);
	}
	if (tcp_header_send(stack, &header))
		TCP_COUNT(stack, resets_sent);
}

void
tcp_output_refuse(struct tcp_stack *stack, const struct tcp_segment *segment)
{
	if (tcp_stateless_answer_allowed(stack))
		tcp_output_disown(stack, segment);
	else
		TCP_COUNT(stack, drop_reset_limited);
}

uint32_t
tcp_window_offer(const struct tcp_connection *c)
{
	uint32_t buffer = tcp_memory_receive_limit(c), space = tcp_memory_receive_room(c);
	uint32_t offered = sequence_after(c->rcv_edge, c->rcv_nxt) ? c->rcv_edge - c->rcv_nxt : 0;

	/* The right edge moves by worthwhile steps, and never back. */
	if (space < offered + RTE_MIN(buffer / 2, (uint32_t)c->rcv_mss))
		return offered;
	/* No more is promised when there may be no mbufs for it; a peer that waits will ask again. */
	if (c->stack->memory.is_low)
		return offered;
	return space;
}

/* The window field, which moves rcv_edge to what the peer will make of it. */
static uint16_t
window_field(struct tcp_connection *c, bool syn)
{
	uint32_t scale = syn ? 0 : c->rcv_scale;
	uint32_t offered = sequence_after(c->rcv_edge, c->rcv_nxt) ? c->rcv_edge - c->rcv_nxt : 0;
	uint32_t field = tcp_window_offer(c) >> scale;

	if (field << scale < offered)
		field++;
	if (field > UINT16_MAX)
		field = UINT16_MAX;
	if (field << scale > offered)
		c->rcv_edge = c->rcv_nxt + (field << scale);
	return (uint16_t)field;
}

static void
starved(struct tcp_connection *c)
{
	c->flags |= TCP_STARVED;
	if (c->ack_deadline_ns == TCP_NEVER)
		c->ack_deadline_ns = c->stack->now_ns + STARVED_RETRY_NS;
	tcp_timer_update(c); /* not every caller does it later: keepalive probes, windows */
}

static void
options_of_syn(const struct tcp_connection *c, bool answer, struct tcp_options *options)
{
	const struct tcp_stack *stack = c->stack;

	options->flags = TCP_OPTION_MSS;
	options->mss = tcp_mss_offered(c);
	if (!answer || c->flags & TCP_SACK)
		options->flags |= TCP_OPTION_SACK_PERMITTED;
	if (!answer || c->flags & TCP_TIMESTAMPS)
		options->flags |= TCP_OPTION_TIMESTAMP;
	/* snd_scale is known and rcv_scale kept only if the peer scales too. */
	if (!answer || c->rcv_scale > 0 || c->snd_scale > 0)
		options->flags |= TCP_OPTION_WINDOW_SCALE;
	options->window_scale = answer ? c->rcv_scale : stack->receive_scale;
	options->timestamp = stack->now_ms + c->ts_offset;
	options->timestamp_echo = answer ? c->ts_recent : 0;
}

static void
options_of(const struct tcp_connection *c, struct tcp_options *options)
{
	if (c->flags & TCP_TIMESTAMPS) {
		options->flags = TCP_OPTION_TIMESTAMP;
		options->timestamp = c->stack->now_ms + c->ts_offset;
		options->timestamp_echo = c->ts_recent;
	}
	if (c->flags & TCP_SACK && (c->trouble->ranges || c->flags & TCP_DUPLICATE)) {
		options->flags |= TCP_OPTION_SACK;
		options->sack_count = tcp_reassembly_blocks(c, options->sack, TCP_SACK_BLOCKS_MAX);
	}
}

/* What every segment that acknowledges settles. */
static void
acknowledged_peer(struct tcp_connection *c)
{
	c->rcv_acked = c->rcv_nxt;
	c->flags &= ~(TCP_ACK_NOW | TCP_ACK_DELAYED | TCP_DUPLICATE);
	if (!(c->flags & TCP_STARVED))
		c->ack_deadline_ns = TCP_NEVER;
}

/* `header` with its options decided; what of the payload is not in a chain comes from the send queue at
 * header->sequence. */
static bool
content_send(struct tcp_connection *c, struct tcp_header *header, const struct content *content)
{
	struct tcp_stack *stack = c->stack;
	uint8_t *payload;
	struct rte_mbuf *m;

	header->local = &c->local;
	header->remote = &c->remote;
	if (header->flags & RTE_TCP_ACK_FLAG)
		header->acknowledgement = c->rcv_nxt;
	header->window = window_field(c, header->flags & RTE_TCP_SYN_FLAG);
	if (unlikely(c->flags & TCP_ECN) && !(header->flags & RTE_TCP_SYN_FLAG))
		tcp_ecn_output(c, header, content->fresh);
	m = header_build(stack, header, content, &payload);
	if (!m) {
		starved(c);
		return false;
	}
	if (content->len > 0) {
		if (!content->chain)
			tcp_payload_copy(c, header->sequence, payload, content->len);
		stack->counters[TCP_COUNT_bytes_sent] += content->len;
		c->sent_ms = stack->now_ms;
		tcp_delay_sent(c);
	}
	if (header->flags & RTE_TCP_CWR_FLAG)
		c->flags &= ~TCP_CWR_DUE;
	if (header->flags & RTE_TCP_ACK_FLAG)
		acknowledged_peer(c);
	stack->counters[TCP_COUNT_segments_sent] += content->chain ? packet_segment_count(m) : 1;
	stack->env.send(stack->env.context, m);
	return true;
}

static bool
segment_send(struct tcp_connection *c, struct tcp_header *header, uint32_t len)
{
	const struct content content = { .len = len };

	return content_send(c, header, &content);
}

bool
tcp_output_cookie(struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t cookie)
{
	uint32_t flags = segment->options.flags;
	struct tcp_header header = {
		&segment->local,
		&segment->remote,
		.sequence = cookie,
		.acknowledgement = segment->sequence + 1,
		.window = (uint16_t)RTE_MIN(stack->config.receive_buffer, (uint32_t)UINT16_MAX),
		.flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
	};
	bool ecn = flags & TCP_OPTION_TIMESTAMP && tcp_ecn_accepts(stack, segment);
	struct ip_address ignored;
	uint16_t mtu;

	if (!stack->env.route(stack->env.context, &segment->remote.ip, &ignored, &mtu)) {
		TCP_COUNT(stack, no_route);
		return false;
	}
	header.options = (struct tcp_options){
		.flags = (uint8_t)(TCP_OPTION_MSS | (flags & (TCP_OPTION_SACK_PERMITTED | TCP_OPTION_WINDOW_SCALE |
							      TCP_OPTION_TIMESTAMP))),
		.mss = (uint16_t)(mtu - (ip_address_is_v4(&segment->remote.ip) ? 40 : 60)),
		.window_scale = stack->receive_scale,
		.timestamp_echo = segment->options.timestamp,
	};
	if (flags & TCP_OPTION_TIMESTAMP)
		header.options.timestamp = tcp_cookie_timestamp(stack, segment, ecn);
	if (ecn)
		header.flags |= RTE_TCP_ECE_FLAG;
	return tcp_header_send(stack, &header);
}

static void
output_syn(struct tcp_connection *c)
{
	bool answer = c->state == TCP_STATE_SYN_RECEIVED;
	struct tcp_header header = { .sequence = c->snd_iss, .flags = RTE_TCP_SYN_FLAG | tcp_ecn_syn_flags(c, answer) };

	if (c->snd_nxt != c->snd_iss && !(c->flags & TCP_ACK_NOW))
		return;
	if (answer)
		header.flags |= RTE_TCP_ACK_FLAG;
	options_of_syn(c, answer, &header.options);
	if (!segment_send(c, &header, 0))
		return;
	if (c->snd_nxt != c->snd_iss)
		return;
	c->snd_nxt = c->snd_iss + 1;
	if (c->snd_max == c->snd_iss) {
		c->snd_max = c->snd_nxt;
		tcp_recovery_time(c, c->snd_nxt);
	} else {
		TCP_COUNT(c->stack, retransmitted_segments);
	}
	tcp_recovery_arm(c);
}

/* Bytes beyond snd_nxt that both windows allow while something is amiss. Where there is no scoreboard to count what has left
 * the network, the first two duplicate ACKs stand for a segment each (RFC 3042); and a probe of the tail leaves whatever
 * the congestion window says (RFC 8985 section 7.3). */
static __rte_noinline uint32_t
troubled_window(const struct tcp_connection *c, uint32_t flight)
{
	uint32_t window = c->congestion.window, out = flight, room;

	if (c->board)
		out = tcp_scoreboard_pipe(c);
	else if (c->duplicates < 3 && !(c->flags & TCP_RECOVERY))
		window += (uint32_t)c->duplicates * c->mss;
	if (c->flags & TCP_TAIL_DUE)
		window = RTE_MAX(window, out + c->mss);
	room = window > out ? window - out : 0;
	return RTE_MIN(room, c->snd_wnd > flight ? c->snd_wnd - flight : 0);
}

/* The same on any day. */
static inline uint32_t
usable_window(const struct tcp_connection *c)
{
	uint32_t window = RTE_MIN(c->congestion.window, c->snd_wnd), flight = c->snd_nxt - c->snd_una;

	if (unlikely(c->board || c->duplicates || c->flags & TCP_TAIL_DUE))
		return troubled_window(c, flight);
	return window > flight ? window - flight : 0;
}

/* Of less than a full segment: sender's silly window avoidance (RFC 9293 section 3.8.6.2.1), without Nagle's rule, as
 * tcp_flush() has gathered what there is to gather. */
static bool
worth_sending(const struct tcp_connection *c, uint32_t len, uint32_t available)
{
	return len > 0 && (len == available || len >= c->snd_wnd_max / 2);
}

/* `first_end`: where the first segment ends, of several that leave as one. */
static void
sent_up_to(struct tcp_connection *c, uint32_t end, uint32_t first_end)
{
	bool again = sequence_before(c->snd_nxt, c->snd_max);

	if (c->board)
		tcp_loss_sent(c, end - c->snd_nxt);
	c->snd_nxt = end;
	if (again)
		TCP_COUNT(c->stack, retransmitted_segments);
	else
		tcp_recovery_time(c, first_end);
	c->snd_max = sequence_max(c->snd_max, end);
	if (c->flags & (TCP_PERSIST | TCP_TAIL_TIMER) || c->retransmit_deadline_ns == TCP_NEVER)
		tcp_recovery_arm(c);
}

/* A byte that the window does not allow, to make the peer tell its window. It stays unsent as far as snd_nxt goes. */
static void
output_window_probe(struct tcp_connection *c)
{
	struct tcp_header header = { .sequence = c->snd_nxt, .flags = RTE_TCP_ACK_FLAG };

	options_of(c, &header.options);
	if (!segment_send(c, &header, 1))
		return;
	c->snd_max = sequence_max(c->snd_max, c->snd_nxt + 1);
	TCP_COUNT(c->stack, window_probes);
}

/* How much leaves next, of what is there and of what the windows allow: a segment, or several as one. Those are whole,
 * but for the last bytes that there are. What is sent again goes one by one: the peer may have some of it. */
static uint32_t
next_len(const struct tcp_connection *c, uint32_t full, uint32_t available, uint32_t allowed)
{
	const struct tcp_stack *stack = c->stack;
	uint32_t len = RTE_MIN(available, allowed), most = LARGE_MAX / full * full;

	if (len <= full)
		return len;
	/* Of several that leave as one, a device would let the first alone say CWR, or all of them. */
	if (!stack->config.large_segments || c->flags & TCP_CWR_DUE || stack->memory.is_low || full < LARGE_MSS_MIN ||
	    c->snd_nxt != c->snd_max)
		return full;
	if (len > most)
		return most;
	return len == available ? len : len / full * full;
}

/* The next segment in order, or several, of `most` bytes in all; false when nothing more may leave. */
static bool
output_next(struct tcp_connection *c, uint32_t most)
{
	struct tcp_header header = { .sequence = c->snd_nxt, .flags = RTE_TCP_ACK_FLAG };
	uint32_t end = tcp_send_end(c), mss = c->mss, available, allowed, full, len;
	struct content content = { 0 };
	bool probe = c->flags & TCP_PROBE, fin;

	if (sequence_after(c->snd_nxt, end))
		return false;
	options_of(c, &header.options);
	available = end - c->snd_nxt;
	allowed = RTE_MIN(usable_window(c), most);
	if (unlikely(c->mtu_lowered))
		mss = tcp_path_mtu_next(c, RTE_MIN(available, allowed));
	full = mss - tcp_options_fit(&header.options);
	len = mss > c->mss ? full : next_len(c, full, available, allowed);
	if (len > full) {
		content.chain = tcp_payload_refer(c, c->snd_nxt, len);
		if (!content.chain)
			len = full;
	}
	content.len = len;
	content.full = full;
	content.fresh = len > 0 && c->snd_nxt == c->snd_max;
	fin = c->flags & TCP_SHUTDOWN && len == available;
	if (available > 0) {
		if (len < full && !worth_sending(c, len, available) && !(probe && len > 0))
			return false;
	} else if (!fin) {
		return false;
	}
	if (len == available)
		header.flags |= RTE_TCP_PSH_FLAG;
	if (fin)
		header.flags |= RTE_TCP_FIN_FLAG;
	if (!content_send(c, &header, &content))
		return false;
	c->flags &= ~TCP_PROBE;
	if (fin)
		c->flags |= TCP_FIN_SENT;
	sent_up_to(c, c->snd_nxt + len + fin, c->snd_nxt + (len > full ? full : len + fin));
	return true;
}

/* A segment once more, from `start` on and no further than `end`, which is at most snd_max. Returns what it takes of the
 * sequence space; 0 when memory is short. */
static uint32_t
segment_repeat(struct tcp_connection *c, uint32_t start, uint32_t end)
{
	struct tcp_header header = { .sequence = start, .flags = RTE_TCP_ACK_FLAG };
	uint32_t left = tcp_send_end(c) - start, full, len;
	bool fin;

	options_of(c, &header.options);
	full = c->mss - tcp_options_fit(&header.options);
	len = RTE_MIN(RTE_MIN(full, left), end - start);
	fin = c->flags & TCP_FIN_SENT && len == left && end - start > left;
	if (fin)
		header.flags |= RTE_TCP_FIN_FLAG;
	if (!segment_send(c, &header, len))
		return 0;
	c->flags &= ~TCP_RTT_TIMED;
	TCP_COUNT(c->stack, retransmitted_segments);
	return len + fin;
}

/* The first unacknowledged segment once more, wherever snd_nxt is. */
static void
output_retransmit(struct tcp_connection *c)
{
	uint32_t len = segment_repeat(c, c->snd_una, c->snd_max);

	if (len == 0)
		return;
	c->flags &= ~TCP_RETRANSMIT;
	c->snd_nxt = sequence_max(c->snd_nxt, c->snd_una + len);
}

/* What is lost, as far as the windows allow. */
static void
output_lost(struct tcp_connection *c)
{
	struct tcp_sent *range;

	while ((range = tcp_scoreboard_first_lost(c->board))) {
		uint32_t pipe = tcp_scoreboard_pipe(c), want = RTE_MIN(range->end - range->start, (uint32_t)c->mss),
			 len;

		if (pipe > 0 && pipe + want > c->congestion.window)
			return;
		if (range->start + want - c->snd_una > c->snd_wnd + (c->flags & TCP_FIN_SENT ? 1 : 0))
			return;
		len = segment_repeat(c, range->start, range->end);
		if (len == 0)
			return;
		tcp_loss_sent(c, len);
		tcp_scoreboard_resent(c, range, len);
		if (c->retransmit_deadline_ns == TCP_NEVER)
			tcp_recovery_arm(c);
	}
}

/* New data if there is any, else the last segment again. */
static void
output_tail(struct tcp_connection *c)
{
	uint32_t most = c->mss - (c->flags & TCP_TIMESTAMPS ? TCP_TIMESTAMP_OPTION_LEN : 0);
	bool again;

	if (c->snd_max == c->snd_una || c->board) {
		c->flags &= ~TCP_TAIL_DUE;
		return;
	}
	again = !output_next(c, UINT32_MAX);
	c->flags &= ~TCP_TAIL_DUE;
	if (again && !segment_repeat(c, c->snd_max - RTE_MIN(most, c->snd_max - c->snd_una), c->snd_max))
		return;
	tcp_tail_sent(c, again);
	tcp_recovery_arm(c);
}

/* After a spurious timeout the answer to new data would show it (RFC 5682 section 3.1, step 2). */
static void
output_recovery(struct tcp_connection *c)
{
	struct tcp_scoreboard *board = c->board;

	if (board->frto == TCP_FRTO_SECOND)
		board->frto = output_next(c, UINT32_MAX) ? TCP_FRTO_ANSWER : TCP_FRTO_OFF;
	if (board->frto != TCP_FRTO_ANSWER)
		output_lost(c);
}

/* The same in pieces that the pace allows. FIN alone takes no part of it. */
static __rte_noinline void
output_paced(struct tcp_connection *c)
{
	uint32_t start = c->snd_nxt, room = tcp_pace_room(c), sent = 0, available, len;
	bool more = true;

	while (more && (sent + c->mss <= room || c->snd_nxt == tcp_send_end(c))) {
		more = output_next(c, room - sent);
		sent = c->snd_nxt - start;
	}
	tcp_pace_sent(c, sent);
	c->waiting = false;
	if (!more || sequence_after(c->snd_nxt, tcp_send_end(c)))
		return;
	available = tcp_send_end(c) - c->snd_nxt;
	len = RTE_MIN(available, usable_window(c));
	if (len >= RTE_MIN(available, (uint32_t)c->mss))
		tcp_pace_wait(c, len);
}

/* New data, as far as the windows allow. */
static void
output_new(struct tcp_connection *c)
{
	if (unlikely(tcp_pace_applies(c))) {
		output_paced(c);
		return;
	}
	c->waiting = false;
	while (output_next(c, UINT32_MAX))
		continue;
}

static void
output_data(struct tcp_connection *c)
{
	/* Even FIN is acknowledged: there is nothing left to send. */
	if (c->state == TCP_STATE_FIN_WAIT_2)
		return;
	if (c->snd_max == c->snd_una && c->sending.bytes > 0 && c->stack->now_ms - c->sent_ms > c->rto_us / 1000)
		c->stack->congestion->idle(c);
	if (c->flags & TCP_RETRANSMIT)
		output_retransmit(c);
	if (c->flags & TCP_TAIL_DUE)
		output_tail(c);
	if (c->board)
		output_recovery(c);
	output_new(c);
	if (2 * (c->snd_nxt - c->snd_una) >= c->congestion.window || c->waiting)
		c->flags |= TCP_WINDOW_USED;
	else
		c->flags &= ~TCP_WINDOW_USED;
	if (c->snd_nxt != c->snd_una || c->sending.bytes == 0 || c->waiting) {
		c->flags &= ~TCP_PROBE;
		return;
	}
	/* Nothing is in flight that could bring an answer, and there is something to send. */
	if (c->flags & TCP_PROBE && usable_window(c) == 0)
		output_window_probe(c);
	c->flags &= ~TCP_PROBE;
	if (c->retransmit_deadline_ns == TCP_NEVER)
		tcp_recovery_arm_probe(c);
}

void
tcp_output(struct tcp_connection *c)
{
	if (c->state == TCP_STATE_SYN_SENT || c->state == TCP_STATE_SYN_RECEIVED) {
		output_syn(c);
	} else {
		output_data(c);
		if (c->flags & TCP_ACK_NOW)
			tcp_output_ack(c);
	}
	tcp_timer_update(c);
}

void
tcp_output_ack(struct tcp_connection *c)
{
	/* While a probe's byte is out, snd_max is past the peer's window, and what is past the window is not looked at.
	 * */
	struct tcp_header header = { .sequence = c->flags & TCP_PERSIST ? c->snd_nxt : c->snd_max,
				     .flags = RTE_TCP_ACK_FLAG };

	options_of(c, &header.options);
	segment_send(c, &header, 0);
}

void
tcp_output_keepalive(struct tcp_connection *c)
{
	struct tcp_header header = { .sequence = c->snd_una - 1, .flags = RTE_TCP_ACK_FLAG };

	options_of(c, &header.options);
	if (segment_send(c, &header, 0))
		TCP_COUNT(c->stack, keepalive_probes);
}

void
tcp_output_reset(struct tcp_connection *c)
{
	struct tcp_header header = { &c->local, &c->remote, .sequence = c->snd_max, .acknowledgement = c->rcv_nxt,
				     .flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG };

	if (c->state == TCP_STATE_SYN_SENT)
		return;
	/* Where the peer will be when all that is in flight has come: it believes a RST nowhere else, but asks back
	 * (RFC 5961 section 3.2), and is then told by tcp_output_refuse(). */
	if (c->flags & TCP_PERSIST)
		header.sequence = c->snd_nxt;
	if (tcp_header_send(c->stack, &header))
		TCP_COUNT(c->stack, resets_sent);
}
