/*
 * What the parts of forward.bpf.h have in common: its maps, which user space writes as well (forward.h), and what is known of a
 * packet on its way.
 */
#ifndef XDP_FORWARD_SHARED_BPF_H
#define XDP_FORWARD_SHARED_BPF_H

#include "base/hash.h"
#include "xdp/forward.h"

#define NS_PER_SECOND 1000000000ull
#define ETHERNET_LEN 14
#define IPV4_LEN 20
#define IPV6_LEN 40
#define UDP_LEN 8
#define GUE_LEN 12 /* with its UDP header */
#define TCP_LEN 20
#define TCP_NEWS (L4_TCP_FIN | L4_TCP_SYN | L4_TCP_RST)
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_ANY_FRAGMENT 0x3fff
#define TUNNEL_TTL 64
#define GUE_PORT_FIRST 0xc000
#define GUE_PORT_MASK 0x3fff

/* In place of XDP's actions: the packet is as it was, and the caller's. */
#define FORWARD_UP(reason) (-(int)XDP_COUNT_##reason)

/* The numbers of entries are user space's, before the object is loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct l4_flow_pair);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct l4_target_use);
} uses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct xdp_hop);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct xdp_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct xdp_traffic);
} traffic SEC(".maps");

struct choice_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct xdp_choice));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, XDP_CHOICES);
	__type(key, __u32);
	__array(values, struct choice_map);
} choices SEC(".maps");

/* Set before the program is loaded: without packet-level services the verifier, and the program, have nothing to do with
 * forwarding. */
const volatile bool forwards;
volatile struct xdp_settings settings;
volatile struct xdp_lane lanes[XDP_WORKERS_MAX];

/* Written before anything is forwarded by it. */
#define HASH_KEY ((const struct flow_hash_key *)&settings.hash_key)

/*
 * A function that the verifier looks at by itself, once, instead of from every state that it may be called in: what keeps the
 * program's start quick. It knows nothing of its caller's pointers but that they may be NULL, and passes none back.
 */
#define APART __attribute__((noinline))

/* What a packet says that is for here. */
struct plain {
	struct ip_address source, destination;
	__u32 ports; /* as they lie in the header: the source's first */
	__u32 hash;
	__u16 ip_len;
	__u16 now_s;
	__u8 ip_protocol, tcp_flags, ttl, v6;
	__u32 excess; /* bytes behind the packet: a short frame's padding */
	/* Of IPv4. */
	__u16 fragment_be, identification_be;
	__u8 tos;
};

struct known {
	struct l4_flow *flow;
	const struct xdp_target *target;
	__u64 head; /* l4_flow_head(), as it was */
	__u32 lane;
};

/* Of a flow that has one entry, which is all that there is to know of it. */
static __always_inline bool
is_one_way(const struct xdp_target *target)
{
	return target->forward < XDP_FORWARD_NAT;
}

#endif
