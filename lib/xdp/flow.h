/*
 * An entry of the flow table (l4/flow.h), and how a flow is found: what L4 and the XDP program both read, for both
 * compilers. It stands on this floor because the program does; what entries mean, and all that changes them, is L4's.
 *
 * The table is its worker's, while the program reads it on any CPU. In it the program
 *   - writes seen_s;
 *   - moves the state on of flows that have one entry (l4_flow_bits_after(), exchanged);
 *   - takes a place for a new flow, in the first bucket of its hash alone: one that is free, or that a flow has left there
 *     so long ago that no worker can still take it for alive (L4_CLOCKS_APART_S more than its timeout).
 * Everything else is the worker's: places in second and third pairs, L4_FLOW_SPILLED, and giving up flows.
 *
 * So that nobody goes by a half-written entry, and no place is taken twice:
 *   - who wants a place exchanges the word of target, place and state, as it has seen it, for L4_FLOW_TAKEN
 *     (l4_flow_take()); who loses looks elsewhere. All else is written then, and the word last (l4_flow_give());
 *   - the program reads the word of ports, target and state, then what else it needs, then that word and the key once more
 *     (xdp/forward.bpf.h). What has changed meanwhile is a miss, and the packet goes to the worker.
 * L4_FLOW_SPILLED is no part of the flow whose entry it stands in, and no exchange changes it. When worker and program meet
 * the first packets of one flow in the same microsecond, each makes an entry: all packets go by the one that stands first, and
 * the other times out.
 * This relies on stores and loads being seen in order, as on x86: the program has no barriers.
 */
#ifndef XDP_FLOW_H
#define XDP_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_address.h"

/* What has been seen, for the timeout. A one-way forwarder (dsr, tunnels) sees the client's half only. */
enum l4_flow_state {
	L4_FLOW_NONE,        /* the entry is free */
	L4_FLOW_UDP,         /* target->timeout_s */
	L4_FLOW_OPENING,     /* SYN of the client, nothing else: L4_OPENING_S */
	L4_FLOW_ESTABLISHED, /* target->timeout_s */
	L4_FLOW_CLOSING,     /* FIN of one side: L4_CLOSING_S */
	L4_FLOW_CLOSED,      /* FIN of both, or RST: L4_CLOSED_S; a new SYN may reuse it at once */
	L4_FLOW_STATES
};

/* In place of a state: somebody is about to fill the place. */
#define L4_FLOW_TAKEN 7u

#define L4_OPENING_S 60
#define L4_CLOSING_S 120
#define L4_CLOSED_S 10

/* No timeout is longer: with a sweep every four hours seen_s is then never 2^16 seconds old. */
#define L4_TIMEOUT_MAX_S 50400

/* The other entry of a flow is told that it lives once in so many seconds; its timeout is right to as much. A power of two. */
#define L4_TWIN_TOLD_S 8

enum l4_flow_flag {
	L4_FLOW_ANSWER = 1 << 3,     /* the entry of the answers' direction */
	L4_FLOW_CLIENT_FIN = 1 << 4, /* seen */
	L4_FLOW_SERVER_FIN = 1 << 5,
	L4_FLOW_PREFIXED = 1 << 6, /* the PROXY protocol header was put in: sequence numbers are shifted */
	/* The table's: of a bucket's first entry, that flows of this bucket are in their second pair; of the other
	 * one, that some are in their third. Stays when the entry is freed. */
	L4_FLOW_SPILLED = 1 << 7,
};

struct l4_flow {
	struct ip_address client;
	uint16_t client_port_be;
	uint16_t service_port_be; /* as the client wrote it */
	uint32_t target : 16;
	uint32_t place : 8;     /* of the table: the way back to the first bucket */
	uint32_t bits : 8;      /* enum l4_flow_state in the low three, enum l4_flow_flag above */
	uint16_t local_port_be; /* full_nat */
	uint16_t seen_s;        /* when the last packet came */
	union {
		struct {
			uint16_t hop, hop_generation; /* L4_FLOW_ANSWER: the way to the client */
		};
		uint32_t origin; /* else, full_nat with options: where the client's data begins (l4/forward/origin.h) */
	};
};

