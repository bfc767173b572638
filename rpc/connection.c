#include "rpc/connection.h"

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/tls.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A stream may have this much on its way; enough for a local network's bandwidth times delay. */
#define STREAM_WINDOW_BYTES (1024 * 1024)
/* All streams together; given back as it arrives, so that one paused call does not stop others. */
#define CONNECTION_WINDOW_BYTES (16 * 1024 * 1024)
/* Frames are gathered up to this before they are written. */
#define GATHER_BYTES ((size_t)64 << 10)

/* An empty buffer larger than this is not kept for the next frames. */
#define IDLE_OUTPUT_BYTES ((size_t)16 << 10)

/* PING, SETTINGS, PRIORITY, RST_STREAM and empty DATA cost the sender nothing. */
#define CONTROL_BURST      1000
#define CONTROL_PER_SECOND 200

static void set_timer(struct rpc_connection *connection, int64_t delay_ns);
static void start_timer(struct rpc_connection *connection, int64_t delay_ns, uv_timer_cb callback);

static struct rpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* A stream that was passed over is closed, and begins no more (RFC 9113, 5.1.1). nghttp2 takes it
 * for one that it has forgotten, and ignores its frames. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *data)
{
    const struct rpc_connection *connection = data;
    if (!connection->is_server || header->type != NGHTTP2_HEADERS ||
        header->stream_id >= connection->newest_stream ||
        nghttp2_session_find_stream(session, header->stream_id))
        return 0;
    return nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_connection *connection = data;
    if (!connection->is_server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    int32_t stream_id = frame->hd.stream_id;
    connection->newest_stream = stream_id;
    struct rpc_call *call = connection->events->on_request(connection, stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    rpc_call_attach(call, connection, stream_id);
    nghttp2_session_set_stream_user_data(session, stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *data)
{
    (void)flags;
    struct rpc_connection *connection = data;
    struct rpc_call *call = call_of(session, frame->hd.stream_id);
    if (!call)
        return 0;
    if (!connection->is_server)
        rpc_client_call_header(call, (const char *)name, name_bytes, (const char *)value,
                               value_bytes);
    else if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        rpc_server_call_header(call, (const char *)name, name_bytes, (const char *)value,
                               value_bytes);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t length_bytes, void *data)
{
    (void)flags;
    (void)data;
    int failed = nghttp2_session_consume_connection(session, length_bytes);
    struct rpc_call *call = call_of(session, stream_id);
    if (call)
        rpc_call_on_bytes(call, bytes, length_bytes);
    else if (!failed)
        failed = nghttp2_session_consume_stream(session, stream_id, length_bytes);
    return failed;
}

static void on_stream_frame(struct rpc_connection *connection, const nghttp2_frame *frame)
{
    struct rpc_call *call = call_of(connection->session, frame->hd.stream_id);
    if (!call)
        return;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && connection->is_server) {
        if (!call->headers_complete)
            rpc_server_call_headers_done(call);
    } else if (frame->hd.type == NGHTTP2_HEADERS && !ends) {
        rpc_client_call_headers_done(call);
    }
    if (ends) {
        call->peer_closed = true;
        if (!connection->is_server)
            rpc_client_call_trailers_done(call);
    }
    if (ends || frame->hd.type == NGHTTP2_HEADERS)
        rpc_call_due(call);
}

static bool is_free_of_charge(const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_PING:
        return !(frame->hd.flags & NGHTTP2_FLAG_ACK);
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
        return true;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return false;
    }
}

static void on_settings(struct rpc_connection *connection)
{
    if (connection->ready)
        return;
    connection->ready = true;
    set_timer(connection, connection->limits->keepalive_ns);
    connection->events->on_ready(connection);
}

static void unblock_all(struct rpc_connection *connection)
{
    covey_list_for_each (link, &connection->calls)
        rpc_call_unblock(covey_container_of(link, struct rpc_call, connection_link));
}

static void on_window(struct rpc_connection *connection, int32_t stream_id)
{
    struct rpc_call *call = stream_id ? call_of(connection->session, stream_id) : NULL;
    if (call)
        rpc_call_unblock(call);
    else if (stream_id == 0)
        unblock_all(connection);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_connection *connection = data;
    if (connection->is_server && is_free_of_charge(frame) &&
        !rpc_rate_take(&connection->control_frames, covey_now_ns()))
        return nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        on_stream_frame(connection, frame);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
            on_settings(connection);
            unblock_all(connection); /* the windows' first size may have changed */
        }
        break;
    case NGHTTP2_WINDOW_UPDATE:
        on_window(connection, frame->hd.stream_id);
        break;
    case NGHTTP2_PING:
        if (connection->shutting_down && frame->hd.flags & NGHTTP2_FLAG_ACK) {
            connection->shutting_down = false;
            return nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                                         nghttp2_session_get_last_proc_stream_id(session),
                                         NGHTTP2_NO_ERROR, NULL, 0);
        }
        break;
    case NGHTTP2_GOAWAY:
        connection->draining = true;
        connection->events->on_goaway(connection);
        break;
    default:
        break;
    }
    return 0;
}

