/*
 * The AF_XDP port: a kernel interface, with one socket on every receive queue of the device, so that no queue's packets
 * are missed. Queue q of the port polls the sockets q, q + queues, q + 2 * queues ... and sends through the first.
 *
 * The sockets of one port share one UMEM over the memory of the packet pool. Every port registers that memory anew:
 * frames move between ports freely all the same, while a port that goes away, or whose interface does, takes nothing of
 * another's with it (all sockets of a UMEM hang on its first one).
 */
#include "xdp/xdp.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "port/device.h"
#include "port/driver.h"
#include "port/large.h"
#include "port/loopback.h"
#include "port/rss.h"
#include "port/xdp_send.h"
#include "port/xsk.h"

/* Several senders with full windows at once, in full segments: one slot holds one packet. Where the device has more queues
 * than the port, they share that, but none has less than a burst or two. */
#define RECEIVE_DESCRIPTORS_DEFAULT 4096
#define RECEIVE_DESCRIPTORS_LEAST 512
#define SEND_DESCRIPTORS_DEFAULT 2048
#define DESCRIPTORS_MAX 32768
#define DEVICE_QUEUES_MAX 256

/* The kernel gives up a queue a moment after its socket is closed (xp_release_deferred): a restart may be faster. */
#define QUEUE_BUSY_RETRIES 200
#define QUEUE_BUSY_WAIT_NS 10000000

struct xdp_port_queue {
	_Alignas(64) uint32_t next; /* which of its sockets is polled first, so that none starves */
	int wait_fd;                /* of epoll where there are several sockets */
	int large_fd;               /* for packets that the kernel, or the device, cuts up; -1 where there are none */
};

struct xdp_port {
	struct port base;
	struct xdp_program *program;
	struct rte_mempool *pool;
	struct port_frames frames;
	struct xsk_umem *umem;
	struct port_xsk *sockets;
	uint32_t socket_count;
	uint32_t descriptors[2]; /* receive, send */
	enum xdp_mode mode;
	int ifindex; /* also when it is no interface's any more */
	bool attached, zero_copy, running_known, running, loopback_prepared;
	bool multi_buffer; /* packets may have several frames */
	struct port_loopback loopback;
	struct xdp_port_queue queues[PORT_QUEUES_MAX];
};

static struct xdp_port *
xdp_port(struct port *port)
{
	return (struct xdp_port *)port;
}

static uint16_t
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
static void
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

static int
xdp_wait_fd(struct port *port, uint16_t queue)
{
	return xdp_port(port)->queues[queue].wait_fd;
}

/* The descriptors are level-triggered, so there is nothing to switch on: only what would never wake them counts. */
static bool
xdp_arm(struct port *port, uint16_t queue)
{
	struct xdp_port *xdp = xdp_port(port);

	port_xsk_complete(&xdp->sockets[queue]);
	for (uint32_t i = queue; i < xdp->socket_count; i += port->queues)
		if (port_xsk_has_work(&xdp->sockets[i]))
			return false;
	return true;
}

static void
xdp_disarm(struct port *port, uint16_t queue)
{
}

static bool
xdp_link_up(struct port *port)
{
	return port_device_is_running(port->ifindex);
}

static void
refresh_queue(struct xdp_port *xdp, uint16_t queue)
{
	struct port *port = &xdp->base;
	uint64_t missed = 0, oversize = 0;

	for (uint32_t i = queue; i < xdp->socket_count; i += port->queues) {
		struct xdp_statistics s = { 0 };
		socklen_t len = sizeof(s);

		if (getsockopt(port_xsk_fd(&xdp->sockets[i]), SOL_XDP, XDP_STATISTICS, &s, &len) < 0)
			continue;
		missed += s.rx_ring_full;
		/* In copy mode a packet that finds no frame counts as dropped, too; with zero copy the driver holds it. */
		if (!xdp->zero_copy)
			missed += s.rx_fill_ring_empty_descs;
		if (xdp->zero_copy || s.rx_dropped > s.rx_fill_ring_empty_descs)
			oversize += s.rx_dropped - (xdp->zero_copy ? 0 : s.rx_fill_ring_empty_descs);
	}
	/* Written here alone, by control: words of their own. */
	__atomic_store_n(&port->counters[queue].values[PORT_RX_MISSED], missed, __ATOMIC_RELAXED);
	__atomic_store_n(&port->counters[queue].values[PORT_RX_OVERSIZE], oversize, __ATOMIC_RELAXED);
}

