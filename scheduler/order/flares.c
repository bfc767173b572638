/* Flares: made of checked requests, known by their ids. */
#include "scheduler/order/flares.h"

#include "scheduler/order/hold.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct sched_flare *sched_flare_of(const struct sched *sched, const char *id)
{
    return covey_map_get(&sched->flares, id);
}

enum covey_status sched_admit(struct sched *sched, const struct sched_request *request,
                              struct sched_shape *shape, struct covey_error *error)
{
    enum covey_status status = sched_shape_of(&sched->cluster.names, request, shape, error);
    if (status || !sched_flare_of(sched, request->flare))
        return status;
    sched_shape_clear(&sched->cluster.names, shape);
    return covey_error_set(error, COVEY_EEXISTS, "flare %s is known already", request->flare);
}

struct sched_flare *sched_flare_create(struct sched *sched, const struct sched_request *request,
                                       const struct sched_shape *shape)
{
    struct sched_flare *flare = covey_calloc(1, sizeof(*flare));
    if (!flare)
        return NULL;
    flare->line =
        sched_line_take(&sched->tenants, request->tenant ? request->tenant : "", request->priority);
    if (!flare->line || covey_map_set(&sched->flares, request->flare, flare) != COVEY_OK) {
        sched_line_drop(&sched->tenants, flare->line);
        free(flare);
        return NULL;
    }
    memcpy(flare->id, request->flare, strlen(request->flare));
    flare->priority = request->priority;
    flare->submit_ns = request->submit_ns;
    flare->limit_ns = request->limit_ns;
    int64_t limit_ns = request->limit_ns > 0 ? request->limit_ns : COVEY_NEVER_NS;
    flare->expected_ns = request->expected_ns > 0 ? request->expected_ns : limit_ns;
    flare->sequence = sched->submissions++;
    flare->shape = *shape;
    flare->preemptible = request->preemptible;
    covey_list_init(&flare->link);
    covey_list_init(&flare->in_line);
    return flare;
}

static void destroy(struct sched *sched, struct sched_flare *flare)
{
    sched_hold_free(sched, flare);
    sched_line_drop(&sched->tenants, flare->line);
    sched_shape_clear(&sched->cluster.names, &flare->shape);
    free(flare);
}

void sched_flare_destroy(struct sched *sched, struct sched_flare *flare)
{
    (void)covey_map_remove(&sched->flares, flare->id);
    destroy(sched, flare);
}

void sched_flares_clear(struct sched *sched)
{
    size_t cursor = 0;
    void *flare;
    while (covey_map_next(&sched->flares, &cursor, NULL, &flare))
        destroy(sched, flare);
    covey_map_clear(&sched->flares);
}
