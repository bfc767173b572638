/*
 * Deploying, and running what is not deployed: hash the file, ask whether its content is there, put
 * it if not, then store the definition, or start the flare that brings it.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"
#include "client/inspect.h"
#include "client/internal.h"
#include "client/request.h"
#include "covey/v1/blobs.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES   ((size_t)1 << 20)
#define SHA256_DIGITS (COVEY_SHA256_BYTES - 1)

struct deploy {
    struct covey_operation base;
    int fd;
    uint64_t length_bytes;
    uint64_t sent_bytes;
    bool half_closed;
    char sha256[SHA256_DIGITS + 1];
    unsigned char *piece; /* PIECE_BYTES */
    const struct operation_stage *last;
    ProtobufCMessage *request; /* of the last stage; unpacked: owns all it holds */
};

static struct deploy *deploy_of(struct covey_operation *operation)
{
    return covey_container_of(operation, struct deploy, base);
}

static void release(struct covey_operation *operation)
{
    struct deploy *deploy = deploy_of(operation);
    covey_close(&deploy->fd);
    free(deploy->piece);
    if (deploy->request)
        protobuf_c_message_free_unpacked(deploy->request, NULL);
}

static const struct operation_kind deploy_kind = {
    .size_bytes = sizeof(struct deploy),
    .reply_offset = offsetof(struct covey_reply, definition),
    .release = release,
};

static const struct operation_kind run_kind = {
    .size_bytes = sizeof(struct deploy),
    .reply_offset = offsetof(struct covey_reply, flare),
    .release = release,
};

static const struct operation_kind put_kind = {
    .size_bytes = sizeof(struct deploy),
    .release = release,
};

static void ignore_message(struct covey_operation *operation, const ProtobufCMessage *message)
{
    (void)operation;
    (void)message;
}

static void on_deployed(struct covey_operation *operation, const ProtobufCMessage *message)
{
    operation_keep(operation, client_convert_deployed, message);
}

static void on_flared(struct covey_operation *operation, const ProtobufCMessage *message)
{
    operation_keep(operation, client_convert_flared, message);
}

static void on_last_end(struct covey_operation *operation, const struct covey_error *error)
{
    struct covey_error empty = {0};
    if (!error->status && !operation->result) {
        covey_error_set(&empty, COVEY_EPROTO, "the controller's answer is empty");
        error = &empty;
    }
    operation_finish(operation, error);
}

static const struct operation_stage deploy_stage = {
    .path = "/covey.v1.Covey/Deploy",
    .response = &covey__v1__deploy_response__descriptor,
    .on_message = on_deployed,
    .on_end = on_last_end,
};

static const struct operation_stage flare_stage = {
    .path = "/covey.v1.Covey/Flare",
    .response = &covey__v1__flare_response__descriptor,
    .precondition = COVEY_EUNPLACEABLE,
    .on_message = on_flared,
    .on_end = on_last_end,
};

static void call_or_finish(struct covey_operation *operation, const struct operation_stage *stage,
                           const ProtobufCMessage *request)
{
    struct covey_error error = {0};
    if (operation_call(operation, stage, request, &error))
        operation_finish(operation, &error);
}

/* The next piece of the file. False where nothing more can be sent now. */
static bool send_piece(struct deploy *deploy)
{
    uint64_t left = deploy->length_bytes - deploy->sent_bytes;
    size_t wanted = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    ssize_t got = pread(deploy->fd, deploy->piece, wanted, (off_t)deploy->sent_bytes);
    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0) {
        operation_break(&deploy->base, COVEY_EIO,
                        got < 0 ? "cannot read the file any more"
                                : "the file became shorter while it was sent");
        return false;
    }
    Covey__V1__PutRequest request = COVEY__V1__PUT_REQUEST__INIT;
    if (deploy->sent_bytes == 0)
        request.sha256 = deploy->sha256;
    request.data = (ProtobufCBinaryData){(size_t)got, deploy->piece};
    enum covey_status status = rpc_call_send(deploy->base.call, &request.base);
    if (status) {
        operation_break(&deploy->base, status, "cannot send the file");
        return false;
    }
    deploy->sent_bytes += (uint64_t)got;
    return true;
}

static void on_put_writable(struct covey_operation *operation)
{
    struct deploy *deploy = deploy_of(operation);
    while (deploy->sent_bytes < deploy->length_bytes && rpc_call_writable(operation->call))
        if (!send_piece(deploy))
            return;
    if (deploy->sent_bytes == deploy->length_bytes && !deploy->half_closed) {
        deploy->half_closed = true;
        rpc_call_half_close(operation->call);
    }
}

