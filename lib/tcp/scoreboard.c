#include "tcp/scoreboard.h"

#include "base/clock.h"
#include "tcp/rack.h"
#include "tcp/recovery.h"
#include "tcp/segment.h"
#include "tcp/stack.h"
#include "tcp/undo.h"

/* Of a stack: scoreboards for so many connections at a time, and ranges for each on average. */
#define SCOREBOARDS_MAX 65536u
#define RANGES_PER_SCOREBOARD 8

/* ---- memory ---- */

bool
tcp_scoreboards_init(struct tcp_stack *stack)
{
	uint32_t count = RTE_MIN(stack->config.connections_max, SCOREBOARDS_MAX);

	stack->scoreboards = slab_new(sizeof(struct tcp_scoreboard), 64, count);
	stack->sent = slab_new(sizeof(struct tcp_sent), 16, RTE_MAX(count * RANGES_PER_SCOREBOARD, 2u * TCP_SENT_MAX));
	return stack->scoreboards && stack->sent;
}

void
tcp_scoreboards_fini(struct tcp_stack *stack)
{
	slab_free(stack->scoreboards);
	slab_free(stack->sent);
}

struct tcp_scoreboard *
tcp_scoreboard_get(struct tcp_connection *c)
{
	struct tcp_scoreboard *board = c->board;

	if (board)
		return board;
	board = slab_get(c->stack->scoreboards);
	if (!board) {
		TCP_COUNT(c->stack, no_scoreboard);
		return NULL;
	}
	*board = (struct tcp_scoreboard){ .end = c->snd_una, .high = c->snd_una, .release = c->snd_una };
	c->board = board;
	return board;
}

static struct tcp_sent *
range_new(struct tcp_connection *c)
{
	struct slab *pool = c->stack->sent;
	uint32_t most = slab_in_use(pool) < slab_capacity(pool) / 2 ? TCP_SENT_MAX : TCP_SENT_SHORT_MAX;
	struct tcp_sent *range = c->board->count < most ? slab_get(pool) : NULL;

	if (!range) {
		TCP_COUNT(c->stack, scoreboard_full);
		return NULL;
	}
	c->board->count++;
	return range;
}

/* Takes *link out of the list. */
static void
range_drop(struct tcp_connection *c, struct tcp_sent **link)
{
	struct tcp_sent *range = *link;

	*link = range->next;
	c->board->count--;
	slab_put(c->stack->sent, range);
}

void
tcp_scoreboard_free(struct tcp_connection *c)
{
	if (!c->board)
		return;
	while (c->board->first)
		range_drop(c, &c->board->first);
	slab_put(c->stack->scoreboards, c->board);
	c->board = NULL;
}

/* ---- ranges ---- */

static void
count_add(struct tcp_scoreboard *board, const struct tcp_sent *range, uint32_t len)
{
	if (range->state == TCP_SENT_SACKED)
		board->sacked += len;
	else if (range->state == TCP_SENT_LOST)
		board->lost += len;
}

static void
state_set(struct tcp_scoreboard *board, struct tcp_sent *range, enum tcp_sent_state state)
{
	count_add(board, range, range->start - range->end); /* less what it was */
	range->state = (uint8_t)state;
	count_add(board, range, range->end - range->start);
}

void
tcp_scoreboard_lost(struct tcp_scoreboard *board, struct tcp_sent *range)
{
	state_set(board, range, TCP_SENT_LOST);
	range->suspect_ns = TCP_NEVER;
}

/* Cuts the range in two at `sequence`, which lies inside. False when memory is short. */
static bool
split(struct tcp_connection *c, struct tcp_sent *range, uint32_t sequence)
{
	struct tcp_sent *behind = range_new(c);

	if (!behind)
		return false;
	*behind = *range;
	behind->start = sequence;
	range->end = sequence;
	range->next = behind;
	return true;
}

static bool
append(struct tcp_connection *c, enum tcp_sent_state state, uint32_t end)
{
	struct tcp_scoreboard *board = c->board;
	struct tcp_sent **link = &board->first, *range;

	if (board->end == end)
		return true;
	range = range_new(c);
	if (!range)
		return false;
	while (*link)
		link = &(*link)->next;
	*range = (struct tcp_sent){ .start = board->end, .end = end, .state = (uint8_t)state, .suspect_ns = TCP_NEVER };
	*link = range;
	board->end = end;
	count_add(board, range, end - range->start);
	return true;
}

