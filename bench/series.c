#include "bench/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bench_series_add(struct bench_series *series, double value)
{
    if (series->count == series->capacity) {
        size_t capacity = series->capacity ? 2 * series->capacity : 32;
        double *values = realloc(series->values, capacity * sizeof(*values));
        if (!values) {
            fprintf(stderr, "covey-bench: out of memory\n");
            return -1;
        }
        series->values = values;
        series->capacity = capacity;
    }
    /* Kept sorted: there are few. */
    size_t place = series->count++;
    for (; place > 0 && series->values[place - 1] > value; place--)
        series->values[place] = series->values[place - 1];
    series->values[place] = value;
    return 0;
}

double bench_series_percentile(const struct bench_series *series, double share)
{
    if (series->count == 0)
        return 0;
    double exact = share * (double)series->count;
    size_t place = (size_t)exact;
    if ((double)place < exact)
        place++;
    return series->values[place > 0 ? place - 1 : 0];
}

double bench_series_median(const struct bench_series *series)
{
    if (series->count == 0)
        return 0;
    size_t half = series->count / 2;
    if (series->count % 2 == 1)
        return series->values[half];
    return (series->values[half - 1] + series->values[half]) / 2;
}

void bench_series_free(struct bench_series *series)
{
    free(series->values);
    *series = (struct bench_series){0};
}
