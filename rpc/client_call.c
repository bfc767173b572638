/* The client's half of a call: the request's headers, and what the response's say. */
#include "base/clock.h"
#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/code.h"
#include "rpc/connection.h"
#include "rpc/headers.h"
#include "rpc/percent.h"
#include "rpc/timeout.h"

#include <stdlib.h>
#include <string.h>

#define FIXED_HEADERS 11
#define MAX_METADATA  64

static enum covey_status copy_metadata(struct rpc_call *call,
                                       const struct rpc_call_options *options)
{
    if (options->metadata_count > MAX_METADATA)
        return COVEY_ELIMIT;
    for (size_t i = 0; i < options->metadata_count; i++) {
        const char *key = options->metadata[i].key;
        const char *value = options->metadata[i].value;
        if (*key == ':' || strncmp(key, "grpc-", 5) == 0 ||
            !nghttp2_check_header_name((const uint8_t *)key, strlen(key)) ||
            !nghttp2_check_header_value_rfc9113((const uint8_t *)value, strlen(value)))
            return COVEY_EINVAL;
        if (covey_buffer_append(&call->request_metadata, key, strlen(key) + 1) ||
            covey_buffer_append(&call->request_metadata, value, strlen(value) + 1))
            return COVEY_ENOMEM;
    }
    call->request_metadata_count = options->metadata_count;
    return COVEY_OK;
}

static enum covey_status prepare(struct rpc_call *call, const char *full_method,
                                 const struct rpc_call_options *options)
{
    if (*full_method != '/' ||
        !nghttp2_check_path((const uint8_t *)full_method, strlen(full_method)))
        return COVEY_EINVAL;
    call->path = covey_strdup(full_method);
    if (!call->path)
        return COVEY_ENOMEM;
    if (!options)
        return COVEY_OK;
    enum covey_status status = copy_metadata(call, options);
    return status ? status : rpc_call_arm(call, options->timeout_ns);
}

enum covey_status rpc_channel_call(struct rpc_channel *channel, const char *full_method,
                                   const ProtobufCMessageDescriptor *response,
                                   const struct rpc_call_events *events, void *data,
                                   const struct rpc_call_options *options, struct rpc_call **call)
{
    if (channel->destroyed)
        return COVEY_EPRECONDITION;
    struct rpc_call *made =
        rpc_call_create(&channel->turn, channel->account, &channel->options.limits, false);
    if (!made)
        return COVEY_ENOMEM;
    made->channel = channel;
    made->receives = response;
    enum covey_status status = prepare(made, full_method, options);
    if (!status && channel->state == RPC_CHANNEL_READY)
        status = rpc_client_call_submit(made, channel->current);
    if (status) {
        rpc_call_discard(made);
        return status;
    }
    made->events = events;
    made->data = data;
    *call = made;
    if (made->connection)
        return COVEY_OK;
    covey_list_push_back(&channel->waiting, &made->connection_link);
    rpc_channel_need(channel);
    return COVEY_OK;
}

static size_t fill_headers(const struct rpc_call *call, nghttp2_nv *headers,
                           char timeout[RPC_TIMEOUT_BYTES])
{
    const struct rpc_channel *channel = call->channel;
    size_t count = 0;
    headers[count++] = rpc_header(":method", "POST");
    headers[count++] = rpc_header(":scheme", channel->tls ? "https" : "http");
    headers[count++] = rpc_header(":path", call->path);
    headers[count++] = rpc_header(":authority", channel->authority);
    headers[count++] = rpc_header("te", "trailers");
    headers[count++] = rpc_header("content-type", "application/grpc");
    headers[count++] = rpc_header("user-agent", "covey/" COVEY_VERSION);
    headers[count++] = rpc_header("grpc-accept-encoding", "identity,gzip");
    if (call->deadline_ns != COVEY_NEVER_NS) {
        rpc_timeout_format(call->deadline_ns - covey_now_ns(), timeout);
        headers[count++] = rpc_header("grpc-timeout", timeout);
    }
    if (channel->authorization) {
        headers[count] = rpc_header("authorization", channel->authorization);
        headers[count++].flags = NGHTTP2_NV_FLAG_NO_INDEX; /* no secrets in HPACK's table */
    }
    const char *at = (const char *)call->request_metadata.data;
    for (size_t i = 0; i < call->request_metadata_count; i++) {
        const char *value = at + strlen(at) + 1;
        headers[count++] = rpc_header(at, value);
        at = value + strlen(value) + 1;
    }
    return count;
}

