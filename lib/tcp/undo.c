#include "tcp/undo.h"

#include "tcp/rack.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

void
tcp_undo_save(struct tcp_connection *c, enum tcp_undo kind)
{
	struct tcp_scoreboard *board = c->board;

	board->before = c->congestion;
	board->before_cubic = c->trouble->cubic;
	board->undo = (uint8_t)kind;
	board->undo_start = c->snd_una;
	board->undo_again = 0;
	board->again = false;
}

void
tcp_undo_resent(struct tcp_connection *c, uint32_t len)
{
	struct tcp_scoreboard *board = c->board;

	if (!board->again)
		board->again_ms = c->stack->now_ms;
	board->again = true;
	board->undo_again += len;
}

static void
undo(struct tcp_connection *c)
{
	struct tcp_scoreboard *board = c->board;
	uint32_t window = c->congestion.window;

	/* A fast retransmission that was none is reordering. */
	if (board->undo == TCP_UNDO_RECOVERY)
		c->flags |= TCP_REORDERED;
	c->congestion = board->before;
	tcp_trouble(c)->cubic = board->before_cubic;
	c->congestion.window = RTE_MAX(c->congestion.window, window);
	c->flags &= ~(TCP_RECOVERY | TCP_RECOVER_SET);
	board->undo = TCP_UNDO_NONE;
	board->frto = TCP_FRTO_OFF;
	tcp_scoreboard_find(c);
	TCP_COUNT(c->stack, losses_undone);
}

/* RFC 3708 section 3. */
static bool
all_in_vain(struct tcp_connection *c, const struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;
	uint32_t len = delivery->dsack_end - delivery->dsack_start;

	if (!delivery->dsack || !board->again || sequence_before(delivery->dsack_start, board->undo_start))
		return false;
	board->undo_again -= RTE_MIN(len, board->undo_again);
	return board->undo_again == 0;
}

/* RFC 5682 section 3.1, steps 2 and 3. True: the timeout was spurious. */
static bool
frto(struct tcp_connection *c, uint32_t acked, const struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;

	if (board->frto == TCP_FRTO_OFF)
		return false;
	if (delivery->unlost)
		return true;
	if (board->frto == TCP_FRTO_FIRST && acked > 0 && sequence_before(c->snd_una, c->trouble->snd_recover))
		board->frto = TCP_FRTO_SECOND;
	else
		board->frto = TCP_FRTO_OFF;
	return false;
}

void
tcp_undo_input(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked,
	       const struct tcp_delivery *delivery)
{
	struct tcp_scoreboard *board = c->board;

	if (board->undo == TCP_UNDO_NONE)
		return;
	if (frto(c, acked, delivery) || all_in_vain(c, delivery) ||
	    (acked > 0 && board->again && tcp_echoes_before(c, segment, board->again_ms)))
		undo(c);
}
