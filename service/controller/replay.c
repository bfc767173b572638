/* The journal makes the state: rows of flares and nodes, and the events of each flare in order. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/internal.h"

#include <stdlib.h>
#include <string.h>

/* An event as it was written. */
static enum covey_status unpack(const struct store_event *row, enum flare_event *event,
                                flare_message **delta)
{
    event_message *body = message_event(row);
    *delta = message_unpack(&covey__v1__flare__descriptor, row->delta);
    bool good = body && *delta && flare_event_parse(body->type, event) && row->state < FLARE_STATES;
    message_free(body);
    if (good)
        return COVEY_OK;
    message_free(*delta);
    *delta = NULL;
    return COVEY_EPROTO;
}

/* ---- one view ---- */

/* A flare as its row has it. */
static struct flare *flare_of_row(struct controller *controller, const struct store_flare *row)
{
    Covey__V1__FlareRequest *request =
        message_unpack(&covey__v1__flare_request__descriptor, row->request);
    definition_message *definition =
        message_unpack(&covey__v1__definition__descriptor, row->definition);
    if (request && definition)
        return flare_create(controller, row->id, row->tenant, request, definition);
    message_free(request);
    message_free(definition);
    return NULL;
}

static bool apply_to_view(const struct store_event *row, void *data)
{
    struct view_making *making = data;
    enum flare_event event;
    flare_message *delta;
    if (making->left-- == 0)
        return false;
    making->status = unpack(row, &event, &delta);
    if (!making->status)
        making->status = flare_apply_view(making->flare->view, event, (enum flare_state)row->state,
                                          row->at_ns, delta);
    message_free(delta);
    making->next_sequence = row->sequence + 1;
    return making->status == COVEY_OK;
}

enum covey_status replay_begin(struct controller *controller, const struct store_flare *row,
                               struct view_making *making, struct covey_error *error)
{
    *making = (struct view_making){.flare = flare_of_row(controller, row), .next_sequence = 1};
    if (making->flare)
        return COVEY_OK;
    return covey_error_set(error, COVEY_EIO, "the journal's row of flare %s is damaged", row->id);
}

enum covey_status replay_some(struct controller *controller, struct view_making *making,
                              uint32_t events, bool *done, struct covey_error *error)
{
    const char *id = making->flare->id;
    making->left = events;
    making->status = COVEY_OK;
    enum covey_status status =
        store_events(controller->store, id, making->next_sequence, apply_to_view, making, error);
    if (!status && making->status)
        status =
            covey_error_set(error, COVEY_EIO, "the journal's events of flare %s are damaged", id);
    *done = !status && making->left != UINT32_MAX;
    return status;
}

flare_message *replay_take(struct view_making *making)
{
    flare_message *view = making->flare->view;
    making->flare->view = NULL;
    replay_abandon(making);
    return view;
}

void replay_abandon(struct view_making *making)
{
    flare_destroy(making->flare);
    making->flare = NULL;
}

enum covey_status replay_view(struct controller *controller, const struct store_flare *row,
                              flare_message **view, struct covey_error *error)
{
    struct view_making making;
    bool done;
    *view = NULL;
    enum covey_status status = replay_begin(controller, row, &making, error);
    if (!status)
        status = replay_some(controller, &making, UINT32_MAX - 1, &done, error);
    if (!status)
        *view = replay_take(&making);
    replay_abandon(&making);
    return status;
}

/* ---- the whole ---- */

struct replay {
    struct controller *controller;
    struct flare *flare;
    enum covey_status status;
    struct covey_error *error;
};

static bool apply_to_flare(const struct store_event *row, void *data)
{
    struct replay *replay = data;
    enum flare_event event;
    flare_message *delta;
    replay->status = unpack(row, &event, &delta);
    if (!replay->status && row->sequence != replay->flare->sequence + 1)
        replay->status = COVEY_EPROTO;
    if (!replay->status)
        replay->status =
            flare_apply(replay->flare, event, (enum flare_state)row->state, row->at_ns, delta);
    replay->flare->sequence = row->sequence;
    message_free(delta);
    return replay->status == COVEY_OK;
}

