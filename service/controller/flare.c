/* A flare's state in memory, and what an event makes of it. */
#include "base/clock.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static flare_message *create_view(const char *id, const char *tenant,
                                  const Covey__V1__FlareRequest *request,
                                  const definition_message *definition)
{
    flare_message *view = message_new(&covey__v1__flare__descriptor);
    if (!view)
        return NULL;
    view->timeline = message_new(&covey__v1__timeline__descriptor);
    view->definition_version = definition->version;
    view->workers_total = flare_worker_count(request);
    if (!view->timeline || !message_set_string(&view->id, id) ||
        !message_set_string(&view->tenant, tenant) ||
        !message_set_string(&view->definition, definition->name)) {
        message_free(view);
        return NULL;
    }
    return view;
}

struct flare *flare_create(struct controller *controller, const char *id, const char *tenant,
                           Covey__V1__FlareRequest *take_request,
                           definition_message *take_definition)
{
    struct flare *flare = covey_calloc(1, sizeof *flare);
    struct shared_definition *shared = shared_take(controller, tenant, take_definition);
    if (!flare || !shared) {
        free(flare);
        shared_give_back(shared);
        message_free(take_request);
        return NULL;
    }
    (void)snprintf(flare->id, sizeof flare->id, "%s", id);
    (void)snprintf(flare->tenant, sizeof flare->tenant, "%s", tenant);
    flare->request = take_request;
    flare->shared = shared;
    flare->definition = shared_message(shared);
    flare->prepare_by_ns = COVEY_NEVER_NS;
    flare->limit_at_ns = COVEY_NEVER_NS;
    flare->stop_at_ns = COVEY_NEVER_NS;
    flare->gone_by_ns = COVEY_NEVER_NS;
    covey_list_init(&flare->active_link);
    covey_list_init(&flare->news_link);
    covey_list_init(&flare->held_link);
    flare->view = create_view(id, tenant, take_request, flare->definition);
    if (!flare->view) {
        flare_destroy(flare);
        return NULL;
    }
    return flare;
}

void flare_destroy(struct flare *flare)
{
    if (!flare)
        return;
    for (uint32_t i = 0; i < flare->share_count; i++) {
        covey_list_remove(&flare->shares[i].node_link);
        free(flare->shares[i].host_address);
    }
    free(flare->shares);
    for (size_t i = 0; i < flare->ended_peer_count; i++)
        free(flare->ended_peers[i].reason);
    free(flare->ended_peers);
    covey_list_remove(&flare->active_link);
    covey_list_remove(&flare->news_link);
    covey_list_remove(&flare->held_link);
    free(flare->stop_reason);
    message_free(flare->cause);
    message_free(flare->view);
    message_free(flare->request);
    shared_give_back(flare->shared);
    explicit_bzero(flare->secret, sizeof flare->secret);
    free(flare);
}

/* Its options are in its view as they were resolved; only whether the time limit was given is not
 * told by them. */
void flare_slim(struct flare *flare)
{
    options_message *options = flare->request->options;
    if (!options)
        return;
    options_message *slim = message_new(&covey__v1__flare_options__descriptor);
    if (!slim)
        return;
    slim->time_limit = options->time_limit;
    options->time_limit = NULL;
    message_free(options);
    flare->request->options = slim;
}

uint32_t flare_worker_count(const Covey__V1__FlareRequest *request)
{
    return request->n_parameters ? (uint32_t)request->n_parameters : request->workers;
}

struct flare *flare_find(const struct controller *controller, const char *id)
{
    return covey_map_get(&controller->flares, id);
}

worker_message *flare_worker(const struct flare *flare, uint32_t rank)
{
    return rank < flare->view->n_workers ? flare->view->workers[rank] : NULL;
}

static void clear_workers(flare_message *view)
{
    for (size_t i = 0; i < view->n_workers; i++)
        message_free(view->workers[i]);
    free(view->workers);
    view->workers = NULL;
    view->n_workers = 0;
}

static void clear_placement(flare_message *view)
{
    for (size_t i = 0; i < view->n_packs; i++)
        message_free(view->packs[i]);
    free(view->packs);
    view->packs = NULL;
    view->n_packs = 0;
    clear_workers(view);
}

