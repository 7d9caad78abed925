/*
 * From an mbuf to a view. Headers are read only inside the first segment; one that does not fit there is a drop with a
 * name. Payload may go on in further segments. Any lcore; no state.
 *
 * Sources: RFC 791, RFC 8200 (extension headers), RFC 1858 (tiny fragments), RFC 1122 3.2.1.3 (martians).
 */
#ifndef PACKET_PARSE_H
#define PACKET_PARSE_H

#include "packet/verdict.h"
#include "packet/view.h"

/*
 * Fills packet_view(m) up to the L4 ports and flags, and its verdict, which is also returned. port_index and queue are
 * left as they are. Ethernet with at most one VLAN tag (in the frame, or stripped into the mbuf), IPv4 with options, IPv6
 * with at most 8 extension headers.
 *
 * Checksums: what the device found good (mbuf ol_flags) is believed; else IPv4's header checksum is verified here, and for
 * TCP, UDP and ICMP the full L4 checksum of an unfragmented packet. A TCP or UDP sum that equals the bare pseudo-header
 * sum is a local kernel's CHECKSUM_PARTIAL: taken as good and marked.
 */
enum packet_verdict packet_parse(struct rte_mbuf *m);

/*
 * The packet quoted inside an ICMP or ICMPv6 error (RFC 792, RFC 4443): addresses, protocol and ports as they were sent,
 * that is, the source is the host that the error is addressed to.
 */
struct packet_quote {
	struct ip_address source, destination;
	uint16_t source_port_be, destination_port_be;
	uint32_t tcp_sequence; /* host order; 0 when not TCP */
	uint32_t mtu;          /* of fragmentation needed / packet too big, else 0 */
	uint8_t ip_protocol;
	uint8_t icmp_type, icmp_code;
};

/* True when `m` (parsed, verdict ok) is an ICMP error whose quote is TCP or UDP and reaches 8 bytes into its header.
 * Source quench (RFC 6633) and redirects are not errors here. Who the quoted source is, the caller checks. */
bool packet_parse_icmp_error(struct rte_mbuf *m, struct packet_quote *quote);

/* The same of a tunnel's packet: IP in IP, or GUE version 0 over UDP without extensions. */
struct packet_tunnel_quote {
	struct packet_quote outer; /* its ports are GUE's, 0 without UDP */
	struct packet_quote inner; /* neither ICMP nor TCP fields */
	uint16_t outer_len;        /* as sent: by the IP header */
	uint16_t inner_offset;     /* from the start of the mbuf's data to the inner IP header */
	uint16_t inner_l4_offset;  /* from there on */
	uint16_t inner_len;        /* of its bytes, as many as are quoted */
};

/* True when `m` (as above) is an ICMP error whose quote is such a packet and reaches the ports of a TCP or UDP header inside:
 * 4 bytes. Whose it is, and whether its port is GUE's, the caller checks. */
bool packet_parse_icmp_tunnel(struct rte_mbuf *m, struct packet_tunnel_quote *quote);

#endif