/* Every node starts lost: it has the grace to come back. */
static bool add_node(const struct store_node *row, void *data)
{
    struct replay *replay = data;
    struct controller *controller = replay->controller;
    struct controller_node *node = node_create(controller, row->name);
    Covey__V1__Capacity *capacity = message_unpack(&covey__v1__capacity__descriptor, row->capacity);
    if (!node || !capacity || !message_set_string(&node->identity, row->identity) ||
        !message_set_string(&node->drain_reason, row->drain_reason) ||
        !message_set_string(&node->data_address, row->data_address) ||
        !message_set_string(&node->version, row->version)) {
        message_free(capacity);
        replay->status =
            covey_error_set(replay->error, COVEY_ENOMEM, "no memory for node %s", row->name);
        return false;
    }
    message_free(node->capacity);
    node->capacity = capacity;
    node->epoch = row->epoch;
    node->seen_wall_ns = row->seen_ns;
    node->drain_until_wall_ns = row->drain_until_ns;
    drain_resume(controller, node);
    node->state = (enum node_state)node_rule(NODE_NONE, NODE_EVENT_RESTARTED).next;
    node->down_at_ns = covey_deadline_ns(now_of(controller), controller->limits.node_grace_ns);
    replay->status = node_update_sched(controller, node, replay->error);
    return replay->status == COVEY_OK;
}

/* The cpus of each worker, by rank, as its packs say; NULL where none is bound, and without memory.
 */
static uint16_t *cpus_of(const flare_message *view)
{
    size_t each = view->options->worker_resources->milli_cpus / 1000;
    bool bound = false;
    for (size_t i = 0; i < view->n_packs; i++)
        bound = bound || view->packs[i]->n_cpus > 0;
    uint16_t *cpus = bound ? covey_calloc(view->workers_total, each * sizeof *cpus) : NULL;
    for (size_t i = 0; cpus && i < view->n_packs; i++) {
        const pack_message *pack = view->packs[i];
        for (size_t k = 0; k < pack->workers * each; k++)
            cpus[pack->first_rank * each + k] =
                k < pack->n_cpus ? (uint16_t)pack->cpus[k] : SCHED_CPU_NONE;
    }
    return cpus;
}

/* Its time limit counts from here. */
static int64_t since_of(const struct controller *controller, const flare_message *view)
{
    int64_t placed_ns = message_time_ns(view->timeline->placed_at);
    return placed_ns ? placed_ns : sched_now_of(controller);
}

/* The gang's claims, as they were. */
static enum covey_status restore_claims(struct controller *controller, struct flare *flare,
                                        struct covey_error *error)
{
    const flare_message *view = flare->view;
    struct placing placing;
    const struct placed of = placing_of(controller, flare);
    enum covey_status status = placing_make(controller, &of, &placing, error);
    if (status)
        return status;
    struct sched_pack *packs = covey_calloc(view->n_packs, sizeof *packs);
    uint16_t *cpus = cpus_of(view);
    if (!packs)
        status = covey_error_set(error, COVEY_ENOMEM, "no memory for a placement");
    for (size_t i = 0; packs && !status && i < view->n_packs; i++) {
        packs[i].first_rank = view->packs[i]->first_rank;
        packs[i].workers = view->packs[i]->workers;
        status = sched_node_find(controller->sched, view->packs[i]->node, &packs[i].node);
    }
    if (!status)
        status = sched_restore(controller->sched, &placing.request, packs, (uint32_t)view->n_packs,
                               cpus, since_of(controller, view), error);
    free(cpus);
    free(packs);
    placing_free(&placing);
    return status;
}

static enum covey_status place_again(struct controller *controller, struct flare *flare,
                                     struct covey_error *error)
{
    if (flare->state == FLARE_QUEUED)
        return gang_queue(controller, flare, error);
    if (flare->view->n_packs == 0)
        return COVEY_OK; /* ENDING from the queue */
    struct covey_error why = {0};
    if (restore_claims(controller, flare, &why) != COVEY_OK)
        log_warn("a flare runs without its claims: %s flare=%s", why.message, flare->id);
    enum covey_status status = gang_make_shares(controller, flare);
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state != SHARE_GONE)
            flare->shares[i].state =
                flare->state == FLARE_PREPARING ? SHARE_PREPARING : SHARE_STARTED;
    return status;
}

