/*
 * The flow of a packet, among the tables of all workers, and the way that its worker has found for it. Part of forward.bpf.h.
 */
#ifndef XDP_FORWARD_FIND_BPF_H
#define XDP_FORWARD_FIND_BPF_H

#include "xdp/forward_shared.bpf.h"

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

	if (!l4_flow_is_one(state) || !(client || is_of_server(flow, head, p)))
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

static __always_inline const struct xdp_slot *
slot_of(struct xdp_md *context)
{
	struct xdp_queue_key queue = { .ifindex = context->ingress_ifindex, .queue = context->rx_queue_index };

	return bpf_map_lookup_elem(&slots, &queue);
}

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

/* Of what goes by its 5-tuple. */
static __always_inline __u32
lane_of(struct xdp_md *context, __u32 hash)
{
	const struct xdp_slot *slot = slot_of(context);

	return slot && slot->stable ? slot->worker : lane_of_hash(hash);
}

static __noinline bool
look_up_among_workers(struct xdp_md *context, const struct plain *p, struct known *known)
{
	__u16 source_port_be = (__u16)p->ports, destination_port_be = p->ports >> 16;

	if (ports_used[destination_port_be] == XDP_ANSWERS_TO_FORWARD &&
	    look_up_in(p, bpf_ntohs(destination_port_be) % settings.workers, known))
		return true;
	if (look_up_in(p, lane_of(context, p->hash), known))
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

#endif
