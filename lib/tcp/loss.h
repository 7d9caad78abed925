/*
 * Loss recovery with SACK: what follows from what the scoreboard and RACK find. How much may leave meanwhile is
 * proportional rate reduction's to say (RFC 9937), what the congestion window becomes in the end congestion.h's.
 *
 * recovery.h has the timers, and what is done for peers without SACK.
 */
#ifndef TCP_LOSS_H
#define TCP_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;
struct tcp_segment;

/* A segment with SACK blocks, or while there is a scoreboard or a probe of the tail is out. It acknowledges `acked` new bytes;
 * snd_una is already moved. */
void tcp_loss_input(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked);
/* The reordering window of something suspect has passed. */
void tcp_loss_suspect_due(struct tcp_connection *c);
/* The retransmission timer ran out; the congestion window is as it was. False: there is no scoreboard, and all must be
 * sent again from snd_una on. */
bool tcp_loss_timeout(struct tcp_connection *c);
/* `len` bytes leave, old or new, while there is a scoreboard. */
void tcp_loss_sent(struct tcp_connection *c, uint32_t len);

#endif
