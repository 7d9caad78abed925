/*
 * One's-complement sums (RFC 1071), for this room and those that rewrite packets. Words are summed as they lie in memory: the sum of
 * network order words in host arithmetic is the network order sum (RFC 1071 section 2(B)).
 */
#ifndef PACKET_SUM_H
#define PACKET_SUM_H

#include <rte_mbuf.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"

/* Adds `len` bytes to an unfolded sum. Four independent chains, as one would wait for its own additions. */
static inline uint64_t
packet_sum(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t chains[4] = { sum & UINT32_MAX, sum >> 32, 0, 0 };

	for (; len >= 16; len -= 16, at += 16) {
		uint32_t words[4];

		memcpy(words, at, sizeof(words));
		for (int i = 0; i < 4; i++)
			chains[i] += words[i];
	}
	for (; len >= 4; len -= 4, at += 4) {
		uint32_t word;

		memcpy(&word, at, sizeof(word));
		chains[0] += word;
	}
	if (len & 2) {
		uint16_t half;

		memcpy(&half, at, sizeof(half));
		chains[1] += half;
		at += sizeof(half);
	}
	/* A missing last byte counts as zero. */
	if (len & 1)
		chains[2] += htons((uint16_t)(*at << 8));
	/* Each chain is far below 2^62 for any packet. */
	return chains[0] + chains[1] + chains[2] + chains[3];
}

/* The same, for what may be a whole payload. */
uint64_t packet_sum_long(uint64_t sum, const void *data, size_t len);

/* Both halves added, with the carry brought around: adding a word turned by half its length has that in its upper half. */
static inline uint16_t
packet_sum_fold(uint64_t sum)
{
	uint32_t half;

	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* The pseudo-headers of RFC 9293 section 3.1 and RFC 8200 section 8.1, unfolded, from the unfolded sum of both addresses.
 * `protocol` and `l4_len` count alike as 16 and as 32 bits. */
static inline uint64_t
packet_sum_pseudo(uint64_t addresses_sum, uint8_t protocol, uint32_t l4_len)
{
	return addresses_sum + htons(protocol) + htonl(l4_len);
}

/* Adds `len` bytes that start `offset` bytes into `m`, over all its segments, which must hold them. */
uint64_t packet_sum_segments(uint64_t sum, const struct rte_mbuf *m, uint32_t offset, uint32_t len);

#endif
