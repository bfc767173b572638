/*
 * Machines that run several nodes. Each node counts what it gives out, and the machine what all of
 * its nodes give out of the memory and the cpus that they share: a node has no more room than
 * either says. A machine of one node says nothing of its own.
 *
 * Placing takes nodes for independent. Where a gang is larger than what a machine has left, and its
 * nodes would offer more than that together, the machine's room is divided among them first: whole
 * units to the roomiest as long as there is room, or in turn where the gang is to be spread over
 * any number of nodes. No other division holds more units; the first holds the most on any number
 * of nodes, too. So a gang starts whenever there is a way, which tests check by trying all; that
 * its way is the best is promised only where no machine's room had to be divided.
 */
#include "scheduler/machine.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

static struct sched_machine *create(struct sched *sched, const char *name)
{
    struct sched_machine *machine = covey_calloc(1, sizeof(*machine));
    if (!machine)
        return NULL;
    machine->sched = sched;
    covey_list_init(&machine->nodes);
    covey_list_init(&machine->offering);
    if (!name)
        return machine;
    machine->name = covey_strdup(name);
    if (machine->name && covey_map_set(&sched->machines, name, machine) == COVEY_OK)
        return machine;
    free(machine->name);
    free(machine);
    return NULL;
}

struct sched_machine *sched_machine_take(struct sched *sched, const char *name,
                                         const struct sched_node *node)
{
    if (!name && node && node->machine && !node->machine->name)
        return node->machine;
    struct sched_machine *known = name ? covey_map_get(&sched->machines, name) : NULL;
    return known ? known : create(sched, name);
}

void sched_machine_drop(struct sched_machine *machine)
{
    if (!machine || machine->node_count)
        return;
    if (machine->name)
        (void)covey_map_remove(&machine->sched->machines, machine->name);
    free(machine->name);
    free(machine);
}

/* What the nodes have together: the memory that the largest of them knows of, every cpu once. */
static void add_up(struct sched_machine *machine)
{
    uint64_t cpus[SCHED_CPU_WORDS] = {0};
    uint64_t memory_bytes = 0;
    uint64_t milli = 0;
    covey_list_for_each (link, &machine->nodes) {
        const struct sched_node *node = covey_container_of(link, struct sched_node, on_machine);
        const uint64_t amounts[] = {node->machine_memory_bytes,
                                    node->capacity.amount[SCHED_MEMORY_BYTES]};
        for (size_t i = 0; i < 2; i++)
            memory_bytes = amounts[i] > memory_bytes ? amounts[i] : memory_bytes;
        if (node->capacity.amount[SCHED_MILLI_CPUS] > milli)
            milli = node->capacity.amount[SCHED_MILLI_CPUS];
        for (uint32_t i = 0; i < node->traits->cpu_count; i++)
            sched_cpu_set(cpus, node->traits->cpus[i].id);
    }
    uint64_t ids = 0;
    for (size_t i = 0; i < SCHED_CPU_WORDS; i++)
        ids += (uint64_t)__builtin_popcountll(cpus[i]);
    machine->capacity.amount[SCHED_MEMORY_BYTES] = memory_bytes;
    machine->capacity.amount[SCHED_MILLI_CPUS] = 1000 * ids > milli ? 1000 * ids : milli;
}

/* Counts what a node's gangs hold on its machine, or no more. */
static void count_claims(struct sched_node *node, bool claim)
{
    struct sched_vector *claimed = &node->machine->claimed;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (sched_is_pooled(d))
            claimed->amount[d] += claim ? node->claimed.amount[d] : -node->claimed.amount[d];
    }
    covey_list_for_each (link, &node->shares)
        sched_cores_mark(covey_container_of(link, struct sched_share, link), claim);
}

void sched_machine_leave(struct sched_node *node)
{
    struct sched_machine *machine = node->machine;
    if (!machine)
        return;
    count_claims(node, false);
    covey_list_remove(&node->on_machine);
    machine->node_count--;
    node->machine = NULL;
    add_up(machine);
    sched_totals_refresh(machine);
    sched_machine_drop(machine);
}

void sched_machine_enter(struct sched_node *node, struct sched_machine *machine)
{
    if (node->machine != machine) {
        sched_machine_leave(node);
        node->machine = machine;
        covey_list_push_back(&machine->nodes, &node->on_machine);
        machine->node_count++;
        count_claims(node, true);
    }
    add_up(machine);
}

