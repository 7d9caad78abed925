/*
 * Packets of flows that are known, forwarded without leaving the kernel: see forward.h. Part of weir.bpf.c.
 *
 * What becomes of a packet here is what l4/burst.c, its forwarders and its next hop make of it, byte for byte; a test holds
 * the two together. In every doubt the packet is left as it is, and the reason returned.
 */
#ifndef XDP_FORWARD_BPF_H
#define XDP_FORWARD_BPF_H

#include "base/hash.h"
#include "xdp/forward.h"

#define NS_PER_SECOND 1000000000ull
#define ETHERNET_LEN 14
#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_LEN 20
#define UDP_LEN 8
#define GUE_LEN 12    /* with its UDP header */
#define TCP_NEWS 0x07 /* FIN, SYN, RST */
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_ANY_FRAGMENT 0x3fff
#define TUNNEL_TTL 64
#define GUE_PORT_FIRST 0xc000
#define GUE_PORT_MASK 0x3fff
#define OUTER_LEN_MAX (IPV6_LEN + GUE_LEN)

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

volatile struct xdp_settings settings;
volatile struct xdp_lane lanes[XDP_WORKERS_MAX];

/* Written before anything is forwarded by it. */
#define HASH_KEY ((const struct flow_hash_key *)&settings.hash_key)

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

/* ---- sums: RFC 1071, RFC 1624; words as they lie in memory ---- */

static __always_inline __u16
fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u64
sum_address(const struct ip_address *ip)
{
	return (ip->halves[0] & 0xffffffff) + (ip->halves[0] >> 32) + (ip->halves[1] & 0xffffffff) +
	       (ip->halves[1] >> 32);
}

/* Of the addresses as they stand in the packet. */
static __always_inline __u64
sum_addresses(const struct ip_address *a, const struct ip_address *b, bool v6)
{
	if (v6)
		return sum_address(a) + sum_address(b);
	return (a->halves[1] >> 32) + (b->halves[1] >> 32);
}

static __always_inline __u64
sum_pseudo(__u64 addresses, __u8 ip_protocol, __u32 l4_len)
{
	return addresses + bpf_htons(ip_protocol) + bpf_htonl(l4_len);
}

static __always_inline __u64
change_16(__u16 from, __u16 to)
{
	return (__u64)(__u16)~from + to;
}

static __always_inline __u64
change_32(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

static __always_inline __u64
change_address(const struct ip_address *from, const struct ip_address *to, bool v6)
{
	__u64 change = change_32(from->halves[1] >> 32, to->halves[1] >> 32);

	if (v6)
		change += change_32((__u32)from->halves[0], (__u32)to->halves[0]) +
			  change_32(from->halves[0] >> 32, to->halves[0] >> 32) +
			  change_32((__u32)from->halves[1], (__u32)to->halves[1]);
	return change;
}

static __always_inline __u16
changed(__u16 checksum, __u64 change)
{
	return (__u16)~fold((__u16)~checksum + change);
}

/* ---- reading: only what nearly every packet is ---- */

static __always_inline struct ip_address
mapped(__u32 v4_be)
{
	return (struct ip_address){ .halves = { 0, (__u64)v4_be << 32 | bpf_htonl(0xffff) } };
}

static __always_inline int
read_v4(const struct iphdr *ip, struct plain *p)
{
	const __u32 *words = (const void *)ip;
	__u8 octet = (__u8)ip->saddr;

	if (*(const __u8 *)ip != 0x45)
		return ip->version == 4 && ip->ihl > 5 ? FORWARD_UP(UP_OPTIONS) : FORWARD_UP(UP_MALFORMED);
	if (ip->frag_off & bpf_htons(IPV4_ANY_FRAGMENT))
		return FORWARD_UP(UP_FRAGMENT);
	/* 0/8, 127/8 and what is not unicast. */
	if ((__u8)(octet - 1) >= 223 || octet == 127)
		return FORWARD_UP(UP_MALFORMED);
	if (fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) != 0xffff)
		return FORWARD_UP(UP_MALFORMED);
	p->source = mapped(ip->saddr);
	p->destination = mapped(ip->daddr);
	p->ip_len = bpf_ntohs(ip->tot_len);
	p->ttl = ip->ttl;
	p->tos = ip->tos;
	p->ip_protocol = ip->protocol;
	p->fragment_be = ip->frag_off & bpf_htons(IPV4_DONT_FRAGMENT);
	p->identification_be = ip->id;
	return 0;
}

