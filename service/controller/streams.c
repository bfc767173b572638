/*
 * Streams to users: events, log lines and results. Each sends what is there while its call is
 * writable, a few pieces at a turn, then waits for news of its flare or for the call: a slow reader
 * holds next to no memory here, and a fast one leaves others their turns.
 */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/controller/flare_states.h"
#include "service/controller/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_BATCH 64

/* Pieces of a log or of results that are sent in one turn. */
#define TURN_PIECES 4
#define PIECE_BYTES ((size_t)64 * 1024)

struct follow_group {
    struct covey_list followers;
};

struct follower {
    struct covey_list group_link;
    struct api *api;
    struct rpc_call *call;
    void (*pump)(struct follower *follower);
    struct controller_identity caller;
    char flare[ULID_BYTES];
    bool finished;
    uint64_t next_sequence;
    int last_state;
    struct log_reader reader;
    uint64_t offset; /* in the result of next_rank */
    uint32_t *ranks;
    size_t rank_count;
    bool follow;
    flare_message *view; /* whose results are sent */
    size_t next_rank;
};

static void finish(struct follower *follower, enum covey_status status,
                   const struct covey_error *error)
{
    if (follower->finished)
        return;
    follower->finished = true;
    if (status)
        rpc_call_fail(follower->call, status, error);
    else
        rpc_call_finish(follower->call, RPC_OK, NULL);
}

/* ---- events ---- */

struct batch {
    event_message *events[EVENTS_BATCH];
    size_t count;
    bool terminal;
};

static bool take_event(const struct store_event *row, void *data)
{
    struct batch *batch = data;
    event_message *event = message_event(row);
    if (!event)
        return false;
    batch->events[batch->count++] = event;
    batch->terminal = row->terminal;
    return batch->count < EVENTS_BATCH && !row->terminal;
}

/* A flare that is too long for one message goes without its workers: GetFlare says so, a watch must
 * not end for it. */
static enum covey_status send_event(struct follower *follower, event_message *event, bool last)
{
    struct covey_error error = {0};
    Covey__V1__WatchFlareResponse response = COVEY__V1__WATCH_FLARE_RESPONSE__INIT;
    response.event = event;
    if (follower->last_state != (int)event->state &&
        controller_get(follower->api->controller, &follower->caller, follower->flare, last,
                       &response.flare, &error) != COVEY_OK)
        log_warn("an event goes out without its flare: %s flare=%s", error.message,
                 follower->flare);
    enum covey_status status = rpc_call_send(follower->call, &response.base);
    if (status == COVEY_ELIMIT && response.flare) {
        message_free(response.flare);
        if (controller_get(follower->api->controller, &follower->caller, follower->flare, false,
                           &response.flare, &error) != COVEY_OK)
            response.flare = NULL;
        status = rpc_call_send(follower->call, &response.base);
    }
    message_free(response.flare);
    follower->last_state = (int)event->state;
    follower->next_sequence = event->sequence + 1;
    return status;
}

static void pump_watch(struct follower *follower)
{
    struct covey_error error = {0};
    if (!follower->finished && rpc_call_writable(follower->call)) {
        struct batch batch = {.count = 0};
        bool ended;
        /* Asked before reading: the last event is read then. */
        enum covey_status status = controller_find(follower->api->controller, &follower->caller,
                                                   follower->flare, &ended, &error);
        if (!status)
            status = store_events(follower->api->store, follower->flare, follower->next_sequence,
                                  take_event, &batch, &error);
        size_t sent = 0;
        while (!status && sent < batch.count && rpc_call_writable(follower->call)) {
            bool last = batch.terminal && sent + 1 == batch.count;
            status = send_event(follower, batch.events[sent], last);
            sent++;
        }
        for (size_t i = 0; i < batch.count; i++)
            message_free(batch.events[i]);
        if (status || (batch.terminal && sent == batch.count) || (ended && batch.count == 0))
            finish(follower, status, &error);
        if (batch.count)
            rpc_call_schedule(follower->call);
    }
}

/* ---- logs ---- */

static void pump_logs(struct follower *follower)
{
    struct covey_error error = {0};
    struct logs *logs = controller_logs(follower->api->controller);
    for (int i = 0; !follower->finished && rpc_call_writable(follower->call); i++) {
        if (i == TURN_PIECES) {
            rpc_call_schedule(follower->call);
            return;
        }
        bool ended;
        bool more = false;
        const Covey__V1__StreamLogsResponse *response;
        /* Asked before reading: what came before the end is read then. */
        enum covey_status status = controller_find(follower->api->controller, &follower->caller,
                                                   follower->flare, &ended, &error);
        if (!status)
            status = logs_read(logs, &follower->reader, &response, &more, &error);
        if (!status && response->n_lines)
            status = rpc_call_send(follower->call, &response->base);
        logs_passed(logs, &follower->reader, covey_now_ns());
        if (status || (!more && (ended || !follower->follow)))
            finish(follower, status, &error);
        else if (!more)
            return;
    }
}

