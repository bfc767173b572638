/* A scheduler: the cluster, where gangs are placed, and the flares in their order. */
#ifndef SCHEDULER_ORDER_SCHED_H
#define SCHEDULER_ORDER_SCHED_H

#include "scheduler/order/ends.h"
#include "scheduler/order/tenants.h"
#include "scheduler/place/verdict.h"

/* Where flares are in the order, as long as nothing changes it. */
struct sched_numbering {
    uint64_t number;
    uint64_t changes; /* as of these */
    uint64_t version;
    int64_t from_ns;
    int64_t until_ns; /* one has waited too long then */
    uint32_t count;   /* that were met, and could start */
    char first[SCHED_ID_BYTES];
};

struct sched {
    struct sched_cluster cluster;
    struct sched_desk desk;
    struct sched_verdicts verdicts;
    struct sched_tenants tenants;
    struct covey_map flares; /* id -> sched_flare */
    struct covey_list queue; /* by time of submission */
    uint32_t queued;
    struct covey_list holders; /* flares with a gang */
    struct sched_policy policy;
    uint64_t submissions;
    struct sched_numbering numbering;
    struct sched_ends ends;
};

#endif
