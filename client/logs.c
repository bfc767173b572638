/* Logs, line by line. Each answer says where it ends in the log: after a lost connection the stream
 * goes on there. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "client/internal.h"
#include "covey/v1/covey.pb-c.h"

#include <stdlib.h>
#include <string.h>

struct logs {
    struct covey_operation base;
    struct resume resume; /* second: see resume_or_finish */
    char *id;
    uint32_t *ranks;
    size_t rank_count;
    bool follow;
    uint64_t position; /* behind what was given to the user */
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

static void give_as_json(struct logs *logs, const Covey__V1__LogLine *line)
{
    struct covey_operation *operation = &logs->base;
    struct client_result *result = client_result_create(client_convert_log_line, &line->base, true);
    if (!result)
        operation_break(operation, COVEY_EPROTO, "the controller sent a malformed log line");
    else if (operation->callbacks.on_log)
        operation->callbacks.on_log(operation->callbacks.data, &result->as.line);
    client_result_free(result);
}

/* In place, where no JSON is wanted: there may be millions. */
static void give_line(struct logs *logs, const Covey__V1__LogLine *line, int64_t at_ns)
{
    struct covey_operation *operation = &logs->base;
    const struct covey_log_line given = {
        .rank = line->rank,
        .stream = line->stream,
        .at_ns = at_ns,
        .text = {line->text.data, line->text.len},
        .partial = line->partial,
    };
    if (operation->client->json)
        give_as_json(logs, line);
    else if (operation->callbacks.on_log)
        operation->callbacks.on_log(operation->callbacks.data, &given);
}

static void give_lines(struct logs *logs, const Covey__V1__LogLines *lines)
{
    const struct covey_operation *operation = &logs->base;
    int64_t at_ns = lines->at ? lines->at->seconds * COVEY_NS_PER_S + lines->at->nanos : 0;
    uint8_t *next = lines->text.data;
    uint8_t *end = next + lines->text.len;
    Covey__V1__LogLine line = COVEY__V1__LOG_LINE__INIT;
    line.rank = lines->rank;
    line.stream = lines->stream;
    line.at = lines->at;
    while (next < end && !operation->broken && !operation->cancelled) {
        uint8_t *newline = memchr(next, '\n', (size_t)(end - next));
        line.partial = !newline;
        line.text = (ProtobufCBinaryData){(size_t)((newline ? newline : end) - next), next};
        give_line(logs, &line, at_ns);
        next = newline ? newline + 1 : end;
    }
}

static void on_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    struct logs *logs = logs_of(operation);
    const Covey__V1__StreamLogsResponse *answer = (const Covey__V1__StreamLogsResponse *)message;
    resume_reset(&logs->resume);
    for (size_t i = 0; i < answer->n_lines && !operation->broken && !operation->cancelled; i++)
        give_lines(logs, answer->lines[i]);
    logs->position = answer->position;
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
    request.position = logs->position;
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
