/*
 * Packets longer than a frame on a kernel interface: the kernel takes them whole, through a packet socket, and has the
 * device cut them up, or, where the other end is a kernel as well (veth), nobody (struct virtio_net_hdr; segmentation
 * offload). AF_XDP has no way to ask for that. Not for other rooms.
 *
 * Control opens and closes; in between the queue's worker sends.
 */
#ifndef PORT_LARGE_H
#define PORT_LARGE_H

#include <rte_mbuf.h>
#include <stdbool.h>

/* mbufs of a packet at most. */
#define PORT_LARGE_SEGMENTS_MAX 255

/* A socket that sends through the interface and receives nothing. The fd or -errno. */
int port_large_open(int ifindex);

/*
 * One packet with RTE_MBUF_F_TX_TCP_SEG and its lengths as DPDK defines them, of at most PORT_LARGE_SEGMENTS_MAX mbufs.
 * The kernel copies it; headers are changed, and it stays the caller's. False: not taken (no memory, a full queue, an
 * interface that is down); trying again at once is of no use.
 */
bool port_large_send(int fd, struct rte_mbuf *m);

#endif
