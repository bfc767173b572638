#include "base/memory.h"
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
