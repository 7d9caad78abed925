#include "tcp/delay.h"

#include "base/clock.h"
#include "tcp/stack.h"

#define DELAY_NS (2 * NS_PER_MS)
/* Of a young connection, see quick_acks. */
#define DELAY_QUICK_NS NS_PER_MS
#define PATIENCE_SHIFT 2

/* Segments in order after one that was not, whose ACKs are not delayed, about as Linux's quick ACKs (tcp_enter_quickack_mode()): a
 * sender that has lost something has a small window, and grows it by what comes back. */
#define PROMPT_ACKS 15

/* Of several segments that are not full none waits longer than usual: a sender with more than one under way takes a late ACK for a
 * loss of the tail (RFC 8985 section 7.2). */
static void
delay(struct tcp_connection *c)
{
	uint64_t delay_ns = DELAY_NS;

	if (c->quick_acks > 0) {
		c->quick_acks--;
		delay_ns = DELAY_QUICK_NS;
	}
	if (!(c->flags & TCP_ACK_DELAYED))
		delay_ns <<= c->ack_patience * PATIENCE_SHIFT;
	c->flags |= TCP_ACK_DELAYED;
	c->ack_deadline_ns = RTE_MIN(c->ack_deadline_ns, c->stack->now_ns + delay_ns);
	tcp_timer_update(c);
}

void
tcp_delay_received(struct tcp_connection *c)
{
	bool due = c->rcv_nxt - c->rcv_acked >= 2u * c->rcv_mss;

	if (unlikely(c->ack_alone))
		c->ack_alone = c->ack_patience = 0;
	if (!due && unlikely(c->prompt_acks > 0)) {
		c->prompt_acks--;
		due = true;
	}
	if (due) {
		/* With the next flush, which a whole burst shares. */
		c->flags |= TCP_ACK_NOW;
		tcp_connection_schedule(c);
	} else if (!(c->flags & TCP_ACK_DELAYED) || c->ack_patience > 0) {
		delay(c);
	}
}

void
tcp_delay_gap(struct tcp_connection *c)
{
	c->prompt_acks = PROMPT_ACKS;
}