void sched_machine_claim(const struct sched_share *share, bool claim)
{
    struct sched_vector *claimed = &share->node->machine->claimed;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t amount = share->workers * share->flare->shape.worker.amount[d];
        if (sched_is_pooled(d))
            claimed->amount[d] += claim ? amount : -amount;
    }
}

uint64_t sched_machine_free(const struct sched_machine *machine, enum sched_dimension d)
{
    uint64_t claimed = machine->claimed.amount[d];
    uint64_t capacity = machine->capacity.amount[d];
    return claimed < capacity ? capacity - claimed : 0;
}

void sched_machine_claimed_beyond(const struct sched_machine *machine, int64_t then_ns,
                                  struct sched_vector *claimed)
{
    *claimed = (struct sched_vector){0};
    covey_list_for_each (link, &machine->nodes) {
        struct sched_vector part;
        sched_claimed_beyond(covey_container_of(link, struct sched_node, on_machine), then_ns,
                             &part);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            claimed->amount[d] += part.amount[d];
    }
}

void sched_machine_room(const struct sched_machine *machine, const struct sched_view *view,
                        struct sched_vector *room)
{
    *room = machine->capacity;
    if (sched_view_is_empty(view))
        return;
    struct sched_vector claimed = machine->claimed;
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

/* ---- dividing what is left among the nodes of a survey ---- */

uint32_t sched_machine_offer(struct sched *sched, struct sched_machine *machine,
                             const struct sched_shape *shape, const struct sched_view *view,
                             uint32_t fit)
{
    if (covey_list_empty(&machine->offering)) {
        machine->fit = sched_machine_fit(machine, view, &shape->worker);
        machine->offered = 0;
        machine->first = NOBODY;
        covey_list_push_back(&sched->offering, &machine->offering);
    }
    fit = fit < machine->fit ? fit : machine->fit;
    machine->offered += fit;
    return fit;
}

static int by_falling_fit(const void *left, const void *right)
{
    const struct sched_candidate *a = *(struct sched_candidate *const *)left;
    const struct sched_candidate *b = *(struct sched_candidate *const *)right;
    if (a->room != b->room)
        return a->room > b->room ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Each takes as many whole units as it can. Returns what is left. */
static uint32_t fill(struct sched_candidate **sharers, uint32_t count, uint32_t unit, uint32_t left)
{
    for (uint32_t i = 0; i < count; i++) {
        sharers[i]->fit = least(sharers[i]->room, left) / unit * unit;
        left -= sharers[i]->fit;
    }
    return left;
}

/* One unit for each, again and again. */
static uint32_t deal(struct sched_candidate **sharers, uint32_t count, uint32_t unit, uint32_t left)
{
    bool dealt = true;
    while (dealt) {
        dealt = false;
        for (uint32_t i = 0; i < count && left >= unit; i++) {
            if (sharers[i]->room - sharers[i]->fit < unit)
                continue;
            sharers[i]->fit += unit;
            left -= unit;
            dealt = true;
        }
    }
    return left;
}

static void divide(struct sched *sched, const struct sched_machine *machine,
                   const struct sched_shape *shape)
{
    struct sched_candidate **sharers = sched->sharers;
    uint32_t count = 0;
    for (uint32_t i = machine->first; i != NOBODY; i = sched->candidates[i].next) {
        sched->candidates[i].fit = 0;
        sharers[count++] = &sched->candidates[i];
    }
    qsort(sharers, count, sizeof(struct sched_candidate *), by_falling_fit);
    /* On few nodes there is room enough only where each has as much as it can. */
    bool in_turn = shape->spread && shape->node_limit == UINT32_MAX;
    uint32_t left = in_turn ? deal(sharers, count, shape->unit, machine->fit)
                            : fill(sharers, count, shape->unit, machine->fit);
    /* Less than a unit for anybody: for the gang's last, which may be smaller. */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t more = least(sharers[i]->room - sharers[i]->fit, left);
        sharers[i]->fit += more;
        left -= more;
    }
    for (uint32_t i = 0; i < count; i++)
        sharers[i]->room = sharers[i]->fit;
}

void sched_machines_divide(struct sched *sched, const struct sched_shape *shape)
{
    for (struct covey_list *link; (link = covey_list_pop_front(&sched->offering));) {
        struct sched_machine *machine = covey_container_of(link, struct sched_machine, offering);
        if (machine->offered > machine->fit && machine->fit < shape->workers)
            divide(sched, machine, shape);
    }
}
