#include "port/xsk.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64u
/* Frames read at once at most: a few packets of 64 KB. */
#define DESCRIPTORS_OF_A_BURST 256u

/* In copy mode the kernel sends at most 32 packets per call (TX_BATCH_SIZE), or what this option says since Linux 6.17. */
#define XDP_MAX_TX_SKB_BUDGET 9
#define SEND_BUDGET 1024
#define KERNEL_SEND_BATCH 32

/* Since Linux 6.6; Debian's headers are older. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#define XDP_PKT_CONTD (1 << 0)
#endif
/* In copy mode packets under way count against the socket's send buffer, with their overhead. */
#define SEND_BUFFER_BYTES (16 << 20)

static void
held_set(struct port_xsk *xsk, uint64_t address)
{
	uint32_t frame = port_frame_index(xsk->frames, address);

	xsk->held[frame / 64] |= 1ull << frame % 64;
}

static void
held_clear(struct port_xsk *xsk, uint64_t address)
{
	uint32_t frame = port_frame_index(xsk->frames, address);

	xsk->held[frame / 64] &= ~(1ull << frame % 64);
}

int
port_xsk_umem_new(const struct port_frames *frames, uint32_t receive_size, uint32_t send_size, struct xsk_umem **out,
		  struct xsk_ring_prod *first_fill, struct xsk_ring_cons *first_completion)
{
	const struct xsk_umem_config config = { .fill_size = receive_size,
						.comp_size = send_size,
						.frame_size = frames->frame_size,
						.frame_headroom = frames->buffer_offset };

	return xsk_umem__create(out, frames->base, (uint64_t)frames->frames * frames->frame_size, first_fill,
				first_completion, &config);
}

/* Gives the kernel the frames it lacks, as far as there are mbufs. */
static void
refill(struct port_xsk *xsk)
{
	struct rte_mbuf *m[BATCH];

	while (xsk->fill_short) {
		uint32_t n = RTE_MIN(xsk->fill_short, BATCH), index;

		while (n && rte_pktmbuf_alloc_bulk(xsk->pool, m, n) < 0)
			n /= 2;
		if (!n)
			return;
		if (xsk_ring_prod__reserve(&xsk->fill, n, &index) != n) {
			rte_pktmbuf_free_bulk(m, n);
			return;
		}
		for (uint32_t i = 0; i < n; i++) {
			uint64_t address = port_frame_address(xsk->frames, m[i]);

			*xsk_ring_prod__fill_addr(&xsk->fill, index + i) = address;
			held_set(xsk, address);
		}
		xsk_ring_prod__submit(&xsk->fill, n);
		xsk->fill_short -= n;
	}
}

static void
set_options(int fd)
{
	int budget = SEND_BUDGET, buffer = SEND_BUFFER_BYTES;

	/* Both only make it faster. */
	setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
}

int
port_xsk_open(struct port_xsk *xsk, struct xsk_umem *umem, const struct port_frames *frames, struct rte_mempool *pool,
	      const struct port_xsk_config *config)
{
	const struct xsk_socket_config socket_config = {
		.rx_size = config->receive_size,
		.tx_size = config->send_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.xdp_flags = config->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
		.bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (config->zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
					 (config->multi_buffer ? XDP_USE_SG : 0)),
	};
	int rc;

	xsk->held = calloc((frames->frames + 63) / 64, sizeof(uint64_t));
	if (!xsk->held)
		return -ENOMEM;
	xsk->frames = frames;
	xsk->pool = pool;
	rc = xsk_socket__create_shared(&xsk->socket, config->interface_name, config->queue, umem, &xsk->receive,
				       config->sends ? &xsk->send : NULL, &xsk->fill, &xsk->completion, &socket_config);
	if (rc < 0) {
		free(xsk->held);
		*xsk = (struct port_xsk){ 0 };
		return rc;
	}
	set_options(port_xsk_fd(xsk));
	xsk->fill_target = xsk->fill_short = config->receive_size;
	refill(xsk);
	return 0;
}

void
port_xsk_close(struct port_xsk *xsk)
{
	if (xsk->socket)
		xsk_socket__delete(xsk->socket);
	xsk->socket = NULL;
	rte_pktmbuf_free(xsk->partial);
	xsk->partial = NULL;
}

