/*
 * libcovey-worker: what a worker of a flare calls.
 *
 * docs/workers.md shows how one is written, built and run.
 *
 * A shared object exports   int covey_work(struct covey_ctx *ctx);
 * a program calls covey_attach() first and covey_detach() last. A worker succeeds by returning (or
 * exiting with) 0; another value ends it with that status, or with 255 where its low eight bits are
 * none.
 *
 * Environment: COVEY_SIZE, COVEY_RANK, COVEY_LOCAL_RANK (among the workers of its node),
 * COVEY_NODES and COVEY_NODE_RANK say where a worker is, also to one that calls nothing of this.
 * Workers that are threads share one environment, which has neither rank.
 *
 * Loading: a pack loads a shared object once and forks its workers. Where the object has made
 * threads by then, in a constructor (Go, pools of C++ libraries), they would be lost: it is loaded
 * once more, by each worker for itself, and what it did before in the pack was for nothing. A
 * constructor that does not return fails the flare, and where it hangs is said.
 *
 * Standard input is empty, unless the flare brings some for rank 0 or for all.
 *
 * Output: standard output and error go to the flare's log, by line. A write waits while nobody
 * takes it. Workers that are threads share their pack's two streams; both are flushed when one
 * returns.
 *
 * Threads: a context and all that comes from it belong to one thread at a time.
 *
 * Time: every call that may wait ends by its communicator's deadline (covey_comm_set_timeout; at
 * first the flare's communication timeout, 60 s unless the flare says otherwise): COVEY_ETIMEOUT,
 * and covey_error_text() says who was waited for.
 *
 * Giving up: who gives up a message, because its time is over or its call failed, tells the other
 * side at once. The call that would receive it, or that sends it, fails with the same status, and
 * the text says which rank gave up; what is sent later comes as usual.
 *
 * Death: a call that depends on a worker or node that is gone returns COVEY_EPEER, within 100 ms in
 * a node and 2 s across nodes; covey_error_text() says who and why. Messages sent before the death
 * are delivered first.
 *
 * Messages between a pair of ranks of one communicator are matched in the order they were sent.
 * Buffers given to copying calls may be reused when the call returns (blocking) or its request is
 * complete (nonblocking).
 */
#ifndef COVEY_WORKER_H
#define COVEY_WORKER_H

#include "covey/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covey_ctx;
struct covey_comm;
struct covey_request;
struct covey_buf;

/* ---- the context ---- */

/* What a shared object defines: called once in each worker. 0 is success. Not part of the library.
 */
COVEY_API int covey_work(struct covey_ctx *ctx);

/*
 * For a program: becomes the worker that its environment says (COVEY_RANK, COVEY_WORKER_FD).
 * EPRECONDITION where it was not started by Covey. The context is freed by covey_detach.
 */
COVEY_API enum covey_status covey_attach(struct covey_ctx **ctx) COVEY_MUST_USE;

/* Ends communication and frees the context. NULL is harmless. */
COVEY_API void covey_detach(struct covey_ctx *ctx);

/* Rank in the flare, and the number of its workers. */
COVEY_API int covey_rank(const struct covey_ctx *ctx);
COVEY_API int covey_size(const struct covey_ctx *ctx);

/* Packs: this worker's, how many there are, the pack of a rank (-1: no such rank), whether this
 * worker is its lowest rank. */
COVEY_API int covey_pack_id(const struct covey_ctx *ctx);
COVEY_API int covey_pack_size(const struct covey_ctx *ctx);
COVEY_API int covey_pack_count(const struct covey_ctx *ctx);
COVEY_API int covey_pack_of(const struct covey_ctx *ctx, int rank);
COVEY_API bool covey_is_pack_leader(const struct covey_ctx *ctx);

/* The number of nodes, and the index of the node of a rank (-1: no such rank). */
COVEY_API int covey_node_count(const struct covey_ctx *ctx);
COVEY_API int covey_node_of(const struct covey_ctx *ctx, int rank);

/* The flare's id. Borrowed. */
COVEY_API const char *covey_flare_id(const struct covey_ctx *ctx);

