/* Requests are refused with the remedy, or queued. */
#include "scheduler/order/submit.h"

#include "scheduler/order/flares.h"
#include "scheduler/order/queue.h"
#include "scheduler/place/reason.h"

#include "base/error.h"

/* Refuses what could not start if all nodes that are known were up and empty. */
static enum covey_status check_possible(struct sched *sched, const struct sched_shape *shape,
                                        struct covey_error *error)
{
    if (sched_possible_known(&sched->verdicts, shape))
        return COVEY_OK;
    struct sched_reason reason;
    sched_diagnose(&sched->verdicts, shape, &reason);
    char text[SCHED_TEXT_BYTES];
    return covey_error_set(error, COVEY_EUNPLACEABLE, "%s", sched_reason_text(&reason, text));
}

/* Refuses what its tenant may never hold. */
static enum covey_status check_quota(struct sched *sched, const char *name,
                                     const struct sched_shape *shape, struct covey_error *error)
{
    const struct sched_tenant *tenant = sched_tenant_of(&sched->tenants, name ? name : "");
    enum sched_dimension d;
    if (!tenant || sched_quota_allows(tenant, shape, true, &d))
        return COVEY_OK;
    uint64_t most = tenant->quota.most.amount[d];
    return covey_error_set(
        error, COVEY_EUNPLACEABLE,
        "%u worker%s of %llu %s each are more than the quota of tenant %s, which"
        " is %llu: at most %llu of them fit in it",
        shape->workers, shape->workers == 1 ? "" : "s", (unsigned long long)shape->worker.amount[d],
        sched_names_of_dimension(&sched->cluster.names, d), tenant->name, (unsigned long long)most,
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
        sched_shape_clear(&sched->cluster.names, &shape);
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