/* Where the device does not cut up, the kernel would; but then Weir's own way costs less than one over a second socket. */
static void
follow_segmentation(struct xdp_port *xdp)
{
	bool offered = xdp->queues[0].large_fd >= 0 && port_device_setting_read(xdp->base.name, ETHTOOL_GTSO) > 0;

	if (offered == !!(xdp->base.features & PORT_TX_TSO))
		return;
	if (offered)
		__atomic_or_fetch(&xdp->base.features, PORT_TX_TSO, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&xdp->base.features, ~(uint32_t)PORT_TX_TSO, __ATOMIC_RELAXED);
}

/*
 * Of the program's own forwarding. A generic one sends as the kernel does, through anything; but where another interface
 * receives natively, its frames go only where the device has a way for them.
 */
static void
follow_sending(struct xdp_port *xdp, bool at_start)
{
	struct port *port = &xdp->base;
	bool generic = xdp->mode == XDP_MODE_GENERIC && !xdp_program_is_native(xdp->program);
	bool sends =
		!(port->features & PORT_LOOPBACK) && (generic || port_xdp_send_possible(port->ifindex, port->name));

	if (!at_start && sends == !!(port->features & PORT_XDP_SEND))
		return;
	if (sends)
		__atomic_or_fetch(&port->features, PORT_XDP_SEND, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&port->features, ~(uint32_t)PORT_XDP_SEND, __ATOMIC_RELAXED);
	if (port->features & PORT_LOOPBACK || !xdp_program_forwards(xdp->program) || (sends && at_start))
		return;
	log_error(LOG_NOTICE, "interface %s: %s", port->name,
		  sends ? "takes frames from XDP"
			: "takes no frames from XDP: what leaves through it is forwarded in user space (of a veth, "
			  "the peer needs an XDP program, or \"ethtool -K PEER gro on\")");
}

static void
xdp_refresh(struct port *port)
{
	struct xdp_port *xdp = xdp_port(port);
	bool running = xdp_link_up(port);

	follow_segmentation(xdp);
	follow_sending(xdp, false);

	if (!xdp->running_known || running != xdp->running)
		log_error(running ? LOG_NOTICE : LOG_WARN, "interface %s: link is %s", port->name,
			  running ? "up" : "down");
	xdp->running = running;
	xdp->running_known = true;
	for (uint16_t queue = 0; queue < port->queues; queue++)
		refresh_queue(xdp, queue);
}

static void
close_sockets(struct xdp_port *xdp)
{
	for (uint32_t i = 0; i < xdp->socket_count; i++)
		port_xsk_close(&xdp->sockets[i]);
	if (xdp->umem)
		xsk_umem__delete(xdp->umem);
	xdp->umem = NULL;
	for (uint32_t i = 0; i < xdp->socket_count; i++)
		port_xsk_reclaim(&xdp->sockets[i]);
	free(xdp->sockets);
	xdp->sockets = NULL;
}

/* All sockets or none. *failed is the queue that would not open. */
static int
open_sockets(struct xdp_port *xdp, uint32_t count, bool zero_copy, uint32_t *failed)
{
	/* libxdp sets less than all of a ring and copies these into the first socket. */
	struct xsk_ring_prod first_fill = { 0 };
	struct xsk_ring_cons first_completion = { 0 };
	int rc;

	*failed = 0;
	xdp->socket_count = count;
	xdp->zero_copy = zero_copy;
	xdp->sockets = aligned_alloc(64, count * sizeof(*xdp->sockets));
	if (!xdp->sockets)
		return -ENOMEM;
	memset(xdp->sockets, 0, count * sizeof(*xdp->sockets));
	rc = port_xsk_umem_new(&xdp->frames, xdp->descriptors[0], xdp->descriptors[1], &xdp->umem, &first_fill,
			       &first_completion);
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		const struct port_xsk_config config = { .interface_name = xdp->base.name,
							.queue = i,
							.receive_size = xdp->descriptors[0],
							.send_size = xdp->descriptors[1],
							.sends = i < xdp->base.queues,
							.native = xdp->mode == XDP_MODE_NATIVE,
							.zero_copy = zero_copy,
							.multi_buffer = xdp->multi_buffer };

		*failed = i;
		rc = port_xsk_open(&xdp->sockets[i], xdp->umem, &xdp->frames, xdp->pool, &config);
	}
	if (rc < 0)
		close_sockets(xdp);
	return rc;
}

