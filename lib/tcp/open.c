#include "base/clock.h"
#include "tcp/ecn.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* Less than this a peer asks for only to make us send many small segments (Linux's tcp_min_snd_mss is of this order);
 * and the options must fit. */
#define MSS_MIN 88

/* RFC 9293 section 3.7.1. */
#define MSS_DEFAULT_V4 536
#define MSS_DEFAULT_V6 1220

/* Time for a reset to reach the server before the SYN does. */
#define STALE_RETRY_NS (2 * NS_PER_MS)

static bool
is_unicast(const struct ip_address *ip)
{
	if (ip_address_is_v4(ip))
		return ntohl(ip_address_v4_be(ip)) < 0xe0000000;
	return ip->bytes[0] != 0xff;
}

uint16_t
tcp_mss_of_path(const struct tcp_connection *c, uint32_t mtu)
{
	uint32_t headers = ip_address_is_v4(&c->remote.ip) ? 40 : 60;
	uint32_t mss = mtu > headers ? mtu - headers : 0;

	mss = RTE_MIN(mss, c->stack->segment_max - 20);
	return (uint16_t)RTE_MAX(mss, (uint32_t)MSS_MIN);
}

uint16_t
tcp_mss_default(const struct ip_address *remote)
{
	return ip_address_is_v4(remote) ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
}

/* What the peer's SYN says. */
static void
syn_read(struct tcp_connection *c, const struct tcp_segment *segment)
{
	const struct tcp_options *options = &segment->options;
	uint32_t mss = tcp_mss_default(&c->remote.ip);

	c->rcv_irs = segment->sequence;
	c->rcv_nxt = segment->sequence + 1;
	c->rcv_edge = c->rcv_nxt + RTE_MIN(c->stack->config.receive_buffer, (uint32_t)UINT16_MAX);
	c->rcv_acked = c->rcv_nxt;
	if (options->flags & TCP_OPTION_MSS)
		mss = RTE_MAX(options->mss, MSS_MIN);
	c->peer_mss = (uint16_t)mss;
	c->mss = (uint16_t)RTE_MIN(mss, (uint32_t)tcp_mss_of_path(c, c->mtu));
	if (options->flags & TCP_OPTION_TIMESTAMP) {
		c->flags |= TCP_TIMESTAMPS;
		c->ts_recent = options->timestamp;
	}
	if (options->flags & TCP_OPTION_SACK_PERMITTED)
		c->flags |= TCP_SACK;
	if (options->flags & TCP_OPTION_WINDOW_SCALE) {
		c->snd_scale = options->window_scale;
		c->rcv_scale = c->stack->receive_scale;
	}
	c->snd_wnd = c->snd_wnd_max = segment->window;
	c->snd_wl1 = segment->sequence;
	c->received_ms = c->stack->now_ms;
	tcp_ecn_syn_input(c, segment);
}

/* A connection for a SYN, in SYN-RECEIVED; its answer is not on the way. NULL: no memory, or no route. */
static struct tcp_connection *
half_open_new(struct tcp_stack *stack, const struct tcp_segment *syn)
{
	struct tcp_connection *c;
	struct ip_address ignored;
	uint16_t mtu;

	if (!stack->env.route(stack->env.context, &syn->remote.ip, &ignored, &mtu)) {
		TCP_COUNT(stack, no_route);
		return NULL;
	}
	c = tcp_connection_new(stack, &syn->local, &syn->remote, mtu);
	if (!c)
		return NULL;
	c->state = TCP_STATE_SYN_RECEIVED;
	c->flags = TCP_PASSIVE;
	syn_read(c, syn);
	tcp_connection_attach(c);
	stack->half_open++;
	list_append(&stack->opening, &c->ready);
	TCP_COUNT(stack, passive_opens);
	return c;
}

static void
open_passive(struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t sequence)
{
	struct tcp_connection *c;

	/* A flood of SYNs fills the backlog with what will never be answered: the oldest makes room, so that a client whose
	 * ACK comes within a backlog's time gets in. */
	if (stack->half_open >= stack->config.syn_backlog) {
		TCP_COUNT(stack, backlog_evicted);
		tcp_connection_end(container_of(list_first(&stack->opening), struct tcp_connection, ready),
				   TCP_TIMED_OUT);
	}
	c = half_open_new(stack, segment);
	if (!c)
		return;
	if (sequence != 0)
		tcp_connection_start(c, sequence);
	tcp_connection_schedule(c);
}

/* A pair that rested in TIME-WAIT needs a sequence number past that of the old connection, which a cookie cannot have. */
static bool
wants_cookie(const struct tcp_stack *stack, uint32_t sequence)
{
	if (sequence != 0 || stack->config.syn_cookies == TCP_COOKIES_NEVER)
		return false;
	return stack->config.syn_cookies == TCP_COOKIES_ALWAYS || stack->half_open >= stack->config.syn_backlog;
}

