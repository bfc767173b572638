/* What an agent reports. Every report may come twice; nothing in it is trusted. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "service/common/local.h"
#include "service/controller/internal.h"

#include <string.h>

/* The share a report is about; NULL where the flare has ended, or is not on that node. */
static struct share *share_of(const struct controller *controller,
                              const struct controller_node *node, const char *flare_id)
{
    const struct flare *flare = flare_find(controller, flare_id);
    struct share *share = flare ? gang_share(flare, node) : NULL;
    return share && share->state != SHARE_GONE ? share : NULL;
}

static bool rank_is_of(const struct share *share, uint32_t rank)
{
    return rank >= share->first_rank && rank - share->first_rank < share->workers;
}

static enum covey_status refuse_rank(const struct share *share, uint32_t rank,
                                     struct covey_error *error)
{
    return covey_error_set(error, COVEY_EPROTO, "rank %u of flare %s is not on node %s", rank,
                           share->flare->id, share->node->name);
}

static failure_message failure_here(const struct share *share, const char *status,
                                    const char *message)
{
    failure_message failure = COVEY__V1__FAILURE__INIT;
    failure.status = (char *)(uintptr_t)status;
    failure.message = (char *)(uintptr_t)message;
    failure.node = share->node->name;
    failure.rank = -1;
    return failure;
}

static enum covey_status prepared(struct controller *controller, struct controller_node *node,
                                  const Covey__V1__Prepared *report, struct covey_error *error)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share || share->state != SHARE_PREPARING || share->flare->rolling_back ||
        share->flare->state != FLARE_PREPARING)
        return COVEY_OK;
    if (report->n_workers != share->workers)
        return covey_error_set(error, COVEY_EPROTO, "node %s prepared %zu workers of %u",
                               node->name, report->n_workers, share->workers);
    for (size_t i = 0; i < report->n_workers; i++)
        if (!rank_is_of(share, report->workers[i]->rank))
            return refuse_rank(share, report->workers[i]->rank, error);
    if (share->flare->share_count > 1 && !*report->host_address)
        return covey_error_set(error, COVEY_EPROTO, "node %s does not say where its host listens",
                               node->name);
    if (!message_set_string(&share->host_address, report->host_address))
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a report");
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.n_workers = report->n_workers;
    delta.workers = report->workers;
    (void)flare_must(controller, share->flare, FLARE_EVENT_NODE_READY, &delta, node->name);
    gang_prepared(controller, share);
    return COVEY_OK;
}

/* What cannot be cured by trying again, on this node or another. */
static bool is_fault_of_code(enum covey_status status)
{
    switch (status) {
    case COVEY_EINVAL:
    case COVEY_ENOTFOUND:
    case COVEY_EACCES:
    case COVEY_ELIMIT:
    case COVEY_EPRECONDITION:
    case COVEY_EVERSION:
    case COVEY_EFLARE:
    case COVEY_EMISMATCH:
        return true;
    default:
        return false;
    }
}

/* A failure as the agent tells it; what is missing is filled in. */
static failure_message retell(const struct share *share, const failure_message *told,
                              const char *fallback)
{
    failure_message failure = failure_here(share, "ENODE", fallback);
    if (!told)
        return failure;
    failure.status = (char *)(uintptr_t)covey_status_name(message_status(told->status));
    if (*told->message)
        failure.message = told->message;
    if (told->rank >= 0 && rank_is_of(share, (uint32_t)told->rank))
        failure.rank = told->rank;
    failure.signal = told->signal;
    failure.exit_status = told->exit_status;
    return failure;
}

/* The node is told to stop like the others: its FlareGone, and not this, which may be about an
 * earlier attempt, says that nothing is left. */
static enum covey_status prepare_failed(struct controller *controller, struct controller_node *node,
                                        const Covey__V1__PrepareFailed *report)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share || share->flare->rolling_back)
        return COVEY_OK;
    const failure_message failure = retell(share, report->failure, "the node could not prepare it");
    gang_roll_back(controller, share->flare, &failure,
                   is_fault_of_code(message_status(failure.status)));
    return COVEY_OK;
}

