/*
 * IPv6 extension headers (RFC 8200 section 4), for the files of this room.
 */
#ifndef PACKET_CHAIN_H
#define PACKET_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "packet/verdict.h"

#define PACKET_EXTENSION_HEADERS_MAX 8

struct packet_chain {
	uint32_t l4_offset;
	uint16_t fragment_offset; /* bytes */
	uint8_t protocol;         /* of the header at l4_offset */
	bool fragment;            /* part of a packet; not for a fragment header on a whole packet (RFC 6946) */
};

/* Walks from the header at `offset`, of kind `next_header`, in `data`, of which `end` bytes may be read. Stops behind the
 * fragment header of a later fragment. PACKET_OK, or the drop. */
enum packet_verdict packet_chain_walk(const uint8_t *data, uint32_t offset, uint32_t end, uint8_t next_header,
				      struct packet_chain *chain);

#endif
