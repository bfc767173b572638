/* A gang's start: placed, prepared on every node of it, started on all of them, or undone. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/controller/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void gang_hold(struct controller *controller, struct flare *flare)
{
    if (covey_list_empty(&flare->held_link))
        covey_list_push_back(&controller->held, &flare->held_link);
}

/* ---- placing ---- */

static enum covey_status journal_placed(struct controller *controller, struct flare *flare,
                                        const struct sched_placement *placement,
                                        struct covey_error *error)
{
    Google__Protobuf__Timestamp at = message_time(wall_of(controller));
    Covey__V1__Timeline timeline = COVEY__V1__TIMELINE__INIT;
    timeline.placed_at = &at;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.timeline = &timeline;
    enum covey_status status =
        placing_show_packs(controller, placement, &delta.packs, &delta.n_packs);
    delta.cost = status ? NULL : placing_show_cost(controller, &placement->cost);
    if (!delta.cost) {
        placing_free_packs(delta.packs, delta.n_packs);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a placement");
    }
    char message[128];
    (void)snprintf(message, sizeof message, "%u worker%s in %u pack%s on %u node%s",
                   placement->workers, placement->workers == 1 ? "" : "s", placement->pack_count,
                   placement->pack_count == 1 ? "" : "s", placement->node_count,
                   placement->node_count == 1 ? "" : "s");
    bool applied;
    const struct transition transition = {FLARE_EVENT_PLACED, &delta, message, false};
    status = flare_transition(controller, flare, &transition, &applied, error);
    placing_free_packs(delta.packs, delta.n_packs);
    message_free(delta.cost);
    return status;
}

enum covey_status gang_make_shares(struct controller *controller, struct flare *flare)
{
    const flare_message *view = flare->view;
    flare->shares = covey_calloc(view->n_packs, sizeof *flare->shares);
    if (!flare->shares)
        return COVEY_ENOMEM;
    flare->share_count = 0;
    for (size_t i = 0; i < view->n_packs; i++) {
        const pack_message *pack = view->packs[i];
        if (i > 0 && strcmp(view->packs[i - 1]->node, pack->node) == 0) {
            flare->shares[flare->share_count - 1].workers += pack->workers;
            continue;
        }
        struct controller_node *node = node_find(controller, pack->node);
        struct share *share = &flare->shares[flare->share_count++];
        share->flare = flare;
        share->node = node;
        share->first_rank = pack->first_rank;
        share->workers = pack->workers;
        covey_list_init(&share->node_link);
        if (!node)
            share->state = SHARE_GONE; /* forgotten: nothing of it can be there */
        else
            covey_list_push_back(&node->shares, &share->node_link);
    }
    covey_list_push_back(&controller->active, &flare->active_link);
    return COVEY_OK;
}

static void drop_shares(struct flare *flare)
{
    for (uint32_t i = 0; i < flare->share_count; i++) {
        covey_list_remove(&flare->shares[i].node_link);
        free(flare->shares[i].host_address);
    }
    free(flare->shares);
    flare->shares = NULL;
    flare->share_count = 0;
    covey_list_remove(&flare->active_link);
}

struct share *gang_share(const struct flare *flare, const struct controller_node *node)
{
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].node == node)
            return &flare->shares[i];
    return NULL;
}

/* ---- preparing ---- */

/* What workers are given, from the journal: it is nowhere in memory while they wait. */
static bool take_given(struct store_bytes bytes, void *data)
{
    *(Covey__V1__FlareRequest **)data =
        message_unpack(&covey__v1__flare_request__descriptor, bytes);
    return false;
}

static enum covey_status read_given(struct controller *controller, const struct flare *flare,
                                    Covey__V1__FlareRequest **given, struct covey_error *error)
{
    *given = NULL;
    enum covey_status status =
        store_parameters(controller->store, flare->id, take_given, given, error);
    if (status)
        return status;
    if (*given &&
        ((*given)->n_parameters == 0 || (*given)->n_parameters == flare->view->workers_total))
        return COVEY_OK;
    message_free(*given);
    *given = NULL;
    (void)covey_error_set(error, COVEY_EIO, "the parameters of flare %s cannot be read", flare->id);
    return COVEY_EIO;
}