static void
answer_with_cookie(struct tcp_stack *stack, const struct tcp_segment *segment)
{
	if (tcp_output_cookie(stack, segment, tcp_cookie_make(stack, segment)))
		TCP_COUNT(stack, cookies_sent);
}

struct tcp_connection *
tcp_input_cookie(struct tcp_stack *stack, const struct tcp_segment *segment)
{
	struct tcp_segment syn;
	struct tcp_connection *c;

	if ((segment->flags & (RTE_TCP_ACK_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) != RTE_TCP_ACK_FLAG ||
	    !tcp_cookies_are_out(stack) || !tcp_listener_find(stack, &segment->local) ||
	    !tcp_cookie_read(stack, segment, &syn))
		return NULL;
	c = half_open_new(stack, &syn);
	if (!c)
		return NULL;
	tcp_connection_start(c, segment->acknowledgement - 1);
	c->snd_nxt = c->snd_max = segment->acknowledgement;
	/* Should this segment not do, the offer is made again as ever. */
	tcp_recovery_arm(c);
	tcp_timer_update(c);
	TCP_COUNT(stack, cookies_accepted);
	return c;
}

void
tcp_input_listen(struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t sequence)
{
	if (!is_unicast(&segment->local.ip)) {
		TCP_COUNT(stack, drop_not_unicast);
	} else if (segment->flags & RTE_TCP_RST_FLAG) {
		TCP_COUNT(stack, drop_no_endpoint);
	} else if (segment->flags & RTE_TCP_ACK_FLAG || !tcp_listener_find(stack, &segment->local)) {
		TCP_COUNT(stack, drop_no_endpoint);
		tcp_output_refuse(stack, segment);
	} else if (!(segment->flags & RTE_TCP_SYN_FLAG)) {
		TCP_COUNT(stack, drop_no_ack);
	} else if (wants_cookie(stack, sequence)) {
		answer_with_cookie(stack, segment);
	} else {
		open_passive(stack, segment, sequence);
	}
}

/* Our SYN is acknowledged. */
static void
opened(struct tcp_connection *c, const struct tcp_segment *segment)
{
	c->snd_una = segment->acknowledgement;
	c->snd_nxt = c->snd_max = c->snd_una;
	tcp_recovery_opened(c, segment);
	tcp_connection_established(c);
}

void
tcp_input_syn_sent(struct tcp_connection *c, const struct tcp_segment *segment)
{
	bool acknowledges = segment->flags & RTE_TCP_ACK_FLAG;

	if (acknowledges && (segment->acknowledgement != c->snd_iss + 1 || c->snd_max == c->snd_iss)) {
		TCP_COUNT(c->stack, drop_bad_ack);
		if (segment->flags & RTE_TCP_RST_FLAG)
			return;
		if (c->retries > 0 || c->snd_max == c->snd_iss) {
			tcp_output_refuse(c->stack, segment);
			return;
		}
		/* The server still has a connection of an earlier Weir on this pair, perhaps in TIME-WAIT. The reset ends it, and
		 * the SYN goes again soon, not after a second: after a restart under load there may be thousands. Once per
		 * attempt, as a forged ACK can ask for it too. Linux does the same. */
		tcp_output_disown(c->stack, segment);
		c->retransmit_deadline_ns = RTE_MIN(c->retransmit_deadline_ns, c->stack->now_ns + STALE_RETRY_NS);
		tcp_timer_update(c);
		return;
	}
	if (segment->flags & RTE_TCP_RST_FLAG) {
		/* Without an ACK anybody could have sent it. */
		if (acknowledges) {
			TCP_COUNT(c->stack, resets_received);
			tcp_connection_end(c, TCP_REFUSED);
		}
		return;
	}
	if (!(segment->flags & RTE_TCP_SYN_FLAG)) {
		TCP_COUNT(c->stack, drop_no_ack);
		return;
	}
	syn_read(c, segment);
	if (acknowledges) {
		c->flags |= TCP_ACK_NOW;
		opened(c, segment);
		return;
	}
	c->state = TCP_STATE_SYN_RECEIVED;
	c->snd_nxt = c->snd_iss;
	tcp_connection_schedule(c);
}

bool
tcp_input_syn_received(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (segment->acknowledgement != c->snd_iss + 1 || c->snd_max == c->snd_iss) {
		TCP_COUNT(c->stack, drop_bad_ack);
		tcp_output_refuse(c->stack, segment);
		return false;
	}
	c->snd_wnd = (uint32_t)segment->window << c->snd_scale;
	c->snd_wnd_max = RTE_MAX(c->snd_wnd_max, c->snd_wnd);
	c->snd_wl1 = segment->sequence;
	opened(c, segment);
	return true;
}