static __always_inline int
read_v6(const struct ipv6hdr *ip, struct plain *p)
{
	const __u8 *bytes = (const void *)ip;

	/* Global unicast and unique local addresses. */
	if (ip->version != 6 || (__u8)(bytes[8] - 1) >= 0xfe)
		return FORWARD_UP(UP_MALFORMED);
	__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
	__builtin_memcpy(&p->destination, &ip->daddr, sizeof(p->destination));
	p->ip_len = (__u16)(IPV6_LEN + bpf_ntohs(ip->payload_len));
	p->ttl = ip->hop_limit;
	p->tos = (__u8)(bytes[0] << 4 | bytes[1] >> 4);
	p->ip_protocol = ip->nexthdr;
	p->v6 = 1;
	return 0;
}

static __always_inline int
not_for_here(__u8 ip_protocol, bool v6)
{
	if (ip_protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return FORWARD_UP(UP_ICMP);
	if (v6 && ip_protocol == IPPROTO_FRAGMENT)
		return FORWARD_UP(UP_FRAGMENT);
	return FORWARD_UP(UP_OPTIONS);
}

/* Of pointers, in 64 bits: the verifier has no other, and the compiler would narrow it. */
static __always_inline __u64
distance(const void *from, const void *to)
{
	__u64 len = (__u64)to - (__u64)from;

	__asm__ volatile("" : "+r"(len));
	return len;
}

/*
 * A local kernel that leaves the checksum to its device has put the pseudo-header's sum there, and nothing says so. Such a
 * sum has to be completed before the packet leaves, which only a worker can.
 */
static __always_inline int
read_l4(const void *l4, const void *end, struct plain *p)
{
	__u32 header_len = p->v6 ? IPV6_LEN : IPV4_LEN, len = p->ip_len - header_len;
	const struct tcphdr *tcp = l4;
	const struct udphdr *udp = l4;
	__u64 addresses, there = distance(l4, end);
	__u16 sum;

	if (p->ip_protocol != IPPROTO_TCP && p->ip_protocol != IPPROTO_UDP)
		return not_for_here(p->ip_protocol, p->v6);
	if (p->ip_len < header_len + UDP_LEN || len > there)
		return FORWARD_UP(UP_MALFORMED);
	p->excess = (__u32)there - len;
	p->ports = *(const __u32 *)l4;
	addresses = sum_addresses(&p->source, &p->destination, p->v6);
	if (p->ip_protocol == IPPROTO_TCP) {
		if ((const void *)(tcp + 1) > end || tcp->doff < 5 || tcp->doff * 4u > len)
			return FORWARD_UP(UP_MALFORMED);
		p->tcp_flags = ((const __u8 *)l4)[13];
		sum = tcp->check;
	} else {
		__u32 said = bpf_ntohs(udp->len);

		sum = udp->check;
		if (said < UDP_LEN || said > len || (sum == 0 && p->v6))
			return FORWARD_UP(UP_MALFORMED);
		len = said;
		/* None at all. */
		if (sum == 0)
			return 0;
	}
	return fold(sum_pseudo(addresses, p->ip_protocol, len)) == sum ? FORWARD_UP(UP_PARTIAL_SUM) : 0;
}

static __always_inline int
read_plain(void *data, void *end, struct plain *p)
{
	struct ethhdr *ethernet = data;
	void *l3 = ethernet + 1;
	int rc;

	if (l3 + IPV4_LEN + UDP_LEN > end || ethernet->h_dest[0] & 1)
		return FORWARD_UP(UP_MALFORMED);
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		rc = read_v4(l3, p);
		return rc ? rc : read_l4(l3 + IPV4_LEN, end, p);
	}
	if (ethernet->h_proto != bpf_htons(ETH_P_IPV6))
		return FORWARD_UP(UP_TAG);
	if (l3 + IPV6_LEN + UDP_LEN > end)
		return FORWARD_UP(UP_MALFORMED);
	rc = read_v6(l3, p);
	return rc ? rc : read_l4(l3 + IPV6_LEN, end, p);
}

/* ---- looking up: as l4/flow_inline.h, both directions at once, as they have the same hash ---- */

