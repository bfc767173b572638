/* The service covey.v1.Blobs. */
#include "service/controller/api_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "covey/v1/blobs.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)64 * 1024)

/* Blobs asked about at once. */
#define STAT_MAX 1000

/* An upload holds a file and its place among its tenant's calls: it has to go on. */
#define UPLOAD_STALL_NS (60 * COVEY_NS_PER_S)

/* ---- Put ---- */

struct put {
    struct api *api;
    struct store_upload *upload;
    char sha256[STORE_SHA256_BYTES];
    char tenant[64];
    bool failed;
};

static void fail_put(struct put *put, struct rpc_call *call, enum covey_status status,
                     const struct covey_error *error)
{
    put->failed = true;
    store_upload_abort(put->upload);
    put->upload = NULL;
    rpc_call_fail(call, status, error);
}

static enum covey_status first_piece(struct put *put, const Covey__V1__PutRequest *request,
                                     struct covey_error *error)
{
    if (!store_is_sha256(request->sha256))
        return covey_error_set(error, COVEY_EINVAL,
                               "sha256 must be 64 lowercase hexadecimal digits, in the first "
                               "message");
    (void)snprintf(put->sha256, sizeof put->sha256, "%s", request->sha256);
    return store_upload_begin(put->api->store,
                              controller_limits(put->api->controller)->max_blob_bytes, &put->upload,
                              error);
}

static void put_on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct put *put = data;
    const Covey__V1__PutRequest *request = (const Covey__V1__PutRequest *)message;
    struct covey_error error = {0};
    if (put->failed)
        return;
    enum covey_status status = put->upload ? COVEY_OK : first_piece(put, request, &error);
    if (!status && *request->sha256 && strcmp(request->sha256, put->sha256) != 0)
        status = covey_error_set(&error, COVEY_EINVAL, "sha256 changes within one blob");
    if (!status)
        status = store_upload_write(put->upload, request->data.data, request->data.len, &error);
    if (status)
        fail_put(put, call, status, &error);
    else
        rpc_call_expect(call, UPLOAD_STALL_NS);
}

static void put_on_half_close(struct rpc_call *call, void *data)
{
    struct put *put = data;
    struct covey_error error = {0};
    Covey__V1__PutResponse response = COVEY__V1__PUT_RESPONSE__INIT;
    if (put->failed)
        return;
    if (!put->upload) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "no blob came: the first message names it");
        return;
    }
    enum covey_status status = store_upload_finish(put->upload, put->sha256, put->tenant,
                                                   covey_wall_ns(), &response.size_bytes, &error);
    put->upload = NULL;
    response.sha256 = put->sha256;
    if (status)
        fail_put(put, call, status, &error);
    else
        rpc_call_reply(call, &response.base);
}

static void put_on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    struct put *put = data;
    store_upload_abort(put->upload);
    free(put);
}

static const struct rpc_call_events put_events = {
    .on_message = put_on_message, .on_half_close = put_on_half_close, .on_end = put_on_end};

static const struct rpc_call_events *put_call(struct rpc_call *call, void *service, void **data)
{
    struct controller_identity caller;
    if (!api_caller(service, call, &caller))
        return NULL;
    struct put *put = covey_calloc(1, sizeof *put);
    if (!put) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    put->api = service;
    (void)snprintf(put->tenant, sizeof put->tenant, "%s", caller.tenant);
    *data = put;
    return &put_events;
}

/* ---- Get ---- */

struct get {
    struct api *api;
    int fd;
    uint64_t offset;
    bool finished;
};

/* Agents and operators read every blob, a tenant those it has put. */
static const char *reader_of(const struct identity *identity)
{
    return identity->is_node || identity->caller.is_operator ? NULL : identity->caller.tenant;
}

static void pump_get(struct get *get, struct rpc_call *call)
{
    uint8_t *bytes = covey_malloc(PIECE_BYTES);
    enum covey_status status = bytes ? COVEY_OK : COVEY_ENOMEM;
    ssize_t got = 1;
    while (!status && got > 0 && rpc_call_writable(call)) {
        got = pread(get->fd, bytes, PIECE_BYTES, (off_t)get->offset);
        if (got < 0) {
            status = covey_status_from_errno(errno);
        } else if (got > 0 || get->offset == 0) {
            Covey__V1__GetResponse response = COVEY__V1__GET_RESPONSE__INIT;
            response.offset = get->offset;
            response.data = (ProtobufCBinaryData){(size_t)got, bytes};
            status = rpc_call_send(call, &response.base);
            get->offset += (uint64_t)got;
        }
    }
    free(bytes);
    if (!status && got > 0)
        return;
    get->finished = true;
    if (status)
        rpc_call_fail(call, status, NULL);
    else
        rpc_call_finish(call, RPC_OK, NULL);
}

