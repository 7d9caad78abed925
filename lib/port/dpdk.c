/* Ports on DPDK's Ethernet devices: how they are configured, started and polled. dpdk_device.c finds them. */
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "packet/checksum.h"
#include "packet/view.h"
#include "port/dpdk_device.h"
#include "port/driver.h"
#include "port/rss.h"
#include "port/twin.h"

#define DESCRIPTORS 1024
/* A system call per packet and all that the kernel does with it run on the lcore: per queue, so many per second go to the
 * kernel, or a flood at a port that nobody serves would stop what Weir does serve. */
#define TO_KERNEL_PER_SECOND 100000
#define TO_KERNEL_BURST 1024
/* Packets from the kernel in one round. */
#define FROM_KERNEL_BURST 32

/* What connections can be told apart by. */
#define RSS_WANTED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)
#define TX_CHECKSUMS (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RX_CHECKSUMS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

/* One cache line per queue, as each is another worker's. */
struct dpdk_queue {
	_Alignas(64) uint64_t tokens_at; /* cycles: when the bucket was empty */
	int wait_fd;
	bool wait_fd_counts; /* an eventfd, to be read empty */
	bool wait_proven;    /* it has told once; written by the queue's worker */
};

struct dpdk_port {
	struct port port; /* first */
	uint16_t id;      /* DPDK's */
	bool attached, configured, started, prepare;
	bool interrupts; /* asked for */
	bool link_up;
	bool interrupt_told; /* in the log: that the first queue's interrupt works */
	uint16_t rx_descriptors, tx_descriptors;
	uint64_t token_cycles, bucket_cycles;
	struct rte_eth_dev_info info;
	struct port_rss rss;
	struct rte_mempool *pool;
	struct port_twin *twin;
	struct dpdk_queue queues[PORT_QUEUES_MAX];
};

static struct dpdk_port *
dpdk_of(struct port *port)
{
	return (struct dpdk_port *)port;
}

static int
device_fail(const struct dpdk_port *dpdk, const char *what, int code, char *error, size_t size)
{
	return port_fail(error, size, code, "interface %s: DPDK's driver %s: %s: %s", dpdk->port.name,
			 dpdk->info.driver_name, what, rte_strerror(-code));
}

/* ---- configuration ---- */

/* The TAP driver cuts up in software as well, and takes no segments that fill the MTU: it counts Ethernet's header. */
static bool
can_cut_up(const struct dpdk_port *dpdk)
{
	return dpdk->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO &&
	       strcmp(dpdk->info.driver_name, "net_tap") != 0;
}

static void
features_choose(struct dpdk_port *dpdk, struct rte_eth_conf *conf)
{
	uint64_t tx = dpdk->info.tx_offload_capa, rss = dpdk->info.flow_type_rss_offloads & RSS_WANTED;

	dpdk->port.features = 0;
	if ((tx & TX_CHECKSUMS) == TX_CHECKSUMS) {
		conf->txmode.offloads |= TX_CHECKSUMS;
		dpdk->port.features |= PORT_TX_CHECKSUM;
	}
	dpdk->port.tx_segments_max = dpdk->info.tx_desc_lim.nb_seg_max;
	if (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		dpdk->port.features |= PORT_TX_SEGMENTS;
		if (can_cut_up(dpdk) && dpdk->port.features & PORT_TX_CHECKSUM) {
			conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
			dpdk->port.features |= PORT_TX_TSO;
		}
	}
	if ((dpdk->info.rx_offload_capa & RX_CHECKSUMS) == RX_CHECKSUMS) {
		conf->rxmode.offloads |= RX_CHECKSUMS;
		dpdk->port.features |= PORT_RX_CHECKSUM;
	}
	if (dpdk->port.queues == 1) {
		dpdk->port.features |= PORT_FLOW_STABLE;
	} else if (rss) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = rss;
		dpdk->port.features |= PORT_FLOW_STABLE;
	}
	dpdk->prepare = dpdk->port.features & PORT_TX_CHECKSUM;
}

static uint16_t
least(uint32_t a, uint32_t b)
{
	return (uint16_t)(a < b ? a : b);
}

