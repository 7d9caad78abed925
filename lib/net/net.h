/*
 * Linux's addresses, routes, neighbours and links, mirrored over rtnetlink, and the next hop of a packet.
 *
 * Linux is the control plane: Weir reads its tables and never writes them. A thread of control (net_mirror) listens to
 * rtnetlink and publishes immutable snapshots; lcores look up without locks and never wait. An unresolved neighbour is
 * asked of Linux (NTF_USE), while a bounded number of packets wait on the lcore.
 *
 * Main table and local table only (several tables are not needed); IPv4 and IPv6. Multipath routes: the destination's hash
 * selects the hop, by weight, so that packets to one destination keep together; hops whose link is down or whose neighbour
 * has failed are passed over.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "port/port.h"

/* ---- the mirror: control ---- */

struct net_mirror;

/* Reads everything once (so that a caller knows the host's addresses), then follows changes in a thread of its own once
 * net_mirror_start() is called. `changed`, if not NULL, is called from that thread after a new snapshot is published. */
int net_mirror_new(struct net_mirror **out, char *error, size_t size);
int net_mirror_start(struct net_mirror *mirror, void (*changed)(void *context), void *context);
void net_mirror_free(struct net_mirror *mirror);

/* Which ports exist, by the ifindex that carries their addresses. The array is copied. Control, also while running: returns
 * when lcores see the new ports only, so that one that is missing may be freed once they have flushed (a round later). */
void net_mirror_ports(struct net_mirror *mirror, struct port *const *ports, uint32_t count);

/*
 * Interfaces here are those that a port would be made for. For a VLAN interface (802.1Q, one tag) that is the one below it:
 * eth0 for an address or a route of eth0.10, as eth0's port carries its packets, tagged. Only where eth0.10 itself is a
 * port, it is eth0.10.
 */
/* The interface that has this address; 0 when none. */
int net_interface_of(const struct net_mirror *mirror, const struct ip_address *address);
/* The interface through which `remote` is reached (lo for addresses of this host), 0 when there is no route. */
int net_interface_towards(const struct net_mirror *mirror, const struct ip_address *remote);
/* Name of an interface; NULL when it is gone. Valid until the calling thread has asked for four more. */
const char *net_interface_name(const struct net_mirror *mirror, int ifindex);
/* Calls for every address of this host, with its interface. The callback must not ask the mirror. */
void net_each_address(const struct net_mirror *mirror,
		      void (*each)(void *context, int ifindex, const struct ip_address *address, uint8_t prefix_len),
		      void *context);

#define NET_MIRROR_COUNTERS(ROW)                                                                                       \
	ROW(TABLES, "tables")                   /* snapshots of links, addresses and routes */                         \
	ROW(NEIGHBOR_TABLES, "neighbor_tables") /* snapshots of neighbours */                                          \
	ROW(DUMPS, "dumps")                     /* times that something was read anew */                               \
	ROW(OVERRUNS, "overruns")               /* times that the kernel's events were lost */                         \
	ROW(ASKED, "neighbors_asked")           /* requests to Linux to resolve or confirm */                          \
	ROW(ASK_FAILED, "neighbors_ask_failed")
enum net_mirror_counter {
#define ROW(name, text) NET_MIRROR_COUNT_##name,
	NET_MIRROR_COUNTERS(ROW)
#undef ROW
		NET_MIRROR_COUNTER_COUNT
};
extern const char *const net_mirror_counter_names[NET_MIRROR_COUNTER_COUNT];
const uint64_t *net_mirror_counters(const struct net_mirror *mirror);

/* ---- a mirror of nothing: for replays, which have no Linux below them ---- */

struct net_fixed_address {
	struct ip_address ip;
	uint8_t prefix_len; /* of 32, or 128 */
};

struct net_fixed_neighbor {
	struct ip_address
		address; /* any: the gateway of what is not on the link, of both versions unless both have one */
	uint8_t mac[6];
};

/*
 * One port (with an ifindex, made up or not), its addresses and their links, and all neighbours there are. What is sent to
 * an unknown neighbour waits and is dropped as ever, by the time that net_output_flush() is told. Never changes;
 * net_mirror_start() is not called, and there is neither a thread nor a socket. 0 or -errno with a reason.
 */
int net_mirror_new_fixed(struct net_mirror **out, struct port *port, const struct net_fixed_address *addresses,
			 uint32_t address_count, const struct net_fixed_neighbor *neighbors, uint32_t neighbor_count,
			 char *error, size_t size);

/* ---- lookups: any lcore, between two quiescent states ---- */

/* True when the address is one of this host's. */
bool net_is_local(const struct net_mirror *mirror, const struct ip_address *address);

/* Source address and MTU towards `remote`: by the route's preferred source, else by the interface's first address of
 * fitting scope. False: no route, or it leaves through an interface that is not a port. */
bool net_route_source(const struct net_mirror *mirror, const struct ip_address *remote, struct ip_address *source,
		      uint16_t *mtu);

