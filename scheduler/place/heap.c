/* A binary heap in an array: more room first, then the lower id. */
#include "scheduler/place/heap.h"

/* True where a comes before b: more room first, then the lower id. */
static bool roomier(const struct sched_candidate *a, const struct sched_candidate *b)
{
    return a->fit != b->fit ? a->fit > b->fit : a->node < b->node;
}

static void sift_down(struct sched_candidate *heap, uint32_t count, uint32_t at)
{
    struct sched_candidate sinking = heap[at];
    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && roomier(&heap[child + 1], &heap[child]))
            child++;
        if (!roomier(&heap[child], &sinking))
            break;
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = sinking;
}

void sched_heap_make(struct sched_candidate *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        sift_down(heap, count, i - 1);
}

void sched_heap_pop(struct sched_candidate *heap, uint32_t *count)
{
    struct sched_candidate top = heap[0];
    heap[0] = heap[--*count];
    heap[*count] = top;
    sift_down(heap, *count, 0);
}