static int
queues_choose(struct dpdk_port *dpdk, const struct port_config *config, unsigned int workers, char *error, size_t size)
{
	uint16_t most = least(dpdk->info.max_rx_queues, dpdk->info.max_tx_queues);

	if (most == 0)
		return port_fail(error, size, -ENODEV,
				 "interface %s: DPDK's driver %s has no queues in both directions", config->name,
				 dpdk->info.driver_name);
	most = least(least(most, PORT_QUEUES_MAX), workers);
	dpdk->port.queues = config->queues ? least(config->queues, most) : most;
	if (config->queues > most)
		log_error(LOG_WARN,
			  "interface %s: %u queues instead of %u: the device has %u, and there are %u workers",
			  config->name, most, config->queues, least(dpdk->info.max_rx_queues, dpdk->info.max_tx_queues),
			  workers);
	return 0;
}

static int
mtu_choose(struct dpdk_port *dpdk, const struct port_config *config, char *error, size_t size)
{
	/* What arrives must fit into one buffer: stages read the first segment only. */
	uint32_t room =
		rte_pktmbuf_data_room_size(dpdk->pool) - RTE_PKTMBUF_HEADROOM - RTE_ETHER_HDR_LEN - RTE_VLAN_HLEN;
	uint16_t mtu = RTE_ETHER_MTU;

	rte_eth_dev_get_mtu(dpdk->id, &mtu);
	if (config->mtu)
		mtu = config->mtu;
	else
		mtu = least(mtu, room);
	if (mtu > room || mtu > dpdk->info.max_mtu || mtu < dpdk->info.min_mtu)
		return port_fail(
			error, size, -EINVAL,
			"interface %s: mtu %u is not possible: the device takes %u to %u, the packet buffers %u",
			config->name, mtu, dpdk->info.min_mtu, dpdk->info.max_mtu, room);
	dpdk->port.mtu = mtu;
	return 0;
}

static int
queues_setup(struct dpdk_port *dpdk, char *error, size_t size)
{
	int socket = rte_eth_dev_socket_id(dpdk->id);
	uint16_t rx = dpdk->rx_descriptors, tx = dpdk->tx_descriptors;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(dpdk->id, &rx, &tx);

	if (rc < 0)
		return device_fail(dpdk, "number of descriptors", rc, error, size);
	for (uint16_t queue = 0; queue < dpdk->port.queues; queue++) {
		rc = rte_eth_rx_queue_setup(dpdk->id, queue, rx, (unsigned int)socket, NULL, dpdk->pool);
		if (rc < 0)
			return device_fail(dpdk, "receive queue", rc, error, size);
		rc = rte_eth_tx_queue_setup(dpdk->id, queue, tx, (unsigned int)socket, NULL);
		if (rc < 0)
			return device_fail(dpdk, "transmit queue", rc, error, size);
	}
	return 0;
}

/* Drivers accept intr_conf.rxq whether or not they have such interrupts; some that have them fail to start. */
static int
device_configure(struct dpdk_port *dpdk, bool interrupts, char *error, size_t size)
{
	struct rte_eth_conf conf = { .rxmode = { .mtu = dpdk->port.mtu }, .intr_conf = { .rxq = interrupts } };
	uint16_t mtu;
	int rc;

	conf.intr_conf.lsc = *dpdk->info.dev_flags & RTE_ETH_DEV_INTR_LSC ? 1 : 0;
	features_choose(dpdk, &conf);
	dpdk->interrupts = interrupts;
	rc = rte_eth_dev_configure(dpdk->id, dpdk->port.queues, dpdk->port.queues, &conf);
	if (rc < 0)
		return device_fail(dpdk, "configuration", rc, error, size);
	dpdk->configured = true;
	rc = queues_setup(dpdk, error, size);
	if (rc < 0)
		return rc;
	/* Drivers that cannot change it have none to change; one that has another is asked. */
	if (rte_eth_dev_set_mtu(dpdk->id, dpdk->port.mtu) < 0 && rte_eth_dev_get_mtu(dpdk->id, &mtu) == 0 &&
	    mtu < dpdk->port.mtu)
		return port_fail(error, size, -EINVAL, "interface %s: DPDK's driver %s cannot set mtu %u, it has %u",
				 dpdk->port.name, dpdk->info.driver_name, dpdk->port.mtu, mtu);
	return 0;
}