/* This worker's parameter. Borrowed for the context's life; never NULL; *length_bytes may be 0. */
COVEY_API const void *covey_param(const struct covey_ctx *ctx, size_t *length_bytes);

/* Sets this worker's result, replacing an earlier one; copied. It counts when the worker succeeds.
 * ELIMIT, ENOMEM. */
COVEY_API enum covey_status covey_set_result(struct covey_ctx *ctx, const void *bytes,
                                             size_t length_bytes) COVEY_MUST_USE;

/* Writes one line to the flare's log (standard error), whole, whatever else writes. */
COVEY_API void covey_logf(struct covey_ctx *ctx, const char *format, ...) COVEY_PRINTF(2, 3);

/* What the last call of this context that failed has to say. Borrowed until the next call; never
 * NULL. */
COVEY_API const char *covey_error_text(const struct covey_ctx *ctx);

/* ---- communicators ---- */

/* All workers of the flare. Borrowed. */
COVEY_API struct covey_comm *covey_world(struct covey_ctx *ctx);

/* The workers of this pack, in rank order. Borrowed. */
COVEY_API struct covey_comm *covey_pack_comm(struct covey_ctx *ctx);

COVEY_API int covey_comm_rank(const struct covey_comm *comm);
COVEY_API int covey_comm_size(const struct covey_comm *comm);

/* What each later call on this communicator may wait, in nanoseconds; negative: for ever. */
COVEY_API void covey_comm_set_timeout(struct covey_comm *comm, int64_t timeout_ns);

/*
 * Collective: members that give the same colour become a communicator, ordered by key, then rank.
 * Colour -1: none
 * (*out is NULL). Freed by covey_comm_free, by each member alone.
 */
COVEY_API enum covey_status covey_comm_split(struct covey_comm *comm, int colour, int key,
                                             struct covey_comm **out) COVEY_MUST_USE;
/*
 * Collective over the members that live, after a call has returned EPEER or ETIMEOUT (or at any
 * time): makes a communicator of them, in their order. All who get one get the same, also when
 * further members die meanwhile; one who died at the last moment may be in it, and then its
 * collectives return EPEER, and it can be shrunk again. Members that live and do not call it are
 * waited for until the deadline: ETIMEOUT, and the text names one; then it can be called again.
 * EPEER where the others hold this worker for dead and have gone on without it.
 *
 * Messages between pairs of the old communicator go on as before; its collectives are not mended.
 * It may be freed at once.
 */
COVEY_API enum covey_status covey_comm_shrink(struct covey_comm *comm,
                                              struct covey_comm **out) COVEY_MUST_USE;

/* Requests that are pending go on, and are ended as usual; the handle is gone. */
COVEY_API void covey_comm_free(struct covey_comm *comm);

/* ---- point to point ---- */

#define COVEY_ANY_SOURCE (-1)
#define COVEY_ANY_TAG    (-1)

/* Tags are 0 to COVEY_TAG_MAX. */
#define COVEY_TAG_MAX 0x3fffffff

/* What was received. */
struct covey_message {
    int source;
    int tag;
    size_t length_bytes; /* of the message, also where the buffer was shorter */
};

/*
 * Sends a copy. Returns when the bytes may be reused, which need not mean that they were received;
 * but where the destination lags behind with as much as may be under way, not before it receives.
 */
COVEY_API enum covey_status covey_send(struct covey_comm *comm, const void *bytes,
                                       size_t length_bytes, int destination,
                                       int tag) COVEY_MUST_USE;

/*
 * Receives into bytes. message may be NULL. ETRUNCATED where the message is longer than size_bytes:
 * the first size_bytes are there, the rest is lost.
 */
COVEY_API enum covey_status covey_recv(struct covey_comm *comm, void *bytes, size_t size_bytes,
                                       int source, int tag,
                                       struct covey_message *message) COVEY_MUST_USE;

