/*
 * What keeps a packet whose server and way are known from leaving, and its leaving. Part of forward.bpf.h.
 */
#ifndef XDP_FORWARD_SEND_BPF_H
#define XDP_FORWARD_SEND_BPF_H

#include "xdp/forward_find.bpf.h"
#include "xdp/forward_read.bpf.h"
#include "xdp/forward_write.bpf.h"

/* ---- reasons ---- */

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

/* Of those that go on all the same when there is no Weir. */
static __always_inline int
way_reason(__u32 lane, const struct way *way, bool fresh)
{
	if (lanes[lane & (XDP_WORKERS_MAX - 1)].observed)
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

/* What a SYN is to say, if anything. A reason where only a worker can tell: which of the paths that errors have told of is
 * this one's; without one the narrowest will do. */
static __always_inline int
clamp_find(struct xdp_md *context, const struct plain *p, const struct known *known, const struct way *way,
	   struct clamp *clamp)
{
	__u16 least = lanes[known->lane & (XDP_WORKERS_MAX - 1)].path_mtu_least, mtu = way->mtu;
	bool path = least < mtu;

	if (!known->target->clamps_mss || !(p->tcp_flags & L4_TCP_SYN))
		return 0;
	clamp->at = mss_find(context, ETHERNET_LEN + (p->v6 ? IPV6_LEN : IPV4_LEN));
	clamp->mss = known->target->mss_max;
	if (!clamp->at || clamp->mss)
		return 0;
	mtu = path ? least : mtu;
	clamp->mss = (__u16)(mtu - known->target->growth[p->v6 & 1] - TCP_LEN - (p->v6 ? IPV6_LEN : IPV4_LEN));
	return path ? FORWARD_UP(UP_NEXT_HOP) : 0;
}

/* Weir has gone, and left this program and its tables: its sockets went with it. */
APART int
is_alone(struct xdp_md *context)
{
	const struct xdp_slot *slot;
	__u32 number;

	if (!settings.outlives)
		return false;
	slot = slot_of(context);
	if (!slot)
		return true;
	number = slot->socket;
	return !bpf_map_lookup_elem(&sockets, &number);
}

/* ---- leaving ---- */

static __always_inline int
leave(struct xdp_md *context, const struct way *way)
{
	if (way->ifindex == context->ingress_ifindex && way->flags & XDP_HOP_BOUNCES)
		return XDP_TX;
	return bpf_redirect(way->ifindex, 0);
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

static __always_inline __u32
tunnel_len(const struct xdp_target *target, const struct plain *p)
{
	return target->forward == XDP_FORWARD_AS_IS ? 0 : target->growth[p->v6 & 1];
}

/* An XDP action; or a reason, and nothing has happened: there is no room in front. */
static __always_inline int
send_one_way(struct xdp_md *context, const struct plain *p, const struct known *known, const struct way *way,
	     const struct clamp *clamp, enum xdp_counter counter)
{
	const struct xdp_target *target = known->target;
	__u32 more = tunnel_len(target, p);
	bool sent;

	if (more && bpf_xdp_adjust_head(context, -(int)more))
		return FORWARD_UP(UP_HEADROOM);
	/* Always possible: the frame gets shorter. */
	if (p->excess)
		bpf_xdp_adjust_tail(context, -(int)p->excess);
	sent = target->forward == XDP_FORWARD_AS_IS ? send_as_is(context, p, way)
						    : send_in_tunnel(context, target, p, way, is_v4(&target->server));
	if (!sent) {
		count(XDP_COUNT_DROP_NO_ROOM);
		return XDP_DROP;
	}
	if (clamp->at)
		mss_lower(context, ETHERNET_LEN + more + (p->v6 ? IPV6_LEN : IPV4_LEN), clamp->at, clamp->mss);
	count_traffic(known, p);
	count(counter);
	return leave(context, way);
}

#endif
