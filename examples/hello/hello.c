/* The shortest useful flare: the workers count themselves, and each says who it is. */
#include <covey/worker.h>

int covey_work(struct covey_ctx *ctx)
{
    int32_t one = 1, all = 0;
    if (covey_allreduce(covey_world(ctx), &one, &all, 1, COVEY_INT32, COVEY_SUM))
        return 1;
    covey_logf(ctx, "hello from worker %d of %d, pack %d", covey_rank(ctx), all,
               covey_pack_id(ctx));
    return 0;
}
