/* The one function that changes a flare. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "service/controller/internal.h"

#include <assert.h>
#include <stdlib.h>

/* What an event will look like; body and delta are owned. */
static enum covey_status describe(struct flare *flare, const struct transition *transition,
                                  enum flare_state state, int64_t at_ns, struct store_event *row)
{
    static const flare_message nothing = COVEY__V1__FLARE__INIT;
    const flare_message *delta = transition->delta ? transition->delta : &nothing;
    event_message event = COVEY__V1__EVENT__INIT; /* less what its row has: message_event */
    event.type = (char *)(uintptr_t)flare_event_name(transition->event);
    event.message = (char *)(uintptr_t)(transition->message ? transition->message : "");
    event.workers_started = flare->workers_started;
    event.workers_ended = flare->workers_ended;
    if (transition->event == FLARE_EVENT_REQUEUED)
        event.workers_started = event.workers_ended = 0;
    for (size_t i = 0; i < delta->n_workers; i++) {
        const worker_message *change = delta->workers[i];
        const worker_message *worker = flare_worker(flare, change->rank);
        if (!worker)
            continue;
        event.workers_started += change->started_at && !worker->started_at;
        event.workers_ended += worker_has_ended(change) && !worker_has_ended(worker);
    }
    *row = (struct store_event){.sequence = flare->sequence + 1,
                                .at_ns = at_ns,
                                .state = state,
                                .terminal = flare_state_is_final(state)};
    row->body = message_pack(&event.base);
    row->delta = message_pack(&delta->base);
    return row->body.data && row->delta.data ? COVEY_OK : COVEY_ENOMEM;
}

static void free_row(struct store_event *row)
{
    free((void *)(uintptr_t)row->body.data);
    free((void *)(uintptr_t)row->delta.data);
}

static enum flare_state next_state(const struct flare *flare, struct state_rule rule)
{
    if (rule.kind == STATE_MOVE)
        return (enum flare_state)rule.next;
    return rule.kind == STATE_OUTCOME ? flare->outcome : flare->state;
}

static enum journal_need need_of(const struct transition *transition, enum flare_state state)
{
    if (!transition->must)
        return JOURNAL_BEFORE;
    return flare_state_is_final(state) ? JOURNAL_SOON : JOURNAL_SOME_TIME;
}

static void announce(const struct flare *flare, const struct transition *transition,
                     enum flare_state from)
{
    enum flare_state state = flare->state;
    if (from != state)
        log_info("flare %s from=%s event=%s to=%s sequence=%llu%s%s", flare->id,
                 flare_state_name(from), flare_event_name(transition->event),
                 flare_state_name(state), (unsigned long long)flare->sequence,
                 transition->message ? " " : "", transition->message ? transition->message : "");
    else
        log_debug("flare %s state=%s event=%s sequence=%llu", flare->id, flare_state_name(state),
                  flare_event_name(transition->event), (unsigned long long)flare->sequence);
}

/* Without memory the state is right and the view lacks what changed, until a restart. */
static enum covey_status apply(struct flare *flare, const struct transition *transition,
                               enum flare_state state, int64_t at_ns)
{
    enum flare_state from = flare->state;
    enum covey_status status =
        flare_apply(flare, transition->event, state, at_ns, transition->delta);
    flare->sequence++;
    if (status)
        log_error("no memory to show an event: a restart will flare=%s event=%s", flare->id,
                  flare_event_name(transition->event));
    announce(flare, transition, from);
    return status;
}

enum covey_status flare_transition(struct controller *controller, struct flare *flare,
                                   const struct transition *transition, bool *applied,
                                   struct covey_error *error)
{
    struct state_rule rule = flare_rule(flare->state, transition->event);
    *applied = false;
    if (rule.kind == STATE_IGNORE)
        return COVEY_OK;
    if (rule.kind == STATE_BUG) {
        log_error("a flare's event cannot happen in its state flare=%s state=%s event=%s",
                  flare->id, flare_state_name(flare->state), flare_event_name(transition->event));
        assert(!"event in a state where it cannot happen");
        return covey_error_set(error, COVEY_EINTERNAL, "%s in state %s",
                               flare_event_name(transition->event), flare_state_name(flare->state));
    }
    enum flare_state state = next_state(flare, rule);
    int64_t at_ns = wall_of(controller);
    struct store_event row;
    enum covey_status status = describe(flare, transition, state, at_ns, &row);
    if (status)
        (void)covey_error_set(error, status, "no memory for an event");
    else
        status = journal_append(controller, flare->id, &row, need_of(transition, state), error);
    free_row(&row);
    if (status)
        return status;
    *applied = true;
    return apply(flare, transition, state, at_ns);
}