static enum covey_status add_worker(flare_message *view, const pack_message *pack, uint32_t rank)
{
    worker_message *worker = message_new(&covey__v1__worker__descriptor);
    if (!worker)
        return COVEY_ENOMEM;
    worker->rank = rank;
    worker->pack = pack->id;
    worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_STARTING;
    view->workers[view->n_workers++] = worker;
    return message_set_string(&worker->node, pack->node) ? COVEY_OK : COVEY_ENOMEM;
}

/* Packs come with workers: each of them starts. */
static enum covey_status add_packs(flare_message *view, const flare_message *delta)
{
    view->packs = covey_calloc(delta->n_packs, sizeof(pack_message *));
    view->workers = covey_calloc(view->workers_total, sizeof(worker_message *));
    if (!view->packs || !view->workers)
        return COVEY_ENOMEM;
    for (size_t i = 0; i < delta->n_packs; i++) {
        pack_message *pack = message_copy(&delta->packs[i]->base);
        if (!pack)
            return COVEY_ENOMEM;
        view->packs[view->n_packs++] = pack;
        for (uint32_t w = 0; w < pack->workers && view->n_workers < view->workers_total; w++) {
            enum covey_status status = add_worker(view, pack, pack->first_rank + w);
            if (status)
                return status;
        }
    }
    return COVEY_OK;
}

/* All packs or none: a part of a placement is worse than no view of it. */
static enum covey_status apply_packs(flare_message *view, const flare_message *delta)
{
    clear_placement(view);
    enum covey_status status = add_packs(view, delta);
    if (status)
        clear_placement(view);
    return status;
}

/* Takes what is set; never back from an end. */
static enum covey_status apply_worker(flare_message *view, const worker_message *change)
{
    if (change->rank >= view->n_workers)
        return COVEY_OK;
    worker_message *worker = view->workers[change->rank];
    if (change->pid)
        worker->pid = change->pid;
    if (change->started_at && !worker->started_at &&
        !message_set_time(&worker->started_at, message_time_ns(change->started_at)))
        return COVEY_ENOMEM;
    if (worker_has_ended(worker) || change->state <= worker->state)
        return COVEY_OK;
    if (change->ended_at && !message_set_time(&worker->ended_at, message_time_ns(change->ended_at)))
        return COVEY_ENOMEM;
    message_free(worker->cpu_time); /* it uses nothing any more */
    worker->cpu_time = NULL;
    worker->memory_bytes = 0;
    worker->state = change->state;
    worker->exit_status = change->exit_status;
    worker->signal = change->signal;
    worker->result_bytes = change->result_bytes;
    return COVEY_OK;
}

static bool apply_time(Google__Protobuf__Timestamp **field,
                       const Google__Protobuf__Timestamp *change)
{
    return !change || message_set_time(field, message_time_ns(change));
}

static enum covey_status apply_timeline(flare_message *view, const Covey__V1__Timeline *change)
{
    Covey__V1__Timeline *to = view->timeline;
    bool done = apply_time(&to->accepted_at, change->accepted_at) &&
                apply_time(&to->placed_at, change->placed_at) &&
                apply_time(&to->ready_at, change->ready_at) &&
                apply_time(&to->started_at, change->started_at) &&
                apply_time(&to->first_worker_at, change->first_worker_at) &&
                apply_time(&to->last_worker_at, change->last_worker_at) &&
                apply_time(&to->outcome_at, change->outcome_at) &&
                apply_time(&to->ended_at, change->ended_at);
    if (done && change->transport && *change->transport)
        done = message_set_string(&to->transport, change->transport);
    return done ? COVEY_OK : COVEY_ENOMEM;
}

static enum covey_status apply_delta(flare_message *view, const flare_message *delta)
{
    enum covey_status status = COVEY_OK;
    if (delta->options && !view->options) {
        view->options = message_copy(&delta->options->base);
        status = view->options ? COVEY_OK : COVEY_ENOMEM;
    }
    if (!status && delta->timeline)
        status = apply_timeline(view, delta->timeline);
    if (!status && delta->n_packs)
        status = apply_packs(view, delta);
    if (!status && delta->cost) {
        message_free(view->cost);
        view->cost = message_copy(&delta->cost->base);
        status = view->cost ? COVEY_OK : COVEY_ENOMEM;
    }
    for (size_t i = 0; !status && i < delta->n_workers; i++)
        status = apply_worker(view, delta->workers[i]);
    if (!status && delta->error) {
        message_free(view->error);
        view->error = message_copy(&delta->error->base);
        status = view->error ? COVEY_OK : COVEY_ENOMEM;
    }
    return status;
}

