/* The pack's epoll, and what time brings. */
#include "base/error.h"
#include "base/log.h"
#include "service/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64

enum covey_status pack_watch(struct pack *pack, struct pack_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    int action = source->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(pack->epoll, action, source->fd, &event) < 0)
        return covey_status_from_errno(errno);
    source->watched = true;
    return COVEY_OK;
}

void pack_unwatch(struct pack *pack, struct pack_source *source)
{
    if (source->watched)
        (void)epoll_ctl(pack->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->watched = false;
}

void pack_drop(struct pack *pack, struct pack_source *source)
{
    pack_unwatch(pack, source);
    covey_close(&source->fd);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int wait_ms(const struct pack *pack, int64_t now_ns)
{
    int64_t next_ns = earliest(pack->agent_deadline_ns,
                               earliest(pack->stop_deadline_ns, pack->drain_deadline_ns));
    if (next_ns == COVEY_NEVER_NS)
        return -1;
    if (next_ns <= now_ns)
        return 0;
    return (int)((next_ns - now_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS);
}

/* All that was forked here, whatever it did to hide, and this process with it. */
static void kill_cgroup(const char *cgroup)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/cgroup.kill", cgroup);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1)
        log_error("cannot end a cgroup folder=%s error=\"%s\"", cgroup, strerror(errno));
    covey_close(&fd);
}

/* The agent has not come back: nobody will ever ask for what is here. */
static void give_up(struct pack *pack)
{
    pack_kill_all(pack);
    pack_remove_traces(pack);
    pack->finished = true;
    if (pack->cgroup)
        kill_cgroup(pack->cgroup);
}

static void pass_time(struct pack *pack, int64_t now_ns)
{
    bool agent_gone = pack->agent_deadline_ns != COVEY_NEVER_NS;
    if (agent_gone && (pack->host_gone || pack->agent_deadline_ns <= now_ns)) {
        give_up(pack);
        return;
    }
    pack_tell_started(pack);
    pack_stop_progress(pack, now_ns);
    /* After it: what it has read at the end must be said before there is room for more. */
    pack_log_say(pack);
}

/* A source may be closed by the event of another one that was reported in the same turn. */
static void dispatch(struct pack *pack, struct epoll_event *events, int count)
{
    for (int i = 0; i < count && !pack->finished; i++) {
        struct pack_source *source = events[i].data.ptr;
        if (source->watched)
            source->ready(pack, source, events[i].events);
    }
}

enum covey_status pack_run(struct pack *pack)
{
    struct epoll_event events[EVENTS];
    while (!pack->finished) {
        int count = epoll_wait(pack->epoll, events, EVENTS, wait_ms(pack, covey_now_ns()));
        if (count < 0 && errno != EINTR)
            return covey_status_from_errno(errno);
        dispatch(pack, events, count);
        if (!pack->finished)
            pass_time(pack, covey_now_ns());
    }
    return COVEY_OK;
}