bool flare_must(struct controller *controller, struct flare *flare, enum flare_event event,
                const flare_message *delta, const char *message)
{
    bool applied;
    struct covey_error error = {0};
    const struct transition transition = {event, delta, message, true};
    if (flare_transition(controller, flare, &transition, &applied, &error) != COVEY_OK)
        log_error("an event is lost: %s flare=%s event=%s", error.message, flare->id,
                  flare_event_name(event));
    return applied;
}

/* A request in two: what users are shown of a flare, and what only its workers are given. */
static void pack_request(const Covey__V1__FlareRequest *request, struct store_flare *row)
{
    Covey__V1__FlareRequest shown = *request;
    Covey__V1__FlareRequest given = COVEY__V1__FLARE_REQUEST__INIT;
    given.n_parameters = shown.n_parameters;
    given.parameters = shown.parameters;
    given.parameter = shown.parameter;
    shown.workers = flare_worker_count(request);
    shown.inline_definition = NULL; /* the row has it */
    shown.n_parameters = 0;
    shown.parameters = NULL;
    shown.parameter = (ProtobufCBinaryData){0, NULL};
    row->request = message_pack(&shown.base);
    row->parameters = message_pack(&given.base);
}

/* Journals what was applied already: a flare that cannot be kept in memory is not accepted. */
static enum covey_status journal_accepted(struct controller *controller, const struct flare *flare,
                                          const Covey__V1__FlareRequest *request,
                                          const struct store_event *row, struct covey_error *error)
{
    struct store_flare accepted = {.id = flare->id,
                                   .tenant = flare->tenant,
                                   .idempotency_key = flare->request->idempotency_key,
                                   .accepted_ns = row->at_ns,
                                   .state = FLARE_QUEUED,
                                   .code_sha256 = flare->definition->code_sha256,
                                   .stdin_sha256 = flare->request->stdin_sha256,
                                   .definition = message_pack(&flare->definition->base)};
    pack_request(request, &accepted);
    enum covey_status status = COVEY_OK;
    if (!accepted.request.data || !accepted.parameters.data || !accepted.definition.data)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for a flare");
    else
        status = journal_accept(controller, &accepted, row, error);
    free((void *)(uintptr_t)accepted.request.data);
    free((void *)(uintptr_t)accepted.parameters.data);
    free((void *)(uintptr_t)accepted.definition.data);
    return status;
}

enum covey_status flare_accept(struct controller *controller, struct flare *flare,
                               const Covey__V1__FlareRequest *request, options_message *options,
                               flare_message **shown, struct covey_error *error)
{
    int64_t at_ns = wall_of(controller);
    Google__Protobuf__Timestamp at = message_time(at_ns);
    Covey__V1__Timeline timeline = COVEY__V1__TIMELINE__INIT;
    timeline.accepted_at = &at;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.timeline = &timeline;
    delta.options = options;
    const struct transition transition = {FLARE_EVENT_ACCEPTED, &delta, NULL, false};
    struct store_event row = {0};
    enum covey_status status = describe(flare, &transition, FLARE_QUEUED, at_ns, &row);
    if (!status)
        status = flare_apply(flare, FLARE_EVENT_ACCEPTED, FLARE_QUEUED, at_ns, &delta);
    *shown = status ? NULL : message_copy(&flare->view->base);
    if (!*shown)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for a flare");
    else
        status = journal_accepted(controller, flare, request, &row, error);
    free_row(&row);
    if (status) {
        message_free(*shown);
        *shown = NULL;
        return status;
    }
    flare->sequence++;
    announce(flare, &transition, FLARE_NONE);
    return COVEY_OK;
}
