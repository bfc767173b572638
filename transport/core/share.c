/* Barrier, and one to all: what crosses to a node once and is shared there by reference. */
#include "transport/core/group.h"

#include <stdlib.h>
#include <string.h>

/* ---- barrier ---- */

static enum covey_status meet_leaders(struct group *group)
{
    struct comm *comm = group->comm;
    for (uint32_t distance = 1; distance < comm->node_count; distance *= 2) {
        uint32_t to = (comm->node + distance) % comm->node_count;
        uint32_t from = (comm->node + comm->node_count - distance) % comm->node_count;
        enum covey_status status = group_send(group, group_node_member(comm, to, 0), NULL, 0);
        if (!status)
            status = group_receive(group, group_node_member(comm, from, 0), NULL, 0);
        if (status)
            return status;
    }
    return COVEY_OK;
}

static enum covey_status barrier(struct group *group)
{
    struct comm *comm = group->comm;
    uint32_t leader = group_node_member(comm, comm->node, 0);
    if (comm->rank != leader) {
        enum covey_status status = group_send(group, leader, NULL, 0);
        return status ? status : group_receive(group, leader, NULL, 0);
    }
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 1; i < here && !status; i++)
        status = group_receive(group, group_node_member(comm, comm->node, i), NULL, 0);
    if (!status)
        status = meet_leaders(group);
    for (uint32_t i = 1; i < here && !status; i++)
        status = group_send(group, group_node_member(comm, comm->node, i), NULL, 0);
    return status;
}

enum covey_status collective_barrier(struct comm *comm)
{
    struct group group;
    enum covey_status status = group_begin(&group, comm, GROUP_BARRIER, GROUP_NO_ROOT, 0, 0);
    return group_end(&group, status ? status : barrier(&group));
}

/* ---- sharing ---- */

/* Whom a member passes things on to: speakers of other nodes, along a binomial tree of nodes with
 * the root's at the top, then its own node's members. */
struct fan {
    uint32_t from; /* UINT32_MAX at the root */
    uint32_t *to;
    uint32_t count;
};

static void fan_to_nodes(const struct comm *comm, uint32_t root, struct fan *fan)
{
    uint32_t top = comm->node_of[root];
    uint32_t me = (comm->node + comm->node_count - top) % comm->node_count;
    uint32_t bit = 1;
    while (bit < comm->node_count && !(me & bit))
        bit *= 2;
    if (me != 0)
        fan->from = group_speaker(comm, ((me & ~bit) + top) % comm->node_count, root);
    /* Below the lowest bit that is set: these subtrees are this node's. */
    for (bit /= 2; bit > 0; bit /= 2) {
        if (me + bit < comm->node_count)
            fan->to[fan->count++] = group_speaker(comm, (me + bit + top) % comm->node_count, root);
    }
}

static enum covey_status make_fan(struct group *group, uint32_t root, bool nodes_too,
                                  struct fan *fan)
{
    struct comm *comm = group->comm;
    uint32_t speaker = group_speaker(comm, comm->node, root);
    *fan = (struct fan){.from = UINT32_MAX};
    fan->to = group_memory(group, comm->size, sizeof(*fan->to));
    if (!fan->to)
        return COVEY_ENOMEM;
    if (comm->rank != speaker) {
        fan->from = speaker;
        return COVEY_OK;
    }
    if (nodes_too)
        fan_to_nodes(comm, root, fan);
    for (uint32_t i = 0; i < group_node_size(comm, comm->node); i++) {
        uint32_t member = group_node_member(comm, comm->node, i);
        if (member != comm->rank)
            fan->to[fan->count++] = member;
    }
    return COVEY_OK;
}

static enum covey_status pass_on(struct group *group, const struct fan *fan,
                                 const struct descriptor_block *block)
{
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; i < fan->count && !status; i++)
        status = group_start_send_block(group, fan->to[i], block);
    return status ? status : group_finish(group);
}

static enum covey_status share_piece(struct group *group, const struct fan *fan, struct walk *walk,
                                     uint64_t length)
{
    struct descriptor_block block;
    enum covey_status status;
    if (fan->from == UINT32_MAX) {
        status = group_allocate(group, length ? length : 1, &block);
        if (status)
            return status;
        block.length = length;
        walk_read(walk, group_bytes(group, &block), length);
    } else {
        status = group_receive_block(group, fan->from, &block, NULL);
        if (status)
            return status;
        if (block.length != length)
            status = engine_fail(group->engine, COVEY_EMISMATCH,
                                 "rank %u sent a piece of %llu bytes, %llu were expected",
                                 group->comm->ranks[fan->from], (unsigned long long)block.length,
                                 (unsigned long long)length);
    }
    if (!status)
        status = pass_on(group, fan, &block);
    if (!status && fan->from != UINT32_MAX)
        walk_write(walk, group_bytes(group, &block), length);
    group_release(group, &block);
    return status;
}

/* What fits into a descriptor needs no block. */
static enum covey_status share_inline(struct group *group, const struct fan *fan, struct walk *walk,
                                      uint64_t length)
{
    uint8_t bytes[DESCRIPTOR_INLINE_BYTES];
    enum covey_status status = COVEY_OK;
    if (fan->from == UINT32_MAX)
        walk_read(walk, bytes, length);
    else
        status = group_receive(group, fan->from, bytes, length);
    for (uint32_t i = 0; i < fan->count && !status; i++)
        status = group_send(group, fan->to[i], bytes, length);
    if (!status && fan->from != UINT32_MAX)
        walk_write(walk, bytes, length);
    return status;
}

enum covey_status group_share(struct group *group, struct walk *walk, uint64_t length,
                              uint32_t root, bool nodes_too)
{
    struct fan fan;
    enum covey_status status = make_fan(group, root, nodes_too, &fan);
    if (!status)
        status = group_reserve(group, fan.count);
    if (!status && length <= DESCRIPTOR_INLINE_BYTES)
        status = share_inline(group, &fan, walk, length);
    else {
        for (uint64_t done = 0; done < length && !status; done += ENGINE_PIECE_BYTES) {
            uint64_t left = length - done;
            status = share_piece(group, &fan, walk,
                                 left < ENGINE_PIECE_BYTES ? left : ENGINE_PIECE_BYTES);
        }
    }
    free(fan.to);
    return status;
}

enum covey_status collective_bcast(struct comm *comm, void *bytes, uint64_t length, uint32_t root)
{
    struct group group;
    enum covey_status status = group_begin(&group, comm, GROUP_BCAST, root, 0, length);
    struct blocks blocks = {.bytes = bytes, .length = length};
    struct walk walk = {.blocks = &blocks, .end = 1};
    if (!status)
        status = group_share(&group, &walk, length, root, true);
    return group_end(&group, status);
}

enum covey_status collective_bcast_block(struct comm *comm, struct descriptor_block *block,
                                         uint32_t root)
{
    struct group group;
    struct fan fan = {0};
    enum covey_status status = group_begin(&group, comm, GROUP_BCAST_BUF, root, 0, 0);
    if (!status)
        status = make_fan(&group, root, true, &fan);
    if (!status)
        status = group_reserve(&group, fan.count);
    bool received = false;
    if (!status && fan.from != UINT32_MAX) {
        status = group_receive_block(&group, fan.from, block, NULL);
        received = !status;
    }
    if (!status)
        status = pass_on(&group, &fan, block);
    if (status && received)
        group_release(&group, block);
    free(fan.to);
    return group_end(&group, status);
}
