/* What one run of an order brought, in nanoseconds of a sample. */
#ifndef BENCH_MESSAGES_OUTCOME_H
#define BENCH_MESSAGES_OUTCOME_H

#include "bench/series.h"

/* {0} is empty. */
struct outcome {
    struct bench_series call;
    struct bench_series read;    /* of owned messages: until every byte was read */
    struct bench_series barrier; /* one barrier */
};

/* Adds the lines of measure_order. -1, said, where they are none, lack a time, or say that data was
 * wrong. who is named then. */
int outcome_read(struct outcome *outcome, const char *text, const char *who);

/* Adds all that another has. -1, said: no memory. */
int outcome_add(struct outcome *outcome, const struct outcome *more);

void outcome_free(struct outcome *outcome);

#endif
