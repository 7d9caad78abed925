#include "port/large.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "packet/checksum.h"

/* Packets under way count against it until the device, or the receiver, is done with them. */
#define SEND_BUFFER_BYTES (16 << 20)

int
port_large_open(int ifindex)
{
	/* Without a protocol nothing is received. */
	const struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, buffer = SEND_BUFFER_BYTES, rc;

	if (fd < 0)
		return -errno;
	/* Only makes it faster. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	/* Not past the queueing discipline (PACKET_QDISC_BYPASS): there the kernel drops what the device cannot cut up
	 * for a reason of its own, such as its limit of length, which it else does itself. */
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* What the kernel, unlike a device, wants to find in the headers. */
static void
headers_complete(struct rte_mbuf *m)
{
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, m->l2_len + m->l3_len);

	packet_checksum_fill_ipv4(m, (uint16_t)m->l2_len);
	tcp->cksum = packet_checksum_pseudo_whole(m, (uint16_t)m->l2_len);
}

/* The kernel copies part after part, each from a page of its own that another CPU may have written: fetched one line after
 * the other they would take longer than all at once. */
static void
prefetch_all(const struct rte_mbuf *m)
{
	for (; m; m = m->next)
		for (uint32_t at = 0; at < m->data_len; at += RTE_CACHE_LINE_SIZE)
			rte_prefetch1(rte_pktmbuf_mtod_offset(m, const uint8_t *, at));
}

bool
port_large_send(int fd, struct rte_mbuf *m)
{
	struct virtio_net_hdr header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)(m->l2_len + m->l3_len + m->l4_len),
		.gso_size = m->tso_segsz,
		.csum_start = (uint16_t)(m->l2_len + m->l3_len),
		.csum_offset = offsetof(struct rte_tcp_hdr, cksum),
	};
	struct iovec parts[PORT_LARGE_SEGMENTS_MAX + 1] = { { &header, sizeof(header) } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 1 };

	assert(m->nb_segs <= PORT_LARGE_SEGMENTS_MAX);
	prefetch_all(m);
	headers_complete(m);
	for (struct rte_mbuf *part = m; part; part = part->next)
		parts[message.msg_iovlen++] = (struct iovec){ rte_pktmbuf_mtod(part, void *), part->data_len };
	return sendmsg(fd, &message, MSG_DONTWAIT) >= 0;
}
