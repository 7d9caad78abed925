#include "tcp/output.h"
#include "tcp/stack.h"

uint32_t
tcp_readable(const struct tcp_connection *c)
{
	return c->received.bytes;
}

struct bytes
tcp_peek(const struct tcp_connection *c)
{
	return tcp_queue_peek(&c->received);
}

uint32_t
tcp_peek_copy(const struct tcp_connection *c, uint32_t offset, void *out, uint32_t len)
{
	return tcp_queue_copy(c->received.head, offset, out, len);
}

void
tcp_window_freed(struct tcp_connection *c, uint32_t len)
{
	uint32_t offered, gain, limit;

	if (!tcp_receiving(c))
		return;
	tcp_memory_read(c, len);
	offered = sequence_after(c->rcv_edge, c->rcv_nxt) ? c->rcv_edge - c->rcv_nxt : 0;
	gain = tcp_window_offer(c) - offered;
	limit = tcp_memory_receive_limit(c);
	/* An ACK that is due anyway tells it. One of its own is worth while when little is left and much was freed, or when the
	 * peer may be waiting for it. (A SYN cannot offer more than 64 KB: the rest is no news that anybody waits for.) */
	if (gain > 0 && ((gain >= limit / 4 && offered < limit / 8) || offered < 2u * c->rcv_mss)) {
		c->flags |= TCP_ACK_NOW;
		tcp_connection_schedule(c);
	}
}

void
tcp_consume(struct tcp_connection *c, uint32_t len)
{
	tcp_queue_drop(&c->received, len);
	tcp_window_freed(c, len);
}

uint32_t
tcp_read_queue(struct tcp_connection *c, struct tcp_queue *to, uint32_t len)
{
	uint32_t moved = tcp_queue_move(to, &c->received, c->stack->config.pool, len);

	if (moved > 0)
		tcp_window_freed(c, moved);
	return moved;
}

bool
tcp_at_end(const struct tcp_connection *c)
{
	return c->received.bytes == 0 && c->flags & TCP_FIN_RECEIVED;
}
