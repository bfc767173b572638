/* The server's half of a call: what the request's headers say, and the response's. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/headers.h"
#include "rpc/percent.h"
#include "rpc/server.h"
#include "rpc/timeout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void bad_request(struct rpc_call *call, enum rpc_code code, const char *message)
{
    if (call->bad_request)
        return;
    call->bad_request = message;
    call->bad_request_code = code;
}

/* application/grpc, with "+proto" or parameters or neither: the only encoding spoken here. */
static bool is_grpc(const char *value, size_t value_bytes)
{
    static const char type[] = "application/grpc";
    size_t type_bytes = sizeof type - 1;
    if (value_bytes < type_bytes || memcmp(value, type, type_bytes) != 0)
        return false;
    value += type_bytes;
    value_bytes -= type_bytes;
    return value_bytes == 0 || *value == ';' ||
           (value_bytes >= 6 && memcmp(value, "+proto", 6) == 0);
}

static void pseudo_header(struct rpc_call *call, const char *key, size_t key_bytes,
                          const char *value, size_t value_bytes)
{
    if (rpc_text_is(key, key_bytes, ":path")) {
        if (value_bytes > 1024) {
            bad_request(call, RPC_UNIMPLEMENTED, "no such method");
            return;
        }
        call->path = covey_malloc(value_bytes + 1);
        if (!call->path) {
            call->exhausted = "out of memory";
            return;
        }
        memcpy(call->path, value, value_bytes);
        call->path[value_bytes] = '\0';
    } else if (rpc_text_is(key, key_bytes, ":method") && !rpc_text_is(value, value_bytes, "POST")) {
        bad_request(call, RPC_UNIMPLEMENTED, "gRPC uses POST only");
        call->http_status_wanted = "405";
    }
}

static void take_timeout(struct rpc_call *call, const char *value, size_t value_bytes)
{
    char text[RPC_TIMEOUT_BYTES] = "";
    int64_t timeout_ns;
    if (value_bytes < sizeof text)
        memcpy(text, value, value_bytes);
    if (!rpc_timeout_parse(text, &timeout_ns)) {
        bad_request(call, RPC_INTERNAL, "malformed grpc-timeout");
        return;
    }
    if (rpc_call_arm(call, timeout_ns) != COVEY_OK)
        call->exhausted = "out of memory";
}

static void take_encoding(struct rpc_call *call, const char *value, size_t value_bytes)
{
    if (rpc_text_is(value, value_bytes, "gzip"))
        call->encoding = RPC_ENCODING_GZIP;
    else if (!rpc_text_is(value, value_bytes, "identity"))
        bad_request(call, RPC_UNIMPLEMENTED,
                    "grpc-encoding is not supported: use identity or gzip");
}

void rpc_server_call_header(struct rpc_call *call, const char *key, size_t key_bytes,
                            const char *value, size_t value_bytes)
{
    if (key_bytes > 0 && key[0] == ':') {
        pseudo_header(call, key, key_bytes, value, value_bytes);
        return;
    }
    if (rpc_text_is(key, key_bytes, "grpc-timeout"))
        take_timeout(call, value, value_bytes);
    else if (rpc_text_is(key, key_bytes, "grpc-encoding"))
        take_encoding(call, value, value_bytes);
    rpc_call_add_metadata(call, key, key_bytes, value, value_bytes);
}

/* source->fd is how much of it has gone, since a window may be smaller than it is. */
static ssize_t read_sentence(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
                             size_t size_bytes, uint32_t *flags, nghttp2_data_source *source,
                             void *data)
{
    static const char sentence[] = "this is a gRPC server: call it with a gRPC client\n";
    size_t left = sizeof sentence - 1 - (size_t)source->fd;
    size_t taken = left < size_bytes ? left : size_bytes;
    (void)session;
    (void)stream_id;
    (void)data;
    memcpy(bytes, sentence + source->fd, taken);
    source->fd += (int)taken;
    if (taken == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)taken;
}

/* Not gRPC at all: HTTP says so. */
static void answer_http(struct rpc_call *call)
{
    const nghttp2_nv headers[] = {rpc_header(":status", call->http_status_wanted),
                                  rpc_header("content-type", "text/plain")};
    nghttp2_data_provider provider = {.read_callback = read_sentence};
    rpc_connection_check(call->connection, nghttp2_submit_response(
                                               call->connection->session, call->stream_id, headers,
                                               sizeof headers / sizeof *headers, &provider));
    call->response_begun = true;
    call->closed = true;
    rpc_call_set_status(call, RPC_UNKNOWN, "not a gRPC request");
    rpc_connection_due(call->connection);
}

/* True where the request may go on. */
static bool check_headers(struct rpc_call *call)
{
    const char *type = rpc_call_metadata(call, "content-type");
    if (call->headers_too_large)
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "the headers are over the limit");
    else if (call->http_status_wanted || !type || !is_grpc(type, strlen(type)))
        call->http_status_wanted = call->http_status_wanted ? call->http_status_wanted : "415";
    else if (call->bad_request)
        rpc_call_finish(call, call->bad_request_code, call->bad_request);
    else
        call->route = covey_map_get(&call->server->routes, call->path ? call->path : "");
    if (call->closed || call->http_status_wanted)
        return false;
    if (call->route)
        return true;
    char text[256];
    const char *path = call->path ? call->path : "";
    (void)covey_text_print(text, sizeof text, "no such method: '%.*s'", covey_text_fit(path, 200),
                           path);
    rpc_call_finish(call, RPC_UNIMPLEMENTED, text);
    return false;
}