static __always_inline const struct xdp_target *
target_of(__u64 head)
{
	__u32 number = L4_FLOW_HEAD_TARGET(head);
	const struct xdp_target *target = bpf_map_lookup_elem(&targets, &number);

	return target && target->forward ? target : NULL;
}

static __always_inline bool
is_of_client(const struct l4_flow *flow, __u64 head, const struct plain *p)
{
	return (head & L4_FLOW_HEAD_KEY) == p->ports && ip_address_equal(&flow->client, &p->source);
}

static __always_inline bool
is_of_server(const struct l4_flow *flow, __u64 head, const struct plain *p)
{
	__u16 to_port_be = p->ports >> 16, local_port_be = flow->local_port_be;

	if (!(head >> 56 & L4_FLOW_ANSWER))
		return false;
	if (local_port_be)
		return local_port_be == to_port_be;
	return (__u16)head == to_port_be && ip_address_equal(&flow->client, &p->destination);
}

static __always_inline bool
serves(const struct xdp_target *target, const struct plain *p)
{
	return target->serves && target->ip_protocol == p->ip_protocol &&
	       ip_address_equal(&target->vip, &p->destination);
}

static __always_inline bool
answers(const struct xdp_target *target, __u64 head, __u16 local_port_be, const struct plain *p)
{
	__u16 port_be = target->server_port_be ? target->server_port_be : (__u16)(head >> 16);

	return target->ip_protocol == p->ip_protocol && port_be == (__u16)p->ports &&
	       ip_address_equal(&target->server, &p->source) &&
	       (!local_port_be || ip_address_equal(&target->local, &p->destination));
}

static __always_inline bool
matches(struct l4_flow *flow, const struct plain *p, struct known *known)
{
	__u64 head = l4_flow_head(flow);
	__u32 state = head >> 56 & 7;
	bool client = is_of_client(flow, head, p);
	const struct xdp_target *target;

	if (state == L4_FLOW_NONE || !(client || is_of_server(flow, head, p)))
		return false;
	target = target_of(head);
	if (!target || !(client ? serves(target, p) : answers(target, head, flow->local_port_be, p)) ||
	    l4_flow_silent_s(flow->seen_s, p->now_s) > l4_flow_state_timeout_s(state, target->timeout_s))
		return false;
	known->flow = flow;
	known->target = target;
	known->head = head;
	return true;
}

static __always_inline struct l4_flow_pair *
pair_at(__u32 lane, __u32 pair)
{
	__u32 index = lane * settings.pair_count + pair;

	return bpf_map_lookup_elem(&flows, &index);
}

/* Most flows are in their first bucket. */
static __noinline bool
look_away(const struct plain *p, __u32 bucket, __u32 which, struct known *known)
{
	__u32 stride = settings.strides[which & 1][l4_flow_stride(p->hash) & (L4_FLOW_STRIDES - 1)];
	struct l4_flow_pair *pair = pair_at(known->lane, l4_flow_pair_of(settings.pair_count, bucket, stride));

	if (!pair)
		return false;
	return matches(&pair->places[0], p, known) || matches(&pair->places[1], p, known) ||
	       matches(&pair->places[2], p, known) || matches(&pair->places[3], p, known);
}

static __always_inline bool
look_up(const struct plain *p, __u32 lane, struct known *known)
{
	__u32 bucket = l4_flow_bucket_of(settings.pair_count * 2, p->hash);
	struct l4_flow_pair *pair = pair_at(lane, bucket / 2);
	struct l4_flow *places;

	if (!pair)
		return false;
	known->lane = lane;
	places = &pair->places[(bucket & 1) * L4_BUCKET_PLACES];
	if (matches(&places[0], p, known) || matches(&places[1], p, known))
		return true;
	if (l4_flow_head(&places[0]) >> 56 & L4_FLOW_SPILLED && look_away(p, bucket, 0, known))
		return true;
	return l4_flow_head(&places[1]) >> 56 & L4_FLOW_SPILLED && look_away(p, bucket, 1, known);
}

/* ---- whose: as owner_of() of l4/pipeline.c ---- */

static __noinline bool
look_up_in(const struct plain *p, __u32 lane, struct known *known)
{
	return lane < XDP_WORKERS_MAX && look_up(p, lane, known);
}

