/* When a flare that waits is likely to start, as far as anybody knows. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>

/* The newest flares, which a restart looks at. */
#define REPLAY_FLARES_MAX 1000

int64_t estimate_expected_ns(struct controller *controller, const char *tenant,
                             const Covey__V1__FlareRequest *request,
                             const definition_message *definition)
{
    const Google__Protobuf__Duration *given =
        request->options ? request->options->time_limit : NULL;
    if (!given && definition->defaults)
        given = definition->defaults->time_limit;
    int64_t limit_ns;
    if (given && message_duration_ns(given, 0, &limit_ns))
        return limit_ns;
    return history_expected_ns(&controller->history, tenant, definition->name);
}

static const char *no_estimate(enum sched_unknown unknown)
{
    switch (unknown) {
    case SCHED_UNKNOWN_NODES:
        return "it waits for nodes";
    case SCHED_UNKNOWN_ENDS:
        return "what is before it has no time limit, and its definition has not run before, or "
               "never for so long";
    case SCHED_UNKNOWN_FAR:
        return "too much is before it";
    default:
        return "";
    }
}

struct controller_estimate {
    struct sched_outlook *outlook;
    int64_t now_ns;
};

enum covey_status estimate_begin(struct controller *controller, const struct sched_request *request,
                                 const char *flare, struct controller_estimate **estimate,
                                 struct covey_error *error)
{
    struct controller_estimate *made = covey_calloc(1, sizeof *made);
    *estimate = NULL;
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for an estimate");
    made->now_ns = sched_now_of(controller);
    enum covey_status status =
        sched_outlook_begin(controller->sched, request, flare, made->now_ns, &made->outlook, error);
    if (status)
        free(made);
    else
        *estimate = made;
    return status;
}

enum covey_status controller_estimate_step(struct controller_estimate *estimate, bool *done,
                                           struct covey_error *error)
{
    return sched_outlook_step(estimate->outlook, done, error);
}

enum covey_status controller_estimate_take(struct controller_estimate *estimate,
                                           Google__Protobuf__Duration **wait, char **none)
{
    struct sched_forecast forecast;
    sched_outlook_end(estimate->outlook, &forecast);
    estimate->outlook = NULL;
    bool taken = forecast.start_ns != COVEY_NEVER_NS
                     ? message_set_duration(wait, forecast.start_ns - estimate->now_ns)
                     : message_set_string(none, no_estimate(forecast.unknown));
    sched_forecast_clear(&forecast);
    return taken ? COVEY_OK : COVEY_ENOMEM;
}

void controller_estimate_end(struct controller_estimate *estimate)
{
    if (!estimate)
        return;
    sched_outlook_end(estimate->outlook, NULL);
    free(estimate);
}

void estimate_learn(struct controller *controller, const flare_message *view)
{
    const Covey__V1__Timeline *timeline = view->timeline;
    if (!timeline->started_at || !timeline->ended_at ||
        view->state == COVEY__V1__FLARE_STATE__FLARE_STATE_CANCELLED)
        return;
    history_add(&controller->history, view->tenant, view->definition,
                message_time_ns(timeline->ended_at) - message_time_ns(timeline->placed_at));
}

struct newest {
    struct controller *controller;
    flare_message *views[REPLAY_FLARES_MAX];
    size_t count;
    size_t seen;
};

static bool take_ended(const struct store_flare *row, void *data)
{
    struct newest *newest = data;
    flare_message *view;
    if (!flare_find(newest->controller, row->id) &&
        replay_view(newest->controller, row, &view, NULL) == COVEY_OK)
        newest->views[newest->count++] = view;
    return ++newest->seen < REPLAY_FLARES_MAX;
}

void estimate_replay(struct controller *controller)
{
    struct covey_error error = {0};
    struct newest *newest = covey_calloc(1, sizeof *newest);
    if (!newest)
        return;
    newest->controller = controller;
    if (store_flares_before(controller->store, NULL, "", take_ended, newest, &error) != COVEY_OK)
        log_warn("how long flares have run is not known: %s", error.message);
    while (newest->count) {
        flare_message *view = newest->views[--newest->count];
        estimate_learn(controller, view);
        message_free(view);
    }
    free(newest);
}
