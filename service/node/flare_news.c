/* What a flare's host and packs say while it is prepared and runs. */
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "service/node/node.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Starts within this time go out as one report. */
#define START_MS 1

/* Room for how a process ended, with its last error. */
#define HOW_BYTES 640

static void protocol_error(struct node_child *child, const char *what)
{
    log_error("a %s broke the protocol: ended flare=%s what=\"%s\"",
              child->role == CHILD_HOST ? "host" : "pack", child->flare->text->flare_id, what);
    child_kill(child);
}

static void on_failure(struct node_child *child, const Covey__V1__LocalFailure *failure)
{
    struct node_flare *flare = child->flare;
    char message[COVEY_ERROR_MESSAGE_BYTES];
    char limit[CONFINEMENT_PATH_BYTES + 64] = "";
    if (flare->state >= FLARE_STOPPING)
        return;
    if (flare->state >= FLARE_READY) {
        log_error("a %s failed flare=%s reason=\"%s\"", child->role == CHILD_HOST ? "host" : "pack",
                  flare->text->flare_id, failure->message);
        return;
    }
    if (strcmp(failure->status, covey_status_name(COVEY_EAGAIN)) == 0)
        (void)confinement_name_pids(&flare->agent->capacity.confinement, limit, sizeof(limit));
    if (child->role == CHILD_PACK)
        (void)covey_text_print(message, sizeof(message), "definition %s, pack %u: %s%s",
                               flare->text->definition, child->pack_id, failure->message, limit);
    else
        (void)covey_text_print(message, sizeof(message), "the host: %s", failure->message);
    flare_withdraw(flare, failure->status, message, failure->rank);
}

static void on_host_ready(struct node_child *child, struct local_record *record)
{
    struct node_flare *flare = child->flare;
    const char *address = record->message->host_ready->address;
    if (child->role != CHILD_HOST || flare->state != FLARE_HOST || flare->arena_fd >= 0 ||
        record->fd_count != 2 || strlen(address) >= sizeof(flare->host_address)) {
        if (flare->state < FLARE_STOPPING)
            protocol_error(child, "HostReady");
        return;
    }
    (void)snprintf(flare->host_address, sizeof(flare->host_address), "%s", address);
    flare->arena_fd = local_take_fd(record, 0);
    flare->event_fd = local_take_fd(record, 1);
    flare_go_on(flare);
}

static void on_host_transport(struct node_child *child, const char *name)
{
    struct node_flare *flare = child->flare;
    if (child->role != CHILD_HOST || strlen(name) >= sizeof(flare->transport)) {
        protocol_error(child, "HostTransport");
        return;
    }
    (void)snprintf(flare->transport, sizeof(flare->transport), "%s", name);
    flare->transport_told = false;
    if (flare->state == FLARE_RUNNING)
        flare_tell_started(flare);
}

static void on_pack_ready(struct node_child *child, const Covey__V1__PackReady *ready)
{
    struct node_flare *flare = child->flare;
    if (flare->state >= FLARE_STOPPING)
        return;
    if (flare->state != FLARE_PACKS || child->ready || ready->n_pids != child->workers) {
        protocol_error(child, "PackReady");
        return;
    }
    child->ready = true;
    flare->packs_ready++;
    for (size_t i = 0; i < ready->n_pids; i++)
        flare_worker(flare, child->first_rank + (uint32_t)i)->pid = ready->pids[i];
    flare_go_on(flare);
}

static struct node_worker *worker_of(struct node_child *child, uint32_t rank)
{
    if (child->role != CHILD_PACK || rank < child->first_rank ||
        rank - child->first_rank >= child->workers)
        return NULL;
    return flare_worker(child->flare, rank);
}

void flare_tell_started(struct node_flare *flare)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__WorkersStarted started = COVEY__V1__WORKERS_STARTED__INIT;
    uint32_t count = flare->worker_count;
    Covey__V1__Worker *workers = covey_calloc(count, sizeof(*workers));
    Covey__V1__Worker **pointers = covey_calloc(count, sizeof(Covey__V1__Worker *));
    Google__Protobuf__Timestamp *times = covey_calloc(2 * (size_t)count, sizeof(*times));
    (void)uv_timer_stop(&flare->start_timer);
    for (uint32_t i = 0; workers && pointers && times && i < count; i++) {
        struct node_worker *worker = &flare->workers[i];
        if (worker->started_ns == 0 || worker->start_told)
            continue;
        worker->start_told = true;
        pointers[started.n_workers] = &workers[i];
        flare_fill_worker(flare, worker, &workers[i], &times[2 * (size_t)i],
                          &times[2 * (size_t)i + 1]);
        started.n_workers++;
    }
    bool transport_news = *flare->transport && !flare->transport_told;
    if (started.n_workers > 0 || transport_news) {
        request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_WORKERS_STARTED;
        request.workers_started = &started;
        started.flare_id = flare->text->flare_id;
        started.workers = pointers;
        started.transport = flare->transport;
        flare->transport_told = true;
        outbox_add(flare->agent, &request, -1, 0);
    }
    free(workers);
    free(pointers);
    free(times);
}

