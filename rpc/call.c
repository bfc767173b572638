#include "rpc/call.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "proto/strings.h"
#include "rpc/code.h"
#include "rpc/connection.h"

#include <stdlib.h>
#include <string.h>

/* What a call costs beside its buffers: itself, and its stream within nghttp2. */
#define CALL_BYTES (sizeof(struct rpc_call) + 512)

struct rpc_call *rpc_call_create(struct rpc_turn *turn, struct rpc_account *account,
                                 const struct rpc_limits *limits, bool is_server)
{
    struct rpc_call *call = covey_calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->turn = turn;
    call->limits = limits;
    call->is_server = is_server;
    call->deadline_ns = COVEY_NEVER_NS;
    call->arrive_by_ns = COVEY_NEVER_NS;
    call->stalled_at_ns = COVEY_NEVER_NS;
    call->code = RPC_UNKNOWN;
    call->fixed_message = "";
    covey_list_init(&call->due_link);
    covey_list_init(&call->connection_link);
    call->account = rpc_account_ref(account);
    account->calls++;
    rpc_turn_ref(turn);
    return call;
}

static struct rpc_purse *purse_of(struct rpc_call *call)
{
    return call->is_stranger ? &call->connection->strangers : &call->account->purse;
}

bool rpc_call_charge(struct rpc_call *call)
{
    return rpc_purse_change(purse_of(call), &call->held_bytes,
                            CALL_BYTES + call->metadata.capacity_bytes + call->in.capacity_bytes +
                                call->out.capacity_bytes);
}

static void leave_account(struct rpc_call *call)
{
    if (call->held_bytes)
        (void)rpc_purse_change(purse_of(call), &call->held_bytes, 0);
    covey_list_remove(&call->due_link);
    call->account->calls--;
    rpc_account_unref(call->account);
}

void rpc_call_move(struct rpc_call *call, struct rpc_account *account)
{
    leave_account(call);
    call->account = rpc_account_ref(account);
    account->calls++;
    call->is_stranger = false;
    rpc_call_due(call);
}

void rpc_call_discard(struct rpc_call *call)
{
    rpc_call_detach(call);
    leave_account(call);
    if (call->connection)
        rpc_connection_unref(call->connection);
    call->connection = NULL;
    covey_buffer_free(&call->metadata);
    covey_buffer_free(&call->in);
    covey_buffer_free(&call->out);
    covey_buffer_free(&call->request_metadata);
    free(call->message);
    free(call->path);
    free(call->trailer_message);
    if (call->first)
        protobuf_c_message_free_unpacked(call->first, NULL);
    rpc_deadlines_remove(&call->turn->deadlines, &call->watch);
    struct rpc_turn *turn = call->turn;
    free(call);
    rpc_turn_unref(turn);
}

