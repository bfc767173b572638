/*
 * A flare that hangs on purpose: every worker but the last waits in an all-to-all that the last
 * never joins. For trying `covey cancel`, time limits, and what the survivors are told when
 * somebody kills a worker, a host or a node.
 */
#include <covey/worker.h>

#include <stdlib.h>
#include <unistd.h>

enum { block_bytes = 65536 };

int covey_work(struct covey_ctx *ctx)
{
    int rank = covey_rank(ctx), size = covey_size(ctx);
    covey_logf(ctx, "worker %d is waiting pid=%d", rank, (int)getpid());
    if (rank == size - 1) {
        for (;;)
            pause();
    }
    char *blocks = calloc(2 * (size_t)size, block_bytes);
    if (!blocks)
        return 2;
    enum covey_status status =
        covey_alltoall(covey_world(ctx), blocks, block_bytes, blocks + (size_t)size * block_bytes);
    covey_logf(ctx, "worker %d got %s: %s", rank, covey_status_name(status), covey_error_text(ctx));
    free(blocks);
    return status ? 1 : 0;
}