static void on_start_timer(uv_timer_t *timer)
{
    flare_tell_started(timer->data);
}

static bool all_started(const struct node_flare *flare)
{
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        if (flare->workers[i].started_ns == 0)
            return false;
    }
    return true;
}

static void on_pack_started(struct node_child *child, const Covey__V1__PackStarted *started)
{
    struct node_flare *flare = child->flare;
    for (size_t i = 0; i < started->n_workers; i++) {
        struct node_worker *worker = worker_of(child, started->workers[i]->rank);
        if (!worker || started->workers[i]->wall_ns <= 0) {
            protocol_error(child, "PackStarted");
            return;
        }
        if (worker->started_ns != 0)
            continue;
        worker->started_ns = started->workers[i]->wall_ns;
        if (!worker->ended)
            worker->state = COVEY__V1__WORKER_STATE__WORKER_STATE_RUNNING;
    }
    if (all_started(flare))
        flare_tell_started(flare);
    else if (!uv_is_active((uv_handle_t *)&flare->start_timer))
        (void)uv_timer_start(&flare->start_timer, on_start_timer, START_MS, 0);
}

static void tell_ended(struct node_flare *flare, const struct node_worker *worker,
                       const char *message, int take_result_fd)
{
    Covey__V1__AttachRequest request = COVEY__V1__ATTACH_REQUEST__INIT;
    Covey__V1__WorkerEnded ended = COVEY__V1__WORKER_ENDED__INIT;
    Covey__V1__Worker filled;
    Google__Protobuf__Timestamp times[2];
    flare_tell_started(flare);
    flare_fill_worker(flare, worker, &filled, &times[0], &times[1]);
    request.body_case = COVEY__V1__ATTACH_REQUEST__BODY_WORKER_ENDED;
    request.worker_ended = &ended;
    ended.flare_id = flare->text->flare_id;
    ended.worker = &filled;
    ended.message = (char *)(uintptr_t)message;
    ended.out_of_memory = worker->out_of_memory;
    outbox_add(flare->agent, &request, take_result_fd, worker->result_bytes);
}

/* An end that may have come of the host's is told after it. */
static void tell_or_hold(struct node_flare *flare, struct node_worker *worker, const char *message,
                         int take_result_fd, bool host_gone)
{
    if (!flare->host || !(host_gone || child_is_ending(flare->host))) {
        tell_ended(flare, worker, message, take_result_fd);
        return;
    }
    /* Where it only let go of the pack, it is of no use any more either. */
    child_kill(flare->host);
    worker->held = true;
    worker->held_result_fd = take_result_fd;
    (void)covey_text_print(worker->held_message, sizeof(worker->held_message), "%s", message);
}

void flare_tell_held(struct node_flare *flare)
{
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        struct node_worker *worker = &flare->workers[i];
        if (!worker->held)
            continue;
        worker->held = false;
        tell_ended(flare, worker, worker->held_message, worker->held_result_fd);
    }
}

/* A result must be what it says: memory that nobody can change any more, within the limit. */
static bool result_sound(const struct node_flare *flare, int fd, uint64_t bytes)
{
    struct stat facts;
    const int seals = F_SEAL_SHRINK | F_SEAL_WRITE;
    return fd >= 0 && bytes <= flare->text->max_result_bytes &&
           (fcntl(fd, F_GET_SEALS) & seals) == seals && fstat(fd, &facts) == 0 &&
           facts.st_size >= 0 && (uint64_t)facts.st_size == bytes;
}

static void on_worker_ended(struct node_child *child, struct local_record *record)
{
    const Covey__V1__PackWorkerEnded *said = record->message->pack_worker_ended;
    struct node_flare *flare = child->flare;
    struct node_worker *worker = worker_of(child, said->rank);
    int result_fd = said->has_result ? local_take_fd(record, 0) : -1;
    if (!worker || (said->has_result && !result_sound(flare, result_fd, said->result_bytes)) ||
        covey_fault(COVEY_FAULT_NODE_EXIT)) {
        covey_close(&result_fd);
        protocol_error(child, "PackWorkerEnded");
        return;
    }
    if (worker->ended) {
        covey_close(&result_fd);
        return;
    }
    worker->ended = true;
    worker->exit_status = said->exit_status;
    worker->signal = said->signal;
    worker->ended_ns = said->wall_ns;
    worker->result_bytes = said->has_result ? said->result_bytes : 0;
    bool succeeded = said->exit_status == 0 && said->signal == 0;
    worker->state = succeeded       ? COVEY__V1__WORKER_STATE__WORKER_STATE_DONE
                    : said->stopped ? COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED
                                    : COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED;
    const char *message = said->message;
    char why[HOW_BYTES];
    if (said->signal == SIGKILL && !said->stopped && !*message)
        worker->out_of_memory = oom_blames(&flare->agent->oom, why, sizeof(why));
    if (worker->out_of_memory)
        message = why;
    tell_or_hold(flare, worker, message, result_fd, said->host_gone);
}

