/* When gangs end, and what is free then: known from limits. */
#ifndef SCHEDULER_ORDER_ENDS_H
#define SCHEDULER_ORDER_ENDS_H

#include "base/list.h"
#include "scheduler/scheduler.h"

/* When a gang ends, and the sum of what it and those that end before it hold. */
struct sched_end {
    int64_t at_ns;
    struct sched_vector freed;
};

/* Rising; those that end at no known time are not in it. */
struct sched_ends {
    struct sched_end *list;
    size_t count;
    size_t room;
    uint64_t claims; /* as of these */
};

/* Lists them anew where totals.claims has changed. ENOMEM. */
enum covey_status sched_ends_list(struct sched_ends *ends, const struct covey_list *holders,
                                  uint64_t claims);
/* The first that comes after a time; count: none. */
size_t sched_ends_after(const struct sched_ends *ends, int64_t after_ns);
void sched_ends_clear(struct sched_ends *ends);

#endif