void rpc_call_due(struct rpc_call *call)
{
    rpc_turn_due_call(call->turn, call->account, &call->due_link);
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
    if (call->connection && covey_list_empty(&call->connection->calls))
        call->connection->idle_since_ns = covey_now_ns();
    if (call->connection && call->stream_id && call->connection->session)
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

/* ---- time ---- */

/* Looks at the clock no later than the first of its times. A timer that is set too early finds
 * nothing to do, and is set again. */
static enum covey_status watch(struct rpc_call *call)
{
    int64_t at_ns = call->deadline_ns;
    if (call->arrive_by_ns < at_ns)
        at_ns = call->arrive_by_ns;
    if (call->stalled_at_ns < at_ns)
        at_ns = call->stalled_at_ns;
    if (at_ns == COVEY_NEVER_NS || (call->watch.index && call->watch.at_ns <= at_ns))
        return COVEY_OK;
    rpc_deadlines_remove(&call->turn->deadlines, &call->watch);
    call->watch.at_ns = at_ns;
    return rpc_turn_add_deadline(call->turn, &call->watch, covey_now_ns());
}

static void watch_or_end(struct rpc_call *call)
{
    if (watch(call) == COVEY_OK)
        return;
    call->exhausted = "out of memory";
    rpc_call_due(call);
}

void rpc_call_watch_stall(struct rpc_call *call)
{
    if (!call->is_server || call->stalled_at_ns != COVEY_NEVER_NS)
        return;
    call->moved = false;
    call->stalled_at_ns = covey_deadline_ns(covey_now_ns(), call->limits->stall_timeout_ns);
    watch_or_end(call);
}

static void on_stall(struct rpc_call *call)
{
    call->stalled_at_ns = COVEY_NEVER_NS;
    if (rpc_call_queued_bytes(call) == 0 && !call->blocked)
        return;
    if (call->moved) {
        rpc_call_watch_stall(call);
        return;
    }
    rpc_call_reset(call, NGHTTP2_ENHANCE_YOUR_CALM);
    rpc_call_conclude(call, RPC_CANCELLED, "the client does not read what it asked for", false);
}

void rpc_call_on_deadline(struct rpc_call *call)
{
    static const char late[] = "the deadline has passed";
    int64_t now_ns = covey_now_ns();
    if (call->over)
        return;
    if (call->deadline_ns <= now_ns && call->is_server) {
        rpc_server_call_expire(call, late);
        return;
    }
    if (call->deadline_ns <= now_ns) {
        rpc_call_reset(call, NGHTTP2_CANCEL);
        rpc_call_conclude(call, RPC_DEADLINE_EXCEEDED, late, false);
        return;
    }
    if (call->arrive_by_ns <= now_ns && !call->paused) {
        rpc_server_call_expire(call, "the client did not send its message in time");
        return;
    }
    if (call->arrive_by_ns <= now_ns)
        call->arrive_by_ns = covey_deadline_ns(now_ns, call->limits->request_timeout_ns);
    if (call->stalled_at_ns <= now_ns)
        on_stall(call);
    if (!call->over)
        watch_or_end(call);
}

enum covey_status rpc_call_arm(struct rpc_call *call, int64_t timeout_ns)
{
    call->deadline_ns = covey_deadline_ns(covey_now_ns(), timeout_ns);
    return watch(call);
}

void rpc_call_expect(struct rpc_call *call, int64_t timeout_ns)
{
    call->arrive_by_ns = covey_deadline_ns(covey_now_ns(), timeout_ns);
    watch_or_end(call);
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
    return call->over || (call->is_server && (call->closed || call->http_status_wanted));
}

void rpc_call_on_bytes(struct rpc_call *call, const uint8_t *bytes, size_t length_bytes)
{
    call->uncredited_bytes += length_bytes;
    if (!discards(call) && !call->exhausted) {
        if (covey_buffer_append(&call->in, bytes, length_bytes) != COVEY_OK)
            call->exhausted = "out of memory";
        else if (!rpc_call_charge(call))
            call->exhausted = call->is_stranger
                                  ? "more than a caller may send that has not said who it is"
                                  : "too much of this caller waits here to be read";
        if (call->exhausted)
            covey_buffer_free(&call->in);
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
    covey_buffer_consume(&call->in, call->in_offset);
    call->in_offset = 0;
    if (call->in.length_bytes == 0 && call->in.capacity_bytes > RPC_CALL_KEEP_BYTES)
        covey_buffer_free(&call->in);
    (void)rpc_call_charge(call);
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

/* The call goes on where its owner can do without the message. */
static void skip_or_refuse(struct rpc_call *call, enum covey_status status, const uint8_t *bytes,
                           size_t length_bytes)
{
    bool can_skip = status != COVEY_ENOMEM && call->events && call->events->on_bad_message;
    if (!can_skip || !call->events->on_bad_message(call, status, bytes, length_bytes, call->data))
        refuse_message(call, status);
}

/* Decodes one frame. NULL: it could not be, and the call is refused or goes on without it. */
static ProtobufCMessage *decode_frame(struct rpc_call *call, const struct rpc_frame *frame)
{
    uint8_t *bytes = call->in.data + (frame->bytes - call->in.data); /* ours, to be mended */
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
    if (!status && call->mends_text)
        (void)proto_strings_mend(call->receives, bytes, length_bytes);
    if (!status)
        status = rpc_decode(call->receives, bytes, length_bytes, call->limits->decode_budget_bytes,
                            &message);
    if (status)
        skip_or_refuse(call, status, bytes, length_bytes);
    covey_buffer_free(&inflated);
    return message;
}

/* NULL: there is no whole message, or it could not be decoded; then *skipped says whether the next
 * may be looked for. */
static ProtobufCMessage *take_message(struct rpc_call *call, bool *skipped)
{
    struct rpc_frame frame;
    enum covey_status status =
        rpc_frame_parse(call->in.data + call->in_offset, call->in.length_bytes - call->in_offset,
                        call->limits->message_bytes, &frame);
    *skipped = status == COVEY_OK;
    if (status == COVEY_EAGAIN)
        return NULL;
    if (status) {
        refuse_frame(call, status, &frame);
        return NULL;
    }
    call->in_offset += RPC_FRAME_HEADER_BYTES + frame.length_bytes;
    return decode_frame(call, &frame);
}

ProtobufCMessage *rpc_call_next_message(struct rpc_call *call)
{
    bool skipped;
    return take_message(call, &skipped);
}

static bool may_deliver(const struct rpc_call *call)
{
    if (call->paused || (call->is_server && call->closed))
        return false;
    return !call->over || call->drain;
}

/* Many small messages may be waiting: when the slice is over, the rest waits for the next. */
static void deliver(struct rpc_call *call)
{
    for (bool first = true; may_deliver(call); first = false) {
        if (!first && rpc_turn_is_over(call->turn)) {
            rpc_call_due(call);
            break;
        }
        bool skipped = false;
        ProtobufCMessage *message = call->first;
        call->first = NULL;
        if (!message && call->in.length_bytes > call->in_offset)
            message = take_message(call, &skipped);
        if (message || skipped)
            call->arrive_by_ns = COVEY_NEVER_NS;
        if (!message && skipped)
            continue;
        if (!message)
            break;
        if (call->events && call->events->on_message)
            call->events->on_message(call, message, call->data);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static bool has_whole_message(const struct rpc_call *call)
{
    struct rpc_frame frame;
    return call->in.length_bytes > call->in_offset && /* or there may be no memory at all */
           rpc_frame_parse(call->in.data + call->in_offset, call->in.length_bytes - call->in_offset,
                           call->limits->message_bytes, &frame) == COVEY_OK;
}

static void tell_half_close(struct rpc_call *call)
{
    if (!call->peer_closed || call->peer_close_told || call->first || !may_deliver(call))
        return;
    if (has_whole_message(call))
        return; /* which has its turn first */
    if (call->in.length_bytes > call->in_offset) {
        refuse(call, RPC_INTERNAL, "the stream ends inside a message");
        return;
    }
    call->peer_close_told = true;
    call->arrive_by_ns = COVEY_NEVER_NS;
    if (call->events && call->events->on_half_close)
        call->events->on_half_close(call, call->data);
}

/* A call with something left to read is not over for its owner: it is paused, or waits its turn. */
static bool drained(const struct rpc_call *call)
{
    return !call->drain || call->in.length_bytes == 0 ||
           (!call->paused && !has_whole_message(call));
}

static void tell_turn(struct rpc_call *call)
{
    call->scheduled = false;
    if (!call->closed && call->events && call->events->on_turn)
        call->events->on_turn(call, call->data);
}

static void tell_writable(struct rpc_call *call)
{
    call->tell_writable = false;
    if (!call->closed && call->events && call->events->on_writable && rpc_call_writable(call))
        call->events->on_writable(call, call->data);
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
             call->in.length_bytes > 0 && !has_whole_message(call))
        refuse(call, RPC_INTERNAL, "the stream ends inside a message");
    credit(call);
    if (call->tell_writable && !call->over)
        tell_writable(call);
    if (call->scheduled && !call->over)
        tell_turn(call);
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

void rpc_call_mend_text(struct rpc_call *call)
{
    call->mends_text = true;
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
    return call->deadline_ns;
}

void rpc_limits_init(struct rpc_limits *limits)
{
    *limits = (struct rpc_limits){
        .message_bytes = (size_t)4 << 20,
        .decode_budget_bytes = (size_t)64 << 20,
        .held_bytes = (size_t)64 << 20,
        .stranger_bytes = (size_t)16 << 10,
        .metadata_bytes = (size_t)16 << 10,
        .connections = 4096,
        .connections_each = 256,
        .connections_reserved = 64,
        .streams = 256,
        .calls_each = 512,
        .send_high_water_bytes = (size_t)256 << 10,
        .keepalive_ns = 10 * COVEY_NS_PER_S,
        .keepalive_timeout_ns = 10 * COVEY_NS_PER_S,
        .handshake_timeout_ns = 5 * COVEY_NS_PER_S,
        .parting_timeout_ns = COVEY_NS_PER_S,
        .stranger_timeout_ns = 5 * COVEY_NS_PER_S,
        .request_timeout_ns = 30 * COVEY_NS_PER_S,
        .stall_timeout_ns = 300 * COVEY_NS_PER_S,
    };
}
