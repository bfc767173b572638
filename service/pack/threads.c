/* Workers that are threads of the pack. */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a thread leaves for the loop. */
struct thread_end {
    struct thread_end *next;
    struct pack_worker *worker;
    int status;
};

struct thread_start {
    struct pack_worker *worker;
    struct worker_setup setup;
    struct thread_end *end;
};

static int work(const struct thread_start *start)
{
    struct covey_error error = {0};
    struct covey_ctx *ctx;
    const struct pack *pack = start->worker->pack;
    pack_title_thread(pack, start->worker->rank);
    enum covey_status bound = pack_bind(pack, start->worker->rank - pack->here.first_rank);
    if (bound) {
        log_error("a worker cannot be bound to its cpus status=%s", covey_status_name(bound));
        return 126;
    }
    if (covey_worker_create(&start->setup, &ctx, &error) != COVEY_OK) {
        log_error("a worker cannot be set up: %s", error.message);
        return 126;
    }
    int status = 125;
    if (covey_worker_enter(ctx, COVEY_NEVER_NS) == COVEY_OK)
        status = start->worker->pack->entry(ctx);
    covey_worker_leave(ctx);
    return status;
}

static void *run_thread(void *data)
{
    struct thread_start *start = data;
    struct pack *pack = start->worker->pack;
    struct thread_end *end = start->end;
    const uint64_t one = 1;
    end->worker = start->worker;
    end->status = work(start);
    free(start);
    /* As exit() would for a process. Other streams of the code are written when the pack ends. */
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)pthread_mutex_lock(&pack->threads_lock);
    end->next = pack->thread_ends;
    pack->thread_ends = end;
    (void)pthread_mutex_unlock(&pack->threads_lock);
    if (write(pack->threads_done.fd, &one, sizeof(one)) != sizeof(one))
        log_error("a worker's end cannot be told rank=%u", end->worker->rank);
    return NULL;
}

void pack_threads_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    uint64_t count;
    (void)events;
    if (read(source->fd, &count, sizeof(count)) < 0)
        return;
    (void)pthread_mutex_lock(&pack->threads_lock);
    struct thread_end *end = pack->thread_ends;
    pack->thread_ends = NULL;
    (void)pthread_mutex_unlock(&pack->threads_lock);
    while (end) {
        struct thread_end *next = end->next;
        (void)pthread_join(end->worker->thread, NULL);
        const struct pack_end ended = {.worker = end->worker,
                                       .exit_status = pack_exit_status(end->status)};
        if (!end->worker->ended)
            pack_workers_ended(pack, &ended, 1);
        free(end);
        end = next;
    }
}

static enum covey_status share_control(struct pack *pack, int *workers_end,
                                       struct covey_error *error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
        fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return covey_error_set_errno(error, errno, "cannot make the workers' channel");
    pack->workers[0].control = (struct pack_source){.fd = ends[0], .ready = pack_control_ready};
    *workers_end = ends[1];
    pack->threads_done = (struct pack_source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                              .ready = pack_threads_ready};
    if (pack->threads_done.fd < 0)
        return covey_error_set_errno(error, errno, "cannot make an event");
    enum covey_status status = pack_watch(pack, &pack->workers[0].control, EPOLLIN);
    if (!status)
        status = pack_watch(pack, &pack->threads_done, EPOLLIN);
    return status ? covey_error_set(error, status, "cannot watch the workers") : COVEY_OK;
}

static enum covey_status make_thread(struct pack *pack, uint32_t index, int control_fd,
                                     struct covey_error *error)
{
    struct pack_worker *worker = &pack->workers[index];
    if (covey_fault(COVEY_FAULT_PACK_FORK))
        return covey_error_set(error, COVEY_EIO, "fault pack_fork");
    struct thread_start *start = covey_calloc(1, sizeof(*start));
    struct thread_end *end = covey_calloc(1, sizeof(*end));
    if (!start || !end) {
        free(start);
        free(end);
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a worker");
    }
    *start = (struct thread_start){worker, pack_worker_setup(pack, index, control_fd), end};
    int failed = pthread_create(&worker->thread, NULL, run_thread, start);
    if (failed) {
        free(start);
        free(end);
        enum covey_status status = covey_error_set_errno(
            error, failed, "cannot make worker thread %u of %u", index + 1, pack->here.workers);
        covey_error_add_limit(error);
        return status;
    }
    pack->running++;
    return COVEY_OK;
}

enum covey_status pack_make_threads(struct pack *pack, struct covey_error *error)
{
    int control_fd = -1;
    enum covey_status status = share_control(pack, &control_fd, error);
    if (!status)
        status = pack_own_pipes(pack, error);
    if (!status && !pack_place_stdin(pack, 0))
        status = covey_error_set_errno(error, errno, "cannot open the workers' standard input");
    uint32_t pid = pack_outer_pid(getpid());
    for (uint32_t i = 0; i < pack->here.workers && !status; i++) {
        status = make_thread(pack, i, control_fd, error);
        pack->workers[i].outer_pid = pid;
    }
    return status;
}
