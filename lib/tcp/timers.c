#include "base/clock.h"
#include "tcp/delay.h"
#include "tcp/output.h"
#include "tcp/recovery.h"
#include "tcp/stack.h"

/* Linux's tcp_fin_timeout. */
#define FIN_WAIT_2_NS (60 * NS_PER_SECOND)

/* Linux's tcp_keepalive_intvl and tcp_keepalive_probes. */
#define KEEPALIVE_INTERVAL_S 75
#define KEEPALIVE_PROBES 9

#define TIME_WAIT_BUDGET 1024

void
tcp_timer_update(struct tcp_connection *c)
{
	uint64_t earliest_ns = RTE_MIN(RTE_MIN(c->retransmit_deadline_ns, c->ack_deadline_ns), c->life_deadline_ns);

	if (earliest_ns == TCP_NEVER || c->state == TCP_STATE_CLOSED)
		return;
	if (!timer_armed(&c->timer) || c->timer.deadline_ns > earliest_ns)
		timer_arm(c->stack->wheel, &c->timer, earliest_ns);
}

void
tcp_timer_orphan(struct tcp_connection *c)
{
	c->life_deadline_ns = c->state == TCP_STATE_FIN_WAIT_2 ? c->stack->now_ns + FIN_WAIT_2_NS : TCP_NEVER;
	tcp_timer_update(c);
}

static void
ack_due(struct tcp_connection *c)
{
	c->ack_deadline_ns = TCP_NEVER;
	if (c->flags & TCP_STARVED && c->flags & TCP_WANT_WRITE) {
		c->flags &= ~TCP_WANT_WRITE;
		tcp_connection_notify(c, TCP_WRITABLE);
	}
	if (c->flags & TCP_ACK_DELAYED) {
		c->flags |= TCP_ACK_NOW;
		TCP_COUNT(c->stack, delayed_acks);
		tcp_delay_over(c);
	}
	c->flags &= ~(TCP_STARVED | TCP_ACK_DELAYED);
	tcp_connection_schedule(c);
}

/* RFC 9293 section 3.8.4: a probe when nothing has come for long, unless something is in flight that must be answered
 * anyway. */
static void
keepalive_due(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;
	uint32_t idle_s = stack->config.keepalive_idle_s;
	uint64_t silent_ms = stack->now_ms - c->received_ms;

	if (c->snd_max != c->snd_una || c->flags & TCP_PERSIST) {
		c->life_deadline_ns = stack->now_ns + idle_s * NS_PER_SECOND;
		return;
	}
	if (c->keepalives == 0 && silent_ms < idle_s * 1000ull) {
		c->life_deadline_ns = stack->now_ns + (idle_s * 1000ull - silent_ms) * NS_PER_MS;
		return;
	}
	if (c->keepalives == KEEPALIVE_PROBES) {
		TCP_COUNT(stack, timed_out);
		tcp_connection_abort(c, TCP_TIMED_OUT);
		return;
	}
	c->keepalives++;
	tcp_output_keepalive(c);
	c->life_deadline_ns = stack->now_ns + RTE_MIN(idle_s, (uint32_t)KEEPALIVE_INTERVAL_S) * NS_PER_SECOND;
}

/* True: the connection is freed. */
static bool
life_due(struct tcp_connection *c)
{
	c->life_deadline_ns = TCP_NEVER;
	if (!(c->flags & TCP_OWNED))
		return tcp_connection_end(c, TCP_TIMED_OUT);
	keepalive_due(c);
	return false;
}

void
tcp_timer_expire(void *owner, struct timer *timer, uint64_t now_ns)
{
	struct tcp_stack *stack = owner;
	struct tcp_connection *c;

	if (timer == &stack->time_waits.timer) {
		tcp_time_waits_expire(stack, TIME_WAIT_BUDGET);
		return;
	}
	c = container_of(timer, struct tcp_connection, timer);
	if (c->retransmit_deadline_ns <= now_ns && tcp_recovery_timeout(c))
		return;
	if (c->state != TCP_STATE_CLOSED && c->ack_deadline_ns <= now_ns)
		ack_due(c);
	if (c->state != TCP_STATE_CLOSED && c->life_deadline_ns <= now_ns && life_due(c))
		return;
	tcp_timer_update(c);
}