_Static_assert(sizeof(struct l4_flow) == 32, "two flows per cache line");
_Static_assert(L4_FLOW_STATES <= L4_FLOW_TAKEN, "states are three bits");

#define L4_BUCKET_PLACES 2
#define L4_PAIR_PLACES 4
/* Pairs behind the first bucket. */
#define L4_PAIRS_AWAY 2
#define L4_FLOW_STRIDES 32

struct l4_flow_pair {
	struct l4_flow places[L4_PAIR_PLACES];
};

/* ---- where: hashes are flow_hash() of base/hash.h over the 5-tuple of the packet, whichever its direction ---- */

/* The hash's upper bits may have chosen the lcore already, or the lower ones: hence the products, whose upper bits depend
 * on all. */
static inline uint32_t
l4_flow_bucket_of(uint32_t bucket_count, uint32_t hash)
{
	return (uint32_t)((uint64_t)(hash * 0x9e3779b1u) * bucket_count >> 32);
}

static inline uint32_t
l4_flow_stride(uint32_t hash)
{
	return hash * 0x85ebca6bu >> 27;
}

static inline uint32_t
l4_flow_pair_of(uint32_t pair_count, uint32_t bucket, uint32_t stride)
{
	uint32_t pair = bucket / 2 + stride;

	return pair >= pair_count ? pair - pair_count : pair;
}

/* ---- whether: the words of an entry ---- */

/* The ports and, above them, what l4_flow_publish() writes; bits are the uppermost eight. */
static inline uint64_t
l4_flow_head(const struct l4_flow *flow)
{
	return *(const volatile uint64_t *)(const void *)&flow->client_port_be;
}

_Static_assert(offsetof(struct l4_flow, client_port_be) == 16 && offsetof(struct l4_flow, local_port_be) == 24,
	       "l4_flow_head() is a word");

#define L4_FLOW_HEAD_BITS(head) ((uint32_t)((head) >> 56))
#define L4_FLOW_HEAD_TARGET(head) ((uint16_t)((head) >> 32))
/* Both ports as they lie in memory, and whether the entry is the answers'. */
#define L4_FLOW_HEAD_PORTS ((uint64_t)UINT32_MAX)
#define L4_FLOW_HEAD_KEY (L4_FLOW_HEAD_PORTS | (uint64_t)L4_FLOW_ANSWER << 56)

/* The word of target, place and bits, the upper half of the head. */
static inline uint32_t *
l4_flow_tail(struct l4_flow *flow)
{
	return (uint32_t *)(void *)&flow->client_port_be + 1;
}

#define L4_FLOW_TAIL(target, place, bits) (((target)&0xffff) | ((uint32_t)(place)&0xff) << 16 | (uint32_t)(bits) << 24)
#define L4_FLOW_TAIL_STATE(tail) ((tail) >> 24 & 7)
#define L4_FLOW_TAIL_SPILLED ((uint32_t)L4_FLOW_SPILLED << 24)

/* Of a state, or of what stands in its place. */
static inline bool
l4_flow_is_one(uint32_t state)
{
	return state - L4_FLOW_UDP <= L4_FLOW_CLOSED - L4_FLOW_UDP;
}

/* The place is the caller's, who has seen this word there. False: it has changed. */
static inline bool
l4_flow_take(struct l4_flow *flow, uint32_t tail)
{
	uint32_t taken = (tail & L4_FLOW_TAIL_SPILLED) | L4_FLOW_TAKEN << 24;

	return __sync_val_compare_and_swap(l4_flow_tail(flow), tail, taken) == tail;
}

/* The last store into a place that was taken: without L4_FLOW_SPILLED, which stays as it is. */
static inline void
l4_flow_give(struct l4_flow *flow, uint32_t tail)
{
	__sync_fetch_and_xor(l4_flow_tail(flow), tail ^ L4_FLOW_TAKEN << 24);
}

/* ---- when ---- */

