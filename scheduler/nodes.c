/* The nodes: ids, facts, room. */
#include "scheduler/internal.h"
#include "scheduler/machine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

const struct sched_view sched_view_empty = {SCHED_BASIS_EMPTY, 0, COVEY_NEVER_NS, false};
const struct sched_view sched_view_known = {SCHED_BASIS_KNOWN, 0, COVEY_NEVER_NS, false};
const struct sched_view sched_view_now = {SCHED_BASIS_NOW, 0, COVEY_NEVER_NS, false};

struct sched_node *sched_node_of(const struct sched *sched, uint32_t node)
{
    return node < sched->node_limit ? sched->nodes[node] : NULL;
}

void sched_claimed_beyond(const struct sched_node *node, int64_t then_ns,
                          struct sched_vector *claimed)
{
    *claimed = (struct sched_vector){0};
    covey_list_for_each (link, &node->shares) {
        const struct sched_share *share = covey_container_of(link, struct sched_share, link);
        if (share->flare->ends_ns <= then_ns)
            continue;
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            claimed->amount[d] += share->workers * share->flare->shape.worker.amount[d];
    }
}

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
    if (view->promised && !covey_list_empty(&node->promises))
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
    bool promised = view->promised && !covey_list_empty(&node->promises);
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

/* Makes room for one more node in `nodes` and in the scratch. */
static enum covey_status grow(struct sched *sched)
{
    if (sched->node_limit < sched->node_room)
        return COVEY_OK;
    if (sched->node_room > UINT32_MAX / 2)
        return COVEY_ENOMEM;
    uint32_t room = sched->node_room ? sched->node_room * 2 : 16;
    struct sched_node **nodes = covey_reallocarray(sched->nodes, room, sizeof(struct sched_node *));
    if (!nodes)
        return COVEY_ENOMEM;
    sched->nodes = nodes;
    struct sched_candidate *candidates =
        covey_reallocarray(sched->candidates, room, sizeof(*candidates));
    if (!candidates)
        return COVEY_ENOMEM;
    sched->candidates = candidates;
    uint32_t *numbers = covey_reallocarray(sched->numbers, room, sizeof(*numbers));
    if (!numbers)
        return COVEY_ENOMEM;
    sched->numbers = numbers;
    struct sched_candidate **sharers =
        covey_reallocarray(sched->sharers, room, sizeof(struct sched_candidate *));
    if (!sharers)
        return COVEY_ENOMEM;
    sched->sharers = sharers;
    enum covey_status status =
        sched_topology_reserve(&sched->topology, room, sched->topology.levels);
    if (!status)
        sched->node_room = room;
    return status;
}

static void destroy_node(struct sched *sched, struct sched_node *node)
{
    sched_machine_leave(node);
    sched_traits_destroy(sched, node->traits);
    free(node->name);
    free(node);
}

static enum covey_status add_node(struct sched *sched, const char *name, struct sched_node **added)
{
    enum covey_status status = grow(sched);
    if (status)
        return status;
    struct sched_node *node = covey_calloc(1, sizeof(*node));
    if (!node)
        return COVEY_ENOMEM;
    covey_list_init(&node->shares);
    covey_list_init(&node->promises);
    covey_list_init(&node->on_machine);
    node->walk = &sched->walks;
    node->totals = &sched->totals;
    node->name = covey_strdup(name);
    status = node->name ? covey_map_set(&sched->names, name, node) : COVEY_ENOMEM;
    if (status) {
        destroy_node(sched, node);
        return status;
    }
    uint32_t id = sched->first_hole;
    while (id < sched->node_limit && sched->nodes[id])
        id++;
    if (id == sched->node_limit)
        sched->node_limit++;
    sched->first_hole = id + 1;
    sched->nodes[id] = node;
    node->id = id;
    *added = node;
    return COVEY_OK;
}

static void set_facts(struct sched *sched, struct sched_node *node,
                      const struct sched_node_facts *facts, struct sched_traits *take_traits,
                      struct sched_machine *machine)
{
    struct sched_traits *old = node->traits;
    sched_totals_leave(node);
    node->traits = take_traits;
    node->tainted = take_traits->taint_count > 0;
    if (old)
        sched_topology_move(&sched->topology, node);
    else
        sched_topology_enter(&sched->topology, node);
    sched_traits_destroy(sched, old);
    node->epoch = facts->epoch;
    node->capacity = facts->capacity;
    node->machine_memory_bytes = facts->machine_memory_bytes;
    sched_machine_enter(node, machine);
    sched_totals_enter(node);
    sched->version++;
    sched->totals.freed++;
}

