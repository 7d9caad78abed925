/*
 * When to send again: round-trip time and timeout (RFC 6298), window probes (RFC 9293 section 3.8.6.1), and for peers
 * without SACK fast retransmit (RFC 5681) and NewReno's recovery (RFC 6582). With SACK, see loss.h.
 */
#ifndef TCP_RECOVERY_H
#define TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;
struct tcp_segment;

#define TCP_RTO_INITIAL_US 1000000
#define TCP_RTO_MIN_US 200000
#define TCP_RTO_MAX_US 60000000

/* Linux's tcp_syn_retries, tcp_retries2 and tcp_orphan_retries: about 127 s, 8 min and 1 min. */
#define TCP_SYN_RETRIES 6
#define TCP_DATA_RETRIES 15
#define TCP_ORPHAN_RETRIES 8

/* New data up to `end` is leaving: times it if nothing is being timed (Karn's algorithm). */
void tcp_recovery_time(struct tcp_connection *c, uint32_t end);
/* Its acknowledgement, in whatever form, came just now. */
void tcp_recovery_timed(struct tcp_connection *c);
/* Starts the retransmission timer, which a probe of the tail may precede (rack.h), or that for window probes. */
void tcp_recovery_arm(struct tcp_connection *c);
void tcp_recovery_arm_probe(struct tcp_connection *c);

/* The segment acknowledges `acked` new bytes of sequence space; snd_una is already moved. */
void tcp_recovery_acknowledged(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked);
/* The window of a connection that was probing has grown. */
void tcp_recovery_window_opened(struct tcp_connection *c);
/* A duplicate ACK (RFC 5681 section 2) from a peer without SACK. */
void tcp_recovery_duplicate(struct tcp_connection *c);
/* The round-trip time of our SYN, where it can be told. */
void tcp_recovery_opened(struct tcp_connection *c, const struct tcp_segment *segment);
/* The deadline has passed. True: the connection is freed. */
bool tcp_recovery_timeout(struct tcp_connection *c);
/* Everything in flight must leave again, though no loss was found (the path's MTU fell). */
void tcp_recovery_restart(struct tcp_connection *c);

#endif
