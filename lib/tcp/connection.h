/*
 * The control block: one connection in every state but LISTEN and TIME-WAIT (see time_wait.h). Private to this room.
 *
 * What a segment in ESTABLISHED touches is in the first four cache lines. Names follow RFC 9293 section 3.3.1 where it
 * has one. Times are of the stack's clock: nanoseconds, or milliseconds modulo 2^32 where the name says so.
 */
#ifndef TCP_CONNECTION_H
#define TCP_CONNECTION_H

#include <assert.h>
#include <stddef.h>

#include "base/list.h"
#include "run/timer.h"
#include "tcp/congestion.h"
#include "tcp/queue.h"
#include "tcp/sequence.h"
#include "tcp/tcp.h"
#include "tcp/trouble.h"

enum tcp_state {
	TCP_STATE_CLOSED,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_CLOSING,
	TCP_STATE_LAST_ACK,
};

enum tcp_connection_flag {
	TCP_PASSIVE = 1 << 0,       /* made by a listener and not yet reported: counts as half-open until established */
	TCP_OWNED = 1 << 1,         /* the user holds it */
	TCP_OUTGOING = 1 << 2,      /* uses one of our local ports */
	TCP_TIMESTAMPS = 1 << 3,    /* both sides send them */
	TCP_SACK = 1 << 4,          /* both sides permit it */
	TCP_ACK_NOW = 1 << 5,       /* an ACK must leave with the next flush */
	TCP_ACK_DELAYED = 1 << 6,   /* an ACK must leave by ack_deadline_ns */
	TCP_SHUTDOWN = 1 << 7,      /* FIN follows what is in the send queue */
	TCP_FIN_SENT = 1 << 8,      /* our FIN is below snd_max */
	TCP_FIN_SEEN = 1 << 9,      /* the peer's FIN is at rcv_fin, perhaps behind a gap */
	TCP_FIN_RECEIVED = 1 << 10, /* rcv_nxt is past the peer's FIN */
	TCP_WANT_WRITE = 1 << 11,   /* tcp_write() took less than it was given */
	TCP_WANT_SENT = 1 << 12,    /* the user asked for TCP_SENT */
	TCP_RECOVERY = 1 << 13,     /* fast recovery, until snd_recover is acknowledged */
	TCP_RETRANSMIT = 1 << 14,   /* the first unacknowledged segment must leave again */
	TCP_RTT_TIMED = 1 << 15,    /* the segment before rtt_sequence is being timed */
	TCP_PERSIST = 1 << 16,      /* retransmit_deadline_ns is for a window probe */
	TCP_STARVED = 1 << 17,      /* no mbuf was to be had: try again by ack_deadline_ns */
	TCP_SOFT_ERROR = 1 << 18,   /* ICMP reported trouble on the way */
	TCP_PROBE = 1 << 19,        /* a window probe must leave, whatever the window says */
	TCP_RECOVER_SET = 1 << 20,  /* snd_recover counts: the last loss, not passed yet */
	TCP_REORDERED = 1 << 21,    /* the path has reordered what we sent */
	TCP_TAIL_TIMER = 1 << 22,   /* retransmit_deadline_ns is for a probe of the tail */
	TCP_SUSPECT_TIMER = 1 << 23, /* retransmit_deadline_ns is for what is suspect, see rack.h */
	TCP_TAIL_DUE = 1 << 24,      /* a probe of the tail must leave */
	TCP_TAIL_SENT = 1 << 25,     /* it has left, and the segment at tail_end is not acknowledged */
	TCP_TAIL_AGAIN = 1 << 26,    /* it was a retransmission */
	TCP_DUPLICATE = 1 << 27,     /* what came twice, from duplicate_start to duplicate_end, is to be reported */
	TCP_WINDOW_USED = 1 << 28,   /* what was sent last filled at least half of the congestion window */
	TCP_ECN = 1 << 29,           /* both sides have agreed to it */
	TCP_ECN_ECHO = 1 << 30,      /* a mark has come, and no word yet that the peer has slowed down */
	TCP_CWR_DUE = 1u << 31,      /* the peer is to hear that we have */
};

#define TCP_NEVER UINT64_MAX

/* Of tcp_connection.ack_patience. */
#define TCP_ACK_PATIENCE_MAX 2

struct tcp_connection {
	/* line 0: finding it */
	struct endpoint local, remote;
	uint32_t hash;
	uint8_t state;      /* enum tcp_state */
	uint8_t events;     /* enum tcp_event, not yet reported */
	uint8_t snd_scale;  /* shift of the windows we receive */
	uint8_t rcv_scale;  /* shift of the windows we send */
	uint32_t flags;     /* enum tcp_connection_flag */
	uint16_t mss;       /* payload and options of a segment we send, at most */
	uint8_t duplicates; /* duplicate ACKs in a row */
	uint8_t backoff;    /* doublings of the retransmission timeout */

