/*
 * Seeded hashes. flow_hash is for tables of flows and for spreading over lcores (shared with BPF: no libc, no 128-bit
 * arithmetic); siphash is a keyed pseudo-random function for what an attacker must not predict (RFC 6528, RFC 6056).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A finaliser with full avalanche (the constants are those of MurmurHash3's fmix64). */
static inline uint64_t
hash_mix64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	x ^= x >> 33;
	return x;
}

/* Of a 5-tuple: two addresses as four 64-bit halves, both ports (network order) and the IP protocol. */
static inline uint32_t
flow_hash(const uint64_t source[2], const uint64_t destination[2], uint16_t source_port_be,
	  uint16_t destination_port_be, uint8_t protocol, uint64_t seed)
{
	uint64_t h = seed ^ (((uint64_t)source_port_be << 24) | ((uint64_t)destination_port_be << 8) | protocol);

	h = hash_mix64(h ^ source[1]) + source[0];
	h = hash_mix64(h ^ destination[1]) + destination[0];
	return (uint32_t)(hash_mix64(h) >> 32);
}

/* SipHash-2-4 of `len` bytes under a 128-bit key (Aumasson and Bernstein, 2012). */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif
