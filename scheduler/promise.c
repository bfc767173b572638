/*
 * Promises: the earliest start of a flare that has to wait, if what runs ends by its limits, and
 * the nodes it is kept for. Room only grows as gangs end, so between promises the first time that
 * fits is found by bisecting; where promises are in the way, by trying one time after the other.
 */
#include "scheduler/internal.h"
#include "scheduler/machine.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

/* Times tried one by one; then what was promised is waited for. */
#define TRIES 32

static int64_t until_of(const struct sched_flare *flare, int64_t start_ns)
{
    return covey_deadline_ns(start_ns, flare->limit_ns > 0 ? flare->limit_ns : -1);
}

static bool counts(const struct sched_node *node, const struct sched_promise *promise)
{
    return promise->walk == *node->walk;
}

/* Takes off what is promised at a time. */
static void take_promised(const struct sched_node *node, int64_t at_ns, struct sched_vector *room)
{
    covey_list_for_each (link, &node->promises) {
        const struct sched_promise_share *share =
            covey_container_of(link, struct sched_promise_share, link);
        const struct sched_promise *promise = share->promise;
        bool has_begun = promise->start_ns <= at_ns || promise->holds;
        bool has_ended = promise->until_ns <= at_ns && promise->until_ns != COVEY_NEVER_NS;
        if (!counts(node, promise) || !has_begun || has_ended)
            continue;
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            uint64_t amount = share->workers * promise->flare->shape.worker.amount[d];
            room->amount[d] -= amount < room->amount[d] ? amount : room->amount[d];
        }
    }
}

static void free_at(const struct sched_node *node, int64_t at_ns, struct sched_vector *room)
{
    struct sched_vector claimed;
    sched_claimed_beyond(node, at_ns, &claimed);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t capacity = node->capacity.amount[d];
        room->amount[d] = claimed.amount[d] < capacity ? capacity - claimed.amount[d] : 0;
    }
}

/* Room only falls where something promised starts: it is least at the beginning or there. */
void sched_withhold(const struct sched_node *node, const struct sched_view *view,
                    struct sched_vector *room)
{
    take_promised(node, view->from_ns, room);
    covey_list_for_each (link, &node->promises) {
        const struct sched_promise *promise =
            covey_container_of(link, struct sched_promise_share, link)->promise;
        int64_t start_ns = promise->start_ns;
        /* Who may run for ever meets all that will ever start. */
        if (!counts(node, promise) || start_ns <= view->from_ns ||
            (start_ns >= view->until_ns && view->until_ns != COVEY_NEVER_NS))
            continue;
        struct sched_vector then;
        free_at(node, start_ns, &then);
        take_promised(node, start_ns, &then);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            if (then.amount[d] < room->amount[d])
                room->amount[d] = then.amount[d];
        }
    }
}

/* Takes off what is promised of all nodes of a machine at a time. */
static void take_promised_of_machine(const struct sched_machine *machine, int64_t at_ns,
                                     struct sched_vector *room)
{
    covey_list_for_each (link, &machine->nodes)
        take_promised(covey_container_of(link, struct sched_node, on_machine), at_ns, room);
}

void sched_withhold_machine(const struct sched_machine *machine, const struct sched_view *view,
                            struct sched_vector *room)
{
    take_promised_of_machine(machine, view->from_ns, room);
    covey_list_for_each (link, &machine->sched->promises) {
        const struct sched_promise *promise = covey_container_of(link, struct sched_promise, link);
        int64_t start_ns = promise->start_ns;
        if (promise->walk != machine->sched->walks || start_ns <= view->from_ns ||
            (start_ns >= view->until_ns && view->until_ns != COVEY_NEVER_NS))
            continue;
        struct sched_vector then;
        sched_machine_claimed_beyond(machine, start_ns, &then);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            uint64_t capacity = machine->capacity.amount[d];
            uint64_t claimed = then.amount[d];
            then.amount[d] = claimed < capacity ? capacity - claimed : 0;
        }
        take_promised_of_machine(machine, start_ns, &then);
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
            if (then.amount[d] < room->amount[d])
                room->amount[d] = then.amount[d];
        }
    }
}

static int by_time(const void *left, const void *right)
{
    int64_t a = ((const struct sched_end *)left)->at_ns;
    int64_t b = ((const struct sched_end *)right)->at_ns;
    return a < b ? -1 : a > b;
}

