/* The queue: first come, first served; and what a request would meet there. */
#include "scheduler/internal.h"

#include "base/error.h"

#include <stdlib.h>

static struct sched_flare *flare_at(struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

static bool before(const struct sched_flare *a, const struct sched_flare *b)
{
    return a->submit_ns != b->submit_ns ? a->submit_ns < b->submit_ns : a->sequence < b->sequence;
}

void sched_enqueue(struct sched *sched, struct sched_flare *flare)
{
    struct covey_list *next = &sched->queue;
    if (!covey_list_empty(next) && before(flare, flare_at(next->next))) {
        next = next->next; /* where a flare that was rolled back mostly belongs */
    } else {
        while (next->previous != &sched->queue && before(flare, flare_at(next->previous)))
            next = next->previous;
    }
    covey_list_push_back(next, &flare->link);
    sched->queued++;
}

static void dequeue(struct sched *sched, struct sched_flare *flare)
{
    covey_list_remove(&flare->link);
    sched->queued--;
}

/* Flares that must start before one submitted at this time, whose sequence is this. */
static uint32_t count_ahead(const struct sched *sched, int64_t submit_ns, uint64_t sequence)
{
    const struct sched_flare probe = {.submit_ns = submit_ns, .sequence = sequence};
    uint32_t ahead = 0;
    covey_list_for_each (link, &sched->queue) {
        const struct sched_flare *flare = flare_at(link);
        if (!before(flare, &probe))
            break;
        if (flare->hopeless_at != sched->version)
            ahead++;
    }
    return ahead;
}

static void explain(struct sched *sched, const struct sched_shape *shape, uint32_t ahead,
                    struct sched_reason *reason)
{
    sched_diagnose(sched, shape, reason);
    reason->ahead = ahead;
    if (reason->kind == SCHED_REASON_NONE && ahead)
        reason->kind = SCHED_REASON_BEHIND;
}

/* Refuses what could not even start on empty nodes. */
static enum covey_status check_possible(struct sched *sched, const struct sched_shape *shape,
                                        struct covey_error *error)
{
    if (sched_possible(sched, shape))
        return COVEY_OK;
    struct sched_reason reason;
    sched_diagnose(sched, shape, &reason);
    char text[SCHED_TEXT_BYTES];
    return covey_error_set(error, COVEY_EUNPLACEABLE, "%s", sched_reason_text(&reason, text));
}

static enum covey_status submit(struct sched *sched, const struct sched_request *request,
                                bool accepted, struct covey_error *error)
{
    struct sched_shape shape;
    enum covey_status status = sched_admit(sched, request, &shape, error);
    if (status)
        return status;
    struct sched_flare *flare = NULL;
    if (!accepted)
        status = check_possible(sched, &shape, error);
    if (!status) {
        flare = sched_flare_create(sched, request, &shape);
        if (!flare)
            status = covey_error_set(error, COVEY_ENOMEM, "no memory for flare %s", request->flare);
    }
    if (flare)
        sched_enqueue(sched, flare);
    else
        sched_shape_clear(sched, &shape);
    return status;
}

enum covey_status sched_submit(struct sched *sched, const struct sched_request *request,
                               struct covey_error *error)
{
    return submit(sched, request, false, error);
}

enum covey_status sched_resubmit(struct sched *sched, const struct sched_request *request,
                                 struct covey_error *error)
{
    return submit(sched, request, true, error);
}

/* The flare of an id where it is queued, or NULL. */
static struct sched_flare *queued(const struct sched *sched, const char *id)
{
    struct sched_flare *flare = sched_flare_of(sched, id);
    return flare && flare->state == SCHED_FLARE_QUEUED ? flare : NULL;
}

enum covey_status sched_cancel(struct sched *sched, const char *flare)
{
    struct sched_flare *known = queued(sched, flare);
    if (!known)
        return COVEY_ENOTFOUND;
    dequeue(sched, known);
    sched_flare_destroy(sched, known);
    return COVEY_OK;
}

enum covey_status sched_next(struct sched *sched, int64_t now_ns,
                             const struct sched_placement **placement)
{
    *placement = NULL;
    covey_list_for_each (link, &sched->queue) {
        struct sched_flare *flare = flare_at(link);
        if (flare->hopeless_at == sched->version)
            continue;
        struct sched_gang *gang;
        enum covey_status status = sched_gang_place(sched, &flare->shape, &sched_view_now, &gang);
        if (status)
            return status;
        if (gang) {
            dequeue(sched, flare);
            flare->state = SCHED_FLARE_RESERVED;
            gang->placement.submit_ns = flare->submit_ns;
            gang->placement.placed_ns = now_ns;
            sched_gang_claim(gang, flare);
            *placement = &gang->placement;
            return COVEY_OK;
        }
        if (sched_possible(sched, &flare->shape))
            return COVEY_OK;
        flare->hopeless_at = sched->version;
    }
    return COVEY_OK;
}

enum covey_status sched_plan(struct sched *sched, const struct sched_request *request,
                             int64_t now_ns, struct sched_plan *plan, struct covey_error *error)
{
    *plan = (struct sched_plan){0};
    struct sched_shape shape;
    enum covey_status status = sched_shape_of(sched, request, &shape, error);
    if (status)
        return status;
    status = check_possible(sched, &shape, error);
    struct sched_gang *gang = NULL;
    if (!status && sched_gang_place(sched, &shape, &sched_view_now, &gang) != COVEY_OK)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for a plan");
    if (status) {
        sched_shape_clear(sched, &shape);
        return status;
    }
    if (gang) {
        gang->placement.flare = request->flare;
        gang->placement.submit_ns = request->submit_ns;
        gang->placement.placed_ns = now_ns;
        plan->placement = &gang->placement;
    }
    uint32_t ahead = count_ahead(sched, request->submit_ns, sched->submissions);
    explain(sched, &shape, ahead, &plan->reason);
    sched_shape_clear(sched, &shape);
    return COVEY_OK;
}

void sched_plan_clear(struct sched_plan *plan)
{
    if (plan->placement)
        free(covey_container_of(plan->placement, struct sched_gang, placement));
    plan->placement = NULL;
}

enum covey_status sched_explain(struct sched *sched, const char *flare, struct sched_reason *reason)
{
    const struct sched_flare *known = queued(sched, flare);
    if (!known)
        return COVEY_ENOTFOUND;
    explain(sched, &known->shape, count_ahead(sched, known->submit_ns, known->sequence), reason);
    return COVEY_OK;
}

uint32_t sched_queue_length(const struct sched *sched)
{
    return sched->queued;
}
