/* What a pack says to its agent. */
#include "base/log.h"
#include "base/memory.h"
#include "service/pack/pack.h"

#include <stdlib.h>
#include <sys/epoll.h>

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
