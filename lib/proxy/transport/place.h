/*
 * Where content lies on its way between a client and a server: in a connection, or in the queue of a stream of HTTP/2.
 */
#ifndef PROXY_PLACE_H
#define PROXY_PLACE_H

#include "proxy/transport/transport.h"

struct proxy_place {
	struct proxy_transport *transport;
	struct tcp_queue *queue;  /* in place of a transport */
	struct rte_mempool *pool; /* where such a queue has its mbufs from */
};

/* Up to `len` bytes, relinked where that can be; returns how many went: less where there is no room, or no memory. */
static inline uint32_t
proxy_place_move(struct proxy_place to, struct proxy_place from, uint32_t len)
{
	if (to.transport)
		return from.transport ? proxy_transport_move(to.transport, from.transport, len)
				      : proxy_transport_write_queue(to.transport, from.queue, len);
	return from.transport ? proxy_transport_read_queue(from.transport, to.queue, len)
			      : tcp_queue_move(to.queue, from.queue, to.pool, len);
}

#endif
