/*
 * What the XDP program forwards by, in memory that it shares with the workers: for both compilers.
 *
 *     flows     [workers][pairs]          the flow tables (xdp/flow.h): written by each one's worker
 *     uses      [workers][XDP_TARGETS]    the way to each target, as its worker has found it
 *     hops      [workers][XDP_HOPS]       Ethernet headers by the number of the worker's hop: written by room net
 *     targets   [XDP_TARGETS]             servers and how they are reached: written by control
 *     choices   [XDP_CHOICES]             a map each, of one struct xdp_choice: who gets a service's new flows. Control makes
 *                                         a new one and puts it in the place of the old one
 *     traffic   [CPUs][XDP_TARGETS]       what the program has sent to each target: written by the program
 *     lanes     [workers]                 what changes all of a worker's hops at once
 *     settings                            written by control, before any of the above is used
 *
 * The program forwards packets of flows that are known and go on as they were, and the first ones of flows whose servers do
 * not answer through Weir: it chooses the server and makes the entry. For everything else it names a reason (xdp/outcome.h)
 * and hands the packet to the AF_XDP socket, whose worker decides as if there were no program. So nothing is decided here
 * that a worker would decide otherwise.
 */
#ifndef XDP_FORWARD_H
#define XDP_FORWARD_H

#include "balance/maglev.h"
#include "base/hash.h"
#include "base/ip_address.h"
#include "xdp/flow.h"

#define XDP_WORKERS_MAX 64
#define XDP_TARGETS 65536
#define XDP_HOPS 4096

/* How a target is reached, by what the forwarder's properties say (l4/forward.h). */
enum xdp_forward {
	XDP_FORWARD_NONE, /* not here */
	XDP_FORWARD_AS_IS,
	XDP_FORWARD_IN_IP,
	XDP_FORWARD_IN_UDP,
	XDP_FORWARD_NAT,
	XDP_FORWARD_FULL_NAT,
};

/*
 * Facts that do not change while a flow has the target, but for two: `forward` is 0 until all others are written and again
 * before any changes, and `serves` says whether the configuration still has the service (flows of one that it has not are
 * nobody's).
 */
struct xdp_target {
	struct ip_address server, local, vip;
	uint16_t server_port_be; /* 0: the packet's own */
	uint16_t gue_port_be;
	uint16_t service_port_first, service_port_last; /* host order */
	uint32_t timeout_s;
	uint8_t ip_protocol;
	uint8_t forward;         /* enum xdp_forward */
	uint8_t serves;          /* bool */
	uint8_t changes_content; /* bool: packets are more than readdressed (TOA, PROXY protocol), which is not for here */
	uint16_t growth[2];      /* bytes that a packet of IPv4, of IPv6 grows by */
	uint16_t service_id, mss_max;
	uint8_t options;    /* enum l4_option */
	uint8_t clamps_mss; /* bool: SYNs name no larger MSS than mss_max, or, where that is 0, than fits the way */
	uint8_t unused[6];
};

_Static_assert(sizeof(struct xdp_target) == 80, "few cache lines per target");

/* One lcore's knowledge of a target. */
struct l4_target_use {
	uint16_t hop, hop_generation; /* net/net.h; 0: to be found */
	uint32_t flows;               /* entries of the forward direction */
	uint64_t packets, bytes;      /* towards the server, as received */
};

_Static_assert(sizeof(struct l4_target_use) == 24, "small: one per target and lcore");

enum xdp_hop_flag {
	XDP_HOP_KNOWN = 1, /* there is a header and a link that is up */
	/* ... and nothing that user space has to do first: ask for the neighbour, let others go before. */
	XDP_HOP_READY = 2,
	/* What came in there may leave by XDP_TX: not through a veth, which tells its peer of such frames only when that has a
	 * program, while it takes redirected ones with GRO alone. */
	XDP_HOP_BOUNCES = 4,
};

/* Flags are 0 while anything else changes. */
struct xdp_hop {
	uint8_t header[12]; /* destination, source */
	uint32_t ifindex;
	uint16_t mtu;  /* of the IP packet */
	uint8_t flags; /* enum xdp_hop_flag */
	uint8_t unused[5];
};

_Static_assert(sizeof(struct xdp_hop) == 24, "small");

/* By the number of the service, which is not 0. */
#define XDP_CHOICES 4097
#define XDP_CHOICE_ENTRIES BALANCE_MAGLEV_SIZE_DEFAULT

/* What only a worker decides. Where there is none any more, the table below does for all. */
enum xdp_choice_flag {
	XDP_CHOICE_BY_ADDRESS = 1, /* the table is asked by the client's address alone */
	XDP_CHOICE_OPENS_UP = 2,   /* UDP, and TCP's SYN: another method than Maglev, or `syn_rate` */
	XDP_CHOICE_ALL_UP = 4,     /* `quic_affinity` */
	XDP_CHOICE_LIMITS = 8, /* `syn_rate`: without a worker a SYN makes no entry, as if there were one too many */
};

/* A service's Maglev table, with the numbers of targets in it; 0: what comes there goes up. */
struct xdp_choice {
	uint32_t flags; /* enum xdp_choice_flag */
	uint16_t targets[XDP_CHOICE_ENTRIES];
	uint16_t unused;
};

struct xdp_traffic {
	uint64_t packets, bytes;
};

struct xdp_lane {
	uint16_t hop_generation; /* net_hop_generation() of the worker */
	uint16_t path_mtu_least; /* of what ICMP errors have told; UINT16_MAX: of nothing */
	uint16_t observed;       /* bool: somebody wants to hear of every packet (trace), so none is forwarded here */
	uint16_t makes_flows;    /* bool: the program may make entries; not while they are being counted */
	uint16_t unused[28];
	uint64_t made; /* written by the program: places that it has taken of free ones */
	uint64_t unused_either[7];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct xdp_lane) == 128, "what each packet reads and what new flows write: two cache lines");

struct xdp_settings {
	uint64_t start_ns; /* CLOCK_MONOTONIC: when seconds began to be counted */
	uint64_t hash_seed;
	struct flow_hash_key hash_key; /* of hash_seed */
	uint32_t workers;              /* 0: nothing is forwarded here */
	uint32_t pair_count;
	uint32_t strides[L4_PAIRS_AWAY][L4_FLOW_STRIDES];
	uint8_t by_client; /* some service's flows belong to the worker of a hash of the client, in both directions */
	uint8_t outlives;  /* the program stays when Weir has gone */
	uint8_t unused[6];
};

#endif