/* Whose it is, and whether that one may have another call. */
static bool authorize(struct rpc_call *call)
{
    const struct rpc_server_options *options = &call->server->options;
    struct rpc_identity identity = {.is_alone = !options->authorize};
    if (options->authorize &&
        !options->authorize(call, &call->connection->peer, call->path, &identity, options->data)) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "not authenticated");
        return false;
    }
    return !call->closed && rpc_server_admit(call, &identity);
}

void rpc_server_call_headers_done(struct rpc_call *call)
{
    call->headers_complete = true;
    if (!call->exhausted && check_headers(call) && authorize(call)) {
        call->authorized = true;
        call->receives = call->route->method->request;
    }
    if (!call->authorized)
        covey_buffer_free(&call->metadata);
    (void)rpc_call_charge(call);
    rpc_call_due(call);
}

/* A unary request must be exactly one message, then the end. True when it is there, decoded. */
static bool take_unary(struct rpc_call *call)
{
    struct rpc_frame frame;
    size_t have = call->in.length_bytes;
    enum covey_status status =
        rpc_frame_parse(call->in.data, have, call->limits->message_bytes, &frame);
    bool whole = status == COVEY_OK;
    if (status && status != COVEY_EAGAIN) {
        call->first = rpc_call_next_message(call); /* which refuses it */
        return false;
    }
    if (whole && have > RPC_FRAME_HEADER_BYTES + frame.length_bytes) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "more than one message in a unary request");
        return false;
    }
    if (!call->peer_closed)
        return false;
    if (!whole) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT,
                        have ? "the stream ends inside a message"
                             : "no message in a unary request");
        return false;
    }
    call->first = rpc_call_next_message(call);
    call->arrive_by_ns = COVEY_NEVER_NS;
    return call->first != NULL;
}

bool rpc_server_call_begin(struct rpc_call *call)
{
    if (call->http_status_wanted && !call->closed && call->peer_closed)
        answer_http(call);
    if (call->closed)
        return true;
    if (!call->authorized)
        return false;
    if (!call->route->method->client_streaming && !take_unary(call))
        return call->closed;
    call->begun = true;
    call->events = call->route->method->on_call(call, call->route->service_data, &call->data);
    if (!call->events && !call->closed)
        rpc_call_finish(call, RPC_INTERNAL, "the method gave no answer");
    return true;
}

void rpc_server_call_respond(struct rpc_call *call)
{
    if (call->response_begun || !call->stream_id || !call->connection->session)
        return;
    const nghttp2_nv headers[] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("grpc-accept-encoding", "identity,gzip"),
    };
    nghttp2_data_provider provider = {.read_callback = rpc_call_read_out};
    call->response_begun = true;
    rpc_connection_check(call->connection, nghttp2_submit_response(
                                               call->connection->session, call->stream_id, headers,
                                               sizeof headers / sizeof *headers, &provider));
}

/* Fills status and message; *encoded holds the message. */
static size_t fill_status(struct rpc_call *call, nghttp2_nv *headers, char number[4],
                          struct covey_buffer *encoded)
{
    snprintf(number, 4, "%u", (unsigned)call->code % 1000);
    headers[0] = rpc_header("grpc-status", number);
    const char *message = call->message ? call->message : call->fixed_message;
    if (!*message || rpc_percent_encode(message, encoded) != COVEY_OK)
        return 1; /* without memory the code must do */
    headers[1] = rpc_header("grpc-message", (char *)encoded->data);
    return 2;
}

void rpc_server_call_trailers(struct rpc_call *call)
{
    nghttp2_nv headers[2];
    char number[4];
    struct covey_buffer encoded = {0};
    size_t count = fill_status(call, headers, number, &encoded);
    rpc_connection_check(call->connection, nghttp2_submit_trailer(call->connection->session,
                                                                  call->stream_id, headers, count));
    covey_buffer_free(&encoded);
}

/* Headers and trailers in one, where there is no message. */
static void respond_trailers_only(struct rpc_call *call)
{
    nghttp2_nv headers[5] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("grpc-accept-encoding", "identity,gzip"),
    };
    char number[4];
    struct covey_buffer encoded = {0};
    size_t count = 3 + fill_status(call, headers + 3, number, &encoded);
    call->response_begun = true;
    rpc_connection_check(
        call->connection,
        nghttp2_submit_response(call->connection->session, call->stream_id, headers, count, NULL));
    covey_buffer_free(&encoded);
    rpc_connection_due(call->connection);
}

void rpc_call_finish(struct rpc_call *call, enum rpc_code code, const char *message)
{
    if (call->closed || call->over)
        return;
    rpc_call_set_status(call, code, message);
    call->closed = true;
    call->in_offset = call->in.length_bytes;
    rpc_call_due(call); /* gives back the window of what is not wanted any more */
    if (!call->stream_id || !call->connection->session)
        return;
    if (call->response_begun)
        rpc_call_wake(call);
    else
        respond_trailers_only(call);
}

void rpc_call_fail(struct rpc_call *call, enum covey_status status, const struct covey_error *error)
{
    bool told = error && error->status && *error->message;
    rpc_call_finish(call, (enum rpc_code)covey_status_grpc(status),
                    told ? error->message : covey_status_text(status));
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    enum covey_status status = rpc_call_send(call, message);
    if (status)
        rpc_call_fail(call, status, NULL);
    else
        rpc_call_finish(call, RPC_OK, NULL);
}

/* The client knows its deadline as well, so little is said; what is queued will not be missed. */
void rpc_server_call_expire(struct rpc_call *call, const char *why)
{
    if (!call->response_begun && call->stream_id) {
        rpc_call_set_status(call, RPC_DEADLINE_EXCEEDED, why);
        respond_trailers_only(call);
        rpc_call_detach(call);
    } else {
        rpc_call_reset(call, NGHTTP2_CANCEL);
    }
    rpc_call_conclude(call, RPC_DEADLINE_EXCEEDED, why, false);
}

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
    return &call->connection->peer;
}
