/* Gangs: placed, restored or copied. */
#include "scheduler/place/gang.h"

#include "scheduler/cluster/room.h"
#include "scheduler/place/cores.h"
#include "scheduler/place/cost.h"
#include "scheduler/place/placement.h"
#include "scheduler/place/survey.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* An empty gang with its arrays in place; each worker has room for so many cpus. */
static struct sched_gang *create(uint32_t workers, uint32_t node_count, uint32_t pack_count,
                                 uint32_t cpus_each)
{
    size_t packs_at = sizeof(struct sched_gang) + node_count * sizeof(struct sched_share);
    size_t cpus_at = packs_at + pack_count * sizeof(struct sched_pack);
    size_t cpus_bytes = (size_t)workers * cpus_each * sizeof(uint16_t);
    struct sched_gang *gang = covey_malloc(cpus_at + cpus_bytes);
    if (!gang)
        return NULL;
    gang->packs = (struct sched_pack *)(void *)((char *)gang + packs_at);
    gang->cpus = cpus_each ? (uint16_t *)(void *)((char *)gang + cpus_at) : NULL;
    gang->placement = (struct sched_placement){
        .workers = workers,
        .node_count = node_count,
        .pack_count = pack_count,
        .packs = gang->packs,
        .cpus = gang->cpus,
        .cpus_each = cpus_each,
    };
    return gang;
}

static void set_share(struct sched_gang *gang, uint32_t index, struct sched_node *node,
                      uint32_t first_rank, uint32_t workers)
{
    uint32_t each = gang->cpus ? gang->placement.cpus_each : 0;
    gang->shares[index] = (struct sched_share){
        .stay = &gang->stay,
        .node = node,
        .cpus = gang->cpus ? gang->cpus + (size_t)first_rank * each : NULL,
        .cpu_count = workers * each,
        .first_rank = first_rank,
        .workers = workers,
    };
    covey_list_init(&gang->shares[index].link);
}

/* The cpus each worker gets, where one of the nodes gives some out. */
static uint32_t cpus_each_on(const struct sched_cluster *cluster, const struct sched_shape *shape,
                             const struct sched_candidate *used, uint32_t count)
{
    uint32_t each = sched_cpus_each(&shape->worker);
    for (uint32_t i = 0; each && i < count; i++) {
        if (cluster->nodes[used[i].node]->traits->cpu_count)
            return each;
    }
    return 0;
}

/* The cpus of a share, by rank. */
static uint16_t *cpus_of(const struct sched_gang *gang, const struct sched_share *share)
{
    return gang->cpus + (size_t)share->first_rank * gang->placement.cpus_each;
}

/* Holds no more what was picked for the first shares: it is claimed with the gang. */
static void let_go(const struct sched_gang *gang, uint32_t shares)
{
    for (uint32_t i = 0; gang->cpus && i < shares; i++) {
        const struct sched_share *share = &gang->shares[i];
        sched_cores_hold(share->node, share->cpus, share->cpu_count, false);
    }
}

static void pick_cpus(struct sched_gang *gang)
{
    for (uint32_t i = 0; gang->cpus && i < gang->placement.node_count; i++) {
        const struct sched_share *share = &gang->shares[i];
        sched_cores_pick(share->node, share->workers, gang->placement.cpus_each,
                         cpus_of(gang, share));
    }
    let_go(gang, gang->placement.node_count);
}

/* Fills in the cost; used are the candidates of its nodes in the order of the topology. */
static void set_cost(const struct sched_cluster *cluster, struct sched_gang *gang,
                     const struct sched_candidate *used, uint32_t count)
{
    struct sched_cost *cost = &gang->placement.cost;
    uint64_t workers = gang->placement.workers;
    sched_cost_of(&cluster->topology, used, count, gang->placement.workers, cost);
    if (!gang->cpus)
        return;
    uint64_t *crossing = &cost->crossing[cost->levels - 1];
    *crossing = workers * workers;
    for (uint32_t i = 0; i < gang->placement.node_count; i++) {
        const struct sched_share *share = &gang->shares[i];
        *crossing -= sched_cores_together(share->node, cpus_of(gang, share), share->workers,
                                          gang->placement.cpus_each);
    }
}

