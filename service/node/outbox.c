/*
 * What the agent says to the controller. Reports are kept in order, each with its sequence, until
 * they are acknowledged; a new stream starts with the oldest again. A result stays in its memfd and
 * is read piece by piece as the stream takes it. Logs go when no report waits, from the relay.
 */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/common/envelope.h"
#include "service/node/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)512 * 1024)

/* What is around the data of a chunk, at most. */
#define CHUNK_OVERHEAD_BYTES 256

/* What a message grows by when its epoch is filled in. */
#define EPOCH_BYTES 11

struct report {
    struct covey_list node;
    Covey__V1__AttachRequest *message;
    int result_fd;
    uint64_t result_bytes;
    uint64_t sent_bytes; /* of the result, on this stream */
};

void outbox_open(struct outbox *outbox)
{
    covey_list_init(&outbox->reports);
    outbox->next = &outbox->reports;
}

static const char *flare_of(const Covey__V1__AttachRequest *message)
{
    return envelope_flare_of((const ProtobufCMessage *)message->prepared);
}

static void free_report(struct report *report)
{
    covey__v1__attach_request__free_unpacked(report->message, NULL);
    covey_close(&report->result_fd);
    free(report);
}

void outbox_close(struct outbox *outbox)
{
    struct covey_list *node;
    while ((node = covey_list_pop_front(&outbox->reports)))
        free_report(covey_container_of(node, struct report, node));
}

static Covey__V1__AttachRequest *copy(const Covey__V1__AttachRequest *request)
{
    size_t length_bytes = covey__v1__attach_request__get_packed_size(request);
    uint8_t *bytes = covey_malloc(length_bytes ? length_bytes : 1);
    if (!bytes)
        return NULL;
    covey__v1__attach_request__pack(request, bytes);
    Covey__V1__AttachRequest *made = covey__v1__attach_request__unpack(NULL, length_bytes, bytes);
    free(bytes);
    return made;
}

void outbox_add(struct node *agent, const Covey__V1__AttachRequest *request, int take_result_fd,
                uint64_t result_bytes)
{
    struct outbox *outbox = &agent->outbox;
    struct report *report = covey_calloc(1, sizeof(*report));
    Covey__V1__AttachRequest *message = copy(request);
    if (!report || !message) {
        /* A report that is lost leaves a flare that never ends: better to lose the node. */
        log_error("no memory for a report to the controller: the node ends");
        abort();
    }
    report->message = message;
    report->result_fd = take_result_fd;
    report->result_bytes = take_result_fd >= 0 ? result_bytes : 0;
    message->sequence = ++outbox->sequence;
    covey_list_push_back(&outbox->reports, &report->node);
    if (outbox->next == &outbox->reports)
        outbox->next = &report->node;
    outbox_pump(agent);
}

uint64_t outbox_last(const struct outbox *outbox)
{
    return covey_list_empty(&outbox->reports) ? 0 : outbox->sequence;
}

/* The flare whose last report this is, or NULL. */
static const char *flare_that_leaves(const Covey__V1__AttachRequest *message)
{
    switch (message->body_case) {
    case COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE:
        return message->flare_gone->flare_id;
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED:
        return message->prepare_failed->flare_id;
    default:
        return NULL;
    }
}

void outbox_acknowledge(struct node *agent, uint64_t sequence)
{
    struct outbox *outbox = &agent->outbox;
    struct covey_list *node;
    while ((node = covey_list_pop_front(&outbox->reports))) {
        struct report *report = covey_container_of(node, struct report, node);
        const Covey__V1__AttachRequest *message = report->message;
        if (message->sequence > sequence || outbox->next == node) {
            covey_list_push_front(&outbox->reports, node);
            break;
        }
        if (message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED)
            flare_worker_acknowledged(agent, message->worker_ended->flare_id,
                                      message->worker_ended->worker->rank);
        const char *left = flare_that_leaves(message);
        if (left)
            relay_forget(&agent->relay, left);
        free_report(report);
    }
    node_check_stopped(agent);
}

/* Nothing but its sequence is left of it, without which those behind it could not be told apart. */
static void empty(struct node *agent, struct report *report)
{
    Covey__V1__AttachRequest *message = report->message;
    if (message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED)
        flare_worker_acknowledged(agent, message->worker_ended->flare_id,
                                  message->worker_ended->worker->rank);
    const char *left = flare_that_leaves(message);
    if (left)
        relay_forget(&agent->relay, left);
    /* The body, whichever it is: the members of the oneof share one place. */
    if (message->body_case != COVEY__V1__ATTACH_REQUEST__BODY__NOT_SET)
        protobuf_c_message_free_unpacked((ProtobufCMessage *)message->prepared, NULL);
    message->prepared = NULL;
    message->body_case = COVEY__V1__ATTACH_REQUEST__BODY__NOT_SET;
    covey_close(&report->result_fd);
    report->result_bytes = 0;
    report->sent_bytes = 0;
}

