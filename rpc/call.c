#include "rpc/call.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "rpc/code.h"
#include "rpc/connection.h"

#include <stdlib.h>
#include <string.h>

/* An empty buffer larger than this is not kept for the next message. */
#define KEEP_BUFFER_BYTES ((size_t)64 << 10)

struct rpc_call *rpc_call_create(struct rpc_turn *turn, const struct rpc_limits *limits,
                                 bool is_server)
{
    struct rpc_call *call = covey_calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->turn = turn;
    call->limits = limits;
    call->is_server = is_server;
    call->deadline.at_ns = COVEY_NEVER_NS;
    call->code = RPC_UNKNOWN;
    call->fixed_message = "";
    covey_list_init(&call->due_link);
    covey_list_init(&call->connection_link);
    rpc_turn_ref(turn);
    return call;
}

void rpc_call_discard(struct rpc_call *call)
{
    rpc_call_detach(call);
    covey_list_remove(&call->due_link);
    if (call->connection)
        rpc_connection_unref(call->connection);
    call->connection = NULL;
    covey_buffer_free(&call->metadata);
    call->turn->buffered_bytes -= call->in.length_bytes;
    covey_buffer_free(&call->in);
    covey_buffer_free(&call->out);
    covey_buffer_free(&call->request_metadata);
    free(call->message);
    free(call->path);
    free(call->trailer_message);
    if (call->first)
        protobuf_c_message_free_unpacked(call->first, NULL);
    rpc_deadlines_remove(&call->turn->deadlines, &call->deadline);
    struct rpc_turn *turn = call->turn;
    free(call);
    rpc_turn_unref(turn);
}

void rpc_call_due(struct rpc_call *call)
{
    rpc_turn_due(call->turn, &call->turn->calls, &call->due_link);
}

void rpc_call_attach(struct rpc_call *call, struct rpc_connection *connection, int32_t stream_id)
{
    rpc_connection_ref(connection);
    call->connection = connection;
    call->stream_id = stream_id;
    covey_list_remove(&call->connection_link);
    covey_list_push_back(&connection->calls, &call->connection_link);
}

void rpc_call_detach(struct rpc_call *call)
{
    covey_list_remove(&call->connection_link);
    if (call->stream_id && call->connection->session)
        nghttp2_session_set_stream_user_data(call->connection->session, call->stream_id, NULL);
    call->stream_id = 0;
}

void rpc_call_reset(struct rpc_call *call, uint32_t error_code)
{
    if (call->stream_id && call->connection->session) {
        rpc_connection_check(call->connection,
                             nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE,
                                                       call->stream_id, error_code));
        rpc_connection_due(call->connection);
    }
    rpc_call_detach(call);
}

void rpc_call_set_status(struct rpc_call *call, enum rpc_code code, const char *message)
{
    call->code = code;
    free(call->message);
    call->message = NULL;
    call->fixed_message = "";
    if (!message || !*message)
        return;
    call->message = covey_strdup(message);
    if (!call->message)
        call->fixed_message = "(no memory for the message)";
}

void rpc_call_conclude(struct rpc_call *call, enum rpc_code code, const char *message, bool drain)
{
    if (call->over)
        return;
    rpc_call_set_status(call, code, message);
    call->over = true;
    call->drain = drain;
    rpc_call_due(call);
}

