/* Whom to end so that a gang of higher priority can start. */
#include "scheduler/order/walk.h"
#include "scheduler/place/survey.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* A running gang, and what its end was thought to be. */
struct victim {
    struct sched_flare *flare;
    int64_t ends_ns;
};

/* The first in order that may hold a gang and cannot start now. */
static struct sched_flare *first_waiting(struct sched *sched, int64_t now_ns)
{
    struct sched_walk walk;
    sched_walk_start(&walk, sched, now_ns);
    struct sched_flare *flare;
    enum sched_dimension dimension;
    while ((flare = sched_walk_next(&walk))) {
        if (sched_quota_allows(flare->line->tenant, &flare->shape, false, &dimension) &&
            flare->hopeless_at != sched->cluster.version)
            return flare;
    }
    return NULL;
}

/* True where the flare fits once what has ended by now is gone. */
static bool fits(struct sched *sched, const struct sched_flare *flare, int64_t now_ns)
{
    struct sched_view view = {SCHED_BASIS_THEN, now_ns, COVEY_NEVER_NS, false};
    return sched_fits_in(&sched->desk, &flare->shape, &view);
}

/* Lowest priority first, then the youngest. */
static int by_worth(const void *left, const void *right)
{
    const struct sched_flare *a = ((const struct victim *)left)->flare;
    const struct sched_flare *b = ((const struct victim *)right)->flare;
    if (a->line->priority != b->line->priority)
        return a->line->priority < b->line->priority ? -1 : 1;
    if (a->gang->placement.placed_ns != b->gang->placement.placed_ns)
        return a->gang->placement.placed_ns > b->gang->placement.placed_ns ? -1 : 1;
    return sched_before(a, b) ? 1 : -1;
}

static uint32_t count_holders(const struct sched *sched)
{
    uint32_t count = 0;
    covey_list_for_each (link, &sched->holders)
        count++;
    return count;
}

/* The gangs that may be ended for the flare. Those named before are taken for ended. */
static uint32_t list_victims(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                             struct victim *victims, struct victim *named, uint32_t *named_count)
{
    uint32_t count = 0;
    *named_count = 0;
    covey_list_for_each (link, &sched->holders) {
        struct sched_flare *other = covey_container_of(link, struct sched_flare, link);
        if (other->ending) {
            named[(*named_count)++] = (struct victim){other, other->gang->stay.ends_ns};
            other->gang->stay.ends_ns = now_ns;
        } else if (other->preemptible && other->state == SCHED_FLARE_COMMITTED &&
                   other->line->priority < flare->line->priority) {
            victims[count++] = (struct victim){other, other->gang->stay.ends_ns};
        }
    }
    if (count)
        qsort(victims, count, sizeof(*victims), by_worth);
    return count;
}

/* Moves those that are needed to the front, and returns how many; all keep now as their end. */
static uint32_t choose(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                       struct victim *victims, uint32_t count)
{
    uint32_t taken = 0;
    while (taken < count && !fits(sched, flare, now_ns))
        victims[taken++].flare->gang->stay.ends_ns = now_ns;
    if (taken == 0 || !fits(sched, flare, now_ns)) {
        for (uint32_t i = 0; i < taken; i++)
            victims[i].flare->gang->stay.ends_ns = victims[i].ends_ns;
        return 0;
    }
    uint32_t kept = taken;
    for (uint32_t i = taken - 1; i > 0; i--) { /* the last was what made it fit */
        struct victim spared = victims[i - 1];
        spared.flare->gang->stay.ends_ns = spared.ends_ns;
        if (!fits(sched, flare, now_ns)) {
            spared.flare->gang->stay.ends_ns = now_ns;
            continue;
        }
        memmove(&victims[i - 1], &victims[i], (kept - i) * sizeof(*victims));
        kept--;
    }
    return kept;
}

enum covey_status sched_preempt(struct sched *sched, int64_t now_ns, int64_t grace_ns,
                                char (*victims)[SCHED_ID_BYTES], uint32_t room, uint32_t *count)
{
    *count = 0;
    const struct sched_flare *flare = first_waiting(sched, now_ns);
    uint32_t holders = count_holders(sched);
    if (!flare || holders == 0)
        return COVEY_OK;
    struct victim *lists = covey_reallocarray(NULL, 2 * (size_t)holders, sizeof(*lists));
    if (!lists)
        return COVEY_ENOMEM;
    struct victim *named = lists + holders;
    uint32_t named_count;
    uint32_t found = list_victims(sched, flare, now_ns, lists, named, &named_count);
    uint32_t chosen = choose(sched, flare, now_ns, lists, found);
    for (uint32_t i = 0; i < named_count; i++)
        named[i].flare->gang->stay.ends_ns = named[i].ends_ns;
    for (uint32_t i = 0; i < chosen; i++) {
        struct sched_flare *victim = lists[i].flare;
        int64_t ends_ns = covey_deadline_ns(now_ns, grace_ns);
        victim->gang->stay.ends_ns =
            chosen > room || lists[i].ends_ns < ends_ns ? lists[i].ends_ns : ends_ns;
        if (chosen > room)
            continue;
        victim->ending = true;
        memcpy(victims[(*count)++], victim->id, SCHED_ID_BYTES);
    }
    if (*count) {
        sched->cluster.totals.claims++; /* ends have changed */
        sched->cluster.totals.freed++;
    }
    free(lists);
    return COVEY_OK;
}
