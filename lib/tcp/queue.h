/*
 * A byte queue over mbufs: received bytes until they are read, written bytes until they are acknowledged.
 *
 * The mbufs are single segments linked by `next`, which the queue owns. A small run is copied behind the last one where
 * it fits, so that a queue of n bytes never holds more than n / 512 + 1 mbufs of the default size, however small the
 * pieces were that it came in.
 */
#ifndef TCP_QUEUE_H
#define TCP_QUEUE_H

#include <rte_mbuf.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bytes.h"

/* Up to this many bytes are copied rather than linked: about what an mbuf costs in cache misses. */
#define TCP_QUEUE_COPY_MAX 1024

struct tcp_queue {
	struct rte_mbuf *head, *tail;
	uint32_t bytes;
	uint32_t mbufs;
};

/* Takes ownership of one segment (its `next` is overwritten). An empty one is freed. */
void tcp_queue_push(struct tcp_queue *queue, struct rte_mbuf *m);
/* Everything of `from` behind `queue`; `from` becomes empty. */
void tcp_queue_concatenate(struct tcp_queue *queue, struct tcp_queue *from);
/* Copies up to `len` bytes in; less when the pool is empty. */
uint32_t tcp_queue_write(struct tcp_queue *queue, struct rte_mempool *pool, const void *data, uint32_t len);
/* Where bytes can be put behind the last, and room for how many: at least one, but NULL when the pool is empty. Then
 * tcp_queue_extend() says how many were put there; where none were, an empty mbuf may be left, which tcp_queue_free() or
 * the next bytes take care of. */
uint8_t *tcp_queue_tail(struct tcp_queue *queue, struct rte_mempool *pool, uint32_t *room);
void tcp_queue_extend(struct tcp_queue *queue, uint32_t len);
/* Makes an empty queue one of `len` bytes, which are to be written to `pieces`. Returns how many of those there are, at most
 * `max`; 0 when the pool is empty or `max` too few, and the queue is still empty. */
unsigned int tcp_queue_reserve(struct tcp_queue *queue, struct rte_mempool *pool, uint32_t len, struct iovec *pieces,
			       unsigned int max);
/* Moves up to `len` bytes: whole mbufs by relinking, the rest by copying. Less when the pool is empty. */
uint32_t tcp_queue_move(struct tcp_queue *to, struct tcp_queue *from, struct rte_mempool *pool, uint32_t len);
/* Drops `len` (at most `bytes`) from the front. */
void tcp_queue_drop(struct tcp_queue *queue, uint32_t len);
/* Cuts the queue down to its first `len` bytes. */
void tcp_queue_truncate(struct tcp_queue *queue, uint32_t len);
void tcp_queue_free(struct tcp_queue *queue);

/* Copies up to `len` bytes that start `offset` bytes into `m`'s chain; returns how many there were. */
uint32_t tcp_queue_copy(const struct rte_mbuf *m, uint32_t offset, void *out, uint32_t len);
/* Where the first *len bytes lie: in so many pieces, at most `max`. *len is less where it takes more of them, or there are not as
 * many bytes. */
unsigned int tcp_queue_pieces(const struct tcp_queue *queue, uint32_t *len, struct iovec *pieces, unsigned int max);

static inline struct bytes
tcp_queue_peek(const struct tcp_queue *queue)
{
	if (!queue->head)
		return bytes_of(NULL, 0);
	return bytes_of(rte_pktmbuf_mtod(queue->head, const uint8_t *), queue->head->data_len);
}

#endif
