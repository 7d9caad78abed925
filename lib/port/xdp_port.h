/*
 * The AF_XDP port: a kernel interface, with one socket on every receive queue of the device, so that no queue's packets
 * are missed. Queue q of the port polls the sockets q, q + queues, q + 2 * queues ... and sends through the first.
 *
 * The sockets of one port share one UMEM over the memory of the packet pool. Every port registers that memory anew:
 * frames move between ports freely all the same, while a port that goes away, or whose interface does, takes nothing of
 * another's with it (all sockets of a UMEM hang on its first one).
 *
 * Private to the driver: xdp.c has the port's life, xdp_sockets.c its sockets, xdp_burst.c what lcores call.
 */
#ifndef PORT_XDP_PORT_H
#define PORT_XDP_PORT_H

#include "port/device.h"
#include "port/driver.h"
#include "port/loopback.h"
#include "port/rss.h"
#include "port/xsk.h"
#include "xdp/xdp.h"

#define PORT_XDP_DEVICE_QUEUES_MAX 256

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
	struct port_rss rss;
	struct xdp_port_queue queues[PORT_QUEUES_MAX];
};

static inline struct xdp_port *
xdp_port(struct port *port)
{
	return (struct xdp_port *)port;
}

/* ---- xdp_sockets.c: control alone ---- */

/* One on every receive queue of the device, with as much as driver and kernel have of zero copy and of packets in several
 * frames; says what came of it in *xdp. 0, or a negative errno with *error, and there are none. */
int xdp_port_sockets_open(struct xdp_port *xdp, const struct port_config *config,
			  const struct port_environment *environment, const struct port_device *device, char *error,
			  size_t size);
/* Frames that the kernel still has go back to the pool. */
void xdp_port_sockets_close(struct xdp_port *xdp);
/* The queue's wait_fd, for all of its sockets. 0, or a negative errno. */
int xdp_port_watch(struct xdp_port *xdp, uint16_t queue);

/* ---- xdp_burst.c: the lcore that has the queue; see struct port_ops ---- */

uint16_t xdp_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max);
void xdp_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count);
int xdp_wait_fd(struct port *port, uint16_t queue);
bool xdp_arm(struct port *port, uint16_t queue);
void xdp_disarm(struct port *port, uint16_t queue);

#endif
