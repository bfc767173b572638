#include "base/memory.h"
#include "transport/core/agree.h"
#include "worker/context.h"

#include <stdlib.h>

int covey_comm_rank(const struct covey_comm *comm)
{
    return (int)comm->core->rank;
}

int covey_comm_size(const struct covey_comm *comm)
{
    return (int)comm->core->size;
}

void covey_comm_set_timeout(struct covey_comm *comm, int64_t timeout_ns)
{
    comm->core->timeout_ns = timeout_ns;
}

void covey_comm_free(struct covey_comm *comm)
{
    if (!comm || comm == comm->ctx->world || comm == comm->ctx->pack)
        return;
    covey_list_remove(&comm->link);
    comm_free(comm->core);
    free(comm);
}

/* Beside the numbers of splits, and the one that packs have. */
#define SHRUNK (UINT64_C(1) << 63)

enum covey_status covey_comm_shrink(struct covey_comm *comm, struct covey_comm **out)
{
    struct comm *core = comm->core;
    uint32_t *ranks = NULL;
    uint32_t count;
    uint32_t number;
    *out = NULL;
    enum covey_status status = agree_on_members(core, &ranks, &count, &number);
    if (status)
        return status;
    status =
        context_comm_create(comm->ctx, comm_child_id(core, SHRUNK | number, 0), ranks, count, out);
    if (!status)
        (*out)->core->timeout_ns = core->timeout_ns;
    free(ranks);
    return status;
}