static int
open_sockets_patiently(struct xdp_port *xdp, uint32_t count, bool zero_copy, uint32_t *failed)
{
	const struct timespec wait = { .tv_nsec = QUEUE_BUSY_WAIT_NS };
	int rc = open_sockets(xdp, count, zero_copy, failed);

	for (int i = 0; rc == -EBUSY && i < QUEUE_BUSY_RETRIES; i++) {
		nanosleep(&wait, NULL);
		rc = open_sockets(xdp, count, zero_copy, failed);
	}
	return rc;
}

static uint16_t
queues_for(const struct port_config *config, const struct port_environment *environment, uint32_t rx_queues,
	   uint32_t tx_queues)
{
	uint32_t queues = RTE_MIN(RTE_MIN(rx_queues, tx_queues), (uint32_t)PORT_QUEUES_MAX);

	queues = RTE_MIN(queues, RTE_MAX(environment->workers, 1u));
	return (uint16_t)(config->queues ? RTE_MIN(queues, config->queues) : queues);
}

static void
choose_descriptors(struct xdp_port *xdp, const struct port_config *config, uint32_t device_queues)
{
	uint32_t receive = RECEIVE_DESCRIPTORS_DEFAULT * xdp->base.queues / RTE_MAX(device_queues, 1u);

	receive = RTE_MAX(receive, (uint32_t)RECEIVE_DESCRIPTORS_LEAST);
	xdp->descriptors[0] = rte_align32pow2(config->rx_descriptors ? config->rx_descriptors : receive);
	xdp->descriptors[1] =
		rte_align32pow2(config->tx_descriptors ? config->tx_descriptors : SEND_DESCRIPTORS_DEFAULT);
}

static void
give_up_one(struct xdp_port *xdp, bool *zero_copy)
{
	*zero_copy = xdp->multi_buffer;
	xdp->multi_buffer = !xdp->multi_buffer && xdp_program_multi_buffer(xdp->program);
}

static int
open_all(struct xdp_port *xdp, const struct port_config *config, const struct port_environment *environment,
	 const struct port_device *device, char *error, size_t size)
{
	uint32_t count = RTE_MIN(device->rx_queues, (uint32_t)DEVICE_QUEUES_MAX), failed;
	bool zero_copy = xdp->mode == XDP_MODE_NATIVE;
	int rc;

	for (;;) {
		xdp->base.queues = queues_for(config, environment, count, device->tx_queues);
		choose_descriptors(xdp, config, count);
		rc = open_sockets_patiently(xdp, count, zero_copy, &failed);
		if (rc == 0)
			return 0;
		if (zero_copy && rc != -EBUSY && rc != -EPERM && rc != -ENOMEM)
			/* Zero copy is worth more than packets of several frames, which not all of its drivers have. */
			give_up_one(xdp, &zero_copy);
		else if (rc == -EINVAL && failed && !device->queues_exact)
			count = failed;
		else
			break;
	}
	if (rc == -EBUSY)
		return port_fail(error, size, rc, "interface %s: queue %u is held by another AF_XDP socket",
				 config->name, failed);
	return port_fail(error, size, rc, "interface %s: AF_XDP socket on queue %u: %s%s", config->name, failed,
			 strerror(-rc),
			 rc == -EPERM || rc == -ENOBUFS ? "; it needs root, or CAP_NET_RAW and CAP_IPC_LOCK" : "");
}

