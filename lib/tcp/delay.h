/*
 * When data that has come in order is acknowledged, if nothing that we send takes the ACK along (RFC 9293 section 3.8.6.3).
 *
 * With the next flush when there is a second full segment, or when the peer has a gap behind it; else after a delay. That is
 * 2 ms, a twentieth of Linux's (TCP_DELACK_MIN): short enough for a peer that waits for the ACK, as with Nagle's algorithm or one
 * odd segment left under its window. A proxy's answer often takes longer. So each connection learns what its peer does: where
 * our data came next, the ACK before it was in vain, and the next one may wait four times as long, and once more, up to 32 ms;
 * where the peer's came next, it may have waited, and the delay is 2 ms again.
 */
#ifndef TCP_DELAY_H
#define TCP_DELAY_H

#include "tcp/connection.h"

/* Data has come in order, and there is no gap behind it. */
void tcp_delay_received(struct tcp_connection *c);
/* Data has come ahead of a gap. */
void tcp_delay_gap(struct tcp_connection *c);

/* The delay is over, and the ACK leaves alone. */
static inline void
tcp_delay_over(struct tcp_connection *c)
{
	c->ack_alone = true;
}

/* Data leaves. */
static inline void
tcp_delay_sent(struct tcp_connection *c)
{
	if (likely(!c->ack_alone))
		return;
	c->ack_alone = false;
	if (c->ack_patience < TCP_ACK_PATIENCE_MAX)
		c->ack_patience++;
}

#endif
