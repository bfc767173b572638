/* Why a gang has no place: found by relaxing what it asks for. */
#include "scheduler/place/reason.h"

#include "scheduler/cluster/room.h"
#include "scheduler/place/survey.h"

static void add_saturating(uint64_t *sum, uint64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = UINT64_MAX;
}

static uint64_t times_saturating(uint64_t amount, uint32_t count)
{
    uint64_t product;
    return __builtin_mul_overflow(amount, count, &product) ? UINT64_MAX : product;
}

/* What one pass over the nodes adds up. */
struct census {
    uint64_t available[SCHED_DIMENSIONS];
    uint64_t workers[SCHED_DIMENSIONS]; /* that fit if this dimension were the only one */
};

static void add_amount(const struct sched_shape *shape, enum sched_dimension d, uint64_t amount,
                       struct census *census)
{
    add_saturating(&census->available[d], amount);
    if (shape->worker.amount[d])
        add_saturating(&census->workers[d], amount / shape->worker.amount[d]);
}

static void add_node(const struct sched_shape *shape, const struct sched_node *node,
                     const struct sched_view *view, struct census *census)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t has = sched_node_has(node, view, d);
        if (sched_is_shared(node) && sched_is_pooled(d))
            add_saturating(&node->machine->tally.amount[d], has);
        else
            add_amount(shape, d, has, census);
    }
}

/* What nodes share is there once. */
static void add_machines(const struct sched_cluster *cluster, const struct sched_shape *shape,
                         const struct sched_view *view, struct census *census)
{
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&cluster->machines.by_name, &cursor, NULL, &value)) {
        struct sched_machine *machine = value;
        struct sched_vector room;
        sched_machine_room(machine, view, &room);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            uint64_t amount = machine->tally.amount[d];
            if (sched_is_pooled(d))
                add_amount(shape, d, amount < room.amount[d] ? amount : room.amount[d], census);
        }
        machine->tally = (struct sched_vector){0};
    }
}

static void take_census(const struct sched_cluster *cluster, const struct sched_shape *shape,
                        const struct sched_view *view, struct census *census,
                        struct sched_reason *reason)
{
    *census = (struct census){0};
    for (uint32_t i = 0; i < cluster->node_limit; i++) {
        const struct sched_node *node = cluster->nodes[i];
        if (!node)
            continue;
        reason->nodes_draining += node->state == SCHED_NODE_DRAINING;
        reason->nodes_down += node->state == SCHED_NODE_DOWN;
        reason->nodes_up += node->state == SCHED_NODE_UP;
        if (!sched_node_counts(node, view))
            continue;
        reason->nodes_counted++;
        if (!sched_filter_admits(shape->filter, node)) {
            reason->nodes_unmatched++;
            continue;
        }
        uint32_t fit = sched_node_fit(node, view, &shape->worker);
        reason->nodes_too_small += fit < shape->unit;
        if (fit > reason->largest)
            reason->largest = fit < shape->workers ? fit : shape->workers;
        add_node(shape, node, view, census);
    }
    add_machines(cluster, shape, view, census);
}

/* The dimension that lets the fewest workers in. */
static enum sched_dimension scarcest(const struct sched_shape *shape, const struct census *census)
{
    enum sched_dimension scarce = SCHED_SLOTS; /* every worker needs some */
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (shape->worker.amount[d] && census->workers[d] < census->workers[scarce])
            scarce = d;
    }
    return scarce;
}

static enum sched_reason_kind kind_of(struct sched_desk *desk, const struct sched_shape *shape,
                                      const struct sched_view *view,
                                      const struct sched_reason *reason)
{
    if (reason->nodes_counted == 0)
        return SCHED_REASON_NO_NODES;
    if (reason->nodes_unmatched == reason->nodes_counted)
        return SCHED_REASON_NO_MATCH;
    if (reason->available < reason->asked)
        return SCHED_REASON_CAPACITY;
    struct sched_shape relaxed = *shape;
    relaxed.node_limit = UINT32_MAX;
    if (sched_room_in(desk, &relaxed, view) >= shape->workers)
        return SCHED_REASON_NODE_LIMIT;
    relaxed.unit_is_alone = false;
    if (sched_room_in(desk, &relaxed, view) >= shape->workers)
        return SCHED_REASON_FEW_NODES;
    return SCHED_REASON_FRAGMENTED;
}

void sched_diagnose(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                    struct sched_reason *reason)
{
    struct sched_desk *desk = verdicts->desk;
    *reason = (struct sched_reason){
        .workers = shape->workers,
        .unit = shape->unit,
        .node_limit = shape->node_limit == UINT32_MAX ? 0 : shape->node_limit,
    };
    const struct sched_view *view = &sched_view_now;
    uint64_t room = sched_room_in(desk, shape, view);
    bool fits = room >= shape->workers;
    reason->absent = !fits && !sched_possible(verdicts, shape);
    reason->never = reason->absent && !sched_possible_known(verdicts, shape);
    if (reason->absent) {
        view = reason->never ? &sched_view_known : &sched_view_empty;
        room = sched_room_in(desk, shape, view);
    }
    struct census census;
    take_census(desk->cluster, shape, view, &census, reason);
    reason->dimension = scarcest(shape, &census);
    reason->dimension_name = sched_names_of_dimension(&desk->cluster->names, reason->dimension);
    reason->asked = times_saturating(shape->worker.amount[reason->dimension], shape->workers);
    reason->available = census.available[reason->dimension];
    reason->fitting = (uint32_t)(fits ? shape->workers : room);
    if (!fits)
        reason->kind = kind_of(desk, shape, view, reason);
}