static int
watch_sockets(struct xdp_port *xdp, uint16_t queue)
{
	struct xdp_port_queue *q = &xdp->queues[queue];

	if (xdp->socket_count <= (uint32_t)queue + xdp->base.queues) {
		q->wait_fd = port_xsk_fd(&xdp->sockets[queue]);
		return 0;
	}
	q->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (q->wait_fd < 0)
		return -errno;
	for (uint32_t i = queue; i < xdp->socket_count; i += xdp->base.queues) {
		struct epoll_event event = { .events = EPOLLIN };

		if (epoll_ctl(q->wait_fd, EPOLL_CTL_ADD, port_xsk_fd(&xdp->sockets[i]), &event) < 0)
			return -errno;
	}
	return 0;
}

/* Copying makes them pay: where the driver sends from the packet buffers themselves, they would bring a copy back. */
static int
open_large(struct xdp_port *xdp)
{
	if (xdp->zero_copy)
		return 0;
	for (uint16_t queue = 0; queue < xdp->base.queues; queue++) {
		xdp->queues[queue].large_fd = port_large_open(xdp->base.ifindex);
		if (xdp->queues[queue].large_fd < 0)
			return xdp->queues[queue].large_fd;
	}
	xdp->base.tx_segments_max = PORT_LARGE_SEGMENTS_MAX;
	follow_segmentation(xdp);
	return 0;
}

/* All but the port itself. */
static void
release(struct xdp_port *xdp)
{
	struct port *port = &xdp->base;

	for (uint32_t i = 0; xdp->sockets && i < xdp->socket_count; i++)
		xdp_program_socket_set(xdp->program, xdp->ifindex, i, -1);
	if (xdp->attached)
		xdp_program_detach(xdp->program, xdp->ifindex);
	for (uint16_t queue = 0; xdp->sockets && queue < port->queues; queue++)
		if (xdp->queues[queue].wait_fd >= 0 && xdp->queues[queue].wait_fd != port_xsk_fd(&xdp->sockets[queue]))
			close(xdp->queues[queue].wait_fd);
	for (uint16_t queue = 0; queue < PORT_QUEUES_MAX; queue++)
		if (xdp->queues[queue].large_fd >= 0)
			close(xdp->queues[queue].large_fd);
	if (xdp->sockets)
		close_sockets(xdp);
	if (xdp->loopback_prepared)
		port_loopback_restore(&xdp->loopback);
}

static void
xdp_free(struct port *port)
{
	release(xdp_port(port));
	free(port);
}

static bool
xdp_is_gone(const struct port *port)
{
	char name[IF_NAMESIZE];

	return !if_indextoname((unsigned int)port->ifindex, name) && errno == ENXIO;
}

static int
xdp_start(struct port *port, char *error, size_t size)
{
	struct xdp_port *xdp = xdp_port(port);

	for (uint32_t i = 0; i < xdp->socket_count; i++) {
		int rc;

		xdp_program_queue_owner(xdp->program, port->ifindex, i, (uint16_t)(i % port->queues),
					port->features & PORT_FLOW_STABLE);
		rc = xdp_program_socket_set(xdp->program, port->ifindex, i, port_xsk_fd(&xdp->sockets[i]));

		if (rc < 0)
			return port_fail(error, size, rc, "interface %s: the XDP program has no room for queue %u: %s",
					 port->name, i, strerror(-rc));
	}
	return 0;
}

/* ---- when the interface has gone ---- */

static uint16_t
gone_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	return 0;
}

static void
gone_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	rte_pktmbuf_free_bulk(m, count);
	port_count(port, queue, PORT_TX_FULL, count);
}

static int
gone_wait_fd(struct port *port, uint16_t queue)
{
	return -1;
}

static bool
gone_link_up(struct port *port)
{
	return false;
}

static void
gone_free(struct port *port)
{
	free(port);
}

static const struct port_ops gone_ops = {
	.kind = "xdp",
	.free = gone_free,
	.rx_burst = gone_rx_burst,
	.tx_burst = gone_tx_burst,
	.wait_fd = gone_wait_fd,
	.link_up = gone_link_up,
};

