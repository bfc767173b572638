/* What the collectives are written with. Internal to them. */
#ifndef TRANSPORT_CORE_GROUP_H
#define TRANSPORT_CORE_GROUP_H

#include "transport/core/collective.h"
#include "transport/core/transfer.h"

enum group_kind {
    GROUP_BARRIER = 1,
    GROUP_BCAST,
    GROUP_BCAST_BUF,
    GROUP_REDUCE,
    GROUP_ALLREDUCE,
    GROUP_GATHER,
    GROUP_GATHERV,
    GROUP_SCATTER,
    GROUP_SCATTERV,
    GROUP_ALLGATHER,
    GROUP_ALLGATHERV,
    GROUP_ALLTOALL,
    GROUP_ALLTOALLV,
    GROUP_KINDS
};

#define GROUP_NO_ROOT UINT32_MAX

/* One collective under way. */
struct group {
    struct comm *comm;
    struct engine *engine;
    enum group_kind kind;
    bool began;            /* the communicator was not broken */
    uint32_t culprit;      /* the member that is gone or does not come, where that was found out; or
                              GROUP_NO_ROOT */
    enum covey_status why; /* for members whose messages are given up */
    uint64_t check;        /* what its messages carry */
    struct engine_wait wait;
    struct request *requests; /* that group_start_* made and group_finish waits for */
    size_t request_count;
    size_t request_room;
    struct descriptor_block held; /* of group_start_send_held */
    bool holds;
};

/* Starts a collective: fails where the communicator is broken. */
enum covey_status group_begin(struct group *group, struct comm *comm, enum group_kind kind,
                              uint32_t root, uint32_t detail, uint64_t length) COVEY_MUST_USE;

/* Ends it: cancels what is under way, and where it failed breaks the communicator. Returns status,
 * with the engine's text completed. */
enum covey_status group_end(struct group *group, enum covey_status status) COVEY_MUST_USE;

/* Makes room for so many requests at once. */
enum covey_status group_reserve(struct group *group, size_t requests) COVEY_MUST_USE;

/* Start a send or receive among the group's requests; the memory must last until group_finish. */
enum covey_status group_start_send(struct group *group, uint32_t member, const void *bytes,
                                   uint64_t length) COVEY_MUST_USE;
enum covey_status group_start_send_block(struct group *group, uint32_t member,
                                         const struct descriptor_block *block) COVEY_MUST_USE;
enum covey_status group_start_receive(struct group *group, uint32_t member, void *bytes,
                                      uint64_t length) COVEY_MUST_USE;

/* Waits for all that was started; each receive must have brought as much as it has room for. */
enum covey_status group_finish(struct group *group) COVEY_MUST_USE;

/* One message, waited for. */
enum covey_status group_send(struct group *group, uint32_t member, const void *bytes,
                             uint64_t length) COVEY_MUST_USE;
enum covey_status group_receive(struct group *group, uint32_t member, void *bytes,
                                uint64_t length) COVEY_MUST_USE;
/* As a block, which the caller then holds; *tag (may be NULL) is the message's. */
enum covey_status group_receive_block(struct group *group, uint32_t member,
                                      struct descriptor_block *block, int *tag) COVEY_MUST_USE;

/* As group_start_send_block for one block at a time, whose hold the group takes over. */
enum covey_status group_start_send_held(struct group *group, uint32_t member,
                                        const struct descriptor_block *block) COVEY_MUST_USE;

/* Lets another member of this node see a block, and write to it: by reference whatever its length.
 */
enum covey_status group_lend(struct group *group, uint32_t member, int tag,
                             const struct descriptor_block *block) COVEY_MUST_USE;

/* Cancels all that was started, whose memory is about to go. */
void group_abandon(struct group *group);

/* A block to share, at most ENGINE_PIECE_BYTES; waits while there is none. */
enum covey_status group_allocate(struct group *group, uint64_t length,
                                 struct descriptor_block *block) COVEY_MUST_USE;
uint8_t *group_bytes(const struct group *group, const struct descriptor_block *block);
void group_release(struct group *group, const struct descriptor_block *block);

/* Checks a received request against this collective. */
enum covey_status group_verify(struct group *group, const struct request *request) COVEY_MUST_USE;

/* Memory of the process's own, freed with free(); NULL with text set. length 0 is fine. */
void *group_memory(struct group *group, uint64_t count, uint64_t size);

/* ---- places ---- */

static inline uint32_t group_node_size(const struct comm *comm, uint32_t node)
{
    return comm->node_start[node + 1] - comm->node_start[node];
}

/* The i-th member of a node. */
static inline uint32_t group_node_member(const struct comm *comm, uint32_t node, uint32_t i)
{
    return comm->node_members[comm->node_start[node] + i];
}

/* Who speaks for a node: the root on its own, else the lowest. */
static inline uint32_t group_speaker(const struct comm *comm, uint32_t node, uint32_t root)
{
    if (root != GROUP_NO_ROOT && comm->node_of[root] == node)
        return root;
    return group_node_member(comm, node, 0);
}

/* ---- blocks ---- */

static inline uint64_t blocks_length(const struct blocks *blocks, uint32_t member)
{
    return blocks->lengths ? blocks->lengths[member] : blocks->length;
}

static inline uint8_t *blocks_at(const struct blocks *blocks, uint32_t member)
{
    size_t offset = blocks->offsets ? blocks->offsets[member] : member * blocks->length;
    return blocks->bytes ? blocks->bytes + offset : NULL;
}

/* Where a walk over bytes in several places has got to: members first .. end-1 of blocks, in
 * order. */
struct walk {
    const struct blocks *blocks;
    uint32_t member;
    uint32_t end;
    uint64_t done; /* of this member's block */
};

/* Copies the next length bytes from the blocks, or to them. */
void walk_read(struct walk *walk, uint8_t *to, uint64_t length);
void walk_write(struct walk *walk, const uint8_t *from, uint64_t length);

/* From the root to everybody, in pieces; walk says where each member has the bytes. nodes_too:
 * else only among the members of this node, from its leader. */
enum covey_status group_share(struct group *group, struct walk *walk, uint64_t length,
                              uint32_t root, bool nodes_too) COVEY_MUST_USE;

#endif
