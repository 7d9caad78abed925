/*
 * What the BPF program and user space share: keys, values and limits of the maps. Seen by both compilers, so it uses the
 * kernel's types only. Addresses are IPv4-mapped as in base/address.h, ports in network order, unused bytes zero.
 */
#ifndef XDP_MAPS_H
#define XDP_MAPS_H

#include <linux/types.h>

/* A reload holds the old and the new set at the same time, so half of these may be served. */
#define XDP_SERVICES_MAX 16384
#define XDP_SERVERS_MAX 131072
#define XDP_LOCALS_MAX 16384
/* AF_XDP sockets over all interfaces and queues. */
#define XDP_SOCKETS_MAX 1024

#define XDP_PORTS 65536

struct xdp_address {
	__u32 words_be[4];
};

/* In place of a protocol: later fragments of any, which have no ports (the number of IPv6's fragment header). */
#define XDP_LATER_FRAGMENTS 44

struct xdp_service_key {
	struct xdp_address address;
	__u16 port_be; /* 0: every port */
	__u8 ip_protocol;
	__u8 unused;
};

/* Which packets of a server are answers to Weir; also what ports_used says of a local port. */
enum xdp_answers {
	XDP_ANSWERS_NONE,
	XDP_ANSWERS_TO_STACK,   /* to a local port that a TCP stack has in use */
	XDP_ANSWERS_TO_FORWARD, /* to a local port that forwarding has for its own */
	XDP_ANSWERS_TO_CLIENTS, /* to addresses that this host has not */
	/* None: it is a tunnel's end, and errors about packets to it are Weir's. ip_protocol and port_be are the outer packet's,
	 * port 0 without UDP. */
	XDP_ANSWERS_BY_ERRORS,
};

struct xdp_server_key {
	struct xdp_address address;
	__u16 port_be; /* 0: every port, of what is forwarded only */
	__u8 ip_protocol;
	__u8 answers; /* enum xdp_answers */
};

struct xdp_queue_key {
	__u32 ifindex;
	__u32 queue;
};

/* Who is behind a queue. */
struct xdp_slot {
	__u32 socket;
	__u16 worker;
	__u8 stable; /* the flows that come in here are that worker's (PORT_FLOW_STABLE) */
	__u8 unused;
};

/* Whose a packet is. */
enum xdp_owner {
	XDP_OWNER_KERNEL,
	XDP_OWNER_STACK,      /* TCP's */
	XDP_OWNER_FORWARDING, /* packet by packet */
};

/* Of a service in its map. */
struct xdp_served {
	__u8 owner; /* enum xdp_owner; never the kernel */
	__u8 unused;
	__u16 service; /* whose new flows the program places (forward.h); 0: none's */
};

#endif
