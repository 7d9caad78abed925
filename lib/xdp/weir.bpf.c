/*
 * Which packets of an interface are Weir's: see xdp.h for the rules, maps.h for the maps' keys.
 *
 * Needs nothing newer than Linux 5.15, no kernel BTF and no CO-RE relocation: it reads packets and maps, never kernel
 * structs. Every loop is unrolled and every length bounded, so the verifier's work stays small.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp/maps.h"
#include "xdp/outcome.h"

#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_EXTENSIONS_MAX 4

/* RFC 792, RFC 4443. <linux/icmp.h> would bring libc's headers in. */
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_ERROR_MIN 1
#define ICMPV6_ERROR_MAX 4
#define ICMP_HEADER_LEN 8

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_SERVICES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct xdp_service_key);
	__type(value, struct xdp_served);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_SERVERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct xdp_server_key);
	__type(value, __u8);
} servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_LOCALS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct xdp_address);
	__type(value, __u8);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_SOCKETS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct xdp_queue_key);
	__type(value, struct xdp_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XDP_SOCKETS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* By CPU, as many as there can be: set before the object is loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct xdp_counts);
} counters SEC(".maps");

/* One byte per local port (enum xdp_answers), by its value in network order. User space maps and writes it. */
volatile __u8 ports_used[XDP_PORTS];
/* Some server's packets to clients pass through here; no other packet needs to be looked up for that. */
volatile __u8 answers_to_clients;

struct packet {
	struct xdp_address source, destination;
	__u16 source_port_be, destination_port_be;
	__u8 ip_protocol; /* XDP_LATER_FRAGMENTS for such */
};

static __always_inline void
count(__u32 outcome)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct xdp_counts *counts = bpf_map_lookup_elem(&counters, &cpu);

	if (counts && outcome < XDP_COUNTER_COUNT)
		counts->values[outcome] += 1;
}

#include "xdp/forward.bpf.h"

static __always_inline void
address_from_v4(struct xdp_address *out, __u32 v4_be)
{
	out->words_be[0] = 0;
	out->words_be[1] = 0;
	out->words_be[2] = bpf_htonl(0xffff);
	out->words_be[3] = v4_be;
}

static __always_inline void
address_from_v6(struct xdp_address *out, const struct in6_addr *v6)
{
	__builtin_memcpy(out, v6, sizeof(*out));
}

/* All three return where the L4 header starts, NULL for what the kernel shall have. */
static __always_inline void *
parse_ipv4(void *l3, void *end, struct packet *packet)
{
	struct iphdr *ip = l3;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return NULL;
	address_from_v4(&packet->source, ip->saddr);
	address_from_v4(&packet->destination, ip->daddr);
	packet->ip_protocol = ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET) ? XDP_LATER_FRAGMENTS : ip->protocol;
	return l3 + ip->ihl * 4;
}

static __always_inline void *
parse_ipv6(void *l3, void *end, struct packet *packet)
{
	struct ipv6hdr *ip = l3;
	void *next = ip + 1;
	__u8 protocol;

	if (next > end || ip->version != 6)
		return NULL;
	address_from_v6(&packet->source, &ip->saddr);
	address_from_v6(&packet->destination, &ip->daddr);
	protocol = ip->nexthdr;
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		struct ipv6_opt_hdr *option = next;
		__u16 *fragment_offset_be = next + 2;

		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS &&
		    protocol != IPPROTO_FRAGMENT)
			break;
		if (next + 8 > end)
			return NULL;
		if (protocol == IPPROTO_FRAGMENT) {
			if (*fragment_offset_be & bpf_htons(IPV6_FRAGMENT_OFFSET)) {
				packet->ip_protocol = XDP_LATER_FRAGMENTS;
				return next;
			}
			next += 8;
		} else {
			next += (option->hdrlen + 1) * 8;
		}
		protocol = option->nexthdr;
	}
	packet->ip_protocol = protocol;
	return next;
}

