/* The life of an AF_XDP port, what it follows of its interface, and what it is when that has gone. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "port/large.h"
#include "port/xdp_port.h"
#include "port/xdp_send.h"

#define DESCRIPTORS_MAX 32768

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
		xdp_port_sockets_close(xdp);
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
	if (device->rx_queues > PORT_XDP_DEVICE_QUEUES_MAX)
		return port_fail(error, size, -EINVAL, "interface %s: more than %d receive queues; see ethtool -L",
				 config->name, PORT_XDP_DEVICE_QUEUES_MAX);
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

/* Where the driver does not say, answers of servers come in anywhere and are handed over. */
static void
rss_find(struct xdp_port *xdp, const struct port_device *device)
{
	struct port *port = &xdp->base;
	int rc;

	if (port->queues == 1) {
		port->rss = &port_rss_one_queue;
		return;
	}
	rc = device->spreads_by_flow ? port_rss_read_interface(&xdp->rss, port->name, port->queues) : -EOPNOTSUPP;
	if (rc == 0)
		port->rss = &xdp->rss;
	else
		log_error(LOG_INFO, "interface %s: how it spreads packets over its queues is not known: %s", port->name,
			  strerror(-rc));
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
	rc = xdp_port_sockets_open(xdp, config, environment, device, error, size);
	if (rc < 0)
		return rc;
	describe_lengths(xdp, config, device);
	if (port->queues == 1 || device->spreads_by_flow)
		port->features |= PORT_FLOW_STABLE;
	rss_find(xdp, device);
	follow_sending(xdp, true);
	port_device_driver_read(port->name, driver, sizeof(driver));
	if (xdp->mode == XDP_MODE_GENERIC || (driver[0] && strcmp(driver, "veth") != 0))
		port->features |= PORT_XDP_BOUNCE;
	for (uint16_t queue = 0; queue < port->queues && rc == 0; queue++)
		rc = xdp_port_watch(xdp, queue);
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
