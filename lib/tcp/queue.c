#include "tcp/queue.h"

#include <rte_memcpy.h>

/* Room behind the last byte that this queue may write to: not in an mbuf that something else looks at too. */
static uint32_t
tail_room(const struct tcp_queue *queue)
{
	const struct rte_mbuf *tail = queue->tail;

	if (!tail || !RTE_MBUF_DIRECT(tail) || rte_mbuf_refcnt_read(tail) != 1)
		return 0;
	return tail->buf_len - tail->data_off - tail->data_len;
}

static void
tail_copy(struct tcp_queue *queue, const void *data, uint32_t len)
{
	struct rte_mbuf *tail = queue->tail;

	rte_memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), data, len);
	tail->data_len += len;
	tail->pkt_len = tail->data_len;
	queue->bytes += len;
}

static void
link_tail(struct tcp_queue *queue, struct rte_mbuf *m)
{
	m->next = NULL;
	m->nb_segs = 1;
	m->pkt_len = m->data_len;
	if (queue->tail)
		queue->tail->next = m;
	else
		queue->head = m;
	queue->tail = m;
	queue->bytes += m->data_len;
	queue->mbufs++;
}

static struct rte_mbuf *
unlink_head(struct tcp_queue *queue)
{
	struct rte_mbuf *m = queue->head;

	queue->head = m->next;
	if (!queue->head)
		queue->tail = NULL;
	m->next = NULL;
	queue->bytes -= m->data_len;
	queue->mbufs--;
	return m;
}

void
tcp_queue_push(struct tcp_queue *queue, struct rte_mbuf *m)
{
	uint32_t len = m->data_len;

	if (len > TCP_QUEUE_COPY_MAX || (len > 0 && len > tail_room(queue))) {
		link_tail(queue, m);
		return;
	}
	if (len > 0)
		tail_copy(queue, rte_pktmbuf_mtod(m, void *), len);
	m->next = NULL;
	rte_pktmbuf_free_seg(m);
}

void
tcp_queue_concatenate(struct tcp_queue *queue, struct tcp_queue *from)
{
	if (!from->head)
		return;
	/* By way of push, so that two short runs that meet share an mbuf. */
	tcp_queue_push(queue, unlink_head(from));
	if (!from->head)
		return;
	if (queue->tail)
		queue->tail->next = from->head;
	else
		queue->head = from->head;
	queue->tail = from->tail;
	queue->bytes += from->bytes;
	queue->mbufs += from->mbufs;
	*from = (struct tcp_queue){ 0 };
}

uint8_t *
tcp_queue_tail(struct tcp_queue *queue, struct rte_mempool *pool, uint32_t *room)
{
	*room = tail_room(queue);
	if (*room == 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		if (!m)
			return NULL;
		link_tail(queue, m);
		*room = tail_room(queue);
	}
	return rte_pktmbuf_mtod_offset(queue->tail, uint8_t *, queue->tail->data_len);
}

void
tcp_queue_extend(struct tcp_queue *queue, uint32_t len)
{
	queue->tail->data_len += len;
	queue->tail->pkt_len = queue->tail->data_len;
	queue->bytes += len;
}

uint32_t
tcp_queue_write(struct tcp_queue *queue, struct rte_mempool *pool, const void *data, uint32_t len)
{
	const uint8_t *from = data;
	uint32_t left = len;

	while (left > 0) {
		uint32_t room;

		if (!tcp_queue_tail(queue, pool, &room))
			break;
		if (room > left)
			room = left;
		tail_copy(queue, from, room);
		from += room;
		left -= room;
	}
	return len - left;
}

unsigned int
tcp_queue_reserve(struct tcp_queue *queue, struct rte_mempool *pool, uint32_t len, struct iovec *pieces,
		  unsigned int max)
{
	unsigned int count = 0;

	while (len > 0) {
		uint32_t room;
		uint8_t *tail = count < max ? tcp_queue_tail(queue, pool, &room) : NULL;

		if (!tail) {
			tcp_queue_free(queue);
			return 0;
		}
		room = RTE_MIN(room, len);
		pieces[count++] = (struct iovec){ tail, room };
		tcp_queue_extend(queue, room);
		len -= room;
	}
	return count;
}

uint32_t
tcp_queue_move(struct tcp_queue *to, struct tcp_queue *from, struct rte_mempool *pool, uint32_t len)
{
	uint32_t left = len < from->bytes ? len : from->bytes, moved = 0;

	while (left > 0) {
		uint32_t run = from->head->data_len;

		if (run <= left) {
			tcp_queue_push(to, unlink_head(from));
		} else {
			run = tcp_queue_write(to, pool, rte_pktmbuf_mtod(from->head, void *), left);
			tcp_queue_drop(from, run);
			return moved + run;
		}
		left -= run;
		moved += run;
	}
	return moved;
}

void
tcp_queue_drop(struct tcp_queue *queue, uint32_t len)
{
	while (len > 0) {
		struct rte_mbuf *m = queue->head;

		if (m->data_len > len) {
			m->data_off += len;
			m->data_len -= len;
			m->pkt_len = m->data_len;
			queue->bytes -= len;
			return;
		}
		len -= m->data_len;
		rte_pktmbuf_free_seg(unlink_head(queue));
	}
}

void
tcp_queue_truncate(struct tcp_queue *queue, uint32_t len)
{
	struct tcp_queue kept = { 0 };

	while (queue->head && len > 0) {
		struct rte_mbuf *m = unlink_head(queue);

		if (m->data_len > len)
			m->data_len = len;
		len -= m->data_len;
		link_tail(&kept, m);
	}
	tcp_queue_free(queue);
	*queue = kept;
}

void
tcp_queue_free(struct tcp_queue *queue)
{
	while (queue->head)
		rte_pktmbuf_free_seg(unlink_head(queue));
}

uint32_t
tcp_queue_copy(const struct rte_mbuf *m, uint32_t offset, void *out, uint32_t len)
{
	uint8_t *to = out;
	uint32_t left = len;

	for (; m && left > 0; m = m->next) {
		uint32_t run = m->data_len;

		if (offset >= run) {
			offset -= run;
			continue;
		}
		run -= offset;
		if (run > left)
			run = left;
		rte_memcpy(to, rte_pktmbuf_mtod_offset(m, uint8_t *, offset), run);
		offset = 0;
		to += run;
		left -= run;
	}
	return len - left;
}

unsigned int
tcp_queue_pieces(const struct tcp_queue *queue, uint32_t *len, struct iovec *pieces, unsigned int max)
{
	uint32_t left = *len;
	unsigned int count = 0;

	for (struct rte_mbuf *m = queue->head; m && left > 0 && count < max; m = m->next) {
		uint32_t run = RTE_MIN((uint32_t)m->data_len, left);

		pieces[count++] = (struct iovec){ rte_pktmbuf_mtod(m, void *), run };
		left -= run;
	}
	*len -= left;
	return count;
}
