/* Who is next to start, and what those before it are promised. */
#include "scheduler/foresight/promise.h"
#include "scheduler/order/hold.h"
#include "scheduler/order/queue.h"
#include "scheduler/order/walk.h"

/* No promise of this walk yet. Promises have signatures that are not 0. */
#define NO_PROMISES 1

static bool is_refused(const struct sched *sched, const struct sched_flare *flare,
                       uint64_t signature)
{
    return flare->refused_freed == sched->cluster.totals.freed &&
           (flare->refused_signature == 0 || flare->refused_signature == signature);
}

static uint64_t add_promise(uint64_t signature, const struct sched_promise *promise)
{
    signature = (signature ^ promise->flare->sequence) * UINT64_C(0x9e3779b97f4a7c15);
    signature = (signature ^ (uint64_t)promise->booking.start_ns) * UINT64_C(0x9e3779b97f4a7c15);
    return (signature ^ signature >> 32) | NO_PROMISES << 1;
}

static void start(struct sched *sched, struct sched_flare *flare, struct sched_gang *gang,
                  int64_t now_ns, const struct sched_placement **placement)
{
    sched_dequeue(sched, flare);
    sched_promise_drop(flare->promise);
    /* Those behind it in this walk have had no say. */
    sched_promises_drop(sched, false);
    flare->state = SCHED_FLARE_RESERVED;
    gang->placement.submit_ns = flare->submit_ns;
    gang->placement.placed_ns = now_ns;
    sched_hold_take(sched, flare, gang);
    *placement = &gang->placement;
}

/* Sets *gang where the flare can start now, without breaking a promise of those before it. */
static enum covey_status try_now(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                 uint64_t signature, struct sched_gang **gang)
{
    *gang = NULL;
    struct sched_view view = {SCHED_BASIS_NOW, now_ns, sched_flare_until(flare, now_ns),
                              signature != NO_PROMISES};
    if (is_refused(sched, flare, signature) ||
        sched_is_refused(&sched->verdicts, &flare->shape, signature, view.until_ns))
        return COVEY_OK;
    enum covey_status status = sched_gang_place(&sched->desk, &flare->shape, &view, gang);
    if (status || *gang)
        return status;
    sched_refuse(&sched->verdicts, &flare->shape, signature, view.until_ns);
    bool outright =
        signature == NO_PROMISES ||
        !sched_totals_allow(&sched->cluster.totals, &flare->shape.worker, flare->shape.workers);
    flare->refused_freed = sched->cluster.totals.freed;
    flare->refused_signature = outright ? 0 : signature;
    return COVEY_OK;
}

static bool is_passed_over(struct sched *sched, struct sched_flare *flare)
{
    enum sched_dimension dimension;
    if (!sched_quota_allows(flare->line->tenant, &flare->shape, false, &dimension) ||
        flare->hopeless_at == sched->cluster.version)
        return true;
    if (is_refused(sched, flare, 0) || sched_possible(&sched->verdicts, &flare->shape))
        return false;
    flare->hopeless_at = sched->cluster.version;
    sched->tenants.changes++;
    return true;
}

enum covey_status sched_next(struct sched *sched, int64_t now_ns,
                             const struct sched_placement **placement)
{
    *placement = NULL;
    const struct sched_policy *policy = &sched->policy;
    struct sched_walk walk;
    struct sched_flare *flare;
    uint64_t signature = NO_PROMISES;
    uint32_t promised = 0;
    if (sched->cluster.totals.capacity[SCHED_SLOTS] == 0)
        return COVEY_OK; /* no node is up: not worth the way through the queue */
    sched_walk_start(&walk, sched, now_ns);
    for (uint32_t tried = 0; tried < policy->window && (flare = sched_walk_next(&walk));) {
        if (is_passed_over(sched, flare))
            continue;
        tried++;
        struct sched_gang *gang;
        enum covey_status status = try_now(sched, flare, now_ns, signature, &gang);
        if (status)
            return status;
        if (gang) {
            start(sched, flare, gang, now_ns, placement);
            return COVEY_OK;
        }
        if (!policy->backfill)
            return COVEY_OK;
        sched_walk_take(&walk, flare);
        if (promised == policy->reservations)
            continue;
        promised++;
        status = sched_promise(sched, flare, now_ns, signature);
        if (status)
            return status;
        if (flare->promise)
            signature = add_promise(signature, flare->promise);
    }
    return COVEY_OK;
}