/* A server that has said its last on a stream wants nothing more of it: the rest is called off. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_connection *connection = data;
    if (!connection->is_server || frame->hd.type != NGHTTP2_HEADERS ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct rpc_call *call = call_of(session, frame->hd.stream_id);
    if (call)
        call->trailers_sent = true;
    if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_NO_ERROR);
    return 0;
}

/* A client's request that could not go out any more (GOAWAY came first) has no stream to close. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *data)
{
    (void)session;
    (void)error;
    struct rpc_connection *connection = data;
    if (connection->is_server || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    covey_list_for_each_safe (link, after, &connection->calls) {
        struct rpc_call *call = covey_container_of(link, struct rpc_call, connection_link);
        if (call->stream_id == frame->hd.stream_id)
            rpc_call_on_stream_closed(call, NGHTTP2_REFUSED_STREAM);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *data)
{
    (void)data;
    struct rpc_call *call = call_of(session, stream_id);
    if (call)
        rpc_call_on_stream_closed(call, error_code);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    return callbacks;
}

static void *h2_malloc(size_t size, void *data)
{
    (void)data;
    return covey_malloc(size);
}

static void *h2_calloc(size_t count, size_t size, void *data)
{
    (void)data;
    return covey_calloc(count, size);
}

static void *h2_realloc(void *old, size_t size, void *data)
{
    (void)data;
    return covey_realloc(old, size);
}

static void h2_free(void *memory, void *data)
{
    (void)data;
    free(memory);
}

static int make_session(struct rpc_connection *connection)
{
    nghttp2_mem memory = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};
    nghttp2_option *option;
    nghttp2_session_callbacks *callbacks = make_callbacks();
    if (!callbacks)
        return NGHTTP2_ERR_NOMEM;
    int failed = nghttp2_option_new(&option);
    if (failed) {
        nghttp2_session_callbacks_del(callbacks);
        return failed;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* Behind our own count of control frames, which says why it ends the connection. */
    nghttp2_option_set_max_outbound_ack(option, (size_t)2 * CONTROL_BURST);
    nghttp2_option_set_max_settings(option, 32);
    nghttp2_option_set_stream_reset_rate_limit(option, (uint64_t)2 * CONTROL_BURST,
                                               (uint64_t)2 * CONTROL_PER_SECOND);
    failed = connection->is_server ? nghttp2_session_server_new3(&connection->session, callbacks,
                                                                 connection, option, &memory)
                                   : nghttp2_session_client_new3(&connection->session, callbacks,
                                                                 connection, option, &memory);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return failed;
}

static uint32_t clamp_u32(size_t value)
{
    return value < INT32_MAX ? (uint32_t)value : INT32_MAX;
}

static int say_hello(struct rpc_connection *connection)
{
    const struct rpc_limits *limits = connection->limits;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, clamp_u32(limits->metadata_bytes)},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
    };
    size_t count = sizeof settings / sizeof *settings;
    if (connection->is_server) {
        settings[2] = settings[3];
        count--;
    }
    int failed = nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, count);
    if (failed)
        return failed;
    return nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW_BYTES);
}

static void on_open(void *owner)
{
    struct rpc_connection *connection = owner;
    const char *name = rpc_transport_peer_name(connection->transport);
    if (name) {
        connection->peer_certificate = covey_strdup(name);
        connection->peer.certificate_name = connection->peer_certificate;
    }
    if (name && !connection->peer_certificate) {
        rpc_connection_lose(connection, "out of memory");
        return;
    }
    if (say_hello(connection) != 0) {
        rpc_connection_lose(connection, "out of memory");
        return;
    }
    rpc_connection_due(connection);
}