enum covey_status sched_node_set(struct sched *sched, const struct sched_node_facts *facts,
                                 uint32_t *node, struct covey_error *error)
{
    const char *name = facts->name;
    size_t length = strnlen(name, SCHED_NAME_BYTES);
    if (length == 0 || length == SCHED_NAME_BYTES)
        return covey_error_set(error, COVEY_EINVAL, "a node's name has 1 to %d bytes",
                               SCHED_NAME_BYTES - 1);
    struct sched_node *known = covey_map_get(&sched->names, name);
    if (known && facts->epoch < known->epoch)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "node %s is at epoch %llu already, this is its epoch %llu", name,
                               (unsigned long long)known->epoch, (unsigned long long)facts->epoch);
    enum covey_status status = sched_traits_check(facts, error);
    if (status)
        return status;
    struct sched_traits *traits = sched_traits_create(sched, facts);
    struct sched_machine *machine = sched_machine_take(sched, facts->machine, known);
    status = traits && machine ? COVEY_OK : COVEY_ENOMEM;
    if (!status && !known)
        status = add_node(sched, name, &known);
    if (status) {
        sched_machine_drop(machine);
        sched_traits_destroy(sched, traits);
        return covey_error_set(error, status, "no memory for node %s", name);
    }
    set_facts(sched, known, facts, traits, machine);
    *node = known->id;
    return COVEY_OK;
}
enum covey_status sched_node_set_state(struct sched *sched, uint32_t node,
                                       enum sched_node_state state)
{
    struct sched_node *known = sched_node_of(sched, node);
    if (!known)
        return COVEY_ENOTFOUND;
    sched_totals_leave(known);
    known->state = state;
    sched_totals_enter(known);
    sched->version++;
    sched->totals.freed++;
    return COVEY_OK;
}

bool sched_node_lose(struct sched *sched, uint32_t node, char flare[SCHED_ID_BYTES])
{
    if (sched_node_set_state(sched, node, SCHED_NODE_DOWN) != COVEY_OK)
        return false;
    struct covey_list *shares = &sched->nodes[node]->shares;
    if (covey_list_empty(shares))
        return false;
    struct sched_share *share = covey_container_of(shares->next, struct sched_share, link);
    memcpy(flare, share->flare->id, SCHED_ID_BYTES);
    sched_share_free(share);
    return true;
}

enum covey_status sched_node_remove(struct sched *sched, uint32_t node)
{
    struct sched_node *known = sched_node_of(sched, node);
    if (!known)
        return COVEY_ENOTFOUND;
    if (known->claims)
        return COVEY_EPRECONDITION;
    sched_promises_drop(sched, true);
    (void)covey_map_remove(&sched->names, known->name);
    sched_topology_leave(&sched->topology, known);
    sched_totals_leave(known);
    destroy_node(sched, known);
    sched->nodes[node] = NULL;
    if (node < sched->first_hole)
        sched->first_hole = node;
    sched->version++;
    sched->totals.freed++;
    return COVEY_OK;
}

enum covey_status sched_node_get(const struct sched *sched, uint32_t node,
                                 struct sched_node_info *info)
{
    const struct sched_node *known = sched_node_of(sched, node);
    if (!known)
        return COVEY_ENOTFOUND;
    *info = (struct sched_node_info){
        .name = known->name,
        .epoch = known->epoch,
        .state = known->state,
        .capacity = known->capacity,
        .claimed = known->claimed,
        .claims = known->claims,
        .machine_nodes = known->machine->node_count,
        .machine = known->machine->capacity,
        .machine_claimed = known->machine->claimed,
    };
    return COVEY_OK;
}

enum covey_status sched_node_find(const struct sched *sched, const char *name, uint32_t *node)
{
    const struct sched_node *known = covey_map_get(&sched->names, name);
    if (!known)
        return COVEY_ENOTFOUND;
    *node = known->id;
    return COVEY_OK;
}

uint32_t sched_node_limit(const struct sched *sched)
{
    return sched->node_limit;
}

void sched_nodes_destroy(struct sched *sched)
{
    for (uint32_t i = 0; i < sched->node_limit; i++) {
        if (sched->nodes[i])
            destroy_node(sched, sched->nodes[i]);
    }
    free(sched->nodes);
    free(sched->candidates);
    free(sched->numbers);
    free(sched->sharers);
    covey_map_clear(&sched->machines);
    sched_topology_destroy(sched);
    covey_map_clear(&sched->names);
}
