/*
 * Sharing out a gang among nodes: arithmetic on an array of candidates, nothing else.
 *
 * Packed: the roomiest node takes all the units it can, again and again, until some node can take
 * the rest; of those that can, the one with the least room does. For every j, no other way puts
 * more workers on j nodes, so the nodes are fewest, and of all ways on that many nodes the rank
 * pairs that cross between nodes (workers squared less the sum of the shares squared) are fewest
 * too. The last unit, when smaller, goes to the first node with a leftover for it: nodes come in
 * the order of room, so none that holds as many whole units has a larger leftover.
 *
 * Spread: nodes in rising order of room each take an equal part of what is left, or all they can.
 */
#include "scheduler/internal.h"

#include <assert.h>
#include <stdlib.h>

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

/* Makes a heap with the roomiest at its top. O(count). */
static void heapify(struct sched_candidate *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        sift_down(heap, count, i - 1);
}

/* Moves the top of the heap behind its new end. O(log count). */
static void pop(struct sched_candidate *heap, uint32_t *count)
{
    struct sched_candidate top = heap[0];
    heap[0] = heap[--*count];
    heap[*count] = top;
    sift_down(heap, *count, 0);
}

/* What is still to be shared out: whole units, and the workers of a smaller last one. */
struct rest {
    uint32_t units;
    uint32_t odd;
};

static struct rest rest_of(const struct sched_shape *shape)
{
    return (struct rest){shape->workers / shape->unit, shape->workers % shape->unit};
}

uint64_t sched_room(const struct sched_shape *shape, struct sched_candidate *candidates,
                    uint32_t count)
{
    uint32_t limit = shape->node_limit < count ? shape->node_limit : count;
    uint32_t first = 0;
    if (limit < count) {
        heapify(candidates, count);
        uint32_t heap = count;
        while (heap > count - limit)
            pop(candidates, &heap);
        first = heap;
    }
    uint64_t units = 0;
    uint32_t odd = 0;
    for (uint32_t i = first; i < count; i++) {
        units += candidates[i].fit / shape->unit;
        uint32_t leftover = candidates[i].fit % shape->unit;
        if (leftover > odd)
            odd = leftover;
    }
    return units * shape->unit + (shape->unit_is_pack ? 0 : odd);
}

/* Gives a candidate that cannot hold the whole rest all it can take of it. */
static void fill(const struct sched_shape *shape, struct sched_candidate *candidate,
                 struct rest *rest)
{
    uint32_t units = candidate->fit / shape->unit;
    rest->units -= units;
    candidate->taken = units * shape->unit;
    if (candidate->fit - candidate->taken >= rest->odd) {
        candidate->taken += rest->odd;
        rest->odd = 0;
    }
}

static void share_out_packed(const struct sched_shape *shape, struct sched_candidate *candidates,
                             uint32_t count)
{
    struct rest rest = rest_of(shape);
    uint32_t heap = count;
    heapify(candidates, count);
    while (rest.units * shape->unit + rest.odd > candidates[0].fit) {
        fill(shape, &candidates[0], &rest);
        pop(candidates, &heap);
    }
    uint32_t left = rest.units * shape->unit + rest.odd;
    struct sched_candidate *tightest = &candidates[0];
    for (uint32_t i = 1; i < heap; i++) {
        struct sched_candidate *other = &candidates[i];
        if (other->fit < left || other->fit > tightest->fit)
            continue;
        if (other->fit < tightest->fit || other->node < tightest->node)
            tightest = other;
    }
    tightest->taken = left;
}

static int by_rising_room(const void *left, const void *right)
{
    return roomier(left, right) ? 1 : -1;
}

static void share_out_spread(const struct sched_shape *shape, struct sched_candidate *candidates,
                             uint32_t count)
{
    qsort(candidates, count, sizeof(*candidates), by_rising_room);
    struct rest rest = rest_of(shape);
    uint32_t first = shape->node_limit < count ? count - shape->node_limit : 0;
    for (uint32_t i = first; i < count; i++) {
        uint32_t most = candidates[i].fit / shape->unit;
        uint32_t equal = rest.units / (count - i);
        uint32_t units = most < equal ? most : equal;
        candidates[i].taken = units * shape->unit;
        rest.units -= units;
    }
    if (rest.odd == 0)
        return;
    struct sched_candidate *idlest = NULL;
    for (uint32_t i = count; i > first; i--) {
        struct sched_candidate *other = &candidates[i - 1];
        if (other->fit - other->taken >= rest.odd && (!idlest || other->taken < idlest->taken))
            idlest = other;
    }
    assert(idlest); /* sched_room was asked first */
    idlest->taken += rest.odd;
}

static int by_node(const void *left, const void *right)
{
    uint32_t a = ((const struct sched_candidate *)left)->node;
    uint32_t b = ((const struct sched_candidate *)right)->node;
    return a < b ? -1 : a > b;
}

uint32_t sched_distribute(const struct sched_shape *shape, struct sched_candidate *candidates,
                          uint32_t count)
{
    if (shape->spread)
        share_out_spread(shape, candidates, count);
    else
        share_out_packed(shape, candidates, count);
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].taken)
            candidates[used++] = candidates[i];
    }
    qsort(candidates, used, sizeof(*candidates), by_node);
    return used;
}