static __always_inline __u32
lane_of_hash(__u32 hash)
{
	return (__u64)hash * settings.workers >> 32;
}

static __always_inline __u32
lane_of_client(const struct ip_address *client, __u16 port_be, __u8 ip_protocol)
{
	const uint64_t nobody[2] = { 0, 0 };

	return lane_of_hash(flow_hash(client->halves, nobody, port_be, 0, ip_protocol, HASH_KEY));
}

static __noinline bool
look_up_among_workers(struct xdp_md *context, const struct plain *p, struct known *known)
{
	struct xdp_queue_key queue = { .ifindex = context->ingress_ifindex, .queue = context->rx_queue_index };
	const struct xdp_slot *slot = bpf_map_lookup_elem(&slots, &queue);
	__u16 source_port_be = (__u16)p->ports, destination_port_be = p->ports >> 16;

	if (ports_used[destination_port_be] == XDP_ANSWERS_TO_FORWARD &&
	    look_up_in(p, bpf_ntohs(destination_port_be) % settings.workers, known))
		return true;
	if (look_up_in(p, slot && slot->stable ? slot->worker : lane_of_hash(p->hash), known))
		return true;
	if (!settings.by_client)
		return false;
	return look_up_in(p, lane_of_client(&p->source, source_port_be, p->ip_protocol), known) ||
	       look_up_in(p, lane_of_client(&p->destination, destination_port_be, p->ip_protocol), known);
}

/* ---- the way out ---- */

struct way {
	__u64 header_start; /* of the Ethernet header */
	__u32 header_rest;
	__u32 ifindex;
	__u16 mtu;
	__u8 flags;
};

static __always_inline bool
way_read(const struct xdp_hop *hop, struct way *way)
{
	const volatile struct xdp_hop *now = hop;

	way->flags = now->flags;
	way->header_start = *(const volatile __u64 *)(const void *)hop->header;
	way->header_rest = *(const volatile __u32 *)(const void *)(hop->header + 8);
	way->ifindex = now->ifindex;
	way->mtu = now->mtu;
	return way->flags & XDP_HOP_KNOWN && now->flags == way->flags;
}

/* True when there is one; whether it may be gone without asking is in its flags, and in *fresh. */
static __always_inline bool
way_find(const struct known *known, struct way *way, bool *fresh)
{
	__u32 lane = known->lane & (XDP_WORKERS_MAX - 1),
	      number = lane * XDP_TARGETS + L4_FLOW_HEAD_TARGET(known->head);
	const struct l4_target_use *use;
	const struct xdp_hop *hop;
	__u16 wanted, generation;

	if (known->head >> 56 & L4_FLOW_ANSWER) {
		wanted = known->flow->hop;
		generation = known->flow->hop_generation;
	} else {
		use = bpf_map_lookup_elem(&uses, &number);
		if (!use)
			return false;
		wanted = use->hop;
		generation = use->hop_generation;
	}
	*fresh = generation == lanes[lane].hop_generation;
	number = lane * XDP_HOPS + wanted;
	hop = wanted && wanted < XDP_HOPS ? bpf_map_lookup_elem(&hops, &number) : NULL;
	return hop && way_read(hop, way);
}

static __always_inline int
leave(struct xdp_md *context, const struct way *way)
{
	if (way->ifindex == context->ingress_ifindex && way->flags & XDP_HOP_BOUNCES)
		return XDP_TX;
	return bpf_redirect(way->ifindex, 0);
}

static __always_inline void
write_ethernet(void *data, const struct way *way, __u16 type_be)
{
	*(__u64 *)data = way->header_start;
	*(__u32 *)(data + 8) = way->header_rest;
	*(__u16 *)(data + 12) = type_be;
}

static __always_inline void
lower_ttl(void *l3, bool v6)
{
	struct iphdr *ip = l3;

	if (v6) {
		((struct ipv6hdr *)l3)->hop_limit--;
		return;
	}
	ip->ttl--;
	ip->check = changed(ip->check, (__u16)~bpf_htons(0x100));
}

/* ---- addresses and ports ---- */

/* What the packet is to say; ports as they lie in the header. */
struct ends {
	struct ip_address source, destination;
	__u32 ports;
};