static enum covey_status grow(struct sched *sched)
{
    size_t room = sched->end_room ? sched->end_room * 2 : 64;
    struct sched_end *ends = covey_reallocarray(sched->ends, room, sizeof(*ends));
    if (!ends)
        return COVEY_ENOMEM;
    sched->ends = ends;
    sched->end_room = room;
    return COVEY_OK;
}

/* Lists when gangs end, rising. */
static enum covey_status list_ends(struct sched *sched)
{
    if (sched->ends_claims == sched->totals.claims && sched->ends)
        return COVEY_OK;
    size_t count = 0;
    covey_list_for_each (link, &sched->holders) {
        const struct sched_flare *flare = covey_container_of(link, struct sched_flare, link);
        if (flare->ends_ns == COVEY_NEVER_NS)
            continue;
        if ((!sched->ends || count == sched->end_room) && grow(sched) != COVEY_OK)
            return COVEY_ENOMEM;
        struct sched_end *end = &sched->ends[count++];
        end->at_ns = flare->ends_ns;
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            end->freed.amount[d] = flare->shape.workers * flare->shape.worker.amount[d];
    }
    if (count)
        qsort(sched->ends, count, sizeof(*sched->ends), by_time);
    for (size_t i = 1; i < count; i++) {
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            sched->ends[i].freed.amount[d] += sched->ends[i - 1].freed.amount[d];
    }
    sched->end_count = count;
    sched->ends_claims = sched->totals.claims;
    return COVEY_OK;
}

static struct sched_view view_at(const struct sched_flare *flare, int64_t at_ns, bool promised)
{
    return (struct sched_view){SCHED_BASIS_THEN, at_ns, until_of(flare, at_ns), promised};
}

static bool fits_at(struct sched *sched, const struct sched_flare *flare, int64_t at_ns,
                    bool promised)
{
    struct sched_view view = view_at(flare, at_ns, promised);
    uint32_t count = sched_survey(sched, &flare->shape, &view);
    return sched_room(&flare->shape, sched->candidates, count) >= flare->shape.workers;
}

/* False where not even all that is free then, anywhere, is enough. */
static bool is_enough(const struct sched *sched, const struct sched_flare *flare,
                      const struct sched_end *end)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        sched_sum wanted = (sched_sum)flare->shape.worker.amount[d] * flare->shape.workers;
        if (wanted > sched->totals.free[d] + end->freed.amount[d])
            return false;
    }
    return true;
}

/*
 * The first end at which there is room, were nothing promised; end_count: none. It is mostly not
 * far behind the first at which the sums are enough: steps that double find its surroundings.
 */
