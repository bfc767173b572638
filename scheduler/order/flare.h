/* A flare: queued, reserved or committed. */
#ifndef SCHEDULER_ORDER_FLARE_H
#define SCHEDULER_ORDER_FLARE_H

#include "scheduler/order/tenants.h"
#include "scheduler/place/gang.h"

struct sched_promise;

enum sched_flare_state { SCHED_FLARE_QUEUED, SCHED_FLARE_RESERVED, SCHED_FLARE_COMMITTED };

struct sched_flare {
    char id[SCHED_ID_BYTES];
    enum sched_flare_state state;
    int32_t priority;
    int64_t submit_ns;
    uint64_t sequence; /* breaks ties of submit_ns */
    struct sched_shape shape;
    int64_t limit_ns;    /* how long it may run; 0: nobody knows */
    int64_t expected_ns; /* how long it is likely to run; COVEY_NEVER_NS: nobody knows */
    bool preemptible;
    bool ending;                /* it was named by sched_preempt */
    uint64_t numbering;         /* the last that met it... */
    uint32_t ahead;             /* ...after so many others */
    uint64_t hopeless_at;       /* the cluster's version that could not hold it even when empty */
    uint64_t refused_freed;     /* it did not fit when totals.freed was this, */
    uint64_t refused_signature; /* and these promises were before it; 0: whatever they are */
    struct sched_promise *promise; /* NULL: none; only while queued */
    struct sched_line *line;
    struct covey_list in_line; /* in the line */
    struct covey_list link;    /* in the queue, or among those that hold claims */
    struct sched_gang *gang;   /* NULL while queued */
};

/* When it has ended if it starts then; COVEY_NEVER_NS: nobody knows. */
static inline int64_t sched_flare_until(const struct sched_flare *flare, int64_t start_ns)
{
    return covey_deadline_ns(start_ns, flare->limit_ns > 0 ? flare->limit_ns : -1);
}

/* True for the earlier of two. */
static inline bool sched_before(const struct sched_flare *a, const struct sched_flare *b)
{
    return a->submit_ns != b->submit_ns ? a->submit_ns < b->submit_ns : a->sequence < b->sequence;
}

#endif
