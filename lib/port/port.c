#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "packet/checksum.h"
#include "packet/segment.h"
#include "port/driver.h"

#define TX_CHECKSUM_FLAGS (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)

const char *const port_counter_names[PORT_COUNTER_COUNT] = {
#define ROW(name, text) text,
	PORT_COUNTERS(ROW)
#undef ROW
};

int
port_fail(char *error, size_t size, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return code;
}

/* "0000:01:00.0" or "01:00.0". */
static bool
is_pci_address(const char *name)
{
	static const char *const shapes[] = { "xxxx:xx:xx.x", "xx:xx.x" };

	for (size_t s = 0; s < RTE_DIM(shapes); s++) {
		const char *shape = shapes[s], *c = name;

		while (*shape && *c && (*shape == 'x' ? isxdigit((unsigned char)*c) : *c == *shape))
			shape++, c++;
		if (!*shape && !*c)
			return true;
	}
	return false;
}

bool
port_name_is_dpdk(const char *name)
{
	return strncmp(name, "vdev:", 5) == 0 || is_pci_address(name);
}

bool
port_is_xdp(const struct port_config *config)
{
	return config->driver != PORT_DRIVER_DPDK && !port_name_is_dpdk(config->name);
}

static int
choose_driver(const struct port_config *config, bool *dpdk, char *error, size_t size)
{
	*dpdk = !port_is_xdp(config);
	if (config->driver == PORT_DRIVER_XDP && *dpdk)
		return port_fail(error, size, -EINVAL,
				 "interface %s: XDP needs a kernel interface, this is a name for DPDK", config->name);
	if (*dpdk && config->xdp_mode != PORT_XDP_AUTO)
		return port_fail(error, size, -EINVAL, "interface %s: an XDP mode, but the driver is DPDK's",
				 config->name);
	return 0;
}

static void
register_counters(struct port *port)
{
	for (uint16_t queue = 0; queue < port->queues; queue++) {
		struct counter_block block = { .room = "port",
					       .lcore = queue,
					       .names = port_counter_names,
					       .values = port->counters[queue].values,
					       .count = PORT_COUNTER_COUNT };

		if (counter_register(&block) < 0)
			log_error(LOG_WARN, "interface %s: no room to register the counters of queue %u", port->name,
				  queue);
	}
}

int
port_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
	 struct port **out, char *error, size_t size)
{
	struct port *port;
	bool dpdk;
	int rc = choose_driver(config, &dpdk, error, size);

	if (rc == 0)
		rc = (dpdk ? port_dpdk_new : port_xdp_new)(config, environment, index, &port, error, size);
	if (rc < 0)
		return rc;
	assert(port->queues > 0 && port->queues <= PORT_QUEUES_MAX);
	port->index = index;
	port->counters = aligned_alloc(64, port->queues * sizeof(*port->counters));
	if (!port->counters) {
		port->ops->free(port);
		return port_fail(error, size, -ENOMEM, "interface %s: out of memory", config->name);
	}
	memset(port->counters, 0, port->queues * sizeof(*port->counters));
	register_counters(port);
	*out = port;
	return 0;
}

int
port_start(struct port *port, char *error, size_t size)
{
	return port->ops->start(port, error, size);
}

void
port_free(struct port *port)
{
	struct port_queue_counters *counters;
	uint16_t queues;

	if (!port)
		return;
	counters = port->counters;
	queues = port->queues;
	port->ops->free(port);
	for (uint16_t queue = 0; queue < queues; queue++)
		counter_unregister(counters[queue].values);
	free(counters);
}

/* Of no interface. */
#define NO_IFINDEX (-1)

bool
port_is_gone(struct port *port)
{
	if (port->gone || !port->ops->is_gone || !port->ops->is_gone(port))
		return port->gone;
	log_error(LOG_WARN, "interface %s: it has gone; when there is one of this name again it is taken up",
		  port->name);
	port->gone = true;
	__atomic_store_n(&port->ifindex, NO_IFINDEX, __ATOMIC_RELAXED);
	return true;
}

void
port_close(struct port *port)
{
	if (port->ops->close)
		port->ops->close(port);
}

void
port_refresh(struct port *port)
{
	if (port->ops->refresh)
		port->ops->refresh(port);
}

uint16_t
port_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	uint16_t received = port->ops->rx_burst(port, queue, out, max);
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < received; i++)
		bytes += out[i]->pkt_len;
	port_count(port, queue, PORT_RX_PACKETS, received);
	port_count(port, queue, PORT_RX_BYTES, bytes);
	return received;
}