static void forget_attempt(flare_message *view)
{
    Covey__V1__Timeline *timeline = view->timeline;
    Google__Protobuf__Timestamp **times[] = {&timeline->placed_at,      &timeline->ready_at,
                                             &timeline->started_at,     &timeline->first_worker_at,
                                             &timeline->last_worker_at, &timeline->outcome_at};
    clear_placement(view);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        message_free(*times[i]);
        *times[i] = NULL;
    }
    message_free(view->error);
    view->error = NULL;
    message_free(view->cost);
    view->cost = NULL;
}

enum covey_status flare_apply_view(flare_message *view, enum flare_event event,
                                   enum flare_state state, int64_t at_ns,
                                   const flare_message *delta)
{
    enum covey_status status = delta ? apply_delta(view, delta) : COVEY_OK;
    view->state = (Covey__V1__FlareState)state;
    view->attempt += event == FLARE_EVENT_PLACED;
    view->restarts += event == FLARE_EVENT_RESTARTING;
    if (event == FLARE_EVENT_REQUEUED)
        forget_attempt(view);
    if (event != FLARE_EVENT_ENDED || status)
        return status;
    for (size_t i = 0; i < view->n_workers; i++)
        if (!worker_has_ended(view->workers[i]))
            view->workers[i]->state = COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED;
    return message_set_time(&view->timeline->ended_at, at_ns) ? COVEY_OK : COVEY_ENOMEM;
}

/* Adds (or, with -1, takes away) what the workers that a delta names count for. */
static void count_workers(struct flare *flare, const flare_message *delta, int sign)
{
    for (size_t i = 0; i < delta->n_workers; i++) {
        const worker_message *worker = flare_worker(flare, delta->workers[i]->rank);
        if (!worker)
            continue;
        flare->workers_started += (uint32_t)sign * (worker->started_at != NULL);
        flare->workers_ended += (uint32_t)sign * worker_has_ended(worker);
    }
}

enum covey_status flare_apply(struct flare *flare, enum flare_event event, enum flare_state state,
                              int64_t at_ns, const flare_message *delta)
{
    static const flare_message nothing = COVEY__V1__FLARE__INIT;
    const flare_message *change = delta ? delta : &nothing;
    count_workers(flare, change, -1);
    enum covey_status status = flare_apply_view(flare->view, event, state, at_ns, change);
    count_workers(flare, change, 1);
    flare->state = state;
    if (flare_outcome_of(event) != FLARE_NONE)
        flare->outcome = flare_outcome_of(event);
    if (event == FLARE_EVENT_PLACED)
        flare->attempts++;
    if (event == FLARE_EVENT_ROLLING_BACK || event == FLARE_EVENT_RESTARTING)
        flare->rolling_back = true;
    if (event == FLARE_EVENT_RESTARTING) {
        flare->attempts = 0;
        flare->outcome = FLARE_NONE;
    }
    if (event == FLARE_EVENT_REQUEUED) {
        flare->rolling_back = false;
        flare->workers_started = 0;
        flare->workers_ended = 0;
    }
    return status;
}

static void resolve_resources(options_message *options, const options_message *defaults)
{
    Covey__V1__Resources *to = options->worker_resources;
    const Covey__V1__Resources *from = defaults->worker_resources;
    if (from && to->slots == 0)
        to->slots = from->slots;
    if (from && to->memory_bytes == 0)
        to->memory_bytes = from->memory_bytes;
    if (from && to->milli_cpus == 0)
        to->milli_cpus = from->milli_cpus;
    if (from && to->gpus == 0)
        to->gpus = from->gpus;
}

/* A request's list is not merged with the definition's: it replaces it. */
static bool resolve_texts(char ***field, size_t *count, char **defaults, size_t default_count)
{
    if (*count || !default_count)
        return true;
    *field = covey_calloc(default_count, sizeof **field);
    while (*field && *count < default_count) {
        (*field)[*count] = covey_strdup(defaults[*count]);
        if (!(*field)[*count])
            return false;
        ++*count;
    }
    return *field != NULL;
}

