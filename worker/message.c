/* Point to point. */
#include "base/memory.h"
#include "worker/context.h"

#include <stdlib.h>

static bool is_member(const struct covey_comm *comm, int rank)
{
    return rank >= 0 && (uint32_t)rank < comm->core->size;
}

static enum covey_status check_send(struct covey_comm *comm, const void *bytes, size_t length_bytes,
                                    int destination, int tag)
{
    if (!is_member(comm, destination))
        return context_fail(comm->ctx, COVEY_EINVAL, "send: %d is no member's rank", destination);
    if (tag < 0 || tag > COVEY_TAG_MAX)
        return context_fail(comm->ctx, COVEY_EINVAL, "send: tag %d is not 0 to %d", tag,
                            COVEY_TAG_MAX);
    if (!bytes && length_bytes > 0)
        return context_fail(comm->ctx, COVEY_EINVAL, "send: no bytes");
    return COVEY_OK;
}

static enum covey_status check_receive(struct covey_comm *comm, const void *bytes,
                                       size_t size_bytes, int source, int tag)
{
    if (source != COVEY_ANY_SOURCE && !is_member(comm, source))
        return context_fail(comm->ctx, COVEY_EINVAL, "receive: %d is no member's rank", source);
    if (tag != COVEY_ANY_TAG && (tag < 0 || tag > COVEY_TAG_MAX))
        return context_fail(comm->ctx, COVEY_EINVAL, "receive: tag %d is not 0 to %d", tag,
                            COVEY_TAG_MAX);
    if (!bytes && size_bytes > 0)
        return context_fail(comm->ctx, COVEY_EINVAL, "receive: no bytes");
    return COVEY_OK;
}

enum covey_status context_explain(const struct request *request, enum covey_status status)
{
    struct engine *engine = request->channel->comm->engine;
    bool sends = request->kind == REQUEST_SEND;
    if (request->gave_up)
        return engine_fail(engine, status, "%s rank %d: that rank gave up %s: %s",
                           sends ? "send to" : "receive from", request->peer,
                           sends ? "receiving" : "sending", covey_status_text(status));
    if (status == COVEY_EPEER)
        (void)!engine_can_come(request->channel, request->peer);
    if (status == COVEY_ETRUNCATED)
        return engine_fail(engine, status, "a message of %llu bytes, the buffer has %llu",
                           (unsigned long long)request->length, (unsigned long long)request->size);
    if (status == COVEY_ELIMIT)
        return engine_fail(engine, status,
                           "recv_buf: a message of %llu bytes, and the node's memory has %llu; it "
                           "can still be received by recv",
                           (unsigned long long)request->length,
                           (unsigned long long)memory_most_bytes(&engine->memory));
    if (status != COVEY_ETIMEOUT)
        return status;
    const char *what = sends ? "send to" : "receive from";
    if (request->peer == ENGINE_ANY)
        return engine_fail(engine, status, "receive from any: nothing came in time");
    return engine_fail(engine, status, "%s rank %d: not %s in time", what, request->peer,
                       request->far_cookie ? "finished" : "matched");
}

static enum covey_status finish(struct request *request, struct engine_wait *wait)
{
    enum covey_status status = engine_wait_request(request, wait);
    if (!status)
        return COVEY_OK;
    engine_cancel(request, status);
    return context_explain(request, status);
}

static void describe(const struct request *request, struct covey_message *message)
{
    if (!message)
        return;
    message->source = request->peer;
    message->tag = request->tag;
    message->length_bytes = request->length;
}

enum covey_status covey_send(struct covey_comm *comm, const void *bytes, size_t length_bytes,
                             int destination, int tag)
{
    enum covey_status status = check_send(comm, bytes, length_bytes, destination, tag);
    if (status)
        return status;
    struct request request;
    request_begin(&request);
    status = engine_send_start(&comm->core->user, &request, (uint32_t)destination, tag, 0, bytes,
                               NULL, length_bytes);
    if (status || request.done)
        return status ? status : request.status;
    struct engine_wait wait;
    engine_wait_start(&wait, comm->ctx->engine, comm->core->timeout_ns);
    return finish(&request, &wait);
}

enum covey_status covey_recv(struct covey_comm *comm, void *bytes, size_t size_bytes, int source,
                             int tag, struct covey_message *message)
{
    enum covey_status status = check_receive(comm, bytes, size_bytes, source, tag);
    if (status)
        return status;
    struct request request;
    request_begin(&request);
    request.target = bytes;
    request.size = size_bytes;
    status = engine_receive_start(&comm->core->user, &request, source, tag);
    if (status)
        return status;
    struct engine_wait wait;
    engine_wait_start(&wait, comm->ctx->engine, comm->core->timeout_ns);
    status = finish(&request, &wait);
    if (!status || status == COVEY_ETRUNCATED)
        describe(&request, message);
    return status;
}

enum covey_status covey_sendrecv(struct covey_comm *comm, const void *send_bytes,
                                 size_t send_length_bytes, int destination, int send_tag,
                                 void *receive_bytes, size_t receive_size_bytes, int source,
                                 int receive_tag, struct covey_message *message)
{
    enum covey_status status =
        check_send(comm, send_bytes, send_length_bytes, destination, send_tag);
    if (!status)
        status = check_receive(comm, receive_bytes, receive_size_bytes, source, receive_tag);
    if (status)
        return status;
    struct request receive;
    request_begin(&receive);
    receive.target = receive_bytes;
    receive.size = receive_size_bytes;
    status = engine_receive_start(&comm->core->user, &receive, source, receive_tag);
    if (status)
        return status;
    struct request send;
    request_begin(&send);
    status = engine_send_start(&comm->core->user, &send, (uint32_t)destination, send_tag, 0,
                               send_bytes, NULL, send_length_bytes);
    if (status) {
        engine_cancel(&receive, status);
        return status;
    }
    struct engine_wait wait;
    engine_wait_start(&wait, comm->ctx->engine, comm->core->timeout_ns);
    status = finish(&send, &wait);
    if (status) {
        engine_cancel(&receive, status);
        return status;
    }
    status = finish(&receive, &wait);
    if (!status || status == COVEY_ETRUNCATED)
        describe(&receive, message);
    return status;
}

