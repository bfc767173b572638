/* What becomes of a gang: committed, rolled back, released, lost with a node, restored. */
#include "scheduler/order/flares.h"
#include "scheduler/order/hold.h"
#include "scheduler/order/queue.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

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
    sched_hold_free(sched, known);
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
        sched_hold_free_share(sched, known, share);
        return COVEY_OK;
    }
    return COVEY_ENOTFOUND;
}

bool sched_node_lose(struct sched *sched, uint32_t node, char flare[SCHED_ID_BYTES])
{
    struct sched_node *known = sched_cluster_node(&sched->cluster, node);
    if (!known)
        return false;
    sched_cluster_set_state(&sched->cluster, known, SCHED_NODE_DOWN);
    if (covey_list_empty(&known->shares))
        return false;
    struct sched_share *share = covey_container_of(known->shares.next, struct sched_share, link);
    const struct sched_gang *gang = covey_container_of(share->stay, struct sched_gang, stay);
    memcpy(flare, gang->placement.flare, SCHED_ID_BYTES);
    sched_hold_free_share(sched, sched_flare_of(sched, flare), share);
    return true;
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
    status = sched_gang_restore(&sched->desk, &shape, packs, pack_count, cpus, &gang, error);
    if (status) {
        sched_shape_clear(&sched->cluster.names, &shape);
        return status;
    }
    struct sched_flare *flare = sched_flare_create(sched, request, &shape);
    if (!flare) {
        free(gang);
        sched_shape_clear(&sched->cluster.names, &shape);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for flare %s", request->flare);
    }
    flare->state = SCHED_FLARE_COMMITTED;
    gang->placement.submit_ns = request->submit_ns;
    gang->placement.placed_ns = now_ns;
    sched_hold_take(sched, flare, gang);
    return COVEY_OK;
}

const struct sched_placement *sched_placement_of(const struct sched *sched, const char *flare)
{
    const struct sched_flare *known = holder(sched, flare);
    return known ? &known->gang->placement : NULL;
}