/* The content is there, or it has failed. */
static void on_put_end(struct covey_operation *operation, const struct covey_error *error)
{
    const struct deploy *deploy = deploy_of(operation);
    if (error->status || !deploy->last)
        operation_finish(operation, error);
    else
        call_or_finish(operation, deploy->last, deploy->request);
}

static const struct operation_stage put_stage = {
    .path = "/covey.v1.Blobs/Put",
    .response = &covey__v1__put_response__descriptor,
    .sends_stream = true,
    .on_message = ignore_message,
    .on_writable = on_put_writable,
    .on_end = on_put_end,
};

static void on_stat(struct covey_operation *operation, const ProtobufCMessage *message)
{
    struct deploy *deploy = deploy_of(operation);
    const Covey__V1__StatResponse *answer = (const Covey__V1__StatResponse *)message;
    for (size_t i = 0; i < answer->n_blobs; i++)
        if (strcmp(answer->blobs[i]->sha256, deploy->sha256) == 0)
            deploy->sent_bytes = deploy->length_bytes;
}

static void on_stat_end(struct covey_operation *operation, const struct covey_error *error)
{
    struct deploy *deploy = deploy_of(operation);
    if (error->status || deploy->sent_bytes == deploy->length_bytes)
        on_put_end(operation, error);
    else
        call_or_finish(operation, &put_stage, NULL);
}

static const struct operation_stage stat_stage = {
    .path = "/covey.v1.Blobs/Stat",
    .response = &covey__v1__stat_response__descriptor,
    .on_message = on_stat,
    .on_end = on_stat_end,
};

static bool digest_file(struct deploy *deploy, EVP_MD_CTX *context)
{
    uint64_t offset = 0;
    while (offset < deploy->length_bytes) {
        ssize_t got = pread(deploy->fd, deploy->piece, PIECE_BYTES, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || EVP_DigestUpdate(context, deploy->piece, (size_t)got) != 1)
            return false;
        offset += (uint64_t)got;
    }
    return offset == deploy->length_bytes;
}

static enum covey_status hash_file(struct deploy *deploy, struct covey_error *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    deploy->piece = covey_malloc(PIECE_BYTES);
    if (!deploy->piece)
        return covey_error_set(error, COVEY_ENOMEM, "out of memory");
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
              digest_file(deploy, context) &&
              EVP_DigestFinal_ex(context, digest, &digest_bytes) == 1;
    EVP_MD_CTX_free(context);
    if (!ok || digest_bytes * 2 != SHA256_DIGITS)
        return covey_error_set(error, COVEY_EIO, "cannot read the file, or it is being written");
    for (unsigned i = 0; i < digest_bytes; i++)
        snprintf(deploy->sha256 + 2 * (size_t)i, 3, "%02x", digest[i]);
    return COVEY_OK;
}

/* The request outlives what the user gave: it is copied, the way the wire would. */
static ProtobufCMessage *copy_request(const ProtobufCMessage *request)
{
    size_t length_bytes = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = covey_malloc(length_bytes ? length_bytes : 1);
    ProtobufCMessage *copy = NULL;
    if (packed) {
        protobuf_c_message_pack(request, packed);
        copy = protobuf_c_message_unpack(request->descriptor, NULL, length_bytes, packed);
    }
    free(packed);
    return copy;
}

/* Of the last stage; run NULL: a definition is stored. */
static enum covey_status build_request(struct deploy *deploy,
                                       const struct covey_deployment *deployment,
                                       const struct covey_flare_request *run,
                                       enum covey_code_kind kind, struct covey_error *error)
{
    struct client_arena arena = {0};
    Covey__V1__DeployRequest store = COVEY__V1__DEPLOY_REQUEST__INIT;
    const ProtobufCMessage *request = &store.base;
    store.definition = client_request_definition(&arena, deployment, kind, deploy->sha256);
    deploy->last = run ? &flare_stage : &deploy_stage;
    if (run) {
        Covey__V1__FlareRequest *flare = client_request_flare(&arena, run);
        if (flare)
            flare->inline_definition = store.definition;
        request = (const ProtobufCMessage *)flare;
    }
    if (!arena.failed)
        deploy->request = copy_request(request);
    client_arena_free(&arena);
    return deploy->request ? COVEY_OK : covey_error_set(error, COVEY_ENOMEM, "out of memory");
}

static enum covey_status prepare(struct deploy *deploy, const struct covey_deployment *deployment,
                                 const struct covey_flare_request *run, struct covey_error *error)
{
    enum covey_code_kind found;
    enum covey_status status =
        client_code_open(deployment->file, &deploy->fd, &deploy->length_bytes, &found, error);
    if (status)
        return status;
    if (deployment->code_kind && deployment->code_kind != found)
        return covey_error_set(error, COVEY_EINVAL, "%s is %s, not %s", deployment->file,
                               found == COVEY_CODE_EXECUTABLE ? "a program" : "a shared object",
                               found == COVEY_CODE_EXECUTABLE ? "a shared object" : "a program");
    status = hash_file(deploy, error);
    return status ? status : build_request(deploy, deployment, run, found, error);
}

