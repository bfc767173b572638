/* Reduce and allreduce. */
#include "transport/core/combine.h"

#include <stdlib.h>
#include <string.h>

/* Adds what a member has sent to sum, or makes it the sum. */
static enum covey_status add_from(struct group *group, const struct piece *piece, uint32_t member,
                                  bool first)
{
    struct descriptor_block block;
    enum covey_status status = group_receive_block(group, member, &block, NULL);
    if (status)
        return status;
    if (block.length != piece->bytes)
        status = engine_fail(group->engine, COVEY_EMISMATCH, "rank %u sent %llu bytes of %llu",
                             group->comm->ranks[member], (unsigned long long)block.length,
                             (unsigned long long)piece->bytes);
    else if (first)
        memcpy(piece->sum, group_bytes(group, &block), piece->bytes);
    else
        piece->apply(piece->sum, group_bytes(group, &block), piece->count);
    group_release(group, &block);
    return status;
}

/* Its own input is put aside first: the sum may go where it is. */
enum covey_status combine_node(struct group *group, const struct piece *piece, uint8_t *own)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    memcpy(own, piece->input, piece->bytes);
    for (uint32_t i = 0; i < here; i++) {
        uint32_t member = group_node_member(comm, comm->node, i);
        if (member != comm->rank) {
            enum covey_status status = add_from(group, piece, member, i == 0);
            if (status)
                return status;
        } else if (i == 0) {
            memcpy(piece->sum, own, piece->bytes);
        } else {
            piece->apply(piece->sum, own, piece->count);
        }
    }
    return COVEY_OK;
}

/* At the root: its own node's sum is in piece->sum, and takes its turn among the nodes'. */
static enum covey_status combine_nodes(struct group *group, const struct piece *piece,
                                       uint32_t root, uint8_t *own)
{
    struct comm *comm = group->comm;
    memcpy(own, piece->sum, piece->bytes);
    for (uint32_t node = 0; node < comm->node_count; node++) {
        if (node != comm->node) {
            enum covey_status status =
                add_from(group, piece, group_speaker(comm, node, root), node == 0);
            if (status)
                return status;
        } else if (node == 0) {
            memcpy(piece->sum, own, piece->bytes);
        } else {
            piece->apply(piece->sum, own, piece->count);
        }
    }
    return COVEY_OK;
}

static enum covey_status reduce_piece(struct group *group, const struct piece *piece, uint32_t root,
                                      uint8_t *scratch)
{
    struct comm *comm = group->comm;
    uint32_t speaker = group_speaker(comm, comm->node, root);
    if (comm->rank != speaker)
        return group_send(group, speaker, piece->input, piece->bytes);
    enum covey_status status = combine_node(group, piece, scratch);
    if (status)
        return status;
    if (comm->rank != root)
        return group_send(group, root, piece->sum, piece->bytes);
    return comm->node_count > 1 ? combine_nodes(group, piece, root, scratch) : COVEY_OK;
}

static enum covey_status reduce(struct group *group, const void *input, void *output,
                                const struct reduction *reduction, uint32_t root)
{
    uint64_t size = reduce_type_bytes(reduction->type);
    uint64_t at_once = ENGINE_PIECE_BYTES / size;
    bool is_root = group->comm->rank == root;
    uint8_t *memory = group_memory(group, 2, ENGINE_PIECE_BYTES);
    if (!memory)
        return COVEY_ENOMEM;
    enum covey_status status = COVEY_OK;
    uint64_t done = 0;
    do { /* also with nothing to reduce: the members meet, and check */
        uint64_t left = reduction->count - done;
        uint64_t count = left < at_once ? left : at_once;
        struct piece piece = {.input = (const uint8_t *)input + done * size,
                              .sum = is_root ? (uint8_t *)output + done * size
                                             : memory + ENGINE_PIECE_BYTES,
                              .count = count,
                              .bytes = count * size,
                              .apply = reduce_find(reduction->type, reduction->op)};
        if (count == 0) {
            piece.input = memory;
            piece.sum = memory + ENGINE_PIECE_BYTES;
        }
        status = reduce_piece(group, &piece, root, memory);
        done += count;
    } while (!status && done < reduction->count);
    free(memory);
    return status;
}

static enum covey_status begin(struct group *group, struct comm *comm, enum group_kind kind,
                               uint32_t root, const struct reduction *reduction)
{
    return group_begin(group, comm, kind, root, reduction->type << 4 | reduction->op,
                       reduction->count * reduce_type_bytes(reduction->type));
}

enum covey_status collective_reduce(struct comm *comm, const void *input, void *output,
                                    const struct reduction *reduction, uint32_t root)
{
    struct group group;
    enum covey_status status = begin(&group, comm, GROUP_REDUCE, root, reduction);
    if (!status)
        status = reduce(&group, input, output, reduction, root);
    return group_end(&group, status);
}

enum covey_status collective_allreduce(struct comm *comm, const void *input, void *output,
                                       const struct reduction *reduction)
{
    struct group group;
    enum covey_status status = begin(&group, comm, GROUP_ALLREDUCE, GROUP_NO_ROOT, reduction);
    uint64_t length = reduction->count * reduce_type_bytes(reduction->type);
    if (!status && rounds_suit(comm, length))
        return group_end(&group, rounds_allreduce(&group, input, output, reduction));
    if (!status)
        status = reduce(&group, input, output, reduction, 0);
    struct blocks blocks = {.bytes = output, .length = length};
    struct walk walk = {.blocks = &blocks, .end = 1};
    if (!status)
        status = group_share(&group, &walk, length, 0, true);
    return group_end(&group, status);
}
