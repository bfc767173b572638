/*
 * A limit of nodes: leaving out all but the roomiest always leaves room, where there is any way.
 *
 * Packing first does as if there was no limit, and mostly is within it. Where not, each domain
 * that has the room on its roomiest nodes alone is tried, and the best is taken; the root is one of
 * them, so that something is found.
 */
#include "scheduler/place/limit.h"

#include <assert.h>
#include <stdlib.h>

static int falling(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return a > b ? -1 : a < b;
}

static void restore(const struct sched_placer *placer, const struct sched_domain *domain)
{
    for (uint32_t i = domain->candidates; i < domain->candidates_end; i++)
        placer->candidates[i].fit = placer->candidates[i].room;
}

/* Leaves out all but the roomiest nodes of a domain, so many. */
static void restrict_to_roomiest(const struct sched_placer *placer, uint32_t level,
                                 struct sched_domain *domain, uint32_t limit)
{
    uint32_t count = domain->candidates_end - domain->candidates;
    if (count <= limit)
        return;
    for (uint32_t i = 0; i < count; i++)
        placer->numbers[i] = placer->candidates[domain->candidates + i].fit;
    qsort(placer->numbers, count, sizeof(*placer->numbers), falling);
    uint32_t least = limit ? placer->numbers[limit - 1] : UINT32_MAX;
    uint32_t as_roomy = 0; /* as the least, to be kept */
    for (uint32_t i = 0; i < limit; i++)
        as_roomy += placer->numbers[i] == least;
    for (uint32_t i = domain->candidates; i < domain->candidates_end; i++) {
        struct sched_candidate *candidate = &placer->candidates[i];
        if (candidate->fit > least)
            continue;
        if (candidate->fit == least && as_roomy > 0)
            as_roomy--;
        else
            candidate->fit = 0;
    }
    sched_roll_up(placer, level, domain);
}

static bool holds(const struct sched_placer *placer, const struct sched_domain *domain)
{
    uint32_t units = placer->shape->workers / placer->shape->unit;
    uint32_t odd = placer->shape->workers % placer->shape->unit;
    return domain->units > units || (domain->units == units && domain->odd >= odd);
}

struct attempt {
    struct sched_domain *domain;
    uint32_t level;
    struct sched_score score;
};

/* Packs everything into a domain, on its roomiest nodes alone; all are back afterwards. */
static void pack_restricted(const struct sched_placer *placer, struct attempt *attempt, bool commit)
{
    const struct sched_shape *shape = placer->shape;
    struct sched_rest all = {shape->workers / shape->unit, shape->workers % shape->unit};
    restrict_to_roomiest(placer, attempt->level, attempt->domain, shape->node_limit);
    attempt->score = (struct sched_score){0};
    if (holds(placer, attempt->domain))
        sched_pack(placer, attempt->level, attempt->domain, all, commit, &attempt->score);
    for (uint32_t i = 0; i < attempt->level && attempt->score.nodes; i++)
        attempt->score.together[i] = (uint64_t)shape->workers * shape->workers;
    restore(placer, attempt->domain);
    sched_roll_up(placer, attempt->level, attempt->domain);
}

void sched_pack_limited(const struct sched_placer *placer)
{
    const struct sched_shape *shape = placer->shape;
    struct sched_topology *topology = placer->topology;
    struct sched_rest all = {shape->workers / shape->unit, shape->workers % shape->unit};
    struct sched_score score;
    sched_pack(placer, 0, topology->domains, all, false, &score);
    if (score.nodes <= shape->node_limit) {
        sched_pack(placer, 0, topology->domains, all, true, &score);
        return;
    }
    struct attempt best = {0};
    for (uint32_t level = 0; level <= topology->levels; level++) {
        for (uint32_t i = topology->level_first[level]; i < topology->level_first[level + 1]; i++) {
            struct attempt attempt = {.domain = &topology->domains[i], .level = level};
            if (!holds(placer, attempt.domain))
                continue;
            pack_restricted(placer, &attempt, false);
            if (attempt.score.nodes && (!best.domain || sched_better(&attempt.score, &best.score)))
                best = attempt;
        }
    }
    assert(best.domain); /* the room was asked for first */
    pack_restricted(placer, &best, true);
}

/* Leaves the same number of nodes in each of the topmost domains, where they have them. */
static void restrict_each(const struct sched_placer *placer)
{
    const struct sched_topology *topology = placer->topology;
    struct sched_domain *first = &topology->domains[topology->level_first[1]];
    struct sched_domain *end = &topology->domains[topology->level_first[2]];
    uint32_t left = placer->shape->node_limit;
    for (struct sched_domain *domain = first; domain < end; domain++)
        domain->workers = 0; /* here: the nodes it may keep */
    while (left > 0) {
        for (struct sched_domain *domain = first; domain < end && left > 0; domain++) {
            if (domain->workers == domain->candidates_end - domain->candidates)
                continue;
            domain->workers++;
            left--;
        }
    }
    for (struct sched_domain *domain = first; domain < end; domain++)
        restrict_to_roomiest(placer, 1, domain, (uint32_t)domain->workers);
    sched_roll_up(placer, 0, topology->domains);
}

void sched_limit_spread(const struct sched_placer *placer)
{
    struct sched_domain *root = placer->topology->domains;
    if (placer->topology->levels) {
        restrict_each(placer);
        if (holds(placer, root))
            return;
        restore(placer, root);
        sched_roll_up(placer, 0, root);
    }
    restrict_to_roomiest(placer, 0, root, placer->shape->node_limit);
}