enum covey_status rpc_client_call_submit(struct rpc_call *call, struct rpc_connection *connection)
{
    nghttp2_nv headers[FIXED_HEADERS + MAX_METADATA];
    char timeout[RPC_TIMEOUT_BYTES];
    size_t count = fill_headers(call, headers, timeout);
    nghttp2_data_provider provider = {.read_callback = rpc_call_read_out};
    int32_t stream_id =
        nghttp2_submit_request(connection->session, NULL, headers, count, &provider, call);
    if (stream_id < 0)
        return stream_id == NGHTTP2_ERR_NOMEM ? COVEY_ENOMEM : COVEY_EUNAVAILABLE;
    rpc_call_attach(call, connection, stream_id);
    rpc_connection_due(connection);
    return COVEY_OK;
}

void rpc_call_half_close(struct rpc_call *call)
{
    if (call->closed || call->over)
        return;
    call->closed = true;
    rpc_call_wake(call);
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (call->over && !call->drain)
        return;
    rpc_call_reset(call, NGHTTP2_CANCEL);
    call->over = false;
    rpc_call_conclude(call, RPC_CANCELLED, "cancelled", false);
}

/* ---- the response ---- */

static void take_status(struct rpc_call *call, const char *key, size_t key_bytes, const char *value,
                        size_t value_bytes)
{
    char *text = covey_malloc(value_bytes + 1);
    if (!text) {
        call->exhausted = "out of memory";
        return;
    }
    memcpy(text, value, value_bytes);
    text[value_bytes] = '\0';
    if (rpc_text_is(key, key_bytes, "grpc-status")) {
        call->trailer_code = rpc_code_parse(text);
        call->has_trailer_code = true;
        free(text);
        return;
    }
    rpc_percent_decode(text);
    free(call->trailer_message);
    call->trailer_message = text;
}

void rpc_client_call_header(struct rpc_call *call, const char *key, size_t key_bytes,
                            const char *value, size_t value_bytes)
{
    if (rpc_text_is(key, key_bytes, ":status")) {
        call->http_status = 0;
        for (size_t i = 0; i < value_bytes && i < 3; i++)
            call->http_status = call->http_status * 10 + (value[i] - '0');
        return;
    }
    if (rpc_text_is(key, key_bytes, "grpc-status") || rpc_text_is(key, key_bytes, "grpc-message")) {
        take_status(call, key, key_bytes, value, value_bytes);
        return;
    }
    if (rpc_text_is(key, key_bytes, "grpc-encoding"))
        call->encoding = rpc_text_is(value, value_bytes, "gzip")       ? RPC_ENCODING_GZIP
                         : rpc_text_is(value, value_bytes, "identity") ? RPC_ENCODING_IDENTITY
                                                                       : RPC_ENCODING_UNKNOWN;
    if (rpc_text_is(key, key_bytes, "content-type"))
        call->is_grpc = value_bytes >= 16 && memcmp(value, "application/grpc", 16) == 0;
    if (!call->headers_complete)
        rpc_call_add_metadata(call, key, key_bytes, value, value_bytes);
}

/* A response that is no gRPC, a proxy's page for one. */
static void refuse_http(struct rpc_call *call)
{
    char text[96];
    snprintf(text, sizeof text, "the server answered HTTP %d, not gRPC", call->http_status);
    rpc_call_reset(call, NGHTTP2_CANCEL);
    rpc_call_conclude(call, rpc_code_from_http(call->http_status), text, false);
}

void rpc_client_call_headers_done(struct rpc_call *call)
{
    if (call->over || call->headers_complete)
        return;
    if (call->http_status >= 100 && call->http_status < 200)
        return; /* the response is still to come */
    call->headers_complete = true;
    if (call->headers_too_large) {
        rpc_call_reset(call, NGHTTP2_CANCEL);
        rpc_call_conclude(call, RPC_RESOURCE_EXHAUSTED, "the headers are over the limit", false);
    } else if (call->http_status != 200 || !call->is_grpc) {
        refuse_http(call);
    }
}

void rpc_client_call_trailers_done(struct rpc_call *call)
{
    if (call->over)
        return;
    if (call->has_trailer_code) {
        rpc_call_conclude(call, call->trailer_code,
                          call->trailer_message ? call->trailer_message : "", true);
    } else if (call->http_status != 200 || !call->is_grpc) {
        refuse_http(call);
    } else {
        rpc_call_conclude(call, RPC_INTERNAL, "the stream ended without a status", true);
    }
    /* What this side had still to say is not wanted any more. */
    if (!call->closed || call->out.length_bytes > call->out_offset)
        rpc_call_reset(call, NGHTTP2_CANCEL);
}
