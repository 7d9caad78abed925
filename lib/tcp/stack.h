/*
 * One stack: what its connections share. Private to this room.
 */
#ifndef TCP_STACK_H
#define TCP_STACK_H

#include "base/list.h"
#include "base/slab.h"
#include "run/timer.h"
#include "tcp/congestion.h"
#include "tcp/connection.h"
#include "tcp/cookie.h"
#include "tcp/memory.h"
#include "tcp/pace.h"
#include "tcp/port.h"
#include "tcp/scoreboard.h"
#include "tcp/table.h"
#include "tcp/time_wait.h"

/* One row per counter; what is dropped, refused or wrong has a name of its own. */
#define TCP_COUNTERS(ROW)                                                                                              \
	ROW(segments_received)                                                                                         \
	ROW(segments_sent)                                                                                             \
	ROW(bytes_received)                                                                                            \
	ROW(bytes_sent)                                                                                                \
	ROW(passive_opens)                                                                                             \
	ROW(active_opens)                                                                                              \
	ROW(accepted)                                                                                                  \
	ROW(connected)                                                                                                 \
	ROW(open_failures)                                                                                             \
	ROW(resets_received)                                                                                           \
	ROW(resets_sent)                                                                                               \
	ROW(retransmitted_segments)                                                                                    \
	ROW(retransmission_timeouts)                                                                                   \
	ROW(fast_retransmits)                                                                                          \
	ROW(losses_undone)                                                                                             \
	ROW(tail_probes)                                                                                               \
	ROW(tail_repairs)                                                                                              \
	ROW(reordering_seen)                                                                                           \
	ROW(duplicates_reported)                                                                                       \
	ROW(ecn_agreed)                                                                                                \
	ROW(ecn_marks)                                                                                                 \
	ROW(ecn_reductions)                                                                                            \
	ROW(peers_reneged)                                                                                             \
	ROW(reneged)                                                                                                   \
	ROW(scoreboard_full)                                                                                           \
	ROW(no_scoreboard)                                                                                             \
	ROW(window_probes)                                                                                             \
	ROW(keepalive_probes)                                                                                          \
	ROW(timed_out)                                                                                                 \
	ROW(delayed_acks)                                                                                              \
	ROW(challenge_acks)                                                                                            \
	ROW(challenge_acks_limited)                                                                                    \
	ROW(out_of_order)                                                                                              \
	ROW(time_wait_reused)                                                                                          \
	ROW(time_wait_reset)                                                                                           \
	ROW(time_wait_evicted)                                                                                         \
	ROW(mtu_black_holes)                                                                                           \
	ROW(mtu_probes)                                                                                                \
	ROW(mtu_raised)                                                                                                \
	ROW(icmp_mtu_lowered)                                                                                          \
	ROW(icmp_soft_errors)                                                                                          \
	ROW(icmp_hard_errors)                                                                                          \
	ROW(icmp_ignored)                                                                                              \
	ROW(orphans_killed)                                                                                            \
	ROW(no_mbuf)                                                                                                   \
	ROW(no_connection)                                                                                             \
	ROW(no_route)                                                                                                  \
	ROW(no_port)                                                                                                   \
	ROW(drop_malformed)                                                                                            \
	ROW(drop_bad_flags)                                                                                            \
	ROW(drop_not_unicast)                                                                                          \
	ROW(drop_no_endpoint)                                                                                          \
	ROW(drop_reset_limited)                                                                                        \
	ROW(cookies_sent)                                                                                              \
	ROW(cookies_accepted)                                                                                          \
	ROW(backlog_evicted)                                                                                           \
	ROW(drop_paws)                                                                                                 \
	ROW(drop_no_timestamp)                                                                                         \
	ROW(drop_out_of_window)                                                                                        \
	ROW(drop_old_data)                                                                                             \
	ROW(drop_past_window)                                                                                          \
	ROW(drop_bad_ack)                                                                                              \
	ROW(drop_no_ack)                                                                                               \
	ROW(drop_time_wait)                                                                                            \
	ROW(drop_after_fin)                                                                                            \
	ROW(drop_after_close)                                                                                          \
	ROW(drop_ranges_full)                                                                                          \
	ROW(drop_no_memory)

