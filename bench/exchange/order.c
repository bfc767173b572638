#include "bench/exchange/order.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const operation_names[OPERATIONS] = {
    [OPERATION_LATENCY] = "latency",     [OPERATION_RATE] = "rate",
    [OPERATION_BANDWIDTH] = "bandwidth", [OPERATION_BARRIER] = "barrier",
    [OPERATION_BCAST] = "bcast",         [OPERATION_REDUCE] = "reduce",
    [OPERATION_ALLREDUCE] = "allreduce", [OPERATION_GATHER] = "gather",
    [OPERATION_SCATTER] = "scatter",     [OPERATION_ALLGATHER] = "allgather",
    [OPERATION_ALLTOALL] = "alltoall",
};

int operation_find(const char *name)
{
    for (int i = 0; i < OPERATIONS; i++) {
        if (strcmp(operation_names[i], name) == 0)
            return i;
    }
    return -1;
}

bool operation_pairs(enum operation operation)
{
    return operation == OPERATION_LATENCY || operation == OPERATION_RATE ||
           operation == OPERATION_BANDWIDTH;
}

void order_write(const struct order *order, char *text)
{
    snprintf(text, order_text_bytes,
             "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %" PRIu64,
             operation_names[order->operation], order->bytes, order->samples, order->warm_ups,
             order->window, order->rounds, order->owned, order->once, order->seed);
}

enum { numbers = 8 };

int order_read(const char *text, struct order *order)
{
    char name[16];
    uint64_t number[numbers];
    const char *space = strchr(text, ' ');
    if (!space || (size_t)(space - text) >= sizeof(name))
        return -1;
    memcpy(name, text, (size_t)(space - text));
    name[space - text] = 0;
    int operation = operation_find(name);
    for (size_t i = 0; i < numbers; i++) {
        char *end;
        number[i] = strtoull(space, &end, 10);
        if (end == space)
            return -1;
        space = end;
    }
    if (operation < 0 || *space)
        return -1;
    *order = (struct order){
        .operation = (enum operation)operation,
        .bytes = number[0],
        .samples = number[1],
        .warm_ups = number[2],
        .window = number[3],
        .rounds = number[4],
        .owned = number[5] != 0,
        .once = number[6] != 0,
        .seed = number[7],
    };
    return 0;
}
