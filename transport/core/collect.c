/* Gather, scatter, allgather: one message for a node pair; within a node, member to speaker. */
#include "transport/core/group.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a node's members; false where the sum cannot be. */
static bool node_total(const struct comm *comm, const struct blocks *blocks, uint32_t node,
                       uint64_t *total)
{
    *total = 0;
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint64_t length = blocks_length(blocks, group_node_member(comm, node, i));
        if (__builtin_add_overflow(*total, length, total) || *total > SIZE_MAX / 2)
            return false;
    }
    return true;
}

/* Where a node's blocks lie one after another in order: their start; else NULL. */
static uint8_t *in_one_run(const struct comm *comm, const struct blocks *blocks, uint32_t node)
{
    uint8_t *start = blocks_at(blocks, group_node_member(comm, node, 0));
    uint8_t *next = start;
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint32_t member = group_node_member(comm, node, i);
        if (blocks_at(blocks, member) != next)
            return NULL;
        next += blocks_length(blocks, member);
    }
    return start;
}

/* Copies a node's blocks to where they are in a row, or from there. */
static void pack(const struct comm *comm, const struct blocks *blocks, uint32_t node, uint8_t *row,
                 bool unpack)
{
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint32_t member = group_node_member(comm, node, i);
        uint64_t length = blocks_length(blocks, member);
        if (length > 0 && unpack)
            memcpy(blocks_at(blocks, member), row, length);
        else if (length > 0)
            memcpy(row, blocks_at(blocks, member), length);
        row += length;
    }
}

/* The lengths of a node's members, in a row. */
static void list_lengths(const struct comm *comm, const struct blocks *blocks, uint32_t node,
                         uint64_t *lengths)
{
    for (uint32_t i = 0; i < group_node_size(comm, node); i++)
        lengths[i] = blocks_length(blocks, group_node_member(comm, node, i));
}

/* ---- gather ---- */

/* At the root, from the speaker of another node. */
static enum covey_status gather_node(struct group *group, const struct blocks *blocks,
                                     uint32_t node, bool vector)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, node);
    uint32_t speaker = group_node_member(comm, node, 0);
    uint64_t total;
    if (!node_total(comm, blocks, node, &total))
        return engine_fail(group->engine, COVEY_EINVAL, "gather: the lengths are too much");
    uint64_t *lengths = group_memory(group, 2ull * here, sizeof(*lengths));
    uint8_t *run = in_one_run(comm, blocks, node);
    uint8_t *row = run ? NULL : group_memory(group, total, 1);
    enum covey_status status = lengths && (run || row) ? COVEY_OK : COVEY_ENOMEM;
    if (!status && vector) {
        list_lengths(comm, blocks, node, lengths + here);
        status = group_receive(group, speaker, lengths, here * sizeof(*lengths));
        if (!status && memcmp(lengths, lengths + here, here * sizeof(*lengths)) != 0)
            status = engine_fail(group->engine, COVEY_EMISMATCH,
                                 "gatherv: members of node %u send other lengths than the root "
                                 "expects",
                                 arena_node_of(group->engine->arena, comm->ranks[speaker]));
    }
    if (!status)
        status = group_receive(group, speaker, run ? run : row, total);
    if (!status && !run)
        pack(comm, blocks, node, row, true);
    free(lengths);
    free(row);
    return status;
}

static enum covey_status gather_at_root(struct group *group, const void *input, uint64_t length,
                                        const struct blocks *blocks, bool vector)
{
    struct comm *comm = group->comm;
    if (blocks_length(blocks, comm->rank) != length)
        return engine_fail(group->engine, COVEY_EINVAL,
                           "gatherv: the root's own lengths do not agree");
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = group_reserve(group, here);
    for (uint32_t i = 0; i < here && !status; i++) {
        uint32_t member = group_node_member(comm, comm->node, i);
        if (member != comm->rank)
            status = group_start_receive(group, member, blocks_at(blocks, member),
                                         blocks_length(blocks, member));
        else if (length > 0)
            memcpy(blocks_at(blocks, member), input, length);
    }
    for (uint32_t node = 0; node < comm->node_count && !status; node++) {
        if (node != comm->node)
            status = gather_node(group, blocks, node, vector);
    }
    return status ? status : group_finish(group);
}

