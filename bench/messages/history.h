/* The last few values of figures by name, in a file of lines: NAME VALUE... */
#ifndef BENCH_MESSAGES_HISTORY_H
#define BENCH_MESSAGES_HISTORY_H

#include <stddef.h>

enum { history_kept = 5 };

/* The values of a name, oldest first; 0 where there are none or the file cannot be read. */
size_t history_read(const char *path, const char *name, double values[history_kept]);

/* Adds one as the newest, and drops the oldest beyond history_kept. -1, errno set; the file is as
 * it was then. */
int history_add(const char *path, const char *name, double value);

/* Whether a value is within a factor of the median of some; always, of none. */
int history_agrees(const double *values, size_t count, double value, double factor);

#endif
