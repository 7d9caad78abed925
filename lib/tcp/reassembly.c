#include "tcp/reassembly.h"

#include "packet/view.h"
#include "tcp/stack.h"

static_assert(sizeof(struct tcp_range) <= PACKET_PRIVATE_SIZE, "a range's record lies where the packet's view was");

static uint32_t
range_end(const struct tcp_range *range)
{
	return range->start + range->queue.bytes;
}

static void
range_unlink(struct tcp_trouble *trouble, struct tcp_range **link)
{
	trouble->range_mbufs -= (*link)->queue.mbufs;
	*link = (*link)->next;
	trouble->range_count--;
}

/* Records the queue in its first mbuf, which may have changed. */
static void
range_link(struct tcp_trouble *trouble, struct tcp_range **link, const struct tcp_queue *queue, uint32_t start)
{
	struct tcp_range *range = rte_mbuf_to_priv(queue->head);

	*range = (struct tcp_range){ *queue, *link, start };
	*link = range;
	trouble->range_count++;
	trouble->range_mbufs += queue->mbufs;
	if (list_empty(&trouble->holding))
		list_append(&trouble->connection->stack->memory.holders, &trouble->holding);
}

/* The oldest gap is first among the holders: a connection keeps its place until it has none. */
static void
holding_end(struct tcp_trouble *trouble)
{
	if (!trouble->ranges)
		list_remove(&trouble->holding);
}

void
tcp_reassembly_duplicate(struct tcp_connection *c, uint32_t start, uint32_t end)
{
	struct tcp_trouble *trouble;

	if (!(c->flags & TCP_SACK))
		return;
	c->flags |= TCP_DUPLICATE;
	trouble = tcp_trouble(c);
	trouble->duplicate_start = start;
	trouble->duplicate_end = end;
	TCP_COUNT(c->stack, duplicates_reported);
}

/* Frees the ranges from *link on that the payload covers, and cuts off its end where the last one reaches further. */
static void
trim_behind(struct tcp_connection *c, struct tcp_range **link, uint32_t sequence, struct tcp_queue *payload)
{
	uint32_t end = sequence + payload->bytes;

	while (*link && sequence_before((*link)->start, end)) {
		struct tcp_queue covered = (*link)->queue;

		tcp_reassembly_duplicate(c, (*link)->start,
					 sequence_after(range_end(*link), end) ? end : range_end(*link));
		if (sequence_after(range_end(*link), end)) {
			tcp_queue_truncate(payload, (*link)->start - sequence);
			return;
		}
		range_unlink(tcp_trouble(c), link);
		tcp_queue_free(&covered);
	}
}

/* Drops from the payload what the range before it has. */
static void
trim_before(struct tcp_connection *c, const struct tcp_range *before, uint32_t *sequence, struct tcp_queue *payload)
{
	uint32_t shared;

	if (!sequence_after(range_end(before), *sequence))
		return;
	shared = RTE_MIN(range_end(before) - *sequence, payload->bytes);
	tcp_reassembly_duplicate(c, *sequence, *sequence + shared);
	tcp_queue_drop(payload, shared);
	*sequence += shared;
}

void
tcp_reassembly_insert(struct tcp_connection *c, uint32_t sequence, struct tcp_queue *payload)
{
	struct tcp_trouble *trouble = tcp_trouble(c);
	struct tcp_range **before = NULL, **link = &trouble->ranges;
	struct tcp_queue joined = { 0 };
	uint32_t start;

	while (*link && !sequence_after((*link)->start, sequence)) {
		before = link;
		link = &(*link)->next;
	}
	if (before)
		trim_before(c, *before, &sequence, payload);
	trim_behind(c, link, sequence, payload);
	if (payload->bytes == 0)
		return;

	trouble->sack_recent = start = sequence;
	if (before && range_end(*before) == sequence) {
		joined = (*before)->queue;
		start = (*before)->start;
		range_unlink(trouble, before);
		link = before;
	}
	tcp_queue_concatenate(&joined, payload);
	if (*link && (*link)->start == start + joined.bytes) {
		struct tcp_queue behind = (*link)->queue;

		range_unlink(trouble, link);
		tcp_queue_concatenate(&joined, &behind);
	}
	if (trouble->range_count == TCP_RANGES_MAX) {
		TCP_COUNT(c->stack, drop_ranges_full);
		tcp_queue_free(&joined);
		holding_end(trouble);
		return;
	}
	range_link(trouble, link, &joined, start);
}

uint32_t
tcp_reassembly_take(struct tcp_connection *c)
{
	struct tcp_trouble *trouble = tcp_trouble(c);
	uint32_t before = c->rcv_nxt;

	while (trouble->ranges && !sequence_after(trouble->ranges->start, c->rcv_nxt)) {
		struct tcp_queue queue = trouble->ranges->queue;
		uint32_t known = RTE_MIN(c->rcv_nxt - trouble->ranges->start, queue.bytes);

		range_unlink(trouble, &trouble->ranges);
		tcp_queue_drop(&queue, known);
		c->rcv_nxt += queue.bytes;
		tcp_queue_concatenate(&c->received, &queue);
	}
	holding_end(trouble);
	return c->rcv_nxt - before;
}

void
tcp_reassembly_free(struct tcp_connection *c)
{
	struct tcp_trouble *trouble;

	if (!c->trouble->ranges)
		return;
	trouble = tcp_trouble(c);
	while (trouble->ranges) {
		struct tcp_queue queue = trouble->ranges->queue;

		range_unlink(trouble, &trouble->ranges);
		tcp_queue_free(&queue);
	}
	holding_end(trouble);
}

uint8_t
tcp_reassembly_blocks(const struct tcp_connection *c, struct tcp_sack_block *out, uint8_t max)
{
	const struct tcp_trouble *trouble = c->trouble;
	const struct tcp_range *recent = trouble->ranges, *range;
	uint32_t changed = trouble->sack_recent;
	uint8_t count = 0;

	if (c->flags & TCP_DUPLICATE && max > 0) {
		out[count++] = (struct tcp_sack_block){ trouble->duplicate_start, trouble->duplicate_end };
		/* The block behind it must be the one that it lies in, where it lies in one (RFC 2883 section 4). */
		if (sequence_after(trouble->duplicate_start, c->rcv_nxt))
			changed = trouble->duplicate_start;
	}
	while (recent && !(changed - recent->start < recent->queue.bytes))
		recent = recent->next;
	if (recent && count < max)
		out[count++] = (struct tcp_sack_block){ recent->start, range_end(recent) };
	for (range = trouble->ranges; range && count < max; range = range->next)
		if (range != recent)
			out[count++] = (struct tcp_sack_block){ range->start, range_end(range) };
	return count;
}
