/* All to all: the members of a node fill one stream for each other node, in pieces. */
#include "transport/core/exchange.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_FILL = 1, TAG_TAKE = 2 };

struct exchange {
    struct group *group;
    const struct blocks *send;
    const struct blocks *receive;
    struct plan plan;
};

/* Part of a stream. */
struct range {
    uint64_t start;
    uint64_t end;
};

static struct range piece_of(uint64_t total, uint64_t number)
{
    uint64_t start = number * ENGINE_PIECE_BYTES;
    uint64_t left = start < total ? total - start : 0;
    return (struct range){start, start + (left < ENGINE_PIECE_BYTES ? left : ENGINE_PIECE_BYTES)};
}

static bool is_empty(struct range range)
{
    return range.start >= range.end;
}

static struct range overlap(struct range a, struct range b)
{
    return (struct range){a.start > b.start ? a.start : b.start, a.end < b.end ? a.end : b.end};
}

/* The part of the stream to a node that the plan's member fills; plan->out_start of the next one is
 * its end, for which the caller gives the length. */
static struct range filled_by(const struct exchange *exchange, uint32_t node)
{
    const struct comm *comm = exchange->group->comm;
    uint64_t start = exchange->plan.out_start[node];
    uint64_t end = start;
    for (uint32_t i = 0; i < group_node_size(comm, node); i++)
        end += blocks_length(exchange->send, group_node_member(comm, node, i));
    return (struct range){start, end};
}

/* Copies what this member has for a piece of the stream into it. */
static void fill(const struct exchange *exchange, uint32_t node, struct range piece, uint8_t *bytes)
{
    const struct comm *comm = exchange->group->comm;
    uint64_t at = exchange->plan.out_start[node];
    for (uint32_t i = 0; i < group_node_size(comm, node) && at < piece.end; i++) {
        uint32_t member = group_node_member(comm, node, i);
        uint64_t length = blocks_length(exchange->send, member);
        struct range part = overlap(piece, (struct range){at, at + length});
        if (!is_empty(part))
            memcpy(bytes + (part.start - piece.start),
                   blocks_at(exchange->send, member) + (part.start - at), part.end - part.start);
        at += length;
    }
}

/* Copies what a piece of the stream has for this member. */
static void take(const struct exchange *exchange, uint32_t node, struct range piece,
                 const uint8_t *bytes)
{
    const struct comm *comm = exchange->group->comm;
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint32_t member = group_node_member(comm, node, i);
        uint64_t at = exchange->plan.in_offset[member];
        struct range part =
            overlap(piece, (struct range){at, at + blocks_length(exchange->receive, member)});
        if (!is_empty(part))
            memcpy(blocks_at(exchange->receive, member) + (part.start - at),
                   bytes + (part.start - piece.start), part.end - part.start);
    }
}

/* Has this plan's member something in the piece? */
static bool takes(const struct comm *comm, const struct plan *plan, uint32_t node,
                  struct range piece)
{
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint32_t member = group_node_member(comm, node, i);
        uint64_t at = plan->in_offset[member];
        if (!is_empty(overlap(piece, (struct range){at, at + plan->in_length[member]})))
            return true;
    }
    return false;
}

/* At the leader: where a member's part of a stream is. */
static struct range part_of(const struct exchange *exchange, uint32_t place, uint32_t node)
{
    const struct comm *comm = exchange->group->comm;
    struct plan of;
    struct plan next;
    plan_of(&exchange->plan, comm, place, &of);
    if (place + 1 == group_node_size(comm, comm->node))
        return (struct range){of.out_start[node], of.out_total[node]};
    plan_of(&exchange->plan, comm, place + 1, &next);
    return (struct range){of.out_start[node], next.out_start[node]};
}

/* ---- the leader ---- */

