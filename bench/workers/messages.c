/* The worker of measurements of messages. */
#include "bench/exchange/measure.h"
#include "bench/workers/talk.h"

#include <stdlib.h>
#include <string.h>

/* The order is the parameter, and rank 0's result what was seen. */
int covey_work(struct covey_ctx *ctx)
{
    struct talk talk = {.ctx = ctx, .comm = covey_world(ctx)};
    char text[order_text_bytes] = "", *seen = NULL;
    size_t length;
    struct order order;
    const void *parameter = covey_param(ctx, &length);
    if (length < sizeof(text))
        memcpy(text, parameter, length);
    if (order_read(text, &order)) {
        covey_logf(ctx, "this is no order: \"%s\"", text);
        return 1;
    }
    FILE *out = open_memstream(&seen, &length);
    if (!out)
        return 1;
    int failed = measure_order(&talk, &order, out);
    if (fclose(out) == 0 && !failed && covey_rank(ctx) == 0)
        failed = covey_set_result(ctx, seen, length) != COVEY_OK;
    free(seen);
    return failed ? 1 : 0;
}
