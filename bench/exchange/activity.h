/* One worker's part in a measurement: what it sends and receives, where, and what must come. */
#ifndef BENCH_EXCHANGE_ACTIVITY_H
#define BENCH_EXCHANGE_ACTIVITY_H

#include "bench/exchange/order.h"
#include "bench/exchange/talk.h"

/* Blocks of one length, one behind the other in private memory; or owned, each by itself. */
struct blocks {
    struct block *blocks;
    size_t count;
    char *memory; /* NULL: owned */
};

struct activity {
    struct talk *talk;
    const struct order *order;
    int rank;
    int size;
    int partner; /* of a pair; else -1 */
    struct blocks out;
    struct blocks in;
    uint64_t *sums; /* of what came, by block of in */
    double sum;     /* of numbers that came */
    uint64_t wrong; /* blocks that were not what was sent */
};

/* The memory of it, touched. -1, said; destroy it also then. */
int activity_create(struct talk *talk, const struct order *order, struct activity *activity);
void activity_destroy(struct activity *activity);

/* Fresh data for a call into everything that is sent. -1: the library failed. */
int activity_rewrite(struct activity *activity, uint64_t call);

/* The calls. -1: the library failed. */
int activity_run(struct activity *activity);

/* Reads every byte that came. */
void activity_read(struct activity *activity);

/* Compares what was read with what was sent, and lets go of owned memory. */
void activity_check(struct activity *activity, uint64_t call);

/* Whether the time of this worker's calls counts: of a pair only the first one's does. */
bool activity_counts(const struct activity *activity);

#endif