static void fill_parameters(const struct share *share, Covey__V1__FlareRequest *given,
                            Covey__V1__Prepare *prepare)
{
    if (given->n_parameters) {
        prepare->n_parameters = share->workers;
        prepare->parameters = given->parameters + share->first_rank;
    } else {
        prepare->n_parameters = 1;
        prepare->parameters = &given->parameter;
        prepare->shared_parameter = true;
    }
}

static enum covey_status send_prepare(struct controller *controller, struct share *share,
                                      Covey__V1__FlareRequest *given)
{
    struct flare *flare = share->flare;
    Covey__V1__Prepare prepare = COVEY__V1__PREPARE__INIT;
    prepare.flare_id = flare->id;
    prepare.definition = (definition_message *)(uintptr_t)flare->definition;
    prepare.options = flare->view->options;
    prepare.n_packs = flare->view->n_packs;
    prepare.packs = flare->view->packs;
    prepare.workers_total = flare->view->workers_total;
    prepare.secret = (ProtobufCBinaryData){SECRET_BYTES, flare->secret};
    prepare.max_result_bytes = controller->limits.max_result_bytes;
    Google__Protobuf__Duration timeout = message_duration(controller->limits.prepare_timeout_ns);
    prepare.timeout = &timeout;
    prepare.stdin_sha256 = flare->request->stdin_sha256;
    prepare.stdin_to = flare->request->stdin_to;
    fill_parameters(share, given, &prepare);
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_PREPARE;
    message.prepare = &prepare;
    return node_send(controller, share->node, &message);
}

static failure_message node_failure(const char *status, char *message, const char *node)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t)status;
    failure.message = message;
    failure.node = (char *)(uintptr_t)node;
    failure.rank = -1;
    return failure;
}

/* A share that cannot be sent: where the code is at fault (its parameters are too long) the flare
 * fails. */
static void prepare_failed(struct controller *controller, struct flare *flare,
                           struct controller_node *node, enum covey_status status)
{
    char text[512];
    (void)covey_text_print(text, sizeof text, "its share of node %s cannot be sent: %s", node->name,
                           covey_status_text(status));
    const failure_message failure = node_failure(covey_status_name(status), text, node->name);
    /* Lost before the flare is placed again, or it would be placed there. */
    if (node->broken)
        node_break(controller, node, "its stream broke");
    gang_roll_back(controller, flare, &failure, status == COVEY_ELIMIT);
}

static void prepare(struct controller *controller, struct flare *flare)
{
    if (gang_make_shares(controller, flare) != COVEY_OK ||
        getrandom(flare->secret, sizeof flare->secret, 0) != sizeof flare->secret ||
        covey_fault(COVEY_FAULT_CONTROLLER_PREPARE)) {
        char text[] = "the controller failed before PREPARE";
        const failure_message failure = node_failure("EINTERNAL", text, "");
        gang_roll_back(controller, flare, &failure, false);
        return;
    }
    struct covey_error error = {0};
    Covey__V1__FlareRequest *given;
    if (read_given(controller, flare, &given, &error) != COVEY_OK) {
        const failure_message failure =
            node_failure(covey_status_name(error.status), error.message, "");
        gang_roll_back(controller, flare, &failure, false);
        return;
    }
    flare->prepare_by_ns =
        covey_deadline_ns(now_of(controller), controller->limits.prepare_timeout_ns);
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; !status && i < flare->share_count; i++) {
        struct share *share = &flare->shares[i];
        status = send_prepare(controller, share, given);
        if (status)
            prepare_failed(controller, flare, share->node, status);
        else
            share->state = SHARE_PREPARING;
    }
    message_free(given);
}

