#include "transport/core/exchange.h"

#include <stdlib.h>
#include <string.h>

static void point(struct plan *plan, const struct comm *comm, uint64_t *words)
{
    plan->out_start = words;
    plan->out_total = plan->out_start + comm->node_count;
    plan->in_total = plan->out_total + comm->node_count;
    plan->in_offset = plan->in_total + comm->node_count;
    plan->in_length = plan->in_offset + comm->size;
}

void plan_of(const struct plan *plan, const struct comm *comm, uint32_t place, struct plan *of)
{
    *of = (struct plan){0};
    point(of, comm, plan->everybody + place * plan->words);
}

void plan_free(struct plan *plan)
{
    free(plan->memory);
    free(plan->everybody);
    plan->memory = NULL;
    plan->everybody = NULL;
}

/* What the members of one node send to those of another: rows by sender, columns by receiver. */
struct matrix {
    const uint64_t *lengths;
    uint32_t columns;
};

static uint64_t at(const struct matrix *matrix, uint32_t row, uint32_t column)
{
    return matrix->lengths[(uint64_t)row * matrix->columns + column];
}

static bool add(uint64_t *sum, uint64_t more)
{
    return !__builtin_add_overflow(*sum, more, sum) && *sum <= SIZE_MAX / 2;
}

/* Enters a stream that leaves this node into everybody's plan. */
static bool enter_out(struct plan *plan, const struct comm *comm, uint32_t node,
                      const struct matrix *matrix)
{
    uint64_t sum = 0;
    struct plan of;
    for (uint32_t row = 0; row < group_node_size(comm, comm->node); row++) {
        plan_of(plan, comm, row, &of);
        of.out_start[node] = sum;
        for (uint32_t column = 0; column < matrix->columns; column++) {
            if (!add(&sum, at(matrix, row, column)))
                return false;
        }
    }
    for (uint32_t row = 0; row < group_node_size(comm, comm->node); row++) {
        plan_of(plan, comm, row, &of);
        of.out_total[node] = sum;
    }
    return true;
}

static bool enter_in(struct plan *plan, const struct comm *comm, uint32_t node,
                     const struct matrix *matrix)
{
    uint64_t sum = 0;
    struct plan of;
    for (uint32_t row = 0; row < group_node_size(comm, node); row++) {
        uint32_t sender = group_node_member(comm, node, row);
        for (uint32_t column = 0; column < matrix->columns; column++) {
            plan_of(plan, comm, column, &of);
            of.in_offset[sender] = sum;
            of.in_length[sender] = at(matrix, row, column);
            if (!add(&sum, of.in_length[sender]))
                return false;
        }
    }
    for (uint32_t column = 0; column < matrix->columns; column++) {
        plan_of(plan, comm, column, &of);
        of.in_total[node] = sum;
    }
    return true;
}

static enum covey_status too_much(struct group *group)
{
    return engine_fail(group->engine, COVEY_EMISMATCH, "alltoall: the lengths are too much");
}

/* A leader learns what its members send to everybody: rows of comm->size lengths. */
static enum covey_status take_rows(struct group *group, const struct blocks *send, uint64_t *rows)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    enum covey_status status = group_reserve(group, here);
    for (uint32_t member = 0; member < comm->size; member++)
        rows[member] = blocks_length(send, member);
    for (uint32_t i = 1; i < here && !status; i++)
        status = group_start_receive(group, group_node_member(comm, comm->node, i),
                                     rows + (uint64_t)i * comm->size, comm->size * sizeof(*rows));
    return status ? status : group_finish(group);
}

/* Tells a leader what its members will get from ours, and learns the same. */
static enum covey_status swap_matrices(struct group *group, struct plan *plan, const uint64_t *rows,
                                       uint32_t to, uint32_t from)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    uint32_t there = group_node_size(comm, to);
    uint32_t others = group_node_size(comm, from);
    uint64_t out_count = (uint64_t)here * there;
    uint64_t in_count = (uint64_t)others * here;
    uint64_t *lengths = group_memory(group, out_count + in_count, sizeof(*lengths));
    if (!lengths)
        return COVEY_ENOMEM;
    for (uint32_t row = 0; row < here; row++) {
        for (uint32_t column = 0; column < there; column++)
            lengths[row * there + column] =
                rows[(uint64_t)row * comm->size + group_node_member(comm, to, column)];
    }
    struct matrix out = {.lengths = lengths, .columns = there};
    struct matrix in = {.lengths = lengths + out_count, .columns = here};
    enum covey_status status = group_reserve(group, 2);
    if (!status)
        status = group_start_receive(group, group_node_member(comm, from, 0), lengths + out_count,
                                     in_count * sizeof(*lengths));
    if (!status)
        status = group_start_send(group, group_node_member(comm, to, 0), lengths,
                                  out_count * sizeof(*lengths));
    if (!status)
        status = group_finish(group);
    if (!status && (!enter_out(plan, comm, to, &out) || !enter_in(plan, comm, from, &in)))
        status = too_much(group);
    if (status)
        group_abandon(group);
    free(lengths);
    return status;
}

