/*
 * Collectives: algorithms on messages of the communicator's second channel.
 *
 * They follow the nodes: what concerns a whole node goes through one of its members (its leader,
 * the lowest; or the root, on the root's node), crosses to another node once, and is shared by
 * reference inside. Contributions are combined in the order of members in a node, then of nodes,
 * so that the same placement gives the same bits.
 *
 * Every message carries a word that says which collective it belongs to; a receiver that finds
 * another one fails with EMISMATCH. A failure breaks the communicator: its other members are told,
 * except of a timeout, which each finds for itself.
 *
 * All functions: the communicator's timeout is that of the whole call. ETIMEOUT, EPEER, EMISMATCH,
 * ENOMEM, with the engine's text set. Arguments have been checked.
 */
#ifndef TRANSPORT_CORE_COLLECTIVE_H
#define TRANSPORT_CORE_COLLECTIVE_H

#include "transport/core/comm.h"
#include "transport/core/reduce.h"

/* Blocks of bytes by member. */
struct blocks {
    uint8_t *bytes;
    const size_t *lengths; /* NULL: all are `length` */
    const size_t *offsets; /* NULL: one after another, of `length` each */
    size_t length;
};

struct reduction {
    unsigned type;
    unsigned op;
    uint64_t count;
};

enum covey_status collective_barrier(struct comm *comm) COVEY_MUST_USE;
enum covey_status collective_bcast(struct comm *comm, void *bytes, uint64_t length,
                                   uint32_t root) COVEY_MUST_USE;
/* *block: at the root what is given, which stays held; at the others what is received, held. */
enum covey_status collective_bcast_block(struct comm *comm, struct descriptor_block *block,
                                         uint32_t root) COVEY_MUST_USE;
enum covey_status collective_reduce(struct comm *comm, const void *input, void *output,
                                    const struct reduction *reduction,
                                    uint32_t root) COVEY_MUST_USE;
enum covey_status collective_allreduce(struct comm *comm, const void *input, void *output,
                                       const struct reduction *reduction) COVEY_MUST_USE;
/* vector: lengths differ by member; only the root knows all. blocks is NULL but at the root. */
enum covey_status collective_gather(struct comm *comm, const void *input, uint64_t length,
                                    const struct blocks *blocks, uint32_t root,
                                    bool vector) COVEY_MUST_USE;
enum covey_status collective_scatter(struct comm *comm, const struct blocks *blocks, void *output,
                                     uint64_t length, uint32_t root, bool vector) COVEY_MUST_USE;
/* input is this member's block; it may lie in its place in blocks already. */
enum covey_status collective_allgather(struct comm *comm, const void *input, uint64_t length,
                                       const struct blocks *blocks, bool vector) COVEY_MUST_USE;
enum covey_status collective_alltoall(struct comm *comm, const struct blocks *send,
                                      const struct blocks *receive, bool vector) COVEY_MUST_USE;

#endif
