#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "client/internal.h"
#include "proto/strings.h"

#include <stdlib.h>
#include <string.h>

#define DEADLINE_SKEW_NS (20 * COVEY_NS_PER_MS)

struct waiter {
    bool done;
    struct covey_error error;
    struct client_result *result;
};

enum covey_status client_status_from_code(enum rpc_code code)
{
    static const enum covey_status statuses[] = {
        [RPC_OK] = COVEY_OK,
        [RPC_CANCELLED] = COVEY_ECANCELLED,
        [RPC_UNKNOWN] = COVEY_EINTERNAL,
        [RPC_INVALID_ARGUMENT] = COVEY_EINVAL,
        [RPC_DEADLINE_EXCEEDED] = COVEY_ETIMEOUT,
        [RPC_NOT_FOUND] = COVEY_ENOTFOUND,
        [RPC_ALREADY_EXISTS] = COVEY_EEXISTS,
        [RPC_PERMISSION_DENIED] = COVEY_EACCES,
        [RPC_RESOURCE_EXHAUSTED] = COVEY_ELIMIT,
        [RPC_FAILED_PRECONDITION] = COVEY_EPRECONDITION,
        [RPC_ABORTED] = COVEY_EFLARE,
        [RPC_OUT_OF_RANGE] = COVEY_ETRUNCATED,
        [RPC_UNIMPLEMENTED] = COVEY_EUNIMPLEMENTED,
        [RPC_INTERNAL] = COVEY_EINTERNAL,
        [RPC_UNAVAILABLE] = COVEY_EUNAVAILABLE,
        [RPC_DATA_LOSS] = COVEY_EIO,
        [RPC_UNAUTHENTICATED] = COVEY_EUNAUTHENTICATED,
    };
    unsigned index = (unsigned)code;
    return index < sizeof statuses / sizeof *statuses ? statuses[index] : COVEY_EINTERNAL;
}

enum covey_status operation_create(struct covey_client *client, const struct operation_kind *kind,
                                   const struct covey_start *start,
                                   struct covey_operation **operation, struct covey_error *error)
{
    if (client->closing)
        return covey_error_set(error, COVEY_ECANCELLED, "the client is being destroyed");
    struct covey_operation *made = covey_calloc(1, kind->size_bytes);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    int64_t timeout_ns = start->timeout_ns ? start->timeout_ns : client->timeout_ns;
    made->client = client;
    made->kind = kind;
    made->callbacks = start->callbacks;
    made->deadline_ns = covey_deadline_ns(covey_now_ns(), timeout_ns);
    uv_timer_init(&client->loop, &made->timer);
    covey_list_push_back(&client->operations, &made->link);
    *operation = made;
    if (start->operation)
        *start->operation = made;
    return COVEY_OK;
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct covey_operation *operation =
        covey_container_of((uv_timer_t *)timer, struct covey_operation, timer);
    client_result_free(operation->result);
    free(operation);
}

static void release(struct covey_operation *operation)
{
    covey_list_remove(&operation->link);
    if (operation->kind->release)
        operation->kind->release(operation);
    uv_close((uv_handle_t *)&operation->timer, on_timer_closed);
}

void operation_discard(struct covey_operation *operation)
{
    struct covey_client *client = operation->client;
    release(operation);
    if (!client->inside)
        client_arm(client);
}

void operation_finish(struct covey_operation *operation, const struct covey_error *error)
{
    struct covey_reply reply = {.status = error->status, .error = error};
    operation->cancelled = true; /* too late for that now, from on_done too */
    if (operation->waiter) {
        operation->waiter->done = true;
        operation->waiter->error = *error;
        operation->waiter->result = operation->result;
        operation->result = NULL;
    } else if (operation->callbacks.on_done) {
        if (!error->status && operation->kind->reply_offset && operation->result) {
            const void *body = &operation->result->as;
            memcpy((char *)&reply + operation->kind->reply_offset, &body, sizeof body);
        }
        operation->callbacks.on_done(operation->callbacks.data, &reply);
    }
    release(operation);
}