/* Has a piece filled by all who have something in it. */
static enum covey_status fill_piece(struct exchange *exchange, uint32_t node, struct range piece,
                                    const struct descriptor_block *block)
{
    struct group *group = exchange->group;
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 1; i < here && !status; i++) {
        if (!is_empty(overlap(piece, part_of(exchange, i, node))))
            status = group_lend(group, group_node_member(comm, comm->node, i), TAG_FILL, block);
    }
    if (status)
        return status;
    fill(exchange, node, piece, group_bytes(group, block));
    for (uint32_t i = 1; i < here && !status; i++) {
        if (!is_empty(overlap(piece, part_of(exchange, i, node))))
            status = group_receive(group, group_node_member(comm, comm->node, i), NULL, 0);
    }
    return status;
}

static enum covey_status send_piece(struct exchange *exchange, uint32_t node, struct range piece)
{
    struct group *group = exchange->group;
    struct comm *comm = group->comm;
    struct descriptor_block block;
    enum covey_status status = group_allocate(group, ENGINE_PIECE_BYTES, &block);
    if (status)
        return status;
    status = fill_piece(exchange, node, piece, &block);
    block.length = piece.end - piece.start;
    if (!status)
        status = group_start_send_held(group, group_node_member(comm, node, 0), &block);
    else
        group_release(group, &block);
    return status;
}

static enum covey_status receive_piece(struct exchange *exchange, uint32_t node, struct range piece)
{
    struct group *group = exchange->group;
    struct comm *comm = group->comm;
    struct descriptor_block block;
    enum covey_status status =
        group_receive_block(group, group_node_member(comm, node, 0), &block, NULL);
    if (status)
        return status;
    if (block.length != piece.end - piece.start)
        status = engine_fail(group->engine, COVEY_EMISMATCH, "alltoall: a piece of %llu bytes",
                             (unsigned long long)block.length);
    uint32_t here = group_node_size(comm, comm->node);
    for (uint32_t i = 1; i < here && !status; i++) {
        struct plan of;
        plan_of(&exchange->plan, comm, i, &of);
        if (takes(comm, &of, node, piece))
            status = group_lend(group, group_node_member(comm, comm->node, i), TAG_TAKE, &block);
    }
    if (!status)
        take(exchange, node, piece, group_bytes(group, &block));
    group_release(group, &block);
    return status;
}

/* One piece of each stream at a time. All leaders are in the same step or wait for one that is, so
 * somebody can always go on. */
static enum covey_status lead_round(struct exchange *exchange, uint32_t to, uint32_t from)
{
    struct group *group = exchange->group;
    uint64_t out_total = exchange->plan.out_total[to];
    uint64_t in_total = exchange->plan.in_total[from];
    enum covey_status status = group_reserve(group, 1);
    for (uint64_t number = 0; !status; number++) {
        struct range out = piece_of(out_total, number);
        struct range in = piece_of(in_total, number);
        if (is_empty(out) && is_empty(in))
            break;
        if (!is_empty(out))
            status = send_piece(exchange, to, out);
        if (!status && !is_empty(in))
            status = receive_piece(exchange, from, in);
        if (!status)
            status = group_finish(group);
    }
    return status;
}

/* ---- the other members ---- */

/* The next piece at or after number in which this member has a part; past the end: none. */
static uint64_t next_out(const struct exchange *exchange, uint32_t node, uint64_t number)
{
    struct range part = filled_by(exchange, node);
    if (is_empty(part))
        return UINT64_MAX;
    uint64_t first = part.start / ENGINE_PIECE_BYTES;
    uint64_t last = (part.end - 1) / ENGINE_PIECE_BYTES;
    uint64_t next = number > first ? number : first;
    return next <= last ? next : UINT64_MAX;
}

static uint64_t next_in(const struct exchange *exchange, uint32_t node, uint64_t number)
{
    const struct comm *comm = exchange->group->comm;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < group_node_size(comm, node); i++) {
        uint32_t member = group_node_member(comm, node, i);
        uint64_t length = exchange->plan.in_length[member];
        if (length == 0)
            continue;
        uint64_t first = exchange->plan.in_offset[member] / ENGINE_PIECE_BYTES;
        uint64_t last = (exchange->plan.in_offset[member] + length - 1) / ENGINE_PIECE_BYTES;
        uint64_t here = number > first ? number : first;
        if (here <= last && here < next)
            next = here;
    }
    return next;
}

