#include "rpc/deadlines.h"

#include "base/memory.h"

#include <stdlib.h>

static void put(struct rpc_deadlines *deadlines, size_t index, struct rpc_deadline *deadline)
{
    deadlines->heap[index] = deadline;
    deadline->index = index;
}

static void sift_up(struct rpc_deadlines *deadlines, size_t index, struct rpc_deadline *deadline)
{
    while (index > 1 && deadlines->heap[index / 2]->at_ns > deadline->at_ns) {
        put(deadlines, index, deadlines->heap[index / 2]);
        index /= 2;
    }
    put(deadlines, index, deadline);
}

static void sift_down(struct rpc_deadlines *deadlines, size_t index, struct rpc_deadline *deadline)
{
    for (;;) {
        size_t child = index * 2;
        if (child > deadlines->count)
            break;
        if (child < deadlines->count &&
            deadlines->heap[child + 1]->at_ns < deadlines->heap[child]->at_ns)
            child++;
        if (deadlines->heap[child]->at_ns >= deadline->at_ns)
            break;
        put(deadlines, index, deadlines->heap[child]);
        index = child;
    }
    put(deadlines, index, deadline);
}

enum covey_status rpc_deadlines_add(struct rpc_deadlines *deadlines, struct rpc_deadline *deadline)
{
    if (deadlines->count + 1 >= deadlines->capacity) {
        size_t capacity = deadlines->capacity ? deadlines->capacity * 2 : 16;
        struct rpc_deadline **heap =
            covey_reallocarray(deadlines->heap, capacity, sizeof(struct rpc_deadline *));
        if (!heap)
            return COVEY_ENOMEM;
        deadlines->heap = heap;
        deadlines->capacity = capacity;
    }
    deadlines->count++;
    sift_up(deadlines, deadlines->count, deadline);
    return COVEY_OK;
}

void rpc_deadlines_remove(struct rpc_deadlines *deadlines, struct rpc_deadline *deadline)
{
    size_t index = deadline->index;
    if (index == 0)
        return;
    struct rpc_deadline *last = deadlines->heap[deadlines->count--];
    deadline->index = 0;
    if (last == deadline)
        return;
    if (index > 1 && deadlines->heap[index / 2]->at_ns > last->at_ns)
        sift_up(deadlines, index, last);
    else
        sift_down(deadlines, index, last);
}

struct rpc_deadline *rpc_deadlines_first(const struct rpc_deadlines *deadlines)
{
    return deadlines->count > 0 ? deadlines->heap[1] : NULL;
}

void rpc_deadlines_free(struct rpc_deadlines *deadlines)
{
    free(deadlines->heap);
    *deadlines = (struct rpc_deadlines){0};
}