enum tcp_counter {
#define ROW(name) TCP_COUNT_##name,
	TCP_COUNTERS(ROW)
#undef ROW
		TCP_COUNTER_COUNT
};

struct tcp_stack {
	uint64_t now_ns;
	uint32_t now_ms; /* modulo 2^32 */
	struct tcp_memory memory;
	struct tcp_table table;
	struct slab *connections;
	struct slab *troubles;
	struct slab *scoreboards, *sent; /* taken only while something is lost */
	struct list ready;               /* connections with events, by `ready` */
	struct list pending;             /* connections with something to send, by `pending` */
	struct list closed;              /* over, but still held by the user, by `pending` */
	struct list opening;             /* half-open; the oldest first, by `ready` */
	struct list orphans;             /* given back, not yet over; the oldest first, by `ready` */
	uint32_t orphan_count, orphans_max;
	uint32_t half_open;
	uint32_t segment_max; /* TCP header, options and payload that fit an mbuf of the pool */
	uint8_t receive_scale;
	const struct tcp_congestion_ops *congestion;
	struct timer_wheel *wheel;
	struct tcp_calendar calendar; /* connections whose pace holds something back, by `pending` */
	const struct tcp_listener *listeners;
	uint32_t listener_count;
	uint32_t reset_tokens, reset_tokens_ms;
	struct tcp_cookies cookies;
	struct tcp_time_waits time_waits;
	struct tcp_ports ports;
	struct tcp_env env;
	struct tcp_config config;
	uint64_t counters[TCP_COUNTER_COUNT];
};

#define TCP_COUNT(stack, name) ((void)(stack)->counters[TCP_COUNT_##name]++)

/* A keyed hash of a connection's addresses and ports: its sequence numbers and timestamps start from it, so that both
 * go on from one connection of a pair to the next (RFC 6528, RFC 7323 section 5.4). */
uint64_t tcp_pair_secret(const struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote);
uint32_t tcp_initial_sequence(const struct tcp_stack *stack, uint64_t pair_secret);

static inline uint32_t
tcp_timestamp_offset(uint64_t pair_secret)
{
	return (uint32_t)(pair_secret >> 32);
}

/* The connection of a pair, or NULL; then *record is its TIME-WAIT record, or NULL. */
struct tcp_connection *tcp_stack_find(const struct tcp_stack *stack, uint32_t hash, const struct endpoint *local,
				      const struct endpoint *remote, struct tcp_time_wait **record);
void tcp_stack_insert_time_wait(struct tcp_stack *stack, const struct tcp_time_wait *record, uint32_t hash);
void tcp_stack_remove_time_wait(struct tcp_stack *stack, const struct tcp_time_wait *record);

/* The MSS of a peer that says none (RFC 9293 section 3.7.1). */
uint16_t tcp_mss_default(const struct ip_address *remote);
/* The largest MSS that a path with this MTU and our mbufs bear, whatever the peer would take. */
uint16_t tcp_mss_of_path(const struct tcp_connection *c, uint32_t mtu);

/* What our SYN says: how long the peer's segments may be. */
static inline uint16_t
tcp_mss_offered(const struct tcp_connection *c)
{
	return (uint16_t)(c->mtu - (ip_address_is_v4(&c->remote.ip) ? 40 : 60));
}

/* The listener for a destination, exact address first; NULL. */
const struct tcp_listener *tcp_listener_find(const struct tcp_stack *stack, const struct endpoint *local);

/* One of the answers to segments without a connection that may be sent now (RST, ACK from TIME-WAIT)? */
bool tcp_stateless_answer_allowed(struct tcp_stack *stack);

/* `len` bytes were taken out of the receive queue: tells the peer when that is worth a segment. */
void tcp_window_freed(struct tcp_connection *c, uint32_t len);

/* ---- timers.c ---- */

/* After a deadline was set: the timer fires no later than that. A deadline that was put off costs nothing now, and a
 * timer that fires in vain later. */
void tcp_timer_update(struct tcp_connection *c);
/* Nobody holds the connection any more: bounds FIN-WAIT-2, which has no other end. */
void tcp_timer_orphan(struct tcp_connection *c);
timer_expire_fn tcp_timer_expire;

#endif
