#include "tcp/memory.h"

#include "base/clock.h"
#include "tcp/reassembly.h"
#include "tcp/stack.h"

#define LOW_DIVISOR 8
#define SHARE_DIVISOR 8
#define SHARE_CRITICAL 2u

/* Connections whose data ahead of a gap goes in one millisecond at most. */
#define RECLAIM_BUDGET 256

/* What an mbuf of the send queue holds at least, on the whole: see queue.h. */
#define SEND_BYTES_PER_MBUF 1024u

/* ---- what is free ---- */

void
tcp_memory_init(struct tcp_stack *stack)
{
	stack->memory.low = stack->config.pool->size / LOW_DIVISOR;
	list_init(&stack->memory.holders);
	tcp_memory_look(stack);
}

static void
reclaim(struct tcp_stack *stack)
{
	struct list *node;

	for (uint32_t i = 0; i < RECLAIM_BUDGET && (node = list_first(&stack->memory.holders)); i++) {
		tcp_reassembly_free(container_of(node, struct tcp_trouble, holding)->connection);
		TCP_COUNT(stack, reneged);
		if (rte_mempool_avail_count(stack->config.pool) >= stack->memory.low / 2)
			return;
	}
}

void
tcp_memory_look(struct tcp_stack *stack)
{
	struct tcp_memory *memory = &stack->memory;
	uint32_t left = rte_mempool_avail_count(stack->config.pool);

	memory->is_low = left < memory->low;
	if (left < memory->low / 2) {
		memory->share = SHARE_CRITICAL;
		reclaim(stack);
	} else {
		memory->share = RTE_MAX(memory->is_low ? 0 : (left - memory->low) / SHARE_DIVISOR, TCP_SHARE_MIN);
	}
}

/* ---- receiving ---- */

void
tcp_memory_start(struct tcp_connection *c)
{
	c->receive_limit = RTE_MIN(c->stack->config.receive_buffer, TCP_BUFFER_START);
}

static uint32_t
held(const struct tcp_connection *c)
{
	return c->received.mbufs + c->trouble->range_mbufs;
}

bool
tcp_memory_takes(const struct tcp_connection *c)
{
	return !c->stack->memory.is_low || held(c) < c->stack->memory.share;
}

bool
tcp_memory_takes_ahead(const struct tcp_connection *c)
{
	return !c->stack->memory.is_low && held(c) < c->stack->memory.share;
}

/* `most`, as far as the share allows with `per_mbuf` bytes in each, but not less than a few segments. */
static uint32_t
within_share(const struct tcp_connection *c, uint32_t most, uint32_t per_mbuf)
{
	uint64_t share = (uint64_t)c->stack->memory.share * per_mbuf;

	return (uint32_t)RTE_MIN(RTE_MAX(share, (uint64_t)TCP_BUFFER_MIN), (uint64_t)most);
}

/* Beside `bytes`, in `mbufs`, which count as full ones. */
static uint32_t
room(const struct tcp_connection *c, uint32_t limit, uint32_t bytes, uint32_t mbufs, uint32_t per_mbuf)
{
	uint64_t used = RTE_MAX((uint64_t)mbufs * per_mbuf, (uint64_t)bytes);
	uint32_t least = RTE_MIN(limit, TCP_BUFFER_MIN), share = within_share(c, UINT32_MAX, per_mbuf), left;

	left = limit > bytes ? limit - bytes : 0;
	left = RTE_MIN(left, share > used ? share - (uint32_t)used : 0);
	return RTE_MAX(left, least > bytes ? least - bytes : 0);
}

uint32_t
tcp_memory_receive_limit(const struct tcp_connection *c)
{
	return within_share(c, c->receive_limit, c->rcv_mss);
}

uint32_t
tcp_memory_receive_room(const struct tcp_connection *c)
{
	return room(c, tcp_memory_receive_limit(c), c->received.bytes, held(c), c->rcv_mss);
}

void
tcp_memory_read(struct tcp_connection *c, uint32_t len)
{
	uint32_t now_us, passed_us;

	if (c->receive_limit >= c->stack->config.receive_buffer || c->srtt_us == 0)
		return;
	now_us = (uint32_t)(c->stack->now_ns / NS_PER_US);
	passed_us = now_us - c->read_us;
	c->read_bytes += len;
	if (passed_us < c->srtt_us)
		return;
	/* More than half of the limit in a round trip: it is what holds the peer back, or will soon. */
	if (2ull * c->read_bytes * c->srtt_us > (uint64_t)c->receive_limit * passed_us)
		c->receive_limit = RTE_MIN(2 * c->receive_limit, c->stack->config.receive_buffer);
	c->read_bytes = 0;
	c->read_us = now_us;
}

/* ---- sending ---- */

uint32_t
tcp_memory_send_limit(const struct tcp_connection *c)
{
	uint32_t most = c->stack->config.send_buffer;

	if (most > TCP_BUFFER_START)
		most = RTE_MIN(most, RTE_MAX(2 * c->congestion.window, TCP_BUFFER_START));
	return within_share(c, most, SEND_BYTES_PER_MBUF);
}

uint32_t
tcp_memory_send_room(const struct tcp_connection *c)
{
	return room(c, tcp_memory_send_limit(c), c->sending.bytes, c->sending.mbufs, SEND_BYTES_PER_MBUF);
}
