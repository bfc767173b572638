/* Runs one function over 0..parts-1 with a thread per processor. */
#ifndef TERASORT_PARALLEL_H
#define TERASORT_PARALLEL_H

#include <stdint.h>

/* Calls work(part, data) once for each part; returns the number of parts for which it returned
 * non-zero. */
int parallel_for(int64_t parts, int (*work)(int64_t part, void *data), void *data);

#endif
