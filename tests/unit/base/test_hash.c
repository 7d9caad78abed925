#include "base/hash.h"

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

/* Every input bit should flip every output bit half of the time. */
static void
flow_hash_avalanches(void **state)
{
	enum { ROUNDS = 4000, INPUT_BITS = 256 + 16 + 16 + 8 };
	static unsigned int flips[INPUT_BITS][32];
	struct random random = { 99 };

	for (int round = 0; round < ROUNDS; round++) {
		struct {
			uint64_t source[2], destination[2];
			uint16_t ports[2];
			uint8_t protocol;
		} tuple;
		uint32_t hash;

		for (size_t i = 0; i < sizeof(tuple); i++)
			((uint8_t *)&tuple)[i] = (uint8_t)random_next(&random);
		hash = flow_hash(tuple.source, tuple.destination, tuple.ports[0], tuple.ports[1], tuple.protocol, 1);
		for (int bit = 0; bit < INPUT_BITS; bit++) {
			uint32_t flipped;

			((uint8_t *)&tuple)[bit / 8] ^= 1 << bit % 8;
			flipped = hash ^ flow_hash(tuple.source, tuple.destination, tuple.ports[0], tuple.ports[1],
						   tuple.protocol, 1);
			((uint8_t *)&tuple)[bit / 8] ^= 1 << bit % 8;
			for (int out = 0; out < 32; out++)
				flips[bit][out] += flipped >> out & 1;
		}
	}
	for (int bit = 0; bit < INPUT_BITS; bit++)
		for (int out = 0; out < 32; out++)
			assert_in_range(flips[bit][out], ROUNDS * 45 / 100, ROUNDS * 55 / 100);
}

static void
flow_hash_depends_on_seed_and_direction(void **state)
{
	uint64_t a[2] = { 0, 1 }, b[2] = { 0, 2 };

	assert_int_not_equal(flow_hash(a, b, 1, 2, 6, 0), flow_hash(a, b, 1, 2, 6, 1));
	assert_int_not_equal(flow_hash(a, b, 1, 2, 6, 0), flow_hash(b, a, 2, 1, 6, 0));
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
		cmocka_unit_test(random_bytes_differ_and_none_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
