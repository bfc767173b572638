#include "rpc/transport.h"

#include "base/error.h"
#include "base/list.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define READ_BYTES 65536

struct rpc_transport {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    const struct rpc_transport_events *events;
    void *owner;
    struct rpc_tls_session *tls;
    uv_connect_t connect;
    uv_write_t write;
    struct covey_buffer pending;   /* being written by uv_write */
    struct covey_buffer encrypted; /* TLS records on their way */
    uint8_t *read_bytes;
    bool is_unix;
    bool writing;
    bool open;
    bool failed;
    bool closing;
};

struct rpc_transport *rpc_transport_create(uv_loop_t *loop, bool is_unix,
                                           const struct rpc_transport_events *events, void *owner)
{
    struct rpc_transport *transport = covey_calloc(1, sizeof *transport);
    if (!transport)
        return NULL;
    transport->read_bytes = covey_malloc(READ_BYTES);
    if (!transport->read_bytes)
        goto no_bytes;
    transport->events = events;
    transport->owner = owner;
    transport->is_unix = is_unix;
    int failed = is_unix ? uv_pipe_init(loop, &transport->handle.pipe, 0)
                         : uv_tcp_init(loop, &transport->handle.tcp);
    if (failed)
        goto no_handle;
    return transport;
no_handle:
    free(transport->read_bytes);
no_bytes:
    free(transport);
    return NULL;
}

uv_stream_t *rpc_transport_stream(struct rpc_transport *transport)
{
    return &transport->handle.stream;
}

static void fail(struct rpc_transport *transport, const char *reason)
{
    if (transport->failed || transport->closing)
        return;
    transport->failed = true;
    transport->events->on_failed(transport->owner, reason);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct rpc_transport *transport =
        covey_container_of((uv_stream_t *)handle, struct rpc_transport, handle.stream);
    *buffer = uv_buf_init((char *)transport->read_bytes, READ_BYTES);
}

static enum covey_status send_raw(struct rpc_transport *transport, struct covey_buffer *buffer);

static void on_written(uv_write_t *request, int status)
{
    struct rpc_transport *transport = covey_container_of(request, struct rpc_transport, write);
    transport->writing = false;
    transport->pending.length_bytes = 0;
    if (transport->closing)
        return;
    if (status < 0) {
        fail(transport, uv_strerror(status));
        return;
    }
    if (send_raw(transport, &transport->encrypted) != COVEY_OK) {
        fail(transport, "the connection broke");
        return;
    }
    if (!transport->writing && transport->open)
        transport->events->on_drained(transport->owner);
}