enum covey_status sched_gang_place(struct sched_desk *desk, const struct sched_shape *shape,
                                   const struct sched_view *view, struct sched_gang **gang)
{
    const struct sched_cluster *cluster = desk->cluster;
    *gang = NULL;
    if (view->basis == SCHED_BASIS_NOW &&
        !sched_totals_allow(&cluster->totals, &shape->worker, shape->workers))
        return COVEY_OK;
    struct sched_candidate *used = desk->candidates;
    uint32_t count = sched_survey(desk, shape, view);
    if (sched_survey_room(desk, shape, count) < shape->workers)
        return COVEY_OK;
    if (shape->node_limit < count)
        count = sched_survey(desk, shape, view); /* in order again */
    count = sched_distribute(desk, shape, count);
    uint32_t pack_count = shape->unit_is_pack ? shape->workers / shape->unit : count;
    bool now = view->basis == SCHED_BASIS_NOW; /* only then are free cpus known one by one */
    uint32_t cpus_each = now ? cpus_each_on(cluster, shape, used, count) : 0;
    struct sched_gang *placed = create(shape->workers, count, pack_count, cpus_each);
    if (!placed)
        return COVEY_ENOMEM;
    uint32_t rank = 0;
    uint32_t pack = 0;
    for (uint32_t i = 0; i < count; i++) {
        set_share(placed, i, cluster->nodes[used[i].node], rank, used[i].taken);
        uint32_t size = shape->unit_is_pack ? shape->unit : used[i].taken;
        for (uint32_t left = used[i].taken; left > 0; left -= size, rank += size, pack++)
            placed->packs[pack] = (struct sched_pack){pack, used[i].node, rank, size};
    }
    pick_cpus(placed);
    set_cost(cluster, placed, used, count);
    *gang = placed;
    return COVEY_OK;
}

/* Checks that packs are a placement of the shape on known nodes, and counts its nodes. */
static enum covey_status check_packs(struct sched_desk *desk, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     uint32_t *node_count, struct covey_error *error)
{
    uint32_t rank = 0;
    *node_count = 0;
    desk->restorations++;
    for (uint32_t i = 0; i < pack_count; i++) {
        const struct sched_pack *pack = &packs[i];
        if (pack->workers == 0 || pack->first_rank != rank || pack->workers > shape->workers - rank)
            return covey_error_set(error, COVEY_EINVAL, "pack %u does not continue the ranks at %u",
                                   i, rank);
        rank += pack->workers;
        struct sched_node *node = sched_cluster_node(desk->cluster, pack->node);
        if (!node)
            return covey_error_set(error, COVEY_ENOTFOUND, "pack %u is on an unknown node %u", i,
                                   pack->node);
        if (i > 0 && packs[i - 1].node == pack->node)
            continue;
        if (node->restore_stamp == desk->restorations)
            return covey_error_set(error, COVEY_EINVAL, "the packs on node %s are not neighbours",
                                   node->name);
        node->restore_stamp = desk->restorations;
        ++*node_count;
    }
    if (rank != shape->workers)
        return covey_error_set(error, COVEY_EINVAL, "the packs hold %u workers, not %u", rank,
                               shape->workers);
    return COVEY_OK;
}

static void add_workers(struct sched_share *share, uint32_t workers, uint32_t cpus_each)
{
    share->workers += workers;
    share->cpu_count += workers * cpus_each;
}

/* Fills the packs and shares of a gang in, and its nodes into the scratch, in the order of the
 * topology. */
static void set_packs(struct sched_desk *desk, struct sched_gang *gang,
                      const struct sched_pack *packs)
{
    struct sched_cluster *cluster = desk->cluster;
    uint32_t share = 0;
    for (uint32_t i = 0; i < gang->placement.pack_count; i++) {
        gang->packs[i] = packs[i];
        gang->packs[i].id = i;
        if (i > 0 && packs[i - 1].node == packs[i].node)
            add_workers(&gang->shares[share - 1], packs[i].workers, gang->placement.cpus_each);
        else
            set_share(gang, share++, cluster->nodes[packs[i].node], packs[i].first_rank,
                      packs[i].workers);
    }
    sched_topology_refresh(&cluster->topology);
    for (uint32_t i = 0; i < share; i++) {
        const struct sched_node *node = gang->shares[i].node;
        desk->candidates[i] = (struct sched_candidate){
            .node = node->id, .position = node->position, .taken = gang->shares[i].workers};
    }
    qsort(desk->candidates, share, sizeof(*desk->candidates), sched_by_position);
}

