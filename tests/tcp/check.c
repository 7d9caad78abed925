#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "tcp/reassembly.h"
#include "tcp/stack.h"

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

static void
check_queue(const struct tcp_queue *queue)
{
	uint32_t bytes = 0, mbufs = 0;
	const struct rte_mbuf *last = NULL;

	for (const struct rte_mbuf *m = queue->head; m; m = m->next) {
		CHECK(m->data_len > 0);
		CHECK(m->data_off + m->data_len <= m->buf_len);
		bytes += m->data_len;
		mbufs++;
		last = m;
	}
	CHECK(last == queue->tail);
	CHECK(bytes == queue->bytes);
	CHECK(mbufs == queue->mbufs);
}

static void
check_ranges(const struct tcp_connection *c)
{
	uint32_t count = 0, mbufs = 0, from = c->rcv_nxt;

	for (const struct tcp_range *range = c->trouble->ranges; range; range = range->next) {
		check_queue(&range->queue);
		CHECK(range->queue.bytes > 0);
		/* A hole before each. */
		CHECK(sequence_after(range->start, from));
		from = range->start + range->queue.bytes;
		mbufs += range->queue.mbufs;
		count++;
	}
	CHECK(!count || !sequence_after(from, c->rcv_edge));
	CHECK(count == c->trouble->range_count && mbufs == c->trouble->range_mbufs);
	CHECK(list_empty(&c->trouble->holding) == (count == 0));
	CHECK(count <= TCP_RANGES_MAX);
}

static void
check_sending(const struct tcp_connection *c)
{
	uint32_t end = c->snd_una + c->sending.bytes + !!(c->flags & TCP_FIN_SENT);

	CHECK(!sequence_after(c->snd_una, c->snd_nxt));
	CHECK(!sequence_after(c->snd_nxt, c->snd_max));
	CHECK(c->sending.bytes <= c->stack->config.send_buffer);
	if (!tcp_synchronized(c))
		return;
	CHECK(!sequence_after(c->snd_max, end));
	if (c->snd_cursor) {
		uint32_t at = c->snd_una;
		const struct rte_mbuf *m = c->sending.head;

		for (; m && m != c->snd_cursor; m = m->next)
			at += m->data_len;
		CHECK(m == c->snd_cursor);
		CHECK(at == c->snd_cursor_sequence);
	}
	CHECK(c->mss >= 88);
	CHECK(c->congestion.window >= c->mss || c->flags & TCP_RECOVERY);
}

/* The scoreboard covers what is in flight from snd_una to its end without gaps, and counts right. */
static void
check_scoreboard(const struct tcp_connection *c)
{
	const struct tcp_scoreboard *board = c->board;
	uint32_t count = 0, at = c->snd_una, sacked = 0, lost = 0;

	for (const struct tcp_sent *range = board->first; range; range = range->next) {
		CHECK(range->start == at);
		CHECK(sequence_after(range->end, range->start));
		at = range->end;
		sacked += range->state == TCP_SENT_SACKED ? range->end - range->start : 0;
		lost += range->state == TCP_SENT_LOST ? range->end - range->start : 0;
		CHECK(range->state != TCP_SENT_AGAIN || range->again);
		count++;
	}
	CHECK(at == board->end);
	CHECK(!sequence_after(at, c->snd_max));
	CHECK(!sequence_after(board->high, at) && !sequence_before(board->high, c->snd_una));
	CHECK(count == board->count && count <= TCP_SENT_MAX);
	CHECK(sacked == board->sacked && lost == board->lost);
	/* The first byte that is missing cannot have arrived. */
	CHECK(!board->first || board->first->state != TCP_SENT_SACKED);
	CHECK(c->snd_nxt == c->snd_max);
	CHECK(c->flags & TCP_SACK);
	CHECK(tcp_scoreboard_pipe(c) <= c->snd_max - c->snd_una);
	/* It goes when it says nothing. */
	CHECK(board->first || c->flags & TCP_RECOVERY || c->snd_una != c->snd_max);
}

