/* Ending a flare's workers, and the pack with them. */
#include "base/log.h"
#include "base/text.h"
#include "service/pack/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The processes that workers have left behind end within this time, or are not waited for. */
#define DRAIN_NS (300 * COVEY_NS_PER_MS)

static void signal_workers(struct pack *pack, int signal_number)
{
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        const struct pack_worker *worker = &pack->workers[i];
        /* Its process group, which is its own. */
        if (worker->pid > 0 && !worker->ended)
            (void)kill(-worker->pid, signal_number);
    }
}

void pack_kill_all(struct pack *pack)
{
    /* The first process of a pid namespace reaches all of it, and nothing else. */
    if (getpid() == 1)
        (void)kill(-1, SIGKILL);
    else if (pack->workers)
        signal_workers(pack, SIGKILL);
}

void pack_stop(struct pack *pack, int64_t grace_ns, const char *reason)
{
    int64_t now_ns = covey_now_ns();
    if (!pack->prepared) {
        pack->finished = true;
        return;
    }
    int64_t deadline_ns = covey_deadline_ns(now_ns, grace_ns > 0 ? grace_ns : 0);
    if (!pack->stopping) {
        (void)covey_text_print(pack->stop_reason, sizeof(pack->stop_reason), "%s", reason);
        arena_shut_gate(pack->arena);
    }
    /* A later stop can only be more urgent. */
    if (deadline_ns < pack->stop_deadline_ns)
        pack->stop_deadline_ns = deadline_ns;
    if (!pack->stopping && grace_ns > 0)
        signal_workers(pack, SIGTERM);
    pack->stopping = true;
}

/* Threads cannot be ended one by one: they go with the process. */
static void end_threads(struct pack *pack)
{
    for (uint32_t i = 0; i < pack->here.workers; i++) {
        const struct pack_end end = {
            .worker = &pack->workers[i], .signal = SIGKILL, .still_runs = true};
        if (pack->workers[i].pid != 0 || pack->workers[i].ended)
            continue;
        pack->cut_short = true;
        pack_workers_ended(pack, &end, 1);
    }
}

static bool children_gone(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void tell_done(struct pack *pack)
{
    Covey__V1__PackDone done = COVEY__V1__PACK_DONE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_PACK_DONE;
    message.pack_done = &done;
    if (pack->threads_done.fd >= 0 && !pack->cut_short) {
        done.leaves = pack->leaves = true;
        pack_own_leave(pack);
    }
    pack_log_say(pack);
    pack_send(pack, &message, NULL, 0);
    pack->told_done = true;
}

void pack_stop_progress(struct pack *pack, int64_t now_ns)
{
    if (!pack->stopping)
        return;
    if (pack->told_done && pack->leaves && !link_wants_write(&pack->link))
        pack->finished = true;
    if (pack->running > 0 && now_ns >= pack->stop_deadline_ns) {
        pack_kill_all(pack);
        pack->stop_deadline_ns = COVEY_NEVER_NS;
        end_threads(pack);
    }
    if (pack->running > 0 || pack->told_done)
        return;
    if (!pack->emptied) {
        pack->emptied = true;
        pack->stop_deadline_ns = COVEY_NEVER_NS;
        pack->drain_deadline_ns = now_ns + DRAIN_NS;
        pack_kill_all(pack);
    }
    /* What is still there then may hold the outputs open, but is not listened to any more. */
    if (!pack->settled && !children_gone() && now_ns < pack->drain_deadline_ns)
        return;
    pack->drain_deadline_ns = COVEY_NEVER_NS;
    if (!pack->settled)
        pack_outputs_settle(pack);
    pack->settled = true;
    if (pack_outputs_drain(pack))
        tell_done(pack);
}

void pack_stop_cut(struct pack *pack)
{
    if (pack->settled && !pack->told_done) {
        pack->cut_short = true;
        pack_outputs_cut(pack);
        tell_done(pack);
    }
}

/* What is killed may write until it is gone. */
static void remove_folder(const struct pack *pack)
{
    const int64_t by_ns = covey_now_ns() + DRAIN_NS;
    /* A name that is not absolute led from where the pack was started. */
    if (!pack->flare || *pack->flare->own_folder != '/')
        return;
    while (!children_gone() && covey_now_ns() < by_ns) {
        if (waitpid(-1, NULL, WNOHANG) == 0)
            (void)poll(NULL, 0, 1);
    }
    enum covey_status status = covey_remove_tree(pack->flare->own_folder);
    if (status)
        log_error("the flare's folder is left path=%s status=%s", pack->flare->own_folder,
                  covey_status_name(status));
}

void pack_remove_traces(const struct pack *pack)
{
    remove_folder(pack);
    char prefix[64];
    char own[sizeof(pack->socket_name) + 8];
    int folder = open(pack->runtime_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = folder >= 0 ? fdopendir(folder) : NULL;
    if (!names) {
        covey_close(&folder);
        return;
    }
    (void)snprintf(own, sizeof(own), "%s", pack->socket_name);
    (void)snprintf(prefix, sizeof(prefix), "%s.", pack->flare ? pack->flare->flare_id : "\n");
    for (struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        if (strcmp(entry->d_name, own) == 0 || strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            (void)unlinkat(dirfd(names), entry->d_name, 0);
    }
    closedir(names);
}
