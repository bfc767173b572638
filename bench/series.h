/* Figures of repeated runs, and what is said about them. One thread. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include <stddef.h>

/* The memory is the owner's: bench_series_free. {0} is empty. */
struct bench_series {
    double *values;
    size_t count;
    size_t capacity;
};

/* Adds a figure. -1, said, where there is no memory. */
int bench_series_add(struct bench_series *series, double value);

/*
 * The figure below which a share (0 to 1) of all lies: of the sorted figures the one at
 * ceil(share * count), so the 99th percentile of fewer than 100 is the largest. The median of an
 * even number is the mean of the middle two. 0 for an empty series.
 */
double bench_series_percentile(const struct bench_series *series, double share);
double bench_series_median(const struct bench_series *series);

void bench_series_free(struct bench_series *series);

#endif
