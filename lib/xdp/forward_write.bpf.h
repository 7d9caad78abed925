/*
 * A packet as it leaves: Ethernet, addresses and ports, or a tunnel's headers in front, with their sums. Part of forward.bpf.h.
 */
#ifndef XDP_FORWARD_WRITE_BPF_H
#define XDP_FORWARD_WRITE_BPF_H

#include "xdp/forward_find.bpf.h"
#include "xdp/forward_read.bpf.h"

/* ---- link and TTL ---- */

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

/* ---- a SYN's MSS: as l4_rewrite_mss() ---- */

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTIONS_MAX 40

struct clamp {
	__u32 at; /* of the option's value, from the TCP header on; 0: nothing is to be done */
	__u16 mss;
};

/* Where the option's value is; 0: there is none. */
APART __u32
mss_find(struct xdp_md *context, __u32 tcp_at)
{
	const __u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	const __u8 *tcp = data + (tcp_at & 63);
	__u32 at = TCP_LEN, len;

	if (tcp + TCP_LEN > end)
		return 0;
	len = (tcp[12] >> 4) * 4u;
	for (int i = 0; i < TCP_OPTIONS_MAX; i++) {
		const __u8 *option = tcp + (at & 63);

		if (at + 2 > len || option + 4 > end || option[0] == TCP_OPTION_END)
			return 0;
		if (option[0] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (option[1] < 2 || at + option[1] > len)
			return 0;
		if (option[0] == TCP_OPTION_MSS)
			return option[1] >= 4 ? at + 2 : 0;
		at += option[1];
	}
	return 0;
}

/* Behind `l4_at` bytes of the frame as it leaves. */
APART int
mss_lower(struct xdp_md *context, __u32 l4_at, __u32 value_at, __u32 mss)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct tcphdr *tcp = data + (l4_at & 127);
	__u8 *value = (void *)tcp + (value_at & 63);
	__u16 from, to = bpf_htons((__u16)mss);

	if ((void *)(tcp + 1) > end || value + 2 > (__u8 *)end)
		return 0;
	from = (__u16)(value[0] | value[1] << 8);
	if (bpf_ntohs(from) <= mss)
		return 0;
	value[0] = (__u8)to;
	value[1] = (__u8)(to >> 8);
	/* At an odd place its bytes are halves of two words: RFC 1071 section 2(B). */
	tcp->check = value_at & 1 ? changed(tcp->check, change_16(__builtin_bswap16(from), __builtin_bswap16(to)))
				  : changed(tcp->check, change_16(from, to));
	return 1;
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

APART int
send_in_tunnel(struct xdp_md *context, const struct xdp_target *target, const struct plain *p, const struct way *way,
	       __u32 v4)
{
	bool udp;

	if (!target || !p || !way)
		return false;
	udp = target->forward == XDP_FORWARD_IN_UDP;
	if (v4)
		return udp ? write_tunnel(context, target, p, way, true, true)
			   : write_tunnel(context, target, p, way, true, false);
	return udp ? write_tunnel(context, target, p, way, false, true)
		   : write_tunnel(context, target, p, way, false, false);
}

#endif
