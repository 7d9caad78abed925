#include "tcp/payload.h"

#include "tcp/stack.h"

/* Moves the cursor to the mbuf that `sequence` is in; returns where in it. */
static uint32_t
cursor_seek(struct tcp_connection *c, uint32_t sequence)
{
	if (!c->snd_cursor || sequence_before(sequence, c->snd_cursor_sequence)) {
		c->snd_cursor = c->sending.head;
		c->snd_cursor_sequence = c->snd_una;
	}
	while (sequence - c->snd_cursor_sequence >= c->snd_cursor->data_len && c->snd_cursor->next) {
		c->snd_cursor_sequence += c->snd_cursor->data_len;
		c->snd_cursor = c->snd_cursor->next;
	}
	return sequence - c->snd_cursor_sequence;
}

void
tcp_payload_copy(struct tcp_connection *c, uint32_t sequence, uint8_t *out, uint32_t len)
{
	uint32_t offset = cursor_seek(c, sequence);

	tcp_queue_copy(c->snd_cursor, offset, out, len);
}

/* How many mbufs of the queue the bytes are in. */
static uint32_t
mbufs_of(const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	uint32_t count = 0, end = offset + len;

	for (uint32_t at = 0; m && at < end; m = m->next, count++)
		at += m->data_len;
	return count;
}

/* Makes a chain of `mbufs` over `len` bytes, from `offset` in `data` on. */
static void
attach(struct rte_mbuf **mbufs, uint32_t count, struct rte_mbuf *data, uint32_t offset, uint32_t len)
{
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *m = mbufs[i];

		rte_pktmbuf_attach(m, data);
		m->data_off = (uint16_t)(data->data_off + offset);
		m->data_len = (uint16_t)RTE_MIN(data->data_len - offset, len);
		m->pkt_len = m->data_len;
		m->next = i + 1 < count ? mbufs[i + 1] : NULL;
		len -= m->data_len;
		offset = 0;
		data = data->next;
	}
	mbufs[0]->nb_segs = (uint16_t)count;
}

struct rte_mbuf *
tcp_payload_refer(struct tcp_connection *c, uint32_t sequence, uint32_t len)
{
	uint32_t offset = cursor_seek(c, sequence), count = mbufs_of(c->snd_cursor, offset, len);
	struct rte_mbuf *mbufs[TCP_PAYLOAD_REFERENCES_MAX];

	if (count > TCP_PAYLOAD_REFERENCES_MAX || rte_pktmbuf_alloc_bulk(c->stack->config.pool, mbufs, count) < 0)
		return NULL;
	attach(mbufs, count, c->snd_cursor, offset, len);
	return mbufs[0];
}