enum covey_status gang_queue(struct controller *controller, const struct flare *flare,
                             struct covey_error *error)
{
    struct placing placing;
    const struct placed of = placing_of(controller, flare);
    enum covey_status status = placing_make(controller, &of, &placing, error);
    if (status)
        return status;
    status = sched_resubmit(controller->sched, &placing.request, error);
    placing_free(&placing);
    return status;
}

/* Frees the gang's claims and queues it at its old place. After a restart the scheduler has it as
 * running. */
static void return_to_queue(struct controller *controller, struct flare *flare)
{
    if (sched_rollback(controller->sched, flare->id) == COVEY_OK)
        return;
    struct covey_error error = {0};
    enum covey_status status = sched_release(controller->sched, flare->id);
    if (status == COVEY_OK || status == COVEY_ENOTFOUND)
        status = gang_queue(controller, flare, &error);
    if (status)
        log_error("a flare is not queued until a restart: %s flare=%s", error.message, flare->id);
}

void gang_place(struct controller *controller)
{
    controller->place = false;
    const struct sched_placement *placement;
    while (!controller->draining && !journal_is_full(controller) &&
           sched_next(controller->sched, sched_now_of(controller), &placement) == COVEY_OK &&
           placement) {
        struct flare *flare = flare_find(controller, placement->flare);
        struct covey_error error = {0};
        if (journal_placed(controller, flare, placement, &error) == COVEY_OK) {
            gang_hold(controller, flare);
            continue;
        }
        if (flare->state == FLARE_PREPARING) {
            const failure_message failure =
                node_failure(covey_status_name(error.status), error.message, "");
            gang_roll_back(controller, flare, &failure, false);
            continue;
        }
        log_warn("a flare waits for the journal: %s flare=%s", error.message, flare->id);
        return_to_queue(controller, flare);
        controller->place = true; /* when it has room */
        return;
    }
    preempt_run(controller);
}

/* ---- starting ---- */

static bool all_ready(const struct flare *flare)
{
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state != SHARE_READY)
            return false;
    return true;
}

enum covey_status gang_send_start(struct controller *controller, struct share *share)
{
    struct flare *flare = share->flare;
    Covey__V1__HostAddress *hosts = covey_calloc(flare->share_count, sizeof *hosts);
    Covey__V1__HostAddress **list =
        covey_calloc(flare->share_count, sizeof(Covey__V1__HostAddress *));
    enum covey_status status = COVEY_ENOMEM;
    if (hosts && list) {
        Covey__V1__Start start = COVEY__V1__START__INIT;
        for (uint32_t i = 0; i < flare->share_count; i++) {
            hosts[i] = (Covey__V1__HostAddress)COVEY__V1__HOST_ADDRESS__INIT;
            hosts[i].node = flare->shares[i].node->name;
            hosts[i].address = flare->shares[i].host_address;
            list[i] = &hosts[i];
        }
        start.flare_id = flare->id;
        start.n_hosts = flare->share_count;
        start.hosts = list;
        Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
        message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_START;
        message.start = &start;
        status = node_send(controller, share->node, &message);
    }
    free(hosts);
    free(list);
    if (!status)
        share->state = SHARE_STARTED;
    return status;
}

static void start(struct controller *controller, struct flare *flare)
{
    char text[COVEY_ERROR_MESSAGE_BYTES] = "the controller failed before START";
    struct covey_error error = {0};
    enum covey_status status = COVEY_EINTERNAL;
    if (!covey_fault(COVEY_FAULT_CONTROLLER_START)) {
        Google__Protobuf__Timestamp at = message_time(wall_of(controller));
        Covey__V1__Timeline timeline = COVEY__V1__TIMELINE__INIT;
        timeline.ready_at = &at;
        timeline.started_at = &at;
        flare_message delta = COVEY__V1__FLARE__INIT;
        delta.timeline = &timeline;
        bool applied;
        const struct transition transition = {FLARE_EVENT_STARTED, &delta, NULL, false};
        status = flare_transition(controller, flare, &transition, &applied, &error);
        (void)covey_text_print(text, sizeof text, "%s", error.message);
    }
    if (status) {
        const failure_message failure = node_failure(covey_status_name(status), text, "");
        gang_roll_back(controller, flare, &failure, false);
        return;
    }
    int64_t limit_ns;
    (void)message_duration_ns(flare->view->options->time_limit,
                              controller->limits.max_time_limit_ns, &limit_ns);
    flare->prepare_by_ns = COVEY_NEVER_NS;
    flare->limit_at_ns = covey_deadline_ns(now_of(controller), limit_ns);
    if (sched_commit(controller->sched, flare->id) != COVEY_OK)
        log_error("the scheduler does not know a flare that was placed flare=%s", flare->id);
    gang_hold(controller, flare);
}