/* ---- results ---- */

static int compare_ranks(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static bool has_result(const struct follower *follower, const worker_message *worker)
{
    if (worker->state != COVEY__V1__WORKER_STATE__WORKER_STATE_DONE && worker->result_bytes == 0)
        return false;
    return follower->rank_count == 0 ||
           bsearch(&worker->rank, follower->ranks, follower->rank_count, sizeof worker->rank,
                   compare_ranks) != NULL;
}

static enum covey_status send_piece(struct follower *follower, const worker_message *worker,
                                    uint8_t *bytes, struct covey_error *error)
{
    size_t length_bytes = 0;
    uint64_t left_bytes = worker->result_bytes - follower->offset;
    size_t wanted_bytes = left_bytes < PIECE_BYTES ? (size_t)left_bytes : PIECE_BYTES;
    enum covey_status status = COVEY_OK;
    if (wanted_bytes)
        status = store_result_read(follower->api->store, follower->flare, worker->rank,
                                   follower->offset, bytes, wanted_bytes, &length_bytes);
    if (status || length_bytes < wanted_bytes)
        return covey_error_set(error, status ? status : COVEY_EIO,
                               "the result of rank %u has been kept only up to byte %llu of %llu",
                               worker->rank, (unsigned long long)follower->offset + length_bytes,
                               (unsigned long long)worker->result_bytes);
    Covey__V1__StreamResultsResponse response = COVEY__V1__STREAM_RESULTS_RESPONSE__INIT;
    response.rank = worker->rank;
    response.offset = follower->offset;
    response.data = (ProtobufCBinaryData){length_bytes, bytes};
    response.last = length_bytes == left_bytes;
    status = rpc_call_send(follower->call, &response.base);
    follower->offset += length_bytes;
    if (response.last) {
        follower->offset = 0;
        follower->next_rank++;
    }
    return status;
}

static void pump_results(struct follower *follower)
{
    struct covey_error error = {0};
    uint8_t *bytes = covey_malloc(PIECE_BYTES);
    enum covey_status status = bytes ? COVEY_OK : COVEY_ENOMEM;
    for (int i = 0; !status && follower->next_rank < follower->view->n_workers &&
                    rpc_call_writable(follower->call);) {
        const worker_message *worker = follower->view->workers[follower->next_rank];
        if (!has_result(follower, worker)) {
            follower->next_rank++;
            continue;
        }
        if (i++ == TURN_PIECES) {
            rpc_call_schedule(follower->call);
            break;
        }
        status = send_piece(follower, worker, bytes, &error);
    }
    free(bytes);
    if (status || follower->next_rank == follower->view->n_workers)
        finish(follower, status, &error);
}

/* ---- followers ---- */

static void free_follower(struct follower *follower)
{
    struct follow_group *group = covey_map_get(&follower->api->followed, follower->flare);
    covey_list_remove(&follower->group_link);
    if (group && covey_list_empty(&group->followers)) {
        (void)covey_map_remove(&follower->api->followed, follower->flare);
        free(group);
    }
    logs_leave(controller_logs(follower->api->controller), &follower->reader, covey_now_ns());
    message_free(follower->view);
    free(follower->ranks);
    free(follower);
}

static enum covey_status join_group(struct follower *follower)
{
    struct api *api = follower->api;
    struct follow_group *group = covey_map_get(&api->followed, follower->flare);
    if (!group) {
        group = covey_malloc(sizeof *group);
        if (!group || covey_map_set(&api->followed, follower->flare, group) != COVEY_OK) {
            free(group);
            return COVEY_ENOMEM;
        }
        covey_list_init(&group->followers);
    }
    covey_list_push_back(&group->followers, &follower->group_link);
    return COVEY_OK;
}

bool streams_begin(struct rpc_call *call, struct api *api, void **data)
{
    struct follower *follower = covey_calloc(1, sizeof *follower);
    if (!follower) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return false;
    }
    covey_list_init(&follower->group_link);
    follower->api = api;
    follower->call = call;
    *data = follower;
    return true;
}

/* Binds a follower to a flare that the caller may see; false, and the call is failed, otherwise. */
static bool follow(struct follower *follower, const char *flare, bool *ended)
{
    struct api *api = follower->api;
    struct covey_error error = {0};
    if (!api_caller(api, follower->call, &follower->caller)) {
        follower->finished = true;
        return false;
    }
    enum covey_status status =
        controller_find(api->controller, &follower->caller, flare, ended, &error);
    if (!status) {
        (void)snprintf(follower->flare, sizeof follower->flare, "%s", flare);
        status = join_group(follower);
    }
    if (status)
        finish(follower, status, &error);
    return status == COVEY_OK;
}