/* ---- link ---- */

/* A TAP's interface may have been moved into another network namespace, as its driver sees it no more and says "down". */
static bool
interface_has_left(const struct dpdk_port *dpdk)
{
	char name[IF_NAMESIZE];

	return dpdk->info.if_index && !if_indextoname(dpdk->info.if_index, name);
}

static bool
link_read(const struct dpdk_port *dpdk)
{
	struct rte_eth_link link = { 0 };

	if (rte_eth_link_get_nowait(dpdk->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
		return true;
	return interface_has_left(dpdk);
}

/* From DPDK's interrupt thread too. */
static void
link_follow(struct dpdk_port *dpdk)
{
	bool up = link_read(dpdk);

	port_twin_carrier(dpdk->twin, up);
	if (__atomic_exchange_n(&dpdk->link_up, up, __ATOMIC_RELAXED) != up)
		log_error(LOG_NOTICE, "interface %s: link is %s", dpdk->port.name, up ? "up" : "down");
}

static int
link_changed(uint16_t id, enum rte_eth_event_type event, void *argument, void *unused)
{
	link_follow(argument);
	return 0;
}

/* ---- start and stop ---- */

static bool
is_eventfd(int fd)
{
	char path[32], target[32] = { 0 };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "anon_inode:[eventfd]") == 0;
}

/* Asking is the only way to know, and ethdev calls a "no" an error. */
static void
wait_fds_find(struct dpdk_port *dpdk)
{
	int log_type = rte_log_register("lib.ethdev"), level = rte_log_get_level(log_type);

	rte_log_set_level((uint32_t)log_type, RTE_LOG_EMERG);
	for (uint16_t queue = 0; queue < dpdk->port.queues; queue++) {
		struct dpdk_queue *q = &dpdk->queues[queue];

		q->wait_fd = dpdk->interrupts ? rte_eth_dev_rx_intr_ctl_q_get_fd(dpdk->id, queue) : -1;
		if (q->wait_fd < 0)
			q->wait_fd = -1;
		q->wait_fd_counts = q->wait_fd >= 0 && is_eventfd(q->wait_fd);
		/* Not every interrupt that a driver has comes: e1000e's receive queues have none in MSI-X mode. */
		q->wait_proven = !q->wait_fd_counts;
	}
	rte_log_set_level((uint32_t)log_type, (uint32_t)level);
}

/* Not every driver says its key and table. */
static void
rss_find(struct dpdk_port *dpdk)
{
	if (dpdk->port.queues == 1)
		dpdk->port.rss = &port_rss_one_queue;
	else if (dpdk->port.features & PORT_FLOW_STABLE && port_rss_read(&dpdk->rss, dpdk->id) == 0)
		dpdk->port.rss = &dpdk->rss;
}

static int
dpdk_start(struct port *port, char *error, size_t size)
{
	struct dpdk_port *dpdk = dpdk_of(port);
	int rc = rte_eth_dev_start(dpdk->id);

	if (rc < 0 && dpdk->interrupts) {
		rc = device_configure(dpdk, false, error, size);
		if (rc < 0)
			return rc;
		rc = rte_eth_dev_start(dpdk->id);
	}
	if (rc < 0)
		return device_fail(dpdk, "start", rc, error, size);
	dpdk->started = true;
	/* Unicast to its own address is what a device receives anyhow; neighbour discovery and the kernel's other protocols
	 * need multicast. A device that cannot filter receives all without being asked. */
	if (rte_eth_allmulticast_enable(dpdk->id) < 0 && rte_eth_promiscuous_enable(dpdk->id) < 0)
		log_error(LOG_INFO, "interface %s: DPDK's driver %s has no filter by MAC address", port->name,
			  dpdk->info.driver_name);
	wait_fds_find(dpdk);
	rss_find(dpdk);
	rte_eth_dev_callback_register(dpdk->id, RTE_ETH_EVENT_INTR_LSC, link_changed, dpdk);
	dpdk->link_up = link_read(dpdk);
	port_twin_carrier(dpdk->twin, dpdk->link_up);
	dpdk->interrupt_told = dpdk->queues[0].wait_proven;
	log_error(LOG_NOTICE, "interface %s: link is %s, idle workers %s", port->name, dpdk->link_up ? "up" : "down",
		  dpdk->queues[0].wait_fd < 0      ? "look after it in short naps"
		  : dpdk->queues[0].wait_fd_counts ? "look after it in short naps until its interrupt has come once"
						   : "sleep until it has packets");
	return 0;
}

static void
dpdk_free(struct port *port)
{
	struct dpdk_port *dpdk = dpdk_of(port);

	if (dpdk->started) {
		rte_eth_dev_callback_unregister(dpdk->id, RTE_ETH_EVENT_INTR_LSC, link_changed, dpdk);
		rte_eth_dev_stop(dpdk->id);
	}
	if (dpdk->attached)
		dpdk_device_detach(dpdk->id);
	port_twin_free(dpdk->twin);
	free(dpdk);
}

/* ---- packets ---- */

static uint16_t
dpdk_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	return rte_eth_rx_burst(dpdk_of(port)->id, queue, out, max);
}

