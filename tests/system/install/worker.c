/* The worker of an outside project. */
#include <covey/worker.h>

int covey_work(struct covey_ctx *ctx)
{
    return covey_size(ctx) > covey_rank(ctx) ? 0 : 1;
}
