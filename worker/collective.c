/* Collectives: arguments are checked here, and go on to transport/core. */
#include "transport/core/collective.h"
#include "base/memory.h"
#include "worker/context.h"

#include <stdlib.h>
#include <string.h>

static bool is_root(const struct covey_comm *comm, int root)
{
    return comm->core->rank == (uint32_t)root;
}

static enum covey_status check_root(struct covey_comm *comm, const char *name, int root)
{
    if (root >= 0 && (uint32_t)root < comm->core->size)
        return COVEY_OK;
    return context_fail(comm->ctx, COVEY_EINVAL, "%s: the root %d is no member's rank", name, root);
}

static enum covey_status check_bytes(struct covey_comm *comm, const char *name, const void *bytes,
                                     size_t length_bytes)
{
    if (bytes || length_bytes == 0)
        return COVEY_OK;
    return context_fail(comm->ctx, COVEY_EINVAL, "%s: no bytes where %zu are wanted", name,
                        length_bytes);
}

/* Blocks of one length for every member: their whole must be addressable. */
static enum covey_status check_even(struct covey_comm *comm, const char *name, const void *bytes,
                                    size_t length_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(length_bytes, (size_t)comm->core->size, &total))
        return context_fail(comm->ctx, COVEY_EINVAL, "%s: %zu bytes of each are too much", name,
                            length_bytes);
    return check_bytes(comm, name, bytes, total);
}

static enum covey_status check_vector(struct covey_comm *comm, const char *name, const void *bytes,
                                      const size_t *lengths_bytes, const size_t *offsets_bytes)
{
    if (!lengths_bytes || !offsets_bytes)
        return context_fail(comm->ctx, COVEY_EINVAL, "%s: no lengths or offsets", name);
    for (uint32_t i = 0; i < comm->core->size; i++) {
        size_t end;
        if (lengths_bytes[i] > 0 &&
            (!bytes || __builtin_add_overflow(lengths_bytes[i], offsets_bytes[i], &end)))
            return context_fail(comm->ctx, COVEY_EINVAL, "%s: the block of rank %u cannot be", name,
                                i);
    }
    return COVEY_OK;
}

static struct blocks even(const void *bytes, size_t length_bytes)
{
    return (struct blocks){.bytes = (uint8_t *)(uintptr_t)bytes, .length = length_bytes};
}

static struct blocks vector(const void *bytes, const size_t *lengths_bytes,
                            const size_t *offsets_bytes)
{
    return (struct blocks){
        .bytes = (uint8_t *)(uintptr_t)bytes, .lengths = lengths_bytes, .offsets = offsets_bytes};
}

enum covey_status covey_barrier(struct covey_comm *comm)
{
    return collective_barrier(comm->core);
}

enum covey_status covey_bcast(struct covey_comm *comm, void *bytes, size_t length_bytes, int root)
{
    enum covey_status status = check_root(comm, "bcast", root);
    if (!status)
        status = check_bytes(comm, "bcast", bytes, length_bytes);
    return status ? status : collective_bcast(comm->core, bytes, length_bytes, (uint32_t)root);
}

enum covey_status covey_bcast_buf(struct covey_comm *comm, struct covey_buf **buf, int root)
{
    enum covey_status status = check_root(comm, "bcast_buf", root);
    if (status)
        return status;
    if (is_root(comm, root)) {
        if (!*buf)
            return context_fail(comm->ctx, COVEY_EINVAL, "bcast_buf: the root has no buffer");
        return collective_bcast_block(comm->core, &(*buf)->block, (uint32_t)root);
    }
    struct descriptor_block block;
    *buf = NULL;
    status = collective_bcast_block(comm->core, &block, (uint32_t)root);
    return status ? status : context_buf_create(comm->ctx, &block, buf);
}

static enum covey_status check_reduction(struct covey_comm *comm, const char *name,
                                         const struct reduction *reduction)
{
    uint64_t bytes;
    if (!reduce_find(reduction->type, reduction->op))
        return context_fail(comm->ctx, COVEY_EINVAL, "%s: type %u has no operation %u", name,
                            reduction->type, reduction->op);
    if (__builtin_mul_overflow(reduction->count, reduce_type_bytes(reduction->type), &bytes))
        return context_fail(comm->ctx, COVEY_EINVAL, "%s: %llu elements are too many", name,
                            (unsigned long long)reduction->count);
    return COVEY_OK;
}