static __always_inline void
ends_of(const struct known *known, const struct plain *p, __u16 local_port_be, struct ends *to)
{
	const struct xdp_target *target = known->target;
	__u16 client_port_be = (__u16)known->head, service_port_be = (__u16)(known->head >> 16);
	bool full = target->forward == XDP_FORWARD_FULL_NAT;

	if (known->head >> 56 & L4_FLOW_ANSWER) {
		to->source = target->vip;
		to->destination = full ? known->flow->client : p->destination;
		to->ports = service_port_be | (__u32)client_port_be << 16;
		return;
	}
	to->source = full ? target->local : p->source;
	to->destination = target->server;
	to->ports = (full ? local_port_be : client_port_be) |
		    (__u32)(target->server_port_be ? target->server_port_be : service_port_be) << 16;
}

/* False when the packet is not as long as it was. */
static __always_inline bool
write_l4(void *l4, void *end, __u8 ip_protocol, __u32 ports, __u64 change)
{
	struct udphdr *udp = l4;
	struct tcphdr *tcp = l4;
	__u16 sum;

	if ((void *)(udp + 1) > end)
		return false;
	*(__u32 *)l4 = ports;
	if (ip_protocol == IPPROTO_UDP) {
		sum = changed(udp->check, change);
		if (udp->check)
			udp->check = sum ? sum : 0xffff;
		return true;
	}
	if ((void *)(tcp + 1) > end)
		return false;
	tcp->check = changed(tcp->check, change);
	return true;
}