void rpc_call_on_deadline(struct rpc_call *call)
{
    if (call->over)
        return;
    if (call->is_server) {
        rpc_server_call_expire(call);
        return;
    }
    rpc_call_reset(call, NGHTTP2_CANCEL);
    rpc_call_conclude(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed", false);
}

enum covey_status rpc_call_arm(struct rpc_call *call, int64_t timeout_ns)
{
    int64_t now_ns = covey_now_ns();
    rpc_deadlines_remove(&call->turn->deadlines, &call->deadline);
    call->deadline.at_ns = covey_deadline_ns(now_ns, timeout_ns);
    if (call->deadline.at_ns == COVEY_NEVER_NS)
        return COVEY_OK;
    return rpc_turn_add_deadline(call->turn, &call->deadline, now_ns);
}

/* ---- receiving ---- */

void rpc_call_add_metadata(struct rpc_call *call, const char *key, size_t key_bytes,
                           const char *value, size_t value_bytes)
{
    call->metadata_bytes += key_bytes + value_bytes + 32;
    if (call->metadata_bytes > call->limits->metadata_bytes) {
        call->headers_too_large = true;
        return;
    }
    size_t length_bytes = call->metadata.length_bytes;
    if (covey_buffer_append(&call->metadata, key, key_bytes) ||
        covey_buffer_append(&call->metadata, "", 1) ||
        covey_buffer_append(&call->metadata, value, value_bytes) ||
        covey_buffer_append(&call->metadata, "", 1)) {
        call->metadata.length_bytes = length_bytes;
        call->exhausted = "out of memory";
    }
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key)
{
    if (!call->metadata.data)
        return NULL;
    const char *at = (const char *)call->metadata.data;
    const char *end = at + call->metadata.length_bytes;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, key) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

static bool discards(const struct rpc_call *call)
{
    return call->over || (call->is_server && call->closed);
}

void rpc_call_on_bytes(struct rpc_call *call, const uint8_t *bytes, size_t length_bytes)
{
    call->uncredited_bytes += length_bytes;
    if (!discards(call)) {
        if (call->turn->buffered_bytes + length_bytes > call->limits->buffered_bytes)
            call->exhausted = "too much waits to be read here";
        else if (covey_buffer_append(&call->in, bytes, length_bytes) != COVEY_OK)
            call->exhausted = "out of memory";
        else
            call->turn->buffered_bytes += length_bytes;
    }
    rpc_call_due(call);
}

/* Gives back to the peer's window what is not kept. A paused call keeps all it has, so that the
 * window closes; an incomplete message does not, or one larger than the window could never come. */
static void credit(struct rpc_call *call)
{
    if (call->uncredited_bytes == 0 || (call->paused && !discards(call)))
        return;
    size_t bytes = call->uncredited_bytes;
    call->uncredited_bytes = 0;
    if (!call->stream_id || !call->connection->session)
        return;
    rpc_connection_check(call->connection, nghttp2_session_consume_stream(call->connection->session,
                                                                          call->stream_id, bytes));
    if (nghttp2_session_want_write(call->connection->session))
        rpc_connection_due(call->connection);
}

static void compact(struct rpc_call *call)
{
    call->turn->buffered_bytes -= call->in_offset;
    covey_buffer_consume(&call->in, call->in_offset);
    call->in_offset = 0;
    if (call->in.length_bytes == 0 && call->in.capacity_bytes > KEEP_BUFFER_BYTES)
        covey_buffer_free(&call->in);
}

static void refuse(struct rpc_call *call, enum rpc_code code, const char *message)
{
    if (call->is_server) {
        rpc_call_finish(call, code, message);
        return;
    }
    rpc_call_reset(call, NGHTTP2_CANCEL);
    call->over = false; /* the server's own status has come too late, or too early */
    rpc_call_conclude(call, code, message, false);
}

static void refuse_frame(struct rpc_call *call, enum covey_status status,
                         const struct rpc_frame *frame)
{
    char text[128];
    if (status == COVEY_ELIMIT) {
        snprintf(text, sizeof text, "a message of %zu bytes is over the limit of %zu",
                 frame->length_bytes, call->limits->message_bytes);
        refuse(call, RPC_RESOURCE_EXHAUSTED, text);
    } else {
        refuse(call, RPC_INTERNAL, "the stream holds no gRPC message");
    }
}

static void refuse_message(struct rpc_call *call, enum covey_status status)
{
    switch (status) {
    case COVEY_ELIMIT:
        refuse(call, RPC_RESOURCE_EXHAUSTED, "a message takes more memory than it may");
        break;
    case COVEY_ENOMEM:
        refuse(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        break;
    default:
        refuse(call, call->is_server ? RPC_INVALID_ARGUMENT : RPC_INTERNAL,
               "a message is malformed, or a string in it is not UTF-8");
        break;
    }
}

/* Decodes one frame. NULL: the call has been refused. */
static ProtobufCMessage *decode_frame(struct rpc_call *call, const struct rpc_frame *frame)
{
    const uint8_t *bytes = frame->bytes;
    size_t length_bytes = frame->length_bytes;
    struct covey_buffer inflated = {0};
    enum covey_status status = COVEY_OK;
    if (frame->compressed) {
        if (call->encoding != RPC_ENCODING_GZIP) {
            refuse(call, RPC_INTERNAL, "a compressed message on a call that has no encoding");
            return NULL;
        }
        status = rpc_gunzip(bytes, length_bytes, call->limits->message_bytes, &inflated);
        bytes = inflated.data;
        length_bytes = inflated.length_bytes;
    }
    ProtobufCMessage *message = NULL;
    if (!status)
        status = rpc_decode(call->receives, bytes, length_bytes, call->limits->decode_budget_bytes,
                            &message);
    covey_buffer_free(&inflated);
    if (status) {
        refuse_message(call, status);
        return NULL;
    }
    return message;
}

ProtobufCMessage *rpc_call_next_message(struct rpc_call *call)
{
    struct rpc_frame frame;
    enum covey_status status =
        rpc_frame_parse(call->in.data + call->in_offset, call->in.length_bytes - call->in_offset,
                        call->limits->message_bytes, &frame);
    if (status == COVEY_EAGAIN)
        return NULL;
    if (status) {
        refuse_frame(call, status, &frame);
        return NULL;
    }
    call->in_offset += RPC_FRAME_HEADER_BYTES + frame.length_bytes;
    return decode_frame(call, &frame);
}

static bool may_deliver(const struct rpc_call *call)
{
    if (call->paused || (call->is_server && call->closed))
        return false;
    return !call->over || call->drain;
}

static void deliver(struct rpc_call *call)
{
    while (may_deliver(call)) {
        ProtobufCMessage *message = call->first;
        call->first = NULL;
        if (!message && call->in.length_bytes > call->in_offset)
            message = rpc_call_next_message(call);
        if (!message)
            break;
        if (call->events && call->events->on_message)
            call->events->on_message(call, message, call->data);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void tell_half_close(struct rpc_call *call)
{
    if (!call->peer_closed || call->peer_close_told || call->first || !may_deliver(call))
        return;
    if (call->in.length_bytes > call->in_offset) {
        refuse(call, RPC_INTERNAL, "the stream ends inside a message");
        return;
    }
    call->peer_close_told = true;
    if (call->events && call->events->on_half_close)
        call->events->on_half_close(call, call->data);
}

/* A paused call with something left to read is not over for its owner. */
static bool drained(const struct rpc_call *call)
{
    return !call->drain || !call->paused || call->in.length_bytes == 0;
}

void rpc_call_run(struct rpc_call *call)
{
    if (call->exhausted && !call->over) {
        refuse(call, RPC_RESOURCE_EXHAUSTED, call->exhausted);
        call->exhausted = NULL;
    }
    if (call->is_server && !call->begun && !call->over && !rpc_server_call_begin(call)) {
        credit(call);
        return;
    }
    deliver(call);
    compact(call);
    if (call->is_server)
        tell_half_close(call);
    else if (call->over && call->drain && call->peer_closed && !call->paused &&
             call->in.length_bytes > 0)
        refuse(call, RPC_INTERNAL, "the stream ends inside a message");
    credit(call);
    if (call->tell_writable && !call->over) {
        call->tell_writable = false;
        if (!call->closed && call->events && call->events->on_writable)
            call->events->on_writable(call, call->data);
    }
    if (!call->over || !drained(call))
        return;
    if (call->events)
        call->events->on_end(call, call->code, call->message ? call->message : call->fixed_message,
                             call->data);
    rpc_call_discard(call);
}

void rpc_call_pause(struct rpc_call *call)
{
    call->paused = true;
}

void rpc_call_resume(struct rpc_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    rpc_call_due(call);
}

/* ---- sending ---- */

static size_t queued_bytes(const struct rpc_call *call)
{
    return call->out.length_bytes - call->out_offset;
}

void rpc_call_wake(struct rpc_call *call)
{
    if (!call->stream_id || !call->connection->session)
        return;
    if (call->deferred) {
        call->deferred = false;
        rpc_connection_check(call->connection, nghttp2_session_resume_data(
                                                   call->connection->session, call->stream_id));
    }
    rpc_connection_due(call->connection);
}

enum covey_status rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->closed || call->over)
        return COVEY_EPRECONDITION;
    if (call->out_offset > 0) {
        covey_buffer_consume(&call->out, call->out_offset);
        call->out_offset = 0;
    }
    enum covey_status status = rpc_frame_append(&call->out, message, call->limits->message_bytes);
    if (status)
        return status;
    if (!rpc_call_writable(call))
        call->blocked = true;
    if (call->is_server)
        rpc_server_call_respond(call);
    rpc_call_wake(call);
    return COVEY_OK;
}

bool rpc_call_writable(const struct rpc_call *call)
{
    return queued_bytes(call) < call->limits->send_high_water_bytes;
}

static void note_taken(struct rpc_call *call)
{
    if (queued_bytes(call) == 0) {
        call->out_offset = 0;
        call->out.length_bytes = 0;
        if (call->out.capacity_bytes > KEEP_BUFFER_BYTES)
            covey_buffer_free(&call->out);
    }
    if (call->blocked && queued_bytes(call) < call->limits->send_high_water_bytes / 2) {
        call->blocked = false;
        call->tell_writable = true;
        rpc_call_due(call);
    }
}

ssize_t rpc_call_read_out(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
                          size_t size_bytes, uint32_t *flags, nghttp2_data_source *source,
                          void *data)
{
    (void)source;
    (void)data;
    /* Not by source: the call may have let go of the stream. */
    struct rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!call)
        return NGHTTP2_ERR_DEFERRED;
    size_t taken = queued_bytes(call);
    if (taken > size_bytes)
        taken = size_bytes;
    if (taken > 0) {
        memcpy(bytes, call->out.data + call->out_offset, taken);
        call->out_offset += taken;
        note_taken(call);
    }
    if (queued_bytes(call) > 0)
        return (ssize_t)taken;
    if (call->closed) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (call->is_server) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            rpc_server_call_trailers(call);
        }
        return (ssize_t)taken;
    }
    if (taken > 0)
        return (ssize_t)taken;
    call->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

