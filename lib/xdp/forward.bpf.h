/*
 * Packets of flows that are known, forwarded without leaving the kernel: see forward.h. Part of weir.bpf.c.
 *
 * What becomes of a packet here is what l4/burst.c, its forwarders and its next hop make of it, byte for byte; a test holds
 * the two together. In every doubt the packet is left as it is, and the reason returned.
 */
#ifndef XDP_FORWARD_BPF_H
#define XDP_FORWARD_BPF_H

#include "xdp/forward_find.bpf.h"
#include "xdp/forward_read.bpf.h"
#include "xdp/forward_write.bpf.h"

/* ---- one packet of a flow ---- */

static __always_inline int
leave(struct xdp_md *context, const struct way *way)
{
	if (way->ifindex == context->ingress_ifindex && way->flags & XDP_HOP_BOUNCES)
		return XDP_TX;
	return bpf_redirect(way->ifindex, 0);
}

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
	    l4_flow_tells((__u16)known->head, known->flow->seen_s, p->now_s))
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

	if (!forwards || !settings.workers)
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
