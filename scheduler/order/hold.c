/* Claims count on the node, on its machine and for the tenant, always on all of them. */
#include "scheduler/order/hold.h"

#include "scheduler/cluster/share.h"
#include "scheduler/order/sched.h"

#include <stdlib.h>

static void count(struct sched *sched, const struct sched_flare *flare, uint32_t workers,
                  bool claim)
{
    sched_tenant_claim(&sched->tenants, flare->line->tenant, &flare->shape.worker, workers, claim);
}

void sched_hold_take(struct sched *sched, struct sched_flare *flare, struct sched_gang *take_gang)
{
    struct sched_placement *placement = &take_gang->placement;
    flare->gang = take_gang;
    flare->line->tenant->gangs++;
    covey_list_push_back(&sched->holders, &flare->link);
    take_gang->stay = (struct sched_stay){.ends_ns = sched_flare_until(flare, placement->placed_ns),
                                          .worker = flare->shape.worker};
    placement->flare = flare->id;
    for (uint32_t i = 0; i < placement->node_count; i++) {
        struct sched_share *share = &take_gang->shares[i];
        if (!share->node) /* lost before it was copied */
            continue;
        sched_share_claim(share);
        count(sched, flare, share->workers, true);
    }
}

void sched_hold_free_share(struct sched *sched, struct sched_flare *flare,
                           struct sched_share *share)
{
    if (!share->node)
        return;
    sched_share_free(share);
    count(sched, flare, share->workers, false);
}

struct sched_gang *sched_hold_leave(struct sched *sched, struct sched_flare *flare)
{
    struct sched_gang *gang = flare->gang;
    if (!gang)
        return NULL;
    for (uint32_t i = 0; i < gang->placement.node_count; i++)
        sched_hold_free_share(sched, flare, &gang->shares[i]);
    flare->gang = NULL;
    flare->line->tenant->gangs--;
    covey_list_remove(&flare->link);
    sched->cluster.totals.freed++;
    return gang;
}

void sched_hold_free(struct sched *sched, struct sched_flare *flare)
{
    free(sched_hold_leave(sched, flare));
}