/* "ranks 0-2, 5 on node-1": neighbours in the report that are neighbours in rank are one range. */
static void describe_start(const Covey__V1__WorkersStarted *report, const char *node, char *text,
                           size_t size_bytes)
{
    char ranks[96] = "";
    size_t used = 0;
    for (size_t i = 0; i < report->n_workers && used + 32 < sizeof ranks;) {
        uint32_t first = report->workers[i]->rank;
        uint32_t last = first;
        for (i++; i < report->n_workers && report->workers[i]->rank == last + 1; i++)
            last++;
        used += covey_text_print(ranks + used, sizeof ranks - used, used ? ", %u" : "%u", first);
        if (last != first)
            used += covey_text_print(ranks + used, sizeof ranks - used, "-%u", last);
        if (i < report->n_workers && used + 32 >= sizeof ranks)
            used += covey_text_print(ranks + used, sizeof ranks - used, "...");
    }
    const char *word = report->n_workers == 1 ? "rank " : report->n_workers ? "ranks " : "";
    (void)covey_text_print(text, size_bytes, "%s%s%s%s", word, ranks, used ? " on " : "", node);
}

static enum covey_status workers_started(struct controller *controller,
                                         struct controller_node *node,
                                         const Covey__V1__WorkersStarted *report,
                                         struct covey_error *error)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share)
        return COVEY_OK;
    const Covey__V1__Timeline *known = share->flare->view->timeline;
    int64_t first_ns = message_time_ns(known->first_worker_at);
    int64_t last_ns = message_time_ns(known->last_worker_at);
    bool news = *report->transport && strcmp(report->transport, known->transport) != 0;
    for (size_t i = 0; i < report->n_workers; i++) {
        const worker_message *worker = report->workers[i];
        if (!rank_is_of(share, worker->rank))
            return refuse_rank(share, worker->rank, error);
        int64_t at_ns = message_time_ns(worker->started_at);
        const worker_message *have = flare_worker(share->flare, worker->rank);
        news = news || (have && !have->started_at);
        if (at_ns && (!first_ns || at_ns < first_ns))
            first_ns = at_ns;
        if (at_ns > last_ns)
            last_ns = at_ns;
    }
    if (!news)
        return COVEY_OK;
    Google__Protobuf__Timestamp first = message_time(first_ns);
    Google__Protobuf__Timestamp last = message_time(last_ns);
    Covey__V1__Timeline timeline = COVEY__V1__TIMELINE__INIT;
    timeline.first_worker_at = first_ns ? &first : NULL;
    timeline.last_worker_at = last_ns ? &last : NULL;
    timeline.transport = report->transport;
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.timeline = &timeline;
    delta.n_workers = report->n_workers;
    delta.workers = report->workers;
    for (size_t i = 0; i < report->n_workers; i++)
        report->workers[i]->state = COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING;
    char text[128];
    describe_start(report, node->name, text, sizeof text);
    (void)flare_must(controller, share->flare, FLARE_EVENT_WORKERS_STARTED, &delta, text);
    return COVEY_OK;
}

/* The sentence about a worker that failed. */
static void describe_end(const struct share *share, const Covey__V1__WorkerEnded *report,
                         char *text, size_t size_bytes)
{
    const worker_message *worker = report->worker;
    const char *node = share->node->name;
    const char *why = *report->message ? ": " : "";
    if (worker->signal)
        (void)covey_text_print(
            text, size_bytes, "rank %u was killed by signal %u (%s) on node %s%s%s", worker->rank,
            worker->signal, strsignal((int)worker->signal), node, why, report->message);
    else if (worker->exit_status)
        (void)covey_text_print(text, size_bytes, "rank %u ended with exit status %u on node %s%s%s",
                               worker->rank, worker->exit_status, node, why, report->message);
    else
        (void)covey_text_print(text, size_bytes, "rank %u failed on node %s%s%s", worker->rank,
                               node, why, report->message);
}