/* Drivers want pseudo-header sums and other things as they define them. Packets that they refuse are dropped. */
static uint16_t
packets_prepare(struct dpdk_port *dpdk, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	uint16_t ready = 0, refused = 0;

	while (ready + refused < count) {
		uint16_t left = (uint16_t)(count - refused - ready);

		ready = (uint16_t)(ready + rte_eth_tx_prepare(dpdk->id, queue, m + ready, left));
		if (ready + refused == count)
			break;
		rte_pktmbuf_free(m[ready]);
		memmove(m + ready, m + ready + 1, (size_t)(count - refused - ready - 1) * sizeof(*m));
		refused++;
	}
	port_count(&dpdk->port, queue, PORT_TX_FULL, refused);
	return ready;
}

static void
dpdk_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	struct dpdk_port *dpdk = dpdk_of(port);
	uint32_t bytes[PORT_BURST];
	uint64_t sent_bytes = 0;

	if (dpdk->prepare)
		count = packets_prepare(dpdk, queue, m, count);
	while (count) {
		uint16_t part = least(count, PORT_BURST), sent;

		/* A sent mbuf may be another's already. */
		for (uint16_t i = 0; i < part; i++)
			bytes[i] = m[i]->pkt_len;
		sent = rte_eth_tx_burst(dpdk->id, queue, m, part);
		for (uint16_t i = 0; i < sent; i++)
			sent_bytes += bytes[i];
		port_count(port, queue, PORT_TX_PACKETS, sent);
		rte_pktmbuf_free_bulk(m + sent, (unsigned int)(part - sent));
		port_count(port, queue, PORT_TX_FULL, (uint64_t)(part - sent));
		m += part;
		count = (uint16_t)(count - part);
	}
	port_count(port, queue, PORT_TX_BYTES, sent_bytes);
}

/* ---- sleep ---- */

static int
dpdk_wait_fd(struct port *port, uint16_t queue)
{
	return dpdk_of(port)->queues[queue].wait_fd;
}

static void
dpdk_disarm(struct port *port, uint16_t queue)
{
	struct dpdk_port *dpdk = dpdk_of(port);
	uint64_t count;

	rte_eth_dev_rx_intr_disable(dpdk->id, queue);
	/* Not so the TAP driver's, which is the interface itself. */
	if (dpdk->queues[queue].wait_fd_counts && read(dpdk->queues[queue].wait_fd, &count, sizeof(count)) > 0)
		__atomic_store_n(&dpdk->queues[queue].wait_proven, true, __ATOMIC_RELAXED);
}

static bool
dpdk_wait_proven(struct port *port, uint16_t queue)
{
	return __atomic_load_n(&dpdk_of(port)->queues[queue].wait_proven, __ATOMIC_RELAXED);
}

