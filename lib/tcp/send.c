#include "base/clock.h"
#include "tcp/stack.h"

/* How long to wait for mbufs to come back before the writer tries again. */
#define STARVED_RETRY_NS (10 * NS_PER_MS)

uint32_t
tcp_writable(const struct tcp_connection *c)
{
	if (c->state == TCP_STATE_CLOSED || c->flags & TCP_SHUTDOWN)
		return 0;
	return tcp_memory_send_room(c);
}

/* `len` was asked for, `taken` is what there was room and memory for. */
static void
written(struct tcp_connection *c, uint32_t room, uint32_t taken, uint32_t len)
{
	if (taken > 0)
		tcp_connection_schedule(c);
	if (taken < len && c->state != TCP_STATE_CLOSED && !(c->flags & TCP_SHUTDOWN))
		c->flags |= TCP_WANT_WRITE;
	if (taken < RTE_MIN(room, len)) {
		TCP_COUNT(c->stack, no_mbuf);
		c->flags |= TCP_STARVED;
		c->ack_deadline_ns = RTE_MIN(c->ack_deadline_ns, c->stack->now_ns + STARVED_RETRY_NS);
		tcp_timer_update(c);
	}
}

void
tcp_want_writable(struct tcp_connection *c)
{
	if (c->state != TCP_STATE_CLOSED && !(c->flags & TCP_SHUTDOWN))
		c->flags |= TCP_WANT_WRITE;
}

uint32_t
tcp_write(struct tcp_connection *c, const void *data, uint32_t len)
{
	uint32_t room = tcp_writable(c);
	uint32_t taken = 0;

	/* Were the last mbufs full of data to be sent, there would be none to send it with. */
	if (!c->stack->memory.is_low)
		taken = tcp_queue_write(&c->sending, c->stack->config.pool, data, RTE_MIN(room, len));

	written(c, room, taken, len);
	return taken;
}

uint32_t
tcp_write_queue(struct tcp_connection *c, struct tcp_queue *from, uint32_t len)
{
	uint32_t room = tcp_writable(c), moved;

	len = RTE_MIN(len, from->bytes);
	moved = tcp_queue_move(&c->sending, from, c->stack->config.pool, RTE_MIN(room, len));
	written(c, room, moved, len);
	return moved;
}

uint32_t
tcp_move(struct tcp_connection *to, struct tcp_connection *from, uint32_t len)
{
	uint32_t moved = tcp_write_queue(to, &from->received, len);

	if (moved > 0)
		tcp_window_freed(from, moved);
	return moved;
}

struct rte_mempool *
tcp_pool(const struct tcp_connection *c)
{
	return c->stack->config.pool;
}

uint32_t
tcp_unsent(const struct tcp_connection *c)
{
	return c->sending.bytes;
}

void
tcp_want_sent(struct tcp_connection *c)
{
	if (c->sending.bytes > 0)
		c->flags |= TCP_WANT_SENT;
	else
		tcp_connection_notify(c, TCP_SENT);
}

void
tcp_shutdown(struct tcp_connection *c)
{
	if (c->state == TCP_STATE_CLOSED || c->flags & TCP_SHUTDOWN)
		return;
	c->flags = (c->flags | TCP_SHUTDOWN) & ~TCP_WANT_WRITE;
	if (c->state == TCP_STATE_ESTABLISHED)
		c->state = TCP_STATE_FIN_WAIT_1;
	else if (c->state == TCP_STATE_CLOSE_WAIT)
		c->state = TCP_STATE_LAST_ACK;
	tcp_connection_schedule(c);
}