void outbox_refused(struct node *agent, uint64_t sequence, const char *reason)
{
    covey_list_for_each (node, &agent->outbox.reports) {
        struct report *report = covey_container_of(node, struct report, node);
        const Covey__V1__AttachRequest *message = report->message;
        if (message->sequence != sequence)
            continue;
        log_error("the controller does not take a report: it is set aside flare=%s report=%d "
                  "reason=\"%s\"",
                  flare_of(message), (int)message->body_case, reason);
        empty(agent, report);
        return;
    }
}

/* What can be told of a report that is longer than the controller takes: that its flare cannot go
 * on. */
static void shorten(struct node *agent, struct report *report, size_t length_bytes)
{
    char text[COVEY_ERROR_MESSAGE_BYTES];
    char flare_id[ENVELOPE_FLARE_BYTES];
    (void)covey_text_print(flare_id, sizeof(flare_id), "%s", flare_of(report->message));
    (void)covey_text_print(text, sizeof(text),
                           "node %s has %zu bytes to report of the flare, over the controller's "
                           "limit of %zu: raise its --max-message-bytes",
                           agent->options.name, length_bytes, agent->attach.message_bytes);
    empty(agent, report);
    if (*flare_id)
        flare_tell_broken(agent, flare_id, text);
}

void outbox_rewind(struct outbox *outbox)
{
    outbox->next = outbox->reports.next;
    covey_list_for_each (node, &outbox->reports)
        covey_container_of(node, struct report, node)->sent_bytes = 0;
}

static bool is_too_long(const struct node *agent, const struct report *report, size_t *length_bytes)
{
    *length_bytes = covey__v1__attach_request__get_packed_size(report->message) + EPOCH_BYTES;
    return *length_bytes > agent->attach.message_bytes;
}

static bool send_now(struct node *agent, Covey__V1__AttachRequest *request)
{
    request->epoch = agent->attach.epoch;
    enum covey_status status = rpc_call_send(agent->attach.call, &request->base);
    if (!status)
        return true;
    log_error("cannot send to the controller status=%s", covey_status_name(status));
    return false;
}

/* The next piece of a result; false where it cannot be sent. */
static bool send_chunk(struct node *agent, struct report *report)
{
    static uint8_t bytes[CHUNK_BYTES];
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__ResultChunk chunk = COVEY__V1__RESULT_CHUNK__INIT;
    uint64_t left = report->result_bytes - report->sent_bytes;
    size_t want = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
    if (want > agent->attach.message_bytes - CHUNK_OVERHEAD_BYTES)
        want = agent->attach.message_bytes - CHUNK_OVERHEAD_BYTES;
    ssize_t got = pread(report->result_fd, bytes, want, (off_t)report->sent_bytes);
    if (got <= 0) {
        log_error("a result cannot be read rank=%u", report->message->worker_ended->worker->rank);
        report->sent_bytes = report->result_bytes;
        return true;
    }
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK;
    request.result_chunk = &chunk;
    chunk.flare_id = report->message->worker_ended->flare_id;
    chunk.rank = report->message->worker_ended->worker->rank;
    chunk.offset = report->sent_bytes;
    chunk.data.data = bytes;
    chunk.data.len = (size_t)got;
    if (!send_now(agent, &request))
        return false;
    report->sent_bytes += (uint64_t)got;
    return true;
}

/* The next part of a log, of one flare or of any. */
static bool send_log(struct node *agent, const char *flare_id)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__LogChunk chunk;
    if (!relay_next(&agent->relay, flare_id, &chunk))
        return false;
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK;
    request.log_chunk = &chunk;
    if (!send_now(agent, &request))
        return false;
    relay_said(&agent->relay, flare_id);
    return true;
}

/* Reports go first, but a flare is not gone before its log has gone out. */
static bool send_next(struct node *agent)
{
    struct outbox *outbox = &agent->outbox;
    if (outbox->next == &outbox->reports)
        return send_log(agent, NULL);
    struct report *report = covey_container_of(outbox->next, struct report, node);
    const char *leaving = flare_that_leaves(report->message);
    if (leaving && relay_has(&agent->relay, leaving))
        return send_log(agent, leaving);
    size_t length_bytes;
    if (is_too_long(agent, report, &length_bytes)) {
        shorten(agent, report, length_bytes); /* which may have sent it and more */
        return true;
    }
    if (report->sent_bytes < report->result_bytes)
        return send_chunk(agent, report);
    if (!send_now(agent, report->message))
        return false;
    outbox->next = report->node.next;
    return true;
}

void outbox_pump(struct node *agent)
{
    while (agent->attach.registered && rpc_call_writable(agent->attach.call) && send_next(agent))
        ;
}
