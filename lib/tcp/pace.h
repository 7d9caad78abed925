/*
 * Pacing: at what rate new data may leave. ACKs clock data out as fast as the path takes it; but a window that opens at once, as
 * ACKs have come in a lump or a reader has made room, would leave at once too, into queues of a few dozen packets.
 *
 * A token bucket for each connection (the virtual scheduling of ITU-T I.371): it fills at twice the congestion window per
 * round trip in slow start, so that this is not slowed down, and at 1.2 times later, as in Linux; and it holds an initial
 * window (RFC 9002 section 7.7), or what one tick fills where that is more. While data waits, the bucket holds PACE_LATE_NS more:
 * what a late round has not sent, the next may.
 *
 * Connections that wait are in a calendar of one tick per slot (Carousel: Saeed and others, 2017), apart from the timer wheel,
 * whose ticks are too long. tcp_flush() takes out those whose slot has come; and so does what else there is to send for them.
 *
 * A window that the bucket holds in whole is not looked at, nor is a round trip that is over before the first data would wait. What
 * is sent again, and a probe of the tail, goes by rules of its own. On the connection's lcore.
 */
#ifndef TCP_PACE_H
#define TCP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "tcp/connection.h"

struct tcp_stack;

#define TCP_PACE_BURST 10 /* segments */
#define TCP_PACE_TICK_SHIFT 18
#define TCP_PACE_TICK_NS (1u << TCP_PACE_TICK_SHIFT)
#define TCP_PACE_SLOTS 64
#define TCP_PACE_RTT_MIN_US (TCP_PACE_TICK_NS * 6 / 5 / 1000)

struct tcp_calendar {
	uint64_t occupied;                 /* a bit for each slot; may be set for one whose connections have left */
	uint64_t tick;                     /* up to which the slots were emptied, when any was occupied */
	struct list slots[TCP_PACE_SLOTS]; /* of connections, by `pending` */
};

void tcp_calendar_init(struct tcp_calendar *calendar);
/* Whose time has come is in stack->pending. */
void tcp_calendar_advance(struct tcp_stack *stack);
/* When it must next be advanced; UINT64_MAX: never. */
uint64_t tcp_calendar_next_ns(const struct tcp_calendar *calendar);

/* The round trip that rates are reckoned by. Where it is measured with ACKs that the peer delays, as of small answers, it says
 * nothing about the path, unlike the least that was seen. */
static inline uint32_t
tcp_pace_rtt_us(const struct tcp_connection *c)
{
	return c->srtt_us / 2 < c->rtt_min_us ? c->srtt_us : 2 * c->rtt_min_us;
}

static inline bool
tcp_pace_applies(const struct tcp_connection *c)
{
	return c->congestion.window > TCP_PACE_BURST * (uint32_t)c->mss && tcp_pace_rtt_us(c) > TCP_PACE_RTT_MIN_US;
}

/* Where it applies: bytes that may leave now, in whole segments. */
uint32_t tcp_pace_room(struct tcp_connection *c);
/* So many have left. */
void tcp_pace_sent(struct tcp_connection *c, uint32_t len);
/* `len` more would leave if there were room: they wait. The connection is in no list. */
void tcp_pace_wait(struct tcp_connection *c, uint32_t len);

#endif