/* At a speaker that is not the root: takes in its node's blocks, then sends them as one. */
static enum covey_status gather_for_root(struct group *group, const void *input, uint64_t length,
                                         uint32_t root, bool vector)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    uint64_t *lengths = group_memory(group, here, sizeof(*lengths));
    uint8_t *row = NULL;
    enum covey_status status = lengths ? group_reserve(group, here) : COVEY_ENOMEM;
    uint64_t total = 0;
    for (uint32_t i = 0; i < here && !status; i++) {
        lengths[i] = length;
        if (vector && i > 0)
            status = group_receive(group, group_node_member(comm, comm->node, i), &lengths[i],
                                   sizeof(lengths[i]));
        if (!status && __builtin_add_overflow(total, lengths[i], &total))
            status = engine_fail(group->engine, COVEY_EMISMATCH, "gatherv: too much");
    }
    if (!status && !(row = group_memory(group, total, 1)))
        status = COVEY_ENOMEM;
    if (!status && length > 0)
        memcpy(row, input, length);
    uint64_t at = length;
    for (uint32_t i = 1; i < here && !status; i++) {
        status = group_start_receive(group, group_node_member(comm, comm->node, i), row + at,
                                     lengths[i]);
        at += lengths[i];
    }
    if (!status)
        status = group_finish(group);
    if (!status && vector)
        status = group_send(group, root, lengths, here * sizeof(*lengths));
    if (!status)
        status = group_send(group, root, row, total);
    if (status)
        group_abandon(group);
    free(lengths);
    free(row);
    return status;
}

enum covey_status collective_gather(struct comm *comm, const void *input, uint64_t length,
                                    const struct blocks *blocks, uint32_t root, bool vector)
{
    struct group group;
    enum covey_status status = group_begin(&group, comm, vector ? GROUP_GATHERV : GROUP_GATHER,
                                           root, 0, vector ? 0 : length);
    if (status)
        return group_end(&group, status);
    uint32_t speaker = group_speaker(comm, comm->node, root);
    if (comm->rank == root) {
        status = gather_at_root(&group, input, length, blocks, vector);
    } else if (comm->rank == speaker) {
        status = gather_for_root(&group, input, length, root, vector);
    } else {
        if (vector && speaker != root)
            status = group_send(&group, speaker, &length, sizeof(length));
        if (!status)
            status = group_send(&group, speaker, input, length);
    }
    return group_end(&group, status);
}

/* ---- scatter ---- */

static enum covey_status scatter_node(struct group *group, const struct blocks *blocks,
                                      uint32_t node, bool vector)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, node);
    uint32_t speaker = group_node_member(comm, node, 0);
    uint64_t total;
    if (!node_total(comm, blocks, node, &total))
        return engine_fail(group->engine, COVEY_EINVAL, "scatter: the lengths are too much");
    uint64_t *lengths = group_memory(group, here, sizeof(*lengths));
    uint8_t *run = in_one_run(comm, blocks, node);
    uint8_t *row = run ? NULL : group_memory(group, total, 1);
    enum covey_status status = lengths && (run || row) ? COVEY_OK : COVEY_ENOMEM;
    if (!status && vector) {
        list_lengths(comm, blocks, node, lengths);
        status = group_send(group, speaker, lengths, here * sizeof(*lengths));
    }
    if (!status && !run)
        pack(comm, blocks, node, row, false);
    if (!status)
        status = group_send(group, speaker, run ? run : row, total);
    free(lengths);
    free(row);
    return status;
}

static enum covey_status scatter_at_root(struct group *group, const struct blocks *blocks,
                                         void *output, uint64_t length, bool vector)
{
    struct comm *comm = group->comm;
    if (blocks_length(blocks, comm->rank) != length)
        return engine_fail(group->engine, COVEY_EINVAL,
                           "scatterv: the root's own lengths do not agree");
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = group_reserve(group, here);
    for (uint32_t i = 0; i < here && !status; i++) {
        uint32_t member = group_node_member(comm, comm->node, i);
        if (member != comm->rank)
            status = group_start_send(group, member, blocks_at(blocks, member),
                                      blocks_length(blocks, member));
        else if (length > 0)
            memcpy(output, blocks_at(blocks, member), length);
    }
    for (uint32_t node = 0; node < comm->node_count && !status; node++) {
        if (node != comm->node)
            status = scatter_node(group, blocks, node, vector);
    }
    return status ? status : group_finish(group);
}

/* At a speaker that is not the root: takes its node's blocks as one, and hands them out. */
static enum covey_status scatter_for_root(struct group *group, void *output, uint64_t length,
                                          uint32_t root, bool vector)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    uint64_t *lengths = group_memory(group, here, sizeof(*lengths));
    uint8_t *row = NULL;
    enum covey_status status = lengths ? group_reserve(group, here) : COVEY_ENOMEM;
    for (uint32_t i = 0; i < here && !status; i++)
        lengths[i] = length;
    if (!status && vector)
        status = group_receive(group, root, lengths, here * sizeof(*lengths));
    uint64_t total = 0;
    for (uint32_t i = 0; i < here && !status; i++) {
        if (__builtin_add_overflow(total, lengths[i], &total))
            status = engine_fail(group->engine, COVEY_EMISMATCH, "scatterv: too much");
    }
    if (!status && !(row = group_memory(group, total, 1)))
        status = COVEY_ENOMEM;
    if (!status)
        status = group_receive(group, root, row, total);
    if (!status && lengths[0] != length)
        status = engine_fail(group->engine, COVEY_EMISMATCH,
                             "scatterv: the root sends %llu bytes, %llu were expected",
                             (unsigned long long)lengths[0], (unsigned long long)length);
    if (!status && length > 0)
        memcpy(output, row, length);
    uint64_t at = length;
    for (uint32_t i = 1; i < here && !status; i++) {
        status =
            group_start_send(group, group_node_member(comm, comm->node, i), row + at, lengths[i]);
        at += lengths[i];
    }
    if (!status)
        status = group_finish(group);
    if (status)
        group_abandon(group);
    free(lengths);
    free(row);
    return status;
}

