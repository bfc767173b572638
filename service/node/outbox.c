/*
 * What the agent says to the controller. Reports are kept in order, each with its sequence, until
 * they are acknowledged; a new stream starts with the oldest again. A result stays in its memfd and
 * is read piece by piece as the stream takes it. Log lines go between the reports; what they take
 * is bounded by the packs' windows, whose credit is given back when the stream has taken them.
 */
#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)512 * 1024)

struct report {
    struct covey_list node;
    Covey__V1__AttachRequest *message;
    int result_fd;
    uint64_t result_bytes;
    uint64_t sent_bytes; /* of the result, on this stream */
};

struct queued_log {
    struct covey_list node;
    struct node_child *pack; /* NULL: it is gone */
    char flare_id[32];
    Covey__V1__LocalMessage *message;
    uint64_t credit_bytes;
};

void outbox_open(struct outbox *outbox)
{
    covey_list_init(&outbox->reports);
    covey_list_init(&outbox->logs);
    outbox->next = &outbox->reports;
}

static void free_report(struct report *report)
{
    covey__v1__attach_request__free_unpacked(report->message, NULL);
    covey_close(&report->result_fd);
    free(report);
}

static void free_log(struct queued_log *log)
{
    covey__v1__local_message__free_unpacked(log->message, NULL);
    free(log);
}

void outbox_close(struct outbox *outbox)
{
    struct covey_list *node;
    while ((node = covey_list_pop_front(&outbox->reports)))
        free_report(covey_container_of(node, struct report, node));
    while ((node = covey_list_pop_front(&outbox->logs)))
        free_log(covey_container_of(node, struct queued_log, node));
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
        free_report(report);
    }
    node_check_stopped(agent);
}

void outbox_rewind(struct outbox *outbox)
{
    outbox->next = outbox->reports.next;
    covey_list_for_each (node, &outbox->reports)
        covey_container_of(node, struct report, node)->sent_bytes = 0;
}

static uint64_t log_credit(const Covey__V1__PackLog *log)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < log->n_lines; i++)
        bytes += log->lines[i]->text.len + 48;
    return bytes;
}

void outbox_add_log(struct node *agent, struct node_child *pack, Covey__V1__PackLog *log)
{
    struct queued_log *queued = covey_calloc(1, sizeof(*queued));
    Covey__V1__LocalMessage *holder = covey_calloc(1, sizeof(*holder));
    if (!queued || !holder) {
        free(queued);
        free(holder);
        log_error("log is lost: out of memory");
        covey__v1__pack_log__free_unpacked(log, NULL);
        return;
    }
    covey__v1__local_message__init(holder);
    holder->body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG;
    holder->pack_log = log;
    queued->message = holder;
    queued->pack = pack;
    queued->credit_bytes = log_credit(log);
    (void)strncpy(queued->flare_id, pack->flare->text->flare_id, sizeof(queued->flare_id) - 1);
    pack->log_bytes += queued->credit_bytes;
    covey_list_push_back(&agent->outbox.logs, &queued->node);
    outbox_pump(agent);
}

void outbox_drop_credit(struct node *agent, const struct node_child *pack)
{
    covey_list_for_each (node, &agent->outbox.logs) {
        struct queued_log *log = covey_container_of(node, struct queued_log, node);
        if (log->pack == pack)
            log->pack = NULL;
    }
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

static void return_credit(struct queued_log *log)
{
    Covey__V1__PackLogCredit credit = COVEY__V1__PACK_LOG_CREDIT__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    if (!log->pack)
        return;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG_CREDIT;
    message.pack_log_credit = &credit;
    credit.bytes = log->credit_bytes;
    log->pack->log_bytes -= log->credit_bytes;
    /* A pack that is gone needs none. */
    if (peer_send(&log->pack->peer, &message, NULL, 0) != COVEY_OK)
        log_debug("credit for the log was not taken pack=%u", log->pack->pack_id);
}

static bool send_log(struct node *agent)
{
    struct outbox *outbox = &agent->outbox;
    struct queued_log *log = covey_container_of(outbox->logs.next, struct queued_log, node);
    const Covey__V1__PackLog *from = log->message->pack_log;
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__LogChunk chunk = COVEY__V1__LOG_CHUNK__INIT;
    Covey__V1__LogLine *lines = covey_calloc(from->n_lines, sizeof(*lines));
    Google__Protobuf__Timestamp *times = covey_calloc(from->n_lines, sizeof(*times));
    Covey__V1__LogLine **pointers = covey_calloc(from->n_lines, sizeof(Covey__V1__LogLine *));
    bool sent = false;
    for (size_t i = 0; lines && times && pointers && i < from->n_lines; i++) {
        covey__v1__log_line__init(&lines[i]);
        lines[i].rank = from->lines[i]->rank;
        lines[i].stream = from->lines[i]->stream;
        lines[i].at = node_timestamp(from->lines[i]->wall_ns, &times[i]) ? &times[i] : NULL;
        lines[i].text = from->lines[i]->text;
        lines[i].partial = from->lines[i]->partial;
        pointers[i] = &lines[i];
    }
    if (lines && times && pointers) {
        request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK;
        request.log_chunk = &chunk;
        chunk.flare_id = log->flare_id;
        chunk.lines = pointers;
        chunk.n_lines = from->n_lines;
        sent = send_now(agent, &request);
    }
    free(lines);
    free(times);
    free(pointers);
    if (!sent)
        return false;
    return_credit(log);
    covey_list_remove(&log->node);
    free_log(log);
    return true;
}

/* Reports go first, but a flare is not gone before its log has gone out. */
static bool send_next(struct node *agent)
{
    struct outbox *outbox = &agent->outbox;
    if (outbox->next == &outbox->reports)
        return !covey_list_empty(&outbox->logs) && send_log(agent);
    struct report *report = covey_container_of(outbox->next, struct report, node);
    if (report->message->body_case == COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE &&
        !covey_list_empty(&outbox->logs))
        return send_log(agent);
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
