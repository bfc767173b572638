/* Candidates as a heap, the roomiest at its top. */
#ifndef SCHEDULER_PLACE_HEAP_H
#define SCHEDULER_PLACE_HEAP_H

#include "scheduler/place/desk.h"

/* Makes a heap. O(count). */
void sched_heap_make(struct sched_candidate *heap, uint32_t count);
/* Moves the top behind the heap's new end. O(log count). */
void sched_heap_pop(struct sched_candidate *heap, uint32_t *count);

#endif