static bool
alike(const struct tcp_sent *a, const struct tcp_sent *b)
{
	if (a->state != b->state)
		return false;
	return a->state == TCP_SENT_SACKED || (a->again == b->again && a->sent_ns == b->sent_ns &&
					       a->sent_next == b->sent_next && a->suspect_ns == b->suspect_ns);
}

void
tcp_scoreboard_tidy(struct tcp_connection *c)
{
	struct tcp_sent *range = c->board->first;

	while (range && range->next) {
		if (!alike(range, range->next)) {
			range = range->next;
			continue;
		}
		range->end = range->next->end;
		range_drop(c, &range->next);
	}
}

/* ---- what has arrived ---- */

/* Did the retransmission arrive, or what it repeats? RFC 8985 section 6.2 step 2. */
static bool
is_of_retransmission(const struct tcp_connection *c, const struct tcp_segment *segment, const struct tcp_sent *range)
{
	if (c->stack->now_ns - range->sent_ns < c->rtt_min_us * NS_PER_US)
		return false;
	return !tcp_echoes_before(c, segment, (uint32_t)(range->sent_ns / NS_PER_MS));
}

/* The range, or its first part up to `end`, has arrived just now. */
static void
arrived(struct tcp_connection *c, const struct tcp_segment *segment, const struct tcp_sent *range, uint32_t end,
	struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;

	delivery->bytes += end - range->start;
	if (!range->again) {
		/* What a timeout called lost beyond the highest SACK was not overtaken. */
		delivery->reordered |= sequence_before(range->start, board->high);
		delivery->unlost |= range->state == TCP_SENT_LOST;
	} else if (is_of_retransmission(c, segment, range) &&
		   (range->sent_ns > board->delivered_ns ||
		    (range->sent_ns == board->delivered_ns && sequence_after(end, board->delivered_end)))) {
		board->delivered_ns = range->sent_ns;
		board->delivered_end = end;
	}
}

/* What of the block lies in ranges that are there already. */
static void
sack_known(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t start, uint32_t end,
	   struct tcp_delivery *delivery)
{
	struct tcp_sent *range = c->board->first;

	for (; range && sequence_before(range->start, end); range = range->next) {
		if (range->state == TCP_SENT_SACKED || !sequence_after(range->end, start))
			continue;
		if (sequence_before(range->start, start)) {
			if (!split(c, range, start))
				return;
			continue;
		}
		if (sequence_after(range->end, end) && !split(c, range, end))
			return;
		arrived(c, segment, range, range->end, delivery);
		state_set(c->board, range, TCP_SENT_SACKED);
		delivery->sacked = true;
	}
}

/* And what lies beyond. */
static void
sack_beyond(struct tcp_connection *c, uint32_t start, uint32_t end, struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;
	uint32_t from = sequence_max(start, board->end);

	if (!sequence_after(end, board->end) || !append(c, TCP_SENT_ONCE, from) || !append(c, TCP_SENT_SACKED, end))
		return;
	delivery->bytes += end - from;
	delivery->sacked = true;
}

static void
sack_block(struct tcp_connection *c, const struct tcp_segment *segment, const struct tcp_sack_block *block,
	   struct tcp_delivery *delivery)
{
	uint32_t start = block->start, end = block->end;

	/* The first byte that is not acknowledged cannot have arrived. */
	if (!sequence_after(start, c->snd_una) || !sequence_after(end, start) || sequence_after(end, c->snd_max))
		return;
	/* Not while all is being sent again for want of a scoreboard. */
	if (c->snd_nxt != c->snd_max || !tcp_scoreboard_get(c))
		return;
	tcp_rack_time_sacked(c, start, end);
	sack_known(c, segment, start, end, delivery);
	sack_beyond(c, start, end, delivery);
	if (!sequence_after(end, c->board->end))
		delivery->high = sequence_max(delivery->high, end);
}

/* RFC 2883 section 4: the first block, of what is acknowledged, or in the second block. */
static bool
is_duplicate(const struct tcp_connection *c, const struct tcp_segment *segment)
{
	const struct tcp_sack_block *blocks = segment->options.sack;

	if (!sequence_after(blocks[0].end, blocks[0].start) || sequence_after(blocks[0].start, c->snd_max) ||
	    sequence_before(blocks[0].start, c->snd_una - c->snd_wnd_max))
		return false;
	if (!sequence_after(blocks[0].end, segment->acknowledgement))
		return true;
	return segment->options.sack_count > 1 && !sequence_before(blocks[0].start, blocks[1].start) &&
	       !sequence_after(blocks[0].end, blocks[1].end);
}

