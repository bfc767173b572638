/*
 * What will happen: time passes in a copy, in which what runs ends when it is likely to. Promises
 * there are made of limits, as here: what starts in the copy starts as it would then.
 */
#include "scheduler/internal.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* Gangs placed and moments passed in the copy before it gives up. */
#define STEPS_MAX 256

static struct sched_flare *of_link(struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

/* When a gang is likely to end; COVEY_NEVER_NS: nobody knows. */
static int64_t likely_end(const struct sched_flare *flare)
{
    if (flare->ending) /* it is being stopped */
        return flare->ends_ns;
    int64_t likely_ns =
        flare->expected_ns == COVEY_NEVER_NS
            ? COVEY_NEVER_NS
            : covey_deadline_ns(flare->gang->placement.placed_ns, flare->expected_ns);
    return likely_ns != COVEY_NEVER_NS && flare->ends_ns < likely_ns ? flare->ends_ns : likely_ns;
}

/* What has run longer than it was expected to may do so for ever; a limit stays one. */
static void forget_expectations(struct sched *sched, int64_t now_ns)
{
    covey_list_for_each (link, &sched->holders) {
        struct sched_flare *flare = of_link(link);
        int64_t likely_ns = likely_end(flare);
        if (likely_ns <= now_ns && likely_ns < flare->ends_ns)
            flare->expected_ns = COVEY_NEVER_NS;
    }
}

/* When the next gang ends or flare has waited too long. */
static int64_t next_event(const struct sched *sched, int64_t now_ns)
{
    int64_t next_ns = COVEY_NEVER_NS;
    covey_list_for_each (link, &sched->holders) {
        int64_t ends_ns = likely_end(of_link(link));
        if (ends_ns <= now_ns) /* it should have ended, and is ending */
            ends_ns = now_ns + 1;
        if (ends_ns < next_ns)
            next_ns = ends_ns;
    }
    covey_list_for_each (link, &sched->queue) {
        if (sched->policy.age_ns <= 0)
            break;
        int64_t aged_ns = covey_deadline_ns(of_link(link)->submit_ns, sched->policy.age_ns);
        if (aged_ns <= now_ns)
            continue;
        return aged_ns < next_ns ? aged_ns : next_ns;
    }
    return next_ns;
}

/* Releases what ends by now. */
static void end_gangs(struct sched *sched, int64_t now_ns, char after[SCHED_ID_BYTES])
{
    covey_list_for_each_safe (link, following, &sched->holders) {
        struct sched_flare *flare = of_link(link);
        if (likely_end(flare) > now_ns)
            continue;
        memcpy(after, flare->id, SCHED_ID_BYTES);
        sched_flare_destroy(sched, flare);
    }
}

/* Takes the placement of a flare out of the copy. */
static struct sched_placement *take_placement(const struct sched *from, struct sched_flare *flare,
                                              const uint32_t *node_of)
{
    struct sched_gang *gang = flare->gang;
    for (uint32_t i = 0; i < gang->placement.node_count; i++)
        sched_share_free(&gang->shares[i]);
    for (uint32_t i = 0; i < gang->placement.pack_count; i++) {
        uint32_t id = 0;
        while (id < from->node_limit && (!from->nodes[id] || node_of[id] != gang->packs[i].node))
            id++;
        gang->packs[i].node = id;
    }
    flare->gang = NULL;
    flare->line->tenant->gangs--;
    covey_list_remove(&flare->link);
    return &gang->placement;
}

/* Why nothing is left to happen. */
static enum sched_unknown why_never(const struct sched *sched)
{
    covey_list_for_each (link, &sched->holders) {
        if (likely_end(of_link(link)) == COVEY_NEVER_NS)
            return SCHED_UNKNOWN_ENDS;
    }
    return SCHED_UNKNOWN_NODES;
}

static enum covey_status let_pass(const struct sched *from, struct sched *copy,
                                  const uint32_t *node_of, const char *wanted, int64_t now_ns,
                                  struct sched_forecast *forecast)
{
    for (uint32_t step = 0; step < STEPS_MAX; step++) {
        const struct sched_placement *placement;
        enum covey_status status = sched_next(copy, now_ns, &placement);
        if (status)
            return status;
        if (!placement) {
            now_ns = next_event(copy, now_ns);
            if (now_ns == COVEY_NEVER_NS) {
                forecast->unknown = why_never(copy);
                return COVEY_OK;
            }
            end_gangs(copy, now_ns, forecast->after);
            continue;
        }
        struct sched_flare *flare = sched_flare_of(copy, placement->flare);
        flare->state = SCHED_FLARE_COMMITTED;
        if (strcmp(flare->id, wanted) != 0)
            continue;
        forecast->start_ns = now_ns;
        forecast->placement = take_placement(from, flare, node_of);
        return COVEY_OK;
    }
    forecast->unknown = SCHED_UNKNOWN_FAR;
    return COVEY_OK;
}

enum covey_status sched_forecast(struct sched *sched, const struct sched_request *request,
                                 const char *flare, int64_t now_ns, struct sched_forecast *forecast,
                                 struct covey_error *error)
{
    *forecast = (struct sched_forecast){.start_ns = COVEY_NEVER_NS};
    const struct sched_flare *known = request ? NULL : sched_flare_of(sched, flare);
    if (!request && (!known || known->state != SCHED_FLARE_QUEUED))
        return covey_error_set(error, COVEY_ENOTFOUND, "flare %s is not queued", flare);
    struct sched *copy;
    uint32_t *node_of;
    enum covey_status status = sched_clone(sched, &copy, &node_of);
    if (status)
        return covey_error_set(error, status, "no memory for a forecast");
    if (request)
        status = sched_submit(copy, request, error);
    const char *wanted = request ? request->flare : flare;
    if (!status && !sched_possible(copy, &sched_flare_of(copy, wanted)->shape)) {
        forecast->unknown = SCHED_UNKNOWN_NODES;
    } else if (!status) {
        forget_expectations(copy, now_ns);
        status = let_pass(sched, copy, node_of, wanted, now_ns, forecast);
        if (status)
            status = covey_error_set(error, status, "no memory for a forecast");
        else if (forecast->placement)
            forecast->placement->flare = wanted;
    }
    sched_destroy(copy);
    free(node_of);
    return status;
}

void sched_forecast_clear(struct sched_forecast *forecast)
{
    if (forecast->placement)
        free(covey_container_of(forecast->placement, struct sched_gang, placement));
    forecast->placement = NULL;
}
