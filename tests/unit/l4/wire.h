/*
 * Packets as they come off a wire, for tests of what is done to them: built byte by byte with sums of their own, and checked
 * with the same plain sum over all bytes, which shares no code with the rooms under test.
 */
#ifndef UNIT_L4_WIRE_H
#define UNIT_L4_WIRE_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "l4/packet.h"

enum wire_part { WIRE_WHOLE, WIRE_FIRST, WIRE_LATER, WIRE_PARTS };

/* The first fragment ends after so many bytes of L4. */
#define WIRE_FIRST_LEN 64

struct wire {
	bool v6;
	uint8_t ip_protocol; /* TCP, UDP */
	enum wire_part part;
	bool partial; /* the L4 checksum is the pseudo-header's sum */
	bool no_sum;  /* UDP: 0 */
	bool dont_fragment;
	bool padded;    /* the frame is 8 bytes longer than the packet */
	bool segmented; /* the mbuf is a chain: its second one starts 10 bytes behind the headers */
	uint8_t tos, ttl, tcp_flags;
	uint16_t identification;
	uint32_t sequence, acknowledgement;
	uint8_t options[40], options_len;
	uint16_t payload_len; /* of the datagram that fragments are parts of */
	struct endpoint source, destination;
};

/* One of each kind: version, protocol, part, partial or not. `next` goes through them all; false behind the last. */
bool wire_next(struct wire *w, unsigned int *number);

/* From 198.51.100.7:40000 or [2001:db8::7]:40000 to 10.0.1.1:80 or [fd00:1::1]:80. */
struct wire wire_default(bool v6, uint8_t ip_protocol);
struct endpoint wire_endpoint(const char *text);

/* A new mbuf with the frame, and what the pipeline would know of it. The caller frees packet->m. */
void wire_build(const struct wire *w, struct l4_packet *packet);
/* The bytes of the IP packet that wire_build() makes. Returns their number. */
uint16_t wire_bytes(const struct wire *w, uint8_t *out);

/* The IP packet `offset` bytes into the mbuf, copied; padding included. Returns its length. */
uint16_t wire_read(const struct rte_mbuf *m, uint32_t offset, uint8_t *out);

/* Plain sum of big-endian words, folded. */
uint16_t wire_sum(const uint8_t *bytes, size_t len, uint32_t sum);
/* Fails the test unless lengths and all sums of the IP packet are right. A partial L4 sum must be the pseudo-header's. */
void wire_assert_sums(const uint8_t *ip, uint16_t len, bool partial);
/* Fails the test unless two fragments of one datagram, put together, have a right L4 sum. */
void wire_assert_reassembled(const uint8_t *first, uint16_t first_len, const uint8_t *later, uint16_t later_len);

/* Where the L4 header starts: behind IPv4 without options, IPv6 and a fragment header. */
uint16_t wire_l4_offset(const uint8_t *ip);
struct endpoint wire_source(const uint8_t *ip);
struct endpoint wire_destination(const uint8_t *ip);

#endif
