#include "rpc/transport.h"

#include "base/error.h"
#include "base/io.h"
#include "base/list.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An empty buffer larger than this is not kept for the next bytes. */
#define KEEP_BUFFER_BYTES ((size_t)16 << 10)

/* A peer that sends more than this after our last word is not waiting for it. */
#define PARTING_BYTES ((size_t)4 << 20)

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
    uv_poll_t writable;
    int writable_fd;               /* -1 until the socket was full for the first time */
    struct covey_buffer pending;   /* waits for room in the socket */
    struct covey_buffer encrypted; /* TLS records on their way */
    uint8_t *read_bytes;
    bool is_unix;
    bool writing;
    bool resting; /* from reading */
    bool open;
    bool started;
    bool recognised; /* the peer speaks TLS, too */
    bool failed;
    bool gone; /* the peer has ended, or the socket is broken */
    bool parting;
    size_t parting_bytes; /* that came since */
    bool closing;
};

struct rpc_transport *rpc_transport_create(uv_loop_t *loop, bool is_unix, uint8_t *read_bytes,
                                           const struct rpc_transport_events *events, void *owner)
{
    struct rpc_transport *transport = covey_calloc(1, sizeof *transport);
    if (!transport)
        return NULL;
    transport->read_bytes = read_bytes;
    transport->writable_fd = -1;
    transport->events = events;
    transport->owner = owner;
    transport->is_unix = is_unix;
    int failed = is_unix ? uv_pipe_init(loop, &transport->handle.pipe, 0)
                         : uv_tcp_init(loop, &transport->handle.tcp);
    if (!failed)
        return transport;
    free(transport);
    return NULL;
}

uv_stream_t *rpc_transport_stream(struct rpc_transport *transport)
{
    return &transport->handle.stream;
}

/* Nothing is read or written for the owner any more. */
static bool is_over(const struct rpc_transport *transport)
{
    return transport->failed || transport->parting || transport->closing;
}

static void fail(struct rpc_transport *transport, const char *reason)
{
    if (is_over(transport))
        return;
    transport->failed = true;
    transport->events->on_failed(transport->owner, reason);
}

static void fail_socket(struct rpc_transport *transport, const char *reason)
{
    transport->gone = true;
    fail(transport, reason);
}

/* What OpenSSL is given at once it keeps room for, as long as the connection lasts. */
#define TLS_READ_BYTES 16384

static size_t read_size(const struct rpc_transport *transport)
{
    return transport->tls ? TLS_READ_BYTES : RPC_TRANSPORT_READ_BYTES;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct rpc_transport *transport =
        covey_container_of((uv_stream_t *)handle, struct rpc_transport, handle.stream);
    *buffer = uv_buf_init((char *)transport->read_bytes, (unsigned)read_size(transport));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer);
static enum covey_status send_raw(struct rpc_transport *transport, struct covey_buffer *buffer);

/* As much as the socket takes now. Not by libuv, which would raise SIGPIPE in a process whose
 * signals are not ours to set. */
