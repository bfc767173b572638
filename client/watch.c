/* Watching a flare, and waiting for its end. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "client/internal.h"
#include "covey/v1/covey.pb-c.h"

#include <stdlib.h>

struct watch {
    struct covey_operation base;
    struct resume resume; /* second: see resume_or_finish */
    char *id;
    uint64_t next_sequence;
};

static struct watch *watch_of(struct covey_operation *operation)
{
    return covey_container_of(operation, struct watch, base);
}

static void release(struct covey_operation *operation)
{
    free(watch_of(operation)->id);
}

static const struct operation_kind watch_kind = {
    .size_bytes = sizeof(struct watch),
    .reply_offset = offsetof(struct covey_reply, flare),
    .release = release,
};

static void on_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    struct watch *watch = watch_of(operation);
    const Covey__V1__WatchFlareResponse *answer = (const Covey__V1__WatchFlareResponse *)message;
    struct client_result *event = NULL;
    resume_reset(&watch->resume);
    if (answer->flare)
        operation_keep(operation, client_convert_flare, &answer->flare->base);
    bool is_new = answer->event && answer->event->sequence >= watch->next_sequence;
    if (is_new) {
        event = client_result_create(client_convert_event, &answer->event->base,
                                     operation->client->json);
        if (!event)
            operation_break(operation, COVEY_EPROTO, "the controller sent a malformed event");
        watch->next_sequence = answer->event->sequence + 1;
    }
    if (!operation->broken && operation->callbacks.on_event && (event || answer->flare))
        operation->callbacks.on_event(operation->callbacks.data, event ? &event->as.event : NULL,
                                      answer->flare ? &operation->result->as.flare : NULL);
    client_result_free(event);
}

static void on_end(struct covey_operation *operation, const struct covey_error *error)
{
    struct covey_error early = {0};
    bool ended = operation->result && covey_flare_state_ended(operation->result->as.flare.state);
    if (!error->status && !ended) {
        covey_error_set(&early, COVEY_EUNAVAILABLE,
                        "the controller ended the watch before the flare had ended");
        error = &early;
    }
    if (error->status)
        resume_or_finish(operation, &watch_of(operation)->resume, error);
    else
        operation_finish(operation, error);
}

static const struct operation_stage watch_stage = {
    .path = "/covey.v1.Covey/WatchFlare",
    .response = &covey__v1__watch_flare_response__descriptor,
    .on_message = on_message,
    .on_end = on_end,
};

static enum covey_status call(struct watch *watch, struct covey_error *error)
{
    Covey__V1__WatchFlareRequest request = COVEY__V1__WATCH_FLARE_REQUEST__INIT;
    request.id = watch->id;
    request.from_sequence = watch->next_sequence;
    return operation_call(&watch->base, &watch_stage, &request.base, error);
}

static void again(struct covey_operation *operation)
{
    struct covey_error error = {0};
    if (call(watch_of(operation), &error))
        operation_finish(operation, &error);
}

enum covey_status covey_client_watch_start(struct covey_client *client, const char *id,
                                           uint64_t from_sequence, const struct covey_start *start,
                                           struct covey_error *error)
{
    struct covey_operation *operation;
    struct covey_start unlimited = *start;
    if (!unlimited.timeout_ns)
        unlimited.timeout_ns = -1;
    enum covey_status status = operation_create(client, &watch_kind, &unlimited, &operation, error);
    if (status)
        return status;
    struct watch *watch = watch_of(operation);
    watch->resume.again = again;
    watch->next_sequence = from_sequence ? from_sequence : 1;
    watch->id = covey_strdup(id);
    status = watch->id ? call(watch, error) : covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (status)
        operation_discard(operation);
    return status;
}

/* A watch that took part from its middle may have seen the flare without its workers. */
enum covey_status covey_client_wait(struct covey_client *client, const char *id, int64_t timeout_ns,
                                    struct covey_flare **flare, struct covey_error *error)
{
    struct blocking blocking;
    struct client_result *result = NULL;
    *flare = NULL;
    int64_t deadline_ns = covey_deadline_ns(covey_now_ns(), timeout_ns ? timeout_ns : -1);
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_watch_start(client, id, 0, &blocking.start, error);
    if (!status)
        status = blocking_wait(&blocking, &result, error);
    if (status)
        return status;
    if (result->as.flare.worker_count == result->as.flare.workers_total) {
        *flare = &result->as.flare;
        return COVEY_OK;
    }
    client_result_free(result);
    int64_t left_ns = deadline_ns == COVEY_NEVER_NS ? 0 : deadline_ns - covey_now_ns();
    return covey_client_get_flare(client, id, left_ns < 0 ? 1 : left_ns, flare, error);
}
