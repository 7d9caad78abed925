/*
 * One AF_XDP socket: a device queue with its four rings, over the frames of the packet pool. Not for other rooms.
 *
 *             fill ring ---->  kernel  ----> receive ring        frames to be received into
 *             send ring ---->  kernel  ----> completion ring     frames to be sent
 *
 * While the kernel has a frame, its mbuf belongs to nobody else: one reference, one segment, and its bit in `held`. What
 * is still set after the socket was closed goes back to the pool, so no frame is ever lost, wherever it was.
 *
 * Control opens and closes; in between the queue's worker calls the rest. The device queue may be one of several of a
 * port's queue.
 */
#ifndef PORT_XSK_H
#define PORT_XSK_H

#include <stdbool.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "port/frames.h"

struct port_xsk {
	_Alignas(64) struct xsk_ring_cons receive; /* sockets of several workers stand side by side */
	struct xsk_ring_cons completion;
	struct xsk_ring_prod fill, send;
	const struct port_frames *frames;
	struct rte_mempool *pool;
	struct xsk_socket *socket;               /* NULL: not open */
	struct rte_mbuf *partial, *partial_tail; /* of a packet, what has been read from the receive ring so far */
	uint64_t *held;                          /* one bit per frame */
	uint32_t fill_target;                    /* frames the kernel should have for receiving */
	uint32_t fill_short;                     /* of these, how many it has not, for want of mbufs */
	uint32_t sent_held;                      /* frames given for sending and not yet back */
	bool send_failing; /* the last call to send ended in an error that will not go away by itself */
};

struct port_xsk_config {
	const char *interface_name;
	uint32_t queue;
	uint32_t receive_size, send_size; /* powers of two */
	bool sends;
	bool native, zero_copy;
	bool multi_buffer; /* packets may have several frames */
};

/* Of a packet to be sent at most, in the kernel as well as in drivers: MAX_SKB_FRAGS of the usual build, and the head. */
#define PORT_XSK_FRAMES_MAX 17

/* The memory of all frames, for the sockets of one port. The rings get their sizes here. 0 or -errno. */
int port_xsk_umem_new(const struct port_frames *frames, uint32_t receive_size, uint32_t send_size,
		      struct xsk_umem **out, struct xsk_ring_prod *first_fill, struct xsk_ring_cons *first_completion);

/* `xsk` zeroed by the caller, who keeps it in place: rings are linked from within. 0 or -errno. */
int port_xsk_open(struct port_xsk *xsk, struct xsk_umem *umem, const struct port_frames *frames,
		  struct rte_mempool *pool, const struct port_xsk_config *config);
/* Closes and forgets nothing: port_xsk_reclaim() gives the frames back once the UMEM is gone too. */
void port_xsk_close(struct port_xsk *xsk);
void port_xsk_reclaim(struct port_xsk *xsk);

int port_xsk_fd(const struct port_xsk *xsk);

/* Packets received, each a chain of as many mbufs as it has frames; and how many frames could not be replaced, which is
 * added to *no_mbuf. */
uint16_t port_xsk_receive(struct port_xsk *xsk, struct rte_mbuf **out, uint16_t max, uint64_t *no_mbuf);

/* How many of `m` were put into the send ring, from the first on; these are the kernel's now. Each mbuf has one reference
 * and is of the socket's pool. Chains (at most PORT_XSK_FRAMES_MAX mbufs) go with multi_buffer alone. */
uint16_t port_xsk_send(struct port_xsk *xsk, struct rte_mbuf **m, uint16_t count);
/* Tells the kernel to send what is in the ring, if it wants to be told. Returns the system calls made. */
unsigned int port_xsk_send_flush(struct port_xsk *xsk);
/* Frees the mbufs of sent packets. */
void port_xsk_complete(struct port_xsk *xsk);

/* True when the worker must come back without being woken: packets wait in a ring, or the kernel has no frames left. */
bool port_xsk_has_work(struct port_xsk *xsk);

/* Packets in the send ring that the kernel has not taken yet. */
static inline uint32_t
port_xsk_unsent(const struct port_xsk *xsk)
{
	return xsk->sent_held ? xsk->send.cached_prod - __atomic_load_n(xsk->send.consumer, __ATOMIC_ACQUIRE) : 0;
}

#endif
