/*
 * RACK-TLP (RFC 8985): a segment is lost when one that was sent later has arrived, and the reordering window has passed
 * since; and a probe finds losses at the end of what was sent, where nothing is sent later.
 *
 * See scoreboard.h for what stands in for the times of first transmissions.
 */
#ifndef TCP_RACK_H
#define TCP_RACK_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;
struct tcp_delivery;
struct tcp_segment;

/* Goes through the scoreboard for what must be called lost now; true when something was. *suspect_ns is when the next
 * will be, TCP_NEVER when nothing is suspect. */
bool tcp_rack_detect(struct tcp_connection *c, uint64_t *suspect_ns);

/* Adapts the reordering window to what a segment has told (section 6.2 steps 3 and 4); and to the end of a recovery. */
void tcp_rack_adapt(struct tcp_connection *c, const struct tcp_delivery *delivery);
void tcp_rack_recovered(struct tcp_connection *c);

/* SACK blocks end the measuring of a round trip as acknowledgements do, for the data that they name. */
void tcp_rack_time_sacked(struct tcp_connection *c, uint32_t start, uint32_t end);

/* Does the segment echo a timestamp of ours from before `ms`? Then it answers what left before (RFC 3522). */
bool tcp_echoes_before(const struct tcp_connection *c, const struct tcp_segment *segment, uint32_t ms);

/* The time to probe for a lost tail has come (section 7.2, see tcp_recovery_arm()). */
void tcp_tail_due(struct tcp_connection *c);
/* The probe has left; `again`: with data that was sent before. */
void tcp_tail_sent(struct tcp_connection *c, bool again);
/* A segment tells what became of the probe (section 7.4). */
void tcp_tail_answered(struct tcp_connection *c, const struct tcp_segment *segment, struct tcp_delivery *delivery);

#endif
