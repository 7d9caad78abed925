/*
 * What the BPF program counts, in rows that both compilers read. User space gets it through xdp.h.
 *
 * Every packet is in one of the first rows; a packet of a forwarded service that went to a worker is in to_weir and in one
 * of the reasons, too.
 */
#ifndef XDP_OUTCOME_H
#define XDP_OUTCOME_H

#define XDP_COUNTERS(ROW)                                                                                              \
	ROW(TO_WEIR, "to_weir")                                                                                        \
	ROW(TO_KERNEL, "to_kernel")                                                                                    \
	ROW(NO_SOCKET, "no_socket") /* Weir's, but no socket on its queue: it went to the kernel */                    \
	ROW(FORWARDED, "forwarded") /* to the server of its flow, here */                                              \
	ROW(ANSWERED, "answered")   /* back to the client, here */                                                     \
	ROW(STARTED, "started")     /* the same, and the flow is new */                                                \
	ROW(STATELESS, "stateless") /* Weir has gone, and here is no room for a flow: to the server of its hash */     \
	ROW(DROP_NO_WEIR, "drop_no_weir") /* Weir has gone, and only it could have forwarded this */                   \
	ROW(DROP_NO_ROOM, "drop_no_room") /* the kernel did not find the packet as long as it was */                   \
	ROW(UP_NO_FLOW,                                                                                                \
	    "up_no_flow") /* the first of a flow whose answers are Weir's, too, or that finds no room here */          \
	ROW(UP_CHOICE, "up_choice")       /* the same, and only a worker can tell to which server */                   \
	ROW(UP_TCP_STATE, "up_tcp_state") /* SYN, FIN, RST, or half open, where both entries have to know */           \
	ROW(UP_TWIN, "up_twin")           /* after a silence the flow's other entry is told */                         \
	ROW(UP_NEXT_HOP, "up_next_hop")   /* not known, out of date, or of an interface that takes none */             \
	ROW(UP_TTL, "up_ttl")                                                                                          \
	ROW(UP_TOO_BIG, "up_too_big")                                                                                  \
	ROW(UP_FRAGMENT, "up_fragment")                                                                                \
	ROW(UP_OPTIONS, "up_options")         /* of IPv4, or extension headers of IPv6 */                              \
	ROW(UP_TAG, "up_tag")                 /* of a VLAN */                                                          \
	ROW(UP_PARTIAL_SUM, "up_partial_sum") /* a local sender's, which left the checksum to its device */            \
	ROW(UP_CONTENT, "up_content")         /* PROXY protocol, TOA */                                                \
	ROW(UP_MALFORMED, "up_malformed")     /* to be dropped there, by name */                                       \
	ROW(UP_HEADROOM, "up_headroom")                                                                                \
	ROW(UP_OBSERVED, "up_observed") /* there is a trace */                                                         \
	ROW(UP_ICMP, "up_icmp")         /* errors about flows */

enum xdp_counter {
#define ROW(name, text) XDP_COUNT_##name,
	XDP_COUNTERS(ROW)
#undef ROW
		XDP_COUNTER_COUNT
};

/* One element per CPU. */
struct xdp_counts {
	unsigned long long values[(XDP_COUNTER_COUNT + 7) / 8 * 8];
};

#endif
