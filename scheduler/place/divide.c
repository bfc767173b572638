/*
 * Placing takes nodes for independent. Where a gang is larger than what a machine has left, and its
 * nodes would offer more than that together, the machine's room is divided among them first: whole
 * units to the roomiest as long as there is room, or in turn where the gang is to be spread over
 * any number of nodes. No other division holds more units; the first holds the most on any number
 * of nodes, too. So a gang starts whenever there is a way, which tests check by trying all; that
 * its way is the best is promised only where no machine's room had to be divided.
 */
#include "scheduler/place/divide.h"

#include "scheduler/cluster/room.h"

#include <stdlib.h>

#define NOBODY UINT32_MAX

uint32_t sched_machine_offer(struct sched_desk *desk, struct sched_machine *machine,
                             const struct sched_shape *shape, const struct sched_view *view,
                             uint32_t fit)
{
    if (covey_list_empty(&machine->offering)) {
        machine->fit = sched_machine_fit(machine, view, &shape->worker);
        machine->offered = 0;
        machine->first = NOBODY;
        covey_list_push_back(&desk->offering, &machine->offering);
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

static void divide(struct sched_desk *desk, const struct sched_machine *machine,
                   const struct sched_shape *shape)
{
    struct sched_candidate **sharers = desk->sharers;
    uint32_t count = 0;
    for (uint32_t i = machine->first; i != NOBODY; i = desk->candidates[i].next) {
        desk->candidates[i].fit = 0;
        sharers[count++] = &desk->candidates[i];
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

void sched_machines_divide(struct sched_desk *desk, const struct sched_shape *shape)
{
    for (struct covey_list *link; (link = covey_list_pop_front(&desk->offering));) {
        struct sched_machine *machine = covey_container_of(link, struct sched_machine, offering);
        if (machine->offered > machine->fit && machine->fit < shape->workers)
            divide(desk, machine, shape);
    }
}
