/*
 * Congestion control: how many bytes may be in flight. An algorithm keeps its numbers in tcp_connection.congestion;
 * what to retransmit, and when, is recovery.h's. One row of functions per algorithm, chosen at the stack's creation.
 */
#ifndef TCP_CONGESTION_H
#define TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_connection;

/* What an algorithm works on. Bytes. */
struct tcp_congestion {
	uint32_t window;
	uint32_t threshold;
	uint32_t acked; /* since the window last grew, in congestion avoidance */
};

/* Beside that, what CUBIC keeps (cubic.c). */
struct tcp_cubic {
	uint32_t peak;     /* W_max: the window at the last loss, or less */
	uint32_t epoch_ms; /* with in_epoch: when growth began again */
	uint32_t estimate; /* W_est: Reno's window */
	uint32_t estimate_acked;
	uint32_t regain_ms : 31; /* K: from epoch_ms until the window is at the peak */
	bool in_epoch : 1;
};

/* Enough for any window that can be offered, and far from overflow. */
#define TCP_CONGESTION_WINDOW_MAX (UINT32_MAX / 4)

struct tcp_congestion_ops {
	const char *name;
	/* The connection is established; mss is known. */
	void (*start)(struct tcp_connection *c);
	/* `acked` new bytes were acknowledged, outside recovery, and the window was in use. */
	void (*acknowledged)(struct tcp_connection *c, uint32_t acked);
	/* A loss was found with `flight` bytes out: sets threshold and window for the time of recovery. */
	void (*lost)(struct tcp_connection *c, uint32_t flight);
	/* The peer echoes a mark (RFC 3168): the same, but nothing is missing. */
	void (*marked)(struct tcp_connection *c);
	/* Recovery has ended with `flight` bytes out. */
	void (*recovered)(struct tcp_connection *c, uint32_t flight);
	/* The retransmission timer ran out with `flight` bytes out; `again`: for the same data as before. */
	void (*timed_out)(struct tcp_connection *c, uint32_t flight, bool again);
	/* Nothing was sent for a retransmission timeout or longer. */
	void (*idle)(struct tcp_connection *c);
};

/* RFC 5681, with the initial window of RFC 6928. */
extern const struct tcp_congestion_ops tcp_congestion_new_reno;
/* RFC 9438. */
extern const struct tcp_congestion_ops tcp_congestion_cubic;

/* By enum tcp_congestion_algorithm. */
const struct tcp_congestion_ops *tcp_congestion_of(uint8_t algorithm);

/* A loss was found: ops->lost(), but where a mark has reduced the window for the same flight. The peer hears of it. */
void tcp_congestion_lost(struct tcp_connection *c, uint32_t flight);

/* Slow start, which is the same for all. */
void tcp_congestion_slow_start(struct tcp_connection *c, uint32_t acked);

#endif