static enum covey_status follow_round(struct exchange *exchange, uint32_t to, uint32_t from)
{
    struct group *group = exchange->group;
    uint32_t leader = group_node_member(group->comm, group->comm->node, 0);
    uint64_t out = next_out(exchange, to, 0);
    uint64_t in = next_in(exchange, from, 0);
    enum covey_status status = COVEY_OK;
    while (!status && (out != UINT64_MAX || in != UINT64_MAX)) {
        struct descriptor_block block;
        int tag;
        status = group_receive_block(group, leader, &block, &tag);
        if (status)
            break;
        bool fills = tag == TAG_FILL && out != UINT64_MAX;
        struct range piece = fills ? piece_of(exchange->plan.out_total[to], out)
                                   : piece_of(exchange->plan.in_total[from], in);
        if (block.length < piece.end - piece.start || (!fills && in == UINT64_MAX)) {
            status = engine_fail(group->engine, COVEY_EMISMATCH, "alltoall: an unexpected piece");
        } else if (fills) {
            fill(exchange, to, piece, group_bytes(group, &block));
            out = next_out(exchange, to, out + 1);
        } else {
            take(exchange, from, piece, group_bytes(group, &block));
            in = next_in(exchange, from, in + 1);
        }
        group_release(group, &block);
        if (!status && fills)
            status = group_send(group, leader, NULL, 0);
    }
    return status;
}

/* ---- all ---- */

static enum covey_status exchange_in_node(struct exchange *exchange)
{
    struct group *group = exchange->group;
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = group_reserve(group, 2ull * here);
    for (uint32_t i = 1; i < here && !status; i++) {
        uint32_t from =
            group_node_member(comm, comm->node, (comm->place[comm->rank] + here - i) % here);
        status = group_start_receive(group, from, blocks_at(exchange->receive, from),
                                     blocks_length(exchange->receive, from));
    }
    for (uint32_t i = 1; i < here && !status; i++) {
        uint32_t to = group_node_member(comm, comm->node, (comm->place[comm->rank] + i) % here);
        status = group_start_send(group, to, blocks_at(exchange->send, to),
                                  blocks_length(exchange->send, to));
    }
    uint64_t own = blocks_length(exchange->send, comm->rank);
    if (own != blocks_length(exchange->receive, comm->rank))
        return engine_fail(group->engine, COVEY_EINVAL,
                           "alltoallv: a member's lengths to itself do not agree");
    if (!status && own > 0)
        memcpy(blocks_at(exchange->receive, comm->rank), blocks_at(exchange->send, comm->rank),
               own);
    return status ? status : group_finish(group);
}

static enum covey_status run(struct exchange *exchange, bool vector)
{
    struct group *group = exchange->group;
    struct comm *comm = group->comm;
    enum covey_status status =
        plan_make(group, exchange->send, exchange->receive, vector, &exchange->plan);
    if (!status)
        status = exchange_in_node(exchange);
    bool leads = comm->place[comm->rank] == 0;
    for (uint32_t k = 1; k < comm->node_count && !status; k++) {
        uint32_t to = (comm->node + k) % comm->node_count;
        uint32_t from = (comm->node + comm->node_count - k) % comm->node_count;
        status = leads ? lead_round(exchange, to, from) : follow_round(exchange, to, from);
    }
    plan_free(&exchange->plan);
    return status;
}

enum covey_status collective_alltoall(struct comm *comm, const struct blocks *send,
                                      const struct blocks *receive, bool vector)
{
    struct group group;
    enum covey_status status = group_begin(&group, comm, vector ? GROUP_ALLTOALLV : GROUP_ALLTOALL,
                                           GROUP_NO_ROOT, 0, vector ? 0 : send->length);
    struct exchange exchange = {.group = &group, .send = send, .receive = receive};
    if (!status)
        status = run(&exchange, vector);
    return group_end(&group, status);
}