/* Sends raw bytes; what the socket does not take at once is kept for uv_write. */
static enum covey_status send_raw(struct rpc_transport *transport, struct covey_buffer *buffer)
{
    if (buffer->length_bytes == 0)
        return COVEY_OK;
    uv_stream_t *stream = &transport->handle.stream;
    uv_buf_t bytes = uv_buf_init((char *)buffer->data, (unsigned)buffer->length_bytes);
    int sent = uv_try_write(stream, &bytes, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        return covey_status_from_errno(-sent);
    if ((size_t)sent == buffer->length_bytes) {
        buffer->length_bytes = 0;
        return COVEY_OK;
    }
    covey_buffer_consume(buffer, (size_t)sent);
    struct covey_buffer rest = *buffer;
    *buffer = transport->pending;
    buffer->length_bytes = 0;
    transport->pending = rest;
    bytes = uv_buf_init((char *)rest.data, (unsigned)rest.length_bytes);
    int failed = uv_write(&transport->write, stream, &bytes, 1, on_written);
    if (failed)
        return covey_status_from_errno(-failed);
    transport->writing = true;
    return COVEY_OK;
}

/* TLS makes records of its own accord too (handshake, tickets): they wait behind a write in
 * progress, and go with the next. */
static enum covey_status send_records(struct rpc_transport *transport)
{
    enum covey_status status = rpc_tls_take_records(transport->tls, &transport->encrypted);
    if (status || transport->writing)
        return status;
    return send_raw(transport, &transport->encrypted);
}

static void deliver_tls(struct rpc_transport *transport, size_t length_bytes)
{
    if (rpc_tls_give_records(transport->tls, transport->read_bytes, length_bytes) != COVEY_OK) {
        fail(transport, "out of memory");
        return;
    }
    if (!transport->open) {
        const char *reason = NULL;
        enum rpc_tls_state state = rpc_tls_handshake(transport->tls, &reason);
        if (send_records(transport) != COVEY_OK && !reason)
            reason = "the connection broke in the TLS handshake";
        if (reason) {
            fail(transport, reason);
            return;
        }
        if (state == RPC_TLS_WAITING)
            return;
        transport->open = true;
        transport->events->on_open(transport->owner);
    }
    while (!transport->closing && !transport->failed) {
        size_t plain_bytes = 0;
        const char *reason = NULL;
        if (!rpc_tls_read(transport->tls, transport->read_bytes, READ_BYTES, &plain_bytes,
                          &reason)) {
            if (reason)
                fail(transport, reason);
            break;
        }
        transport->events->on_bytes(transport->owner, transport->read_bytes, plain_bytes);
    }
    if (!transport->closing && !transport->failed && send_records(transport) != COVEY_OK)
        fail(transport, "the connection broke");
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    struct rpc_transport *transport =
        covey_container_of(stream, struct rpc_transport, handle.stream);
    if (length == 0 || transport->closing || transport->failed)
        return;
    if (length < 0) {
        fail(transport,
             length == UV_EOF ? "the peer closed the connection" : uv_strerror((int)length));
        return;
    }
    if (transport->tls)
        deliver_tls(transport, (size_t)length);
    else
        transport->events->on_bytes(transport->owner, transport->read_bytes, (size_t)length);
}

enum covey_status rpc_transport_start(struct rpc_transport *transport,
                                      struct rpc_tls_session *take_tls)
{
    transport->tls = take_tls;
    if (!transport->is_unix)
        uv_tcp_nodelay(&transport->handle.tcp, 1);
    int failed = uv_read_start(&transport->handle.stream, on_alloc, on_read);
    if (failed)
        return covey_status_from_errno(-failed);
    if (!transport->tls) {
        transport->open = true;
        transport->events->on_open(transport->owner);
        return COVEY_OK;
    }
    const char *reason = NULL;
    (void)rpc_tls_handshake(transport->tls, &reason);
    return reason ? COVEY_EPROTO : send_records(transport);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct rpc_transport *transport = covey_container_of(request, struct rpc_transport, connect);
    if (transport->closing)
        return;
    if (status < 0) {
        fail(transport, uv_strerror(status));
        return;
    }
    struct rpc_tls_session *tls = transport->tls;
    if (rpc_transport_start(transport, tls) != COVEY_OK)
        fail(transport, "the connection broke");
}

enum covey_status rpc_transport_connect(struct rpc_transport *transport,
                                        const struct sockaddr *address,
                                        struct rpc_tls_session *take_tls)
{
    transport->tls = take_tls;
    if (transport->is_unix) {
        const struct sockaddr_un *local = (const struct sockaddr_un *)(const void *)address;
        uv_pipe_connect(&transport->connect, &transport->handle.pipe, local->sun_path,
                        on_connected);
        return COVEY_OK;
    }
    int failed = uv_tcp_connect(&transport->connect, &transport->handle.tcp, address, on_connected);
    return failed ? covey_status_from_errno(-failed) : COVEY_OK;
}

bool rpc_transport_drained(const struct rpc_transport *transport)
{
    return !transport->writing;
}

enum covey_status rpc_transport_write(struct rpc_transport *transport, struct covey_buffer *buffer)
{
    if (transport->failed || transport->closing)
        return COVEY_EUNAVAILABLE;
    if (!transport->tls)
        return send_raw(transport, buffer);
    enum covey_status status = rpc_tls_write(transport->tls, buffer->data, buffer->length_bytes);
    buffer->length_bytes = 0;
    return status ? status : send_records(transport);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct rpc_transport *transport =
        covey_container_of((uv_stream_t *)handle, struct rpc_transport, handle.stream);
    const struct rpc_transport_events *events = transport->events;
    void *owner = transport->owner;
    rpc_tls_session_destroy(transport->tls);
    covey_buffer_free(&transport->pending);
    covey_buffer_free(&transport->encrypted);
    free(transport->read_bytes);
    free(transport);
    events->on_closed(owner);
}

void rpc_transport_close(struct rpc_transport *transport)
{
    if (transport->closing)
        return;
    transport->closing = true;
    if (transport->tls && transport->open && !transport->failed && !transport->writing) {
        rpc_tls_shutdown(transport->tls);
        (void)send_records(transport); /* a courtesy: the peer also sees the socket close */
    }
    uv_close((uv_handle_t *)&transport->handle.stream, on_handle_closed);
}

int rpc_transport_fd(const struct rpc_transport *transport)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&transport->handle.stream, &fd) ? -1 : fd;
}
