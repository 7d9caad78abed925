/* What lcores call: bursts both ways, and whether a queue may be slept on. */
#include "port/large.h"
#include "port/xdp_port.h"

uint16_t
xdp_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	struct xdp_port *xdp = xdp_port(port);
	struct xdp_port_queue *q = &xdp->queues[queue];
	struct port_xsk *sender = &xdp->sockets[queue];
	uint32_t sockets = (xdp->socket_count - queue + port->queues - 1) / port->queues;
	uint64_t no_mbuf = 0;
	uint16_t received = 0;

	port_xsk_complete(sender);
	if (port_xsk_unsent(sender))
		port_count(port, queue, PORT_TX_CALLS, port_xsk_send_flush(sender));
	for (uint32_t i = 0; i < sockets && received < max; i++) {
		uint32_t nth = q->next + i < sockets ? q->next + i : q->next + i - sockets;

		received += port_xsk_receive(&xdp->sockets[queue + nth * port->queues], out + received,
					     (uint16_t)(max - received), &no_mbuf);
	}
	q->next = q->next + 1 < sockets ? q->next + 1 : 0;
	port_count(port, queue, PORT_RX_NO_MBUF, no_mbuf);
	return received;
}

static bool
fits_a_frame(const struct xdp_port *xdp, const struct rte_mbuf *m)
{
	return m->pkt_len + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(xdp->pool);
}

/* The kernel takes frames as they are only when nobody else refers to them and they are of the UMEM's memory. Each costs it
 * a page, so what fits one goes as one. */
static bool
is_own(const struct xdp_port *xdp, const struct rte_mbuf *m)
{
	if (m->nb_segs > 1 && fits_a_frame(xdp, m))
		return false;
	for (; m; m = m->next)
		if (!RTE_MBUF_DIRECT(m) || m->pool != xdp->pool || rte_mbuf_refcnt_read(m) != 1)
			return false;
	return true;
}

/* The packet in frames that the kernel can be given, itself or a copy; NULL when there are none, or it would take more
 * than there may be. */
static struct rte_mbuf *
own_frames(struct xdp_port *xdp, struct rte_mbuf *m)
{
	struct rte_mbuf *own = m;

	if (!is_own(xdp, m)) {
		own = fits_a_frame(xdp, m) || xdp->multi_buffer ? rte_pktmbuf_copy(m, xdp->pool, 0, UINT32_MAX) : NULL;
		rte_pktmbuf_free(m);
	}
	if (own && own->nb_segs > PORT_XSK_FRAMES_MAX) {
		rte_pktmbuf_free(own);
		return NULL;
	}
	return own;
}

static void
send_frames(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	struct xdp_port *xdp = xdp_port(port);
	struct port_xsk *sender = &xdp->sockets[queue];
	uint16_t ready = 0, sent;
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *own = own_frames(xdp, m[i]);

		if (own) {
			m[ready++] = own;
			bytes += own->pkt_len;
		}
	}
	port_xsk_complete(sender);
	sent = port_xsk_send(sender, m, ready);
	port_count(port, queue, PORT_TX_CALLS, port_xsk_send_flush(sender));
	if (sent < ready) {
		uint16_t more = port_xsk_send(sender, m + sent, (uint16_t)(ready - sent));

		if (more)
			port_count(port, queue, PORT_TX_CALLS, port_xsk_send_flush(sender));
		sent += more;
	}
	for (uint16_t i = sent; i < ready; i++)
		bytes -= m[i]->pkt_len;
	rte_pktmbuf_free_bulk(m + sent, ready - sent);
	port_count(port, queue, PORT_TX_PACKETS, sent);
	port_count(port, queue, PORT_TX_BYTES, bytes);
	port_count(port, queue, PORT_TX_FULL, count - sent);
}

static void
send_large(struct port *port, uint16_t queue, struct rte_mbuf *m)
{
	bool sent = port_large_send(xdp_port(port)->queues[queue].large_fd, m);

	port_count(port, queue, PORT_TX_CALLS, 1);
	port_count(port, queue, PORT_TX_PACKETS, sent);
	port_count(port, queue, PORT_TX_BYTES, sent ? m->pkt_len : 0);
	port_count(port, queue, PORT_TX_FULL, !sent);
	/* Cheaper than one by one for what is many mbufs. */
	rte_pktmbuf_free_bulk(&m, 1);
}

/* In the order given, whichever way they go. */
void
xdp_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	uint16_t first = 0;

	for (uint16_t i = 0; i < count; i++) {
		if (!(m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
			continue;
		if (i > first)
			send_frames(port, queue, m + first, (uint16_t)(i - first));
		send_large(port, queue, m[i]);
		first = (uint16_t)(i + 1);
	}
	if (count > first)
		send_frames(port, queue, m + first, (uint16_t)(count - first));
}

int
xdp_wait_fd(struct port *port, uint16_t queue)
{
	return xdp_port(port)->queues[queue].wait_fd;
}

/* The descriptors are level-triggered, so there is nothing to switch on: only what would never wake them counts. */
bool
xdp_arm(struct port *port, uint16_t queue)
{
	struct xdp_port *xdp = xdp_port(port);

	port_xsk_complete(&xdp->sockets[queue]);
	for (uint32_t i = queue; i < xdp->socket_count; i += port->queues)
		if (port_xsk_has_work(&xdp->sockets[i]))
			return false;
	return true;
}

void
xdp_disarm(struct port *port, uint16_t queue)
{
}