/* Both at once, so that two workers can exchange without a deadlock. */
COVEY_API enum covey_status covey_sendrecv(struct covey_comm *comm, const void *send_bytes,
                                           size_t send_length_bytes, int destination, int send_tag,
                                           void *receive_bytes, size_t receive_size_bytes,
                                           int source, int receive_tag,
                                           struct covey_message *message) COVEY_MUST_USE;

/* Waits for a message that matches, without receiving it. */
COVEY_API enum covey_status covey_probe(struct covey_comm *comm, int source, int tag,
                                        struct covey_message *message) COVEY_MUST_USE;

/* Does not wait: EAGAIN where nothing matches yet. */
COVEY_API enum covey_status covey_iprobe(struct covey_comm *comm, int source, int tag,
                                         struct covey_message *message) COVEY_MUST_USE;

/* Nonblocking: the request is ended by covey_wait, covey_test or covey_wait_all, which free it and
 * make it NULL. */
COVEY_API enum covey_status covey_isend(struct covey_comm *comm, const void *bytes,
                                        size_t length_bytes, int destination, int tag,
                                        struct covey_request **request) COVEY_MUST_USE;
COVEY_API enum covey_status covey_irecv(struct covey_comm *comm, void *bytes, size_t size_bytes,
                                        int source, int tag,
                                        struct covey_request **request) COVEY_MUST_USE;
/* On ETIMEOUT the request stays, and may be waited for again. A NULL request is complete. message
 * may be NULL. */
COVEY_API enum covey_status covey_wait(struct covey_request **request,
                                       struct covey_message *message) COVEY_MUST_USE;
/* EAGAIN while it is not complete. */
COVEY_API enum covey_status covey_test(struct covey_request **request,
                                       struct covey_message *message) COVEY_MUST_USE;
/* Waits for all; the first failure is returned when all are complete. Each request has the deadline
 * of its communicator, counted from the call; on ETIMEOUT those that are not complete stay. */
COVEY_API enum covey_status covey_wait_all(struct covey_request **requests,
                                           size_t count) COVEY_MUST_USE;

/* ---- owned buffers: memory that every worker of the node sees, sent by reference ---- */

/* A buffer of at least 1 byte in the node's shared memory, writable, held by this worker. Waits
 * while the memory is full. ELIMIT for one that can never fit. */
COVEY_API enum covey_status covey_buf_alloc(struct covey_ctx *ctx, size_t length_bytes,
                                            struct covey_buf **buf) COVEY_MUST_USE;

/* Its memory, 64-byte aligned, and its length. Read-only once the buffer was sent, and when it was
 * received. */
COVEY_API void *covey_buf_data(struct covey_buf *buf);
COVEY_API size_t covey_buf_length(const struct covey_buf *buf);

/* Gives up this worker's hold. The memory is reused when nobody holds it. NULL is harmless. */
COVEY_API void covey_buf_release(struct covey_buf *buf);

/* Sends the first length_bytes by reference within the node, without a copy to the network. The
 * sender keeps its hold. */
COVEY_API enum covey_status covey_send_buf(struct covey_comm *comm, struct covey_buf *buf,
                                           size_t length_bytes, int destination,
                                           int tag) COVEY_MUST_USE;

/* Receives any message as a buffer, which the caller releases. ELIMIT for one that can never fit
 * into the node's memory: it stays, and covey_recv receives it. */
COVEY_API enum covey_status covey_recv_buf(struct covey_comm *comm, struct covey_buf **buf,
                                           int source, int tag,
                                           struct covey_message *message) COVEY_MUST_USE;

/* ---- collectives: every member calls the same ones in the same order ---- */

enum covey_type {
    COVEY_INT8,
    COVEY_UINT8,
    COVEY_INT32,
    COVEY_UINT32,
    COVEY_INT64,
    COVEY_UINT64,
    COVEY_FLOAT,
    COVEY_DOUBLE,
};

enum covey_op {
    COVEY_SUM,
    COVEY_PRODUCT,
    COVEY_MIN,
    COVEY_MAX,
    COVEY_BAND, /* bitwise, for integers */
    COVEY_BOR,
    COVEY_BXOR,
};