static bool resolve_named(Covey__V1__Resources *to, const Covey__V1__Resources *from)
{
    if (!from || to->n_named || !from->n_named)
        return true;
    to->named = covey_calloc(from->n_named, sizeof(Covey__V1__Resources__NamedEntry *));
    while (to->named && to->n_named < from->n_named) {
        to->named[to->n_named] = message_copy(&from->named[to->n_named]->base);
        if (!to->named[to->n_named])
            return false;
        to->n_named++;
    }
    return to->named != NULL;
}

static bool resolve_duration(Google__Protobuf__Duration **field,
                             const Google__Protobuf__Duration *definition, int64_t default_ns)
{
    if (*field)
        return true;
    *field = message_new(&google__protobuf__duration__descriptor);
    if (!*field)
        return false;
    **field = definition ? *definition : message_duration(default_ns);
    (*field)->base.n_unknown_fields = 0;
    (*field)->base.unknown_fields = NULL;
    return true;
}

static bool resolve_folder(options_message *options, const options_message *defaults)
{
    if (*options->working_folder || !*defaults->working_folder)
        return true;
    options->working_folder_must_exist = defaults->working_folder_must_exist;
    return message_set_string(&options->working_folder, defaults->working_folder);
}

/* Labels of both; the request's win. They are few: a definition's are not merged where the request
 * has any. */
static bool resolve_labels(options_message *options, const options_message *defaults)
{
    if (options->n_labels || !defaults->n_labels)
        return true;
    options->labels =
        covey_calloc(defaults->n_labels, sizeof(Covey__V1__FlareOptions__LabelsEntry *));
    if (!options->labels)
        return false;
    for (size_t i = 0; i < defaults->n_labels; i++) {
        options->labels[i] = message_copy(&defaults->labels[i]->base);
        if (!options->labels[i])
            return false;
        options->n_labels++;
    }
    return true;
}

options_message *flare_resolve_options(const Covey__V1__FlareRequest *request,
                                       const definition_message *definition,
                                       const struct controller_limits *limits)
{
    static const options_message none = COVEY__V1__FLARE_OPTIONS__INIT;
    const options_message *defaults = definition->defaults ? definition->defaults : &none;
    options_message *options = request->options
                                   ? message_copy(&request->options->base)
                                   : message_new(&covey__v1__flare_options__descriptor);
    if (!options)
        return NULL;
    if (!options->packing)
        options->packing =
            defaults->packing ? defaults->packing : COVEY__V1__PACKING__PACKING_MIXED;
    if (!options->placement)
        options->placement =
            defaults->placement ? defaults->placement : COVEY__V1__PLACEMENT__PLACEMENT_PACK;
    if (!options->granularity)
        options->granularity = defaults->granularity;
    if (!options->priority)
        options->priority = defaults->priority;
    if (!options->max_restarts)
        options->max_restarts = defaults->max_restarts;
    if (!options->max_packs)
        options->max_packs = defaults->max_packs;
    if (!options->max_nodes)
        options->max_nodes = defaults->max_nodes;
    options->preemptible = options->preemptible || defaults->preemptible;
    options->wait_for_nodes = options->wait_for_nodes || defaults->wait_for_nodes;
    options->core_dumps = options->core_dumps || defaults->core_dumps;
    if (!options->worker_resources)
        options->worker_resources = message_new(&covey__v1__resources__descriptor);
    bool done =
        options->worker_resources && resolve_folder(options, defaults) &&
        resolve_labels(options, defaults) &&
        resolve_named(options->worker_resources, defaults->worker_resources) &&
        resolve_texts(&options->selector, &options->n_selector, defaults->selector,
                      defaults->n_selector) &&
        resolve_texts(&options->tolerations, &options->n_tolerations, defaults->tolerations,
                      defaults->n_tolerations) &&
        resolve_duration(&options->time_limit, defaults->time_limit, limits->max_time_limit_ns) &&
        resolve_duration(&options->communication_timeout, defaults->communication_timeout,
                         60 * COVEY_NS_PER_S) &&
        resolve_duration(&options->failure_grace, defaults->failure_grace,
                         limits->failure_grace_ns);
    if (!done) {
        message_free(options);
        return NULL;
    }
    resolve_resources(options, defaults);
    if (options->worker_resources->slots == 0)
        options->worker_resources->slots = 1;
    return options;
}
