/* MPI's side of the measurements of messages. The order is the argument, what was seen the output
 * of rank 0. */
#include "bench/exchange/measure.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>

struct talk {
    int rank;
    int size;
};

enum { tag = 1 };

int talk_rank(const struct talk *talk)
{
    return talk->rank;
}

int talk_size(const struct talk *talk)
{
    return talk->size;
}

/* MPI's errors end the program, with what it has to say. */
static int done(int status)
{
    return status == MPI_SUCCESS ? 0 : -1;
}

int talk_own(struct talk *talk, size_t length_bytes, struct block *block)
{
    (void)talk;
    (void)length_bytes;
    (void)block;
    fprintf(stderr, "covey-bench: MPI has no owned messages\n");
    return -1;
}

void talk_disown(struct talk *talk, struct block *block)
{
    (void)talk;
    (void)block;
}

int talk_send(struct talk *talk, const struct block *block, int to)
{
    (void)talk;
    return done(
        MPI_Send(block->bytes, (int)block->length_bytes, MPI_BYTE, to, tag, MPI_COMM_WORLD));
}

int talk_receive(struct talk *talk, struct block *block, int from)
{
    (void)talk;
    return done(MPI_Recv(block->bytes, (int)block->length_bytes, MPI_BYTE, from, tag,
                         MPI_COMM_WORLD, MPI_STATUS_IGNORE));
}

static int wait_all(MPI_Request *requests, size_t count, int failed)
{
    if (!failed)
        failed = done(MPI_Waitall((int)count, requests, MPI_STATUSES_IGNORE));
    free(requests);
    return failed;
}

int talk_send_all(struct talk *talk, const struct block *blocks, size_t count, int to)
{
    int failed = 0;
    MPI_Request *requests = calloc(count, sizeof(MPI_Request));
    (void)talk;
    if (!requests)
        return -1;
    for (size_t i = 0; i < count && !failed; i++)
        failed = done(MPI_Isend(blocks[i].bytes, (int)blocks[i].length_bytes, MPI_BYTE, to, tag,
                                MPI_COMM_WORLD, &requests[i]));
    return wait_all(requests, count, failed);
}

int talk_receive_all(struct talk *talk, struct block *blocks, size_t count, int from)
{
    int failed = 0;
    MPI_Request *requests = calloc(count, sizeof(MPI_Request));
    (void)talk;
    if (!requests)
        return -1;
    for (size_t i = 0; i < count && !failed; i++)
        failed = done(MPI_Irecv(blocks[i].bytes, (int)blocks[i].length_bytes, MPI_BYTE, from, tag,
                                MPI_COMM_WORLD, &requests[i]));
    return wait_all(requests, count, failed);
}

int talk_barrier(struct talk *talk)
{
    (void)talk;
    return done(MPI_Barrier(MPI_COMM_WORLD));
}

int talk_bcast(struct talk *talk, struct block *block)
{
    (void)talk;
    return done(MPI_Bcast(block->bytes, (int)block->length_bytes, MPI_BYTE, 0, MPI_COMM_WORLD));
}

int talk_reduce(struct talk *talk, const double *input, double *output, size_t count)
{
    (void)talk;
    return done(MPI_Reduce(input, output, (int)count, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD));
}

int talk_allreduce(struct talk *talk, const double *input, double *output, size_t count)
{
    (void)talk;
    return done(MPI_Allreduce(input, output, (int)count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
}

int talk_gather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    int length = (int)length_bytes;
    (void)talk;
    return done(MPI_Gather(input, length, MPI_BYTE, output, length, MPI_BYTE, 0, MPI_COMM_WORLD));
}

int talk_scatter(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    int length = (int)length_bytes;
    (void)talk;
    return done(MPI_Scatter(input, length, MPI_BYTE, output, length, MPI_BYTE, 0, MPI_COMM_WORLD));
}

int talk_allgather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    int length = (int)length_bytes;
    (void)talk;
    return done(MPI_Allgather(input, length, MPI_BYTE, output, length, MPI_BYTE, MPI_COMM_WORLD));
}

int talk_alltoall(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    int length = (int)length_bytes;
    (void)talk;
    return done(MPI_Alltoall(input, length, MPI_BYTE, output, length, MPI_BYTE, MPI_COMM_WORLD));
}

int talk_extremes(struct talk *talk, double *values, size_t count, bool largest)
{
    return done(MPI_Reduce(talk->rank == 0 ? MPI_IN_PLACE : values, values, (int)count, MPI_DOUBLE,
                           largest ? MPI_MAX : MPI_MIN, 0, MPI_COMM_WORLD));
}

int main(int argc, char **argv)
{
    struct talk talk;
    struct order order;
    if (MPI_Init(&argc, &argv))
        return 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &talk.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &talk.size);
    int failed = argc != 2 || order_read(argv[1], &order) || order.bytes > INT_MAX;
    if (failed)
        fprintf(stderr, "covey-bench: no order that MPI can take\n");
    else
        failed = measure_order(&talk, &order, stdout);
    if (failed)
        MPI_Abort(MPI_COMM_WORLD, 1);
    /* Open MPI 4.1.4 was seen to die in MPI_Finalize after an allgather; not with all met before.
     */
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Finalize() || fclose(stdout) ? 1 : 0;
}