enum covey_status covey_reduce(struct covey_comm *comm, const void *input, void *output,
                               size_t count, enum covey_type type, enum covey_op op, int root)
{
    struct reduction reduction = {.type = type, .op = op, .count = count};
    enum covey_status status = check_root(comm, "reduce", root);
    if (!status)
        status = check_reduction(comm, "reduce", &reduction);
    if (!status && is_root(comm, root))
        status = check_bytes(comm, "reduce", output, count);
    if (!status && input == COVEY_IN_PLACE && is_root(comm, root))
        input = output;
    else if (!status && input == COVEY_IN_PLACE)
        return context_fail(comm->ctx, COVEY_EINVAL, "reduce: in place is for the root");
    if (!status)
        status = check_bytes(comm, "reduce", input, count);
    return status ? status
                  : collective_reduce(comm->core, input, output, &reduction, (uint32_t)root);
}

enum covey_status covey_allreduce(struct covey_comm *comm, const void *input, void *output,
                                  size_t count, enum covey_type type, enum covey_op op)
{
    struct reduction reduction = {.type = type, .op = op, .count = count};
    enum covey_status status = check_reduction(comm, "allreduce", &reduction);
    if (input == COVEY_IN_PLACE)
        input = output;
    if (!status)
        status = check_bytes(comm, "allreduce", output, count);
    if (!status)
        status = check_bytes(comm, "allreduce", input, count);
    return status ? status : collective_allreduce(comm->core, input, output, &reduction);
}

enum covey_status covey_gather(struct covey_comm *comm, const void *input, size_t length_bytes,
                               void *output, int root)
{
    enum covey_status status = check_root(comm, "gather", root);
    if (!status)
        status = check_bytes(comm, "gather", input, length_bytes);
    if (!status && is_root(comm, root))
        status = check_even(comm, "gather", output, length_bytes);
    struct blocks blocks = even(output, length_bytes);
    return status
               ? status
               : collective_gather(comm->core, input, length_bytes, &blocks, (uint32_t)root, false);
}

enum covey_status covey_gatherv(struct covey_comm *comm, const void *input, size_t length_bytes,
                                void *output, const size_t *lengths_bytes,
                                const size_t *offsets_bytes, int root)
{
    enum covey_status status = check_root(comm, "gatherv", root);
    if (!status)
        status = check_bytes(comm, "gatherv", input, length_bytes);
    if (!status && is_root(comm, root))
        status = check_vector(comm, "gatherv", output, lengths_bytes, offsets_bytes);
    struct blocks blocks = vector(output, lengths_bytes, offsets_bytes);
    return status
               ? status
               : collective_gather(comm->core, input, length_bytes, &blocks, (uint32_t)root, true);
}

enum covey_status covey_scatter(struct covey_comm *comm, const void *input, void *output,
                                size_t length_bytes, int root)
{
    enum covey_status status = check_root(comm, "scatter", root);
    if (!status)
        status = check_bytes(comm, "scatter", output, length_bytes);
    if (!status && is_root(comm, root))
        status = check_even(comm, "scatter", input, length_bytes);
    struct blocks blocks = even(input, length_bytes);
    return status ? status
                  : collective_scatter(comm->core, &blocks, output, length_bytes, (uint32_t)root,
                                       false);
}

enum covey_status covey_scatterv(struct covey_comm *comm, const void *input,
                                 const size_t *lengths_bytes, const size_t *offsets_bytes,
                                 void *output, size_t length_bytes, int root)
{
    enum covey_status status = check_root(comm, "scatterv", root);
    if (!status)
        status = check_bytes(comm, "scatterv", output, length_bytes);
    if (!status && is_root(comm, root))
        status = check_vector(comm, "scatterv", input, lengths_bytes, offsets_bytes);
    struct blocks blocks = vector(input, lengths_bytes, offsets_bytes);
    return status ? status
                  : collective_scatter(comm->core, &blocks, output, length_bytes, (uint32_t)root,
                                       true);
}

enum covey_status covey_allgather(struct covey_comm *comm, const void *input, size_t length_bytes,
                                  void *output)
{
    enum covey_status status = check_even(comm, "allgather", output, length_bytes);
    if (input == COVEY_IN_PLACE)
        input = output ? (const char *)output + comm->core->rank * length_bytes : NULL;
    if (!status)
        status = check_bytes(comm, "allgather", input, length_bytes);
    struct blocks blocks = even(output, length_bytes);
    return status ? status : collective_allgather(comm->core, input, length_bytes, &blocks, false);
}

