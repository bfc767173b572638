/* The worker of start-up benchmarks: user code that does nothing. */
#include <covey/worker.h>

int covey_work(struct covey_ctx *ctx)
{
    (void)ctx;
    return 0;
}