void streams_stop(struct api *api)
{
    struct covey_error error;
    enum covey_status status = covey_error_set(
        &error, COVEY_EUNAVAILABLE, "the controller is being stopped: go on from the last message");
    size_t cursor = 0;
    void *value;
    while (covey_map_next(&api->followed, &cursor, NULL, &value))
        covey_list_for_each (link, &((struct follow_group *)value)->followers)
            finish(covey_container_of(link, struct follower, group_link), status, &error);
}

void streams_on_news(const char *flare, enum controller_news news, void *data)
{
    struct api *api = data;
    struct follow_group *group = covey_map_get(&api->followed, flare);
    if (!group)
        return;
    covey_list_for_each (link, &group->followers) {
        struct follower *follower = covey_container_of(link, struct follower, group_link);
        if (follower->pump == pump_watch ? news == CONTROLLER_NEWS_EVENT
                                         : follower->pump == pump_logs)
            rpc_call_schedule(follower->call);
    }
}

void streams_on_writable(struct rpc_call *call, void *data)
{
    (void)call;
    struct follower *follower = data;
    if (follower->pump && !follower->finished)
        follower->pump(follower);
}

void streams_on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    free_follower(data);
}

/* Ranks that the flare does not have are a mistake that silence would hide. */
static bool check_ranks(struct follower *follower, const uint32_t *ranks, size_t count)
{
    struct covey_error error = {0};
    flare_message *view;
    enum covey_status status = controller_get(follower->api->controller, &follower->caller,
                                              follower->flare, false, &view, &error);
    uint32_t workers = status ? 0 : view->workers_total;
    message_free(view);
    for (size_t i = 0; !status && i < count; i++)
        if (ranks[i] >= workers)
            status = covey_error_set(&error, COVEY_EINVAL,
                                     "flare %s has no rank %u: its ranks are 0 to %u",
                                     follower->flare, ranks[i], workers - 1);
    if (status)
        finish(follower, status, &error);
    return status == COVEY_OK;
}

static bool take_ranks(struct follower *follower, const uint32_t *ranks, size_t count)
{
    if (count == 0)
        return true;
    if (!check_ranks(follower, ranks, count))
        return false;
    follower->ranks = covey_memdup(ranks, count * sizeof *ranks);
    follower->rank_count = count;
    if (follower->ranks)
        qsort(follower->ranks, count, sizeof *ranks, compare_ranks);
    else
        finish(follower, COVEY_ENOMEM, NULL);
    return follower->ranks != NULL;
}

void streams_watch(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__WatchFlareRequest *request = (const Covey__V1__WatchFlareRequest *)message;
    bool ended;
    struct follower *follower = data;
    (void)call;
    if (!follow(follower, request->id, &ended))
        return;
    follower->pump = pump_watch;
    follower->last_state = -1;
    follower->next_sequence = request->from_sequence ? request->from_sequence : 1;
    pump_watch(follower);
}

void streams_logs(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__StreamLogsRequest *request = (const Covey__V1__StreamLogsRequest *)message;
    bool ended;
    struct follower *follower = data;
    (void)call;
    if (!follow(follower, request->id, &ended) ||
        !take_ranks(follower, request->ranks, request->n_ranks))
        return;
    follower->pump = pump_logs;
    follower->follow = request->follow && !ended;
    struct log_reader *reader = &follower->reader;
    (void)snprintf(reader->flare, sizeof reader->flare, "%s", follower->flare);
    reader->ranks = follower->ranks;
    reader->rank_count = follower->rank_count;
    reader->position = request->position;
    if (follower->follow && logs_follow(controller_logs(follower->api->controller), reader))
        finish(follower, COVEY_ENOMEM, NULL);
    pump_logs(follower);
}

void streams_results(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    const Covey__V1__StreamResultsRequest *request =
        (const Covey__V1__StreamResultsRequest *)message;
    struct covey_error error = {0};
    bool ended;
    struct follower *follower = data;
    (void)call;
    if (!follow(follower, request->id, &ended))
        return;
    follower->pump = pump_results;
    if (!ended) {
        enum covey_status status = covey_error_set(
            &error, COVEY_EPRECONDITION,
            "flare %s has not ended: its results are there when it has", follower->flare);
        finish(follower, status, &error);
        return;
    }
    enum covey_status status = controller_get(follower->api->controller, &follower->caller,
                                              follower->flare, true, &follower->view, &error);
    if (status)
        finish(follower, status, &error);
    else if (take_ranks(follower, request->ranks, request->n_ranks))
        pump_results(follower);
}