	/* line 1: sequence space */
	uint32_t snd_una, snd_nxt, snd_max; /* oldest unacknowledged, next to send, highest sent */
	uint32_t snd_wnd, snd_wl1;
	uint32_t tail_end;          /* snd_max when the tail was probed */
	uint32_t rcv_nxt, rcv_edge; /* expected next, and the right edge of the window we offered */
	uint32_t rcv_acked;         /* rcv_nxt of the last segment we sent: Last.ACK.sent of RFC 7323 */
	uint32_t ts_recent;
	struct tcp_scoreboard *board; /* NULL as long as nothing is lost, see scoreboard.h */
	struct tcp_congestion congestion;
	uint32_t ts_offset;

	/* line 2: data */
	struct tcp_queue received;
	struct tcp_queue sending;
	const struct tcp_trouble *trouble; /* see trouble.h */
	struct rte_mbuf *snd_cursor;       /* an mbuf of `sending`, and the sequence number of its first byte */

	/* line 3: rounds and deadlines */
	struct list ready;               /* in stack.opening, stack.ready, or stack.orphans when nobody holds it */
	struct list pending;             /* in stack.pending or stack.calendar, or in stack.closed when detached */
	uint64_t retransmit_deadline_ns; /* also SYN and window probe */
	uint64_t ack_deadline_ns;
	struct tcp_stack *stack;
	uint32_t snd_cursor_sequence;
	uint32_t received_ms; /* when the last acceptable segment came */

	/* from here on: opening, closing, timeouts, measuring */
	struct timer timer;        /* armed no later than the earliest deadline */
	uint64_t life_deadline_ns; /* keepalive, or the end of an orphan's life */
	void *user;
	uint64_t full_ns; /* when the bucket of pace.h is full */
	uint64_t rtt_start_ns;
	uint32_t rtt_sequence;
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t rtt_min_us, rtt_min_ms; /* the least of late, and when it was measured */
	uint32_t snd_iss;
	union {
		uint32_t rcv_irs; /* until the connection is established */
		uint32_t rcv_fin; /* with TCP_FIN_SEEN */
	};
	uint32_t snd_wnd_max;
	uint32_t sent_ms;             /* when data last left */
	uint32_t challenge_ms;        /* when an ACK last answered an unacceptable segment */
	uint32_t receive_limit;       /* bytes, see memory.h */
	uint32_t read_bytes, read_us; /* what the user has read since then */
	uint16_t mtu;
	uint16_t rcv_mss;         /* largest segment the peer has sent: what counts as full for delayed ACK */
	uint8_t retries;          /* unanswered retransmissions or window probes */
	uint8_t keepalives;       /* unanswered keepalive probes */
	uint8_t quick_acks : 5;   /* ACKs still to be delayed only briefly */
	uint8_t ack_patience : 2; /* how much longer than usual, see delay.h */
	uint8_t ack_alone : 1;    /* the last one has left alone, and neither side has sent data since */
	uint8_t close_reason;     /* enum tcp_close_reason */
	bool ecn_reduced : 1;
	bool mtu_lowered : 1, mtu_probing : 1; /* see path_mtu.h */
	bool waiting : 1;                      /* the pace has held something back, see pace.h */
	uint8_t prompt_acks : 4;               /* ACKs still not to be delayed at all */
	uint16_t mtu_lowered_s;                /* when, modulo 2^16 */
	uint16_t peer_mss;                     /* what the peer's SYN says */
};

static_assert(offsetof(struct tcp_connection, timer) <= 256, "hot part of a connection: four cache lines");
static_assert(sizeof(struct tcp_connection) <= 384, "an idle connection is small");

/* Everything written has left and FIN with it, if there is to be one: where FIN is, or would be. */
static inline uint32_t
tcp_send_end(const struct tcp_connection *c)
{
	return c->snd_una + c->sending.bytes;
}

static inline bool
tcp_synchronized(const struct tcp_connection *c)
{
	return c->state >= TCP_STATE_ESTABLISHED;
}

/* States in which the peer may still send data. */
static inline bool
tcp_receiving(const struct tcp_connection *c)
{
	return c->state >= TCP_STATE_ESTABLISHED && c->state <= TCP_STATE_FIN_WAIT_2;
}

/* ---- life of a connection ---- */

/* A control block in no list and not in the table, with everything at its start; NULL when there is none. */
struct tcp_connection *tcp_connection_new(struct tcp_stack *stack, const struct endpoint *local,
					  const struct endpoint *remote, uint16_t mtu);
/* Another initial sequence number than the usual. */
void tcp_connection_start(struct tcp_connection *c, uint32_t sequence);
/* Into the table. */
void tcp_connection_attach(struct tcp_connection *c);
/* The connection is over: out of the table, timers off; the user is told, or, where nobody holds it, it is freed (and
 * then true is returned). What was received can still be read. */
bool tcp_connection_end(struct tcp_connection *c, enum tcp_close_reason reason);
/* The same, with a RST to the peer first. */
bool tcp_connection_abort(struct tcp_connection *c, enum tcp_close_reason reason);
/* To ESTABLISHED, or past it where the user has shut down meanwhile. */
void tcp_connection_established(struct tcp_connection *c);
/* Events for the user, who is told only while holding the connection (or being given it). */
void tcp_connection_notify(struct tcp_connection *c, uint8_t events);
/* Something is to be sent with the next flush. */
void tcp_connection_schedule(struct tcp_connection *c);

#endif