static bool
dpdk_arm(struct port *port, uint16_t queue)
{
	struct dpdk_port *dpdk = dpdk_of(port);

	/* The TAP driver has nothing to enable and says ENOTSUP; its fd tells by itself. */
	rte_eth_dev_rx_intr_enable(dpdk->id, queue);
	if (rte_eth_rx_queue_count(dpdk->id, queue) <= 0)
		return true;
	dpdk_disarm(port, queue);
	return false;
}

static bool
dpdk_link_up(struct port *port)
{
	return __atomic_load_n(&dpdk_of(port)->link_up, __ATOMIC_RELAXED);
}

static void
dpdk_refresh(struct port *port)
{
	struct dpdk_port *dpdk = dpdk_of(port);
	struct rte_eth_stats stats;

	link_follow(dpdk);
	if (!dpdk->interrupt_told && dpdk_wait_proven(port, 0)) {
		dpdk->interrupt_told = true;
		log_error(LOG_NOTICE, "interface %s: its interrupt works, idle workers sleep until it", port->name);
	}
	if (rte_eth_stats_get(dpdk->id, &stats) < 0)
		return;
	/* The device's, not a queue's: told with the first. */
	port->counters[0].values[PORT_RX_MISSED] = stats.imissed;
	port->counters[0].values[PORT_RX_NO_MBUF] = stats.rx_nombuf;
}

/* ---- the kernel ---- */

/* A bucket of tokens, kept as the time at which it was empty. */
static bool
token_take(const struct dpdk_port *dpdk, struct dpdk_queue *queue)
{
	uint64_t now = rte_rdtsc();

	if (now - queue->tokens_at > dpdk->bucket_cycles)
		queue->tokens_at = now - dpdk->bucket_cycles;
	if (now - queue->tokens_at < dpdk->token_cycles)
		return false;
	queue->tokens_at += dpdk->token_cycles;
	return true;
}

static void
dpdk_to_kernel(struct port *port, uint16_t queue, struct rte_mbuf *m)
{
	struct dpdk_port *dpdk = dpdk_of(port);
	const struct packet_view *view = packet_view(m);
	bool taken = token_take(dpdk, &dpdk->queues[queue]);

	/* The TAP verifies sums, also those that a local sender has left to its device. */
	if (taken && view->flags & PACKET_L4_CHECKSUM_PARTIAL)
		packet_checksum_fill(m, view->l3_offset);
	taken = taken && port_twin_write(dpdk->twin, m);
	port_count(port, queue, taken ? PORT_TO_KERNEL : PORT_TO_KERNEL_DROP, 1);
	rte_pktmbuf_free(m);
}

static uint16_t
dpdk_from_kernel(struct port *port, uint16_t queue)
{
	struct rte_mbuf *packets[FROM_KERNEL_BURST];
	uint16_t count = port_twin_read(dpdk_of(port)->twin, packets, FROM_KERNEL_BURST);

	if (count) {
		port_count(port, queue, PORT_FROM_KERNEL, count);
		port_tx_burst(port, queue, packets, count);
	}
	return count;
}

static int
dpdk_kernel_fd(struct port *port)
{
	return port_twin_fd(dpdk_of(port)->twin);
}

static const struct port_ops dpdk_ops = {
	.kind = "dpdk",
	.start = dpdk_start,
	.free = dpdk_free,
	.rx_burst = dpdk_rx_burst,
	.tx_burst = dpdk_tx_burst,
	.wait_fd = dpdk_wait_fd,
	.arm = dpdk_arm,
	.disarm = dpdk_disarm,
	.wait_proven = dpdk_wait_proven,
	.link_up = dpdk_link_up,
	.refresh = dpdk_refresh,
	.to_kernel = dpdk_to_kernel,
	.from_kernel = dpdk_from_kernel,
	.kernel_fd = dpdk_kernel_fd,
};

/* ---- making it ---- */