static enum covey_status send_now(struct rpc_transport *transport,
                                  const struct covey_buffer *buffer, size_t *sent_bytes)
{
    ssize_t sent;
    do {
        sent = send(rpc_transport_fd(transport), buffer->data, buffer->length_bytes,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    *sent_bytes = sent < 0 ? 0 : (size_t)sent;
    if (sent >= 0 || errno == EAGAIN || errno == ENOBUFS)
        return COVEY_OK;
    return covey_status_from_errno(errno);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct rpc_transport *transport = covey_container_of(poll, struct rpc_transport, writable);
    (void)events;
    if (is_over(transport))
        return;
    size_t sent = 0;
    if (status < 0 || send_now(transport, &transport->pending, &sent) != COVEY_OK)
        goto broken;
    covey_buffer_consume(&transport->pending, sent);
    if (transport->pending.length_bytes > 0)
        return;
    uv_poll_stop(&transport->writable);
    transport->writing = false;
    if (transport->pending.capacity_bytes > KEEP_BUFFER_BYTES)
        covey_buffer_free(&transport->pending);
    if (send_raw(transport, &transport->encrypted) != COVEY_OK)
        goto broken;
    if (!transport->writing && transport->open)
        transport->events->on_drained(transport->owner);
    return;
broken:
    uv_poll_stop(&transport->writable);
    fail_socket(transport, "the connection broke");
}

/* The stream's own descriptor is libuv's; a duplicate can be watched beside it. */
static enum covey_status watch_writable(struct rpc_transport *transport)
{
    if (transport->writable_fd < 0) {
        transport->writable_fd = fcntl(rpc_transport_fd(transport), F_DUPFD_CLOEXEC, 0);
        if (transport->writable_fd < 0)
            return covey_status_from_errno(errno);
        int failed = uv_poll_init(transport->handle.stream.loop, &transport->writable,
                                  transport->writable_fd);
        if (failed) {
            covey_close(&transport->writable_fd);
            return covey_status_from_errno(-failed);
        }
    }
    int failed = uv_poll_start(&transport->writable, UV_WRITABLE, on_writable);
    return failed ? covey_status_from_errno(-failed) : COVEY_OK;
}

/* Sends raw bytes; what the socket does not take at once is kept until it does. */
static enum covey_status send_raw(struct rpc_transport *transport, struct covey_buffer *buffer)
{
    if (buffer->length_bytes == 0)
        return COVEY_OK;
    size_t sent;
    enum covey_status status = send_now(transport, buffer, &sent);
    if (status)
        return status;
    if (sent == buffer->length_bytes) {
        buffer->length_bytes = 0;
        return COVEY_OK;
    }
    covey_buffer_consume(buffer, sent);
    struct covey_buffer rest = *buffer;
    *buffer = transport->pending;
    buffer->length_bytes = 0;
    transport->pending = rest;
    transport->writing = true;
    return watch_writable(transport);
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

/* There may be more where as much came as there was room for. */
static void rest(struct rpc_transport *transport, size_t length_bytes)
{
    if (length_bytes < read_size(transport) || transport->resting)
        return;
    transport->resting = true;
    (void)uv_read_stop(&transport->handle.stream);
}

void rpc_transport_read_on(struct rpc_transport *transport)
{
    if (!transport->resting || is_over(transport))
        return;
    transport->resting = false;
    if (uv_read_start(&transport->handle.stream, on_alloc, on_read) != 0)
        fail_socket(transport, "the connection broke");
}

/* One side speaks TLS and the other does not: both are told what the matter is. */
static void refuse_plaintext(struct rpc_transport *transport)
{
    static const uint8_t alert[] = {21, 3, 1, 0, 2, 2, 70}; /* fatal: protocol_version */
    if (!rpc_tls_is_server(transport->tls)) {
        fail(transport, "it does not speak TLS: connect without it");
        return;
    }
    (void)!send(rpc_transport_fd(transport), alert, sizeof alert, MSG_NOSIGNAL | MSG_DONTWAIT);
    fail(transport, "the peer does not speak TLS, which this port asks for");
}

static void deliver_tls(struct rpc_transport *transport, size_t raw_bytes)
{
    if (!transport->recognised && !rpc_tls_is_record(transport->read_bytes, raw_bytes)) {
        refuse_plaintext(transport);
        return;
    }
    transport->recognised = true;
    if (rpc_tls_give_records(transport->tls, transport->read_bytes, raw_bytes) != COVEY_OK) {
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
    while (!is_over(transport)) {
        size_t plain_bytes = 0;
        const char *reason = NULL;
        if (!rpc_tls_read(transport->tls, transport->read_bytes, RPC_TRANSPORT_READ_BYTES,
                          &plain_bytes, &reason)) {
            if (reason)
                fail(transport, reason);
            break;
        }
        rest(transport, raw_bytes);
        transport->events->on_bytes(transport->owner, transport->read_bytes, plain_bytes);
    }
    if (!is_over(transport) && send_records(transport) != COVEY_OK)
        fail_socket(transport, "the connection broke");
}

static void read_away(struct rpc_transport *transport, ssize_t length)
{
    if (length > 0)
        transport->parting_bytes += (size_t)length;
    if (length >= 0 && transport->parting_bytes < PARTING_BYTES)
        return;
    (void)uv_read_stop(&transport->handle.stream);
    transport->events->on_parted(transport->owner);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    struct rpc_transport *transport =
        covey_container_of(stream, struct rpc_transport, handle.stream);
    if (transport->parting && !transport->closing) {
        read_away(transport, length);
        return;
    }
    if (length == 0 || is_over(transport))
        return;
    if (length < 0) {
        fail_socket(transport,
                    length == UV_EOF ? "the peer closed the connection" : uv_strerror((int)length));
        return;
    }
    if (transport->tls) {
        deliver_tls(transport, (size_t)length);
    } else {
        rest(transport, (size_t)length);
        transport->events->on_bytes(transport->owner, transport->read_bytes, (size_t)length);
    }
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
    transport->started = true;
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
        fail_socket(transport, uv_strerror(status));
        return;
    }
    struct rpc_tls_session *tls = transport->tls;
    if (rpc_transport_start(transport, tls) != COVEY_OK)
        fail_socket(transport, "the connection broke");
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
    if (is_over(transport))
        return COVEY_EUNAVAILABLE;
    if (!transport->tls)
        return send_raw(transport, buffer);
    enum covey_status status = rpc_tls_write(transport->tls, buffer->data, buffer->length_bytes);
    buffer->length_bytes = 0;
    return status ? status : send_records(transport);
}

static void on_stream_closed(uv_handle_t *handle)
{
    struct rpc_transport *transport =
        covey_container_of((uv_stream_t *)handle, struct rpc_transport, handle.stream);
    const struct rpc_transport_events *events = transport->events;
    void *owner = transport->owner;
    covey_close(&transport->writable_fd);
    rpc_tls_session_destroy(transport->tls);
    covey_buffer_free(&transport->pending);
    covey_buffer_free(&transport->encrypted);
    free(transport);
    events->on_closed(owner);
}

static void on_writable_closed(uv_handle_t *handle)
{
    struct rpc_transport *transport =
        covey_container_of((uv_poll_t *)handle, struct rpc_transport, writable);
    uv_close((uv_handle_t *)&transport->handle.stream, on_stream_closed);
}

/* A courtesy: the peer also sees the socket close. */
static void say_goodbye(struct rpc_transport *transport)
{
    if (!transport->tls || !transport->open || is_over(transport) || transport->writing)
        return;
    rpc_tls_shutdown(transport->tls);
    (void)send_records(transport);
}

bool rpc_transport_arrived(const struct rpc_transport *transport)
{
    int left_bytes = 0;
    return transport->gone || !transport->started ||
           ioctl(rpc_transport_fd(transport), SIOCOUTQ, &left_bytes) != 0 || left_bytes == 0;
}

bool rpc_transport_part(struct rpc_transport *transport)
{
    if (!transport->started || transport->gone || transport->parting || transport->closing)
        return false;
    say_goodbye(transport);
    transport->parting = true;
    return !transport->writing && shutdown(rpc_transport_fd(transport), SHUT_WR) == 0 &&
           (!transport->resting ||
            uv_read_start(&transport->handle.stream, on_alloc, on_read) == 0);
}

void rpc_transport_close(struct rpc_transport *transport)
{
    if (transport->closing)
        return;
    say_goodbye(transport);
    transport->closing = true;
    if (transport->writable_fd >= 0)
        uv_close((uv_handle_t *)&transport->writable, on_writable_closed);
    else
        uv_close((uv_handle_t *)&transport->handle.stream, on_stream_closed);
}

int rpc_transport_fd(const struct rpc_transport *transport)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&transport->handle.stream, &fd) ? -1 : fd;
}

const char *rpc_transport_peer_name(const struct rpc_transport *transport)
{
    return transport->tls ? rpc_tls_peer_name(transport->tls) : NULL;
}
