#include "packet/sum.h"

/* Shorter runs are not worth the look at the CPU. */
#define LONG_RUN 192

#ifdef __x86_64__
#define INTRINSICS_OF_LATER_CPUS
#include <immintrin.h>

/* 64 bytes a turn: each 32-bit word is widened by zeros and added in a lane of its own. */
__attribute__((target("avx2"))) static uint64_t
sum_wide(uint64_t sum, const uint8_t *at, size_t len)
{
	const __m256i zero = _mm256_setzero_si256();
	__m256i chains[4] = { zero, zero, zero, zero };
	uint64_t lanes[4];

	for (; len >= 64; len -= 64, at += 64) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)at);
		__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));

		chains[0] = _mm256_add_epi64(chains[0], _mm256_unpacklo_epi32(a, zero));
		chains[1] = _mm256_add_epi64(chains[1], _mm256_unpackhi_epi32(a, zero));
		chains[2] = _mm256_add_epi64(chains[2], _mm256_unpacklo_epi32(b, zero));
		chains[3] = _mm256_add_epi64(chains[3], _mm256_unpackhi_epi32(b, zero));
	}
	chains[0] = _mm256_add_epi64(_mm256_add_epi64(chains[0], chains[1]), _mm256_add_epi64(chains[2], chains[3]));
	_mm256_storeu_si256((__m256i *)(void *)lanes, chains[0]);
	return packet_sum(sum + lanes[0] + lanes[1] + lanes[2] + lanes[3], at, len);
}

uint64_t
packet_sum_long(uint64_t sum, const void *data, size_t len)
{
	return len >= LONG_RUN && __builtin_cpu_supports("avx2") ? sum_wide(sum, data, len)
								 : packet_sum(sum, data, len);
}
#else
uint64_t
packet_sum_long(uint64_t sum, const void *data, size_t len)
{
	return packet_sum(sum, data, len);
}
#endif