/* ---- sending: per lcore ---- */

struct net_output;

/* One per worker. Sends through queue `worker` of each port (modulo its queues is NOT used: ports with fewer queues than
 * workers get their packets through handover to worker `worker % queues`, by net_output_handover). */
struct net_output *net_output_new(struct net_mirror *mirror, unsigned int worker, uint64_t now_ns);
void net_output_free(struct net_output *output);
/* Where a packet goes whose port has no queue for this worker: takes ownership. Bound by the topology. */
void net_output_handover(struct net_output *output,
			 void (*send)(void *context, unsigned int worker, struct rte_mbuf *m), void *context);

/*
 * Routes `m` (data starts at the IP header, l3_len set): looks up the next hop by the destination, prepends Ethernet and
 * puts it into the port's burst. Takes ownership. No route, dead link, full waiting queue: dropped and counted by name.
 */
void net_output_send(struct net_output *output, struct rte_mbuf *m);
/* As net_output_send(), but towards `next`, a neighbour, whatever the packet's destination is. */
void net_output_via(struct net_output *output, struct rte_mbuf *m, const struct ip_address *next);
/* Puts a complete frame into the burst of a port. Takes ownership. */
void net_output_frame(struct net_output *output, struct port *port, struct rte_mbuf *m);
/* Sends the bursts. Retries packets whose neighbour has been resolved, drops those that waited longer than 3 s. Once per
 * round. Returns packets sent. */
unsigned int net_output_flush(struct net_output *output, uint64_t now_ns);
/* When a flush is needed although nothing was sent since (waiting packets); UINT64_MAX: never. */
uint64_t net_output_next_ns(const struct net_output *output);

/* ---- next hops by number: for those who forward, and keep the number with the flow ---- */

#define NET_HOPS_MAX 4096
#define NET_HOP_NONE 0

/*
 * A hop is a port, a neighbour and the finished Ethernet header, with the tag of a VLAN interface. Its number belongs to
 * this lcore and is its own for the lcore's life: header and port are brought up to date in place. Which hop a destination
 * has may change with Linux's routes; then the generation does, which is never 0, so that zeroed memory is out of date.
 */
uint16_t net_hop_generation(const struct net_output *output);
/* The hop of `destination`, its neighbour resolved or not. NET_HOP_NONE: no route, or more than NET_HOPS_MAX hops; then
 * net_output_send() counts the reason, or works without a number. */
uint16_t net_hop_find(struct net_output *output, const struct ip_address *destination);
/* Longest IP packet. */
uint16_t net_hop_mtu(const struct net_output *output, uint16_t hop);
/* Prepends the header and puts the packet (data starts at the IP header, not longer than the MTU) into the burst; one whose
 * neighbour is unresolved waits, as in net_output_send(). Takes ownership. */
void net_hop_send(struct net_output *output, uint16_t hop, struct rte_mbuf *m);
/* What `weirctl explain` says of it; false when there is no such hop. */
struct net_hop_facts {
	const struct port *port; /* NULL while the link is down */
	struct ip_address neighbor;
	struct rte_ether_addr source, destination;
	uint16_t vlan_id; /* 0: untagged */
	uint16_t mtu;
	bool resolved;
};
bool net_hop_describe(const struct net_output *output, uint16_t hop, struct net_hop_facts *out);

/*
 * Keeps finished headers, by number, and the generation in memory that the XDP program reads (xdp/forward.h); NET_HOPS_MAX of
 * the former. Once, before any hop is asked for; the memory outlives the output. Hops through a tag, on lo, or through a
 * port that takes no frames from XDP (PORT_XDP_SEND), are not for it.
 */
struct xdp_hop;
struct xdp_lane;
void net_output_share_hops(struct net_output *output, struct xdp_hop *hops, struct xdp_lane *lane);

#define NET_COUNTERS(ROW)                                                                                              \
	ROW(SENT, "sent")                                                                                              \
	ROW(NO_ROUTE, "drop_no_route")                                                                                 \
	ROW(NO_PORT, "drop_no_port")               /* the route leaves through an interface that Weir does not have */ \
	ROW(UNREACHABLE, "drop_unreachable_route") /* blackhole, unreachable, prohibit */                              \
	ROW(NEIGHBOR_WAIT, "neighbor_wait")                                                                            \
	ROW(NEIGHBOR_QUEUE_FULL, "drop_neighbor_queue_full")                                                           \
	ROW(NEIGHBOR_FAILED, "drop_neighbor_failed")                                                                   \
	ROW(TOO_BIG, "drop_too_big")                                                                                   \
	ROW(LINK_DOWN, "drop_link_down")
enum net_counter {
#define ROW(name, text) NET_COUNT_##name,
	NET_COUNTERS(ROW)
#undef ROW
		NET_COUNTER_COUNT
};
extern const char *const net_counter_names[NET_COUNTER_COUNT];
const uint64_t *net_output_counters(const struct net_output *output);

#endif
