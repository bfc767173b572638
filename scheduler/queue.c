/* The queue: who comes in, who leaves, and who is next to start. */
#include "scheduler/internal.h"

#include "base/clock.h"
#include "base/error.h"

bool sched_before(const struct sched_flare *a, const struct sched_flare *b)
{
    return a->submit_ns != b->submit_ns ? a->submit_ns < b->submit_ns : a->sequence < b->sequence;
}

static const struct sched_flare *in_queue(const struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

static const struct sched_flare *in_line(const struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, in_line);
}

/* Where in a list a flare belongs: before what is returned. Mostly that is at its end or, after a
 * rollback, at its beginning. */
static struct covey_list *place_in(struct covey_list *list, const struct sched_flare *flare,
                                   const struct sched_flare *(*flare_of)(const struct covey_list *))
{
    if (!covey_list_empty(list) && sched_before(flare, flare_of(list->next)))
        return list->next;
    struct covey_list *next = list;
    while (next->previous != list && sched_before(flare, flare_of(next->previous)))
        next = next->previous;
    return next;
}

void sched_enqueue(struct sched *sched, struct sched_flare *flare)
{
    covey_list_push_back(place_in(&sched->queue, flare, in_queue), &flare->link);
    covey_list_push_back(place_in(&flare->line->flares, flare, in_line), &flare->in_line);
    sched->queued++;
    sched->changes++;
}

void sched_dequeue(struct sched *sched, struct sched_flare *flare)
{
    covey_list_remove(&flare->link);
    covey_list_remove(&flare->in_line);
    sched->queued--;
    sched->changes++;
}

void sched_set_policy(struct sched *sched, const struct sched_policy *policy)
{
    sched->policy = *policy;
    if (sched->policy.window == 0)
        sched->policy.window = 1;
    if (sched->policy.reservations == 0)
        sched->policy.reservations = 1;
    sched->totals.freed++;
    sched->changes++;
}

/* Refuses what could not start if all nodes that are known were up and empty. */
static enum covey_status check_possible(struct sched *sched, const struct sched_shape *shape,
                                        struct covey_error *error)
{
    if (sched_possible_known(sched, shape))
        return COVEY_OK;
    struct sched_reason reason;
    sched_diagnose(sched, shape, &reason);
    char text[SCHED_TEXT_BYTES];
    return covey_error_set(error, COVEY_EUNPLACEABLE, "%s", sched_reason_text(&reason, text));
}

/* Refuses what its tenant may never hold. */
static enum covey_status check_quota(struct sched *sched, const char *name,
                                     const struct sched_shape *shape, struct covey_error *error)
{
    const struct sched_tenant *tenant = sched_tenant_of(sched, name ? name : "");
    enum sched_dimension d;
    if (!tenant || sched_quota_allows(tenant, shape, true, &d))
        return COVEY_OK;
    uint64_t most = tenant->quota.most.amount[d];
    return covey_error_set(error, COVEY_EUNPLACEABLE,
                           "%u worker%s of %llu %s each are more than the quota of tenant %s, which"
                           " is %llu: at most %llu of them fit in it",
                           shape->workers, shape->workers == 1 ? "" : "s",
                           (unsigned long long)shape->worker.amount[d],
                           sched_dimension_name(sched, d), tenant->name, (unsigned long long)most,
                           (unsigned long long)(most / shape->worker.amount[d]));
}

enum covey_status sched_check(struct sched *sched, const struct sched_request *request,
                              const struct sched_shape *shape, struct covey_error *error)
{
    enum covey_status status = request->waits ? COVEY_OK : check_possible(sched, shape, error);
    return status ? status : check_quota(sched, request->tenant, shape, error);
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
        status = sched_check(sched, request, &shape, error);
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
    sched->totals.freed += known->promise != NULL; /* what it was promised is nobody's */
    sched_dequeue(sched, known);
    sched_flare_destroy(sched, known);
    return COVEY_OK;
}

/* ---- the next to start ---- */

/* No promise of this walk yet. Promises have signatures that are not 0. */
#define NO_PROMISES 1

static bool is_refused(const struct sched *sched, const struct sched_flare *flare,
                       uint64_t signature)
{
    return flare->refused_freed == sched->totals.freed &&
           (flare->refused_signature == 0 || flare->refused_signature == signature);
}

static uint64_t add_promise(uint64_t signature, const struct sched_promise *promise)
{
    signature = (signature ^ promise->flare->sequence) * UINT64_C(0x9e3779b97f4a7c15);
    signature = (signature ^ (uint64_t)promise->start_ns) * UINT64_C(0x9e3779b97f4a7c15);
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
    sched_gang_claim(gang, flare);
    *placement = &gang->placement;
}

/* Sets *gang where the flare can start now, without breaking a promise of those before it. */
static enum covey_status try_now(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                 uint64_t signature, struct sched_gang **gang)
{
    *gang = NULL;
    struct sched_view view = {SCHED_BASIS_NOW, now_ns,
                              covey_deadline_ns(now_ns, flare->limit_ns > 0 ? flare->limit_ns : -1),
                              signature != NO_PROMISES};
    if (is_refused(sched, flare, signature) ||
        sched_is_refused(sched, &flare->shape, signature, view.until_ns))
        return COVEY_OK;
    enum covey_status status = sched_gang_place(sched, &flare->shape, &view, gang);
    if (status || *gang)
        return status;
    sched_refuse(sched, &flare->shape, signature, view.until_ns);
    bool outright = signature == NO_PROMISES || !sched_totals_allow(sched, &flare->shape);
    flare->refused_freed = sched->totals.freed;
    flare->refused_signature = outright ? 0 : signature;
    return COVEY_OK;
}

static bool is_passed_over(struct sched *sched, struct sched_flare *flare)
{
    enum sched_dimension dimension;
    if (!sched_quota_allows(flare->line->tenant, &flare->shape, false, &dimension) ||
        flare->hopeless_at == sched->version)
        return true;
    if (is_refused(sched, flare, 0) || sched_possible(sched, &flare->shape))
        return false;
    flare->hopeless_at = sched->version;
    sched->changes++;
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
    if (sched->totals.capacity[SCHED_SLOTS] == 0)
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

uint32_t sched_queue_length(const struct sched *sched)
{
    return sched->queued;
}
