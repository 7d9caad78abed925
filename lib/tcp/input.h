/*
 * Segment arrival (RFC 9293 section 3.10.7), by what the segment finds.
 */
#ifndef TCP_INPUT_H
#define TCP_INPUT_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;
struct tcp_segment;
struct tcp_stack;

/* open.c: no connection; SYN-SENT; SYN-RECEIVED, where false means that the segment is done with. */
void tcp_input_listen(struct tcp_stack *stack, const struct tcp_segment *segment, uint32_t sequence);
/* open.c: a segment without a connection that brings back a SYN cookie: the connection, which it is then for. Else NULL. */
struct tcp_connection *tcp_input_cookie(struct tcp_stack *stack, const struct tcp_segment *segment);
void tcp_input_syn_sent(struct tcp_connection *c, const struct tcp_segment *segment);
bool tcp_input_syn_received(struct tcp_connection *c, const struct tcp_segment *segment);

/* acknowledge.c: the ACK field of an acceptable segment, which had `len` of sequence space before it was trimmed.
 * False: the segment is done with, and the connection perhaps too. */
bool tcp_input_acknowledgement(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t len);

/* data.c: payload and FIN, trimmed to the window. The connection may be gone afterwards. */
void tcp_input_data(struct tcp_connection *c, struct tcp_segment *segment);

/* An ACK in answer to a segment that is not acceptable, or is suspect (RFC 5961); not more than two a second for one
 * connection, so that two sides cannot keep each other busy. */
void tcp_input_challenge(struct tcp_connection *c);

#endif