static int
twin_make(struct dpdk_port *dpdk, const struct port_config *config, uint16_t index, char *error, size_t size)
{
	char name[16], reason[192];
	int rc;

	snprintf(name, sizeof(name), "weir%u", index);
	rc = port_twin_new(config->twin ? config->twin : name, &dpdk->port.mac, dpdk->port.mtu, config->addresses,
			   dpdk->pool, &dpdk->twin, reason, sizeof(reason));
	if (rc < 0)
		return port_fail(error, size, rc, "interface %s: %s", config->name, reason);
	dpdk->port.ifindex = port_twin_ifindex(dpdk->twin);
	snprintf(dpdk->port.interface_name, sizeof(dpdk->port.interface_name), "%s", port_twin_name(dpdk->twin));
	return 0;
}

static void
say_what_was_chosen(const struct dpdk_port *dpdk)
{
	uint32_t features = dpdk->port.features;

	log_error(LOG_NOTICE, "interface %s: DPDK's driver %s, %u queue%s%s, mtu %u, checksums by %s, twin %s",
		  dpdk->port.name, dpdk->info.driver_name, dpdk->port.queues, dpdk->port.queues > 1 ? "s" : "",
		  dpdk->port.queues == 1        ? ""
		  : features & PORT_FLOW_STABLE ? " with RSS"
						: " without RSS",
		  dpdk->port.mtu, features & PORT_TX_CHECKSUM ? "the device" : "Weir", dpdk->port.interface_name);
	if (strcmp(dpdk->info.driver_name, "net_af_packet") == 0)
		log_error(LOG_NOTICE,
			  "interface %s: net_af_packet cuts off frames longer than its framesz; turn GRO, GSO and TSO "
			  "off "
			  "on that interface and on the sender's",
			  dpdk->port.name);
}

static int
port_setup(struct dpdk_port *dpdk, const struct port_config *config, const struct port_environment *environment,
	   uint16_t index, char *error, size_t size)
{
	int rc = rte_eth_dev_info_get(dpdk->id, &dpdk->info);

	if (rc < 0)
		return port_fail(error, size, rc, "interface %s: DPDK does not tell about the device: %s", config->name,
				 rte_strerror(-rc));
	rc = queues_choose(dpdk, config, environment->workers, error, size);
	if (rc == 0)
		rc = mtu_choose(dpdk, config, error, size);
	if (rc == 0)
		rc = device_configure(dpdk, true, error, size);
	if (rc < 0)
		return rc;
	if (rte_eth_macaddr_get(dpdk->id, &dpdk->port.mac) < 0 || !rte_is_valid_assigned_ether_addr(&dpdk->port.mac))
		rte_eth_random_addr(dpdk->port.mac.addr_bytes);
	return twin_make(dpdk, config, index, error, size);
}

int
port_dpdk_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
	      struct port **out, char *error, size_t size)
{
	struct dpdk_port *dpdk = aligned_alloc(64, sizeof(*dpdk));
	int rc;

	if (!dpdk)
		return port_fail(error, size, -ENOMEM, "interface %s: out of memory", config->name);
	memset(dpdk, 0, sizeof(*dpdk));
	dpdk->port.ops = &dpdk_ops;
	snprintf(dpdk->port.name, sizeof(dpdk->port.name), "%.*s", (int)strcspn(config->name, ","), config->name);
	dpdk->pool = environment->pool;
	dpdk->rx_descriptors = config->rx_descriptors ? config->rx_descriptors : DESCRIPTORS;
	dpdk->tx_descriptors = config->tx_descriptors ? config->tx_descriptors : DESCRIPTORS;
	dpdk->token_cycles = rte_get_timer_hz() / TO_KERNEL_PER_SECOND;
	dpdk->bucket_cycles = dpdk->token_cycles * TO_KERNEL_BURST;
	rc = dpdk_device_attach(config->name, &dpdk->id, error, size);
	dpdk->attached = rc == 0;
	if (rc == 0)
		rc = port_setup(dpdk, config, environment, index, error, size);
	if (rc < 0) {
		dpdk_free(&dpdk->port);
		return rc;
	}
	say_what_was_chosen(dpdk);
	*out = &dpdk->port;
	return 0;
}
