/*
 * A received segment while it is being processed: the header's fields in host order, and its payload. Private.
 */
#ifndef TCP_SEGMENT_H
#define TCP_SEGMENT_H

#include <rte_tcp.h>

#include "base/address.h"
#include "tcp/options.h"
#include "tcp/queue.h"
#include "tcp/sequence.h"

struct tcp_segment {
	struct endpoint local, remote;
	uint32_t sequence, acknowledgement;
	uint16_t window; /* not scaled */
	uint8_t flags;   /* RTE_TCP_*_FLAG */
	uint8_t ecn;     /* of the IP header, see ecn.h */
	struct tcp_options options;
	struct tcp_queue payload;
};

/* What the segment takes of the sequence space. */
static inline uint32_t
tcp_segment_len(const struct tcp_segment *segment)
{
	return segment->payload.bytes + !!(segment->flags & RTE_TCP_SYN_FLAG) + !!(segment->flags & RTE_TCP_FIN_FLAG);
}

static inline uint32_t
tcp_segment_end(const struct tcp_segment *segment)
{
	return segment->sequence + tcp_segment_len(segment);
}

#endif
