/*
 * An lcore's hops by number. What each packet needs of a hop is half a cache line; the rest, looked at when something
 * changes, lies elsewhere.
 *
 * A hop is known by its link, its neighbour and the MTU of its route, and stays for the lcore's life. Its contents follow the
 * mirror's snapshots: links at once, as ports may go away, neighbours a few hops per flush. A hop that is not ready is
 * looked after when its next packet comes, so that only hops in use cost anything.
 */
#ifndef NET_HOP_H
#define NET_HOP_H

#include <assert.h>

#include "net/output.h"
#include "xdp/forward.h"

/* A power of two, at least twice the hops. */
#define HOPS_INDEX 8192

struct hop {
	_Alignas(32) struct output_header header;
	uint16_t mtu;
	struct output_burst *burst; /* its port's, or one that is always empty: hop.c looks after it first */
};

static_assert(sizeof(struct hop) == 32, "half a cache line per hop");

struct hop_state {
	struct ip_address neighbor; /* zero on lo, where all destinations are one hop */
	struct port *port;          /* NULL: link down, gone, or without a port */
	uint64_t failed_until_ns;   /* the neighbour does not answer: not asked again before */
	uint64_t reported_ns;       /* with `reported` */
	int32_t ifindex;
	uint32_t route_mtu; /* 0: the link's */
	uint16_t vlan_id;
	uint8_t drop;      /* enum net_counter, without a port */
	bool resolved;     /* the neighbour's address is in the header */
	bool unconfirmed;  /* Linux is to be told when it is used */
	bool reported;     /* it has been, of late: in the ring below */
	bool alternatives; /* other hops take over for it */
	bool waits;        /* packets wait: they go first */
};

struct hops {
	struct hop entries[NET_HOPS_MAX]; /* [0] is none */
	struct output_burst none;         /* has no packets */
	struct hop_state states[NET_HOPS_MAX];
	uint16_t index[HOPS_INDEX]; /* by hash, open addressing; 0: empty */
	uint16_t count;             /* numbers 1 to count are taken */
	uint16_t generation;        /* net_hop_generation() */
	uint16_t cursor, left;      /* hops that have not seen the newest snapshots: `left` from `cursor` on */
	uint32_t seen, seen_routes, seen_links; /* the mirror's generations */
	/* Hops that were reported, oldest first; each is in it once at most. */
	uint32_t reported_head, reported_tail;
	uint16_t reported[NET_HOPS_MAX];
	struct xdp_hop *shared; /* [NET_HOPS_MAX]; NULL: nobody else reads */
	struct xdp_lane *lane;  /* with `shared` */
};

static_assert(NET_HOPS_MAX == XDP_HOPS, "every hop can be shared");
static_assert(NET_HOPS_MAX <= 1 << 15 && HOPS_INDEX >= 2 * NET_HOPS_MAX, "numbers fit and probes end");

/* NULL when memory is short. hops_start() when the output is complete. */
struct hops *hops_new(void);
void hops_start(struct net_output *output);

/* The number of this hop, old or new; NET_HOP_NONE when there are too many. Snapshots are held by the caller's round. */
uint16_t hops_get(struct net_output *output, const struct table_hop *found);
/* Once per round, behind the waiting packets. */
void hops_flush(struct net_output *output);
/* Nothing waits for this hop any more; its packets follow. */
void hops_wait_end(struct net_output *output, uint16_t number);

/* ---- what every forwarded packet goes through: net.h's functions of these names, inlined ---- */

static inline uint16_t
hop_generation(const struct net_output *output)
{
	return output->hops->generation;
}

/* All of them, by number: NET_HOP_NONE has an entry, too, with an MTU of 0. */
static inline const struct hop *
hop_table(const struct net_output *output)
{
	return output->hops->entries;
}

static inline const struct hop *
hop_at(const struct net_output *output, uint16_t number)
{
	return &output->hops->entries[number];
}

static inline uint16_t
hop_mtu(const struct net_output *output, uint16_t number)
{
	return hop_at(output, number)->mtu;
}

/* The first packet of a burst, or one whose hop is not ready. */
void hop_send_with_care(struct net_output *output, uint16_t number, struct rte_mbuf *m);

static inline void
hop_send_at(struct net_output *output, const struct hop *hop, struct rte_mbuf *m)
{
	struct output_burst *burst = hop->burst;

	/* Once per burst, a look at the mirror: after a long sleep hops may be out of date, and their ports gone. */
	if (unlikely(!burst->count)) {
		hop_send_with_care(output, (uint16_t)(hop - output->hops->entries), m);
		return;
	}
	if (unlikely(!output_header_prepend(m, &hop->header))) {
		output_drop(output, m, NET_COUNT_TOO_BIG);
		return;
	}
	output_burst_add(output, burst, m);
}

/*
 * The same for a packet of one segment whose data does not start at its IP header yet: that is at `ip`, in the buffer, and the
 * packet `len` bytes long. l2_len is 0.
 */
static __rte_always_inline void
hop_send_from(struct net_output *output, const struct hop *hop, struct rte_mbuf *m, uint8_t *ip, uint16_t len)
{
	struct output_burst *burst = hop->burst;
	uint16_t at = (uint16_t)(ip - (uint8_t *)m->buf_addr);

	if (unlikely(!burst->count || hop->header.len != RTE_ETHER_HDR_LEN || at < RTE_ETHER_HDR_LEN)) {
		m->data_off = at;
		m->data_len = len;
		m->pkt_len = len;
		hop_send_at(output, hop, m);
		return;
	}
	m->data_off = at - RTE_ETHER_HDR_LEN;
	m->data_len = len + RTE_ETHER_HDR_LEN;
	m->pkt_len = len + RTE_ETHER_HDR_LEN;
	m->tx_offload |= RTE_ETHER_HDR_LEN << RTE_MBUF_L2_LEN_OFS;
	output_header_write(ip - RTE_ETHER_HDR_LEN, &hop->header, output_type_of(ip));
	output_burst_add(output, burst, m);
}

static inline void
hop_send(struct net_output *output, uint16_t number, struct rte_mbuf *m)
{
	hop_send_at(output, hop_at(output, number), m);
}

#endif