/* One segment with everything in it, or NULL; `m` is gone in both cases. */
static struct rte_mbuf *
linearize(struct rte_mbuf *m)
{
	struct rte_mbuf *copy;

	/* The room behind the first segment is only ours to write when nobody else sees it. */
	if (RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 && rte_pktmbuf_linearize(m) == 0)
		return m;
	if (m->pkt_len + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(m->pool)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	rte_pktmbuf_free(m);
	return copy;
}

/* The packet as the device can take it, or NULL when there is no way. */
static struct rte_mbuf *
prepare(struct rte_mbuf *m, uint32_t features)
{
	if (m->nb_segs > 1 && !(features & PORT_TX_SEGMENTS)) {
		m = linearize(m);
		if (!m)
			return NULL;
	}
	if ((m->ol_flags & TX_CHECKSUM_FLAGS) && !(features & PORT_TX_CHECKSUM)) {
		packet_checksum_fill(m, m->l2_len);
		m->ol_flags &= ~TX_CHECKSUM_FLAGS;
	}
	return m;
}

static void
cut_up_and_send(struct port *port, uint16_t queue, struct rte_mbuf *m, uint32_t features)
{
	struct rte_mbuf *segments[PORT_BURST];
	struct packet_segmenter segmenter = { .left = m->pkt_len };
	uint16_t count = 0;

	if (packet_segmenter_start(&segmenter, m)) {
		while (segmenter.left > 0) {
			struct rte_mbuf *segment = packet_segmenter_next(&segmenter, m->pool);

			if (!segment)
				break;
			segments[count++] = prepare(segment, features);
			if (count == PORT_BURST) {
				port->ops->tx_burst(port, queue, segments, count);
				count = 0;
			}
		}
		if (count)
			port->ops->tx_burst(port, queue, segments, count);
	}
	if (segmenter.left > 0)
		port_count(port, queue, PORT_TX_FULL, packet_segment_count(m) - segmenter.count);
	rte_pktmbuf_free_bulk(&m, 1);
}

static bool
device_cuts_up(const struct port *port, const struct rte_mbuf *m, uint32_t features)
{
	return features & PORT_TX_TSO && (!port->tx_segments_max || m->nb_segs <= port->tx_segments_max);
}

/* The device can take them as they are, which is nearly always so: all are looked at before a branch. */
static bool
are_ready(struct rte_mbuf *const *m, uint16_t count, uint32_t features)
{
	const uint64_t asked = RTE_MBUF_F_TX_TCP_SEG | (features & PORT_TX_CHECKSUM ? 0 : TX_CHECKSUM_FLAGS);
	uint64_t flags = 0;
	uint32_t segments = 0;

	for (uint16_t i = 0; i < count; i++) {
		flags |= m[i]->ol_flags;
		segments |= m[i]->nb_segs;
	}
	return !(flags & asked) && (segments <= 1 || features & PORT_TX_SEGMENTS);
}

void
port_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	uint32_t features = __atomic_load_n(&port->features, __ATOMIC_RELAXED);
	uint16_t ready = 0, dropped = 0, first = 0;

	if (likely(are_ready(m, count, features))) {
		port->ops->tx_burst(port, queue, m, count);
		return;
	}

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *prepared;

		if (!(m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
			prepared = prepare(m[i], features);
		} else if (device_cuts_up(port, m[i], features)) {
			prepared = m[i];
			port_count(port, queue, PORT_TX_SEGMENTED, 1);
		} else {
			/* What comes before it goes first. */
			if (ready > first)
				port->ops->tx_burst(port, queue, m + first, (uint16_t)(ready - first));
			cut_up_and_send(port, queue, m[i], features);
			ready = first = (uint16_t)(i + 1);
			continue;
		}
		if (prepared)
			m[ready++] = prepared;
		else
			dropped++;
	}
	port_count(port, queue, PORT_TX_FULL, dropped);
	if (ready > first)
		port->ops->tx_burst(port, queue, m + first, (uint16_t)(ready - first));
}

void
port_to_kernel(struct port *port, uint16_t queue, struct rte_mbuf *m)
{
	if (port->ops->to_kernel)
		port->ops->to_kernel(port, queue, m);
	else
		rte_pktmbuf_free(m);
}

uint16_t
port_from_kernel(struct port *port, uint16_t queue)
{
	return port->ops->from_kernel ? port->ops->from_kernel(port, queue) : 0;
}

int
port_kernel_fd(struct port *port)
{
	return port->ops->kernel_fd ? port->ops->kernel_fd(port) : -1;
}
