/* What is known without looking at every node: sums of what is free, and verdicts of before. */
#include "scheduler/internal.h"
#include "scheduler/machine.h"

#include <string.h>

/* Adds what is free on a node to the sums, or takes it from them. Reservations are none of it. */
static void account(struct sched_node *node, bool enter)
{
    node->totals->claims++;
    if (node->state != SCHED_NODE_UP || !node->machine)
        return;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t capacity = node->capacity.amount[d];
        uint64_t claimed = node->claimed.amount[d];
        uint64_t room = claimed < capacity ? capacity - claimed : 0;
        bool pooled = sched_is_pooled(d);
        sched_sum *free = pooled ? &node->machine->up_free[d] : &node->totals->free[d];
        sched_sum *all = pooled ? &node->machine->up_capacity[d] : &node->totals->capacity[d];
        *free += enter ? room : -(sched_sum)room;
        *all += enter ? capacity : -(sched_sum)capacity;
    }
    sched_totals_refresh(node->machine);
}

static void recount(sched_sum *total, sched_sum *counted, sched_sum now)
{
    *total += now - *counted;
    *counted = now;
}

/* The nodes of a machine have no more together than the machine. */
void sched_totals_refresh(struct sched_machine *machine)
{
    struct sched_totals *totals = &machine->sched->totals;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (!sched_is_pooled(d))
            continue;
        sched_sum free = machine->up_free[d];
        sched_sum all = machine->up_capacity[d];
        if (machine->node_count > 1 && free > sched_machine_free(machine, d))
            free = sched_machine_free(machine, d);
        if (machine->node_count > 1 && all > machine->capacity.amount[d])
            all = machine->capacity.amount[d];
        recount(&totals->free[d], &machine->counted_free[d], free);
        recount(&totals->capacity[d], &machine->counted_capacity[d], all);
    }
}

void sched_totals_enter(struct sched_node *node)
{
    account(node, true);
}

void sched_totals_leave(struct sched_node *node)
{
    account(node, false);
}

bool sched_totals_allow(const struct sched *sched, const struct sched_shape *shape)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if ((sched_sum)shape->worker.amount[d] * shape->workers > sched->totals.free[d])
            return false;
    }
    return true;
}

static bool same_shape(const struct sched_shape *a, const struct sched_shape *b)
{
    return a->workers == b->workers && a->unit == b->unit && a->node_limit == b->node_limit &&
           a->unit_is_pack == b->unit_is_pack && a->unit_is_alone == b->unit_is_alone &&
           memcmp(&a->worker, &b->worker, sizeof(a->worker)) == 0 &&
           sched_filter_equal(a->filter, b->filter);
}

static struct sched_verdict *verdict_of(struct sched *sched, const struct sched_shape *shape)
{
    uint64_t hash = shape->workers;
    const uint64_t parts[] = {shape->unit, shape->node_limit, shape->worker.amount[SCHED_SLOTS],
                              shape->worker.amount[SCHED_MEMORY_BYTES]};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        hash = (hash ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return &sched->verdicts[hash >> 32 & (SCHED_VERDICTS - 1)];
}

static bool is_about(const struct sched_verdict *verdict, const struct sched *sched,
                     const struct sched_shape *shape)
{
    return verdict->version == sched->version && same_shape(&verdict->shape, shape);
}

static bool fits(struct sched *sched, const struct sched_shape *shape,
                 const struct sched_view *view)
{
    uint32_t count = sched_survey(sched, shape, view);
    return sched_room(shape, sched->candidates, count) >= shape->workers;
}

bool sched_possible(struct sched *sched, const struct sched_shape *shape)
{
    struct sched_verdict *verdict = verdict_of(sched, shape);
    if (is_about(verdict, sched, shape))
        return verdict->possible;
    bool possible = fits(sched, shape, &sched_view_empty);
    sched_shape_clear(sched, &verdict->shape);
    *verdict =
        (struct sched_verdict){.shape = *shape, .version = sched->version, .possible = possible};
    (void)sched_filter_ref(verdict->shape.filter);
    return possible;
}

bool sched_possible_known(struct sched *sched, const struct sched_shape *shape)
{
    if (sched_possible(sched, shape))
        return true;
    struct sched_verdict *verdict = verdict_of(sched, shape); /* that sched_possible has left */
    if (!verdict->asked_known) {
        verdict->possible_known = fits(sched, shape, &sched_view_known);
        verdict->asked_known = true;
    }
    return verdict->possible_known;
}

/* The verdict on this shape that holds still, or NULL. */
static struct sched_verdict *known_verdict(struct sched *sched, const struct sched_shape *shape)
{
    struct sched_verdict *verdict = verdict_of(sched, shape);
    return is_about(verdict, sched, shape) ? verdict : NULL;
}

bool sched_is_refused(struct sched *sched, const struct sched_shape *shape, uint64_t signature,
                      int64_t until_ns)
{
    const struct sched_verdict *verdict = known_verdict(sched, shape);
    /* Who stays longer meets no less. */
    return verdict && verdict->refused_freed == sched->totals.freed &&
           verdict->refused_signature == signature && verdict->refused_until_ns <= until_ns;
}

void sched_refuse(struct sched *sched, const struct sched_shape *shape, uint64_t signature,
                  int64_t until_ns)
{
    struct sched_verdict *verdict = known_verdict(sched, shape);
    if (!verdict || sched_is_refused(sched, shape, signature, until_ns))
        return;
    verdict->refused_until_ns = until_ns;
    verdict->refused_freed = sched->totals.freed;
    verdict->refused_signature = signature;
}

void sched_verdicts_clear(struct sched *sched)
{
    for (size_t i = 0; i < SCHED_VERDICTS; i++)
        sched_shape_clear(sched, &sched->verdicts[i].shape);
}
