#include "rpc/listener.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/address.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024

static void on_connection(uv_stream_t *stream, int status)
{
    struct rpc_listener *listener = covey_container_of(stream, struct rpc_listener, handle.stream);
    if (status < 0) {
        log_warn("cannot accept a connection error=\"%s\"", uv_strerror(status));
        return;
    }
    rpc_server_accept(listener);
}

static void free_when_closed(struct rpc_listener *listener)
{
    if (!listener->closed || listener->refusing)
        return;
    struct rpc_server *server = listener->server;
    rpc_tls_context_destroy(listener->tls);
    free(listener->path);
    free(listener);
    rpc_turn_unref(&server->turn);
}

static void on_closed(uv_handle_t *handle)
{
    struct rpc_listener *listener =
        covey_container_of((uv_stream_t *)handle, struct rpc_listener, handle.stream);
    listener->closed = true;
    free_when_closed(listener);
}

static void on_refused_closed(uv_handle_t *handle)
{
    struct rpc_listener *listener =
        covey_container_of((uv_stream_t *)handle, struct rpc_listener, refused.stream);
    listener->refusing = false;
    if (listener->waiting && !uv_is_closing((uv_handle_t *)&listener->handle.stream)) {
        listener->waiting = false;
        rpc_server_accept(listener);
    }
    free_when_closed(listener);
}

void rpc_listener_refuse(struct rpc_listener *listener)
{
    if (listener->refusing) {
        listener->waiting = true;
        return;
    }
    listener->refusing = true;
    uv_loop_t *loop = listener->server->turn.loop;
    if (listener->is_unix)
        uv_pipe_init(loop, &listener->refused.pipe, 0);
    else
        uv_tcp_init(loop, &listener->refused.tcp);
    (void)uv_accept(&listener->handle.stream, &listener->refused.stream);
    uv_close((uv_handle_t *)&listener->refused.stream, on_refused_closed);
}

void rpc_listener_close(struct rpc_listener *listener)
{
    struct stat now;
    if (listener->path && lstat(listener->path, &now) == 0 && now.st_dev == listener->device &&
        now.st_ino == listener->inode)
        (void)unlink(listener->path);
    covey_list_remove(&listener->link);
    uv_close((uv_handle_t *)&listener->handle.stream, on_closed);
}