/* The node knew another limit: the controller was started again with a lower one. */
static void drop_result(const struct controller *controller, worker_message *worker, char *text,
                        size_t size_bytes)
{
    (void)covey_text_print(text, size_bytes,
                           "the result of rank %u has %llu bytes, over the limit of %llu",
                           worker->rank, (unsigned long long)worker->result_bytes,
                           (unsigned long long)controller->limits.max_result_bytes);
    worker->result_bytes = 0;
}

static void decide(struct controller *controller, struct share *share,
                   const Covey__V1__WorkerEnded *report, bool succeeded, const char *text)
{
    struct flare *flare = share->flare;
    const worker_message *worker = report->worker;
    if (!succeeded) {
        failure_message failure = failure_here(share, "EFLARE", text);
        failure.rank = (int32_t)worker->rank;
        failure.signal = worker->signal;
        failure.exit_status = worker->exit_status;
        failure.out_of_memory = report->out_of_memory;
        if (!restart_for_lost_node(controller, flare, &failure))
            ending_begin(controller, flare, FLARE_EVENT_FAILING, &failure, NULL);
    } else if (flare->state == FLARE_RUNNING &&
               flare->workers_ended == flare->view->workers_total) {
        ending_begin(controller, flare, FLARE_EVENT_FINISHING, NULL, NULL);
    }
    ending_check(controller, flare);
}

static enum covey_status worker_ended(struct controller *controller, struct controller_node *node,
                                      const Covey__V1__WorkerEnded *report,
                                      struct covey_error *error)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share || share->flare->rolling_back)
        return COVEY_OK;
    if (!report->worker)
        return covey_error_set(error, COVEY_EPROTO, "the end of a worker that is not named");
    worker_message *worker = report->worker;
    struct flare *flare = share->flare;
    if (!rank_is_of(share, worker->rank))
        return refuse_rank(share, worker->rank, error);
    const worker_message *known = flare_worker(flare, worker->rank);
    if (!known || worker_has_ended(known))
        return COVEY_OK;
    bool is_over = worker->result_bytes > controller->limits.max_result_bytes;
    bool succeeded = worker->state == COVEY__V1__WORKER_STATE__WORKER_STATE_DONE &&
                     worker->exit_status == 0 && worker->signal == 0 && !is_over;
    if (!succeeded && worker->state != COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED)
        worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED;
    char text[COVEY_ERROR_MESSAGE_BYTES];
    if (is_over)
        drop_result(controller, worker, text, sizeof text);
    else
        describe_end(share, report, text, sizeof text);
    if (flare->state == FLARE_PREPARING) {
        const failure_message failure = failure_here(share, "EFLARE", text);
        gang_roll_back(controller, flare, &failure, true);
        return COVEY_OK;
    }
    flare_message delta = COVEY__V1__FLARE__INIT;
    delta.n_workers = 1;
    delta.workers = &worker;
    char ended[32];
    (void)covey_text_print(ended, sizeof ended, "rank %u", worker->rank);
    (void)flare_must(controller, flare, FLARE_EVENT_WORKER_ENDED, &delta, succeeded ? ended : text);
    ending_note_peer(controller, share, worker->rank, succeeded, succeeded ? "" : text);
    decide(controller, share, report, succeeded, text);
    return COVEY_OK;
}

static enum covey_status result_chunk(struct controller *controller, struct controller_node *node,
                                      const Covey__V1__ResultChunk *report,
                                      struct covey_error *error)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share || share->flare->rolling_back)
        return COVEY_OK;
    if (!rank_is_of(share, report->rank))
        return refuse_rank(share, report->rank, error);
    struct covey_error why = {0};
    enum covey_status status = store_result_write(
        controller->store, report->flare_id, report->rank, report->offset, report->data.data,
        report->data.len, controller->limits.max_result_bytes, &why);
    if (!status)
        return COVEY_OK;
    log_error("%s flare=%s rank=%u", why.message, report->flare_id, report->rank);
    failure_message failure = failure_here(share, covey_status_name(status), why.message);
    failure.rank = (int32_t)report->rank;
    ending_begin(controller, share->flare, FLARE_EVENT_FAILING, &failure, NULL);
    return COVEY_OK;
}

