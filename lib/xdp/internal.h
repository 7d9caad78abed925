/*
 * What program.c (object, links, sockets) and serve.c (the sets of services and servers) share. Not for other rooms.
 */
#ifndef XDP_INTERNAL_H
#define XDP_INTERNAL_H

#include "xdp/maps.h"
#include "xdp/xdp.h"

#define XDP_INTERFACES_MAX 64

/* The keys of one map as user space last wrote them: sorted bytewise, without duplicates. */
struct xdp_key_set {
	uint8_t *keys;
	uint32_t count;
	uint32_t key_size;
};

enum xdp_set { XDP_SET_LOCALS, XDP_SET_SERVERS, XDP_SET_SERVICES, XDP_SET_COUNT };

struct xdp_link {
	int ifindex; /* 0: free */
	int fd;
};

struct xdp_program {
	struct weir_bpf *skeleton;
	struct xdp_link links[XDP_INTERFACES_MAX];
	struct xdp_queue_key slots[XDP_SOCKETS_MAX]; /* ifindex 0: free */
	struct xdp_key_set sets[XDP_SET_COUNT];
	bool multi_buffer;
};

/* Descriptor of the map that holds a set. */
int xdp_program_set_fd(const struct xdp_program *program, enum xdp_set set);
/* Whether some server's answers to clients are to be looked up. */
void xdp_program_answers_to_clients(struct xdp_program *program, bool some);

#endif
