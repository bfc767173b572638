/* The host's connection to its agent. */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct host_agent {
    struct host *host;
    struct local_peer peer;
};

static void on_no_return(uv_timer_t *timer)
{
    struct host *host = timer->data;
    log_warn("the agent has not come back: the host ends flare=%s", host->flare->flare_id);
    host_exit(host, 1);
}

static void on_record(struct local_peer *peer, struct local_record *record, void *data)
{
    struct host_agent *agent = data;
    (void)peer;
    if (agent->host->agent == agent)
        host_on_record(agent->host, record);
}

static void on_lost(struct local_peer *peer, enum covey_status status, void *data)
{
    struct host_agent *agent = data;
    struct host *host = agent->host;
    (void)peer;
    if (status != COVEY_EUNAVAILABLE)
        log_error("the agent's connection failed status=%s", covey_status_name(status));
    if (host->agent != agent)
        return;
    host->agent = NULL;
    if (!host->ready || host->lifelines_open == 0)
        host_exit(host, 0);
    (void)uv_timer_start(&host->return_timer, on_no_return, LOCAL_RETURN_NS / COVEY_NS_PER_MS, 0);
}

static void on_closed(struct local_peer *peer, void *data)
{
    (void)peer;
    free(data);
}

static const struct local_peer_events events = {on_record, on_lost, on_closed};

static void say_hello(struct host *host)
{
    static char role[] = "host";
    static char version[] = COVEY_VERSION;
    Covey__V1__LocalHello hello = COVEY__V1__LOCAL_HELLO__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    hello.role = role;
    hello.version = version;
    hello.ready = true;
    hello.started = host->started;
    hello.host_address = host->address;
    hello.transport = host->transport;
    hello.done = host->done;
    if (host->flare)
        hello.flare_id = host->flare->flare_id;
    host_send(host, &message, &host->flare_fd, host->flare ? 1 : 0);
}

static bool may_be_agent(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void on_connection(uv_poll_t *poll, int status, int events_seen)
{
    struct host *host = poll->data;
    (void)status;
    (void)events_seen;
    int fd = accept4(host->listener_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct host_agent *agent = may_be_agent(fd) ? covey_calloc(1, sizeof(*agent)) : NULL;
    if (!agent) {
        covey_close(&fd);
        return;
    }
    agent->host = host;
    enum covey_status opened = peer_open(&agent->peer, &host->loop, fd, &events, agent);
    if (opened) {
        log_error("a connection cannot be used status=%s", covey_status_name(opened));
        free(agent);
        return;
    }
    struct host_agent *old = host->agent;
    host->agent = agent;
    if (old)
        peer_close(&old->peer);
    (void)uv_timer_stop(&host->return_timer);
    say_hello(host);
}

enum covey_status host_listen(struct host *host, struct covey_error *error)
{
    /* Again: whoever connects later is told who listens, not who made the socket. */
    if (fcntl(host->listener_fd, F_SETFD, FD_CLOEXEC) < 0 || listen(host->listener_fd, 8) < 0)
        return covey_error_set_errno(error, errno,
                                     "descriptor 3 is not the socket that an agent gives");
    (void)uv_timer_init(&host->loop, &host->return_timer);
    host->return_timer.data = host;
    if (uv_poll_init(&host->loop, &host->listener, host->listener_fd) < 0 ||
        uv_poll_start(&host->listener, UV_READABLE, on_connection) < 0)
        return covey_error_set(error, COVEY_EIO, "cannot wait for the agent");
    host->listener.data = host;
    return COVEY_OK;
}

void host_send(struct host *host, const local_message *message, const int *fds, size_t fd_count)
{
    if (!host->agent)
        return;
    enum covey_status status = peer_send(&host->agent->peer, message, fds, fd_count);
    if (status && status != COVEY_EUNAVAILABLE)
        log_error("cannot tell the agent status=%s", covey_status_name(status));
}

void host_tell_transport(struct host *host)
{
    Covey__V1__HostTransport transport = COVEY__V1__HOST_TRANSPORT__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_TRANSPORT;
    message.host_transport = &transport;
    transport.name = host->transport;
    host_send(host, &message, NULL, 0);
}

void host_tell_done(struct host *host)
{
    Covey__V1__HostDone done = COVEY__V1__HOST_DONE__INIT;
    local_message message = COVEY__V1__LOCAL_MESSAGE__INIT;
    message.body_case = COVEY__V1__LOCAL_MESSAGE__BODY_HOST_DONE;
    message.host_done = &done;
    host->done = true;
    host_send(host, &message, NULL, 0);
}
