/*
 * The header of the PROXY protocol, versions 1 and 2: what a proxy says in front of a connection's bytes about the client that
 * it speaks for.
 *
 * Read: bytes in, addresses and the header's length out. Written: version 1 as text, version 2 as a struct that is laid over
 * bytes. Pure functions, any lcore; nothing is kept between calls, so a header in pieces is read from its beginning again.
 *
 * Source: haproxy's doc/proxy-protocol.txt (2020/03/05); where it leaves a choice, nginx's reading of it.
 */
#ifndef PACKET_PROXY_PROTOCOL_H
#define PACKET_PROXY_PROTOCOL_H

#include "base/address.h"

/* The longest version 1, with CR LF (section 2.1). */
#define PACKET_PROXY_V1_MAX 107
/* The longest header that is read, TLVs included. */
#define PACKET_PROXY_MAX 4096

enum packet_proxy_result { PACKET_PROXY_MORE, PACKET_PROXY_DONE, PACKET_PROXY_BAD };

struct packet_proxy {
	/* False: nobody is named (LOCAL, UNKNOWN, not TCP over IP), and the connection's own addresses hold. */
	bool known;
	struct endpoint source, destination; /* the client, and where it connected to */
	uint32_t len;                        /* DONE: of the whole header; TLVs are passed over */
	const char *problem;                 /* BAD: static text, in nginx's words */
};

/* `in`: what has come so far of the connection. MORE: it may become a header. */
enum packet_proxy_result packet_proxy_parse(struct bytes in, struct packet_proxy *out);

/* Version 1, not terminated: `out` has room for PACKET_PROXY_V1_MAX. Returns the length. An IPv4 address beside an IPv6 one
 * is written as a mapped one. */
size_t packet_proxy_write_v1(char *out, const struct endpoint *source, const struct endpoint *destination);

/* ---- version 2, section 2.2 ---- */

#define PACKET_PROXY_V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct packet_proxy_v2 {
	uint8_t signature[12];
	uint8_t version_command;
	uint8_t family_transport;
	uint16_t len_be;  /* of what follows */
	uint8_t rest[36]; /* source, destination, source's port, destination's port: 12 bytes, or 36 */
} __attribute__((packed));

enum {
	PACKET_PROXY_V2_FIXED = 16,
	PACKET_PROXY_V2_PROXY = 0x21, /* version 2, PROXY */
	PACKET_PROXY_V2_LOCAL = 0x20,
	PACKET_PROXY_V2_TCP4 = 0x11,
	PACKET_PROXY_V2_TCP6 = 0x21,
};

static inline uint16_t
packet_proxy_v2_len(bool ipv6)
{
	return (uint16_t)(PACKET_PROXY_V2_FIXED + (ipv6 ? 36 : 12));
}

/* `addresses`: source and destination as an IP header has them. The first packet_proxy_v2_len(ipv6) bytes count. */
static inline void
packet_proxy_v2_fill(struct packet_proxy_v2 *out, bool ipv6, const void *addresses, uint16_t source_port_be,
		     uint16_t destination_port_be)
{
	uint32_t addresses_len = ipv6 ? 32 : 8;

	memcpy(out->signature, PACKET_PROXY_V2_SIGNATURE, sizeof(out->signature));
	out->version_command = PACKET_PROXY_V2_PROXY;
	out->family_transport = ipv6 ? PACKET_PROXY_V2_TCP6 : PACKET_PROXY_V2_TCP4;
	out->len_be = htons((uint16_t)(addresses_len + 4));
	memcpy(out->rest, addresses, addresses_len);
	memcpy(out->rest + addresses_len, &source_port_be, 2);
	memcpy(out->rest + addresses_len + 2, &destination_port_be, 2);
}

#endif
