#include "tcp/connection.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"
#include "tcp/recovery.h"
#include "tcp/scoreboard.h"
#include "tcp/stack.h"

/* ACKs at the start of a connection that are delayed only briefly, as in Linux (TCP_MAX_QUICKACKS): a peer with Nagle's
 * algorithm holds its second write until the first is acknowledged. */
#define QUICK_ACKS 16

static void
connection_release(struct tcp_connection *c)
{
	tcp_queue_free(&c->received);
	slab_put(c->stack->connections, c);
}

struct tcp_connection *
tcp_connection_new(struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote, uint16_t mtu)
{
	struct tcp_connection *c = slab_get(stack->connections);
	uint64_t secret;

	if (!c) {
		TCP_COUNT(stack, no_connection);
		return NULL;
	}
	secret = tcp_pair_secret(stack, local, remote);
	memset(c, 0, sizeof(*c));
	c->stack = stack;
	c->local = *local;
	c->remote = *remote;
	c->hash = tcp_table_hash(&stack->table, local, remote);
	c->mtu = mtu;
	c->mss = 536; /* until the peer says more (RFC 9293 section 3.7.1) */
	c->rcv_mss = 536;
	c->quick_acks = QUICK_ACKS;
	c->rto_us = TCP_RTO_INITIAL_US;
	c->ts_offset = tcp_timestamp_offset(secret);
	tcp_connection_start(c, tcp_initial_sequence(stack, secret));
	c->retransmit_deadline_ns = c->ack_deadline_ns = c->life_deadline_ns = TCP_NEVER;
	c->received_ms = c->sent_ms = stack->now_ms;
	c->challenge_ms = stack->now_ms - INT32_MAX;
	list_init(&c->ready);
	list_init(&c->pending);
	c->trouble = &tcp_no_trouble;
	tcp_memory_start(c);
	timer_init(&c->timer);
	return c;
}

void
tcp_connection_start(struct tcp_connection *c, uint32_t sequence)
{
	c->snd_iss = c->snd_una = c->snd_nxt = c->snd_max = sequence;
}

void
tcp_connection_attach(struct tcp_connection *c)
{
	tcp_table_insert(&c->stack->table, c->hash, slab_index(c->stack->connections, c) + 1);
}

void
tcp_connection_schedule(struct tcp_connection *c)
{
	if (c->state == TCP_STATE_CLOSED)
		return;
	if (!list_empty(&c->pending)) {
		/* What waits need not be all that there is to send. */
		if (likely(!c->waiting))
			return;
		list_remove(&c->pending);
	}
	list_append(&c->stack->pending, &c->pending);
}

void
tcp_connection_notify(struct tcp_connection *c, uint8_t events)
{
	if (!(c->flags & TCP_OWNED))
		return;
	c->events |= events;
	if (list_empty(&c->ready))
		list_append(&c->stack->ready, &c->ready);
}

void
tcp_connection_established(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;

	c->state = c->flags & TCP_SHUTDOWN ? TCP_STATE_FIN_WAIT_1 : TCP_STATE_ESTABLISHED;
	if (c->flags & TCP_ECN)
		TCP_COUNT(stack, ecn_agreed);
	if (c->flags & TCP_PASSIVE) {
		c->flags = (c->flags & ~TCP_PASSIVE) | TCP_OWNED;
		stack->half_open--;
		list_remove(&c->ready);
		TCP_COUNT(stack, accepted);
		tcp_connection_notify(c, TCP_ACCEPTED);
	} else {
		TCP_COUNT(stack, connected);
		tcp_connection_notify(c, TCP_CONNECTED);
	}
	if (c->flags & TCP_OWNED && stack->config.keepalive_idle_s > 0)
		c->life_deadline_ns = stack->now_ns + stack->config.keepalive_idle_s * NS_PER_SECOND;
	tcp_connection_schedule(c);
	tcp_timer_update(c);
}

bool
tcp_connection_end(struct tcp_connection *c, enum tcp_close_reason reason)
{
	struct tcp_stack *stack = c->stack;

	tcp_table_remove(&stack->table, c->hash, slab_index(stack->connections, c) + 1);
	if (timer_armed(&c->timer))
		timer_cancel(stack->wheel, &c->timer);
	list_remove(&c->pending);
	if (!tcp_synchronized(c))
		TCP_COUNT(stack, open_failures);
	if (c->flags & TCP_PASSIVE) {
		stack->half_open--;
		list_remove(&c->ready);
	}
	if (c->flags & TCP_OUTGOING)
		tcp_port_put(stack, c->local.port_be);
	tcp_queue_free(&c->sending);
	tcp_reassembly_free(c);
	tcp_scoreboard_free(c);
	tcp_trouble_free(c);
	c->snd_cursor = NULL;
	c->state = TCP_STATE_CLOSED;
	c->close_reason = (uint8_t)reason;
	if (c->flags & TCP_OWNED) {
		list_append(&stack->closed, &c->pending);
		tcp_connection_notify(c, TCP_CLOSED);
		return false;
	}
	if (!list_empty(&c->ready)) {
		list_remove(&c->ready);
		stack->orphan_count--;
	}
	connection_release(c);
	return true;
}