static bool log_is_of(const struct share *share, const Covey__V1__LogChunk *report)
{
    const flare_message *view = share->flare->view;
    if (report->pack >= view->n_packs ||
        strcmp(view->packs[report->pack]->node, share->node->name) != 0)
        return false;
    for (size_t i = 0; i < report->n_lines; i++)
        if (!rank_is_of(share, report->lines[i]->rank))
            return false;
    return local_log_cost(report->lines, report->n_lines) > 0;
}

/* The log of a flare that nobody knows is taken, too: its agent must not keep it for ever. */
static void log_chunk(struct controller *controller, struct controller_node *node,
                      const Covey__V1__LogChunk *report)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (share && log_is_of(share, report)) {
        const struct log_source from = {.flare = share->flare->id,
                                        .attempt = share->flare->view->attempt,
                                        .first_rank = share->first_rank,
                                        .ending = share->flare->state == FLARE_ENDING};
        logs_take(controller->logs, &from, report, now_of(controller));
        if (controller->on_news)
            controller->on_news(report->flare_id, CONTROLLER_NEWS_LOG, controller->data);
        return;
    }
    if (share)
        log_warn("output that is none of the flare's workers is dropped flare=%s node=%s",
                 share->flare->id, node->name);
    Covey__V1__AttachResponse message = COVEY__V1__ATTACH_RESPONSE__INIT;
    Covey__V1__LogTaken taken = COVEY__V1__LOG_TAKEN__INIT;
    message.body_case = COVEY__V1__ATTACH_RESPONSE__BODY_LOG_TAKEN;
    message.log_taken = &taken;
    taken.flare_id = report->flare_id;
    taken.pack = report->pack;
    taken.offset = report->offset + local_log_cost(report->lines, report->n_lines);
    (void)node_send(controller, node, &message);
}

static enum covey_status host_ended(struct controller *controller, struct controller_node *node,
                                    const Covey__V1__HostEnded *report)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (!share)
        return COVEY_OK;
    char fallback[256];
    (void)covey_text_print(fallback, sizeof fallback, "the host of the flare ended on node %s",
                           node->name);
    const failure_message failure = retell(share, report->failure, fallback);
    restart_or_fail(controller, share->flare, &failure, share);
    return COVEY_OK;
}

/* One that was not asked for is an answer to a Stop of an earlier attempt. */
static enum covey_status flare_gone(struct controller *controller, struct controller_node *node,
                                    const Covey__V1__FlareGone *report)
{
    struct share *share = share_of(controller, node, report->flare_id);
    if (share && share->stop_sent)
        ending_share_gone(controller, share);
    return COVEY_OK;
}

static enum covey_status measured(struct controller *controller, struct controller_node *node,
                                  const Covey__V1__Measured *report, struct covey_error *error)
{
    const struct share *share = share_of(controller, node, report->flare_id);
    return share ? usage_take(share, report, error) : COVEY_OK;
}

static enum covey_status dispatch(struct controller *controller, struct controller_node *node,
                                  const Covey__V1__AttachRequest *message,
                                  struct covey_error *error)
{
    switch (message->body_case) {
    case COVEY__V1__ATTACH_REQUEST__BODY_HEARTBEAT:
        return COVEY_OK;
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARED:
        return prepared(controller, node, message->prepared, error);
    case COVEY__V1__ATTACH_REQUEST__BODY_PREPARE_FAILED:
        return prepare_failed(controller, node, message->prepare_failed);
    case COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED:
        return workers_started(controller, node, message->workers_started, error);
    case COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED:
        return worker_ended(controller, node, message->worker_ended, error);
    case COVEY__V1__ATTACH_REQUEST__BODY_RESULT_CHUNK:
        return result_chunk(controller, node, message->result_chunk, error);
    case COVEY__V1__ATTACH_REQUEST__BODY_LOG_CHUNK:
        log_chunk(controller, node, message->log_chunk);
        return COVEY_OK;
    case COVEY__V1__ATTACH_REQUEST__BODY_HOST_ENDED:
        return host_ended(controller, node, message->host_ended);
    case COVEY__V1__ATTACH_REQUEST__BODY_FLARE_GONE:
        return flare_gone(controller, node, message->flare_gone);
    case COVEY__V1__ATTACH_REQUEST__BODY_MEASURED:
        return measured(controller, node, message->measured, error);
    case COVEY__V1__ATTACH_REQUEST__BODY_REGISTER:
        return covey_error_set(error, COVEY_EPROTO, "it registers twice on one stream");
    case COVEY__V1__ATTACH_REQUEST__BODY__NOT_SET:
        if (message->sequence)
            return COVEY_OK; /* in place of one that was set aside */
        /* fall through */
    default:
        return covey_error_set(error, COVEY_EPROTO, "it is of an unknown kind");
    }
}

