/* Ends of workers: the news goes into the arena first, since their peers wait for it. */
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Notes how a worker ended, before others are told: theirs, if they end because of it, are later.
 */
static struct arena_end note_end(struct pack *pack, const struct pack_end *end,
                                 char how[ARENA_REASON_BYTES])
{
    struct pack_worker *worker = end->worker;
    worker->ended_ns = covey_wall_ns();
    worker->exit_status = end->exit_status;
    worker->signal = end->signal;
    bool succeeded = end->exit_status == 0 && end->signal == 0;
    worker->stopped = pack->stopping && !succeeded;
    struct pollfd lifeline = {.fd = pack->lifeline.fd, .events = POLLRDHUP};
    worker->host_gone = pack->host_gone || poll(&lifeline, 1, 0) == 1;
    *how = '\0';
    if (worker->stopped)
        (void)covey_text_print(how, ARENA_REASON_BYTES, "stopped: %s", pack->stop_reason);
    else if (!succeeded)
        local_describe_end(how, ARENA_REASON_BYTES, end->signal, end->exit_status);
    if (worker->stopped)
        (void)covey_text_print(worker->message, sizeof(worker->message), "%s", how);
    return (struct arena_end){
        .rank = worker->rank, .state = succeeded ? ARENA_DONE : ARENA_DIED, .reason = how};
}

/* Takes in what the worker has left, and tells the agent. */
static void finish_worker(struct pack *pack, struct pack_worker *worker)
{
    if (worker->pid != 0)
        pack_control_drain(pack, &worker->control);
    else
        pack_control_drain(pack, &pack->workers[0].control);
    worker->ended = true;
    if (worker->pid != 0)
        pack_drop(pack, &worker->control);
    if (worker->exit_status != 0 || worker->signal != 0)
        covey_close(&worker->result_fd);
    if (worker->result_fd < 0)
        worker->result_bytes = 0;
    pack->running--;
    /* What it wrote before it ended comes before its end, as far as the log is open. */
    pack_output_catch_up(pack, worker);
    pack_tell_started(pack);
    pack_log_say(pack);
    pack_tell_ended(pack, worker);
}

void pack_workers_ended(struct pack *pack, const struct pack_end *ends, size_t count)
{
    struct arena_end news[PACK_ENDS] = {0};
    char how[PACK_ENDS][ARENA_REASON_BYTES];
    uint32_t gone[PACK_ENDS];
    size_t gone_count = 0;
    for (size_t i = 0; i < count; i++) {
        news[i] = note_end(pack, &ends[i], how[i]);
        if (!ends[i].still_runs)
            gone[gone_count++] = news[i].rank;
    }
    arena_mark_all_ended(pack->arena, news, count);
    arena_reap(pack->arena, gone, gone_count);
    for (size_t i = 0; i < count; i++)
        finish_worker(pack, ends[i].worker);
}

static struct pack_worker *worker_by_pid(struct pack *pack, pid_t pid)
{
    for (uint32_t i = 0; pack->workers && i < pack->here.workers; i++) {
        if (pack->workers[i].pid == pid && !pack->workers[i].ended)
            return &pack->workers[i];
    }
    return NULL;
}

/* Waits for as many as have ended, at most PACK_ENDS. */
static size_t wait_for_ends(struct pack *pack, struct pack_end *ends)
{
    size_t count = 0;
    while (count < PACK_ENDS) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            break;
        struct pack_worker *worker = worker_by_pid(pack, pid);
        if (!worker)
            continue; /* what a worker left behind */
        ends[count++] =
            (struct pack_end){.worker = worker,
                              .exit_status = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
                              .signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0};
    }
    return count;
}

void pack_signals_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct signalfd_siginfo news[16];
    (void)events;
    while (read(source->fd, news, sizeof(news)) > 0)
        ;
    struct pack_end ends[PACK_ENDS];
    for (size_t count; (count = wait_for_ends(pack, ends)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            if (covey_fault(COVEY_FAULT_PACK_REAP)) {
                pack_kill_all(pack);
                pack->finished = true;
                return;
            }
        }
        pack_workers_ended(pack, ends, count);
    }
}
