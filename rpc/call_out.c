/* The sending half of a call: its queue, how much may be in it, and how nghttp2 takes from it. */
#include "base/log.h"
#include "proto/strings.h"
#include "rpc/call.h"
#include "rpc/connection.h"

#include <string.h>

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

/* Nobody takes a message with a string that is no text: the one just queued, after before_bytes. */
static enum covey_status settle_text(struct rpc_call *call,
                                     const ProtobufCMessageDescriptor *descriptor,
                                     size_t before_bytes)
{
    size_t start = before_bytes + RPC_FRAME_HEADER_BYTES;
    uint8_t *bytes = call->out.data + start;
    size_t length_bytes = call->out.length_bytes - start;
    if (call->is_server || call->mends_text) {
        if (proto_strings_mend(descriptor, bytes, length_bytes) > 0)
            log_warn("a message held text that is not UTF-8: mended type=%s", descriptor->name);
        return COVEY_OK;
    }
    if (proto_strings_check(descriptor, bytes, length_bytes) == COVEY_OK)
        return COVEY_OK;
    call->out.length_bytes = before_bytes;
    return COVEY_EINVAL;
}

enum covey_status rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->closed || call->over)
        return COVEY_EPRECONDITION;
    if (call->out_offset > 0) {
        covey_buffer_consume(&call->out, call->out_offset);
        call->out_offset = 0;
    }
    size_t before_bytes = call->out.length_bytes;
    enum covey_status status = rpc_frame_append(&call->out, message, call->limits->message_bytes);
    if (!status)
        status = settle_text(call, message->descriptor, before_bytes);
    if (status)
        return status;
    if (!rpc_call_charge(call) && call->is_server && !call->account->is_urgent) {
        call->out.length_bytes = before_bytes;
        return COVEY_ELIMIT;
    }
    rpc_call_watch_stall(call);
    (void)rpc_call_writable(call);
    if (call->is_server)
        rpc_server_call_respond(call);
    rpc_call_wake(call);
    return COVEY_OK;
}

/* What may be queued: no more than the client has said that it will take, and nothing while the
 * socket is full, so that a client that does not read has little waiting here. */
static size_t room_of(const struct rpc_call *call)
{
    size_t room_bytes = call->limits->send_high_water_bytes;
    if (!call->is_server)
        return room_bytes;
    nghttp2_session *session = call->connection->session;
    if (!call->stream_id || !session || !rpc_transport_drained(call->connection->transport))
        return 0;
    int32_t stream_bytes = nghttp2_session_get_stream_remote_window_size(session, call->stream_id);
    int32_t session_bytes = nghttp2_session_get_remote_window_size(session);
    int32_t window_bytes = stream_bytes < session_bytes ? stream_bytes : session_bytes;
    if (window_bytes <= 0)
        return 0;
    return (size_t)window_bytes < room_bytes ? (size_t)window_bytes : room_bytes;
}

bool rpc_call_writable(struct rpc_call *call)
{
    if (rpc_call_queued_bytes(call) < room_of(call))
        return true;
    call->blocked = true;
    rpc_call_watch_stall(call);
    return false;
}

void rpc_call_unblock(struct rpc_call *call)
{
    if (!call->blocked || rpc_call_queued_bytes(call) >= room_of(call))
        return;
    call->blocked = false;
    call->tell_writable = true;
    rpc_call_due(call);
}

void rpc_call_schedule(struct rpc_call *call)
{
    call->scheduled = true;
    rpc_call_due(call);
}

static void note_taken(struct rpc_call *call)
{
    call->moved = true;
    if (rpc_call_queued_bytes(call) == 0) {
        call->out_offset = 0;
        call->out.length_bytes = 0;
        if (call->out.capacity_bytes > RPC_CALL_KEEP_BYTES)
            covey_buffer_free(&call->out);
        (void)rpc_call_charge(call);
    }
    if (call->blocked && rpc_call_queued_bytes(call) < call->limits->send_high_water_bytes / 2) {
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
    size_t taken = rpc_call_queued_bytes(call);
    if (taken > size_bytes)
        taken = size_bytes;
    if (taken > 0) {
        memcpy(bytes, call->out.data + call->out_offset, taken);
        call->out_offset += taken;
        note_taken(call);
    }
    if (rpc_call_queued_bytes(call) > 0)
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
