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

/*
 * What flow_hash() keeps secret, from a seed: who does not know it finds two flows of one hash no sooner than by trying, and
 * not by their differences. Everything that is to give a flow the same hash has the same seed.
 */
struct flow_hash_key {
	uint64_t addresses, ports; /* `ports` is odd */
	uint64_t rest[6];
};

static inline void
flow_hash_key_init(struct flow_hash_key *key, uint64_t seed)
{
	const uint64_t golden = 0x9e3779b97f4a7c15ull;

	key->addresses = hash_mix64(seed + golden);
	key->ports = hash_mix64(seed + 2 * golden) | 1;
	for (int i = 0; i < 6; i++)
		key->rest[i] = hash_mix64(seed + (uint64_t)(i + 3) * golden);
}

/*
 * Two multiplications with the shifts between, as in hash_mix64(), are what a full avalanche into the upper half takes.
 * The product before it is of two sums with 64 secret bits each, one of them odd, so that no bit of the other is lost: with
 * the same ports it differs for any two pairs of addresses, else the secrets have to meet a condition of 31 bits or more for
 * two products to be the same, whatever the difference. (A chain of multiplications with public factors hands a difference
 * of the uppermost bit on with certainty, for the next word to undo.)
 */
static inline uint32_t
flow_hash_finish(uint64_t product)
{
	const uint64_t multiplier = 0xff51afd7ed558ccdull;

	product = (product ^ product >> 32) * multiplier;
	product = (product ^ product >> 32) * multiplier;
	return (uint32_t)(product >> 32);
}

/* What the addresses are multiplied with. */
static inline uint64_t
flow_hash_factor(uint32_t ports, uint8_t protocol, const struct flow_hash_key *key)
{
	return 2 * ((uint64_t)protocol << 32 | ports) + key->ports;
}

static inline uint64_t
flow_hash_product(uint64_t addresses, uint32_t ports, uint8_t protocol, const struct flow_hash_key *key)
{
	return (addresses + key->addresses) * flow_hash_factor(ports, protocol, key);
}

/* flow_hash() of IPv4: source and destination address as they lie in a header, and the ports as they do in the next one. */
static inline uint32_t
flow_hash_v4(uint64_t addresses, uint32_t ports, uint8_t protocol, const struct flow_hash_key *key)
{
	return flow_hash_finish(flow_hash_product(addresses, ports, protocol, key));
}

/* Of the addresses all but their last words: a sum of products of 32-bit words, each with a secret of its own (the
 * multilinear family of Lemire and Kaser, "Strongly universal string hashing is fast", 2014). */
static inline uint64_t
flow_hash_rest(const uint64_t source[2], const uint64_t destination[2], const struct flow_hash_key *key)
{
	return ((uint32_t)source[0] + key->rest[0]) * ((source[0] >> 32) + key->rest[1]) +
	       ((uint32_t)destination[0] + key->rest[2]) * ((destination[0] >> 32) + key->rest[3]) +
	       ((uint32_t)source[1] + key->rest[4]) * ((uint32_t)destination[1] + key->rest[5]);
}

/* Of a 5-tuple: two addresses as four 64-bit halves, both ports (network order) and the IP protocol. Memory is taken for
 * little-endian, and IPv4 addresses are mapped ones. */
static inline uint32_t
flow_hash(const uint64_t source[2], const uint64_t destination[2], uint16_t source_port_be,
	  uint16_t destination_port_be, uint8_t protocol, const struct flow_hash_key *key)
{
	const uint32_t v4_mapped = 0xffff0000;
	uint64_t product = flow_hash_product(source[1] >> 32 | (destination[1] >> 32) << 32,
					     (uint32_t)destination_port_be << 16 | source_port_be, protocol, key);

	if (source[0] | destination[0] || (uint32_t)source[1] != v4_mapped || (uint32_t)destination[1] != v4_mapped)
		product += flow_hash_rest(source, destination, key);
	return flow_hash_finish(product);
}

/* SipHash-2-4 of `len` bytes under a 128-bit key (Aumasson and Bernstein, 2012). */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif
