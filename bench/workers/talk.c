/* Covey's answers to what measurements of messages ask of a library: on the public header, as any
 * worker. */
#include "bench/workers/talk.h"

#include <stdlib.h>

enum { tag = 1 };

static int said(struct talk *talk, const char *what, enum covey_status status)
{
    if (status == COVEY_OK)
        return 0;
    covey_logf(talk->ctx, "%s: %s", what, covey_error_text(talk->ctx));
    return -1;
}

int talk_rank(const struct talk *talk)
{
    return covey_comm_rank(talk->comm);
}

int talk_size(const struct talk *talk)
{
    return covey_comm_size(talk->comm);
}

int talk_own(struct talk *talk, size_t length_bytes, struct block *block)
{
    struct covey_buf *buf;
    if (said(talk, "buffer", covey_buf_alloc(talk->ctx, length_bytes, &buf)))
        return -1;
    *block = (struct block){covey_buf_data(buf), length_bytes, buf};
    return 0;
}

void talk_disown(struct talk *talk, struct block *block)
{
    (void)talk;
    covey_buf_release(block->handle);
    block->handle = block->bytes = NULL;
}

int talk_send(struct talk *talk, const struct block *block, int to)
{
    size_t length = block->length_bytes;
    return said(talk, "send",
                block->handle ? covey_send_buf(talk->comm, block->handle, length, to, tag)
                              : covey_send(talk->comm, block->bytes, length, to, tag));
}

static void take(struct block *block, struct covey_buf *buf)
{
    *block = (struct block){covey_buf_data(buf), covey_buf_length(buf), buf};
}

int talk_receive(struct talk *talk, struct block *block, int from)
{
    if (block->bytes)
        return said(talk, "receive",
                    covey_recv(talk->comm, block->bytes, block->length_bytes, from, tag, NULL));
    struct covey_buf *buf = NULL;
    if (said(talk, "receive", covey_recv_buf(talk->comm, &buf, from, tag, NULL)))
        return -1;
    take(block, buf);
    return 0;
}

static int wait_all(struct talk *talk, struct covey_request **requests, size_t count, int failed)
{
    if (!failed)
        failed = said(talk, "wait", covey_wait_all(requests, count));
    free(requests);
    return failed;
}

int talk_send_all(struct talk *talk, const struct block *blocks, size_t count, int to)
{
    int failed = 0;
    for (size_t i = 0; i < count && blocks[i].handle && !failed; i++)
        failed = talk_send(talk, &blocks[i], to);
    if (blocks[0].handle)
        return failed;
    struct covey_request **requests = calloc(count + 1, sizeof(struct covey_request *));
    if (!requests)
        return -1;
    for (size_t i = 0; i < count && !failed; i++)
        failed = said(talk, "send",
                      covey_isend(talk->comm, blocks[i].bytes, blocks[i].length_bytes, to, tag,
                                  &requests[i]));
    return wait_all(talk, requests, count, failed);
}

int talk_receive_all(struct talk *talk, struct block *blocks, size_t count, int from)
{
    int failed = 0;
    bool owned = !blocks[0].bytes;
    for (size_t i = 0; i < count && owned && !failed; i++)
        failed = talk_receive(talk, &blocks[i], from);
    if (owned)
        return failed;
    struct covey_request **requests = calloc(count + 1, sizeof(struct covey_request *));
    if (!requests)
        return -1;
    for (size_t i = 0; i < count && !failed; i++)
        failed = said(talk, "receive",
                      covey_irecv(talk->comm, blocks[i].bytes, blocks[i].length_bytes, from, tag,
                                  &requests[i]));
    return wait_all(talk, requests, count, failed);
}

int talk_barrier(struct talk *talk)
{
    return said(talk, "barrier", covey_barrier(talk->comm));
}

int talk_bcast(struct talk *talk, struct block *block)
{
    struct covey_buf *buf = block->handle;
    if (!buf && block->bytes)
        return said(talk, "bcast", covey_bcast(talk->comm, block->bytes, block->length_bytes, 0));
    if (said(talk, "bcast", covey_bcast_buf(talk->comm, &buf, 0)))
        return -1;
    if (!block->handle)
        take(block, buf);
    return 0;
}

int talk_reduce(struct talk *talk, const double *input, double *output, size_t count)
{
    return said(talk, "reduce",
                covey_reduce(talk->comm, input, output, count, COVEY_DOUBLE, COVEY_SUM, 0));
}

int talk_allreduce(struct talk *talk, const double *input, double *output, size_t count)
{
    return said(talk, "allreduce",
                covey_allreduce(talk->comm, input, output, count, COVEY_DOUBLE, COVEY_SUM));
}

int talk_gather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return said(talk, "gather", covey_gather(talk->comm, input, length_bytes, output, 0));
}

int talk_scatter(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return said(talk, "scatter", covey_scatter(talk->comm, input, output, length_bytes, 0));
}

int talk_allgather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return said(talk, "allgather", covey_allgather(talk->comm, input, length_bytes, output));
}

int talk_alltoall(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return said(talk, "alltoall", covey_alltoall(talk->comm, input, length_bytes, output));
}

int talk_extremes(struct talk *talk, double *values, size_t count, bool largest)
{
    bool root = talk_rank(talk) == 0;
    return said(talk, "reduce",
                covey_reduce(talk->comm, root ? COVEY_IN_PLACE : values, root ? values : NULL,
                             count, COVEY_DOUBLE, largest ? COVEY_MAX : COVEY_MIN, 0));
}