void gang_release(struct controller *controller)
{
    struct covey_list due; /* what follows from it is held for the next time */
    covey_list_init(&due);
    for (struct covey_list *link; (link = covey_list_pop_front(&controller->held)) != NULL;)
        covey_list_push_back(&due, link);
    for (struct covey_list *link; (link = covey_list_pop_front(&due)) != NULL;) {
        struct flare *flare = covey_container_of(link, struct flare, held_link);
        if (flare->stop_held)
            ending_stop(controller, flare, flare->held_grace_ns);
        else if (flare->state == FLARE_PREPARING && !flare->rolling_back)
            prepare(controller, flare);
        for (uint32_t i = 0; i < flare->share_count && flare->state == FLARE_RUNNING; i++)
            if (flare->shares[i].state == SHARE_READY)
                (void)gang_send_start(controller, &flare->shares[i]);
    }
}

void gang_prepared(struct controller *controller, struct share *share)
{
    share->state = SHARE_READY;
    if (share->flare->state == FLARE_PREPARING && !share->flare->rolling_back &&
        all_ready(share->flare))
        start(controller, share->flare);
}

/* ---- undoing ---- */

bool gang_is_gone(const struct flare *flare)
{
    for (uint32_t i = 0; i < flare->share_count; i++)
        if (flare->shares[i].state != SHARE_GONE)
            return false;
    return true;
}

void gang_roll_back(struct controller *controller, struct flare *flare,
                    const failure_message *failure, bool code_at_fault)
{
    if (flare->state != FLARE_PREPARING)
        return;
    if (code_at_fault) {
        ending_begin(controller, flare, FLARE_EVENT_FAILING, failure, NULL);
        return;
    }
    if (!flare->rolling_back) {
        flare_message delta = COVEY__V1__FLARE__INIT;
        if (flare->attempts >= controller->limits.prepare_attempts) {
            ending_begin(controller, flare, FLARE_EVENT_FAILING, failure, NULL);
            return;
        }
        flare->prepare_by_ns = COVEY_NEVER_NS;
        (void)flare_must(controller, flare, FLARE_EVENT_ROLLING_BACK, &delta, failure->message);
        free(flare->stop_reason);
        flare->stop_reason = covey_strdup(failure->message);
        ending_stop(controller, flare, 0);
    }
    gang_rolled_back(controller, flare);
}

void gang_rolled_back(struct controller *controller, struct flare *flare)
{
    if (flare->state != FLARE_PREPARING || !flare->rolling_back || !gang_is_gone(flare))
        return;
    /* Only the attempt that ends well has results; what was logged stays. */
    struct covey_error error = {0};
    if (store_results_remove(controller->store, flare->id, &error) != COVEY_OK) {
        log_error("%s flare=%s", error.message, flare->id);
        const failure_message failure =
            node_failure(covey_status_name(error.status), error.message, "");
        ending_begin(controller, flare, FLARE_EVENT_FAILING, &failure, NULL);
        return;
    }
    (void)flare_must(controller, flare, FLARE_EVENT_REQUEUED, NULL, NULL);
    ending_forget_peers(flare);
    drop_shares(flare);
    flare->stop_held = false;
    free(flare->stop_reason);
    flare->stop_reason = NULL;
    flare->gone_by_ns = COVEY_NEVER_NS;
    explicit_bzero(flare->secret, sizeof flare->secret);
    return_to_queue(controller, flare);
    controller->place = true;
}