enum covey_status covey_allgatherv(struct covey_comm *comm, const void *input, size_t length_bytes,
                                   void *output, const size_t *lengths_bytes,
                                   const size_t *offsets_bytes)
{
    enum covey_status status =
        check_vector(comm, "allgatherv", output, lengths_bytes, offsets_bytes);
    if (!status && input == COVEY_IN_PLACE)
        input = output ? (const char *)output + offsets_bytes[comm->core->rank] : NULL;
    if (!status)
        status = check_bytes(comm, "allgatherv", input, length_bytes);
    struct blocks blocks = vector(output, lengths_bytes, offsets_bytes);
    return status ? status : collective_allgather(comm->core, input, length_bytes, &blocks, true);
}

enum covey_status covey_alltoall(struct covey_comm *comm, const void *input, size_t length_bytes,
                                 void *output)
{
    enum covey_status status = check_even(comm, "alltoall", input, length_bytes);
    if (!status)
        status = check_even(comm, "alltoall", output, length_bytes);
    struct blocks send = even(input, length_bytes);
    struct blocks receive = even(output, length_bytes);
    return status ? status : collective_alltoall(comm->core, &send, &receive, false);
}

enum covey_status covey_alltoallv(struct covey_comm *comm, const void *input,
                                  const size_t *send_lengths_bytes,
                                  const size_t *send_offsets_bytes, void *output,
                                  const size_t *receive_lengths_bytes,
                                  const size_t *receive_offsets_bytes)
{
    enum covey_status status =
        check_vector(comm, "alltoallv", input, send_lengths_bytes, send_offsets_bytes);
    if (!status)
        status =
            check_vector(comm, "alltoallv", output, receive_lengths_bytes, receive_offsets_bytes);
    struct blocks send = vector(input, send_lengths_bytes, send_offsets_bytes);
    struct blocks receive = vector(output, receive_lengths_bytes, receive_offsets_bytes);
    return status ? status : collective_alltoall(comm->core, &send, &receive, true);
}

size_t covey_type_bytes(enum covey_type type)
{
    return reduce_type_bytes((unsigned)type);
}

/* ---- split ---- */

struct wish {
    int32_t colour;
    int32_t key;
};

/* The members of our colour, by key, then rank: an insertion into an ordered list. */
static uint32_t choose(const struct comm *comm, const struct wish *wishes, uint32_t *members)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < comm->size; i++) {
        if (wishes[i].colour != wishes[comm->rank].colour)
            continue;
        uint32_t at = count++;
        for (; at > 0 && wishes[members[at - 1]].key > wishes[i].key; at--)
            members[at] = members[at - 1];
        members[at] = i;
    }
    return count;
}

static enum covey_status split(struct covey_comm *comm, struct wish *wishes, uint32_t *members,
                               struct covey_comm **out)
{
    struct comm *core = comm->core;
    struct wish mine = wishes[core->rank];
    struct blocks blocks = even(wishes, sizeof(*wishes));
    enum covey_status status =
        collective_allgather(core, &wishes[core->rank], sizeof(mine), &blocks, false);
    if (status)
        return status;
    uint64_t id = comm_child_id(core, core->children++, (uint64_t)(uint32_t)mine.colour);
    uint32_t count = choose(core, wishes, members);
    for (uint32_t i = 0; i < count; i++)
        members[i] = core->ranks[members[i]];
    if (mine.colour == -1)
        return COVEY_OK;
    status = context_comm_create(comm->ctx, id, members, count, out);
    if (!status)
        (*out)->core->timeout_ns = core->timeout_ns;
    return status;
}

enum covey_status covey_comm_split(struct covey_comm *comm, int colour, int key,
                                   struct covey_comm **out)
{
    *out = NULL;
    if (colour < -1)
        return context_fail(comm->ctx, COVEY_EINVAL, "comm_split: colour %d is below -1", colour);
    struct wish *wishes = covey_calloc(comm->core->size, sizeof(*wishes));
    uint32_t *members = covey_calloc(comm->core->size, sizeof(*members));
    enum covey_status status = COVEY_ENOMEM;
    if (wishes && members) {
        wishes[comm->core->rank] = (struct wish){colour, key};
        status = split(comm, wishes, members, out);
    } else {
        (void)!context_fail(comm->ctx, COVEY_ENOMEM, "out of memory");
    }
    free(wishes);
    free(members);
    return status;
}