void
port_xsk_reclaim(struct port_xsk *xsk)
{
	if (!xsk->held)
		return;
	for (uint32_t word = 0; word < (xsk->frames->frames + 63) / 64; word++) {
		for (; xsk->held[word]; xsk->held[word] &= xsk->held[word] - 1) {
			uint64_t frame = (uint64_t)word * 64 + (uint64_t)__builtin_ctzll(xsk->held[word]);

			rte_pktmbuf_free(port_frame_mbuf(xsk->frames, frame * xsk->frames->frame_size));
		}
	}
	free(xsk->held);
	xsk->held = NULL;
}

int
port_xsk_fd(const struct port_xsk *xsk)
{
	return xsk_socket__fd(xsk->socket);
}

/* What is read next of a packet: its mbuf, private area and headers. They come from another core, one after the other
 * they would cost more than all else. Of frames behind the first, only the mbuf is looked at. */
static void
prefetch(const struct port_xsk *xsk, uint64_t address, bool first)
{
	const uint8_t *m = (const uint8_t *)port_frame_mbuf(xsk->frames, address);
	const uint8_t *data = xsk->frames->base + address;

	rte_prefetch0(m);
	rte_prefetch0(m + RTE_CACHE_LINE_SIZE);
	if (!first)
		return;
	rte_prefetch0(data);
	rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
	rte_prefetch0(m + sizeof(struct rte_mbuf));
}

/* The frame of a descriptor as an mbuf, which is ours again. */
static struct rte_mbuf *
frame_take(struct port_xsk *xsk, const struct xdp_desc *descriptor)
{
	struct rte_mbuf *m = port_frame_mbuf(xsk->frames, descriptor->addr);
	uint32_t offset = (uint32_t)(descriptor->addr & (xsk->frames->frame_size - 1));

	held_clear(xsk, descriptor->addr);
	m->data_off = (uint16_t)(offset - xsk->frames->buffer_offset);
	m->pkt_len = descriptor->len;
	m->data_len = (uint16_t)descriptor->len;
	return m;
}

/* Puts a frame of a packet that has several behind those before it; the packet when it was the last, else NULL. */
static struct rte_mbuf *
chain_extend(struct port_xsk *xsk, struct rte_mbuf *m, bool last)
{
	struct rte_mbuf *packet = xsk->partial;

	if (packet) {
		xsk->partial_tail->next = m;
		packet->nb_segs++;
		packet->pkt_len += m->data_len;
	} else {
		xsk->partial = packet = m;
	}
	xsk->partial_tail = m;
	if (!last)
		return NULL;
	xsk->partial = NULL;
	return packet;
}

/* Up to `max` descriptors into packets, which may be none although there were some. */
static uint16_t
ring_read(struct port_xsk *xsk, struct rte_mbuf **out, uint32_t max, uint32_t *read)
{
	uint32_t index, n = xsk_ring_cons__peek(&xsk->receive, max, &index);
	bool first = !xsk->partial;
	uint16_t received = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&xsk->receive, index + i);

		prefetch(xsk, descriptor->addr, first);
		first = !(descriptor->options & XDP_PKT_CONTD);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&xsk->receive, index + i);
		struct rte_mbuf *m = frame_take(xsk, descriptor);
		bool last = !(descriptor->options & XDP_PKT_CONTD);

		if (unlikely(xsk->partial || !last))
			m = chain_extend(xsk, m, last);
		if (m)
			out[received++] = m;
	}
	if (n)
		xsk_ring_cons__release(&xsk->receive, n);
	xsk->fill_short += n;
	*read = n;
	return received;
}

