/*
 * A histogram of times with bounded relative error, after HDR Histogram: linear within a power of two, which is divided
 * into 128 buckets, so that a value is known to within 1/128 (0.8 %), from 1 ns to 4398 s (2^42 ns); what is longer counts
 * as that. Exact below 128 ns. One writer; no allocation; 37 KB.
 */
#ifndef WEIR_LOAD_HISTOGRAM_H
#define WEIR_LOAD_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_LINEAR_BITS 7
#define HISTOGRAM_VALUE_BITS 42
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_LINEAR_BITS + 1) << HISTOGRAM_LINEAR_BITS)

struct histogram {
	uint64_t count, sum, least, most;
	double sum_of_squares;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);
/* Adds all that is in `other`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The value that `percent` (0 to 100) of all are not above, to within 1/128 upwards and never above the most; 0 when there is
 * none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);
double histogram_deviation(const struct histogram *histogram);
/* Percent of the values that lie within one standard deviation of the mean (a bucket counts as its middle). */
double histogram_within_deviation(const struct histogram *histogram);

/* The largest value that counts in a bucket. */
uint64_t histogram_bucket_end(size_t bucket);

#endif
