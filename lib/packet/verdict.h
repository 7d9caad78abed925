/*
 * What became of a packet. Every drop has a name, which is its counter and its text in traces. One row per verdict.
 */
#ifndef PACKET_VERDICT_H
#define PACKET_VERDICT_H

#define PACKET_VERDICTS(ROW)                                                                                           \
	ROW(OK, "ok")                                                                                                  \
	ROW(NOT_IP, "not_ip")                     /* ARP, LLDP, ...: for the kernel */                                 \
	ROW(DROP_TRUNCATED, "drop_truncated")     /* a header or the stated length reaches past the frame */           \
	ROW(DROP_BAD_VERSION, "drop_bad_version") /* ethertype and IP version disagree */                              \
	ROW(DROP_BAD_HEADER_LEN, "drop_bad_header_len")                                                                \
	ROW(DROP_IP_CHECKSUM, "drop_ip_checksum")                                                                      \
	ROW(DROP_L4_CHECKSUM, "drop_l4_checksum")                                                                      \
	ROW(DROP_MARTIAN, "drop_martian")                     /* a source nobody can answer to */                      \
	ROW(DROP_EXTENSION_HEADERS, "drop_extension_headers") /* more than Weir walks */                               \
	ROW(DROP_FRAGMENT_OVERLAP, "drop_fragment_overlap")   /* a fragment that rewrites the L4 header (RFC 1858) */

enum packet_verdict {
#define ROW(name, text) PACKET_##name,
	PACKET_VERDICTS(ROW)
#undef ROW
		PACKET_VERDICT_COUNT
};

extern const char *const packet_verdict_names[PACKET_VERDICT_COUNT];

#endif