/* Asks for what hash_file has found. */
static enum covey_status ask(struct covey_operation *operation, struct covey_error *error)
{
    Covey__V1__StatRequest request = COVEY__V1__STAT_REQUEST__INIT;
    char *sha256[] = {deploy_of(operation)->sha256};
    request.sha256 = sha256;
    request.n_sha256 = 1;
    return operation_call(operation, &stat_stage, &request.base, error);
}

static enum covey_status begin(struct covey_client *client, const struct operation_kind *kind,
                               const struct covey_deployment *deployment,
                               const struct covey_flare_request *run,
                               const struct covey_start *start, struct covey_error *error)
{
    struct covey_operation *operation;
    enum covey_status status = operation_create(client, kind, start, &operation, error);
    if (status)
        return status;
    struct deploy *deploy = deploy_of(operation);
    deploy->fd = -1;
    status = prepare(deploy, deployment, run, error);
    if (!status)
        status = ask(operation, error);
    if (status)
        operation_discard(operation);
    return status;
}

enum covey_status covey_client_deploy_start(struct covey_client *client,
                                            const struct covey_deployment *deployment,
                                            const struct covey_start *start,
                                            struct covey_error *error)
{
    return begin(client, &deploy_kind, deployment, NULL, start, error);
}

enum covey_status covey_client_run_start(struct covey_client *client,
                                         const struct covey_deployment *deployment,
                                         const struct covey_flare_request *request,
                                         const struct covey_start *start, struct covey_error *error)
{
    enum covey_status status = client_request_check(request, error);
    return status ? status : begin(client, &run_kind, deployment, request, start, error);
}

enum covey_status covey_client_deploy(struct covey_client *client,
                                      const struct covey_deployment *deployment, int64_t timeout_ns,
                                      struct covey_definition **definition,
                                      struct covey_error *error)
{
    struct blocking blocking;
    struct client_result *result = NULL;
    *definition = NULL;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_deploy_start(client, deployment, &blocking.start, error);
    if (!status)
        status = blocking_wait(&blocking, &result, error);
    if (!status)
        *definition = &result->as.definition;
    return status;
}

enum covey_status covey_client_run(struct covey_client *client,
                                   const struct covey_deployment *deployment,
                                   const struct covey_flare_request *request, int64_t timeout_ns,
                                   struct covey_flare **flare, struct covey_error *error)
{
    struct blocking blocking;
    struct client_result *result = NULL;
    *flare = NULL;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_run_start(client, deployment, request, &blocking.start, error);
    if (!status)
        status = blocking_wait(&blocking, &result, error);
    if (!status)
        *flare = &result->as.flare;
    return status;
}

static enum covey_status take_file(struct deploy *deploy, int fd, struct covey_error *error)
{
    struct stat facts;
    deploy->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (deploy->fd < 0 || fstat(deploy->fd, &facts) != 0)
        return covey_error_set_errno(error, errno, "cannot read the file");
    if (!S_ISREG(facts.st_mode) || facts.st_size == 0)
        return covey_error_set(error, COVEY_EINVAL,
                               "a blob is put from a regular file that holds "
                               "something");
    deploy->length_bytes = (uint64_t)facts.st_size;
    return hash_file(deploy, error);
}

enum covey_status covey_client_put_blob_start(struct covey_client *client, int fd,
                                              char sha256[COVEY_SHA256_BYTES],
                                              const struct covey_start *start,
                                              struct covey_error *error)
{
    struct covey_operation *operation;
    enum covey_status status = operation_create(client, &put_kind, start, &operation, error);
    if (status)
        return status;
    struct deploy *deploy = deploy_of(operation);
    status = take_file(deploy, fd, error);
    if (!status) {
        memcpy(sha256, deploy->sha256, COVEY_SHA256_BYTES);
        status = ask(operation, error);
    }
    if (status)
        operation_discard(operation);
    return status;
}

enum covey_status covey_client_put_blob(struct covey_client *client, int fd, int64_t timeout_ns,
                                        char sha256[COVEY_SHA256_BYTES], struct covey_error *error)
{
    struct blocking blocking;
    enum covey_status status = blocking_begin(client, timeout_ns, &blocking, error);
    if (!status)
        status = covey_client_put_blob_start(client, fd, sha256, &blocking.start, error);
    return status ? status : blocking_wait(&blocking, NULL, error);
}