static void
xdp_close(struct port *port)
{
	port->ops = &gone_ops;
	release(xdp_port(port));
}

static const struct port_ops xdp_ops = {
	.kind = "xdp",
	.is_gone = xdp_is_gone,
	.close = xdp_close,
	.start = xdp_start,
	.free = xdp_free,
	.rx_burst = xdp_rx_burst,
	.tx_burst = xdp_tx_burst,
	.wait_fd = xdp_wait_fd,
	.arm = xdp_arm,
	.disarm = xdp_disarm,
	.link_up = xdp_link_up,
	.refresh = xdp_refresh,
};

static int
check(const struct port_config *config, const struct port_environment *environment, struct port_device *device,
      struct port_frames *frames, char *error, size_t size)
{
	int rc = port_device_read(config->name, device);

	if (rc < 0)
		return port_fail(error, size, rc, "interface %s: %s", config->name,
				 rc == -ENODEV ? "there is no such interface" : strerror(-rc));
	if (device->hardware_type != ARPHRD_ETHER && device->hardware_type != ARPHRD_LOOPBACK)
		return port_fail(error, size, -EOPNOTSUPP, "interface %s: not an Ethernet interface", config->name);
	if (config->queues > device->rx_queues)
		return port_fail(error, size, -EINVAL, "interface %s: %u queues are configured, the device has %u",
				 config->name, config->queues, device->rx_queues);
	if (device->rx_queues > DEVICE_QUEUES_MAX)
		return port_fail(error, size, -EINVAL, "interface %s: more than %d receive queues; see ethtool -L",
				 config->name, DEVICE_QUEUES_MAX);
	if (RTE_MAX(config->rx_descriptors, config->tx_descriptors) > DESCRIPTORS_MAX)
		return port_fail(error, size, -EINVAL, "interface %s: more than %d descriptors", config->name,
				 DESCRIPTORS_MAX);
	rc = port_frames_of_pool(environment->pool, frames);
	if (rc < 0 || frames->frame_size > (uint32_t)sysconf(_SC_PAGESIZE))
		return port_fail(error, size, -EINVAL,
				 "interface %s: packet buffers longer than a page (an MTU above %d) are not for AF_XDP",
				 config->name, PORT_XDP_MTU_MAX);
	return 0;
}

static void
describe(struct xdp_port *xdp, const struct port_config *config, const struct port_device *device)
{
	struct port *port = &xdp->base;

	snprintf(port->name, sizeof(port->name), "%s", config->name);
	snprintf(port->interface_name, sizeof(port->interface_name), "%.15s", config->name);
	port->ops = &xdp_ops;
	port->ifindex = xdp->ifindex = device->ifindex;
	port->mac = device->mac;
	if (device->flags & IFF_LOOPBACK)
		port->features |= PORT_LOOPBACK;
}

/* How long packets may be, once it is known what the sockets can do. */
static void
describe_lengths(struct xdp_port *xdp, const struct port_config *config, const struct port_device *device)
{
	struct port *port = &xdp->base;
	uint32_t mtu = config->mtu ? RTE_MIN(device->mtu, config->mtu) : device->mtu;
	uint32_t mtu_max = port_frames_mtu_max(&xdp->frames, xdp->multi_buffer ? PORT_XSK_FRAMES_MAX : 1);

	port->mtu = (uint16_t)RTE_MIN(RTE_MIN(mtu, mtu_max), (uint32_t)UINT16_MAX);
	if (xdp->multi_buffer)
		port->features |= PORT_TX_SEGMENTS;
	if (mtu > mtu_max && !(port->features & PORT_LOOPBACK))
		log_error(LOG_WARN,
			  "interface %s: its MTU is %u, but packet buffers hold %u; longer packets are dropped",
			  port->name, mtu, mtu_max);
}

/* What an interface without a bus receives is another's in this kernel, which has not cut up its TCP packets and, in generic
 * mode, does not. In native mode veth makes its peer do so, and copies all the same. */