void flare_worker_acknowledged(struct node *agent, const char *flare_id, uint32_t rank)
{
    struct node_flare *flare = covey_map_get(&agent->flares, flare_id);
    struct node_worker *worker = flare ? flare_worker(flare, rank) : NULL;
    Covey__V1__PackAcknowledge acknowledge = COVEY__V1__PACK_ACKNOWLEDGE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    if (!worker || worker->acknowledged)
        return;
    worker->acknowledged = true;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_ACKNOWLEDGE;
    message.pack_acknowledge = &acknowledge;
    acknowledge.rank = rank;
    covey_list_for_each (node, &flare->packs) {
        struct node_child *pack = covey_container_of(node, struct node_child, node);
        if (pack->pack_id == worker->pack_id &&
            peer_send(&pack->peer, &message, NULL, 0) != COVEY_OK)
            log_debug("a pack is gone before its worker's end was acknowledged rank=%u", rank);
    }
}

/* What was said of a pack's own output is not read once more. A pipe has no position. */
static void pass_over(int fd, uint64_t end)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0 && (uint64_t)at < end && end <= INT64_MAX)
        (void)lseek(fd, (off_t)end, SEEK_SET);
}

static void on_log(struct node_child *child, struct local_record *record)
{
    Covey__V1__PackLog *log = record->message->pack_log;
    pass_over(child->output_fds[0], log->own_output);
    pass_over(child->output_fds[1], log->own_error);
    for (size_t i = 0; i < log->n_lines; i++) {
        if (!worker_of(child, log->lines[i]->rank)) {
            protocol_error(child, "PackLog");
            return;
        }
    }
    record->message->body_case = COVEY__V1__LOCAL_MESSAGE__BODY__NOT_SET;
    record->message->pack_log = NULL;
    enum covey_status status = relay_add(&child->agent->relay, child, log);
    if (status == COVEY_EPROTO)
        protocol_error(child, "PackLog, out of order or beyond its window");
    else if (status)
        log_error("output of workers is lost: out of memory flare=%s",
                  child->flare->text->flare_id);
    outbox_pump(child->agent);
}

/* What the pack's own process wrote last, and nobody has passed on. */
static void take_last_words(struct node_child *pack)
{
    uint8_t bytes[LOCAL_LOG_TEXT_BYTES];
    for (uint32_t k = 0; k < CHILD_OUTPUTS; k++) {
        size_t left = LOCAL_LOG_WINDOW_BYTES;
        while (pack->output_fds[k] >= 0 && left > 0) {
            ssize_t got =
                read(pack->output_fds[k], bytes, left < sizeof(bytes) ? left : sizeof(bytes));
            if (got <= 0)
                break;
            relay_append(&pack->agent->relay, pack, k % 2 + 1, bytes, (size_t)got);
            left -= (size_t)got;
        }
    }
}

void flare_log_taken(struct node *agent, const Covey__V1__LogTaken *taken)
{
    Covey__V1__PackLogTaken told = COVEY__V1__PACK_LOG_TAKEN__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    struct node_child *pack = relay_taken(&agent->relay, taken);
    if (!pack)
        return;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG_TAKEN;
    message.pack_log_taken = &told;
    told.offset = taken->offset;
    if (pack->flare)
        pack->flare->log_progress++;
    /* A pack that is gone needs not be told. */
    if (peer_send(&pack->peer, &message, NULL, 0) != COVEY_OK)
        log_debug("a pack is gone before its log was taken pack=%u", pack->pack_id);
}

void flare_on_record(struct node_child *child, struct local_record *record)
{
    const local_message *message = record->message;
    switch (message->body_case) {
    case COVEY__V1__LOCAL_MESSAGE__BODY_FAILURE:
        on_failure(child, message->failure);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_READY:
        on_host_ready(child, record);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_TRANSPORT:
        on_host_transport(child, message->host_transport->name);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_HOST_DONE:
        if (child->role != CHILD_HOST) {
            protocol_error(child, "HostDone");
            break;
        }
        child->flare->host_done = true;
        flare_check_gone(child->flare);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_READY:
        on_pack_ready(child, message->pack_ready);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_STARTED:
        on_pack_started(child, message->pack_started);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_WORKER_ENDED:
        on_worker_ended(child, record);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG:
        on_log(child, record);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_OUTPUT:
        for (size_t i = 0; i < CHILD_OUTPUTS; i++) {
            covey_close(&child->output_fds[i]);
            child->output_fds[i] = local_take_fd(record, i);
        }
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_DONE:
        child->done = true;
        /* The timer of the stop bounds what its code does at exit. */
        if (!message->pack_done->leaves)
            child_kill(child);
        break;
    default:
        protocol_error(child, "unknown message");
        break;
    }
}