/* ---- endings ---- */

void rpc_call_on_stream_closed(struct rpc_call *call, uint32_t error_code)
{
    rpc_call_detach(call);
    if (call->over)
        return;
    if (!call->is_server) {
        char text[96];
        snprintf(text, sizeof text, "the server reset the stream: %s",
                 nghttp2_http2_strerror(error_code));
        rpc_call_conclude(call, rpc_code_from_h2(error_code), text, false);
    } else if (call->trailers_sent) {
        call->over = true;
        rpc_call_due(call);
    } else {
        rpc_call_conclude(call, RPC_CANCELLED, "the client cancelled the call", false);
    }
}

void rpc_call_on_connection_lost(struct rpc_call *call, const char *reason)
{
    rpc_call_detach(call);
    if (call->is_server && call->trailers_sent) {
        call->over = true;
        rpc_call_due(call);
        return;
    }
    char text[256];
    (void)covey_text_print(text, sizeof text, "the connection is lost: %s", reason);
    /* What had arrived whole still counts, unless the owner has stopped reading. */
    rpc_call_conclude(call, call->is_server ? RPC_CANCELLED : RPC_UNAVAILABLE, text,
                      !call->is_server && !call->paused);
}

void rpc_call_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

void *rpc_call_data(const struct rpc_call *call)
{
    return call->data;
}

int64_t rpc_call_deadline_ns(const struct rpc_call *call)
{
    return call->deadline.at_ns;
}

void rpc_limits_init(struct rpc_limits *limits)
{
    *limits = (struct rpc_limits){
        .message_bytes = (size_t)4 << 20,
        .decode_budget_bytes = (size_t)64 << 20,
        .buffered_bytes = (size_t)256 << 20,
        .metadata_bytes = (size_t)16 << 10,
        .connections = 1024,
        .streams = 256,
        .send_high_water_bytes = (size_t)256 << 10,
        .keepalive_ns = 10 * COVEY_NS_PER_S,
        .keepalive_timeout_ns = 10 * COVEY_NS_PER_S,
        .handshake_timeout_ns = 5 * COVEY_NS_PER_S,
    };
}