void operation_keep(struct covey_operation *operation, client_converter *convert,
                    const ProtobufCMessage *message)
{
    struct client_result *result = client_result_create(convert, message, operation->client->json);
    if (!result) {
        operation_break(operation, COVEY_EPROTO,
                        "the controller's answer is malformed, or memory is short");
        return;
    }
    client_result_free(operation->result);
    operation->result = result;
}

void operation_break(struct covey_operation *operation, enum covey_status status,
                     const char *message)
{
    if (operation->broken)
        return;
    operation->broken = true;
    covey_error_set(&operation->failure, status, "%s", message);
    if (operation->call)
        rpc_call_cancel(operation->call);
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct covey_operation *operation = data;
    (void)call;
    operation->client->answered = true;
    if (!operation->broken && !operation->cancelled)
        operation->stage->on_message(operation, message);
}

static void on_writable(struct rpc_call *call, void *data)
{
    struct covey_operation *operation = data;
    (void)call;
    if (operation->stage->on_writable && !operation->broken && !operation->cancelled)
        operation->stage->on_writable(operation);
}

/* The server keeps the deadline, too: it may have cut the stream a little before we would have. */
static bool deadline_is_near(const struct covey_operation *operation)
{
    return operation->deadline_ns != COVEY_NEVER_NS &&
           operation->deadline_ns - covey_now_ns() < DEADLINE_SKEW_NS;
}

static void on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    struct covey_operation *operation = data;
    struct covey_error error = {0};
    (void)call;
    operation->call = NULL;
    enum covey_status status = client_status_from_code(code);
    if (code != RPC_UNAVAILABLE && code != RPC_DEADLINE_EXCEEDED && code != RPC_CANCELLED)
        operation->client->answered = true;
    if (operation->cancelled)
        covey_error_set(&error, COVEY_ECANCELLED, "cancelled");
    else if (operation->broken)
        error = operation->failure;
    else if (status == COVEY_ECANCELLED && deadline_is_near(operation))
        covey_error_set(&error, COVEY_ETIMEOUT, "deadline exceeded");
    else if (status == COVEY_EPRECONDITION && operation->stage->precondition)
        covey_error_set(&error, operation->stage->precondition, "%s", message);
    else if (status)
        covey_error_set(&error, status, "%s", *message ? message : covey_status_text(status));
    operation->stage->on_end(operation, &error);
}

static const struct rpc_call_events call_events = {
    .on_message = on_message, .on_writable = on_writable, .on_end = on_end};

/* The request holds a string that is no text. */
static void blame_text(struct covey_operation *operation, const ProtobufCMessage *request)
{
    char field[PROTO_FIELD_BYTES];
    proto_strings_find_bad(request, field);
    covey_error_set(&operation->failure, COVEY_EINVAL,
                    "%s of the request is not UTF-8: the API takes no other text; bytes can go "
                    "into a parameter or a file",
                    *field ? field : "a string");
}

enum covey_status operation_call(struct covey_operation *operation,
                                 const struct operation_stage *stage,
                                 const ProtobufCMessage *request, struct covey_error *error)
{
    struct rpc_call_options options = {.timeout_ns = -1};
    struct rpc_call *call;
    if (operation->deadline_ns != COVEY_NEVER_NS) {
        int64_t left_ns = operation->deadline_ns - covey_now_ns();
        options.timeout_ns = left_ns > 1 ? left_ns : 1;
    }
    operation->stage = stage;
    enum covey_status status =
        rpc_channel_call(operation->client->channel, stage->path, stage->response, &call_events,
                         operation, &options, &call);
    if (status)
        return covey_error_set(error, status, "cannot start the call: %s",
                               covey_status_text(status));
    operation->call = call;
    if (operation->paused)
        rpc_call_pause(call);
    if (request) {
        status = rpc_call_send(call, request);
        if (status == COVEY_ELIMIT)
            covey_error_set(&operation->failure, status,
                            "the request of %zu bytes is longer than a message may be; use fewer "
                            "or shorter parameters",
                            protobuf_c_message_get_packed_size(request));
        else if (status == COVEY_EINVAL)
            blame_text(operation, request);
        else if (status)
            covey_error_set(&operation->failure, status, "cannot send the request: %s",
                            covey_status_text(status));
        if (status) {
            operation->broken = true;
            rpc_call_cancel(call);
        } else if (!stage->sends_stream) {
            rpc_call_half_close(call);
        }
    } else if (stage->on_writable) {
        stage->on_writable(operation);
    }
    if (!operation->client->inside)
        client_arm(operation->client);
    return COVEY_OK;
}

