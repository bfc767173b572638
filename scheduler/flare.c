/* Flares, from the first claim to the last. */
#include "scheduler/internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum covey_status sched_create(struct sched **sched)
{
    *sched = covey_calloc(1, sizeof(**sched));
    if (!*sched)
        return COVEY_ENOMEM;
    (*sched)->version = 1;
    (*sched)->policy = SCHED_POLICY_DEFAULT;
    covey_list_init(&(*sched)->queue);
    covey_list_init(&(*sched)->holders);
    covey_list_init(&(*sched)->promises);
    covey_list_init(&(*sched)->offering);
    return COVEY_OK;
}

void sched_destroy(struct sched *sched)
{
    if (!sched)
        return;
    sched_promises_drop(sched, true);
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&sched->flares, &cursor, NULL, &value)) {
        struct sched_flare *flare = value;
        sched_gang_free(flare);
        sched_line_drop(sched, flare->line);
        sched_shape_clear(sched, &flare->shape);
        free(flare);
    }
    covey_map_clear(&sched->flares);
    sched_tenants_destroy(sched);
    free(sched->ends);
    sched_verdicts_clear(sched);
    sched_nodes_destroy(sched);
    sched_names_destroy(sched);
    free(sched);
}

struct sched_flare *sched_flare_of(const struct sched *sched, const char *id)
{
    return covey_map_get(&sched->flares, id);
}

enum covey_status sched_admit(struct sched *sched, const struct sched_request *request,
                              struct sched_shape *shape, struct covey_error *error)
{
    enum covey_status status = sched_shape_of(sched, request, shape, error);
    if (status || !sched_flare_of(sched, request->flare))
        return status;
    sched_shape_clear(sched, shape);
    return covey_error_set(error, COVEY_EEXISTS, "flare %s is known already", request->flare);
}

struct sched_flare *sched_flare_create(struct sched *sched, const struct sched_request *request,
                                       const struct sched_shape *shape)
{
    struct sched_flare *flare = covey_calloc(1, sizeof(*flare));
    if (!flare)
        return NULL;
    flare->line = sched_line_take(sched, request->tenant ? request->tenant : "", request->priority);
    if (!flare->line || covey_map_set(&sched->flares, request->flare, flare) != COVEY_OK) {
        sched_line_drop(sched, flare->line);
        free(flare);
        return NULL;
    }
    flare->sched = sched;
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

void sched_flare_destroy(struct sched *sched, struct sched_flare *flare)
{
    sched_gang_free(flare);
    sched_promise_drop(flare->promise);
    sched_line_drop(sched, flare->line);
    sched_shape_clear(sched, &flare->shape);
    (void)covey_map_remove(&sched->flares, flare->id);
    free(flare);
}

/* A flare that holds claims or held them, or NULL. */
static struct sched_flare *holder(const struct sched *sched, const char *id)
{
    struct sched_flare *flare = sched_flare_of(sched, id);
    return flare && flare->state != SCHED_FLARE_QUEUED ? flare : NULL;
}

static enum covey_status reserved(const struct sched *sched, const char *id,
                                  struct sched_flare **flare)
{
    *flare = sched_flare_of(sched, id);
    if (!*flare)
        return COVEY_ENOTFOUND;
    return (*flare)->state == SCHED_FLARE_RESERVED ? COVEY_OK : COVEY_EPRECONDITION;
}

enum covey_status sched_commit(struct sched *sched, const char *flare)
{
    struct sched_flare *known;
    enum covey_status status = reserved(sched, flare, &known);
    if (status)
        return status;
    known->state = SCHED_FLARE_COMMITTED;
    return COVEY_OK;
}

enum covey_status sched_rollback(struct sched *sched, const char *flare)
{
    struct sched_flare *known;
    enum covey_status status = reserved(sched, flare, &known);
    if (status)
        return status;
    sched_gang_free(known);
    known->state = SCHED_FLARE_QUEUED;
    sched_enqueue(sched, known);
    return COVEY_OK;
}

enum covey_status sched_release(struct sched *sched, const char *flare)
{
    struct sched_flare *known = holder(sched, flare);
    if (!known)
        return COVEY_ENOTFOUND;
    sched_flare_destroy(sched, known);
    return COVEY_OK;
}

enum covey_status sched_release_node(struct sched *sched, const char *flare, uint32_t node)
{
    struct sched_flare *known = holder(sched, flare);
    if (!known)
        return COVEY_ENOTFOUND;
    for (uint32_t i = 0; i < known->gang->placement.node_count; i++) {
        struct sched_share *share = &known->gang->shares[i];
        if (!share->node || share->node->id != node)
            continue;
        sched_share_free(share);
        return COVEY_OK;
    }
    return COVEY_ENOTFOUND;
}

enum covey_status sched_restore(struct sched *sched, const struct sched_request *request,
                                const struct sched_pack *packs, uint32_t pack_count,
                                const uint16_t *cpus, int64_t now_ns, struct covey_error *error)
{
    struct sched_shape shape;
    enum covey_status status = sched_admit(sched, request, &shape, error);
    if (status)
        return status;
    struct sched_gang *gang;
    status = sched_gang_restore(sched, &shape, packs, pack_count, cpus, &gang, error);
    if (status) {
        sched_shape_clear(sched, &shape);
        return status;
    }
    struct sched_flare *flare = sched_flare_create(sched, request, &shape);
    if (!flare) {
        free(gang);
        sched_shape_clear(sched, &shape);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for flare %s", request->flare);
    }
    flare->state = SCHED_FLARE_COMMITTED;
    gang->placement.submit_ns = request->submit_ns;
    gang->placement.placed_ns = now_ns;
    sched_gang_claim(gang, flare);
    return COVEY_OK;
}

const struct sched_placement *sched_placement_of(const struct sched *sched, const char *flare)
{
    const struct sched_flare *known = holder(sched, flare);
    return known ? &known->gang->placement : NULL;
}
