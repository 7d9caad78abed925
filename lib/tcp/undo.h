/*
 * When a loss was none: the congestion window goes back to what it was. What tells it: a timestamp from before the
 * retransmission (Eifel, RFC 3522 and 4015), the peer's word that everything sent again has arrived twice (DSACK, RFC 3708),
 * and after a timeout data that arrives though it was not sent again (F-RTO, RFC 5682 section 3).
 */
#ifndef TCP_UNDO_H
#define TCP_UNDO_H

#include <stdint.h>

#include "tcp/scoreboard.h"

struct tcp_connection;
struct tcp_segment;

/* Before the window is reduced. There is a scoreboard. */
void tcp_undo_save(struct tcp_connection *c, enum tcp_undo kind);
/* `len` bytes are sent again. */
void tcp_undo_resent(struct tcp_connection *c, uint32_t len);
/* While there is a scoreboard: does the segment, which acknowledges `acked` new bytes, tell that the loss was none? */
void tcp_undo_input(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked,
		    const struct tcp_delivery *delivery);

#endif
