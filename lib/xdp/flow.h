/*
 * An entry of the flow table (l4/flow.h), and how a flow is found: what L4 and the XDP program both read, for both
 * compilers. It stands on this floor because the program does; what entries mean, and all that changes them, is L4's.
 *
 * The table is written by its worker alone, while the program reads it on any CPU. Of an entry the program writes seen_s,
 * and nothing else. So that it never goes by a half-written one:
 *   - a place that is taken was free before: its state was L4_FLOW_NONE. All else is written first, then in one store the
 *     word of target, place and state (l4_flow_publish());
 *   - the program reads the word of ports, target and state, then what else it needs, then that word and the key once more
 *     (xdp/forward.bpf.h). What has changed meanwhile is a miss, and the packet goes to the worker.
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
_Static_assert(L4_FLOW_STATES <= 8, "states are three bits");

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

/* The last store into a place that is taken, and the first into one that is given up: all that stands before it in the
 * program is there before it, and all behind it comes later. The worker's. */
static inline void
l4_flow_publish(struct l4_flow *flow, uint32_t target, uint32_t place, uint32_t bits)
{
	uint32_t *word = (uint32_t *)(void *)&flow->client_port_be + 1;

	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(word, (target & 0xffff) | (place & 0xff) << 16 | bits << 24, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
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

#endif