static __always_inline bool
readdress(struct xdp_md *context, const struct plain *p, const struct ends *to, const struct way *way, bool v6)
{
	__u64 pseudo =
		change_address(&p->source, &to->source, v6) + change_address(&p->destination, &to->destination, v6);
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end, *l3 = data + ETHERNET_LEN;
	void *l4 = l3 + (v6 ? IPV6_LEN : IPV4_LEN);
	struct iphdr *ip = l3;

	if (l4 > end || !write_l4(l4, end, p->ip_protocol, to->ports, pseudo + change_32(p->ports, to->ports)))
		return false;
	write_ethernet(data, way, v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
	lower_ttl(l3, v6);
	if (v6) {
		__builtin_memcpy(l3 + 8, &to->source, 16);
		__builtin_memcpy(l3 + 24, &to->destination, 16);
	} else {
		ip->saddr = to->source.halves[1] >> 32;
		ip->daddr = to->destination.halves[1] >> 32;
		ip->check = changed(ip->check, pseudo);
	}
	return true;
}

static __always_inline bool
send_as_is(struct xdp_md *context, const struct plain *p, const struct way *way)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;

	if (data + ETHERNET_LEN + IPV4_LEN > end)
		return false;
	write_ethernet(data, way, p->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
	lower_ttl(data + ETHERNET_LEN, p->v6);
	return true;
}

/* ---- tunnels: as l4/forward/tunnel.h, ipip.c and gue.c ---- */

/* l4_packet_entropy() */
static __always_inline __u64
entropy_of(const struct plain *p)
{
	const __u64 multiplier = 0x9e3779b97f4a7c15ull;
	__u64 h = (__u64)(__u16)p->ports << 24 | (__u64)(__u16)(p->ports >> 16) << 8 | p->ip_protocol;

	if (!p->v6)
		return hash_mix64(h * multiplier ^
				  (p->source.halves[1] >> 32 | (p->destination.halves[1] >> 32) << 32));
	h = (h ^ p->source.halves[0]) * multiplier;
	h = (h ^ p->source.halves[1]) * multiplier;
	h = (h ^ p->destination.halves[0]) * multiplier;
	return hash_mix64(h * multiplier ^ p->destination.halves[1]);
}

static __always_inline __u16
outer_identification_be(__u64 entropy, __u16 inner_be)
{
	__u16 identification = (__u16)((entropy >> 32) + bpf_ntohs(inner_be));

	return identification ? bpf_htons(identification) : bpf_htons(1);
}

static __always_inline void
write_outer_v4(void *at, const struct xdp_target *target, const struct plain *p, __u8 protocol, __u16 payload_len,
	       __u64 entropy)
{
	bool whole = p->v6 || p->fragment_be;
	const __u32 *words = at;
	struct iphdr *ip = at;

	*(__u8 *)at = 0x45;
	ip->tos = p->tos;
	ip->tot_len = bpf_htons((__u16)(payload_len + IPV4_LEN));
	ip->id = whole ? 0 : outer_identification_be(entropy, p->identification_be);
	ip->frag_off = whole ? bpf_htons(IPV4_DONT_FRAGMENT) : 0;
	ip->ttl = TUNNEL_TTL;
	ip->protocol = protocol;
	ip->check = 0;
	ip->saddr = target->local.halves[1] >> 32;
	ip->daddr = target->server.halves[1] >> 32;
	ip->check = (__u16)~fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
}

static __always_inline void
write_outer_v6(void *at, const struct xdp_target *target, const struct plain *p, __u8 protocol, __u16 payload_len,
	       __u64 entropy)
{
	struct ipv6hdr *ip = at;

	*(__u32 *)at = bpf_htonl(6u << 28 | (__u32)p->tos << 20 | (__u32)(entropy & 0xfffff));
	ip->payload_len = bpf_htons(payload_len);
	ip->nexthdr = protocol;
	ip->hop_limit = TUNNEL_TTL;
	__builtin_memcpy(at + 8, &target->local, 16);
	__builtin_memcpy(at + 24, &target->server, 16);
}

/*
 * The sum over the inner packet without reading it (gue.c). False where the inner packet has no sum of its own that
 * covers it all. The TTL is the lowered one.
 */
static __always_inline bool
inner_sum(const void *inner, const void *end, const struct plain *p, __u64 *sum)
{
	__u32 header_len = p->v6 ? IPV6_LEN : IPV4_LEN;
	__u16 l4_len = p->ip_len - header_len;
	const struct udphdr *udp = inner + header_len;

	if (p->ip_protocol == IPPROTO_UDP &&
	    ((const void *)(udp + 1) > end || udp->check == 0 || bpf_ntohs(udp->len) != l4_len))
		return false;
	if (p->v6) {
		*sum = (__u64) * (const __u32 *)inner + bpf_htons((__u16)(p->ip_protocol << 8 | (__u8)(p->ttl - 1))) +
		       (__u16)~bpf_htons(p->ip_protocol);
		return true;
	}
	*sum = (__u16)~fold(sum_pseudo(sum_addresses(&p->source, &p->destination, false), p->ip_protocol, l4_len));
	return true;
}

static __always_inline void
write_gue(void *at, const struct xdp_target *target, const struct plain *p, __u8 inner_protocol, __u16 checksum,
	  __u64 entropy)
{
	struct udphdr *udp = at;

	udp->source = bpf_htons((__u16)(GUE_PORT_FIRST | (entropy >> 48 & GUE_PORT_MASK)));
	udp->dest = target->gue_port_be;
	udp->len = bpf_htons((__u16)(p->ip_len + GUE_LEN));
	udp->check = checksum;
	*(__u32 *)(at + UDP_LEN) = bpf_htonl((__u32)inner_protocol << 16);
}

/* Of GUE over IPv6. 0 is none: it cannot be told without reading all of the packet. */
static __always_inline __u16
gue_checksum(const struct xdp_target *target, const struct plain *p, __u8 inner_protocol, __u64 inner, __u64 entropy)
{
	__u16 udp_len = (__u16)(p->ip_len + GUE_LEN);
	__u64 sum =
		sum_pseudo(sum_address(&target->local) + sum_address(&target->server), IPPROTO_UDP, udp_len) + inner;
	__u16 source_port_be = bpf_htons((__u16)(GUE_PORT_FIRST | (entropy >> 48 & GUE_PORT_MASK))), checksum;

	checksum = (__u16)~fold(sum + source_port_be + target->gue_port_be + bpf_htons(udp_len) +
				bpf_htons(inner_protocol));
	return checksum ? checksum : 0xffff;
}

/* Room in front was made before. */
static __always_inline bool
write_tunnel(struct xdp_md *context, const struct xdp_target *target, const struct plain *p, const struct way *way,
	     bool v4, bool udp)
{
	const __u32 outer_len = v4 ? IPV4_LEN : IPV6_LEN, len = outer_len + (udp ? GUE_LEN : 0);
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	void *outer = data + ETHERNET_LEN, *inner = outer + len;
	__u8 inner_protocol = p->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	__u64 entropy = entropy_of(p), sum = 0;
	__u16 payload_len = (__u16)(p->ip_len + (udp ? GUE_LEN : 0));
	__u16 checksum = 0;

	if (inner + IPV4_LEN > end || (p->v6 && inner + IPV6_LEN > end))
		return false;
	lower_ttl(inner, p->v6);
	write_ethernet(data, way, v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6));
	if (udp && !v4) {
		if (!inner_sum(inner, end, p, &sum))
			return false;
		checksum = gue_checksum(target, p, inner_protocol, sum, entropy);
	}
	if (udp)
		write_gue(outer + outer_len, target, p, inner_protocol, checksum, entropy);
	if (v4)
		write_outer_v4(outer, target, p, udp ? IPPROTO_UDP : inner_protocol, payload_len, entropy);
	else
		write_outer_v6(outer, target, p, udp ? IPPROTO_UDP : inner_protocol, payload_len, entropy);
	return true;
}

