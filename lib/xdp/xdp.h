/*
 * The XDP program that decides, on a kernel interface, which packets are Weir's, and its loader.
 *
 * One program object per Weir process, attached to any number of interfaces through bpf_links that die with the process:
 * a killed Weir leaves nothing behind. Packets for Weir go to the AF_XDP socket of the queue they came in on; everything
 * else (ARP, ssh, ping, other listeners, the host's own connections) passes to the kernel.
 *
 * What is Weir's:
 *   - TCP and UDP to a served endpoint: exact address and port, every port of an address, or a port on every local address;
 *   - answers: from a server (address, port, protocol) to a local port that Weir's stacks have in use or that forwarding has
 *     for its own, or, where servers route back through Weir, to any address that is not this host's;
 *   - ICMP and ICMPv6 errors that quote such a packet (they reach the kernel as well where XDP cannot tell);
 *   - later fragments from and to the addresses of what is forwarded.
 * Other later fragments and anything that cannot be parsed pass to the kernel.
 *
 * Packets of packet-level services whose flow is known are forwarded by the program itself: see forward.h.
 *
 * Control thread only, but for xdp_port_used(), which a stack's lcore calls: one byte in memory shared with the kernel,
 * no system call; and for what is reached through struct xdp_memory, which is its worker's.
 */
#ifndef XDP_XDP_H
#define XDP_XDP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "xdp/forward.h"
#include "xdp/maps.h"
#include "xdp/outcome.h"

struct xdp_program;

/* Whether the running kernel lacks something that the program needs: then what, in words, separated by commas. `probe` says 1
 * for what there is, 0 for what is not, and less when that cannot be told (without privileges): xdp_feature_probe. */
enum xdp_feature_kind { XDP_FEATURE_PROGRAM, XDP_FEATURE_MAP, XDP_FEATURE_HELPER };
int xdp_feature_probe(enum xdp_feature_kind kind, int value);
bool xdp_kernel_lacks(int (*probe)(enum xdp_feature_kind kind, int value), char *out, size_t size);

/* What the program is to forward by itself (forward.h). */
struct xdp_forwarding {
	uint32_t workers; /* XDP_WORKERS_MAX at most */
	uint32_t pairs;   /* of each worker's flow table */
	uint32_t strides[L4_PAIRS_AWAY][L4_FLOW_STRIDES];
	uint64_t hash_seed;
	uint64_t
		start_ns; /* CLOCK_MONOTONIC: the workers' second 0; that of the flows that were found, where there were any */
	/* The program stays when the process is killed, and the next one takes over (pin.c). */
	bool pinned;
	bool found; /* set when there were flows of a process before */
};

/* Loads the object; `forwarding` NULL: nothing is forwarded here. 0, or -errno with a complete reason in error[0..size) (what
 * the kernel lacks, and what to do). */
int xdp_program_load(struct xdp_program **out, struct xdp_forwarding *forwarding, char *error, size_t size);
/* What is pinned stays; but after xdp_program_unpin() nothing is left. */
void xdp_program_free(struct xdp_program *program);
void xdp_program_unpin(struct xdp_program *program);

/* True when packets may have several frames (multi-buffer, since Linux 6.6): the program takes such, and AF_XDP sockets do
 * if they ask for it. Without, a packet longer than a frame is dropped on its way to a socket. */
bool xdp_program_multi_buffer(const struct xdp_program *program);

/* Descriptor of the loaded program (bpftool and tests know it by that); owned by the object. */
int xdp_program_fd(const struct xdp_program *program);

enum xdp_mode { XDP_MODE_AUTO, XDP_MODE_NATIVE, XDP_MODE_GENERIC };

/* Native where the driver has it, else generic (with AUTO); *used says which. The link is held by the program object.
 * -EBUSY when another program is attached (named in the error text). */
int xdp_program_attach(struct xdp_program *program, int ifindex, enum xdp_mode mode, enum xdp_mode *used, char *error,
		       size_t size);
void xdp_program_detach(struct xdp_program *program, int ifindex);
/* True when it is attached natively anywhere. */
bool xdp_program_is_native(const struct xdp_program *program);
/* True when it was loaded to forward. */
bool xdp_program_forwards(const struct xdp_program *program);