/* Within the node, in_length only: for the check of lengths. */
static void enter_own(struct plan *plan, const struct comm *comm, const uint64_t *rows)
{
    uint32_t here = group_node_size(comm, comm->node);
    for (uint32_t row = 0; row < here; row++) {
        for (uint32_t column = 0; column < here; column++) {
            struct plan of;
            plan_of(plan, comm, column, &of);
            of.in_length[group_node_member(comm, comm->node, row)] =
                rows[(uint64_t)row * comm->size + group_node_member(comm, comm->node, column)];
        }
    }
}

static enum covey_status make_at_leader(struct group *group, const struct blocks *send,
                                        struct plan *plan)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    uint64_t *rows = group_memory(group, (uint64_t)here * comm->size, sizeof(*rows));
    if (!rows)
        return COVEY_ENOMEM;
    enum covey_status status = take_rows(group, send, rows);
    if (!status)
        enter_own(plan, comm, rows);
    for (uint32_t k = 1; k < comm->node_count && !status; k++)
        status = swap_matrices(group, plan, rows, (comm->node + k) % comm->node_count,
                               (comm->node + comm->node_count - k) % comm->node_count);
    if (status)
        group_abandon(group);
    free(rows);
    for (uint32_t i = 1; i < here && !status; i++)
        status = group_send(group, group_node_member(comm, comm->node, i),
                            plan->everybody + i * plan->words, plan->words * sizeof(uint64_t));
    if (!status)
        memcpy(plan->memory, plan->everybody, plan->words * sizeof(uint64_t));
    return status;
}

static enum covey_status check_lengths(struct group *group, const struct blocks *receive,
                                       const struct plan *plan)
{
    struct comm *comm = group->comm;
    for (uint32_t member = 0; member < comm->size; member++) {
        if (plan->in_length[member] != blocks_length(receive, member))
            return engine_fail(group->engine, COVEY_EMISMATCH,
                               "alltoallv: rank %u sends %llu bytes, %llu were expected",
                               comm->ranks[member], (unsigned long long)plan->in_length[member],
                               (unsigned long long)blocks_length(receive, member));
    }
    return COVEY_OK;
}

/* Equal blocks: a part can be worked out. */
static void work_out_part(const struct comm *comm, uint64_t length, uint32_t place,
                          struct plan *part)
{
    uint64_t here = group_node_size(comm, comm->node);
    for (uint32_t node = 0; node < comm->node_count; node++) {
        uint64_t there = group_node_size(comm, node);
        part->out_start[node] = place * there * length;
        part->out_total[node] = here * there * length;
        part->in_total[node] = here * there * length;
    }
    for (uint32_t member = 0; member < comm->size; member++) {
        part->in_offset[member] = (comm->place[member] * here + place) * length;
        part->in_length[member] = length;
    }
}

static enum covey_status work_out(struct group *group, uint64_t length, struct plan *plan)
{
    struct comm *comm = group->comm;
    uint64_t all;
    if (__builtin_mul_overflow((uint64_t)comm->size * comm->size, length, &all) ||
        all > SIZE_MAX / 2)
        return too_much(group);
    work_out_part(comm, length, comm->place[comm->rank], plan);
    for (uint32_t i = 0; plan->everybody && i < group_node_size(comm, comm->node); i++) {
        struct plan part;
        plan_of(plan, comm, i, &part);
        work_out_part(comm, length, i, &part);
    }
    return COVEY_OK;
}

enum covey_status plan_make(struct group *group, const struct blocks *send,
                            const struct blocks *receive, bool vector, struct plan *plan)
{
    struct comm *comm = group->comm;
    uint32_t here = group_node_size(comm, comm->node);
    uint32_t leader = group_node_member(comm, comm->node, 0);
    *plan = (struct plan){.words = 3ull * comm->node_count + 2ull * comm->size};
    plan->memory = group_memory(group, plan->words, sizeof(uint64_t));
    if (!plan->memory)
        return COVEY_ENOMEM;
    point(plan, comm, plan->memory);
    if (comm->rank == leader) {
        plan->everybody = group_memory(group, here * plan->words, sizeof(uint64_t));
        if (!plan->everybody)
            return COVEY_ENOMEM;
        memset(plan->everybody, 0, here * plan->words * sizeof(uint64_t));
    }
    if (!vector)
        return work_out(group, send->length, plan);
    enum covey_status status;
    if (comm->rank == leader) {
        status = make_at_leader(group, send, plan);
    } else {
        uint64_t *row = group_memory(group, comm->size, sizeof(*row));
        if (!row)
            return COVEY_ENOMEM;
        for (uint32_t member = 0; member < comm->size; member++)
            row[member] = blocks_length(send, member);
        status = group_send(group, leader, row, comm->size * sizeof(*row));
        free(row);
        if (!status)
            status = group_receive(group, leader, plan->memory, plan->words * sizeof(uint64_t));
    }
    return status ? status : check_lengths(group, receive, plan);
}