static __noinline bool
send_in_tunnel(struct xdp_md *context, const struct xdp_target *target, const struct plain *p, const struct way *way,
	       __u32 v4)
{
	bool udp = target->forward == XDP_FORWARD_IN_UDP;

	if (v4)
		return udp ? write_tunnel(context, target, p, way, true, true)
			   : write_tunnel(context, target, p, way, true, false);
	return udp ? write_tunnel(context, target, p, way, false, true)
		   : write_tunnel(context, target, p, way, false, false);
}

/* ---- one packet of a flow ---- */

static __always_inline bool
is_v4(const struct ip_address *ip)
{
	return ip->halves[0] == 0 && (__u32)ip->halves[1] == bpf_htonl(0xffff);
}

/* GUE over IPv6 needs a sum; of UDP without one, or padded, only a worker makes it. */
static __always_inline bool
has_sum(struct xdp_md *context, const struct plain *p)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 header_len = p->v6 ? IPV6_LEN : IPV4_LEN;
	const struct udphdr *udp = data + ETHERNET_LEN + header_len;

	if (p->ip_protocol != IPPROTO_UDP)
		return true;
	return (const void *)(udp + 1) <= end && udp->check && bpf_ntohs(udp->len) == (__u16)(p->ip_len - header_len);
}

/* Reasons that are Weir's to see to as long as it is there: without it the flow goes on all the same. */
static __always_inline int
soft_reason(const struct plain *p, const struct known *known, const struct way *way, bool fresh)
{
	if (p->tcp_flags & TCP_NEWS || (known->head >> 56 & 7) == L4_FLOW_OPENING)
		return FORWARD_UP(UP_TCP_STATE);
	if (known->target->forward >= XDP_FORWARD_NAT &&
	    l4_flow_silent_s(known->flow->seen_s, p->now_s) >= L4_TWIN_TOLD_S)
		return FORWARD_UP(UP_TWIN);
	if (lanes[known->lane & (XDP_WORKERS_MAX - 1)].observed)
		return FORWARD_UP(UP_OBSERVED);
	if (!fresh || !(way->flags & XDP_HOP_READY))
		return FORWARD_UP(UP_NEXT_HOP);
	return 0;
}

static __always_inline int
hard_reason(struct xdp_md *context, const struct plain *p, const struct known *known, const struct way *way)
{
	bool answer = known->head >> 56 & L4_FLOW_ANSWER;
	__u32 mtu = way->mtu, len = p->ip_len, least = lanes[known->lane & (XDP_WORKERS_MAX - 1)].path_mtu_least;

	if (known->target->changes_content)
		return FORWARD_UP(UP_CONTENT);
	if (p->ttl <= 1)
		return FORWARD_UP(UP_TTL);
	if (!answer) {
		len += known->target->growth[p->v6 & 1];
		if (least < mtu)
			mtu = least;
	}
	if (len > mtu)
		return FORWARD_UP(UP_TOO_BIG);
	if (known->target->forward == XDP_FORWARD_IN_UDP && !is_v4(&known->target->server) && !has_sum(context, p))
		return FORWARD_UP(UP_PARTIAL_SUM);
	return 0;
}

static __always_inline void
count_traffic(const struct known *known, const struct plain *p)
{
	__u32 number = bpf_get_smp_processor_id() * XDP_TARGETS + L4_FLOW_HEAD_TARGET(known->head);
	struct xdp_traffic *seen = bpf_map_lookup_elem(&traffic, &number);

	if (!seen)
		return;
	seen->packets += 1;
	seen->bytes += p->ip_len;
}

