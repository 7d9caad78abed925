/*
 * The packet pool as memory that an AF_XDP UMEM can be made of. Not for other rooms.
 *
 * One frame is one mempool element, and a power of two that divides the page, so that aligned chunk mode works: a frame
 * never crosses a page (drivers with zero copy need no physically contiguous pages), the kernel finds the frame of an
 * address by a mask, and so does Weir.
 *
 *     0          64           192        256                 512
 *     | mempool  | rte_mbuf   | private  | kernel's headroom | the packet, up to the end of the frame
 *     | header   |            | (view)   | = mbuf's headroom |
 *                                        ^ mbuf->buf_addr    ^ mbuf->data_off 256
 *
 * The first 256 bytes are given to the kernel as the UMEM's own headroom, which it never writes; the next 256 are what it
 * keeps free in front of every packet (XDP_PACKET_HEADROOM).
 */
#ifndef PORT_FRAMES_H
#define PORT_FRAMES_H

#include <rte_mbuf.h>
#include <stdint.h>

struct port_frames {
	uint8_t *base;       /* page aligned */
	uint32_t frame_size; /* a power of two */
	uint32_t frames;
	uint32_t mbuf_offset;   /* in the frame */
	uint32_t buffer_offset; /* of buf_addr in the frame: the UMEM's headroom */
};

/* Bytes that the kernel keeps free in front of a received packet: XDP_PACKET_HEADROOM of <linux/bpf.h>. */
#define PORT_FRAME_KERNEL_HEADROOM 256
/* Ethernet and one VLAN tag. */
#define PORT_FRAME_L2_MAX 18

/* 0, or -EINVAL when the pool was not made by port_pool_new(). */
int port_frames_of_pool(struct rte_mempool *pool, struct port_frames *out);

/* Longest IP packet that fits into so many frames. */
static inline uint32_t
port_frames_mtu_max(const struct port_frames *f, uint32_t count)
{
	return (f->frame_size - f->buffer_offset - PORT_FRAME_KERNEL_HEADROOM) * count - PORT_FRAME_L2_MAX;
}

static inline struct rte_mbuf *
port_frame_mbuf(const struct port_frames *f, uint64_t address)
{
	return (struct rte_mbuf *)(void *)(f->base + (address & ~(uint64_t)(f->frame_size - 1)) + f->mbuf_offset);
}

static inline uint32_t
port_frame_index(const struct port_frames *f, uint64_t address)
{
	return (uint32_t)(address >> __builtin_ctz(f->frame_size));
}

/* Address of the mbuf's frame, and of its data. */
static inline uint64_t
port_frame_address(const struct port_frames *f, const struct rte_mbuf *m)
{
	return (uint64_t)((const uint8_t *)m - f->base) - f->mbuf_offset;
}

static inline uint64_t
port_frame_data_address(const struct port_frames *f, const struct rte_mbuf *m)
{
	return (uint64_t)((const uint8_t *)m->buf_addr - f->base) + m->data_off;
}

#endif
