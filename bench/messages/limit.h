/* What the machine does at best in this run, and whether it is as it was. One thread; failures are
 * said. */
#ifndef BENCH_MESSAGES_LIMIT_H
#define BENCH_MESSAGES_LIMIT_H

#include "bench/messages/settings.h"

#include <stdbool.h>

/* In nanoseconds; peers/limit.c says of what. */
enum limit { LIMIT_MAILBOX, LIMIT_BOXES, LIMIT_COPY, LIMIT_FAULT, LIMIT_FORK, LIMITS };

extern const char *const limit_names[LIMITS];

struct limits {
    double ns[LIMITS];
};

/* What is copied for figures of messages of this length: as much, but of short ones 1 MiB. */
uint64_t limit_copied_bytes(uint64_t bytes);

/* Measures them for messages of this length. */
int limits_measure(uint64_t bytes, struct limits *limits);

/* The figure that figures of this length stand and fall with. */
enum limit limit_that_counts(uint64_t bytes);

/* What a sample of an order would take by it alone; 0 where it says nothing of that. */
double limit_of_order(const struct limits *limits, const struct order *order, int workers);

/*
 * Whether a figure is within 1.5 times of the median of the last five, which are kept for this
 * machine below XDG_CACHE_HOME or ~/.cache, and adds it to them: a machine that has changed for
 * good is disturbed for three runs. The first figure is what it is.
 */
bool limit_is_as_before(uint64_t bytes, const struct limits *limits);

#endif
