/*
 * The client's address and port for a server that sees only Weir's: the TOA option (TCP option 254, as the toa kernel
 * modules read it) and the PROXY protocol, version 2, in front of the first data. Of full_nat, for TCP. Of this room alone.
 *
 * Both follow the sequence number at which the client's data begins (`first`), which its SYN tells and the flow's entry
 * keeps (flow->origin): its low 31 bits, and in the highest bit that the beginning is long past. It is, once the client
 * sends what lies 2^29 behind: no server lets it come so far without having acknowledged the first bytes. Until then a
 * distance from `first` says all; afterwards sequence numbers may go around as often as they like.
 *
 * TOA is in what may complete the handshake: the client's segments that start within its initial window (RFC 6928), so
 * also in the first data, in case the ACK before is lost, and when it is sent again.
 *
 * The PROXY header is part of the segment that starts at `first` and has data or FIN, each time that it is sent. All that
 * starts behind is moved by the header's length, and the server's acknowledgements are moved back. L4_FLOW_PREFIXED says
 * that the header has gone out; it is set here in the client's entry, and the pipeline sets it in the answers' entry from
 * there before the server's next packet. A new opening of the flow starts with both entries clear of it.
 */
#ifndef L4_FORWARD_ORIGIN_H
#define L4_FORWARD_ORIGIN_H

#include "l4/forward.h"

/* Bytes that a segment grows by, at most. `options`: enum l4_option. */
uint16_t l4_origin_len(uint8_t options, bool ipv6);

/* Before the addresses are rewritten; `packet` is stripped and TCP, and `flow` the client's entry. L4_FORWARDED, or a drop. */
enum l4_verdict l4_origin_to_server(struct l4_packet *packet, const struct l4_target *target, struct l4_flow *flow);

/* An answer: its acknowledgement and SACK blocks are moved back, and the MSS of a SYN makes room for what is put into the
 * client's segments. `flow` is the answers' entry. */
void l4_origin_to_client(struct l4_packet *packet, const struct l4_target *target, const struct l4_flow *flow);

#endif