/* Whatever it waits for, something will come of it. */
static void
check_progress(const struct tcp_connection *c)
{
	uint64_t earliest_ns = RTE_MIN(RTE_MIN(c->retransmit_deadline_ns, c->ack_deadline_ns), c->life_deadline_ns);

	CHECK(!c->waiting || !list_empty(&c->pending));
	if (earliest_ns != TCP_NEVER) {
		CHECK(timer_armed(&c->timer));
		CHECK(c->timer.deadline_ns <= earliest_ns);
	}
	if (!list_empty(&c->pending))
		return;
	if (c->snd_max != c->snd_una && c->state != TCP_STATE_FIN_WAIT_2)
		CHECK(c->retransmit_deadline_ns != TCP_NEVER || c->flags & TCP_STARVED);
	if (c->sending.bytes > 0 && tcp_synchronized(c))
		CHECK(earliest_ns != TCP_NEVER);
	if (c->flags & (TCP_ACK_NOW | TCP_ACK_DELAYED))
		CHECK(c->ack_deadline_ns != TCP_NEVER);
	if (!(c->flags & TCP_OWNED))
		CHECK(earliest_ns != TCP_NEVER);
}

void
tcp_check_connection(const struct tcp_connection *c)
{
	check_queue(&c->received);
	check_queue(&c->sending);
	CHECK(!(c->flags & TCP_WANT_WRITE && c->flags & TCP_SHUTDOWN));
	CHECK(!c->events || !list_empty(&c->ready));
	if (c->state == TCP_STATE_CLOSED) {
		CHECK(c->flags & TCP_OWNED);
		CHECK(!c->sending.bytes && c->trouble == &tcp_no_trouble && !c->board);
		return;
	}
	CHECK(!sequence_after(c->rcv_nxt, c->rcv_edge) || c->state == TCP_STATE_SYN_SENT);
	CHECK(c->received.bytes <= c->stack->config.receive_buffer + (1u << c->rcv_scale));
	CHECK(c->trouble == &tcp_no_trouble || c->trouble->connection == c);
	check_ranges(c);
	check_sending(c);
	if (c->board)
		check_scoreboard(c);
	check_progress(c);
}

/* Whoever is in it waits, and will be asked for. */
static void
check_calendar(const struct tcp_stack *stack)
{
	for (int i = 0; i < TCP_PACE_SLOTS; i++) {
		const struct list *slot = &stack->calendar.slots[i];

		CHECK(list_empty(slot) || stack->calendar.occupied >> i & 1);
		for (const struct list *node = slot->next; node != slot; node = node->next)
			CHECK(container_of(node, struct tcp_connection, pending)->waiting);
	}
}

void
tcp_check_stack(const struct tcp_stack *stack)
{
	uint32_t used = 0, half_open = 0, orphans = 0, boards = 0, sent = 0, troubles = 0;

	for (uint32_t i = 0; i <= stack->table.mask; i++) {
		uint32_t value = stack->table.slots[i].value;
		const struct tcp_connection *c;

		used += value != 0;
		if (value == 0 || value >> 31)
			continue;
		c = slab_at(stack->connections, value - 1);
		CHECK(c->hash == stack->table.slots[i].hash);
		CHECK(c->state != TCP_STATE_CLOSED);
		tcp_check_connection(c);
		half_open += !!(c->flags & TCP_PASSIVE);
		orphans += !(c->flags & (TCP_OWNED | TCP_PASSIVE));
		boards += c->board != NULL;
		troubles += c->trouble != &tcp_no_trouble;
		sent += c->board ? c->board->count : 0;
	}
	CHECK(used == stack->table.used);
	CHECK(half_open == stack->half_open);
	CHECK(troubles == slab_in_use(stack->troubles));
	CHECK(boards == slab_in_use(stack->scoreboards) && sent == slab_in_use(stack->sent));
	check_calendar(stack);
	CHECK(orphans == stack->orphan_count);
	CHECK(orphans <= stack->orphans_max);
	for (const struct list *node = stack->closed.next; node != &stack->closed; node = node->next)
		tcp_check_connection(container_of(node, struct tcp_connection, pending));
}
