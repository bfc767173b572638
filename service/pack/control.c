/* What a pack is told: by its agent, by its host's death and by its workers. */
#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void agent_lost(struct pack *pack)
{
    pack_unwatch(pack, &pack->agent);
    link_close(&pack->link);
    pack->agent.fd = -1;
    if (!pack->prepared || pack->told_done) {
        pack_remove_traces(pack);
        pack->finished = true;
        return;
    }
    pack->agent_deadline_ns = covey_now_ns() + LOCAL_RETURN_NS;
}

static void acknowledge(struct pack *pack, uint32_t rank)
{
    if (!pack->prepared || rank < pack->here.first_rank ||
        rank - pack->here.first_rank >= pack->here.workers)
        return;
    struct pack_worker *worker = &pack->workers[rank - pack->here.first_rank];
    if (!worker->ended)
        return;
    worker->acknowledged = true;
    covey_close(&worker->result_fd);
}

static void handle(struct pack *pack, struct local_record *record)
{
    const local_message *message = record->message;
    switch (message->body_case) {
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_PREPARE:
        pack_prepare(pack, record);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_ACKNOWLEDGE:
        acknowledge(pack, message->pack_acknowledge->rank);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_STOP:
        pack_stop(pack, message->pack_stop->grace_ns, message->pack_stop->reason);
        if (message->pack_stop->cut_log)
            pack_stop_cut(pack);
        break;
    case COVEY__V1__LOCAL_MESSAGE__BODY_PACK_LOG_TAKEN:
        pack_log_taken(pack, message->pack_log_taken->offset);
        break;
    default:
        log_error("the agent said what a pack does not know body=%d", (int)message->body_case);
        break;
    }
}

void pack_agent_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    enum covey_status flushed = events & EPOLLOUT ? link_flush(&pack->link) : COVEY_OK;
    if (events & EPOLLOUT && !flushed && !link_wants_write(&pack->link) &&
        pack_watch(pack, source, EPOLLIN) != COVEY_OK)
        log_error("cannot wait for the agent");
    while (!pack->finished && pack->link.fd >= 0) {
        struct local_record record;
        enum covey_status status = local_receive(pack->link.fd, &record);
        if (status == COVEY_EAGAIN && !flushed)
            return;
        if (status) {
            if (status != COVEY_EUNAVAILABLE && status != COVEY_EAGAIN)
                log_error("the agent's connection failed status=%s", covey_status_name(status));
            agent_lost(pack);
            return;
        }
        handle(pack, &record);
        local_record_free(&record);
    }
}

enum covey_status pack_take_agent(struct pack *pack, int take_fd)
{
    int fd = fcntl(take_fd, F_DUPFD_CLOEXEC, 16);
    covey_close(&take_fd);
    pack_unwatch(pack, &pack->agent);
    link_close(&pack->link);
    if (fd < 0)
        return covey_status_from_errno(errno);
    enum covey_status status = link_open(&pack->link, fd);
    if (status)
        return status;
    pack->agent = (struct pack_source){.fd = fd, .ready = pack_agent_ready};
    status = pack_watch(pack, &pack->agent, EPOLLIN);
    if (status)
        agent_lost(pack);
    else
        pack->agent_deadline_ns = COVEY_NEVER_NS;
    return status;
}

/* The newest agent counts; only our own user and root may be one. */
void pack_listener_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    (void)events;
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        covey_close(&fd);
        return;
    }
    if (pack_take_agent(pack, fd) != COVEY_OK)
        return;
    pack_hello(pack);
    if (!pack->prepared)
        return;
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        if (pack->workers[i].ended && !pack->workers[i].acknowledged)
            pack_tell_ended(pack, &pack->workers[i]);
    }
    pack_own_tell(pack);
    backlog_rewind(&pack->backlog);
}

/* The host is gone: nothing comes from other nodes any more, and nothing goes there. */
void pack_lifeline_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    static const char reason[] = "its node's host is gone";
    (void)events;
    pack_drop(pack, source);
    pack->host_gone = true;
    for (uint32_t node = 0; node < arena_node_count(pack->arena); node++) {
        if (node != arena_node(pack->arena))
            arena_mark_node_died(pack->arena, node, reason);
    }
    arena_shut_gate(pack->arena);
    arena_wake_all(pack->arena);
}

static struct pack_worker *worker_of(struct pack *pack, struct pack_source *source, uint32_t rank)
{
    if (rank < pack->here.first_rank || rank - pack->here.first_rank >= pack->here.workers)
        return NULL;
    struct pack_worker *worker = &pack->workers[rank - pack->here.first_rank];
    /* A process speaks for itself; threads share the first one's socket. */
    return worker->pid == 0 || source == &worker->control ? worker : NULL;
}

static void take_result(struct pack *pack, struct pack_worker *worker, int *fd)
{
    struct stat facts;
    const int seals = F_SEAL_SHRINK | F_SEAL_WRITE;
    if (worker->ended || *fd < 0)
        return;
    if ((fcntl(*fd, F_GET_SEALS) & seals) != seals || fstat(*fd, &facts) < 0 || facts.st_size < 0 ||
        (uint64_t)facts.st_size > pack->flare->max_result_bytes) {
        uint64_t unsaid;
        if (covey_log_allow(&pack->bad_results, covey_now_ns(), &unsaid))
            log_error("a result is not sealed or over the limit: dropped rank=%u unsaid=%llu",
                      worker->rank, (unsigned long long)unsaid);
        return;
    }
    covey_close(&worker->result_fd);
    worker->result_fd = *fd;
    worker->result_bytes = (uint64_t)facts.st_size;
    *fd = -1;
}

/* False where there is no more for now. */
static bool read_control(struct pack *pack, struct pack_source *source)
{
    struct worker_record said;
    size_t length_bytes;
    size_t fd_count;
    int fds[COVEY_IO_MAX_FDS];
    enum covey_status status =
        covey_receive_fds(source->fd, &said, sizeof(said), &length_bytes, fds, &fd_count);
    if (status == COVEY_EPROTO)
        return true;
    if (status == COVEY_EAGAIN)
        return false;
    if (status || length_bytes == 0) {
        pack_drop(pack, source);
        return false;
    }
    struct pack_worker *worker =
        length_bytes == sizeof(said) ? worker_of(pack, source, said.rank) : NULL;
    if (worker && said.kind == WORKER_RECORD_STARTED && worker->started_ns == 0)
        worker->started_ns = said.wall_ns > 0 ? said.wall_ns : covey_wall_ns();
    else if (worker && said.kind == WORKER_RECORD_RESULT && fd_count == 1)
        take_result(pack, worker, &fds[0]);
    for (size_t i = 0; i < fd_count; i++)
        covey_close(&fds[i]);
    return true;
}

void pack_control_drain(struct pack *pack, struct pack_source *source)
{
    while (source->fd >= 0 && read_control(pack, source))
        ;
}

void pack_control_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    (void)events;
    (void)read_control(pack, source);
}
