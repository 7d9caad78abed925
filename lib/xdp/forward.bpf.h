/*
 * Packets of flows that are known, and the first ones of others, forwarded without leaving the kernel: see forward.h. Part of
 * weir.bpf.c.
 *
 * What becomes of a packet here is what l4/burst.c, its forwarders and its next hop make of it, byte for byte; a test holds
 * the two together. In every doubt the packet is left as it is, and the reason returned.
 */
#ifndef XDP_FORWARD_BPF_H
#define XDP_FORWARD_BPF_H

#include "xdp/forward_start.bpf.h"

/* ---- one packet of a flow ---- */

/* Reasons that are Weir's to see to as long as it is there: without it the flow goes on all the same. */
static __always_inline int
soft_reason(const struct plain *p, const struct known *known, const struct way *way, bool fresh)
{
	__u32 state = known->head >> 56 & 7;

	if (is_one_way(known->target)) {
		if (l4_flow_begins_anew(state, p->tcp_flags))
			return FORWARD_UP(UP_TCP_STATE);
	} else if (p->tcp_flags & TCP_NEWS || state == L4_FLOW_OPENING) {
		return FORWARD_UP(UP_TCP_STATE);
	} else if (l4_flow_tells((__u16)known->head, known->flow->seen_s, p->now_s)) {
		return FORWARD_UP(UP_TWIN);
	}
	return way_reason(known->lane, way, fresh);
}

/* What has changed meanwhile is a later packet's. */
static __always_inline void
follow_state(const struct known *known, const struct plain *p)
{
	__u32 tail = known->head >> 32, bits = l4_flow_bits_after(tail >> 24, p->tcp_flags, true);

	if (bits != tail >> 24)
		__sync_val_compare_and_swap(l4_flow_tail(known->flow), tail, (tail & 0xffffff) | bits << 24);
}

/* An XDP action, or a reason. */
static __always_inline int
forward_known(struct xdp_md *context, const struct plain *p, const struct known *known)
{
	bool answer = known->head >> 56 & L4_FLOW_ANSWER, fresh;
	__u16 local_port_be = known->flow->local_port_be;
	struct clamp clamp = {};
	int reason, unclamped;
	struct ends to = {};
	struct way way;

	if (!way_find(known, &way, &fresh))
		return FORWARD_UP(UP_NEXT_HOP);
	unclamped = is_one_way(known->target) ? clamp_find(context, p, known, &way, &clamp) : 0;
	reason = soft_reason(p, known, &way, fresh);
	if (!reason)
		reason = unclamped;
	if (reason && !is_alone(context))
		return reason;
	reason = hard_reason(context, p, known, &way);
	if (reason)
		return reason;
	if (!is_one_way(known->target))
		ends_of(known, p, local_port_be, &to);
	/* Of another flow by now: what was read may be half the one and half the other. */
	if (l4_flow_head(known->flow) != known->head || *(volatile __u16 *)&known->flow->local_port_be != local_port_be)
		return FORWARD_UP(UP_NO_FLOW);
	if (known->flow->seen_s != p->now_s)
		known->flow->seen_s = p->now_s;
	if (is_one_way(known->target)) {
		follow_state(known, p);
		return send_one_way(context, p, known, &way, &clamp, XDP_COUNT_FORWARDED);
	}
	/* Always possible: the frame gets shorter. */
	if (p->excess)
		bpf_xdp_adjust_tail(context, -(int)p->excess);
	if (!(p->v6 ? readdress(context, p, &to, &way, true) : readdress(context, p, &to, &way, false))) {
		count(XDP_COUNT_DROP_NO_ROOM);
		return XDP_DROP;
	}
	if (!answer)
		count_traffic(known, p);
	count(answer ? XDP_COUNT_ANSWERED : XDP_COUNT_FORWARDED);
	return leave(context, &way);
}

static __always_inline int
forward(struct xdp_md *context, struct plain *p, struct known *known)
{
	int reason;

	if (!forwards || !settings.workers)
		return FORWARD_UP(UP_NO_FLOW);
	reason = read_plain((void *)(long)context->data, (void *)(long)context->data_end, p);
	if (reason)
		return reason;
	p->now_s = (bpf_ktime_get_coarse_ns() - settings.start_ns) / NS_PER_SECOND;
	p->hash = flow_hash(p->source.halves, p->destination.halves, (__u16)p->ports, p->ports >> 16, p->ip_protocol,
			    HASH_KEY);
	if (!(settings.workers == 1 ? look_up(p, 0, known) : look_up_among_workers(context, p, known)))
		return forward_new(context, p);
	return forward_known(context, p, known);
}

#endif
