#include "tests/component/node/behave.h"

int covey_work(struct covey_ctx *ctx)
{
    return behave(ctx);
}
