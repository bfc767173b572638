/* A request, checked and reduced to what placing needs. */
#ifndef SCHEDULER_PLACE_SHAPE_H
#define SCHEDULER_PLACE_SHAPE_H

#include "scheduler/place/filter.h"

/* A copy borrows the filter. */
struct sched_shape {
    struct sched_filter *filter; /* NULL: any label, no taint; one reference, until cleared */
    struct sched_vector worker;
    uint32_t workers;
    uint32_t unit;       /* workers that stay together; the last unit may be smaller, unless: */
    bool unit_is_pack;   /* every unit is whole, and a pack of its own */
    bool unit_is_alone;  /* no two units on a node */
    bool spread;         /* balance; else fewest nodes */
    uint32_t node_limit; /* UINT32_MAX: none */
};

/* Checks a request. EINVAL, ENOMEM with a message; *shape is then undefined. */
enum covey_status sched_shape_of(struct sched_names *names, const struct sched_request *request,
                                 struct sched_shape *shape, struct covey_error *error);
/* Drops what a shape owns; a flare's goes with the flare. */
void sched_shape_clear(struct sched_names *names, struct sched_shape *shape);

#endif
