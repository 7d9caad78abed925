/*
 * A frame becomes a struct plain, or a reason why it is not for here. Part of forward.bpf.h; sums are here, as the first to
 * need them.
 */
#ifndef XDP_FORWARD_READ_BPF_H
#define XDP_FORWARD_READ_BPF_H

#include "xdp/forward_shared.bpf.h"

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

#endif