static void get_on_message(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct get *get = data;
    const Covey__V1__GetRequest *request = (const Covey__V1__GetRequest *)message;
    struct identity identity;
    struct covey_error error = {0};
    uint64_t size_bytes;
    if (!api_identity(get->api, call, &identity))
        return;
    enum covey_status status = COVEY_OK;
    if (!store_is_sha256(request->sha256))
        status =
            covey_error_set(&error, COVEY_EINVAL, "sha256 must be 64 lowercase hexadecimal digits");
    if (!status)
        status = store_blob_size(get->api->store, request->sha256, reader_of(&identity),
                                 &size_bytes, &error);
    if (!status)
        status = store_blob_open(get->api->store, request->sha256, &get->fd, &error);
    if (status) {
        get->finished = true;
        rpc_call_fail(call, status, &error);
        return;
    }
    pump_get(get, call);
}

static void get_on_writable(struct rpc_call *call, void *data)
{
    struct get *get = data;
    if (!get->finished && get->fd >= 0)
        pump_get(get, call);
}

static void get_on_end(struct rpc_call *call, enum rpc_code code, const char *message, void *data)
{
    (void)call;
    (void)code;
    (void)message;
    struct get *get = data;
    covey_close(&get->fd);
    free(get);
}

static const struct rpc_call_events get_events = {
    .on_message = get_on_message, .on_writable = get_on_writable, .on_end = get_on_end};

static const struct rpc_call_events *get_call(struct rpc_call *call, void *service, void **data)
{
    struct get *get = covey_calloc(1, sizeof *get);
    if (!get) {
        rpc_call_fail(call, COVEY_ENOMEM, NULL);
        return NULL;
    }
    get->api = service;
    get->fd = -1;
    *data = get;
    return &get_events;
}

/* ---- Stat ---- */

static void stat_blobs(struct rpc_call *call, const ProtobufCMessage *message, void *data)
{
    struct api *api = data;
    const Covey__V1__StatRequest *request = (const Covey__V1__StatRequest *)message;
    struct identity identity;
    if (!api_identity(api, call, &identity))
        return;
    if (request->n_sha256 > STAT_MAX) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "more than 1000 blobs are asked about at once");
        return;
    }
    Covey__V1__StatResponse response = COVEY__V1__STAT_RESPONSE__INIT;
    Covey__V1__BlobInfo *infos = covey_calloc(request->n_sha256 + 1, sizeof *infos);
    response.blobs = covey_calloc(request->n_sha256 + 1, sizeof(Covey__V1__BlobInfo *));
    enum covey_status status = infos && response.blobs ? COVEY_OK : COVEY_ENOMEM;
    struct covey_error error = {0};
    for (size_t i = 0; !status && i < request->n_sha256; i++) {
        Covey__V1__BlobInfo *info = &infos[response.n_blobs];
        *info = (Covey__V1__BlobInfo)COVEY__V1__BLOB_INFO__INIT;
        info->sha256 = request->sha256[i];
        status = store_blob_size(api->store, request->sha256[i], reader_of(&identity),
                                 &info->size_bytes, &error);
        if (!status)
            response.blobs[response.n_blobs++] = info;
        else if (status == COVEY_ENOTFOUND)
            status = COVEY_OK;
    }
    if (status)
        rpc_call_fail(call, status, &error);
    else
        rpc_call_reply(call, &response.base);
    free(response.blobs);
    free(infos);
}

API_UNARY(stat_blobs)

static const struct rpc_method methods[] = {
    {"Put", &covey__v1__put_request__descriptor, &covey__v1__put_response__descriptor, true, false,
     put_call},
    {"Get", &covey__v1__get_request__descriptor, &covey__v1__get_response__descriptor, false, true,
     get_call},
    {"Stat", &covey__v1__stat_request__descriptor, &covey__v1__stat_response__descriptor, false,
     false, stat_blobs_call},
};

const struct rpc_service api_blobs_service = {"covey.v1.Blobs", methods,
                                              sizeof methods / sizeof *methods};
