/* What a run is told to measure, as text: for a flare's parameter and a peer's command line. */
#ifndef BENCH_EXCHANGE_ORDER_H
#define BENCH_EXCHANGE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum operation {
    OPERATION_LATENCY,
    OPERATION_RATE,
    OPERATION_BANDWIDTH,
    OPERATION_BARRIER,
    OPERATION_BCAST,
    OPERATION_REDUCE,
    OPERATION_ALLREDUCE,
    OPERATION_GATHER,
    OPERATION_SCATTER,
    OPERATION_ALLGATHER,
    OPERATION_ALLTOALL,
    OPERATIONS,
};

extern const char *const operation_names[OPERATIONS];

/* -1: none is called so. */
int operation_find(const char *name);

/* Between two: rank r and rank r + half the size. */
bool operation_pairs(enum operation operation);

struct order {
    enum operation operation;
    uint64_t bytes;    /* of a message, or of one member's block */
    uint64_t samples;  /* times that are taken */
    uint64_t warm_ups; /* samples before them that are not */
    uint64_t window;   /* messages under way at once; round trips or barriers in a sample */
    uint64_t rounds;   /* windows in a sample, of rate and bandwidth */
    bool owned;
    bool once;     /* from the first start to the last end; else the longest of any worker */
    uint64_t seed; /* of the data */
};

enum { order_text_bytes = 192 };

/* Writes at most order_text_bytes, words with a space between. */
void order_write(const struct order *order, char *text);

/* Reads that. -1 where it is none. */
int order_read(const char *text, struct order *order);

#endif
