/*
 * What the BPF program counts, in rows that both compilers read. User space gets it through xdp.h.
 */
#ifndef XDP_OUTCOME_H
#define XDP_OUTCOME_H

#define XDP_COUNTERS(ROW)                                                                                              \
	ROW(TO_WEIR, "to_weir")                                                                                        \
	ROW(TO_KERNEL, "to_kernel")                                                                                    \
	ROW(NO_SOCKET, "no_socket") /* Weir's, but no socket on its queue: it went to the kernel */

enum xdp_counter {
#define ROW(name, text) XDP_COUNT_##name,
	XDP_COUNTERS(ROW)
#undef ROW
		XDP_COUNTER_COUNT
};

#endif
