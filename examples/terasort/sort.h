#ifndef TERASORT_SORT_H
#define TERASORT_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Writes the records of `from` in key order to `to`, equal keys in their old order. 0, or -1 when
 * memory is short. */
int sort_records(const uint8_t *from, uint8_t *to, size_t count);

#endif