static __always_inline void *
parse_ip(void *l3, void *end, __u16 ethertype_be, struct packet *packet)
{
	if (ethertype_be == bpf_htons(ETH_P_IP))
		return parse_ipv4(l3, end, packet);
	if (ethertype_be == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(l3, end, packet);
	return NULL;
}

/* The first 4 bytes of TCP and UDP alike; `len` bytes of the header must be there. */
static __always_inline bool
parse_ports(void *l4, void *end, unsigned int len, struct packet *packet)
{
	struct udphdr *header = l4;

	if (l4 + len > end)
		return false;
	packet->source_port_be = header->source;
	packet->destination_port_be = header->dest;
	return true;
}

static __always_inline enum xdp_owner
has_service(struct xdp_service_key *key, __u16 port_be)
{
	const struct xdp_served *served;

	key->port_be = port_be;
	served = bpf_map_lookup_elem(&services, key);
	return served ? (enum xdp_owner)served->owner : XDP_OWNER_KERNEL;
}

static __always_inline enum xdp_owner
is_served(const struct xdp_address *address, __u16 port_be, __u8 ip_protocol)
{
	struct xdp_service_key key = { .address = *address, .ip_protocol = ip_protocol };

	enum xdp_owner owner = has_service(&key, port_be);

	if (!owner)
		owner = has_service(&key, 0);
	if (owner)
		return owner;
	/* A wildcard is 0.0.0.0 in its mapped form, or ::. */
	if (address->words_be[0] || address->words_be[1] || address->words_be[2] != bpf_htonl(0xffff))
		__builtin_memset(&key.address, 0, sizeof(key.address));
	key.address.words_be[3] = 0;
	owner = has_service(&key, port_be);
	return owner && bpf_map_lookup_elem(&locals, address) ? owner : XDP_OWNER_KERNEL;
}

static __always_inline bool
has_server(struct xdp_server_key *key, __u16 port_be, __u8 answers)
{
	key->answers = answers;
	key->port_be = port_be;
	if (bpf_map_lookup_elem(&servers, key))
		return true;
	key->port_be = 0;
	return answers != XDP_ANSWERS_TO_STACK && bpf_map_lookup_elem(&servers, key);
}

static __always_inline enum xdp_owner
is_answer(const struct xdp_address *server, __u16 server_port_be, const struct xdp_address *local, __u16 local_port_be,
	  __u8 ip_protocol)
{
	struct xdp_server_key key = { .address = *server, .ip_protocol = ip_protocol };
	__u8 used = ports_used[local_port_be];

	if (used && has_server(&key, server_port_be, used))
		return used == XDP_ANSWERS_TO_STACK ? XDP_OWNER_STACK : XDP_OWNER_FORWARDING;
	return answers_to_clients && has_server(&key, server_port_be, XDP_ANSWERS_TO_CLIENTS) &&
			       !bpf_map_lookup_elem(&locals, local)
		       ? XDP_OWNER_FORWARDING
		       : XDP_OWNER_KERNEL;
}

/* It goes with its first, which had ports: only the addresses can tell. */
static __always_inline bool
is_fragment_of_ours(const struct packet *packet)
{
	struct xdp_service_key service = { .address = packet->destination, .ip_protocol = XDP_LATER_FRAGMENTS };
	struct xdp_server_key server = { .address = packet->source, .ip_protocol = XDP_LATER_FRAGMENTS };

	return bpf_map_lookup_elem(&services, &service) || bpf_map_lookup_elem(&servers, &server);
}

static __always_inline bool
is_icmp_error(void *l4, void *end, __u8 ip_protocol)
{
	__u8 type;

	if (l4 + ICMP_HEADER_LEN > end)
		return false;
	type = *(__u8 *)l4;
	if (ip_protocol == IPPROTO_ICMPV6)
		return type >= ICMPV6_ERROR_MIN && type <= ICMPV6_ERROR_MAX;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* What it was in, of what Weir encapsulates, is not asked here. */
static __always_inline bool
is_to_tunnel(const struct packet *quote)
{
	struct xdp_server_key key = { .address = quote->destination,
				      .port_be = quote->destination_port_be,
				      .ip_protocol = quote->ip_protocol,
				      .answers = XDP_ANSWERS_BY_ERRORS };

	return bpf_map_lookup_elem(&servers, &key) && bpf_map_lookup_elem(&locals, &quote->source);
}

static __always_inline enum xdp_owner
if_so(bool so)
{
	return so ? XDP_OWNER_FORWARDING : XDP_OWNER_KERNEL;
}

/* The quote is a packet that this host sent: its source is ours, its destination the peer (RFC 792: 8 bytes of L4). */
static __always_inline enum xdp_owner
is_quote_of_ours(void *l4, void *end, __u16 ethertype_be)
{
	struct packet quote = {};
	void *quoted_l4 = parse_ip(l4 + ICMP_HEADER_LEN, end, ethertype_be, &quote);
	enum xdp_owner owner;

	if (!quoted_l4)
		return XDP_OWNER_KERNEL;
	if (quote.ip_protocol == IPPROTO_IPIP || quote.ip_protocol == IPPROTO_IPV6)
		return if_so(is_to_tunnel(&quote));
	if (quote.ip_protocol != IPPROTO_TCP && quote.ip_protocol != IPPROTO_UDP)
		return XDP_OWNER_KERNEL;
	if (!parse_ports(quoted_l4, end, 8, &quote))
		return XDP_OWNER_KERNEL;
	owner = is_served(&quote.source, quote.source_port_be, quote.ip_protocol);
	if (!owner)
		owner = is_answer(&quote.destination, quote.destination_port_be, &quote.source, quote.source_port_be,
				  quote.ip_protocol);
	return owner ? owner : if_so(is_to_tunnel(&quote));
}

static __always_inline enum xdp_owner
owner_of_flow(const struct packet *packet)
{
	enum xdp_owner owner = is_served(&packet->destination, packet->destination_port_be, packet->ip_protocol);

	return owner ? owner
		     : is_answer(&packet->source, packet->source_port_be, &packet->destination,
				 packet->destination_port_be, packet->ip_protocol);
}

static __always_inline enum xdp_owner
owner_of(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	void *l3 = ethernet + 1;
	struct packet packet = {};
	__u16 ethertype_be;
	void *l4;

	/* Group addresses carry no unicast IP that a host may accept (RFC 1122 section 3.3.6). */
	if (l3 > end || ethernet->h_dest[0] & 1)
		return XDP_OWNER_KERNEL;
	ethertype_be = ethernet->h_proto;
	if (ethertype_be == bpf_htons(ETH_P_8021Q) || ethertype_be == bpf_htons(ETH_P_8021AD)) {
		if (l3 + 4 > end)
			return XDP_OWNER_KERNEL;
		ethertype_be = *(__u16 *)(l3 + 2);
		l3 += 4;
	}
	l4 = parse_ip(l3, end, ethertype_be, &packet);
	if (!l4)
		return XDP_OWNER_KERNEL;
	if (packet.ip_protocol == XDP_LATER_FRAGMENTS)
		return if_so(is_fragment_of_ours(&packet));
	if (packet.ip_protocol == IPPROTO_TCP || packet.ip_protocol == IPPROTO_UDP)
		return parse_ports(l4, end,
				   packet.ip_protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr),
				   &packet)
			       ? owner_of_flow(&packet)
			       : XDP_OWNER_KERNEL;
	if (packet.ip_protocol == (ethertype_be == bpf_htons(ETH_P_IP) ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
	    is_icmp_error(l4, end, packet.ip_protocol))
		return is_quote_of_ours(l4, end, ethertype_be);
	return XDP_OWNER_KERNEL;
}

/* To whom it concerns, when it was not forwarded for `reason`. */
APART int
hand_up(struct xdp_md *context, __u32 reason)
{
	struct xdp_queue_key queue = { .ifindex = context->ingress_ifindex, .queue = context->rx_queue_index };
	enum xdp_owner owner = owner_of((void *)(long)context->data, (void *)(long)context->data_end);
	const struct xdp_slot *slot;
	int verdict = XDP_PASS;

	if (owner == XDP_OWNER_KERNEL) {
		count(XDP_COUNT_TO_KERNEL);
		return XDP_PASS;
	}
	slot = bpf_map_lookup_elem(&slots, &queue);
	if (slot)
		verdict = bpf_redirect_map(&sockets, slot->socket, XDP_PASS);
	if (owner == XDP_OWNER_FORWARDING && settings.outlives && verdict != XDP_REDIRECT) {
		count(XDP_COUNT_DROP_NO_WEIR);
		return XDP_DROP;
	}
	if (owner == XDP_OWNER_FORWARDING && settings.workers)
		count(reason);
	count(verdict == XDP_REDIRECT ? XDP_COUNT_TO_WEIR : XDP_COUNT_NO_SOCKET);
	return verdict;
}

SEC("xdp.frags")
int
weir_xdp(struct xdp_md *context)
{
	struct plain packet = {};
	struct known known = {};
	int action = forward(context, &packet, &known);

	return action >= 0 ? action : hand_up(context, -action);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
