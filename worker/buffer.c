/* Owned buffers. */
#include "base/memory.h"
#include "worker/context.h"

#include <stdlib.h>

enum covey_status context_buf_create(struct covey_ctx *ctx, const struct descriptor_block *block,
                                     struct covey_buf **out)
{
    struct covey_buf *buf = covey_malloc(sizeof(*buf));
    if (!buf) {
        memory_release(&ctx->engine->memory, block);
        return context_fail(ctx, COVEY_ENOMEM, "out of memory");
    }
    buf->ctx = ctx;
    buf->block = *block;
    covey_list_push_back(&ctx->bufs, &buf->link);
    *out = buf;
    return COVEY_OK;
}

enum covey_status covey_buf_alloc(struct covey_ctx *ctx, size_t length_bytes,
                                  struct covey_buf **buf)
{
    *buf = NULL;
    if (length_bytes == 0)
        return context_fail(ctx, COVEY_EINVAL, "buf_alloc: a buffer has at least one byte");
    struct engine *engine = ctx->engine;
    if (length_bytes > memory_most_bytes(&engine->memory))
        return context_fail(ctx, COVEY_ELIMIT,
                            "buf_alloc: %zu bytes, and the node's memory has %llu", length_bytes,
                            (unsigned long long)memory_most_bytes(&engine->memory));
    struct engine_wait wait;
    engine_wait_start(&wait, engine, engine->timeout_ns);
    struct descriptor_block block;
    while (!memory_allocate(&engine->memory, length_bytes, MEMORY_OWNED, &block)) {
        enum covey_status status = engine_wait_more(&wait);
        engine->stalled = true;
        if (status == COVEY_ETIMEOUT)
            return context_fail(
                ctx, status, "buf_alloc: no room for %zu bytes in the node's memory", length_bytes);
        if (status)
            return status;
    }
    return context_buf_create(ctx, &block, buf);
}

void *covey_buf_data(struct covey_buf *buf)
{
    return memory_bytes(&buf->ctx->engine->memory, &buf->block);
}

size_t covey_buf_length(const struct covey_buf *buf)
{
    return buf->block.length;
}

void covey_buf_release(struct covey_buf *buf)
{
    if (!buf)
        return;
    covey_list_remove(&buf->link);
    memory_release(&buf->ctx->engine->memory, &buf->block);
    free(buf);
}

enum covey_status covey_send_buf(struct covey_comm *comm, struct covey_buf *buf,
                                 size_t length_bytes, int destination, int tag)
{
    struct covey_ctx *ctx = comm->ctx;
    if (destination < 0 || (uint32_t)destination >= comm->core->size || tag < 0 ||
        tag > COVEY_TAG_MAX || length_bytes > buf->block.length)
        return context_fail(ctx, COVEY_EINVAL,
                            "send_buf: rank %d, tag %d or %zu bytes of %zu cannot be", destination,
                            tag, length_bytes, (size_t)buf->block.length);
    struct request request;
    request_begin(&request);
    enum covey_status status = engine_send_start(&comm->core->user, &request, (uint32_t)destination,
                                                 tag, 0, NULL, &buf->block, length_bytes);
    if (status || request.done)
        return status ? status : request.status;
    struct engine_wait wait;
    engine_wait_start(&wait, ctx->engine, comm->core->timeout_ns);
    status = engine_wait_request(&request, &wait);
    engine_cancel(&request, status);
    return status ? context_explain(&request, status) : COVEY_OK;
}

enum covey_status covey_recv_buf(struct covey_comm *comm, struct covey_buf **buf, int source,
                                 int tag, struct covey_message *message)
{
    struct covey_ctx *ctx = comm->ctx;
    *buf = NULL;
    if (source < COVEY_ANY_SOURCE || source >= (int)comm->core->size || tag < COVEY_ANY_TAG ||
        tag > COVEY_TAG_MAX)
        return context_fail(ctx, COVEY_EINVAL, "recv_buf: rank %d or tag %d cannot be", source,
                            tag);
    struct request request;
    request_begin(&request);
    request.as_block = true;
    enum covey_status status = engine_receive_start(&comm->core->user, &request, source, tag);
    if (status)
        return status;
    struct engine_wait wait;
    engine_wait_start(&wait, ctx->engine, comm->core->timeout_ns);
    status = engine_wait_request(&request, &wait);
    engine_cancel(&request, status);
    if (status)
        return context_explain(&request, status);
    if (message) {
        message->source = request.peer;
        message->tag = request.tag;
        message->length_bytes = request.length;
    }
    return context_buf_create(ctx, &request.block, buf);
}