/* Checks that the nodes have the room, and their machines for all of them. */
static enum covey_status check_room(const struct sched_gang *gang, const struct sched_shape *shape,
                                    struct covey_error *error)
{
    for (uint32_t i = 0; i < gang->placement.node_count; i++)
        gang->shares[i].node->machine->asked = 0;
    for (uint32_t i = 0; i < gang->placement.node_count; i++) {
        const struct sched_node *node = gang->shares[i].node;
        uint32_t workers = gang->shares[i].workers;
        uint32_t before =
            sched_is_shared(node) && sched_asks_pooled(&shape->worker) ? node->machine->asked : 0;
        uint32_t fit = sched_node_fit(node, &sched_view_now, &shape->worker);
        if (workers > fit ||
            (before &&
             workers + before > sched_machine_fit(node->machine, &sched_view_now, &shape->worker)))
            return covey_error_set(error, COVEY_EPRECONDITION,
                                   "node %s has room for %u workers, not for %u", node->name,
                                   fit > before ? fit - before : 0, workers);
        node->machine->asked += workers;
    }
    return COVEY_OK;
}

/* Gives every worker the cpus that it is said to have. */
static enum covey_status take_cpus(struct sched_gang *gang, const uint16_t *cpus,
                                   struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    uint32_t held = 0;
    for (; !status && held < gang->placement.node_count; held++) {
        const struct sched_share *share = &gang->shares[held];
        uint32_t count = share->workers * gang->placement.cpus_each;
        const uint16_t *given = cpus + (cpus_of(gang, share) - gang->cpus);
        status = sched_cores_check(share->node, given, count, error);
        if (status)
            break;
        memcpy(cpus_of(gang, share), given, count * sizeof(*given));
        sched_cores_hold(share->node, given, count, true);
    }
    let_go(gang, held);
    return status;
}

/* Checks that the nodes have the room, and gives every worker its cpus: these, or any. */
static enum covey_status fit_shares(struct sched_gang *gang, const struct sched_shape *shape,
                                    const uint16_t *cpus, struct covey_error *error)
{
    enum covey_status status = check_room(gang, shape, error);
    if (status)
        return status;
    if (cpus && gang->cpus)
        return take_cpus(gang, cpus, error);
    if (!cpus)
        pick_cpus(gang);
    return COVEY_OK;
}

enum covey_status sched_gang_restore(struct sched_desk *desk, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     const uint16_t *cpus, struct sched_gang **gang,
                                     struct covey_error *error)
{
    const struct sched_cluster *cluster = desk->cluster;
    uint32_t node_count;
    enum covey_status status = check_packs(desk, shape, packs, pack_count, &node_count, error);
    if (status)
        return status;
    uint32_t cpus_each = 0;
    for (uint32_t i = 0; i < pack_count && !cpus_each; i++) {
        if (cluster->nodes[packs[i].node]->traits->cpu_count)
            cpus_each = sched_cpus_each(&shape->worker);
    }
    struct sched_gang *restored = create(shape->workers, node_count, pack_count, cpus_each);
    if (!restored)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a placement");
    set_packs(desk, restored, packs);
    status = fit_shares(restored, shape, cpus, error);
    if (status) {
        free(restored);
        return status;
    }
    set_cost(cluster, restored, desk->candidates, node_count);
    *gang = restored;
    return COVEY_OK;
}

struct sched_gang *sched_gang_copy(const struct sched_cluster *to, const struct sched_gang *gang,
                                   const uint32_t *node_of)
{
    const struct sched_placement *placement = &gang->placement;
    struct sched_gang *copy = create(placement->workers, placement->node_count,
                                     placement->pack_count, placement->cpus_each);
    if (!copy)
        return NULL;
    copy->placement.cost = placement->cost;
    copy->placement.submit_ns = placement->submit_ns;
    copy->placement.placed_ns = placement->placed_ns;
    for (uint32_t i = 0; i < placement->pack_count; i++) {
        copy->packs[i] = placement->packs[i];
        copy->packs[i].node = node_of[placement->packs[i].node];
    }
    for (uint32_t i = 0; i < placement->node_count; i++) {
        const struct sched_share *share = &gang->shares[i];
        set_share(copy, i, share->node ? to->nodes[node_of[share->node->id]] : NULL,
                  share->first_rank, share->workers);
    }
    if (copy->cpus)
        memcpy(copy->cpus, gang->cpus,
               (size_t)placement->workers * placement->cpus_each * sizeof(*copy->cpus));
    return copy;
}