/* Makes the frame as long as it will be. False, and nothing has happened, where there is no room. */
static __always_inline bool
reshape(struct xdp_md *context, const struct xdp_target *target, const struct plain *p)
{
	int more = target->forward == XDP_FORWARD_IN_IP || target->forward == XDP_FORWARD_IN_UDP
			   ? target->growth[p->v6 & 1]
			   : 0;

	if (more && bpf_xdp_adjust_head(context, -more))
		return false;
	/* Always possible: the frame gets shorter. */
	return !p->excess || !bpf_xdp_adjust_tail(context, -(int)p->excess);
}

static __always_inline bool
rewrite(struct xdp_md *context, const struct known *known, const struct plain *p, const struct ends *to,
	const struct way *way)
{
	const struct xdp_target *target = known->target;

	switch (target->forward) {
	case XDP_FORWARD_AS_IS:
		return send_as_is(context, p, way);
	case XDP_FORWARD_IN_IP:
	case XDP_FORWARD_IN_UDP:
		return send_in_tunnel(context, target, p, way, is_v4(&target->server));
	default:
		return p->v6 ? readdress(context, p, to, way, true) : readdress(context, p, to, way, false);
	}
}

/* Weir has gone, and left this program and its tables: its sockets went with it. */
static __noinline bool
is_alone(struct xdp_md *context)
{
	struct xdp_queue_key queue = { .ifindex = context->ingress_ifindex, .queue = context->rx_queue_index };
	const struct xdp_slot *slot;
	__u32 number;

	if (!settings.outlives)
		return false;
	slot = bpf_map_lookup_elem(&slots, &queue);
	if (!slot)
		return true;
	number = slot->socket;
	return !bpf_map_lookup_elem(&sockets, &number);
}

/* An XDP action, or a reason. */
static __always_inline int
forward_known(struct xdp_md *context, const struct plain *p, const struct known *known)
{
	bool answer = known->head >> 56 & L4_FLOW_ANSWER, fresh;
	__u16 local_port_be = known->flow->local_port_be;
	struct ends to = {};
	struct way way;
	int reason;

	if (!way_find(known, &way, &fresh))
		return FORWARD_UP(UP_NEXT_HOP);
	reason = soft_reason(p, known, &way, fresh);
	if (reason && !is_alone(context))
		return reason;
	reason = hard_reason(context, p, known, &way);
	if (reason)
		return reason;
	if (known->target->forward >= XDP_FORWARD_NAT)
		ends_of(known, p, local_port_be, &to);
	/* Of another flow by now: what was read may be half the one and half the other. */
	if (l4_flow_head(known->flow) != known->head || *(volatile __u16 *)&known->flow->local_port_be != local_port_be)
		return FORWARD_UP(UP_NO_FLOW);
	if (!reshape(context, known->target, p))
		return FORWARD_UP(UP_HEADROOM);
	if (!rewrite(context, known, p, &to, &way)) {
		count(XDP_COUNT_DROP_NO_ROOM);
		return XDP_DROP;
	}
	if (known->flow->seen_s != p->now_s)
		known->flow->seen_s = p->now_s;
	if (!answer)
		count_traffic(known, p);
	count(answer ? XDP_COUNT_ANSWERED : XDP_COUNT_FORWARDED);
	return leave(context, &way);
}

static __always_inline int
forward(struct xdp_md *context, struct plain *p, struct known *known)
{
	int reason;

	if (!settings.workers)
		return FORWARD_UP(UP_NO_FLOW);
	reason = read_plain((void *)(long)context->data, (void *)(long)context->data_end, p);
	if (reason)
		return reason;
	p->now_s = (bpf_ktime_get_coarse_ns() - settings.start_ns) / NS_PER_SECOND;
	p->hash = flow_hash(p->source.halves, p->destination.halves, (__u16)p->ports, p->ports >> 16, p->ip_protocol,
			    HASH_KEY);
	if (!(settings.workers == 1 ? look_up(p, 0, known) : look_up_among_workers(context, p, known)))
		return FORWARD_UP(UP_NO_FLOW);
	return forward_known(context, p, known);
}

#endif
