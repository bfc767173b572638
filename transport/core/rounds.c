/*
 * Allreduce within a node, in rounds: a round is a piece of the vector for each member. Everybody
 * sends each member its input for that member's piece; who has all of them adds them up, in the
 * order of members as everywhere, straight into a block, and sends that to the others by reference.
 *
 * So the adding, which one speaker would do for all, is done by all at once, and a sum is written
 * once. Sends are started before anything is waited for: who has no memory left offers, and is
 * served while it waits for the pieces of its own.
 */
#include "transport/core/combine.h"

#include <stdlib.h>
#include <string.h>

/* Below this much for each member, going round costs more than adding. */
#define LEAST_SHARE_BYTES 2048u

/* What a round has in the arena of each member's input. */
#define ROUND_BYTES       (1u << 20)
#define LEAST_PIECE_BYTES 4096u

struct rounds {
    const uint8_t *input;
    uint8_t *output;
    uint64_t size; /* of an element */
    uint64_t count;
    uint64_t at_once; /* elements of a piece */
    reduce_apply apply;
};

bool rounds_suit(const struct comm *comm, uint64_t bytes)
{
    return comm->node_count == 1 && comm->size > 1 && bytes / comm->size >= LEAST_SHARE_BYTES;
}

/* The piece that a member adds up in the round that starts at `done`; it may be empty. */
static struct piece piece_of(const struct rounds *rounds, uint64_t done, uint32_t member)
{
    uint64_t start = done + member * rounds->at_once;
    uint64_t left = start < rounds->count ? rounds->count - start : 0;
    uint64_t count = left < rounds->at_once ? left : rounds->at_once;
    uint64_t offset = count > 0 ? start * rounds->size : 0;
    return (struct piece){.input = rounds->input + offset,
                          .sum = rounds->output + offset,
                          .count = count,
                          .bytes = count * rounds->size,
                          .apply = rounds->apply};
}

/* From the next member on, so that not all begin with the same one. */
static uint32_t peer_of(const struct comm *comm, uint32_t i)
{
    return (comm->rank + 1 + i) % comm->size;
}

static enum covey_status send_inputs(struct group *group, const struct rounds *rounds,
                                     uint64_t done)
{
    const struct comm *comm = group->comm;
    enum covey_status status = group_reserve(group, comm->size - 1);
    for (uint32_t i = 0; i + 1 < comm->size && !status; i++) {
        struct piece piece = piece_of(rounds, done, peer_of(comm, i));
        if (piece.count > 0)
            status = group_start_send(group, peer_of(comm, i), piece.input, piece.bytes);
    }
    return status;
}

/* Adds this member's piece up into a block, and lets the others have it. */
static enum covey_status share_sum(struct group *group, const struct rounds *rounds, uint64_t done,
                                   uint8_t *scratch)
{
    const struct comm *comm = group->comm;
    struct piece piece = piece_of(rounds, done, comm->rank);
    uint8_t *output = piece.sum;
    struct descriptor_block block;
    if (piece.count == 0)
        return group_finish(group);
    enum covey_status status = group_allocate(group, piece.bytes, &block);
    if (status)
        return status;
    block.length = piece.bytes;
    piece.sum = group_bytes(group, &block);
    status = combine_node(group, &piece, scratch);
    if (!status)
        status = group_finish(group);
    if (status) {
        group_release(group, &block);
        return status;
    }
    memcpy(output, piece.sum, piece.bytes);
    status = group_reserve(group, comm->size - 1);
    if (status)
        group_release(group, &block);
    else
        status = group_start_send_held(group, peer_of(comm, 0), &block);
    for (uint32_t i = 1; i + 1 < comm->size && !status; i++)
        status = group_start_send_block(group, peer_of(comm, i), &group->held);
    return status;
}

static enum covey_status take_sum(struct group *group, const struct piece *piece, uint32_t member)
{
    struct descriptor_block block;
    enum covey_status status = group_receive_block(group, member, &block, NULL);
    if (status)
        return status;
    if (block.length == piece->bytes)
        memcpy(piece->sum, group_bytes(group, &block), piece->bytes);
    else
        status = engine_fail(group->engine, COVEY_EMISMATCH, "rank %u sent %llu bytes of %llu",
                             group->comm->ranks[member], (unsigned long long)block.length,
                             (unsigned long long)piece->bytes);
    group_release(group, &block);
    return status;
}

static enum covey_status go_round(struct group *group, const struct rounds *rounds, uint64_t done,
                                  uint8_t *scratch)
{
    const struct comm *comm = group->comm;
    enum covey_status status = send_inputs(group, rounds, done);
    if (!status)
        status = share_sum(group, rounds, done, scratch);
    /* Backwards: the one that began with this member comes first. */
    for (uint32_t i = 0; i + 1 < comm->size && !status; i++) {
        uint32_t member = peer_of(comm, comm->size - 2 - i);
        struct piece piece = piece_of(rounds, done, member);
        if (piece.count > 0)
            status = take_sum(group, &piece, member);
    }
    return status ? status : group_finish(group);
}

enum covey_status rounds_allreduce(struct group *group, const void *input, void *output,
                                   const struct reduction *reduction)
{
    uint32_t members = group->comm->size;
    uint64_t size = reduce_type_bytes(reduction->type);
    uint64_t piece_bytes = ROUND_BYTES / members;
    if (piece_bytes > ENGINE_PIECE_BYTES)
        piece_bytes = ENGINE_PIECE_BYTES;
    if (piece_bytes < LEAST_PIECE_BYTES)
        piece_bytes = LEAST_PIECE_BYTES;
    uint64_t share = (reduction->count + members - 1) / members;
    uint64_t most = piece_bytes / size;
    struct rounds rounds = {.input = input,
                            .output = output,
                            .size = size,
                            .count = reduction->count,
                            .at_once = share < most ? share : most,
                            .apply = reduce_find(reduction->type, reduction->op)};
    uint8_t *scratch = group_memory(group, rounds.at_once, size);
    enum covey_status status = scratch ? COVEY_OK : COVEY_ENOMEM;
    for (uint64_t done = 0; done < rounds.count && !status; done += rounds.at_once * members)
        status = go_round(group, &rounds, done, scratch);
    if (status)
        group_abandon(group);
    free(scratch);
    return status;
}