static bool peek(struct covey_comm *comm, int source, int tag, struct covey_message *message)
{
    struct message *found = engine_find(&comm->core->user, source, tag);
    if (!found)
        return false;
    if (message) {
        message->source = (int)found->member;
        message->tag = found->descriptor.header.tag;
        message->length_bytes = found->descriptor.header.length;
    }
    return true;
}

enum covey_status covey_iprobe(struct covey_comm *comm, int source, int tag,
                               struct covey_message *message)
{
    enum covey_status status = check_receive(comm, NULL, 0, source, tag);
    if (status)
        return status;
    if (peek(comm, source, tag, message))
        return COVEY_OK;
    bool ended = engine_can_come(&comm->core->user, source) != COVEY_OK;
    engine_want(&comm->core->user, source);
    engine_progress(comm->ctx->engine);
    if (peek(comm, source, tag, message))
        return COVEY_OK;
    return ended ? COVEY_EPEER : COVEY_EAGAIN;
}

enum covey_status covey_probe(struct covey_comm *comm, int source, int tag,
                              struct covey_message *message)
{
    struct engine_wait wait;
    engine_wait_start(&wait, comm->ctx->engine, comm->core->timeout_ns);
    for (;;) {
        enum covey_status status = covey_iprobe(comm, source, tag, message);
        if (status != COVEY_EAGAIN)
            return status;
        status = engine_wait_more(&wait);
        if (status == COVEY_ETIMEOUT)
            return context_fail(comm->ctx, status, "probe: nothing came in time");
        if (status)
            return status;
    }
}

enum covey_status covey_isend(struct covey_comm *comm, const void *bytes, size_t length_bytes,
                              int destination, int tag, struct covey_request **out)
{
    *out = NULL;
    enum covey_status status = check_send(comm, bytes, length_bytes, destination, tag);
    if (status)
        return status;
    struct request *request = engine_request_new(comm->ctx->engine);
    if (!request)
        return context_fail(comm->ctx, COVEY_ENOMEM, "out of memory");
    status = engine_send_start(&comm->core->user, request, (uint32_t)destination, tag, 0, bytes,
                               NULL, length_bytes);
    if (status) {
        engine_request_free(comm->ctx->engine, request);
        return status;
    }
    comm_hold(comm->core);
    *out = (struct covey_request *)request;
    return COVEY_OK;
}

enum covey_status covey_irecv(struct covey_comm *comm, void *bytes, size_t size_bytes, int source,
                              int tag, struct covey_request **out)
{
    *out = NULL;
    enum covey_status status = check_receive(comm, bytes, size_bytes, source, tag);
    if (status)
        return status;
    struct request *request = engine_request_new(comm->ctx->engine);
    if (!request)
        return context_fail(comm->ctx, COVEY_ENOMEM, "out of memory");
    request->target = bytes;
    request->size = size_bytes;
    status = engine_receive_start(&comm->core->user, request, source, tag);
    if (status) {
        engine_request_free(comm->ctx->engine, request);
        return status;
    }
    comm_hold(comm->core);
    *out = (struct covey_request *)request;
    return COVEY_OK;
}

/* Frees a request that is done. */
static enum covey_status take_result(struct covey_request **handle, struct covey_message *message)
{
    struct request *request = &(*handle)->core;
    enum covey_status status = request->status;
    if (request->kind == REQUEST_RECEIVE && (!status || status == COVEY_ETRUNCATED))
        describe(request, message);
    if (status)
        (void)!context_explain(request, status);
    struct comm *comm = request->channel->comm;
    engine_request_free(comm->engine, request);
    comm_release(comm);
    *handle = NULL;
    return status;
}

/* As covey_wait, in a wait that may have begun with other requests. */
static enum covey_status wait_one(struct covey_request **handle, struct engine_wait *wait,
                                  struct covey_message *message)
{
    struct request *request = &(*handle)->core;
    engine_wait_limit(wait, request->channel->comm->timeout_ns);
    enum covey_status status = engine_wait_request(request, wait);
    return request->done ? take_result(handle, message) : context_explain(request, status);
}

enum covey_status covey_wait(struct covey_request **handle, struct covey_message *message)
{
    if (!*handle)
        return COVEY_OK;
    struct engine_wait wait;
    engine_wait_start(&wait, (*handle)->core.channel->comm->engine, 0);
    return wait_one(handle, &wait, message);
}

enum covey_status covey_test(struct covey_request **handle, struct covey_message *message)
{
    if (!*handle)
        return COVEY_OK;
    struct request *request = &(*handle)->core;
    if (!request->done)
        engine_progress(request->channel->comm->engine);
    return request->done ? take_result(handle, message) : COVEY_EAGAIN;
}

enum covey_status covey_wait_all(struct covey_request **requests, size_t count)
{
    enum covey_status first = COVEY_OK;
    struct engine_wait wait = {0};
    for (size_t i = 0; i < count; i++) {
        if (!requests[i])
            continue;
        if (!wait.engine)
            engine_wait_start(&wait, requests[i]->core.channel->comm->engine, 0);
        enum covey_status status = wait_one(&requests[i], &wait, NULL);
        if (status == COVEY_ETIMEOUT && requests[i])
            return status;
        if (status && !first)
            first = status;
    }
    return first;
}
