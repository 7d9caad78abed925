/*
 * SYN cookies: under a flood a SYN is answered without keeping anything. The initial sequence number carries what the
 * handshake's ACK must bring back (RFC 4987 section 3.6): in its low 8 bits MSS, window scale and SACK, in the others a
 * keyed hash over these, the addresses, the peer's sequence number and the time. So they survive for peers without
 * timestamps too; whether the peer has timestamps its ACK says itself. That ECN was agreed on (ecn.h) is in the lowest bit of our
 * timestamp, which comes back too; for peers without timestamps it is declined.
 *
 * Keys change every 64 s and the last but one is not accepted any more. They follow from tcp_config.cookie_secret and the
 * clock alone, so that lcores with the same secret and clock take each other's cookies.
 */
#ifndef TCP_COOKIE_H
#define TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_segment;
struct tcp_stack;

struct tcp_cookies {
	uint64_t keys[2][2]; /* by the period's lowest bit */
	uint32_t period;     /* of the newer one */
	bool ready;
	uint64_t sent_ns; /* when the last one left */
};

/* Whether a segment may bring back a cookie: only while some are out. At all other times, who guesses the 24 bits of a hash
 * would have a connection without a handshake. */
bool tcp_cookies_are_out(const struct tcp_stack *stack);

/* The initial sequence number for the answer to a SYN. */
uint32_t tcp_cookie_make(struct tcp_stack *stack, const struct tcp_segment *segment);
/* The timestamp of that answer; no later than now, so that what follows is not older. */
uint32_t tcp_cookie_timestamp(const struct tcp_stack *stack, const struct tcp_segment *segment, bool ecn);
/* Does the segment acknowledge a cookie of the last two periods? Then *syn is the SYN that it answered, as far as it is
 * known: sequence number, and options without values of timestamps. */
bool tcp_cookie_read(struct tcp_stack *stack, const struct tcp_segment *segment, struct tcp_segment *syn);

#endif
