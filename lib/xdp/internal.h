/*
 * What program.c (object, links, sockets) and serve.c (the sets of services and servers) share. Not for other rooms.
 */
#ifndef XDP_INTERNAL_H
#define XDP_INTERNAL_H

#include <bpf/libbpf.h>

#include "xdp/maps.h"
#include "xdp/xdp.h"

#define XDP_INTERFACES_MAX 64

/* The keys of one map as user space last wrote them, each with what the map is to say of it behind it: sorted bytewise, no key
 * twice. */
struct xdp_key_set {
	uint8_t *rows;
	uint32_t count;
	uint32_t key_size, row_size;
};

enum xdp_set { XDP_SET_LOCALS, XDP_SET_SERVERS, XDP_SET_SERVICES, XDP_SET_COUNT };

struct xdp_link {
	int ifindex; /* 0: free */
	int fd;
	bool native;
};

struct weir_bpf;
struct xdp_share;
struct xdp_choices;

struct xdp_program {
	struct weir_bpf *skeleton;
	struct xdp_link links[XDP_INTERFACES_MAX];
	struct xdp_queue_key slots[XDP_SOCKETS_MAX]; /* ifindex 0: free */
	struct xdp_slot owners[XDP_SOCKETS_MAX];     /* of the same */
	struct xdp_key_set sets[XDP_SET_COUNT];
	bool multi_buffer;
	char pin_directory[64]; /* empty: nothing is pinned */
	int lock_fd;            /* says that we are here; 0: none */
	uint32_t cpus;
	struct xdp_counts *counters; /* [cpus] */
	struct xdp_share *share;     /* NULL: nothing is forwarded */
	struct xdp_choices *choices; /* the same */
};

/*
 * What outlives the process (pin.c): a directory in the BPF file system per network namespace, with all maps and a link per
 * interface in it. 0, or -errno and a reason; -EADDRINUSE when its owner lives. *found: there are flows that fit
 * `forwarding`; what does not fit is removed.
 */
int xdp_pin_open(struct xdp_program *program, struct xdp_forwarding *forwarding, char *error, size_t size);
/* Removes what a process before this one has left, if nobody is there. */
void xdp_pin_clear(struct xdp_program *program);
/* Takes the link that is pinned for the interface over, with this process' program in it. The descriptor; -ENOENT: none. */
int xdp_pin_link_take(struct xdp_program *program, int ifindex, enum xdp_mode wanted, enum xdp_mode *used);
void xdp_pin_link(struct xdp_program *program, int ifindex, int fd, enum xdp_mode mode);
void xdp_pin_link_remove(struct xdp_program *program, int ifindex);
/* The sets of keys as the maps have them. 0 or -ENOMEM. */
int xdp_sets_read(struct xdp_program *program);

/* What forward.h describes, mapped (share.c). */
int xdp_share_size(struct weir_bpf *skeleton, const struct xdp_forwarding *forwarding, uint32_t cpus);
int xdp_share_new(struct xdp_program *program, const struct xdp_forwarding *forwarding);
void xdp_share_free(struct xdp_program *program);
/* Who gets new flows (choice.c); what a process before this one has left is read. */
int xdp_choices_new(struct xdp_program *program);
void xdp_choices_read(struct xdp_program *program);
/* All of an array map that user space may map; NULL when it cannot be. */
void *xdp_map_memory(const struct bpf_map *map);
size_t xdp_map_bytes(const struct bpf_map *map);

/* Descriptor of the map that holds a set. */
int xdp_program_set_fd(const struct xdp_program *program, enum xdp_set set);
/* Whether some server's answers to clients are to be looked up. */
void xdp_program_answers_to_clients(struct xdp_program *program, bool some);

#endif