void
tcp_scoreboard_sack(struct tcp_connection *c, const struct tcp_segment *segment, struct tcp_delivery *delivery)
{
	const struct tcp_options *options = &segment->options;
	uint32_t i = 0;

	if (!(options->flags & TCP_OPTION_SACK))
		return;
	if (is_duplicate(c, segment)) {
		delivery->dsack = true;
		delivery->dsack_start = options->sack[0].start;
		delivery->dsack_end = options->sack[0].end;
		i = 1;
	}
	delivery->high = c->snd_una;
	for (; i < options->sack_count; i++)
		sack_block(c, segment, &options->sack[i], delivery);
	if (!delivery->sacked)
		return;
	/* Only now: the blocks of one segment say nothing of an order among each other. */
	c->board->high = sequence_max(c->board->high, delivery->high);
	tcp_scoreboard_tidy(c);
}

/* The peer has dropped what it had said to have (RFC 2018 section 8): nothing that it said counts. */
static void
reneged(struct tcp_connection *c)
{
	for (struct tcp_sent *range = c->board->first; range; range = range->next)
		if (range->state == TCP_SENT_SACKED)
			tcp_scoreboard_lost(c->board, range);
	c->board->high = c->snd_una;
	tcp_scoreboard_tidy(c);
	TCP_COUNT(c->stack, peers_reneged);
}

void
tcp_scoreboard_acknowledged(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked,
			    struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;
	struct tcp_sent *range;

	if (!board) {
		delivery->bytes += acked;
		return;
	}
	if (sequence_after(c->snd_una, board->end))
		delivery->bytes += c->snd_una - board->end;
	while ((range = board->first) && sequence_before(range->start, c->snd_una)) {
		uint32_t end = sequence_before(range->end, c->snd_una) ? range->end : c->snd_una;

		if (range->state != TCP_SENT_SACKED)
			arrived(c, segment, range, end, delivery);
		count_add(board, range, range->start - end);
		range->start = end;
		if (range->start == range->end)
			range_drop(c, &board->first);
	}
	board->end = sequence_max(board->end, c->snd_una);
	board->high = sequence_max(board->high, c->snd_una);
	if (board->first && board->first->state == TCP_SENT_SACKED)
		reneged(c);
}

/* ---- what has not ---- */

bool
tcp_scoreboard_lose(struct tcp_connection *c)
{
	if (c->snd_nxt != c->snd_max || !tcp_scoreboard_get(c) || !append(c, TCP_SENT_ONCE, c->snd_max))
		return false;
	for (struct tcp_sent *range = c->board->first; range; range = range->next)
		if (range->state != TCP_SENT_SACKED)
			tcp_scoreboard_lost(c->board, range);
	tcp_scoreboard_tidy(c);
	return true;
}

void
tcp_scoreboard_find(struct tcp_connection *c)
{
	for (struct tcp_sent *range = c->board->first; range; range = range->next) {
		if (range->state != TCP_SENT_LOST)
			continue;
		state_set(c->board, range, range->again ? TCP_SENT_AGAIN : TCP_SENT_ONCE);
	}
	tcp_scoreboard_tidy(c);
}

struct tcp_sent *
tcp_scoreboard_first_lost(const struct tcp_scoreboard *board)
{
	struct tcp_sent *range = board->lost > 0 ? board->first : NULL;

	while (range && range->state != TCP_SENT_LOST)
		range = range->next;
	return range;
}

void
tcp_scoreboard_resent(struct tcp_connection *c, struct tcp_sent *range, uint32_t len)
{
	/* Without memory the rest counts as sent too, and is found lost again. */
	if (len < range->end - range->start)
		split(c, range, range->start + len);
	state_set(c->board, range, TCP_SENT_AGAIN);
	range->again = true;
	range->sent_ns = c->stack->now_ns;
	range->sent_next = c->snd_max;
	tcp_undo_resent(c, range->end - range->start);
	tcp_scoreboard_tidy(c);
}

uint32_t
tcp_scoreboard_pipe(const struct tcp_connection *c)
{
	return c->snd_nxt - c->snd_una - c->board->sacked - c->board->lost;
}
