/* A scheduler comes and goes, as a whole. */
#include "scheduler/foresight/promise.h"
#include "scheduler/order/flares.h"

#include "base/memory.h"

#include <stdlib.h>

enum covey_status sched_create(struct sched **sched)
{
    struct sched *made = covey_calloc(1, sizeof(*made));
    *sched = made;
    if (!made)
        return COVEY_ENOMEM;
    sched_cluster_init(&made->cluster);
    sched_desk_init(&made->desk, &made->cluster);
    made->verdicts.desk = &made->desk;
    made->policy = SCHED_POLICY_DEFAULT;
    covey_list_init(&made->queue);
    covey_list_init(&made->holders);
    return COVEY_OK;
}

void sched_destroy(struct sched *sched)
{
    if (!sched)
        return;
    sched_promises_drop(sched, true);
    sched_flares_clear(sched);
    sched_ends_clear(&sched->ends);
    sched_tenants_clear(&sched->tenants);
    sched_verdicts_clear(&sched->verdicts);
    sched_desk_clear(&sched->desk);
    sched_cluster_clear(&sched->cluster);
    free(sched);
}