/* Sends packets of (ifindex, queue) that are Weir's to this AF_XDP socket; replaces the one before. -1 withdraws it:
 * from then on such packets pass to the kernel. 0 or -errno; -ENOSPC above XDP_SOCKETS_MAX. */
int xdp_program_socket_set(struct xdp_program *program, int ifindex, uint32_t queue, int socket_fd);

/* Which worker polls that queue; `stable`: the flows that come in there are its own. Before xdp_program_socket_set(). */
void xdp_program_queue_owner(struct xdp_program *program, int ifindex, uint32_t queue, uint16_t worker, bool stable);

/*
 * Replaces what is served and which servers answers may come from. Additions are made before removals, so no packet of
 * an endpoint in both sets is ever missed. An `any` address means every address of that IP version that this host has,
 * given in `locals`. 0, or -errno and everything is as it was before.
 */
struct xdp_service {
	struct endpoint endpoint; /* port 0: every port */
	uint8_t ip_protocol;
	bool forwarded;  /* packet by packet: later fragments to the address are Weir's, too */
	uint16_t number; /* of xdp_program_choice_set(); 0: none */
};

struct xdp_server {
	struct endpoint endpoint; /* port 0: every port, unless TO_STACK */
	uint8_t ip_protocol;
	uint8_t answers; /* enum xdp_answers */
};

int xdp_program_serve(struct xdp_program *program, const struct xdp_service *services, uint32_t service_count,
		      const struct xdp_server *servers, uint32_t server_count, const struct ip_address *locals,
		      uint32_t local_count);

/* Local ports that no stack uses but forwarding (host order): what comes to them from servers XDP_ANSWERS_TO_FORWARD. Once,
 * before they are served. */
void xdp_program_forwarding_ports(struct xdp_program *program, uint16_t first, uint16_t last);

/* A local port for outgoing connections is in use by the calling lcore, or no longer. Each port belongs to one lcore. */
void xdp_port_used(struct xdp_program *program, uint16_t port_be, bool used);

/* Packets by outcome (xdp/outcome.h), names in xdp_counter_names: of one CPU in memory that the program writes, for as long as
 * it is there, and summed over all. */
extern const char *const xdp_counter_names[XDP_COUNTER_COUNT];
uint32_t xdp_program_cpus(const struct xdp_program *program);
const uint64_t *xdp_program_cpu_counters(const struct xdp_program *program, uint32_t cpu);
void xdp_program_counters(const struct xdp_program *program, uint64_t out[XDP_COUNTER_COUNT]);

/* ---- forwarding ---- */

/* A worker's share of what forward.h describes. False where nothing is forwarded, or there is no such worker. */
struct xdp_memory {
	struct l4_flow_pair *flows;
	struct l4_target_use *uses;
	struct xdp_hop *hops;
	struct xdp_lane *lane;
};
bool xdp_program_memory(const struct xdp_program *program, uint32_t worker, struct xdp_memory *out);

/* A target's facts from now on; nothing that flows with this number have seen may change but `serves`. All targets
 * that are not set between two calls of xdp_program_targets_end() serve no more. */
void xdp_program_target_set(struct xdp_program *program, uint32_t number, const struct xdp_target *target);
void xdp_program_targets_end(struct xdp_program *program);
/* What was last set for that number, in this process or one before it. False: nothing. */
bool xdp_program_target_get(const struct xdp_program *program, uint32_t number, struct xdp_target *out);
/*
 * Who gets a service's new flows from xdp_program_choices_end() on; those of all services that are not set between two calls
 * of that go up. When it returns, no packet goes by what there was before. Workers must know all targets by then. 0 or -errno,
 * and new flows of the services concerned go up.
 */
int xdp_program_choice_set(struct xdp_program *program, uint32_t service, const struct xdp_choice *choice);
int xdp_program_choices_end(struct xdp_program *program);
/* What the program itself has sent to a target, over all CPUs. */
struct xdp_traffic xdp_program_traffic(const struct xdp_program *program, uint32_t target);

#endif