void flare_pack_lost(struct node_flare *flare, uint32_t pack_id, const char *how,
                     bool out_of_memory)
{
    char message[HOW_BYTES + 128];
    for (uint32_t i = 0; i < flare->worker_count; i++) {
        struct node_worker *worker = &flare->workers[i];
        if (worker->pack_id != pack_id || worker->ended)
            continue;
        worker->ended = true;
        worker->signal = SIGKILL;
        worker->out_of_memory = out_of_memory;
        worker->ended_ns = covey_wall_ns();
        worker->state = flare->state == FLARE_STOPPING
                            ? COVEY__V1__WORKER_STATE__WORKER_STATE_STOPPED
                            : COVEY__V1__WORKER_STATE__WORKER_STATE_FAILED;
        if (flare->state == FLARE_STOPPING)
            (void)covey_text_print(message, sizeof(message), "stopped: %s", flare->stop_reason);
        else
            (void)covey_text_print(message, sizeof(message), "its pack %s", how);
        tell_or_hold(flare, worker, message, -1, false);
    }
}

void flare_host_lost(struct node_flare *flare, const char *how)
{
    char message[HOW_BYTES + 128];
    flare->host_ended = true;
    (void)covey_text_print(message, sizeof(message), "the flare's host on node %s %s",
                           flare->agent->options.name, how);
    flare_tell_broken(flare->agent, flare->text->flare_id, message);
}

/* True where the kernel has ended it because memory was out. */
static bool describe_exit(const struct node_child *child, char *text, size_t size_bytes)
{
    const struct node_flare *flare = child->flare;
    int signal_number = child->wait_status & 0x7f;
    char words[HOW_BYTES / 2];
    size_t length = 0;
    if (!child->wait_known)
        length = covey_text_print(text, size_bytes, "is gone");
    else if (signal_number)
        length = covey_text_print(text, size_bytes, "was killed by signal %d (%s)", signal_number,
                                  strsignal(signal_number));
    else if (child->role == CHILD_PACK && child->wait_status >> 8 == 128 + SIGABRT)
        length = covey_text_print(text, size_bytes, "was aborted (signal %d)", SIGABRT);
    else
        length =
            covey_text_print(text, size_bytes, "exited with status %d", child->wait_status >> 8);
    bool out_of_memory = signal_number == SIGKILL && flare->state < FLARE_STOPPING &&
                         oom_blames(&flare->agent->oom, words, sizeof(words));
    if (out_of_memory || child_last_words(child, words, sizeof(words)) > 0)
        (void)covey_text_print(text + length, size_bytes - length, ": %s", words);
    return out_of_memory;
}

/* A host ends by Covey's fault or the machine's, and another attempt may help; a pack has loaded
 * the flare's code. */
static void lost_while_preparing(struct node_child *child, const char *how)
{
    char message[HOW_BYTES + 128];
    bool host = child->role == CHILD_HOST;
    if (host)
        (void)covey_text_print(message, sizeof(message), "the host did not get ready: it %s", how);
    else
        (void)covey_text_print(message, sizeof(message),
                               "definition %s: pack %u did not get ready: it %s",
                               child->flare->text->definition, child->pack_id, how);
    flare_withdraw(child->flare, host ? "ENODE" : "EFLARE", message, -1);
}

void flare_child_ended(struct node_child *child)
{
    struct node_flare *flare = child->flare;
    char how[HOW_BYTES];
    bool out_of_memory = describe_exit(child, how, sizeof(how));
    flare->children--;
    take_last_words(child);
    outbox_pump(flare->agent);
    covey_list_remove(&child->node);
    if (flare->host == child)
        flare->host = NULL;
    if (flare->state < FLARE_READY) {
        /* The last one must not be the one that frees the flare under our feet. */
        flare->children++;
        lost_while_preparing(child, how);
        flare->children--;
    } else if (child->role == CHILD_HOST && flare->state < FLARE_STOPPING) {
        flare_host_lost(flare, how);
    } else if (child->role == CHILD_PACK && flare->state != FLARE_WITHDRAWN) {
        flare_pack_lost(flare, child->pack_id, how, out_of_memory);
    }
    if (child->role == CHILD_HOST)
        flare_tell_held(flare);
    child->flare = NULL;
    flare_check_gone(flare);
}