static void on_bytes(void *owner, const uint8_t *bytes, size_t length_bytes)
{
    struct rpc_connection *connection = owner;
    connection->heard = true;
    if (!connection->ready && !connection->peer.is_tls && length_bytes > 1 &&
        rpc_tls_is_record(bytes, length_bytes)) {
        rpc_connection_lose(connection, connection->is_server
                                            ? "the peer speaks TLS, which this port does not"
                                            : "it speaks TLS: connect with it");
        return;
    }
    ssize_t taken = nghttp2_session_mem_recv(connection->session, bytes, length_bytes);
    if (taken < 0) {
        rpc_connection_lose(connection, nghttp2_strerror((int)taken));
        return;
    }
    rpc_connection_due(connection);
}

static void on_drained(void *owner)
{
    unblock_all(owner);
    rpc_connection_due(owner);
}

static void on_failed(void *owner, const char *reason)
{
    rpc_connection_lose(owner, reason);
}

static void on_closed(void *owner)
{
    struct rpc_connection *connection = owner;
    connection->transport = NULL;
    rpc_connection_unref(connection);
}

static void part(struct rpc_connection *connection);

static void on_parted(void *owner)
{
    part(owner);
}

static const struct rpc_transport_events transport_events = {on_open,   on_bytes,  on_drained,
                                                             on_failed, on_parted, on_closed};

struct rpc_connection *rpc_connection_create(struct rpc_turn *turn, bool is_server, bool is_unix,
                                             const struct rpc_limits *limits,
                                             const struct rpc_connection_events *events,
                                             void *owner)
{
    struct rpc_connection *connection = covey_calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->turn = turn;
    connection->is_server = is_server;
    connection->limits = limits;
    connection->events = events;
    connection->owner = owner;
    connection->peer = (struct rpc_peer){
        .is_unix = is_unix, .uid = (uid_t)-1, .gid = (gid_t)-1, .pid = -1, .address = ""};
    covey_list_init(&connection->owner_link);
    covey_list_init(&connection->due_link);
    covey_list_init(&connection->calls);
    connection->strangers.most_bytes = limits->stranger_bytes;
    connection->idle_since_ns = covey_now_ns();
    rpc_rate_init(&connection->control_frames, CONTROL_BURST, CONTROL_PER_SECOND, covey_now_ns());
    if (make_session(connection) != 0)
        goto no_session;
    connection->transport =
        rpc_transport_create(turn->loop, is_unix, turn->read_bytes, &transport_events, connection);
    if (!connection->transport)
        goto no_transport;
    uv_timer_init(turn->loop, &connection->timer);
    rpc_turn_ref(turn);
    connection->references = 2; /* the transport's and the timer's, which close together */
    set_timer(connection, limits->handshake_timeout_ns);
    return connection;
no_transport:
    nghttp2_session_del(connection->session);
no_session:
    free(connection);
    return NULL;
}

void rpc_connection_ref(struct rpc_connection *connection)
{
    connection->references++;
}

void rpc_connection_unref(struct rpc_connection *connection)
{
    if (--connection->references > 0)
        return;
    covey_list_remove(&connection->due_link);
    rpc_turn_unref(connection->turn);
    free(connection->peer_address);
    free(connection->peer_certificate);
    covey_buffer_free(&connection->output);
    free(connection);
}

void rpc_connection_due(struct rpc_connection *connection)
{
    if (!connection->lost)
        rpc_turn_due_connection(connection->turn, &connection->due_link);
}

void rpc_connection_check(struct rpc_connection *connection, int result)
{
    if (result != NGHTTP2_ERR_NOMEM)
        return;
    connection->broken = true;
    rpc_connection_due(connection);
}

static void on_timer_closed(uv_handle_t *handle)
{
    rpc_connection_unref(covey_container_of((uv_timer_t *)handle, struct rpc_connection, timer));
}

/* Lets go of the socket. */
static void part(struct rpc_connection *connection)
{
    connection->parting = false;
    if (connection->account)
        connection->account->connections--;
    rpc_account_unref(connection->account);
    connection->account = NULL;
    connection->events->on_gone(connection);
    rpc_transport_close(connection->transport);
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
}

static void on_parting_over(uv_timer_t *timer)
{
    part(covey_container_of(timer, struct rpc_connection, timer));
}

/* A server's last words are for its client to read. A client's are for the server to take: what
 * comes back is of no use to anybody. */
static bool is_worth_waiting(const struct rpc_connection *connection)
{
    return connection->is_server || !rpc_transport_arrived(connection->transport);
}

