#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "client/internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

void covey_client_options_init(struct covey_client_options *options)
{
    *options = (struct covey_client_options){
        .timeout_ns = 30 * COVEY_NS_PER_S,
        .reconnect_ns = 60 * COVEY_NS_PER_S,
    };
}

static enum covey_status open_channel(struct covey_client *client,
                                      const struct covey_client_options *options,
                                      struct covey_error *error)
{
    struct rpc_channel_options channel;
    struct rpc_tls tls = {
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .ca_file = options->ca_file,
        .server_name = options->server_name,
    };
    if (!options->server)
        return covey_error_set(error, COVEY_EINVAL, "no server is given");
    rpc_channel_options_init(&channel);
    channel.tls = options->tls ? &tls : NULL;
    channel.token = options->token;
    channel.allow_plaintext = options->allow_plaintext;
    return rpc_channel_create(&client->loop, options->server, &channel, &client->channel, error);
}

static bool watch_fd(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static enum covey_status open_fds(struct covey_client *client, struct covey_error *error)
{
    client->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    client->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (client->timer_fd < 0 || client->poll_fd < 0 ||
        !watch_fd(client->poll_fd, uv_backend_fd(&client->loop)) ||
        !watch_fd(client->poll_fd, client->timer_fd))
        return covey_error_set_errno(error, errno, "cannot make the client's descriptors");
    return COVEY_OK;
}

enum covey_status covey_client_create(const struct covey_client_options *options,
                                      struct covey_client **client, struct covey_error *error)
{
    *client = NULL;
    struct covey_client *made = covey_calloc(1, sizeof *made);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    covey_list_init(&made->operations);
    made->poll_fd = made->timer_fd = -1;
    made->json = options->json;
    made->timeout_ns = options->timeout_ns;
    made->reconnect_ns = options->reconnect_ns;
    enum covey_status status;
    int failed = uv_loop_init(&made->loop);
    if (failed) {
        status = covey_error_set_errno(error, -failed, "cannot make the client's loop");
        goto free_client;
    }
    status = open_fds(made, error);
    if (!status)
        status = open_channel(made, options, error);
    if (status)
        goto close_loop;
    client_arm(made);
    *client = made;
    return COVEY_OK;

close_loop:
    (void)uv_loop_close(&made->loop);
    covey_close(&made->timer_fd);
    covey_close(&made->poll_fd);
free_client:
    free(made);
    return status;
}

void client_arm(struct covey_client *client)
{
    struct itimerspec when = {0};
    int timeout_ms = uv_loop_alive(&client->loop) ? uv_backend_timeout(&client->loop) : -1;
    if (timeout_ms == 0)
        when.it_value.tv_nsec = 1;
    if (timeout_ms > 0) {
        when.it_value.tv_sec = timeout_ms / 1000;
        when.it_value.tv_nsec = timeout_ms % 1000 * COVEY_NS_PER_MS;
    }
    (void)timerfd_settime(client->timer_fd, 0, &when, NULL);
}

/* Writing to a socket whose peer is gone raises SIGPIPE, which is the program's and not ours to
 * change: it is held back for this thread, and taken away again where we caused it. */
void client_run(struct covey_client *client, uv_run_mode mode)
{
    const struct timespec now = {0};
    sigset_t pipe, old, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    client->inside = true;
    uv_run(&client->loop, mode);
    client->inside = false;
    if (!was_pending)
        while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    client_arm(client);
}

int covey_client_fd(const struct covey_client *client)
{
    return client->poll_fd;
}

enum covey_status covey_client_process(struct covey_client *client)
{
    uint64_t expirations;
    if (client->inside)
        return COVEY_EPRECONDITION;
    while (read(client->timer_fd, &expirations, sizeof expirations) < 0 && errno == EINTR)
        ;
    client_run(client, UV_RUN_NOWAIT);
    return COVEY_OK;
}

void covey_client_destroy(struct covey_client *client)
{
    if (!client)
        return;
    client->closing = true;
    covey_list_for_each_safe (link, after, &client->operations)
        covey_operation_cancel(covey_container_of(link, struct covey_operation, link));
    rpc_channel_destroy(client->channel, NULL, NULL);
    client_run(client, UV_RUN_DEFAULT);
    (void)uv_loop_close(&client->loop);
    covey_close(&client->timer_fd);
    covey_close(&client->poll_fd);
    free(client);
}
