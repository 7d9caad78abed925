#include "packet/sum.h"

#include "base/random.h"
#include "support/cmocka.h"

#define LONGEST 2100

static uint8_t data[LONGEST + 64];

/* As RFC 1071 section 4.1 has it, byte by byte. */
static uint16_t
plain_sum(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	return htons((uint16_t)sum);
}

static void
assert_same(size_t offset, size_t len)
{
	uint16_t wanted = plain_sum(data + offset, len);

	assert_int_equal(packet_sum_fold(packet_sum(0, data + offset, len)), wanted);
	assert_int_equal(packet_sum_fold(packet_sum_long(0, data + offset, len)), wanted);
}

static void
every_length_and_alignment_has_the_sum_of_rfc_1071(void **state)
{
	random_fill(data, sizeof(data));
	for (size_t len = 0; len <= LONGEST; len++)
		assert_same(len % 61, len);
}

static void
carries_are_not_lost(void **state)
{
	memset(data, 0xff, sizeof(data));
	for (size_t len = 0; len <= LONGEST; len++)
		assert_same(len % 7, len);
}

static void
what_was_summed_before_is_added_to(void **state)
{
	uint64_t first;

	random_fill(data, sizeof(data));
	first = packet_sum_long(0, data, 1000);
	assert_int_equal(packet_sum_fold(packet_sum_long(first, data + 1000, 1000)), plain_sum(data, 2000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment_has_the_sum_of_rfc_1071),
		cmocka_unit_test(carries_are_not_lost),
		cmocka_unit_test(what_was_summed_before_is_added_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
