/* Requests: refused with the remedy, or reduced to a shape. */
#include "scheduler/place/shape.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

/* The nearest divisors of workers around a granularity that is none: lower < granularity < upper,
 * or 0 where there is no upper one. O(sqrt(workers)). */
static void nearest_divisors(uint32_t workers, uint32_t granularity, uint32_t *lower,
                             uint32_t *upper)
{
    *lower = 1;
    *upper = 0;
    for (uint32_t i = 1; i <= workers / i; i++) {
        if (workers % i != 0)
            continue;
        uint32_t pair[] = {i, workers / i};
        for (int k = 0; k < 2; k++) {
            if (pair[k] < granularity && pair[k] > *lower)
                *lower = pair[k];
            if (pair[k] > granularity && (*upper == 0 || pair[k] < *upper))
                *upper = pair[k];
        }
    }
}

static enum covey_status refuse_indivisible(uint32_t workers, uint32_t granularity,
                                            struct covey_error *error)
{
    uint32_t below = workers - workers % granularity;
    uint32_t above = below + granularity;
    uint32_t lower;
    uint32_t upper;
    nearest_divisors(workers, granularity, &lower, &upper);
    char counts[32];
    char sizes[32];
    if (below && above <= SCHED_WORKERS_MAX)
        (void)snprintf(counts, sizeof(counts), "%u or %u", below, above);
    else
        (void)snprintf(counts, sizeof(counts), "%u", below ? below : above);
    if (upper)
        (void)snprintf(sizes, sizeof(sizes), "%u or %u", lower, upper);
    else
        (void)snprintf(sizes, sizeof(sizes), "%u", lower);
    return covey_error_set(error, COVEY_EINVAL,
                           "%u worker%s cannot be divided into packs of exactly %u: use %s workers,"
                           " or a granularity of %s",
                           workers, plural(workers), granularity, counts, sizes);
}

static enum covey_status check_packing(const struct sched_request *request,
                                       struct covey_error *error)
{
    uint32_t workers = request->workers;
    uint32_t granularity = request->granularity;
    switch (request->packing) {
    case SCHED_PACKING_MIXED:
        break;
    case SCHED_PACKING_HETEROGENEOUS:
        if (granularity > 1)
            return covey_error_set(error, COVEY_EINVAL,
                                   "heterogeneous packing takes no granularity, %u was given: leave"
                                   " it out, or use mixed packing",
                                   granularity);
        break;
    case SCHED_PACKING_HOMOGENEOUS:
        if (granularity == 0)
            return covey_error_set(error, COVEY_EINVAL,
                                   "homogeneous packing needs a granularity: the workers of each"
                                   " pack");
        if (workers % granularity != 0)
            return refuse_indivisible(workers, granularity, error);
        if (request->max_packs && workers / granularity > request->max_packs)
            return covey_error_set(
                error, COVEY_EINVAL,
                "%u worker%s in packs of %u are %u packs, at most %u are allowed:"
                " raise the granularity or the limit",
                workers, plural(workers), granularity, workers / granularity, request->max_packs);
        break;
    default:
        return covey_error_set(error, COVEY_EINVAL, "no such packing: %d", (int)request->packing);
    }
    return COVEY_OK;
}

static enum covey_status check(const struct sched_request *request, struct covey_error *error)
{
    size_t length = request->flare ? strnlen(request->flare, SCHED_ID_BYTES) : 0;
    if (length == 0 || length == SCHED_ID_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "a flare's id has 1 to %d bytes",
                               SCHED_ID_BYTES - 1);
    if (request->workers == 0)
        return covey_error_set(error, COVEY_EINVAL, "a flare has at least one worker");
    if (request->workers > SCHED_WORKERS_MAX)
        return covey_error_set(error, COVEY_EINVAL,
                               "%u workers are too many: a flare has at most %u", request->workers,
                               SCHED_WORKERS_MAX);
    if ((unsigned)request->placing > SCHED_PLACING_STRICT_SPREAD)
        return covey_error_set(error, COVEY_EINVAL, "no such placement: %d", (int)request->placing);
    return check_packing(request, error);
}

static uint32_t node_limit(const struct sched_request *request)
{
    uint32_t limit = request->max_nodes ? request->max_nodes : UINT32_MAX;
    bool pack_per_node = request->packing != SCHED_PACKING_HOMOGENEOUS;
    if (pack_per_node && request->max_packs && request->max_packs < limit)
        limit = request->max_packs;
    return request->placing == SCHED_PLACING_STRICT_PACK ? 1 : limit;
}

enum covey_status sched_shape_of(struct sched_names *names, const struct sched_request *request,
                                 struct sched_shape *shape, struct covey_error *error)
{
    struct sched_filter *filter = NULL;
    enum covey_status status = check(request, error);
    if (!status)
        status = sched_filter_create(names, request, &filter, error);
    if (status)
        return status;
    uint32_t unit = request->granularity ? request->granularity : 1;
    *shape = (struct sched_shape){
        .filter = filter,
        .worker = request->worker,
        .workers = request->workers,
        .unit = unit < request->workers ? unit : request->workers,
        .unit_is_pack = request->packing == SCHED_PACKING_HOMOGENEOUS,
        .unit_is_alone = request->placing == SCHED_PLACING_STRICT_SPREAD,
        .spread = request->placing == SCHED_PLACING_SPREAD ||
                  request->placing == SCHED_PLACING_STRICT_SPREAD,
        .node_limit = node_limit(request),
    };
    if (shape->worker.amount[SCHED_SLOTS] == 0)
        shape->worker.amount[SCHED_SLOTS] = 1;
    return COVEY_OK;
}

void sched_shape_clear(struct sched_names *names, struct sched_shape *shape)
{
    sched_filter_unref(names, shape->filter);
    shape->filter = NULL;
}
