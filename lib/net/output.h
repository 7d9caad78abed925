/*
 * What sending by destination (output.c) and by hop (hop.c) share: an lcore's bursts, its waiting packets and its
 * questions to Linux. Everything here belongs to the lcore of the net_output.
 */
#ifndef NET_OUTPUT_H
#define NET_OUTPUT_H

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/mirror.h"
#include "net/net.h"
#include "net/waiting.h"

/* A neighbour that failed is asked again after this, as a packet of Linux' own would do at once. */
#define OUTPUT_FAILED_PAUSE_NS (1 * NS_PER_SECOND)
/* An unconfirmed neighbour in use is reported this often by each lcore; the mirror thins it out. */
#define OUTPUT_CONFIRM_NS (3 * NS_PER_SECOND)
/* Neighbours that an lcore remembers to have reported; a place is overwritten by its next user. A power of two. */
#define OUTPUT_CONFIRMED 64

/* All of an Ethernet header but the type of what follows, which each packet says itself. */
struct output_header {
	uint8_t bytes[16]; /* destination, source, tag (802.1Q) */
	uint8_t len;       /* of the whole header: 14, or 18 with a tag */
};

struct output_confirmed {
	uint64_t reported_ns;
	uint32_t hash; /* of the neighbour */
};

struct output_burst {
	struct port *port;
	uint32_t count;
	struct rte_mbuf *packets[PORT_BURST];
};

struct cache_entry;
struct hops;

struct net_output {
	struct cache_entry *cache;
	struct hops *hops;
	struct net_mirror *mirror;
	uint64_t now_ns;
	unsigned int worker;
	uint32_t bursts_used; /* bit i: bursts[i] has packets */
	unsigned int sent;    /* since the last flush */
	bool request_posted;
	bool retrying;
	uint64_t wake_ns; /* do not wake the thread before */
	uint64_t counters[NET_COUNTER_COUNT];
	void (*handover)(void *context, unsigned int worker, struct rte_mbuf *m);
	void *handover_context;
	struct waiting waiting;
	struct output_confirmed confirmed[OUTPUT_CONFIRMED];
	struct output_burst bursts[PORTS_MAX];
	struct mirror_requests requests;
};

static inline void
output_drop(struct net_output *output, struct rte_mbuf *m, enum net_counter counter)
{
	output->counters[counter]++;
	rte_pktmbuf_free(m);
}

/* `destination` NULL: no addresses, as on lo. */
void output_header_fill(struct output_header *header, const struct table_link *link, const uint8_t *destination);

/* What an Ethernet header calls this IP header. */
static inline uint16_t
output_type_of(const uint8_t *ip)
{
	return likely(*ip < 5 << 4) ? RTE_BE16(RTE_ETHER_TYPE_IPV4) : RTE_BE16(RTE_ETHER_TYPE_IPV6);
}

/* One without a tag, in copies of constant length, which are one or two instructions. */
static inline void
output_header_write(uint8_t *at, const struct output_header *header, uint16_t type_be)
{
	memcpy(at, header->bytes, 12);
	memcpy(at + 12, &type_be, 2);
}

/* False when the packet has no room for it. */
static inline bool
output_header_prepend(struct rte_mbuf *m, const struct output_header *header)
{
	uint16_t type_be = output_type_of(rte_pktmbuf_mtod(m, const uint8_t *));
	uint16_t len = header->len;
	uint8_t *at;

	if (unlikely(len > m->data_off))
		return false;
	m->data_off -= len;
	m->data_len += len;
	m->pkt_len += len;
	m->l2_len = len & 0x7f;
	at = rte_pktmbuf_mtod(m, uint8_t *);
	if (likely(len == RTE_ETHER_HDR_LEN)) {
		output_header_write(at, header, type_be);
	} else {
		memcpy(at, header->bytes, 16);
		memcpy(at + 16, &type_be, 2);
	}
	return true;
}

void output_burst_send(struct net_output *output, struct output_burst *burst);

/* The burst has its port, which has a queue for this worker, and is among those used. */
static inline void
output_burst_add(struct net_output *output, struct output_burst *burst, struct rte_mbuf *m)
{
	uint32_t count = burst->count;

	burst->packets[count++] = m;
	burst->count = count;
	if (unlikely(count == PORT_BURST))
		output_burst_send(output, burst);
}

/* Lets Linux know, once in a while, that Weir uses a neighbour or wants it. */
void output_report_in_use(struct net_output *output, int32_t ifindex, const struct ip_address *address);

/* Takes the packet: it waits for the neighbour, to be sent through the hop then (by its destination with NET_HOP_NONE).
 * False when it was dropped. */
bool output_wait(struct net_output *output, int32_t ifindex, const struct ip_address *address, uint16_t hop,
		 struct rte_mbuf *m);

#endif
