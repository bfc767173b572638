/* What a pack says to its agent. */
#include "base/log.h"
#include "base/memory.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH_BYTES   ((size_t)32 * 1024)
#define LINE_OVERHEAD 48U
#define READ_BYTES    ((size_t)64 * 1024)

void pack_send(struct pack *pack, const local_message *message, const int *fds, size_t fd_count)
{
    if (pack->link.fd < 0)
        return;
    enum covey_status status = link_send(&pack->link, message, fds, fd_count);
    if (status && status != COVEY_EUNAVAILABLE)
        log_error("cannot tell the agent status=%s", covey_status_name(status));
    if (link_wants_write(&pack->link) && pack_watch(pack, &pack->agent, EPOLLIN | EPOLLOUT))
        log_error("cannot wait for the agent");
}

static uint32_t *collect_pids(const struct pack *pack)
{
    uint32_t *pids = covey_calloc(pack->here.workers, sizeof(*pids));
    for (uint32_t i = 0; pids && i < pack->here.workers; i++)
        pids[i] = pack->workers[i].outer_pid;
    return pids;
}

static int64_t *collect_starts(const struct pack *pack)
{
    int64_t *starts = covey_calloc(pack->here.workers, sizeof(*starts));
    for (uint32_t i = 0; starts && i < pack->here.workers; i++)
        starts[i] = pack->workers[i].started_ns;
    return starts;
}

static char role[] = "pack";
static char version[] = COVEY_VERSION;

void pack_hello(struct pack *pack)
{
    Covey__V1__LocalHello hello = COVEY__V1__LOCAL_HELLO__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    hello.role = role;
    hello.version = version;
    hello.ready = true;
    if (!pack->prepared) {
        pack_send(pack, &message, NULL, 0);
        return;
    }
    hello.flare_id = pack->flare->flare_id;
    hello.pack_id = pack->here.id;
    hello.pids = collect_pids(pack);
    hello.started_ns = collect_starts(pack);
    if (hello.pids && hello.started_ns) {
        hello.n_pids = hello.n_started_ns = pack->here.workers;
        pack_send(pack, &message, &pack->fds[PACK_FD_FLARE], 1);
    }
    free(hello.pids);
    free(hello.started_ns);
}

void pack_tell_ready(struct pack *pack)
{
    Covey__V1__PackReady ready = COVEY__V1__PACK_READY__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_READY;
    message.pack_ready = &ready;
    ready.pids = collect_pids(pack);
    if (!ready.pids)
        return;
    ready.n_pids = pack->here.workers;
    pack_send(pack, &message, NULL, 0);
    free(ready.pids);
}

/* One record for all that have started since the last one. */
void pack_tell_started(struct pack *pack)
{
    enum { MOST = 64 };
    Covey__V1__LocalStarted starts[MOST];
    Covey__V1__LocalStarted *pointers[MOST];
    Covey__V1__PackStarted started = COVEY__V1__PACK_STARTED__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_STARTED;
    message.pack_started = &started;
    started.workers = pointers;
    if (!pack->prepared)
        return;
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        struct pack_worker *worker = &pack->workers[i];
        if (worker->started_ns != 0 && !worker->start_told) {
            worker->start_told = true;
            starts[started.n_workers] = (Covey__V1__LocalStarted)COVEY__V1__LOCAL_STARTED__INIT;
            starts[started.n_workers].rank = worker->rank;
            starts[started.n_workers].wall_ns = worker->started_ns;
            pointers[started.n_workers] = &starts[started.n_workers];
            started.n_workers++;
        }
        if (started.n_workers == MOST || (i + 1 == pack->here.workers && started.n_workers > 0)) {
            pack_send(pack, &message, NULL, 0);
            started.n_workers = 0;
        }
    }
}

void pack_tell_ended(struct pack *pack, struct pack_worker *worker)
{
    Covey__V1__PackWorkerEnded ended = COVEY__V1__PACK_WORKER_ENDED__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_WORKER_ENDED;
    message.pack_worker_ended = &ended;
    ended.rank = worker->rank;
    ended.exit_status = worker->exit_status;
    ended.signal = worker->signal;
    ended.wall_ns = worker->ended_ns;
    ended.has_result = worker->result_fd >= 0;
    ended.result_bytes = worker->result_bytes;
    ended.message = worker->message;
    ended.stopped = worker->stopped;
    ended.host_gone = worker->host_gone;
    pack_send(pack, &message, &worker->result_fd, ended.has_result ? 1 : 0);
}

