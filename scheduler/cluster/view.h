/* Whose room is counted, and when: every question of room is asked in a view. */
#ifndef SCHEDULER_CLUSTER_VIEW_H
#define SCHEDULER_CLUSTER_VIEW_H

#include "base/clock.h"

#include <stdbool.h>

enum sched_basis {
    SCHED_BASIS_EMPTY, /* what a node has when nothing runs */
    SCHED_BASIS_KNOWN, /* the same, of nodes in any state */
    SCHED_BASIS_NOW,   /* what is free now, and stays free until until_ns */
    SCHED_BASIS_THEN   /* what is free at from_ns, when what runs has ended by its limit, till
                          until_ns */
};

struct sched_view {
    enum sched_basis basis;
    int64_t from_ns;  /* of NOW: the present */
    int64_t until_ns; /* COVEY_NEVER_NS: for good */
    bool promised;    /* what is booked in the last walk is left out */
};

static const struct sched_view sched_view_empty = {SCHED_BASIS_EMPTY, 0, COVEY_NEVER_NS, false};
static const struct sched_view sched_view_known = {SCHED_BASIS_KNOWN, 0, COVEY_NEVER_NS, false};
/* Whatever was promised. */
static const struct sched_view sched_view_now = {SCHED_BASIS_NOW, 0, COVEY_NEVER_NS, false};

/* Nothing runs in such a view. */
static inline bool sched_view_is_empty(const struct sched_view *view)
{
    return view->basis == SCHED_BASIS_EMPTY || view->basis == SCHED_BASIS_KNOWN;
}

#endif
