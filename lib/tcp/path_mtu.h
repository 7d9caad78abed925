/*
 * The path's MTU when it is not the route's: lowered because a router says so (RFC 1191, RFC 8201), or because full segments
 * go unanswered while no router says anything (a black hole, RFC 4821 and RFC 2923); and raised again.
 *
 * Ten minutes after it was lowered (RFC 8201 section 4), one segment of new data is as long as the route allows. When it is
 * acknowledged all may be; when it is sent again, in shorter pieces, the next is tried after ten minutes more. What tells is the
 * measuring of its round trip, which a retransmission ends (recovery.h).
 */
#ifndef TCP_PATH_MTU_H
#define TCP_PATH_MTU_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;

/* A router says so. False: nothing has changed. */
bool tcp_path_mtu_told(struct tcp_connection *c, uint32_t mtu);
/* The retransmission timer ran out for the c->retries-th time in a row. */
void tcp_path_mtu_timeout(struct tcp_connection *c);

/* While the MTU is lowered: what payload and options of the next new segment may take, which is more than c->mss for a probe; then
 * `available` bytes are there and allowed. */
uint32_t tcp_path_mtu_next(struct tcp_connection *c, uint32_t available);
/* The round trip of a probe was measured: it has arrived. */
void tcp_path_mtu_probed(struct tcp_connection *c);

#endif