/* Removes a socket that nobody listens on. EEXIST: somebody does, or it is no socket. */
static enum covey_status clear_stale(const struct rpc_address *address, struct covey_error *error)
{
    const char *path = address->local.sun_path;
    struct stat found;
    if (lstat(path, &found) != 0)
        return COVEY_OK;
    if (!S_ISSOCK(found.st_mode))
        return covey_error_set(error, COVEY_EEXISTS, "%s exists and is no socket", path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return covey_error_set_errno(error, errno, "cannot make a socket");
    int failed = connect(probe, (const struct sockaddr *)&address->local, sizeof address->local);
    int reason = errno;
    covey_close(&probe);
    if (failed == 0 || reason == EAGAIN)
        return covey_error_set(error, COVEY_EEXISTS, "another server listens on %s", path);
    if (reason != ECONNREFUSED)
        return covey_error_set_errno(error, reason, "cannot tell whether %s is in use", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return covey_error_set_errno(error, errno, "cannot replace %s", path);
    return COVEY_OK;
}

/* The mode is set on the socket before it gets its name, so that no moment is open to others. */
static enum covey_status bind_unix(const struct rpc_address *address, int *fd,
                                   struct covey_error *error)
{
    enum covey_status status = clear_stale(address, error);
    if (status)
        return status;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return covey_error_set_errno(error, errno, "cannot make a socket");
    if (fchmod(*fd, 0600) == 0 &&
        bind(*fd, (const struct sockaddr *)&address->local, sizeof address->local) == 0)
        return COVEY_OK;
    int reason = errno;
    covey_close(fd);
    return covey_error_set_errno(error, reason, "cannot listen on %s", address->local.sun_path);
}

static enum covey_status listen_unix(struct rpc_listener *listener,
                                     const struct rpc_address *address, struct covey_error *error)
{
    int fd;
    enum covey_status status = bind_unix(address, &fd, error);
    if (status)
        return status;
    struct stat made;
    const char *path = address->local.sun_path;
    int failed = uv_pipe_open(&listener->handle.pipe, fd);
    if (failed) {
        close(fd);
        (void)unlink(path);
        return covey_error_set_errno(error, -failed, "cannot listen on %s", path);
    }
    failed = uv_listen(&listener->handle.stream, BACKLOG, on_connection);
    listener->path = covey_strdup(path);
    if (failed || !listener->path || stat(path, &made) != 0) {
        (void)unlink(path);
        return covey_error_set_errno(error, failed ? -failed : ENOMEM, "cannot listen on %s", path);
    }
    listener->device = made.st_dev;
    listener->inode = made.st_ino;
    return COVEY_OK;
}

static enum covey_status listen_tcp(struct rpc_listener *listener,
                                    const struct rpc_address *address, struct covey_error *error)
{
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int failed = uv_getaddrinfo(listener->server->turn.loop, &request, NULL, address->host,
                                address->port, &hints);
    if (failed)
        return covey_error_set(error, COVEY_EINVAL, "cannot resolve %s: %s", address->host,
                               uv_strerror(failed));
    const struct sockaddr *found = request.addrinfo->ai_addr;
    enum covey_status status = COVEY_OK;
    if (!listener->tls && !listener->server->options.allow_plaintext &&
        !rpc_address_is_loopback(found))
        status = covey_error_set(error, COVEY_EINVAL,
                                 "%s is no loopback address: it needs TLS, or plaintext allowed",
                                 address->host);
    if (!status) {
        failed = uv_tcp_bind(&listener->handle.tcp, found, 0);
        if (!failed)
            failed = uv_listen(&listener->handle.stream, BACKLOG, on_connection);
        if (failed == UV_EADDRINUSE)
            status = covey_error_set(error, COVEY_EEXISTS, "port %s of %s is taken", address->port,
                                     address->host);
        else if (failed)
            status = covey_error_set_errno(error, -failed, "cannot listen on %s:%s", address->host,
                                           address->port);
    }
    uv_freeaddrinfo(request.addrinfo);
    return status;
}

static enum covey_status tell_bound(const struct rpc_listener *listener, const char *asked,
                                    char *bound, size_t bound_bytes)
{
    if (!bound || bound_bytes == 0)
        return COVEY_OK;
    if (listener->is_unix) {
        snprintf(bound, bound_bytes, "%s", asked);
        return COVEY_OK;
    }
    struct sockaddr_storage name;
    int name_bytes = sizeof name;
    if (uv_tcp_getsockname(&listener->handle.tcp, (struct sockaddr *)&name, &name_bytes) != 0)
        return COVEY_EIO;
    char *text = rpc_address_format((struct sockaddr *)&name);
    if (!text)
        return COVEY_ENOMEM;
    snprintf(bound, bound_bytes, "%s", text);
    free(text);
    return COVEY_OK;
}

enum covey_status rpc_server_listen(struct rpc_server *server, const char *address,
                                    const struct rpc_tls *tls, char *bound, size_t bound_bytes,
                                    struct covey_error *error)
{
    struct rpc_address parsed;
    enum covey_status status = rpc_address_parse(address, &parsed, error);
    if (status)
        return status;
    struct rpc_listener *listener = covey_calloc(1, sizeof *listener);
    if (!listener)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    if (tls)
        status = rpc_tls_context_create(tls, true, &listener->tls, error);
    if (status) {
        free(listener);
        return status;
    }
    listener->server = server;
    listener->is_unix = parsed.is_unix;
    rpc_turn_ref(&server->turn);
    covey_list_push_back(&server->listeners, &listener->link);
    if (parsed.is_unix)
        uv_pipe_init(server->turn.loop, &listener->handle.pipe, 0);
    else
        uv_tcp_init(server->turn.loop, &listener->handle.tcp);
    status = parsed.is_unix ? listen_unix(listener, &parsed, error)
                            : listen_tcp(listener, &parsed, error);
    if (!status)
        status = tell_bound(listener, address, bound, bound_bytes);
    if (status)
        rpc_listener_close(listener);
    return status;
}
