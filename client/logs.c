/* Logs. A server sends the lines of a flare in the same order each time: after a lost connection as
 * many as were seen are skipped. */
#include "base/error.h"
#include "base/memory.h"
#include "client/internal.h"
#include "covey/v1/covey.pb-c.h"

#include <stdlib.h>

struct logs {
    struct covey_operation base;
    struct resume resume; /* second: see resume_or_finish */
    char *id;
    uint32_t *ranks;
    size_t rank_count;
    bool follow;
    uint64_t seen; /* lines given to the user */
    uint64_t skip; /* lines that this call will repeat */
};

static struct logs *logs_of(struct covey_operation *operation)
{
    return covey_container_of(operation, struct logs, base);
}

static void release(struct covey_operation *operation)
{
    free(logs_of(operation)->id);
    free(logs_of(operation)->ranks);
}

static const struct operation_kind logs_kind = {
    .size_bytes = sizeof(struct logs),
    .release = release,
};

static void on_line(struct logs *logs, const Covey__V1__LogLine *line)
{
    struct covey_operation *operation = &logs->base;
    if (logs->skip) {
        logs->skip--;
        return;
    }
    logs->seen++;
    struct client_result *result =
        client_result_create(client_convert_log_line, &line->base, operation->client->json);
    if (!result)
        operation_break(operation, COVEY_EPROTO, "the controller sent a malformed log line");
    else if (operation->callbacks.on_log)
        operation->callbacks.on_log(operation->callbacks.data, &result->as.line);
    client_result_free(result);
}

static void on_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    struct logs *logs = logs_of(operation);
    const Covey__V1__StreamLogsResponse *answer = (const Covey__V1__StreamLogsResponse *)message;
    resume_reset(&logs->resume);
    for (size_t i = 0; i < answer->n_lines && !operation->broken && !operation->cancelled; i++)
        on_line(logs, answer->lines[i]);
}

static void on_end(struct covey_operation *operation, const struct covey_error *error)
{
    if (error->status)
        resume_or_finish(operation, &logs_of(operation)->resume, error);
    else
        operation_finish(operation, error);
}

static const struct operation_stage logs_stage = {
    .path = "/covey.v1.Covey/StreamLogs",
    .response = &covey__v1__stream_logs_response__descriptor,
    .on_message = on_message,
    .on_end = on_end,
};

static enum covey_status call(struct logs *logs, struct covey_error *error)
{
    Covey__V1__StreamLogsRequest request = COVEY__V1__STREAM_LOGS_REQUEST__INIT;
    request.id = logs->id;
    request.ranks = logs->ranks;
    request.n_ranks = logs->rank_count;
    request.follow = logs->follow;
    logs->skip = logs->seen;
    return operation_call(&logs->base, &logs_stage, &request.base, error);
}

static void again(struct covey_operation *operation)
{
    struct covey_error error = {0};
    if (call(logs_of(operation), &error))
        operation_finish(operation, &error);
}

enum covey_status covey_client_logs_start(struct covey_client *client, const char *id,
                                          struct covey_ranks ranks, bool follow,
                                          const struct covey_start *start,
                                          struct covey_error *error)
{
    struct covey_operation *operation;
    struct covey_start unlimited = *start;
    if (!unlimited.timeout_ns)
        unlimited.timeout_ns = -1;
    enum covey_status status = operation_create(client, &logs_kind, &unlimited, &operation, error);
    if (status)
        return status;
    struct logs *logs = logs_of(operation);
    logs->resume.again = again;
    logs->follow = follow;
    logs->rank_count = ranks.count;
    logs->id = covey_strdup(id);
    if (ranks.count)
        logs->ranks = covey_memdup(ranks.ranks, ranks.count * sizeof *ranks.ranks);
    status = logs->id && (logs->ranks || !ranks.count)
                 ? call(logs, error)
                 : covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (status)
        operation_discard(operation);
    return status;
}

enum covey_status covey_client_logs(struct covey_client *client, const char *id,
                                    struct covey_ranks ranks, bool follow, int64_t timeout_ns,
                                    const struct covey_callbacks *callbacks,
                                    struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (status)
        return status;
    blocking.start.callbacks = *callbacks;
    status = covey_client_logs_start(client, id, ranks, follow, &blocking.start, error);
    return status ? status : blocking_wait(&blocking, NULL, error);
}