bool
tcp_connection_abort(struct tcp_connection *c, enum tcp_close_reason reason)
{
	tcp_output_reset(c);
	return tcp_connection_end(c, reason);
}

/* The user lets go: what is left to do, the stack does, for a bounded time and for so many connections at once. */
static void
orphan(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;

	list_append(&stack->orphans, &c->ready);
	stack->orphan_count++;
	tcp_timer_orphan(c);
	if (stack->orphan_count > stack->orphans_max) {
		TCP_COUNT(stack, orphans_killed);
		tcp_connection_abort(container_of(list_first(&stack->orphans), struct tcp_connection, ready),
				     TCP_NO_MEMORY);
	}
}

/* True when there is nothing left: the connection was closed already, and is now freed. */
static bool
let_go(struct tcp_connection *c)
{
	list_remove(&c->ready);
	c->flags &= ~(TCP_OWNED | TCP_WANT_WRITE | TCP_WANT_SENT);
	c->events = 0;
	if (c->state != TCP_STATE_CLOSED)
		return false;
	list_remove(&c->pending);
	connection_release(c);
	return true;
}

void
tcp_close(struct tcp_connection *c)
{
	bool unread = c->received.bytes > 0;

	if (let_go(c))
		return;
	if (c->state == TCP_STATE_SYN_SENT) {
		tcp_connection_end(c, TCP_FINISHED);
		return;
	}
	if (unread) {
		tcp_connection_abort(c, TCP_FINISHED);
		return;
	}
	tcp_shutdown(c);
	orphan(c);
}

void
tcp_abort(struct tcp_connection *c)
{
	if (!let_go(c))
		tcp_connection_abort(c, TCP_FINISHED);
}

/* ---- events ---- */

struct tcp_connection *
tcp_ready(struct tcp_stack *stack, uint32_t *events)
{
	struct list *node;

	while ((node = list_take_first(&stack->ready))) {
		struct tcp_connection *c = container_of(node, struct tcp_connection, ready);

		*events = c->events;
		c->events = 0;
		if (*events & TCP_ACCEPTED) {
			/* Only now: the set of listeners may have been replaced since its SYN came. */
			const struct tcp_listener *listener = tcp_listener_find(stack, &c->local);

			if (!listener) {
				tcp_abort(c);
				continue;
			}
			c->user = listener->user;
		}
		return c;
	}
	return NULL;
}

/* ---- opening ---- */

struct tcp_connection *
tcp_connect(struct tcp_stack *stack, const struct endpoint *remote, void *user, int *error)
{
	struct endpoint local = { .port_be = 0 };
	struct tcp_connection *c;
	uint32_t sequence = 0;
	uint16_t mtu;

	*error = -EHOSTUNREACH;
	if (!stack->env.route(stack->env.context, &remote->ip, &local.ip, &mtu)) {
		TCP_COUNT(stack, no_route);
		return NULL;
	}
	*error = -ENOBUFS;
	if (slab_in_use(stack->connections) == slab_capacity(stack->connections)) {
		TCP_COUNT(stack, no_connection);
		return NULL;
	}
	*error = -EADDRNOTAVAIL;
	if (!tcp_port_choose(stack, &local, remote, &sequence)) {
		TCP_COUNT(stack, no_port);
		return NULL;
	}
	*error = 0;
	c = tcp_connection_new(stack, &local, remote, mtu);
	if (sequence != 0)
		tcp_connection_start(c, sequence);
	c->state = TCP_STATE_SYN_SENT;
	c->flags = TCP_OWNED | TCP_OUTGOING;
	c->user = user;
	tcp_connection_attach(c);
	tcp_connection_schedule(c);
	TCP_COUNT(stack, active_opens);
	return c;
}

/* ---- looking at it ---- */

void *
tcp_user(const struct tcp_connection *c)
{
	return c->user;
}

void
tcp_set_user(struct tcp_connection *c, void *user)
{
	c->user = user;
}

const struct endpoint *
tcp_local(const struct tcp_connection *c)
{
	return &c->local;
}

const struct endpoint *
tcp_remote(const struct tcp_connection *c)
{
	return &c->remote;
}

enum tcp_close_reason
tcp_close_reason(const struct tcp_connection *c)
{
	return c->close_reason;
}

const char *
tcp_close_reason_text(enum tcp_close_reason reason)
{
	static const char *const texts[] = {
		[TCP_OPEN] = "open",           [TCP_FINISHED] = "finished",
		[TCP_RESET] = "reset by peer", [TCP_REFUSED] = "connection refused",
		[TCP_TIMED_OUT] = "timed out", [TCP_UNREACHABLE] = "unreachable",
		[TCP_NO_MEMORY] = "no memory",
	};

	return (size_t)reason < RTE_DIM(texts) ? texts[reason] : "unknown";
}

uint32_t
tcp_srtt_us(const struct tcp_connection *c)
{
	return c->srtt_us;
}
