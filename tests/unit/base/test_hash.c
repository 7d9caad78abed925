#include "base/hash.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "support/cmocka.h"

/* Key 00..0f, input 00..(len-1): the paper's test values, of the reference implementation's vectors_sip64. */
static void
siphash_gives_the_papers_values(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd },  { 7, 0xab0200f58b01d137 },
		{ 8, 0x93f5f5799a932462 }, { 15, 0xa129ca6149be45e5 },
	};
	uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint8_t input[16];

	for (uint8_t i = 0; i < 16; i++)
		input[i] = i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_true(siphash(key, input, vectors[i].len) == vectors[i].hash);
}

/* ---- flow_hash ---- */

struct tuple {
	uint64_t source[2], destination[2];
	uint16_t ports[2];
	uint8_t protocol;
};

enum { TUPLE_BITS = 256 + 16 + 16 + 8 };

static uint32_t
hash_of(const struct tuple *t, const struct flow_hash_key *key)
{
	return flow_hash(t->source, t->destination, t->ports[0], t->ports[1], t->protocol, key);
}

static void
flip(struct tuple *t, int bit)
{
	((uint8_t *)t)[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static struct tuple
random_tuple(struct random *random)
{
	struct tuple t;

	for (size_t i = 0; i < sizeof(t); i++)
		((uint8_t *)&t)[i] = (uint8_t)(random_next(random) >> 56);
	return t;
}

/* Of the bits that a client has of IPv4: 65,536 clients of one service. */
static struct tuple
random_tuple_v4(struct random *random)
{
	uint16_t client = (uint16_t)(random_next(random) >> 48), port = (uint16_t)(random_next(random) >> 48);

	return (struct tuple){ .source = { 0, (uint64_t)client << 48 | 0xbull << 32 | 0xffff0000 },
			       .destination = { 0, 0x0a00000affff0000 },
			       .ports = { port, 0x5000 },
			       .protocol = 6 };
}

/* The last word of each address, the ports and the protocol: the others make it IPv6. */
static bool
is_bit_of_v4(int bit)
{
	return (bit >= 96 && bit < 128) || bit >= 224;
}

/* Every input bit should flip every output bit half of the time. */
static void
assert_avalanche(struct tuple (*draw)(struct random *random), bool v4, uint64_t seed)
{
	enum { ROUNDS = 4000 };
	static unsigned int flips[TUPLE_BITS][32];
	struct random random = { 99 };
	struct flow_hash_key key;

	memset(flips, 0, sizeof(flips));
	flow_hash_key_init(&key, seed);
	for (int round = 0; round < ROUNDS; round++) {
		struct tuple tuple = draw(&random);
		uint32_t hash = hash_of(&tuple, &key), flipped;

		for (int bit = 0; bit < TUPLE_BITS; bit++) {
			flip(&tuple, bit);
			flipped = hash ^ hash_of(&tuple, &key);
			flip(&tuple, bit);
			for (int out = 0; out < 32; out++)
				flips[bit][out] += flipped >> out & 1;
		}
	}
	for (int bit = 0; bit < TUPLE_BITS; bit++)
		for (int out = 0; out < 32 && (!v4 || is_bit_of_v4(bit)); out++)
			assert_in_range(flips[bit][out], ROUNDS * 45 / 100, ROUNDS * 55 / 100);
}

static void
flow_hash_avalanches(void **state)
{
	for (uint64_t seed = 0; seed < 3; seed++) {
		assert_avalanche(random_tuple, false, seed);
		assert_avalanche(random_tuple_v4, true, seed);
	}
}

static void
flow_hash_depends_on_seed_and_direction(void **state)
{
	uint64_t a[2] = { 0, 1 }, b[2] = { 0, 2 };
	struct flow_hash_key key, other;

	flow_hash_key_init(&key, 0);
	flow_hash_key_init(&other, 1);
	assert_int_not_equal(flow_hash(a, b, 1, 2, 6, &key), flow_hash(a, b, 1, 2, 6, &other));
	assert_int_not_equal(flow_hash(a, b, 1, 2, 6, &key), flow_hash(b, a, 2, 1, 6, &key));
}

/* What attackers know are differences: none of one or two bits may let two flows collide under many seeds. */
static void
flow_hash_has_no_difference_that_collides_whatever_the_seed(void **state)
{
	enum { SEEDS = 12 };
	struct tuple (*const draws[])(struct random * random) = { random_tuple, random_tuple_v4 };
	struct random random = { 7 };

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct tuple tuple = draws[seed % 2](&random);
		struct flow_hash_key key;
		uint32_t hash;

		flow_hash_key_init(&key, seed);
		hash = hash_of(&tuple, &key);
		for (int first = 0; first < TUPLE_BITS; first++) {
			flip(&tuple, first);
			assert_int_not_equal(hash, hash_of(&tuple, &key));
			for (int second = 0; second < first; second++) {
				flip(&tuple, second);
				assert_int_not_equal(hash, hash_of(&tuple, &key));
				flip(&tuple, second);
			}
			flip(&tuple, first);
		}
	}
}

static void
flow_hash_of_ipv4_is_that_of_mapped_addresses(void **state)
{
	struct random random = { 5 };
	struct flow_hash_key key;

	flow_hash_key_init(&key, 3);
	for (int i = 0; i < 1000; i++) {
		struct tuple t = random_tuple_v4(&random);
		uint32_t source = (uint32_t)(t.source[1] >> 32), destination = (uint32_t)(t.destination[1] >> 32);

		assert_int_equal(hash_of(&t, &key),
				 flow_hash_v4((uint64_t)destination << 32 | source,
					      (uint32_t)t.ports[1] << 16 | t.ports[0], t.protocol, &key));
	}
}

/* Fleets rely on it, and tests/packets/maglev.py computes the same: a change moves flows when Weirs are mixed. */
static void
flow_hash_gives_known_values(void **state)
{
	const struct tuple v4 = { .source = { 0, 0x0700000affff0000 },
				  .destination = { 0, 0x0a0200c0ffff0000 },
				  .ports = { 0xa00f, 0x5000 },
				  .protocol = 6 };
	const struct tuple v6 = { .source = { 0x0000b80d01200000 | 0xfd, 0x0700000000000000 },
				  .destination = { 0xfd, 0x0a00000000000000 },
				  .ports = { 0xa00f, 0x5000 },
				  .protocol = 17 };
	struct flow_hash_key key;

	flow_hash_key_init(&key, 0);
	assert_int_equal(hash_of(&v4, &key), 0xa71758c7);
	flow_hash_key_init(&key, 12345);
	assert_int_equal(hash_of(&v6, &key), 0x898bb447);
}

/* Sum over the bins of (count - expected)^2 / expected: as many as there are bins, give or take. */
static double
chi_squared(const uint32_t *counts, uint32_t bins, uint32_t total)
{
	double expected = (double)total / bins, sum = 0;

	for (uint32_t i = 0; i < bins; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) / expected;
	return sum;
}

/* Clients in a row, as in a subnet; buckets by l4_flow_bucket()'s product, Maglev's entries by the remainder. */
static void
flow_hash_spreads_neighbours_evenly(void **state)
{
	enum { FLOWS = 1 << 20, BUCKETS = 5000, ENTRIES = 65537 };
	static uint32_t buckets[BUCKETS], entries[ENTRIES];
	struct flow_hash_key key;

	for (uint64_t seed = 0; seed < 4; seed++) {
		/* Whole subnets with few ports, or few clients with all ports. */
		uint32_t client_bits = seed % 2 ? 16 : 6;

		memset(buckets, 0, sizeof(buckets));
		memset(entries, 0, sizeof(entries));
		flow_hash_key_init(&key, seed);
		for (uint32_t i = 0; i < FLOWS; i++) {
			uint32_t client = htonl(0x0a000000 + (i & ((1u << client_bits) - 1)));
			uint32_t hash =
				flow_hash_v4(0x0a0200c0ull << 32 | client,
					     0x5000u << 16 | htons((uint16_t)(1024 + (i >> client_bits))), 6, &key);

			buckets[(uint64_t)(hash * 0x9e3779b1u) * BUCKETS >> 32]++;
			entries[hash % ENTRIES]++;
		}
		/* Six standard deviations of sqrt(2 * bins). */
		assert_true(chi_squared(buckets, BUCKETS, FLOWS) < BUCKETS + 6 * 100);
		assert_true(chi_squared(entries, ENTRIES, FLOWS) < ENTRIES + 6 * 362);
	}
}

static void
random_bytes_differ_and_none_is_left_out(void **state)
{
	uint8_t first[4096] = { 0 }, second[4096] = { 0 };
	unsigned int zeros = 0;

	random_fill(first, sizeof(first));
	random_fill(second, sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	for (size_t i = 0; i < sizeof(first); i++)
		zeros += first[i] == 0;
	assert_in_range(zeros, 1, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_papers_values),
		cmocka_unit_test(flow_hash_avalanches),
		cmocka_unit_test(flow_hash_depends_on_seed_and_direction),
		cmocka_unit_test(flow_hash_has_no_difference_that_collides_whatever_the_seed),
		cmocka_unit_test(flow_hash_of_ipv4_is_that_of_mapped_addresses),
		cmocka_unit_test(flow_hash_gives_known_values),
		cmocka_unit_test(flow_hash_spreads_neighbours_evenly),
		cmocka_unit_test(random_bytes_differ_and_none_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