uint16_t
port_xsk_receive(struct port_xsk *xsk, struct rte_mbuf **out, uint16_t max, uint64_t *no_mbuf)
{
	uint32_t already_short = xsk->fill_short, read, budget = DESCRIPTORS_OF_A_BURST;
	uint16_t received = 0;

	do {
		uint32_t wanted = RTE_MIN((uint32_t)(max - received), budget);

		received += ring_read(xsk, out + received, wanted, &read);
		budget -= read;
		/* Most bursts are small and done at once. */
		if (read < wanted)
			break;
	} while (received < max && budget > 0);
	if (xsk->fill_short) {
		refill(xsk);
		if (xsk->fill_short > already_short)
			*no_mbuf += xsk->fill_short - already_short;
	}
	/* Drivers with zero copy stop looking at a fill ring that was empty until they are called. */
	if (xsk_ring_prod__needs_wakeup(&xsk->fill) && xsk->fill_short < xsk->fill_target)
		recvfrom(port_xsk_fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, NULL);
	return received;
}

/* All frames of a packet, the kernel's from now on, each by itself; it comes back that way. */
static void
frames_give(struct port_xsk *xsk, struct rte_mbuf *m, uint32_t index)
{
	while (m) {
		struct xdp_desc *descriptor = xsk_ring_prod__tx_desc(&xsk->send, index++);
		struct rte_mbuf *next = m->next;

		descriptor->addr = port_frame_data_address(xsk->frames, m);
		descriptor->len = m->data_len;
		descriptor->options = next ? XDP_PKT_CONTD : 0;
		held_set(xsk, descriptor->addr);
		m->next = NULL;
		m->nb_segs = 1;
		m = next;
	}
}

uint16_t
port_xsk_send(struct port_xsk *xsk, struct rte_mbuf **m, uint16_t count)
{
	uint32_t index, frames = 0, room = xsk_prod_nb_free(&xsk->send, count);
	uint16_t sent = 0;

	while (sent < count && frames + m[sent]->nb_segs <= room)
		frames += m[sent++]->nb_segs;
	if (!frames || xsk_ring_prod__reserve(&xsk->send, frames, &index) != frames)
		return 0;
	for (uint16_t i = 0; i < sent; i++) {
		uint32_t segments = m[i]->nb_segs;

		frames_give(xsk, m[i], index);
		index += segments;
	}
	xsk_ring_prod__submit(&xsk->send, frames);
	xsk->sent_held += frames;
	return sent;
}

/* One call. False when another one now is of no use. */
static bool
send_call(struct port_xsk *xsk)
{
	if (sendto(port_xsk_fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0) {
		xsk->send_failing = false;
		return true;
	}
	/* EAGAIN: the budget of the call is spent, or the completion ring is full. EBUSY, ENOBUFS: the device is behind;
	 * the packets stay in the ring until the next round. Anything else: the interface is down or gone. */
	xsk->send_failing = errno != EAGAIN && errno != EBUSY && errno != ENOBUFS;
	return errno == EAGAIN;
}

unsigned int
port_xsk_send_flush(struct port_xsk *xsk)
{
	unsigned int calls = 0, limit = xsk->send.size / KERNEL_SEND_BATCH + 1;
	uint32_t unsent;

	while ((unsent = port_xsk_unsent(xsk)) && calls < limit && xsk_ring_prod__needs_wakeup(&xsk->send)) {
		bool again = send_call(xsk);

		calls++;
		port_xsk_complete(xsk);
		if (!again || port_xsk_unsent(xsk) == unsent)
			break;
	}
	return calls;
}

void
port_xsk_complete(struct port_xsk *xsk)
{
	struct rte_mbuf *done[BATCH];
	uint32_t index, n;

	while (xsk->sent_held && (n = xsk_ring_cons__peek(&xsk->completion, BATCH, &index))) {
		for (uint32_t i = 0; i < n; i++) {
			uint64_t address = *xsk_ring_cons__comp_addr(&xsk->completion, index + i);

			held_clear(xsk, address);
			done[i] = port_frame_mbuf(xsk->frames, address);
		}
		xsk_ring_cons__release(&xsk->completion, n);
		xsk->sent_held -= n;
		rte_pktmbuf_free_bulk(done, n);
	}
}

bool
port_xsk_has_work(struct port_xsk *xsk)
{
	if (xsk_cons_nb_avail(&xsk->receive, 1))
		return true;
	refill(xsk);
	if (xsk->fill_short == xsk->fill_target)
		return true;
	return port_xsk_unsent(xsk) && !xsk->send_failing;
}