/*
 * Whole seconds since the flow's last packet. The program and the worker read the same clock, but one of them may have read
 * it a moment before the other: what lies ahead by less than this is now.
 */
#define L4_CLOCKS_APART_S 16

static inline uint16_t
l4_flow_silent_s(uint16_t seen_s, uint16_t now_s)
{
	uint16_t silent_s = (uint16_t)(now_s - seen_s);

	return silent_s > UINT16_MAX - L4_CLOCKS_APART_S ? 0 : silent_s;
}

/* Whether the flow of an entry that was last used then has ended for everybody, whatever clock he has. */
static inline bool
l4_flow_is_long_over(uint16_t seen_s, uint16_t now_s, uint32_t timeout_s)
{
	return l4_flow_silent_s(seen_s, now_s) > timeout_s + L4_CLOCKS_APART_S;
}

/* Whether a packet now is the first since the other entry was told: time is cut up for each flow at moments of its own, so
 * that not all flows tell at once. */
static inline bool
l4_flow_tells(uint16_t client_port_be, uint16_t seen_s, uint16_t now_s)
{
	uint16_t phase = client_port_be >> 8;

	return (uint16_t)(seen_s + phase) / L4_TWIN_TOLD_S != (uint16_t)(now_s + phase) / L4_TWIN_TOLD_S;
}

/* Of an entry in use, in this state; `timeout_s` is the target's. */
static inline uint32_t
l4_flow_state_timeout_s(uint32_t state, uint32_t timeout_s)
{
	if (state == L4_FLOW_OPENING)
		return L4_OPENING_S;
	if (state == L4_FLOW_CLOSING)
		return L4_CLOSING_S;
	if (state == L4_FLOW_CLOSED)
		return L4_CLOSED_S;
	return timeout_s < L4_TIMEOUT_MAX_S ? timeout_s : L4_TIMEOUT_MAX_S;
}

/* ---- TCP; flags as in the header, 0 without TCP ---- */

#define L4_TCP_FIN 0x01
#define L4_TCP_SYN 0x02
#define L4_TCP_RST 0x04
#define L4_TCP_ACK 0x10

/* Of a flow that begins with such a packet. */
static inline enum l4_flow_state
l4_flow_first_state(bool tcp, uint8_t tcp_flags)
{
	if (!tcp)
		return L4_FLOW_UDP;
	if (tcp_flags & L4_TCP_SYN)
		return L4_FLOW_OPENING;
	return tcp_flags & L4_TCP_RST ? L4_FLOW_CLOSED : L4_FLOW_ESTABLISHED;
}

/* State and flags of an entry after a packet of this direction. A flow that is closed stays so. */
static inline uint32_t
l4_flow_bits_after(uint32_t bits, uint8_t tcp_flags, bool from_client)
{
	const uint32_t both = L4_FLOW_CLIENT_FIN | L4_FLOW_SERVER_FIN;
	uint32_t state = bits & 7, rest = bits & ~7u;

	if (state == L4_FLOW_UDP || state == L4_FLOW_CLOSED)
		return bits;
	if (tcp_flags & L4_TCP_RST)
		return rest | L4_FLOW_CLOSED;
	if (tcp_flags & L4_TCP_FIN) {
		rest |= from_client ? L4_FLOW_CLIENT_FIN : L4_FLOW_SERVER_FIN;
		return rest | ((rest & both) == both ? L4_FLOW_CLOSED : L4_FLOW_CLOSING);
	}
	/* Not by the server's SYN: under a flood of forged ones it answers, and nobody is there. */
	if (state == L4_FLOW_OPENING && from_client && !(tcp_flags & L4_TCP_SYN))
		return rest | L4_FLOW_ESTABLISHED;
	return bits;
}

/* A SYN on a flow that has ended is a new one, as RFC 6191 has it for TIME-WAIT. */
static inline bool
l4_flow_begins_anew(uint32_t state, uint8_t tcp_flags)
{
	return state == L4_FLOW_CLOSED && (tcp_flags & (L4_TCP_SYN | L4_TCP_ACK)) == L4_TCP_SYN;
}

#endif