/*
 * Sequences rise by one within a registration. An agent that comes back repeats from the first
 * report that was not acknowledged, one that started anew begins at 1: reports are idempotent.
 */
static enum covey_status take_sequence(struct controller_node *node, uint64_t sequence,
                                       struct covey_error *error)
{
    if (sequence == 0)
        return COVEY_OK;
    if (node->sequence != 0 && sequence > node->sequence + 1)
        return covey_error_set(error, COVEY_EPROTO, "node %s: report %llu follows %llu", node->name,
                               (unsigned long long)sequence, (unsigned long long)node->sequence);
    if (sequence > node->sequence)
        node->sequence = sequence;
    return COVEY_OK;
}

/* What concerns the stream as a whole. */
static enum covey_status take_envelope(struct controller *controller, struct controller_node *node,
                                       const struct envelope *envelope, struct covey_error *error)
{
    if (envelope->epoch != node->epoch)
        return covey_error_set(error, COVEY_EPRECONDITION,
                               "node %s spoke with epoch %llu, and %llu is the newest: register "
                               "again",
                               node->name, (unsigned long long)envelope->epoch,
                               (unsigned long long)node->epoch);
    node->heard_ns = now_of(controller);
    node->suspect_until_ns = 0;
    node->seen_wall_ns = wall_of(controller);
    return take_sequence(node, envelope->sequence, error);
}

static struct envelope envelope_of(const Covey__V1__AttachRequest *message)
{
    struct envelope envelope = {.epoch = message->epoch,
                                .sequence = message->sequence,
                                .body = (uint32_t)message->body_case};
    const char *flare_id = envelope_flare_of((const ProtobufCMessage *)message->prepared);
    if (message->body_case != COVEY__V1__ATTACH_REQUEST__BODY__NOT_SET && ulid_is_valid(flare_id))
        memcpy(envelope.flare_id, flare_id, ULID_BYTES);
    return envelope;
}

/* True for a fault of the report. Where memory is short the report is good: it is repeated. */
static bool is_refusal(enum covey_status status)
{
    return status == COVEY_EPROTO || status == COVEY_EINVAL || status == COVEY_ELIMIT;
}

enum covey_status controller_receive(struct controller *controller, struct controller_node *node,
                                     const Covey__V1__AttachRequest *message,
                                     struct covey_error *error)
{
    const struct envelope envelope = envelope_of(message);
    enum covey_status status = take_envelope(controller, node, &envelope, error);
    if (status)
        return status;
    struct covey_error why = {0};
    status = dispatch(controller, node, message, &why);
    if (is_refusal(status)) {
        node_refuse_report(controller, node, &envelope, why.message);
        status = COVEY_OK;
    }
    if (!status)
        node_repeated(controller, node);
    if (status && error)
        *error = why;
    return status;
}

enum covey_status controller_receive_bad(struct controller *controller,
                                         struct controller_node *node, const uint8_t *bytes,
                                         size_t length_bytes, enum covey_status why,
                                         struct covey_error *error)
{
    struct envelope envelope;
    envelope_read(bytes, length_bytes, &envelope);
    enum covey_status status = take_envelope(controller, node, &envelope, error);
    if (status)
        return status;
    node_refuse_report(controller, node, &envelope,
                       why == COVEY_ELIMIT ? "it takes more memory than it may"
                                           : "it is malformed");
    node_repeated(controller, node);
    return COVEY_OK;
}
