/* A way through the queue, in the order in which flares may start. */
#ifndef SCHEDULER_ORDER_WALK_H
#define SCHEDULER_ORDER_WALK_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

struct sched_walk {
    struct sched *sched;
    int64_t now_ns;
    struct covey_list *aged; /* the next of the whole queue, while all are aged */
    bool in_lines;
    size_t first_line; /* of the present priority */
    size_t end_line;
    uint32_t looks; /* at lines and flares, by what they cost */
};

void sched_walk_start(struct sched_walk *walk, struct sched *sched, int64_t now_ns);
/* The next in the order, or NULL. */
struct sched_flare *sched_walk_next(struct sched_walk *walk);
/* What it would hold counts for its tenant in what follows. */
void sched_walk_take(struct sched_walk *walk, const struct sched_flare *flare);

#endif
