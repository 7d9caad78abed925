/*
 * What became of a packet on the L4 path: one name each, which is its counter, its word in traces and decisions, and what
 * `weirctl explain` says.
 */
#ifndef L4_VERDICT_H
#define L4_VERDICT_H

#define L4_VERDICTS(ROW)                                                                                               \
	ROW(PASSED, "passed")               /* no service's: for TCP of our own, or the kernel */                      \
	ROW(FORWARDED, "forwarded")         /* to the server of its flow */                                            \
	ROW(STARTED, "started")             /* the same, and the flow is new */                                        \
	ROW(STATELESS, "stateless")         /* to the server of its hash, without a flow: table full or SYN flood */   \
	ROW(ANSWERED, "answered")           /* back to the client */                                                   \
	ROW(ERROR_RELAYED, "error_relayed") /* an ICMP error, to the end that it is for */                             \
	ROW(HANDED_OVER, "handed_over")     /* to the lcore that owns the flow */                                      \
	ROW(FRAGMENT_WAITING, "fragment_waits") /* for its first */                                                    \
	ROW(TOO_BIG_SENT, "too_big_sent")       /* ICMP told the sender the MTU; the packet is gone */                 \
	ROW(TIME_EXCEEDED_SENT, "time_exceeded_sent")                                                                  \
	ROW(DROP_NO_SERVER, "drop_no_server")         /* all are down or drained */                                    \
	ROW(DROP_NO_FLOW, "drop_no_flow")             /* an answer, or an error, to no flow of ours */                 \
	ROW(DROP_NO_LOCAL_PORT, "drop_no_local_port") /* full_nat: all towards this server are in use */               \
	ROW(DROP_FLOWS_FULL, "drop_flows_full")       /* full_nat and nat cannot do without a flow */                  \
	ROW(DROP_SYN_RATE, "drop_syn_rate")           /* the same under a flood: no state for it */                    \
	ROW(DROP_TTL, "drop_ttl")                     /* expired, and nobody is told (rate, or an error itself) */     \
	ROW(DROP_TOO_BIG, "drop_too_big")             /* does not fit the way, and nobody is told */                   \
	ROW(DROP_NO_ROUTE, "drop_no_route")                                                                            \
	ROW(DROP_NO_HEADROOM, "drop_no_headroom")                                                                      \
	ROW(DROP_NO_MBUF, "drop_no_mbuf")                                                                              \
	ROW(DROP_FRAGMENTS_FULL, "drop_fragments_full")     /* too many wait for their first */                        \
	ROW(DROP_FRAGMENT_TIMEOUT, "drop_fragment_timeout") /* the first never came */                                 \
	ROW(DROP_OPTION_NO_ROOM, "drop_option_no_room")     /* nowhere to put the client's address */                  \
	ROW(DROP_PARSE, "drop_parse")                       /* see the counters of room packet for what was wrong */

enum l4_verdict {
#define ROW(name, text) L4_##name,
	L4_VERDICTS(ROW)
#undef ROW
		L4_VERDICT_COUNT
};

extern const char *const l4_verdict_names[L4_VERDICT_COUNT];

#endif
