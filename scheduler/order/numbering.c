/*
 * Where flares are in the order: found by one walk over the queue for all of them, and kept until
 * something changes it. A walk ends after so many steps; who comes later is known to be behind
 * those that it met.
 */
#include "scheduler/order/numbering.h"

#include "scheduler/order/walk.h"

#include <string.h>

/* Looks of one walk: a millisecond or two. */
#define WALK_LOOKS 32768

/* When the first of those that have not waited too long will have. */
static int64_t next_aged_ns(const struct sched *sched, int64_t now_ns)
{
    int64_t age_ns = sched->policy.age_ns;
    covey_list_for_each (link, &sched->queue) {
        const struct sched_flare *flare = covey_container_of(link, struct sched_flare, link);
        if (age_ns <= 0)
            break;
        if (now_ns - flare->submit_ns < age_ns)
            return covey_deadline_ns(flare->submit_ns, age_ns);
    }
    return COVEY_NEVER_NS;
}

static void number_all(struct sched *sched, int64_t now_ns)
{
    struct sched_numbering *numbering = &sched->numbering;
    uint64_t walks = sched->cluster.bookings
                         .walk; /* promises still count as of the last that started something */
    struct sched_walk walk;
    numbering->changes = sched->tenants.changes;
    numbering->version = sched->cluster.version;
    numbering->from_ns = now_ns;
    numbering->until_ns = next_aged_ns(sched, now_ns);
    numbering->number++;
    numbering->count = 0;
    numbering->first[0] = '\0';
    sched_walk_start(&walk, sched, now_ns);
    for (struct sched_flare *flare; walk.looks < WALK_LOOKS && (flare = sched_walk_next(&walk));) {
        sched_walk_take(&walk, flare);
        flare->numbering = numbering->number;
        flare->ahead = numbering->count;
        if (flare->hopeless_at == sched->cluster.version)
            continue;
        if (numbering->count++ == 0)
            memcpy(numbering->first, flare->id, SCHED_ID_BYTES);
    }
    sched_bookings_keep(&sched->cluster.bookings, walks);
}

bool sched_ahead_of(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                    uint32_t *ahead)
{
    const struct sched_numbering *numbering = &sched->numbering;
    if (numbering->number == 0 || numbering->changes != sched->tenants.changes ||
        numbering->version != sched->cluster.version || now_ns < numbering->from_ns ||
        now_ns >= numbering->until_ns)
        number_all(sched, now_ns);
    bool known = flare->numbering == numbering->number;
    *ahead = known ? flare->ahead : numbering->count;
    return known;
}
