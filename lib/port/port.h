/*
 * Ports give and take bursts of mbufs. Two kinds: any DPDK ethdev, and AF_XDP on a kernel interface. Everything above is
 * the same for both.
 *
 * Control creates, starts, stops and frees ports. After port_start(), queue i of every port is polled by worker i alone
 * (queues are at most the workers; a port with fewer queues than workers is polled by the first ones). Counters are per
 * queue, written by its worker.
 *
 * Checksums: received packets carry what the device verified in ol_flags. For sending, callers set ol_flags and lengths
 * as DPDK defines them (l2_len, l3_len, l4_len); port_tx_burst() fills in software what the device cannot.
 *
 * Segmentation: a TCP packet longer than the MTU may be sent with RTE_MBUF_F_TX_TCP_SEG and tso_segsz on every port. It
 * is cut up by the device, by the kernel, or by port_tx_burst().
 */
#ifndef PORT_PORT_H
#define PORT_PORT_H

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define PORTS_MAX 32
#define PORT_QUEUES_MAX 64
#define PORT_BURST 64

struct xdp_program;
struct port_ops;
struct port_rss;

enum port_feature {
	PORT_TX_CHECKSUM = 1 << 0, /* IPv4, TCP and UDP sums by the device */
	PORT_TX_SEGMENTS = 1 << 1, /* takes mbuf chains */
	PORT_TX_TSO = 1 << 2,      /* cuts up TCP packets, which may be chains */
	PORT_RX_CHECKSUM = 1 << 3,
	PORT_FLOW_STABLE = 1 << 4, /* RSS: all packets of a flow come in on one queue */
	PORT_LOOPBACK = 1 << 5,    /* lo: no neighbours, frames with zero addresses come back in */
	PORT_XDP_SEND = 1 << 6,    /* the XDP program may send frames through it (control may change it at any time) */
	PORT_XDP_BOUNCE = 1 << 7,  /* ... and by XDP_TX, what came in through it */
};

struct port {
	const struct port_ops *ops;
	char name[64];           /* as configured: "eth0", "0000:01:00.0", "vdev:net_memif0" */
	uint16_t index;          /* position in the topology's table */
	int ifindex;             /* the kernel interface that carries the addresses: itself under XDP, else the twin */
	bool gone;               /* that interface has gone away; only control looks at this */
	char interface_name[16]; /* of that ifindex */
	struct rte_ether_addr mac;
	uint16_t mtu; /* of the IP packet */
	uint16_t queues;
	uint16_t tx_segments_max; /* mbufs of a chain that the device takes; 0: any number */
	/* Which queue a flow's packets come in on (port/rss.h), from when it is started; NULL: the device does not say. */
	const struct port_rss *rss;
	uint32_t features;                    /* enum port_feature; PORT_TX_TSO may change at any time (control) */
	struct port_queue_counters *counters; /* [queues] */
};

#define PORT_COUNTERS(ROW)                                                                                             \
	ROW(RX_PACKETS, "rx_packets")                                                                                  \
	ROW(RX_BYTES, "rx_bytes")                                                                                      \
	ROW(RX_NO_MBUF, "rx_no_mbuf")                                                                                  \
	ROW(RX_OVERSIZE, "rx_oversize") /* longer than a packet buffer */                                              \
	ROW(RX_MISSED, "rx_missed")     /* the queue was full: lost before Weir saw it */                              \
	ROW(TX_PACKETS, "tx_packets")                                                                                  \
	ROW(TX_BYTES, "tx_bytes")                                                                                      \
	ROW(TX_FULL, "tx_full")           /* the queue did not take it: dropped */                                     \
	ROW(TX_SEGMENTED, "tx_segmented") /* given to the device, or the kernel, to be cut up; also in tx_packets */   \
	ROW(TX_CALLS, "tx_calls")         /* system calls to send (AF_XDP) */                                          \
	ROW(TO_KERNEL, "to_kernel")       /* through the twin */                                                       \
	ROW(TO_KERNEL_DROP, "to_kernel_drop") /* more than the twin may have, or took */                               \
	ROW(FROM_KERNEL, "from_kernel")

enum port_counter {
#define ROW(name, text) PORT_##name,
	PORT_COUNTERS(ROW)
#undef ROW
		PORT_COUNTER_COUNT
};
extern const char *const port_counter_names[PORT_COUNTER_COUNT];

struct port_queue_counters {
	_Alignas(64) uint64_t values[PORT_COUNTER_COUNT];
};

