/*
 * What was found out about a shape is kept by its hash, as long as the cluster could still hold as
 * much: a queue is full of equal shapes.
 */
#include "scheduler/place/verdict.h"

#include "scheduler/place/survey.h"

#include <string.h>

static bool same_shape(const struct sched_shape *a, const struct sched_shape *b)
{
    return a->workers == b->workers && a->unit == b->unit && a->node_limit == b->node_limit &&
           a->unit_is_pack == b->unit_is_pack && a->unit_is_alone == b->unit_is_alone &&
           memcmp(&a->worker, &b->worker, sizeof(a->worker)) == 0 &&
           sched_filter_equal(a->filter, b->filter);
}

static struct sched_verdict *verdict_of(struct sched_verdicts *verdicts,
                                        const struct sched_shape *shape)
{
    uint64_t hash = shape->workers;
    const uint64_t parts[] = {shape->unit, shape->node_limit, shape->worker.amount[SCHED_SLOTS],
                              shape->worker.amount[SCHED_MEMORY_BYTES]};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        hash = (hash ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return &verdicts->of[hash >> 32 & (SCHED_VERDICTS - 1)];
}

static bool is_about(const struct sched_verdict *verdict, const struct sched_cluster *cluster,
                     const struct sched_shape *shape)
{
    return verdict->version == cluster->version && same_shape(&verdict->shape, shape);
}

bool sched_possible(struct sched_verdicts *verdicts, const struct sched_shape *shape)
{
    struct sched_verdict *verdict = verdict_of(verdicts, shape);
    if (is_about(verdict, verdicts->desk->cluster, shape))
        return verdict->possible;
    bool possible = sched_fits_in(verdicts->desk, shape, &sched_view_empty);
    sched_shape_clear(&verdicts->desk->cluster->names, &verdict->shape);
    *verdict = (struct sched_verdict){
        .shape = *shape, .version = verdicts->desk->cluster->version, .possible = possible};
    (void)sched_filter_ref(verdict->shape.filter);
    return possible;
}

bool sched_possible_known(struct sched_verdicts *verdicts, const struct sched_shape *shape)
{
    if (sched_possible(verdicts, shape))
        return true;
    struct sched_verdict *verdict = verdict_of(verdicts, shape); /* that sched_possible has left */
    if (!verdict->asked_known) {
        verdict->possible_known = sched_fits_in(verdicts->desk, shape, &sched_view_known);
        verdict->asked_known = true;
    }
    return verdict->possible_known;
}

/* The verdict on this shape that holds still, or NULL. */
static struct sched_verdict *known_verdict(struct sched_verdicts *verdicts,
                                           const struct sched_shape *shape)
{
    struct sched_verdict *verdict = verdict_of(verdicts, shape);
    return is_about(verdict, verdicts->desk->cluster, shape) ? verdict : NULL;
}

bool sched_is_refused(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                      uint64_t signature, int64_t until_ns)
{
    const struct sched_verdict *verdict = known_verdict(verdicts, shape);
    /* Who stays longer meets no less. */
    return verdict && verdict->refused_freed == verdicts->desk->cluster->totals.freed &&
           verdict->refused_signature == signature && verdict->refused_until_ns <= until_ns;
}

void sched_refuse(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                  uint64_t signature, int64_t until_ns)
{
    struct sched_verdict *verdict = known_verdict(verdicts, shape);
    if (!verdict || sched_is_refused(verdicts, shape, signature, until_ns))
        return;
    verdict->refused_until_ns = until_ns;
    verdict->refused_freed = verdicts->desk->cluster->totals.freed;
    verdict->refused_signature = signature;
}

void sched_verdicts_clear(struct sched_verdicts *verdicts)
{
    for (size_t i = 0; i < SCHED_VERDICTS; i++)
        sched_shape_clear(&verdicts->desk->cluster->names, &verdicts->of[i].shape);
}