void rpc_connection_lose(struct rpc_connection *connection, const char *reason)
{
    if (connection->lost)
        return;
    connection->lost = true;
    covey_list_for_each_safe (link, after, &connection->calls) {
        rpc_call_on_connection_lost(covey_container_of(link, struct rpc_call, connection_link),
                                    reason);
    }
    rpc_connection_ref(connection);
    connection->events->on_lost(connection, reason);
    nghttp2_session_del(connection->session);
    connection->session = NULL;
    covey_buffer_free(&connection->output);
    connection->parting = is_worth_waiting(connection) && rpc_transport_part(connection->transport);
    if (connection->parting)
        start_timer(connection, connection->limits->parting_timeout_ns, on_parting_over);
    else
        part(connection);
    rpc_connection_unref(connection);
}

void rpc_connection_drop(struct rpc_connection *connection, const char *reason)
{
    rpc_connection_ref(connection);
    rpc_connection_lose(connection, reason);
    if (connection->parting)
        part(connection);
    rpc_connection_unref(connection);
}

/* True while there may be more to gather. */
static bool gather(struct rpc_connection *connection, int *failed)
{
    while (connection->output.length_bytes < GATHER_BYTES) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(connection->session, &bytes);
        if (length < 0)
            *failed = (int)length;
        if (length <= 0)
            return false;
        if (covey_buffer_append(&connection->output, bytes, (size_t)length) != COVEY_OK) {
            *failed = NGHTTP2_ERR_NOMEM;
            return false;
        }
    }
    return true;
}

void rpc_connection_flush(struct rpc_connection *connection)
{
    if (connection->lost)
        return;
    bool more = true;
    while (more && rpc_transport_drained(connection->transport)) {
        int failed = 0;
        more = gather(connection, &failed);
        if (connection->broken)
            failed = NGHTTP2_ERR_NOMEM;
        if (failed) {
            rpc_connection_lose(connection, nghttp2_strerror(failed));
            return;
        }
        if (connection->output.length_bytes > 0 &&
            rpc_transport_write(connection->transport, &connection->output) != COVEY_OK) {
            rpc_connection_lose(connection, "the connection broke");
            return;
        }
    }
    if (connection->output.capacity_bytes > IDLE_OUTPUT_BYTES)
        covey_buffer_free(&connection->output);
    rpc_transport_read_on(connection->transport);
    if (rpc_transport_drained(connection->transport) &&
        !nghttp2_session_want_read(connection->session) &&
        !nghttp2_session_want_write(connection->session))
        rpc_connection_lose(connection, "the connection was shut down");
}

static void on_timer(uv_timer_t *timer)
{
    struct rpc_connection *connection = covey_container_of(timer, struct rpc_connection, timer);
    if (!connection->ready) {
        rpc_connection_lose(connection, "the peer did not finish the handshake in time");
        return;
    }
    /* An idle client does not ping: servers take that for abuse, and the next call would find out.
     */
    bool idle = !connection->is_server && covey_list_empty(&connection->calls);
    if (connection->heard || idle) {
        connection->heard = false;
        connection->pinged = false;
        set_timer(connection, connection->limits->keepalive_ns);
        return;
    }
    if (connection->pinged) {
        rpc_connection_lose(connection, "the peer answers no keepalive");
        return;
    }
    connection->pinged = true;
    if (nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, NULL) != 0) {
        rpc_connection_lose(connection, "out of memory");
        return;
    }
    rpc_connection_due(connection);
    set_timer(connection, connection->limits->keepalive_timeout_ns);
}

static void start_timer(struct rpc_connection *connection, int64_t delay_ns, uv_timer_cb callback)
{
    uint64_t delay_ms = (uint64_t)((delay_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS);
    uv_timer_start(&connection->timer, callback, delay_ms, 0);
}

static void set_timer(struct rpc_connection *connection, int64_t delay_ns)
{
    uv_timer_stop(&connection->timer);
    if (delay_ns >= 0)
        start_timer(connection, delay_ns, on_timer);
}

void rpc_connection_drain(struct rpc_connection *connection)
{
    if (connection->lost || connection->draining)
        return;
    connection->draining = true;
    nghttp2_session *session = connection->session;
    if (!connection->ready) {
        rpc_connection_check(connection,
                             nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR));
    } else {
        /* Requests already on their way are still served: the last GOAWAY follows the PING's
         * answer. */
        connection->shutting_down = true;
        rpc_connection_check(connection, nghttp2_submit_shutdown_notice(session));
        rpc_connection_check(connection, nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL));
    }
    rpc_connection_due(connection);
}
