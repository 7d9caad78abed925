/*
 * Packets on a wire: live frames (BPF_F_TEST_XDP_LIVE_FRAMES) through a veth to the program at its other end, which may send
 * them back, to be dropped there. All of it happens on one CPU, in the call that sends a batch of 64: the sender's CPU time is
 * what a packet costs from being made to being forgotten, and no ring overflows on the way.
 *
 * The veth is the caller's (pktgen-scripts/bench-xdp makes it, in a network namespace of its own): LIVE_LOAD and LIVE_TESTED,
 * both up.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdint.h>

#define LIVE_LOAD "load"
#define LIVE_TESTED "tested"

struct generate_bpf;
struct live;

/* Programs are attached to both ends. NULL: errno says why. */
struct live *live_new(struct generate_bpf *generator);
void live_free(struct live *live);

/* CPU time per packet, with this program at LIVE_TESTED; `arrived` counts those that came there. -1: frames are made and dropped
 * where they are. Negative: -errno. */
double live_window(struct live *live, int program_fd, uint32_t packets, uint64_t *arrived);

#endif
