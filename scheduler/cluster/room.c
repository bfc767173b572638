/* What nodes and machines have, when nothing runs, now, or then. */
#include "scheduler/cluster/room.h"

#include "scheduler/cluster/booking.h"
#include "scheduler/cluster/share.h"

/* Cpus of a node that are taken by others of its machine are not there for it. */
static uint64_t without_others(const struct sched_node *node, uint64_t milli)
{
    uint64_t taken = 0;
    for (uint32_t i = 0; i < node->traits->cpu_count; i++)
        taken += sched_cpu_test(node->machine->cpus_taken, node->traits->cpus[i].id);
    uint64_t others = taken > node->cpus_own ? 1000 * (taken - node->cpus_own) : 0;
    return others < milli ? milli - others : 0;
}

void sched_node_room(const struct sched_node *node, const struct sched_view *view,
                     struct sched_vector *room)
{
    *room = node->capacity;
    if (sched_view_is_empty(view))
        return;
    const struct sched_vector *claimed = &node->claimed;
    struct sched_vector beyond;
    if (view->basis == SCHED_BASIS_THEN) {
        sched_claimed_beyond(node, view->from_ns, &beyond);
        claimed = &beyond;
    }
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t taken = claimed->amount[d];
        room->amount[d] = taken < room->amount[d] ? room->amount[d] - taken : 0;
    }
    if (sched_is_shared(node) && view->basis == SCHED_BASIS_NOW)
        room->amount[SCHED_MILLI_CPUS] = without_others(node, room->amount[SCHED_MILLI_CPUS]);
    if (view->promised && !covey_list_empty(&node->bookings))
        sched_withhold(node, view, room);
}

uint64_t sched_node_has(const struct sched_node *node, const struct sched_view *view,
                        enum sched_dimension dimension)
{
    struct sched_vector room;
    sched_node_room(node, view, &room);
    return room.amount[dimension];
}

/* What a node has now of one dimension, whatever was promised, or has when nothing runs. */
static uint64_t has_now(const struct sched_node *node, bool empty, enum sched_dimension d)
{
    uint64_t taken = empty ? 0 : node->claimed.amount[d];
    uint64_t capacity = node->capacity.amount[d];
    uint64_t room = taken < capacity ? capacity - taken : 0;
    return d == SCHED_MILLI_CPUS && !empty && sched_is_shared(node) ? without_others(node, room)
                                                                    : room;
}

uint32_t sched_node_fit(const struct sched_node *node, const struct sched_view *view,
                        const struct sched_vector *worker)
{
    uint32_t alone = sched_node_fit_alone(node, view, worker);
    if (!sched_is_shared(node) || !sched_asks_pooled(worker))
        return alone;
    uint32_t machine = sched_machine_fit(node->machine, view, worker);
    return alone < machine ? alone : machine;
}

uint32_t sched_node_fit_alone(const struct sched_node *node, const struct sched_view *view,
                              const struct sched_vector *worker)
{
    /* Mostly nothing is promised, and few dimensions are asked for. */
    bool promised = view->promised && !covey_list_empty(&node->bookings);
    bool simple = view->basis != SCHED_BASIS_THEN && !promised;
    struct sched_vector room;
    if (!simple)
        sched_node_room(node, view, &room);
    uint64_t fit = UINT32_MAX;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t each = worker->amount[d];
        if (each == 0)
            continue;
        uint64_t has = simple ? has_now(node, sched_view_is_empty(view), d) : room.amount[d];
        uint64_t workers = each == 1 ? has : has / each;
        if (workers < fit)
            fit = workers;
    }
    return (uint32_t)fit;
}

void sched_machine_room(const struct sched_machine *machine, const struct sched_view *view,
                        struct sched_vector *room)
{
    *room = machine->pool.capacity;
    if (sched_view_is_empty(view))
        return;
    struct sched_vector claimed = machine->pool.claimed;
    if (view->basis == SCHED_BASIS_THEN)
        sched_machine_claimed_beyond(machine, view->from_ns, &claimed);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t taken = claimed.amount[d];
        room->amount[d] = taken < room->amount[d] ? room->amount[d] - taken : 0;
    }
    if (view->promised)
        sched_withhold_machine(machine, view, room);
}

uint32_t sched_machine_fit(const struct sched_machine *machine, const struct sched_view *view,
                           const struct sched_vector *worker)
{
    struct sched_vector room;
    uint64_t fit = UINT32_MAX;
    sched_machine_room(machine, view, &room);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (!sched_is_pooled(d) || worker->amount[d] == 0)
            continue;
        uint64_t workers = room.amount[d] / worker->amount[d];
        fit = workers < fit ? workers : fit;
    }
    return (uint32_t)fit;
}
