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

void pack_worker_ended(struct pack *pack, struct pack_worker *worker, uint32_t exit_status,
                       uint32_t signal)
{
    if (worker->ended)
        return;
    /* Before others are told: theirs, if they end because of it, are later. */
    worker->ended_ns = covey_wall_ns();
    worker->exit_status = exit_status;
    worker->signal = signal;
    worker->stopped = pack->stopping && (exit_status != 0 || signal != 0);
    struct pollfd lifeline = {.fd = pack->lifeline.fd, .events = POLLRDHUP};
    worker->host_gone = pack->host_gone || poll(&lifeline, 1, 0) == 1;
    bool succeeded = exit_status == 0 && signal == 0;
    char how[ARENA_REASON_BYTES] = "";
    if (worker->stopped)
        (void)covey_text_print(how, sizeof(how), "stopped: %s", pack->stop_reason);
    else if (!succeeded)
        local_describe_end(how, sizeof(how), signal, exit_status);
    arena_mark_ended(pack->arena, worker->rank, succeeded ? ARENA_DONE : ARENA_DIED, how);
    if (worker->stopped)
        (void)covey_text_print(worker->message, sizeof(worker->message), "%s", how);
    arena_reap(pack->arena, worker->rank);
    if (worker->pid != 0)
        pack_control_drain(pack, &worker->control);
    else
        pack_control_drain(pack, &pack->workers[0].control);
    worker->ended = true;
    if (worker->pid != 0)
        pack_drop(pack, &worker->control);
    if (!succeeded)
        covey_close(&worker->result_fd);
    if (worker->result_fd < 0)
        worker->result_bytes = 0;
    pack->running--;
    /* What it wrote before it ended comes before its end, as far as the log is open. */
    for (int k = 0; k < 2; k++) {
        if (worker->outputs[k].source.watched)
            pack_output_ready(pack, &worker->outputs[k].source, 0);
    }
    pack_tell_started(pack);
    pack_log_flush(pack);
    pack_tell_ended(pack, worker);
}

static struct pack_worker *worker_by_pid(struct pack *pack, pid_t pid)
{
    for (uint32_t i = 0; pack->workers && i < pack->here.workers; i++) {
        if (pack->workers[i].pid == pid && !pack->workers[i].ended)
            return &pack->workers[i];
    }
    return NULL;
}

void pack_signals_ready(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct signalfd_siginfo news[16];
    (void)events;
    while (read(source->fd, news, sizeof(news)) > 0)
        ;
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        struct pack_worker *worker = worker_by_pid(pack, pid);
        if (!worker)
            continue; /* what a worker left behind */
        if (covey_fault(COVEY_FAULT_PACK_REAP)) {
            pack_kill_all(pack);
            pack->finished = true;
            return;
        }
        pack_worker_ended(pack, worker, WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
                          WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0);
    }
}
