/* The sockets of a port: how many, of what kind, and what to do without. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "port/xdp_port.h"

/* Several senders with full windows at once, in full segments: one slot holds one packet. Where the device has more queues
 * than the port, they share that, but none has less than a burst or two. */
#define RECEIVE_DESCRIPTORS_DEFAULT 4096
#define RECEIVE_DESCRIPTORS_LEAST 512
#define SEND_DESCRIPTORS_DEFAULT 2048

/* The kernel gives up a queue a moment after its socket is closed (xp_release_deferred): a restart may be faster. */
#define QUEUE_BUSY_RETRIES 200
#define QUEUE_BUSY_WAIT_NS 10000000

void
xdp_port_sockets_close(struct xdp_port *xdp)
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
		xdp_port_sockets_close(xdp);
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

int
xdp_port_sockets_open(struct xdp_port *xdp, const struct port_config *config,
		      const struct port_environment *environment, const struct port_device *device, char *error,
		      size_t size)
{
	uint32_t count = RTE_MIN(device->rx_queues, (uint32_t)PORT_XDP_DEVICE_QUEUES_MAX), failed;
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

int
xdp_port_watch(struct xdp_port *xdp, uint16_t queue)
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