/* What was under way goes on: an attempt is undone, a time limit counts from START. */
static void resume(struct controller *controller, struct flare *flare)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t) "EUNAVAILABLE";
    failure.message = (char *)(uintptr_t) "the controller was restarted while it was prepared";
    failure.rank = -1;
    int64_t limit_ns;
    (void)message_duration_ns(flare->view->options->time_limit,
                              controller->limits.max_time_limit_ns, &limit_ns);
    int64_t ran_ns = wall_of(controller) - message_time_ns(flare->view->timeline->started_at);
    switch (flare->state) {
    case FLARE_PREPARING:
        gang_roll_back(controller, flare, &failure, false);
        break;
    case FLARE_RUNNING:
        flare->limit_at_ns = now_of(controller) + (ran_ns < limit_ns ? limit_ns - ran_ns : 0);
        if (flare->workers_ended == flare->view->workers_total)
            ending_begin(controller, flare, FLARE_EVENT_FINISHING, NULL, NULL);
        break;
    case FLARE_ENDING:
        ending_stop(controller, flare, 0);
        ending_check(controller, flare);
        break;
    default:
        break;
    }
}

/* Its row as a flare in memory, which counts; NULL: damaged, or no memory. */
static struct flare *admit(struct controller *controller, const struct store_flare *row)
{
    struct flare *flare = flare_of_row(controller, row);
    if (!flare)
        return NULL;
    if (allowance_take(controller, flare, row->request.length_bytes + row->input_bytes) != COVEY_OK)
        goto destroy;
    if (covey_map_set(&controller->flares, row->id, flare) != COVEY_OK)
        goto give_back;
    return flare;
give_back:
    allowance_return(controller, flare);
destroy:
    flare_destroy(flare);
    return NULL;
}

/* One that is damaged is left out: the others are not lost with it, and what runs of it is ended
 * when its nodes come back. */
static bool leave_out(struct controller *controller, const char *id, struct flare *flare)
{
    log_error("the journal's rows of a flare are damaged: it is left out flare=%s", id);
    if (flare) {
        (void)covey_map_remove(&controller->flares, id);
        allowance_return(controller, flare);
        flare_destroy(flare);
    }
    return true;
}

static bool add_flare(const struct store_flare *row, void *data)
{
    struct replay *replay = data;
    struct controller *controller = replay->controller;
    struct flare *flare = admit(controller, row);
    if (!flare)
        return leave_out(controller, row->id, NULL);
    replay->flare = flare;
    flare_slim(flare);
    enum covey_status status =
        store_events(controller->store, row->id, 1, apply_to_flare, replay, replay->error);
    bool damaged = !status && (replay->status || !flare->view->options);
    if (damaged) {
        replay->status = COVEY_OK;
        return leave_out(controller, row->id, flare);
    }
    if (!status)
        status = place_again(controller, flare, replay->error);
    replay->status = status;
    return status == COVEY_OK;
}

/* Outcomes write to the journal, so they wait until it has been read. */
static enum covey_status resume_all(struct controller *controller)
{
    size_t count = 0;
    struct flare **flares = covey_calloc(controller->flares.count ? controller->flares.count : 1,
                                         sizeof(struct flare *));
    if (!flares)
        return COVEY_ENOMEM;
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&controller->flares, &cursor, NULL, &value))
        flares[count++] = value;
    for (size_t i = 0; i < count; i++)
        resume(controller, flares[i]);
    free(flares);
    return COVEY_OK;
}

enum covey_status replay_journal(struct controller *controller, struct covey_error *error)
{
    struct replay replay = {.controller = controller, .error = error};
    enum covey_status status = store_nodes(controller->store, add_node, &replay, error);
    if (!status)
        status = replay.status;
    if (!status)
        status = store_flares_live(controller->store, add_flare, &replay, error);
    if (!status)
        status = replay.status;
    if (status)
        return status;
    size_t flares = controller->flares.count;
    if (flares || controller->nodes.count)
        log_info("the journal was replayed flares=%zu nodes=%zu", flares, controller->nodes.count);
    estimate_replay(controller);
    controller->place = true;
    return resume_all(controller);
}
