/*
 * What the sender knows of its data in flight while some of it is lost, or arrives out of order (RFC 6675 section 3): a
 * list of ranges that covers the sequence space from snd_una on without gaps, up to the highest byte that the peer has
 * selectively acknowledged, or that a timeout has called lost. Beyond it everything is on its way and was sent once.
 *
 * A connection has a scoreboard only from the first SACK block or timeout until the trouble is over, from pools of the
 * stack; without loss it costs a pointer that is NULL. Where a pool is empty, or a connection has its share, the peer's
 * blocks are not noted: such data is perhaps sent twice, and a timeout finds what is missing.
 *
 * Times are the stack's, in nanoseconds. No time of a first transmission is kept. As first transmissions leave in order,
 * what is below something that has arrived was sent before it, and the time at which that was first seen stands for it:
 * for RACK (RFC 8985), later by no more than lay between the two transmissions.
 */
#ifndef TCP_SCOREBOARD_H
#define TCP_SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/congestion.h"

struct tcp_connection;
struct tcp_segment;
struct tcp_stack;

/* Ranges of one connection; so many while its stack has less than half of its pool left. */
#define TCP_SENT_MAX 256
#define TCP_SENT_SHORT_MAX 32

enum tcp_sent_state {
	TCP_SENT_ONCE,   /* on its way */
	TCP_SENT_AGAIN,  /* a retransmission is on its way */
	TCP_SENT_LOST,   /* to be sent again */
	TCP_SENT_SACKED, /* has arrived */
};

struct tcp_sent {
	struct tcp_sent *next;
	uint32_t start, end;
	uint32_t sent_next;  /* AGAIN: snd_max when it left: what arrives from there on was sent later */
	uint8_t state;       /* enum tcp_sent_state */
	bool again;          /* has been sent more than once */
	uint64_t sent_ns;    /* when last sent again */
	uint64_t suspect_ns; /* ONCE, AGAIN: since when something that was sent later has arrived; TCP_NEVER: not yet */
};

struct tcp_scoreboard {
	struct tcp_sent *first;
	uint32_t count;
	uint32_t end;          /* where the last range ends; snd_una without ranges */
	uint32_t high;         /* where the highest SACKed range ends, or snd_una */
	uint32_t sacked, lost; /* bytes in these states */

	/* rack.c: the retransmission sent last of those that have arrived */
	uint64_t delivered_ns;
	uint32_t delivered_end;

	/* loss.c: proportional rate reduction */
	uint32_t prr_flight, prr_delivered, prr_out;

	/* undo.c */
	struct tcp_congestion before; /* as it was when the loss was found */
	struct tcp_cubic before_cubic;
	uint32_t undo_start; /* snd_una then */
	uint32_t undo_again; /* bytes sent again since, less those that the peer says it had */
	uint32_t again_ms;   /* when the first of them left */
	bool again;          /* something was sent again */
	uint8_t undo;        /* enum tcp_undo */
	uint8_t frto;        /* enum tcp_frto */

	uint32_t release; /* without ranges, the scoreboard goes when snd_una gets here */
};

enum tcp_undo {
	TCP_UNDO_NONE,
	TCP_UNDO_RECOVERY, /* what fast recovery has done can be undone */
	TCP_UNDO_TIMEOUT,
};

/* RFC 5682 section 3.1. */
enum tcp_frto {
	TCP_FRTO_OFF,
	TCP_FRTO_FIRST,  /* the first segment has left again; its ACK is waited for */
	TCP_FRTO_SECOND, /* new data is to leave instead of more retransmissions */
	TCP_FRTO_ANSWER, /* it has; the next ACK tells */
};

/* What one segment has told. */
struct tcp_delivery {
	uint32_t bytes;       /* newly known to have arrived, acknowledged or SACKed */
	uint32_t high;        /* where the highest SACK block ends */
	uint32_t dsack_start; /* with `dsack`: what has arrived twice (RFC 2883) */
	uint32_t dsack_end;
	bool dsack;
	bool sacked;    /* SACK blocks had news */
	bool reordered; /* data sent once was overtaken */
	bool unlost;    /* data has arrived that was called lost and not sent again */
};

/* False when memory is short. */
bool tcp_scoreboards_init(struct tcp_stack *stack);
void tcp_scoreboards_fini(struct tcp_stack *stack);

/* The connection's, or a new one; NULL when there is none to be had. */
struct tcp_scoreboard *tcp_scoreboard_get(struct tcp_connection *c);
void tcp_scoreboard_free(struct tcp_connection *c);

/* Notes the segment's SACK blocks, for which snd_una is already moved. Makes a scoreboard where there is need for one. */
void tcp_scoreboard_sack(struct tcp_connection *c, const struct tcp_segment *segment, struct tcp_delivery *delivery);
/* snd_una has moved by `acked`. */
void tcp_scoreboard_acknowledged(struct tcp_connection *c, const struct tcp_segment *segment, uint32_t acked,
				 struct tcp_delivery *delivery);

/* All but what is SACKed is lost. False when memory is short: then nothing has changed. */
bool tcp_scoreboard_lose(struct tcp_connection *c);
/* What was called lost and not sent again is on its way after all. */
void tcp_scoreboard_find(struct tcp_connection *c);
/* One range is lost; for rack.c, while it goes through the list. */
void tcp_scoreboard_lost(struct tcp_scoreboard *board, struct tcp_sent *range);
/* Neighbours that differ in nothing become one. */
void tcp_scoreboard_tidy(struct tcp_connection *c);

/* The first that is to be sent again, or NULL. */
struct tcp_sent *tcp_scoreboard_first_lost(const struct tcp_scoreboard *board);
/* The first `len` bytes of a lost range have left. */
void tcp_scoreboard_resent(struct tcp_connection *c, struct tcp_sent *range, uint32_t len);

/* Bytes in flight as far as is known (RFC 6675 section 4). */
uint32_t tcp_scoreboard_pipe(const struct tcp_connection *c);

#endif