static size_t first_end(struct sched *sched, const struct sched_flare *flare)
{
    size_t low = 0;
    size_t high = sched->end_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_enough(sched, flare, &sched->ends[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    high = low;
    for (size_t step = 1; high < sched->end_count; step *= 2) {
        if (fits_at(sched, flare, sched->ends[high].at_ns, false))
            break;
        low = high + 1;
        high = step < sched->end_count - low ? low + step - 1 : sched->end_count;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fits_at(sched, flare, sched->ends[middle].at_ns, false))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The next time after which something has ended, gang or promise. */
static int64_t next_end(const struct sched *sched, int64_t after_ns)
{
    int64_t next_ns = COVEY_NEVER_NS;
    size_t low = 0;
    size_t high = sched->end_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sched->ends[middle].at_ns > after_ns)
            high = middle;
        else
            low = middle + 1;
    }
    if (low < sched->end_count)
        next_ns = sched->ends[low].at_ns;
    covey_list_for_each (link, &sched->promises) {
        const struct sched_promise *promise = covey_container_of(link, struct sched_promise, link);
        if (promise->walk == sched->walks && promise->until_ns > after_ns &&
            promise->until_ns < next_ns)
            next_ns = promise->until_ns;
    }
    return next_ns;
}

/* The last time at which something that is known to end does. */
static int64_t last_end(const struct sched *sched)
{
    int64_t last_ns = sched->end_count ? sched->ends[sched->end_count - 1].at_ns : 0;
    covey_list_for_each (link, &sched->promises) {
        const struct sched_promise *promise = covey_container_of(link, struct sched_promise, link);
        if (promise->walk == sched->walks && promise->until_ns != COVEY_NEVER_NS &&
            promise->until_ns > last_ns)
            last_ns = promise->until_ns;
    }
    return last_ns;
}

static int64_t earliest(struct sched *sched, const struct sched_flare *flare, int64_t now_ns)
{
    size_t first = first_end(sched, flare);
    if (first == sched->end_count && !fits_at(sched, flare, last_end(sched), false))
        return COVEY_NEVER_NS;
    int64_t at_ns = first < sched->end_count ? sched->ends[first].at_ns : now_ns;
    if (at_ns <= now_ns) /* it should have ended, and is ending */
        at_ns = now_ns + 1;
    for (int i = 0; i < TRIES && at_ns != COVEY_NEVER_NS; i++) {
        if (fits_at(sched, flare, at_ns, true))
            return at_ns;
        at_ns = next_end(sched, at_ns);
    }
    at_ns = last_end(sched);
    return at_ns > now_ns && fits_at(sched, flare, at_ns, true) ? at_ns : COVEY_NEVER_NS;
}

static struct sched_promise *create(struct sched_flare *flare, const struct sched_gang *gang)
{
    uint32_t count = gang->placement.node_count;
    struct sched_promise *promise =
        covey_malloc(sizeof(*promise) + count * sizeof(*promise->shares));
    if (!promise)
        return NULL;
    *promise = (struct sched_promise){.flare = flare, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        struct sched_promise_share *share = &promise->shares[i];
        *share = (struct sched_promise_share){
            .node = gang->shares[i].node, .promise = promise, .workers = gang->shares[i].workers};
        covey_list_push_back(&share->node->promises, &share->link);
    }
    covey_list_push_back(&flare->sched->promises, &promise->link);
    flare->promise = promise;
    return promise;
}

enum covey_status sched_promise(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                uint64_t signature)
{
    struct sched_promise *promise = flare->promise;
    if (promise && promise->freed == sched->totals.freed && promise->signature == signature &&
        promise->start_ns > now_ns) {
        promise->walk = sched->walks;
        return COVEY_OK;
    }
    sched_promise_drop(promise);
    enum covey_status status = list_ends(sched);
    if (status)
        return status;
    int64_t start_ns = earliest(sched, flare, now_ns);
    struct sched_view view = view_at(flare, start_ns, start_ns != COVEY_NEVER_NS);
    struct sched_gang *gang;
    status = sched_gang_place(sched, &flare->shape, &view, &gang);
    if (status || !gang)
        return status;
    promise = create(flare, gang);
    free(gang);
    if (!promise)
        return COVEY_ENOMEM;
    promise->start_ns = start_ns;
    promise->until_ns = until_of(flare, start_ns);
    int64_t age_ns = sched->policy.age_ns;
    promise->holds =
        start_ns == COVEY_NEVER_NS && age_ns > 0 && now_ns - flare->submit_ns >= age_ns;
    promise->walk = sched->walks;
    promise->freed = sched->totals.freed;
    promise->signature = signature;
    return COVEY_OK;
}

/* What a flare may run is what it is expected to. */
static bool is_limit_expected(const struct sched_flare *flare)
{
    return flare->ending ||
           (flare->expected_ns != COVEY_NEVER_NS && flare->expected_ns >= flare->limit_ns);
}

/* Starts lie before ends, so this comes to an end. NOLINTNEXTLINE(misc-no-recursion) */
bool sched_promise_is_expected(const struct sched *sched, const struct sched_promise *promise)
{
    covey_list_for_each (link, &sched->holders) {
        const struct sched_flare *flare = covey_container_of(link, struct sched_flare, link);
        if (flare->ends_ns == promise->start_ns && !is_limit_expected(flare))
            return false;
    }
    covey_list_for_each (link, &sched->promises) {
        const struct sched_promise *other = covey_container_of(link, struct sched_promise, link);
        if (other->until_ns == promise->start_ns && other->start_ns < promise->start_ns &&
            (!is_limit_expected(other->flare) || !sched_promise_is_expected(sched, other)))
            return false;
    }
    return true;
}

void sched_promise_drop(struct sched_promise *promise)
{
    if (!promise)
        return;
    for (uint32_t i = 0; i < promise->count; i++)
        covey_list_remove(&promise->shares[i].link);
    covey_list_remove(&promise->link);
    promise->flare->promise = NULL;
    free(promise);
}

void sched_promises_drop(struct sched *sched, bool all)
{
    covey_list_for_each_safe (link, after, &sched->promises) {
        struct sched_promise *promise = covey_container_of(link, struct sched_promise, link);
        if (all || promise->walk != sched->walks)
            sched_promise_drop(promise);
    }
}

void sched_promises_keep(struct sched *sched, uint64_t walks)
{
    covey_list_for_each (link, &sched->promises) {
        struct sched_promise *promise = covey_container_of(link, struct sched_promise, link);
        if (promise->walk == walks)
            promise->walk = sched->walks;
    }
}
