/*
 * The first packet of a flow, where the server's answers do not come back here: as l4/start.c, from the service's table. Part
 * of forward.bpf.h.
 */
#ifndef XDP_FORWARD_START_BPF_H
#define XDP_FORWARD_START_BPF_H

#include "xdp/forward_send.bpf.h"

/* ---- which server ---- */

static __always_inline __u32
service_of(const struct plain *p)
{
	struct xdp_service_key key = { .port_be = p->ports >> 16, .ip_protocol = p->ip_protocol };
	const struct xdp_served *served;

	if (!key.port_be)
		return 0;
	__builtin_memcpy(&key.address, &p->destination, sizeof(key.address));
	served = bpf_map_lookup_elem(&services, &key);
	if (!served) {
		key.port_be = 0;
		served = bpf_map_lookup_elem(&services, &key);
	}
	return served ? served->service : 0;
}

static __always_inline const struct xdp_choice *
choice_of(const struct plain *p)
{
	__u32 number = service_of(p), zero = 0;
	void *choice = number ? bpf_map_lookup_elem(&choices, &number) : NULL;

	return choice ? bpf_map_lookup_elem(choice, &zero) : NULL;
}

static __always_inline bool
is_opening(const struct plain *p)
{
	return p->ip_protocol != IPPROTO_TCP || p->tcp_flags & L4_TCP_SYN;
}

/* L4_TARGET_NONE is 0. */
static __always_inline __u32
number_of(const struct xdp_choice *choice, const struct plain *p)
{
	const uint64_t nobody[2] = { 0, 0 };
	__u32 hash = p->hash;

	if (choice->flags & XDP_CHOICE_BY_ADDRESS)
		hash = flow_hash(p->source.halves, nobody, 0, 0, 0, HASH_KEY);
	hash %= XDP_CHOICE_ENTRIES;
	/* The compiler knows, the verifier does not. */
	__asm__ volatile("" : "+r"(hash));
	return hash < XDP_CHOICE_ENTRIES ? choice->targets[hash] : 0;
}

/* ---- the entry ---- */

static __always_inline struct l4_target_use *
use_of(__u32 lane, __u32 target)
{
	__u32 number = lane * XDP_TARGETS + target;

	return bpf_map_lookup_elem(&uses, &number);
}

/* Of a flow in its first bucket whose time is long over. */
static __always_inline bool
take_over(struct l4_flow *flow, __u64 head, __u32 lane, __u16 now_s)
{
	__u32 tail = head >> 32, number = L4_FLOW_HEAD_TARGET(head);
	const struct xdp_target *target = bpf_map_lookup_elem(&targets, &number);
	__u16 seen_s = *(volatile __u16 *)&flow->seen_s;
	struct l4_target_use *use = use_of(lane, number);

	if (!l4_flow_is_one(L4_FLOW_TAIL_STATE(tail)) || tail >> 16 & 0xff || !target || !use ||
	    !l4_flow_is_long_over(seen_s, now_s, l4_flow_state_timeout_s(L4_FLOW_TAIL_STATE(tail), target->timeout_s)))
		return false;
	if (!l4_flow_take(flow, tail))
		return false;
	if (!(tail >> 24 & L4_FLOW_ANSWER))
		__sync_fetch_and_add(&use->flows, -1);
	return true;
}

static __always_inline bool
take_place(struct l4_flow *flow, __u32 lane, __u16 now_s)
{
	__u64 head = l4_flow_head(flow);
	__u32 tail = head >> 32;

	if (L4_FLOW_TAIL_STATE(tail) != L4_FLOW_NONE)
		return take_over(flow, head, lane, now_s);
	if (!l4_flow_take(flow, tail))
		return false;
	__sync_fetch_and_add(&lanes[lane & (XDP_WORKERS_MAX - 1)].made, 1);
	return true;
}

static __always_inline void
fill_place(struct l4_flow *flow, const struct plain *p, __u32 number)
{
	bool tcp = p->ip_protocol == IPPROTO_TCP;

	flow->client = p->source;
	*(volatile __u32 *)&flow->client_port_be = p->ports;
	flow->local_port_be = 0;
	flow->seen_s = p->now_s;
	flow->origin = 0;
	l4_flow_give(flow, L4_FLOW_TAIL(number, 0, l4_flow_first_state(tcp, p->tcp_flags)));
}

/* False: in the first bucket there is no place. A worker knows of others. */
APART int
insert(const struct plain *p, __u32 lane, __u32 number)
{
	struct l4_target_use *use = use_of(lane, number);
	struct l4_flow_pair *pair;
	struct l4_flow *places;
	__u32 bucket;

	if (!p)
		return false;
	bucket = l4_flow_bucket_of(settings.pair_count * 2, p->hash);
	pair = pair_at(lane, bucket / 2);
	if (!pair || !use || !lanes[lane & (XDP_WORKERS_MAX - 1)].makes_flows)
		return false;
	places = &pair->places[(bucket & 1) * L4_BUCKET_PLACES];
	if (!take_place(places, lane, p->now_s) && !take_place(++places, lane, p->now_s))
		return false;
	__sync_fetch_and_add(&use->flows, 1);
	fill_place(places, p, number);
	return true;
}

/* ---- all of it ---- */

/* Where Weir has gone flows are placed all the same: by the table, whatever the method. */
static __always_inline int
choice_reason(const struct xdp_choice *choice, const struct plain *p)
{
	if (choice->flags & XDP_CHOICE_ALL_UP || (choice->flags & XDP_CHOICE_OPENS_UP && is_opening(p)))
		return FORWARD_UP(UP_CHOICE);
	return 0;
}

static __always_inline bool
makes_entry(const struct xdp_choice *choice, const struct plain *p)
{
	return !(choice->flags & XDP_CHOICE_LIMITS && p->ip_protocol == IPPROTO_TCP && is_opening(p));
}

static __always_inline bool
target_find(const struct xdp_choice *choice, const struct plain *p, struct known *known)
{
	__u32 number = number_of(choice, p);

	known->head = (__u64)number << 32;
	known->target = number ? target_of(known->head) : NULL;
	return known->target && is_one_way(known->target) && serves(known->target, p);
}

/* An XDP action, or a reason. */
APART int
forward_new(struct xdp_md *context, const struct plain *p)
{
	const struct xdp_choice *choice = p ? choice_of(p) : NULL;
	enum xdp_counter counter = XDP_COUNT_STARTED;
	struct known known = {};
	struct clamp clamp = {};
	int reason, unclamped;
	struct way way;
	bool fresh;

	if (!choice || !target_find(choice, p, &known))
		return FORWARD_UP(UP_NO_FLOW);
	known.lane = settings.workers == 1 ? 0 : lane_of(context, p->hash);
	if (!way_find(&known, &way, &fresh))
		return FORWARD_UP(UP_NEXT_HOP);
	unclamped = clamp_find(context, p, &known, &way, &clamp);
	reason = choice_reason(choice, p);
	if (!reason)
		reason = way_reason(known.lane, &way, fresh);
	if (!reason)
		reason = unclamped;
	if (reason && !is_alone(context))
		return reason;
	reason = hard_reason(context, p, &known, &way);
	if (reason)
		return reason;
	if (!makes_entry(choice, p) || !insert(p, known.lane, L4_FLOW_HEAD_TARGET(known.head))) {
		if (!is_alone(context))
			return FORWARD_UP(UP_NO_FLOW);
		counter = XDP_COUNT_STATELESS;
	}
	return send_one_way(context, p, &known, &way, &clamp, counter);
}

#endif