static void on_cancel_timer(uv_timer_t *timer)
{
    struct covey_error error = {0};
    covey_error_set(&error, COVEY_ECANCELLED, "cancelled");
    operation_finish(covey_container_of(timer, struct covey_operation, timer), &error);
}

void covey_operation_cancel(struct covey_operation *operation)
{
    if (operation->cancelled)
        return;
    operation->cancelled = true;
    if (operation->call)
        rpc_call_cancel(operation->call);
    else
        uv_timer_start(&operation->timer, on_cancel_timer, 0, 0);
    if (!operation->client->inside)
        client_arm(operation->client);
}

void covey_operation_pause(struct covey_operation *operation)
{
    if (operation->paused)
        return;
    operation->paused = true;
    if (operation->call)
        rpc_call_pause(operation->call);
}

void covey_operation_resume(struct covey_operation *operation)
{
    if (!operation->paused)
        return;
    operation->paused = false;
    if (operation->call)
        rpc_call_resume(operation->call);
    if (!operation->client->inside)
        client_arm(operation->client);
}

enum covey_status blocking_begin(struct covey_client *client, int64_t timeout_ns,
                                 struct blocking *blocking, struct covey_error *error)
{
    *blocking = (struct blocking){.start.timeout_ns = timeout_ns};
    blocking->start.operation = &blocking->operation;
    if (client->inside)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "a blocking call was made from within a callback");
    return COVEY_OK;
}

enum covey_status blocking_wait(struct blocking *blocking, struct client_result **result,
                                struct covey_error *error)
{
    struct covey_client *client = blocking->operation->client;
    struct waiter waiter = {0};
    blocking->operation->waiter = &waiter;
    while (!waiter.done)
        client_run(client, UV_RUN_ONCE);
    if (error)
        *error = waiter.error;
    if (waiter.error.status || !result)
        client_result_free(waiter.result);
    else
        *result = waiter.result;
    return waiter.error.status;
}

#define RESUME_FIRST_NS (20 * COVEY_NS_PER_MS)
#define RESUME_MOST_NS  COVEY_NS_PER_S

void resume_reset(struct resume *resume)
{
    resume->lost_at_ns = 0;
    resume->wait_ns = RESUME_FIRST_NS;
}

/* The first field of whatever resumes is the base, the second its struct resume. */
struct resumable {
    struct covey_operation base;
    struct resume resume;
};

static void on_resume_timer(uv_timer_t *timer)
{
    struct resumable *stream = covey_container_of(timer, struct resumable, base.timer);
    stream->resume.again(&stream->base);
}

void resume_or_finish(struct covey_operation *operation, struct resume *resume,
                      const struct covey_error *error)
{
    int64_t now_ns = covey_now_ns();
    bool lost = error->status == COVEY_EUNAVAILABLE || error->status == COVEY_ECANCELLED;
    if (!lost || operation->cancelled || operation->broken || !operation->client->answered) {
        operation_finish(operation, error);
        return;
    }
    if (!resume->lost_at_ns) {
        resume->lost_at_ns = now_ns;
        if (operation->callbacks.on_reconnect)
            operation->callbacks.on_reconnect(operation->callbacks.data, error->message);
    }
    int64_t give_up_ns = covey_deadline_ns(resume->lost_at_ns, operation->client->reconnect_ns);
    if (now_ns >= give_up_ns || now_ns >= operation->deadline_ns) {
        operation_finish(operation, error);
        return;
    }
    int64_t wait_ns = resume->wait_ns > RESUME_FIRST_NS ? resume->wait_ns : RESUME_FIRST_NS;
    resume->wait_ns = wait_ns * 2 < RESUME_MOST_NS ? wait_ns * 2 : RESUME_MOST_NS;
    uv_update_time(&operation->client->loop);
    uv_timer_start(&operation->timer, on_resume_timer, (uint64_t)(wait_ns / COVEY_NS_PER_MS), 0);
}