struct port_ops {
	const char *kind; /* "xdp", "dpdk" */
	int (*start)(struct port *port, char *error, size_t size);
	void (*free)(struct port *port); /* stops first; restores whatever it changed on the host */
	/* See port_is_gone() and port_close(). NULL where there is no interface that could go away. */
	bool (*is_gone)(const struct port *port);
	void (*close)(struct port *port);
	uint16_t (*rx_burst)(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max);
	/* Takes ownership of all `count`, sent or not. */
	void (*tx_burst)(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count);
	/* For run/loop, once started: an fd that polls readable when packets have come after arm(), -1 when the device
	 * has none. */
	int (*wait_fd)(struct port *port, uint16_t queue);
	/* Asks to be told; false when packets are already there. NULL with wait_fd -1. */
	bool (*arm)(struct port *port, uint16_t queue);
	void (*disarm)(struct port *port, uint16_t queue);
	/* False as long as it is not known whether the fd tells: then the worker looks after the queue now and then as well.
	 * Asked after disarm(); once true it stays true. NULL: it tells. */
	bool (*wait_proven)(struct port *port, uint16_t queue);
	bool (*link_up)(struct port *port);
	/* Control: brings counters that the device or the kernel keeps up to date. NULL where there are none. */
	void (*refresh)(struct port *port);
	/* See port_to_kernel() and the two after it. NULL where the kernel has the interface itself. */
	void (*to_kernel)(struct port *port, uint16_t queue, struct rte_mbuf *m);
	uint16_t (*from_kernel)(struct port *port, uint16_t queue);
	int (*kernel_fd)(struct port *port);
};

/* What `interface NAME { }` says, and what it stands for where nothing is said. */
struct port_config {
	const char *name;
	enum { PORT_DRIVER_AUTO, PORT_DRIVER_DPDK, PORT_DRIVER_XDP } driver;
	enum { PORT_XDP_AUTO, PORT_XDP_NATIVE, PORT_XDP_GENERIC } xdp_mode;
	uint16_t queues;                         /* 0: as many as workers, or as the device has */
	uint16_t mtu;                            /* 0: the device's */
	uint16_t rx_descriptors, tx_descriptors; /* 0: what suits the driver */
	const char *twin;                        /* name of the TAP twin; NULL: made up ("weir0"); DPDK only */
	const char *const *addresses;            /* "10.0.0.1/24", put on the twin; ends with NULL; may be NULL */
};

struct port_environment {
	unsigned int workers;
	struct rte_mempool *pool;    /* made by port_pool_new() */
	struct xdp_program *program; /* for XDP ports */
	/* Received TCP packets had better be as long as their sender made them: longer than the MTU, where nobody had to
	 * cut them up yet. They may be anyway (AF_XDP, generic mode). */
	bool long_packets;
};

/* The longest IP packet that one buffer of an AF_XDP port can hold, as it must fit into a page. Since Linux 6.6 a packet
 * may have several buffers, and comes as a chain. */
#define PORT_XDP_MTU_MAX 3566

/* Where packet buffers lie. */
enum port_memory {
	PORT_MEMORY_PAGES, /* in large pages of their own (base/pages.h): for all that copies, AF_XDP ports among them */
	PORT_MEMORY_EAL,   /* in EAL's memory, which DPDK's devices have mapped and share with others (virtio_user) */
};

/* The packet pool: PACKET_PRIVATE_SIZE, data room for a frame of `mtu_max`, memory that can be an AF_XDP UMEM as it is
 * (up to PORT_XDP_MTU_MAX; packet buffers for 1518 take 2 KB, above that 4 KB). An AF_XDP port whose interface has a
 * larger MTU, as `lo`, has for its mtu what a packet's buffers hold. Freed with rte_mempool_free() after all ports. */
struct rte_mempool *port_pool_new(uint32_t mbufs, uint16_t mtu_max, enum port_memory memory, char *error, size_t size);

/*
 * Which driver `auto` means: "vdev:..." and PCI addresses are DPDK's, interface names XDP's. Creates and configures the
 * port (not yet started). 0 or -errno with a complete reason in `error`. What was chosen and why is logged at notice.
 */
int port_new(const struct port_config *config, const struct port_environment *environment, uint16_t index,
	     struct port **out, char *error, size_t size);
int port_start(struct port *port, char *error, size_t size);
void port_free(struct port *port);

/*
 * An interface may go away for good under its port: a new one of its name is another, for another port. Control asks; once it
 * is gone, ifindex is that of no interface. When no worker polls the port or sends through it any more, port_close() gives
 * back all that it has, once: the port stays, with its name, index and counters, for those who refer to it.
 */
bool port_is_gone(struct port *port);
void port_close(struct port *port);

/* True when the name needs DPDK's PCI bus or a virtual device, so that EAL is set up for it. */
bool port_name_is_dpdk(const char *name);
/* True when the port is to be an AF_XDP one. */
bool port_is_xdp(const struct port_config *config);

/* Control, about once a second and before counters are read: link changes are logged, and what the device and the kernel
 * count (RX_MISSED, RX_OVERSIZE) is brought into the counters. */
void port_refresh(struct port *port);

uint16_t port_rx_burst(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max);
/* Software fallback for missing offloads, then the device. Takes ownership of all. */
void port_tx_burst(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count);

/* DPDK ports: a packet that Weir does not serve goes to the kernel by way of the twin (takes ownership); under XDP such
 * packets were never ours and this drops. And what the kernel sends through the twin leaves through the port: called by
 * worker 0 once per round, returns the number of packets moved. */
void port_to_kernel(struct port *port, uint16_t queue, struct rte_mbuf *m);
uint16_t port_from_kernel(struct port *port, uint16_t queue);
/* fd of the twin to sleep on, -1 where there is none. */
int port_kernel_fd(struct port *port);

#endif
