/* A worker that stays until it is ended: for flares that keep others waiting. */
#include <covey/worker.h>

#include <unistd.h>

int covey_work(struct covey_ctx *ctx)
{
    (void)ctx;
    for (;;)
        pause();
}
