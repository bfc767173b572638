/* What a request would meet now, and why a flare waits. */
#include "scheduler/foresight/promise.h"
#include "scheduler/order/flares.h"
#include "scheduler/order/numbering.h"
#include "scheduler/order/queue.h"
#include "scheduler/order/submit.h"
#include "scheduler/place/gang.h"
#include "scheduler/place/reason.h"
#include "scheduler/place/survey.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static void find_ahead(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                       struct sched_reason *reason)
{
    reason->ahead_at_least = !sched_ahead_of(sched, flare, now_ns, &reason->ahead);
    if (reason->ahead)
        memcpy(reason->blocker, sched->numbering.first, SCHED_ID_BYTES);
}

/* The flare that was promised, soonest, what this one would use. */
static const struct sched_flare *promised_before(const struct sched *sched,
                                                 const struct sched_flare *flare)
{
    const struct sched_promise *soonest = NULL;
    covey_list_for_each (link, &sched->cluster.bookings.all) {
        const struct sched_promise *promise = sched_promise_of(link);
        if (promise->booking.walk != sched->cluster.bookings.walk || promise->flare == flare)
            continue;
        if (!soonest || promise->booking.start_ns < soonest->booking.start_ns)
            soonest = promise;
    }
    return soonest ? soonest->flare : NULL;
}

/* True where it would start now but for what others were promised. */
static bool is_in_the_way(struct sched *sched, const struct sched_flare *flare, int64_t now_ns)
{
    struct sched_view view = {SCHED_BASIS_NOW, now_ns, sched_flare_until(flare, now_ns), true};
    return !sched_fits_in(&sched->desk, &flare->shape, &view);
}

static void explain(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                    struct sched_reason *reason)
{
    sched_diagnose(&sched->verdicts, &flare->shape, reason);
    find_ahead(sched, flare, now_ns, reason);
    if (flare->promise) {
        int64_t start_ns = flare->promise->booking.start_ns;
        reason->promised_ns = start_ns == COVEY_NEVER_NS ? 0 : start_ns;
        reason->promise_is_expected = sched_promise_is_expected(sched, flare->promise);
    }
    reason->waits = reason->absent;
    if (reason->absent)
        return;
    enum sched_dimension dimension;
    const struct sched_tenant *tenant = flare->line->tenant;
    if (!sched_quota_allows(tenant, &flare->shape, false, &dimension)) {
        bool counted = dimension == SCHED_DIMENSIONS; /* gangs, not a dimension */
        reason->kind = SCHED_REASON_QUOTA;
        reason->dimension = dimension;
        reason->asked = counted ? 1 : flare->shape.workers * flare->shape.worker.amount[dimension];
        uint64_t most = counted ? tenant->quota.gangs : tenant->quota.most.amount[dimension];
        uint64_t held = counted ? tenant->gangs : tenant->claimed.amount[dimension];
        reason->available = held < most ? most - held : 0;
        return;
    }
    if (reason->kind != SCHED_REASON_NONE)
        return;
    const struct sched_flare *promised = promised_before(sched, flare);
    if (promised && is_in_the_way(sched, flare, now_ns)) {
        reason->kind = SCHED_REASON_PROMISED;
        memcpy(reason->blocker, promised->id, SCHED_ID_BYTES);
    } else if (reason->ahead) {
        reason->kind = SCHED_REASON_BEHIND;
    }
}

static bool is_wanted(const struct sched_request *request, enum sched_placing placing,
                      enum sched_packing packing)
{
    return request->placing == placing && request->packing == packing;
}

/* Other wishes that fit now: every word with the request's packing, then every packing with its
 * word. */
static enum covey_status find_alternatives(struct sched *sched, const struct sched_request *request,
                                           struct sched_plan *plan)
{
    static const enum sched_packing packings[] = {SCHED_PACKING_MIXED, SCHED_PACKING_HETEROGENEOUS,
                                                  SCHED_PACKING_HOMOGENEOUS};
    for (int i = SCHED_PLACING_PACK; i <= SCHED_PLACING_STRICT_SPREAD; i++) {
        for (size_t k = 0; k < sizeof(packings) / sizeof(*packings); k++) {
            enum sched_placing placing = (enum sched_placing)i;
            if (is_wanted(request, placing, packings[k]) ||
                (placing != request->placing && packings[k] != request->packing))
                continue;
            struct sched_request other = *request;
            other.placing = placing;
            other.packing = packings[k];
            if (other.packing == SCHED_PACKING_HETEROGENEOUS)
                other.granularity = 0;
            struct sched_shape shape;
            struct covey_error error;
            if (sched_shape_of(&sched->cluster.names, &other, &shape, &error) != COVEY_OK)
                continue; /* contradicts itself, as homogeneous packs of no size do */
            struct sched_gang *gang;
            enum covey_status status =
                sched_gang_place(&sched->desk, &shape, &sched_view_now, &gang);
            sched_shape_clear(&sched->cluster.names, &shape);
            if (status)
                return status;
            if (!gang)
                continue;
            plan->alternatives[plan->alternative_count++] =
                (struct sched_alternative){placing, other.packing, other.granularity,
                                           gang->placement.cost, gang->placement.pack_count};
            free(gang);
        }
    }
    return COVEY_OK;
}

static enum covey_status plan_shape(struct sched *sched, const struct sched_request *request,
                                    const struct sched_shape *shape, int64_t now_ns,
                                    struct sched_plan *plan)
{
    struct sched_flare probe = {.priority = request->priority,
                                .submit_ns = request->submit_ns,
                                .sequence = sched->submissions,
                                .shape = *shape,
                                .limit_ns = request->limit_ns};
    probe.line =
        sched_line_take(&sched->tenants, request->tenant ? request->tenant : "", request->priority);
    if (!probe.line)
        return COVEY_ENOMEM;
    sched_enqueue(sched, &probe);
    explain(sched, &probe, now_ns, &plan->reason);
    sched_dequeue(sched, &probe);
    sched_line_drop(&sched->tenants, probe.line);
    struct sched_gang *gang;
    enum covey_status status = sched_gang_place(&sched->desk, shape, &sched_view_now, &gang);
    if (status)
        return status;
    if (gang) {
        gang->placement.flare = request->flare;
        gang->placement.submit_ns = request->submit_ns;
        gang->placement.placed_ns = now_ns;
        plan->placement = &gang->placement;
    }
    return find_alternatives(sched, request, plan);
}

enum covey_status sched_plan(struct sched *sched, const struct sched_request *request,
                             int64_t now_ns, struct sched_plan *plan, struct covey_error *error)
{
    *plan = (struct sched_plan){0};
    struct sched_shape shape;
    enum covey_status status = sched_shape_of(&sched->cluster.names, request, &shape, error);
    if (status)
        return status;
    status = sched_check(sched, request, &shape, error);
    if (!status && plan_shape(sched, request, &shape, now_ns, plan) != COVEY_OK) {
        sched_plan_clear(plan);
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for a plan");
    }
    sched_shape_clear(&sched->cluster.names, &shape);
    return status;
}

void sched_plan_clear(struct sched_plan *plan)
{
    if (plan->placement)
        free(covey_container_of(plan->placement, struct sched_gang, placement));
    plan->placement = NULL;
}

enum covey_status sched_explain(struct sched *sched, const char *flare, int64_t now_ns,
                                struct sched_reason *reason)
{
    const struct sched_flare *known = sched_flare_of(sched, flare);
    if (!known || known->state != SCHED_FLARE_QUEUED)
        return COVEY_ENOTFOUND;
    explain(sched, known, now_ns, reason);
    return COVEY_OK;
}
