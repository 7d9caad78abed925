/*
 * Makes a frame out of a counter, and gives it to the program under test by a tail call: a run of BPF_PROG_TEST_RUN repeats
 * the same frame, which the program under test has rewritten, and would see one flow alone. No memory per flow.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME_LEN 60
#define IP_LEN (FRAME_LEN - 14)

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

volatile __u32 flow_count, step, next;
volatile __u32 first_client, vip_be; /* host order, network order */

static __always_inline __u16
fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* Every client has four ports, 1024 to 1027. */
static __always_inline void
write(void *data, __u32 number)
{
	struct ethhdr *ethernet = data;
	struct iphdr *ip = data + sizeof(*ethernet);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 client_be = bpf_htonl(first_client + number / 4);
	const __u32 *words = (void *)ip;

	__builtin_memset(data, 0, FRAME_LEN);
	ethernet->h_dest[0] = 2;
	ethernet->h_proto = bpf_htons(ETH_P_IP);
	*(__u8 *)ip = 0x45;
	ip->tot_len = bpf_htons(IP_LEN);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = client_be;
	ip->daddr = vip_be;
	ip->check = (__u16)~fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
	tcp->source = bpf_htons((__u16)(1024 + number % 4));
	tcp->dest = bpf_htons(80);
	*(__u16 *)((void *)tcp + 12) = bpf_htons(0x5010);
	/* Any but the pseudo-header's. */
	tcp->check = 0x1234;
}

/* False when there is no frame of that length. */
static __always_inline bool
make_next(struct xdp_md *context)
{
	int longer = (int)(context->data_end - context->data) - FRAME_LEN;
	__u32 number = next;
	void *data;

	if (longer && bpf_xdp_adjust_head(context, longer))
		return false;
	data = (void *)(long)context->data;
	if (data + FRAME_LEN > (void *)(long)context->data_end)
		return false;
	next = number + step >= flow_count ? number + step - flow_count : number + step;
	write(data, number);
	return true;
}

SEC("xdp.frags")
int
generate(struct xdp_md *context)
{
	if (make_next(context))
		bpf_tail_call(context, &under_test, 0);
	return XDP_ABORTED;
}

/* Of live frames: out of the interface that they are said to come from, or nowhere. */
SEC("xdp.frags")
int
send(struct xdp_md *context)
{
	return make_next(context) ? XDP_TX : XDP_ABORTED;
}

SEC("xdp.frags")
int
make(struct xdp_md *context)
{
	return make_next(context) ? XDP_DROP : XDP_ABORTED;
}

SEC("xdp.frags")
int
nothing(struct xdp_md *context)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int
drop(struct xdp_md *context)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int
bounce(struct xdp_md *context)
{
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
