/* Gangs: found among the nodes, claimed whole, freed share by share. */
#include "scheduler/internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>

uint32_t sched_survey(struct sched *sched, const struct sched_shape *shape,
                      const struct sched_view *view)
{
    struct sched_topology *topology = &sched->topology;
    if (topology->node_count == 0)
        return 0;
    sched_topology_refresh(topology);
    uint32_t count = 0;
    struct sched_domain *last = &topology->domains[topology->level_first[topology->levels + 1]];
    for (struct sched_domain *domain = &topology->domains[topology->level_first[topology->levels]];
         domain < last; domain++) {
        domain->candidates = count;
        for (uint32_t i = domain->first; i < domain->end; i++) {
            const struct sched_node *node = topology->order[i];
            if (node->state != SCHED_NODE_UP || !sched_filter_admits(shape->filter, node))
                continue;
            uint32_t fit = sched_node_fit(node, view, &shape->worker);
            if (shape->unit_is_alone && fit > shape->unit)
                fit = shape->unit;
            if (fit)
                sched->candidates[count++] = (struct sched_candidate){node->id, i, fit, fit, 0};
        }
        domain->candidates_end = count;
    }
    return count;
}

bool sched_possible(struct sched *sched, const struct sched_shape *shape)
{
    uint32_t count = sched_survey(sched, shape, &sched_view_empty);
    return sched_room(shape, sched->candidates, count) >= shape->workers;
}

/* An empty gang with its arrays in place. */
static struct sched_gang *create(const struct sched_shape *shape, uint32_t node_count,
                                 uint32_t pack_count)
{
    size_t packs_at = sizeof(struct sched_gang) + node_count * sizeof(struct sched_share);
    struct sched_gang *gang = covey_malloc(packs_at + pack_count * sizeof(struct sched_pack));
    if (!gang)
        return NULL;
    gang->packs = (struct sched_pack *)(void *)((char *)gang + packs_at);
    gang->placement = (struct sched_placement){
        .workers = shape->workers,
        .node_count = node_count,
        .pack_count = pack_count,
        .packs = gang->packs,
    };
    return gang;
}

static void set_share(struct sched_gang *gang, uint32_t index, struct sched_node *node,
                      uint32_t workers)
{
    gang->shares[index] = (struct sched_share){.node = node, .workers = workers};
    covey_list_init(&gang->shares[index].link);
}

enum covey_status sched_gang_place(struct sched *sched, const struct sched_shape *shape,
                                   struct sched_gang **gang)
{
    *gang = NULL;
    struct sched_candidate *used = sched->candidates;
    uint32_t count = sched_survey(sched, shape, &sched_view_now);
    if (sched_room(shape, used, count) < shape->workers)
        return COVEY_OK;
    if (shape->node_limit < count)
        count = sched_survey(sched, shape, &sched_view_now); /* in order again */
    count = sched_distribute(sched, shape, count);
    uint32_t pack_count = shape->unit_is_pack ? shape->workers / shape->unit : count;
    struct sched_gang *placed = create(shape, count, pack_count);
    if (!placed)
        return COVEY_ENOMEM;
    uint32_t rank = 0;
    uint32_t pack = 0;
    for (uint32_t i = 0; i < count; i++) {
        set_share(placed, i, sched->nodes[used[i].node], used[i].taken);
        uint32_t size = shape->unit_is_pack ? shape->unit : used[i].taken;
        for (uint32_t left = used[i].taken; left > 0; left -= size, rank += size, pack++)
            placed->packs[pack] = (struct sched_pack){pack, used[i].node, rank, size};
    }
    *gang = placed;
    return COVEY_OK;
}

/* Checks that packs are a placement of the shape on known nodes, and counts its nodes. */
static enum covey_status check_packs(struct sched *sched, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     uint32_t *node_count, struct covey_error *error)
{
    uint32_t rank = 0;
    *node_count = 0;
    sched->restorations++;
    for (uint32_t i = 0; i < pack_count; i++) {
        const struct sched_pack *pack = &packs[i];
        if (pack->workers == 0 || pack->first_rank != rank || pack->workers > shape->workers - rank)
            return covey_error_set(error, COVEY_EINVAL, "pack %u does not continue the ranks at %u",
                                   i, rank);
        rank += pack->workers;
        struct sched_node *node = sched_node_of(sched, pack->node);
        if (!node)
            return covey_error_set(error, COVEY_ENOTFOUND, "pack %u is on an unknown node %u", i,
                                   pack->node);
        if (i > 0 && packs[i - 1].node == pack->node)
            continue;
        if (node->restore_stamp == sched->restorations)
            return covey_error_set(error, COVEY_EINVAL, "the packs on node %s are not neighbours",
                                   node->name);
        node->restore_stamp = sched->restorations;
        ++*node_count;
    }
    if (rank != shape->workers)
        return covey_error_set(error, COVEY_EINVAL, "the packs hold %u workers, not %u", rank,
                               shape->workers);
    return COVEY_OK;
}

enum covey_status sched_gang_restore(struct sched *sched, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     struct sched_gang **gang, struct covey_error *error)
{
    uint32_t node_count;
    enum covey_status status = check_packs(sched, shape, packs, pack_count, &node_count, error);
    if (status)
        return status;
    struct sched_gang *restored = create(shape, node_count, pack_count);
    if (!restored)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a placement");
    uint32_t share = 0;
    for (uint32_t i = 0; i < pack_count; i++) {
        restored->packs[i] = packs[i];
        restored->packs[i].id = i;
        if (i > 0 && packs[i - 1].node == packs[i].node)
            restored->shares[share - 1].workers += packs[i].workers;
        else
            set_share(restored, share++, sched->nodes[packs[i].node], packs[i].workers);
    }
    for (uint32_t i = 0; i < node_count; i++) {
        const struct sched_share *wanted = &restored->shares[i];
        uint32_t fit = sched_node_fit(wanted->node, &sched_view_now, &shape->worker);
        if (wanted->workers <= fit)
            continue;
        status = covey_error_set(error, COVEY_EPRECONDITION,
                                 "node %s has room for %u workers, not for %u", wanted->node->name,
                                 fit, wanted->workers);
        free(restored);
        return status;
    }
    *gang = restored;
    return COVEY_OK;
}

void sched_gang_claim(struct sched_gang *gang, struct sched_flare *flare)
{
    flare->gang = gang;
    flare->ends_ns =
        covey_deadline_ns(gang->placement.placed_ns, flare->limit_ns > 0 ? flare->limit_ns : -1);
    gang->placement.flare = flare->id;
    for (uint32_t i = 0; i < gang->placement.node_count; i++) {
        struct sched_share *share = &gang->shares[i];
        share->flare = flare;
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            share->node->claimed.amount[d] += share->workers * flare->shape.worker.amount[d];
        share->node->claims++;
        covey_list_push_back(&share->node->shares, &share->link);
    }
}

void sched_share_free(struct sched_share *share)
{
    if (!share->node)
        return;
    covey_list_remove(&share->link);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
        share->node->claimed.amount[d] -= share->workers * share->flare->shape.worker.amount[d];
    share->node->claims--;
    share->node = NULL; /* it may be removed before the flare is released */
}

void sched_gang_free(struct sched_flare *flare)
{
    if (!flare->gang)
        return;
    for (uint32_t i = 0; i < flare->gang->placement.node_count; i++)
        sched_share_free(&flare->gang->shares[i]);
    free(flare->gang);
    flare->gang = NULL;
}