/* The size of one element in bytes; 0 for no type. */
COVEY_API size_t covey_type_bytes(enum covey_type type);

/*
 * Members that disagree (on the operation, root, type, operator or a length that must agree) get
 * EMISMATCH, where it can be seen. A collective that failed leaves the communicator unusable for
 * collectives: they return EPEER or EMISMATCH. One that times out does so for all its members, and
 * names the rank that did not come, or the one that was waited for. Lengths are in bytes and per
 * block, counts in elements. Buffers must not overlap, but for COVEY_IN_PLACE.
 */

/* As the input of reduce (at the root), allreduce and allgather: the input is already in the
 * output. */
#define COVEY_IN_PLACE ((const void *)-1)

COVEY_API enum covey_status covey_barrier(struct covey_comm *comm) COVEY_MUST_USE;

/* The root's bytes to everyone. */
COVEY_API enum covey_status covey_bcast(struct covey_comm *comm, void *bytes, size_t length_bytes,
                                        int root) COVEY_MUST_USE;

/* As bcast, by reference: the root gives its buffer, the others receive one, which each releases.
 */
COVEY_API enum covey_status covey_bcast_buf(struct covey_comm *comm, struct covey_buf **buf,
                                            int root) COVEY_MUST_USE;

/* Element by element, in an order that is the same for the same placement; output counts at the
 * root only (else NULL). */
COVEY_API enum covey_status covey_reduce(struct covey_comm *comm, const void *input, void *output,
                                         size_t count, enum covey_type type, enum covey_op op,
                                         int root) COVEY_MUST_USE;
COVEY_API enum covey_status covey_allreduce(struct covey_comm *comm, const void *input,
                                            void *output, size_t count, enum covey_type type,
                                            enum covey_op op) COVEY_MUST_USE;

/* One block of length_bytes from each, in rank order; output at the root only. */
COVEY_API enum covey_status covey_gather(struct covey_comm *comm, const void *input,
                                         size_t length_bytes, void *output,
                                         int root) COVEY_MUST_USE;

/* Blocks of any length: at the root, member r's block of lengths_bytes[r] is put at output +
 * offsets_bytes[r]. */
COVEY_API enum covey_status covey_gatherv(struct covey_comm *comm, const void *input,
                                          size_t length_bytes, void *output,
                                          const size_t *lengths_bytes, const size_t *offsets_bytes,
                                          int root) COVEY_MUST_USE;

/* One block of length_bytes to each, in rank order; input at the root only. */
COVEY_API enum covey_status covey_scatter(struct covey_comm *comm, const void *input, void *output,
                                          size_t length_bytes, int root) COVEY_MUST_USE;
COVEY_API enum covey_status covey_scatterv(struct covey_comm *comm, const void *input,
                                           const size_t *lengths_bytes, const size_t *offsets_bytes,
                                           void *output, size_t length_bytes,
                                           int root) COVEY_MUST_USE;

/* Everyone's block to everyone. */
COVEY_API enum covey_status covey_allgather(struct covey_comm *comm, const void *input,
                                            size_t length_bytes, void *output) COVEY_MUST_USE;
COVEY_API enum covey_status covey_allgatherv(struct covey_comm *comm, const void *input,
                                             size_t length_bytes, void *output,
                                             const size_t *lengths_bytes,
                                             const size_t *offsets_bytes) COVEY_MUST_USE;

/* Block r of each member's input to member r, in rank order of the senders. */
COVEY_API enum covey_status covey_alltoall(struct covey_comm *comm, const void *input,
                                           size_t length_bytes, void *output) COVEY_MUST_USE;
/* lengths and offsets by rank, each side its own; what a sends to b and what b expects of a must
 * agree. */
COVEY_API enum covey_status covey_alltoallv(struct covey_comm *comm, const void *input,
                                            const size_t *send_lengths_bytes,
                                            const size_t *send_offsets_bytes, void *output,
                                            const size_t *receive_lengths_bytes,
                                            const size_t *receive_offsets_bytes) COVEY_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
