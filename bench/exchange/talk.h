/*
 * What a measurement asks of a library for messages. Covey and its peers are measured by the same
 * code, which is linked once with each one's answers to this: workers/messages.c has Covey's,
 * peers/mpi.c those of MPI. One thread for each talk.
 *
 * Calls that may fail return 0, or -1 where the library has failed; it has then said why.
 */
#ifndef BENCH_EXCHANGE_TALK_H
#define BENCH_EXCHANGE_TALK_H

#include <stdbool.h>
#include <stddef.h>

struct talk;

/* A message's memory: private, or the library's own, which is sent by reference. */
struct block {
    void *bytes;
    size_t length_bytes;
    void *handle; /* the library's, of owned memory; NULL: private */
};

int talk_rank(const struct talk *talk);
int talk_size(const struct talk *talk);

/* The library's own memory for one message, and the end of it. A library without such memory fails.
 */
int talk_own(struct talk *talk, size_t length_bytes, struct block *block);
void talk_disown(struct talk *talk, struct block *block);

/* One message. A received block whose bytes are NULL becomes an owned one. */
int talk_send(struct talk *talk, const struct block *block, int to);
int talk_receive(struct talk *talk, struct block *block, int from);

/* Many messages, all under way at once where they are private. */
int talk_send_all(struct talk *talk, const struct block *blocks, size_t count, int to);
int talk_receive_all(struct talk *talk, struct block *blocks, size_t count, int from);

/* Collectives over all, with rank 0 as root; length_bytes is that of one member's block. */
int talk_barrier(struct talk *talk);
int talk_bcast(struct talk *talk, struct block *block);
int talk_reduce(struct talk *talk, const double *input, double *output, size_t count);
int talk_allreduce(struct talk *talk, const double *input, double *output, size_t count);
int talk_gather(struct talk *talk, const void *input, size_t length_bytes, void *output);
int talk_scatter(struct talk *talk, const void *input, size_t length_bytes, void *output);
int talk_allgather(struct talk *talk, const void *input, size_t length_bytes, void *output);
int talk_alltoall(struct talk *talk, const void *input, size_t length_bytes, void *output);

/* The largest of all members' values, or the smallest, one by one; at rank 0, in place. */
int talk_extremes(struct talk *talk, double *values, size_t count, bool largest);

#endif