void pack_fail(struct pack *pack, const struct covey_error *error, int32_t rank)
{
    Covey__V1__LocalFailure failure = COVEY__V1__LOCAL_FAILURE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_FAILURE;
    message.failure = &failure;
    failure.status = (char *)(uintptr_t)covey_status_name(error->status);
    failure.message = (char *)(uintptr_t)error->message;
    failure.rank = rank;
    pack_send(pack, &message, NULL, 0);
}

/* ---- the log ---- */

static void free_lines(struct pack *pack)
{
    for (size_t i = 0; i < pack->log_count; i++)
        covey__v1__local_log_line__free_unpacked(pack->log_lines[i], NULL);
    pack->log_count = 0;
    pack->log_bytes = 0;
}

void pack_log_flush(struct pack *pack)
{
    Covey__V1__PackLog log = COVEY__V1__PACK_LOG__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    if (pack->log_count == 0 || pack->link.fd < 0)
        return;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG;
    message.pack_log = &log;
    log.lines = pack->log_lines;
    log.n_lines = pack->log_count;
    pack_send(pack, &message, NULL, 0);
    pack->log_credit_bytes -=
        pack->log_bytes < pack->log_credit_bytes ? pack->log_bytes : pack->log_credit_bytes;
    free_lines(pack);
}

static bool room_for_line(struct pack *pack)
{
    if (pack->log_count < pack->log_capacity)
        return true;
    size_t capacity = pack->log_capacity ? pack->log_capacity * 2 : 64;
    void *grown = covey_reallocarray(pack->log_lines, capacity, sizeof(Covey__V1__LocalLogLine *));
    if (!grown)
        return false;
    pack->log_lines = grown;
    pack->log_capacity = capacity;
    return true;
}

void pack_log_line(const uint8_t *text, size_t length_bytes, bool partial, void *data)
{
    struct pack_output *output = data;
    struct pack *pack = output->worker->pack;
    Covey__V1__LocalLogLine *line = covey_malloc(sizeof(*line));
    uint8_t *copy = covey_malloc(length_bytes ? length_bytes : 1);
    if (!line || !copy || !room_for_line(pack)) {
        free(line);
        free(copy);
        log_error("a line of log is lost: out of memory rank=%u", output->worker->rank);
        return;
    }
    memcpy(copy, text, length_bytes);
    covey__v1__local_log_line__init(line);
    line->rank = output->worker->rank;
    line->stream = output->stream;
    line->wall_ns = covey_wall_ns();
    line->text.data = copy;
    line->text.len = length_bytes;
    line->partial = partial;
    pack->log_lines[pack->log_count++] = line;
    pack->log_bytes += length_bytes + LINE_OVERHEAD;
    if (pack->log_bytes >= BATCH_BYTES)
        pack_log_flush(pack);
}

/* Whether another read may come: what is read now must fit into what the agent still takes. */
static bool log_open(const struct pack *pack)
{
    return pack->log_credit_bytes > pack->log_bytes + READ_BYTES;
}

static void each_output(struct pack *pack, bool watch)
{
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        for (int k = 0; k < 2; k++) {
            struct pack_source *source = &pack->workers[i].outputs[k].source;
            if (source->fd < 0)
                continue;
            if (!watch)
                pack_unwatch(pack, source);
            else if (!source->watched && pack_watch(pack, source, EPOLLIN) != COVEY_OK)
                log_error("cannot read the log rank=%u", pack->workers[i].rank);
        }
    }
}

void pack_log_credit(struct pack *pack, uint64_t bytes)
{
    uint64_t most = LOCAL_LOG_WINDOW_BYTES - pack->log_credit_bytes;
    pack->log_credit_bytes += (size_t)(bytes < most ? bytes : most);
    if (pack->log_held && log_open(pack)) {
        pack->log_held = false;
        each_output(pack, true);
    }
}

void pack_output_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct pack_output *output = covey_container_of(source, struct pack_output, source);
    uint8_t bytes[READ_BYTES];
    (void)events;
    if (!log_open(pack)) {
        pack->log_held = true;
        each_output(pack, false);
        return;
    }
    ssize_t got = read(source->fd, bytes, sizeof(bytes));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        if (!lines_feed(&output->lines, bytes, (size_t)got, pack_log_line, output))
            log_error("a piece of log is lost: out of memory rank=%u", output->worker->rank);
        return;
    }
    lines_finish(&output->lines, pack_log_line, output);
    pack_drop(pack, source);
}