static bool
prefers_generic(const struct xdp_port *xdp, const struct port_config *config,
		const struct port_environment *environment, const struct port_device *device)
{
	return config->xdp_mode == PORT_XDP_AUTO && environment->long_packets && xdp->multi_buffer && !device->has_bus;
}

/* Attaches before anything of the host is changed: the interface may be another Weir's. */
static int
bring_up(struct xdp_port *xdp, const struct port_config *config, const struct port_environment *environment,
	 const struct port_device *device, char *error, size_t size)
{
	static const enum xdp_mode modes[] = { [PORT_XDP_AUTO] = XDP_MODE_AUTO,
					       [PORT_XDP_NATIVE] = XDP_MODE_NATIVE,
					       [PORT_XDP_GENERIC] = XDP_MODE_GENERIC };
	struct port *port = &xdp->base;
	bool generic = prefers_generic(xdp, config, environment, device);
	char driver[32];
	int rc = xdp_program_attach(xdp->program, port->ifindex, generic ? XDP_MODE_GENERIC : modes[config->xdp_mode],
				    &xdp->mode, error, size);

	if (rc < 0)
		return rc;
	xdp->attached = true;
	rc = open_all(xdp, config, environment, device, error, size);
	if (rc < 0)
		return rc;
	describe_lengths(xdp, config, device);
	if (port->queues == 1 || device->spreads_by_flow)
		port->features |= PORT_FLOW_STABLE;
	if (port->queues == 1)
		port->rss = &port_rss_one_queue;
	follow_sending(xdp, true);
	port_device_driver_read(port->name, driver, sizeof(driver));
	if (xdp->mode == XDP_MODE_GENERIC || (driver[0] && strcmp(driver, "veth") != 0))
		port->features |= PORT_XDP_BOUNCE;
	for (uint16_t queue = 0; queue < port->queues && rc == 0; queue++)
		rc = watch_sockets(xdp, queue);
	if (rc < 0)
		return port_fail(error, size, rc, "interface %s: epoll: %s", port->name, strerror(-rc));
	rc = open_large(xdp);
	if (rc < 0)
		return port_fail(error, size, rc, "interface %s: packet socket: %s", port->name, strerror(-rc));
	if (port->features & PORT_LOOPBACK) {
		rc = port_loopback_prepare(&xdp->loopback, xdp->multi_buffer && environment->long_packets, error, size);
		xdp->loopback_prepared = rc == 0;
	}
	return rc;
}

int
port_xdp_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
	     struct port **out, char *error, size_t size)
{
	struct port_device device;
	struct port_frames frames;
	struct xdp_port *xdp;
	int rc = check(config, environment, &device, &frames, error, size);

	if (rc < 0)
		return rc;
	xdp = aligned_alloc(64, sizeof(*xdp));
	if (!xdp)
		return port_fail(error, size, -ENOMEM, "interface %s: out of memory", config->name);
	memset(xdp, 0, sizeof(*xdp));
	xdp->program = environment->program;
	xdp->multi_buffer = xdp_program_multi_buffer(xdp->program);
	xdp->pool = environment->pool;
	xdp->frames = frames;
	for (int i = 0; i < PORT_QUEUES_MAX; i++)
		xdp->queues[i].wait_fd = xdp->queues[i].large_fd = -1;
	describe(xdp, config, &device);
	rc = bring_up(xdp, config, environment, &device, error, size);
	if (rc < 0) {
		xdp_free(&xdp->base);
		return rc;
	}
	log_error(LOG_NOTICE, "interface %s: AF_XDP, %s XDP%s, %s%s, %u of %u queues, MTU %u", config->name,
		  xdp->mode == XDP_MODE_NATIVE ? "native" : "generic",
		  prefers_generic(xdp, config, environment, &device) ? " (no bus behind it: TCP packets come whole)"
								     : "",
		  xdp->zero_copy ? "zero copy" : "copying", xdp->multi_buffer ? ", multi-buffer" : "", xdp->base.queues,
		  xdp->socket_count, xdp->base.mtu);
	*out = &xdp->base;
	return 0;
}
