#include "weir-load/histogram.h"

#include <math.h>
#include <string.h>

#define LINEAR (1u << HISTOGRAM_LINEAR_BITS)

/* Bucket 0 to 127: the value itself. Above, 128 for each power of two. */
static size_t
bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < LINEAR)
		return value;
	if (value >> HISTOGRAM_VALUE_BITS)
		return HISTOGRAM_BUCKETS - 1;
	shift = 63 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_LINEAR_BITS;
	return ((size_t)(shift + 1) << HISTOGRAM_LINEAR_BITS) + (value >> shift) - LINEAR;
}

static uint64_t
bucket_start(size_t bucket)
{
	size_t shift = bucket >> HISTOGRAM_LINEAR_BITS;

	return shift == 0 ? bucket : (LINEAR + bucket % LINEAR) << (shift - 1);
}

uint64_t
histogram_bucket_end(size_t bucket)
{
	return bucket_start(bucket + 1) - 1;
}

void
histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->least = UINT64_MAX;
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->sum_of_squares += (double)value * (double)value;
	if (value < h->least)
		h->least = value;
	if (value > h->most)
		h->most = value;
	h->buckets[bucket_of(value)]++;
}

void
histogram_merge(struct histogram *h, const struct histogram *other)
{
	h->count += other->count;
	h->sum += other->sum;
	h->sum_of_squares += other->sum_of_squares;
	if (other->least < h->least)
		h->least = other->least;
	if (other->most > h->most)
		h->most = other->most;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += other->buckets[i];
}

uint64_t
histogram_percentile(const struct histogram *h, double percent)
{
	uint64_t wanted = (uint64_t)ceil(percent / 100 * (double)h->count), seen = 0;

	if (wanted == 0)
		wanted = 1;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS && h->count; i++) {
		seen += h->buckets[i];
		if (seen >= wanted) {
			uint64_t end = histogram_bucket_end(i);

			return end < h->most ? end : h->most;
		}
	}
	return h->most;
}

double
histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

double
histogram_deviation(const struct histogram *h)
{
	double mean = histogram_mean(h), variance;

	if (!h->count)
		return 0;
	variance = h->sum_of_squares / (double)h->count - mean * mean;
	return variance > 0 ? sqrt(variance) : 0;
}

double
histogram_within_deviation(const struct histogram *h)
{
	double mean = histogram_mean(h), deviation = histogram_deviation(h);
	uint64_t within = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double middle = ((double)bucket_start(i) + (double)histogram_bucket_end(i)) / 2;

		if (fabs(middle - mean) <= deviation)
			within += h->buckets[i];
	}
	return h->count ? 100 * (double)within / (double)h->count : 0;
}