enum covey_status collective_scatter(struct comm *comm, const struct blocks *blocks, void *output,
                                     uint64_t length, uint32_t root, bool vector)
{
    struct group group;
    enum covey_status status = group_begin(&group, comm, vector ? GROUP_SCATTERV : GROUP_SCATTER,
                                           root, 0, vector ? 0 : length);
    if (status)
        return group_end(&group, status);
    uint32_t speaker = group_speaker(comm, comm->node, root);
    if (comm->rank == root)
        status = scatter_at_root(&group, blocks, output, length, vector);
    else if (comm->rank == speaker)
        status = scatter_for_root(&group, output, length, root, vector);
    else
        status = group_receive(&group, speaker, output, length);
    return group_end(&group, status);
}

/* ---- allgather ---- */

static enum covey_status take_in_node(struct group *group, const struct blocks *blocks)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = group_reserve(group, here);
    for (uint32_t i = 1; i < here && !status; i++) {
        uint32_t member = group_node_member(comm, comm->node, i);
        status = group_start_receive(group, member, blocks_at(blocks, member),
                                     blocks_length(blocks, member));
    }
    return status ? status : group_finish(group);
}

/* One message each way with two other leaders. */
static enum covey_status swap_nodes(struct group *group, const struct blocks *blocks, uint32_t to,
                                    uint32_t from)
{
    struct comm *comm = group->comm;
    uint64_t out_total;
    uint64_t in_total;
    if (!node_total(comm, blocks, comm->node, &out_total) ||
        !node_total(comm, blocks, from, &in_total))
        return engine_fail(group->engine, COVEY_EINVAL, "allgather: the lengths are too much");
    uint8_t *out_run = in_one_run(comm, blocks, comm->node);
    uint8_t *in_run = in_one_run(comm, blocks, from);
    uint8_t *out_row = out_run ? NULL : group_memory(group, out_total, 1);
    uint8_t *in_row = in_run ? NULL : group_memory(group, in_total, 1);
    enum covey_status status = COVEY_ENOMEM;
    if ((out_run || out_row) && (in_run || in_row))
        status = group_reserve(group, 2);
    if (!status && !out_run)
        pack(comm, blocks, comm->node, out_row, false);
    if (!status)
        status = group_start_receive(group, group_node_member(comm, from, 0),
                                     in_run ? in_run : in_row, in_total);
    if (!status)
        status = group_start_send(group, group_node_member(comm, to, 0),
                                  out_run ? out_run : out_row, out_total);
    if (!status)
        status = group_finish(group);
    if (!status && !in_run)
        pack(comm, blocks, from, in_row, true);
    if (status)
        group_abandon(group);
    free(out_row);
    free(in_row);
    return status;
}

static enum covey_status allgather(struct group *group, const void *input, uint64_t length,
                                   const struct blocks *blocks, uint64_t total)
{
    struct comm *comm = group->comm;
    uint32_t leader = group_node_member(comm, comm->node, 0);
    uint8_t *own = blocks_at(blocks, comm->rank);
    enum covey_status status = COVEY_OK;
    if (comm->rank != leader) {
        status = group_send(group, leader, input, length);
    } else {
        if (length > 0 && own != input)
            memcpy(own, input, length);
        status = take_in_node(group, blocks);
        for (uint32_t k = 1; k < comm->node_count && !status; k++)
            status = swap_nodes(group, blocks, (comm->node + k) % comm->node_count,
                                (comm->node + comm->node_count - k) % comm->node_count);
    }
    struct walk walk = {.blocks = blocks, .end = comm->size};
    return status ? status : group_share(group, &walk, total, leader, false);
}

enum covey_status collective_allgather(struct comm *comm, const void *input, uint64_t length,
                                       const struct blocks *blocks, bool vector)
{
    uint64_t total = 0;
    bool sound = blocks_length(blocks, comm->rank) == length;
    for (uint32_t member = 0; member < comm->size; member++)
        sound &= !__builtin_add_overflow(total, blocks_length(blocks, member), &total);
    if (!sound)
        return engine_fail(comm->engine, COVEY_EINVAL,
                           "allgather: the lengths do not agree, or are too much");
    struct group group;
    enum covey_status status = group_begin(
        &group, comm, vector ? GROUP_ALLGATHERV : GROUP_ALLGATHER, GROUP_NO_ROOT, 0, total);
    if (!status)
        status = allgather(&group, input, length, blocks, total);
    return group_end(&group, status);
}
